/*
 * vmbus_storvsp.c - probes of specs/storvsp.def: the operations of a storage channel, and their order.
 *
 * BEGIN_INITIALIZATION, QUERY_PROTOCOL_VERSION (again until one is taken), QUERY_PROPERTIES, END_INITIALIZATION; anything
 * else meanwhile has status 0xC0000184. A reply is a completion with operation COMPLETE_IO, as long as the version's
 * packet; before a version is taken, as long as what was asked.
 */
#include "guest-drivers/certify/vmbus_storvsp.h"

#define SENSE_BYTES VSTOR_SENSE_BYTES
#define INQUIRY 0x12u

typedef void stor_body(struct probe *p, struct vmbus_device *dev);

uint32_t stor_ask(struct vmbus_device *dev, struct vstor_packet *packet, uint32_t bytes)
{
	packet->flags = VSTOR_REQUEST_COMPLETION_FLAG;
	if (!device_ask(dev, packet, bytes)) {
		return STOR_NO_ANSWER;
	}
	memcpy(packet, dev->answer, sizeof(*packet));
	return packet->status;
}

/* One operation, of which only the status counts. */
static void check_operation(struct probe *p, struct vmbus_device *dev, uint32_t operation, uint32_t wanted,
                            const char *what)
{
	struct vstor_packet packet = {.operation = operation};
	uint32_t status = stor_ask(dev, &packet, sizeof(packet));

	(void)probe_check(p, status == wanted, "%s: status 0x%x, not 0x%x", what, status, wanted);
	(void)probe_check(p, packet.operation == VSTOR_OPERATION_COMPLETE_IO, "%s: answered by operation %u",
	                  what, packet.operation);
	(void)probe_check(p, dev->answer_bytes == sizeof(packet), "%s: a reply of %u bytes", what,
	                  dev->answer_bytes);
}

static uint32_t version_ask(struct vmbus_device *dev, uint16_t version)
{
	struct vstor_packet packet = {.operation = VSTOR_OPERATION_QUERY_PROTOCOL_VERSION,
	                              .u.version.major_minor = version};

	return stor_ask(dev, &packet, sizeof(packet));
}

/* The newest that the host takes; 0: none of the three. */
static uint16_t version_agree(struct vmbus_device *dev)
{
	static const uint16_t versions[] = {VMSTOR_PROTO_VERSION_WIN10, VMSTOR_PROTO_VERSION_WIN8_1,
	                                    VMSTOR_PROTO_VERSION_WIN8};

	for (uint32_t i = 0; i < ARRAY_COUNT(versions); i++) {
		if (version_ask(dev, versions[i]) == VMBUS_STATUS_SUCCESS) {
			return versions[i];
		}
	}
	return 0;
}

static bool begin(struct probe *p, struct vmbus_device *dev)
{
	struct vstor_packet packet = {.operation = VSTOR_OPERATION_BEGIN_INITIALIZATION};

	return probe_equal(p, stor_ask(dev, &packet, sizeof(packet)), 0, "status of BEGIN_INITIALIZATION");
}

static bool begin_with_version(struct probe *p, struct vmbus_device *dev)
{
	return begin(p, dev) && probe_check(p, version_agree(dev) != 0, "none of 6.2, 6.0 and 5.1 is taken");
}

static bool ask_properties(struct probe *p, struct vmbus_device *dev, struct vstor_packet *packet)
{
	*packet = (struct vstor_packet){.operation = VSTOR_OPERATION_QUERY_PROPERTIES};
	return probe_equal(p, stor_ask(dev, packet, sizeof(*packet)), 0, "status of QUERY_PROPERTIES");
}

bool stor_initialize(struct probe *p, struct vmbus_device *dev)
{
	struct vstor_packet packet;

	if (!begin_with_version(p, dev) || !ask_properties(p, dev, &packet)) {
		return false;
	}
	packet = (struct vstor_packet){.operation = VSTOR_OPERATION_END_INITIALIZATION};
	return probe_equal(p, stor_ask(dev, &packet, sizeof(packet)), 0, "status of END_INITIALIZATION");
}

/* ------------------------------------------------------------------ initialization */

static void body_begin(struct probe *p, struct vmbus_device *dev)
{
	struct vstor_packet packet = {.operation = VSTOR_OPERATION_BEGIN_INITIALIZATION};

	check_operation(p, dev, VSTOR_OPERATION_QUERY_PROTOCOL_VERSION, VMBUS_STATUS_INVALID_DEVICE_STATE,
	                "QUERY_PROTOCOL_VERSION first");
	check_operation(p, dev, VSTOR_OPERATION_QUERY_PROPERTIES, VMBUS_STATUS_INVALID_DEVICE_STATE,
	                "QUERY_PROPERTIES first");
	check_operation(p, dev, VSTOR_OPERATION_END_INITIALIZATION, VMBUS_STATUS_INVALID_DEVICE_STATE,
	                "END_INITIALIZATION first");
	(void)probe_equal(p, stor_ask(dev, &packet, VSTOR_PACKET_BYTES_WIN7), 0, "status of a short packet");
	(void)probe_equal(p, dev->answer_bytes, VSTOR_PACKET_BYTES_WIN7, "bytes that answer 48");
	check_operation(p, dev, VSTOR_OPERATION_BEGIN_INITIALIZATION, VMBUS_STATUS_INVALID_DEVICE_STATE,
	                "BEGIN_INITIALIZATION twice");
	(void)probe_check(p, version_agree(dev) != 0, "none of 6.2, 6.0 and 5.1 is taken");
	check_operation(p, dev, VSTOR_OPERATION_BEGIN_INITIALIZATION, VMBUS_STATUS_INVALID_DEVICE_STATE,
	                "BEGIN_INITIALIZATION behind the version");
}

static void body_end(struct probe *p, struct vmbus_device *dev)
{
	struct vstor_packet packet;

	if (!begin_with_version(p, dev)) {
		return;
	}
	check_operation(p, dev, VSTOR_OPERATION_END_INITIALIZATION, VMBUS_STATUS_INVALID_DEVICE_STATE,
	                "END_INITIALIZATION before QUERY_PROPERTIES");
	if (!ask_properties(p, dev, &packet)) {
		return;
	}
	check_operation(p, dev, VSTOR_OPERATION_END_INITIALIZATION, VMBUS_STATUS_SUCCESS,
	                "END_INITIALIZATION");
	check_operation(p, dev, VSTOR_OPERATION_END_INITIALIZATION, VMBUS_STATUS_INVALID_DEVICE_STATE,
	                "END_INITIALIZATION twice");
	check_operation(p, dev, VSTOR_OPERATION_BEGIN_INITIALIZATION, VMBUS_STATUS_INVALID_DEVICE_STATE,
	                "BEGIN_INITIALIZATION behind the end");
}

/* @version on a channel that is new; true: taken, and no other one is from then on. */
static bool try_version(struct probe *p, struct vmbus_device *dev, uint16_t version)
{
	uint32_t status;

	if (!device_renew(p, dev) || !begin(p, dev)) {
		return false;
	}
	status = version_ask(dev, version);
	if (status != VMBUS_STATUS_SUCCESS) {
		(void)probe_check(p, status == VMBUS_STATUS_REVISION_MISMATCH, "version 0x%x: status 0x%x",
		                  version, status);
		return false;
	}
	(void)probe_check(p, dev->answer_bytes == sizeof(struct vstor_packet),
	                  "version 0x%x: a reply of %u bytes", version, dev->answer_bytes);
	(void)probe_check(p, version_ask(dev, version) == VMBUS_STATUS_INVALID_DEVICE_STATE,
	                  "version 0x%x is taken twice", version);
	return true;
}

static void body_version(struct probe *p, struct vmbus_device *dev)
{
	static const uint16_t known[] = {VMSTOR_PROTO_VERSION_WIN8, VMSTOR_PROTO_VERSION_WIN8_1,
	                                 VMSTOR_PROTO_VERSION_WIN10};
	static const uint16_t never[] = {0, 0x0100, 0x0601, 0x7F00, 0xFFFF};
	uint32_t taken = 0;

	for (uint32_t i = 0; i < ARRAY_COUNT(known); i++) {
		taken += try_version(p, dev, known[i]);
	}
	for (uint32_t i = 0; i < ARRAY_COUNT(never); i++) {
		(void)probe_check(p, !try_version(p, dev, never[i]), "version 0x%x is taken", never[i]);
	}
	if (try_version(p, dev, VMSTOR_PROTO_VERSION_WIN7)) {
		probe_note(p, "4.2 is taken too");
	}
	probe_offer(p, taken == ARRAY_COUNT(known));
	(void)probe_check(p, taken != 0, "none of 6.2, 6.0 and 5.1 is taken");
	probe_note(p, "%u of 5.1, 6.0 and 6.2", taken);
	/* Behind one that is refused another can be asked for. */
	if (device_renew(p, dev) && begin(p, dev)) {
		(void)probe_equal(p, version_ask(dev, 0x7F00), VMBUS_STATUS_REVISION_MISMATCH,
		                  "status of version 127.0");
		(void)probe_check(p, version_agree(dev) != 0, "behind a refused version none is taken");
	}
}

static void body_properties(struct probe *p, struct vmbus_device *dev)
{
	struct vstor_packet packet;
	const struct vmstorage_channel_properties *props = &packet.u.storage_channel_properties;

	if (!begin(p, dev)) {
		return;
	}
	check_operation(p, dev, VSTOR_OPERATION_QUERY_PROPERTIES, VMBUS_STATUS_INVALID_DEVICE_STATE,
	                "QUERY_PROPERTIES before the version");
	if (!probe_check(p, version_agree(dev) != 0, "none of 6.2, 6.0 and 5.1 is taken") ||
	    !ask_properties(p, dev, &packet)) {
		return;
	}
	(void)probe_check(p,
	                  props->max_transfer_bytes >= 65536 && props->max_transfer_bytes % PAGE_BYTES == 0,
	                  "%u bytes a transfer", props->max_transfer_bytes);
	(void)probe_check(p,
	                  (props->flags & STORAGE_CHANNEL_SUPPORTS_MULTI_CHANNEL) == 0 ||
	                          props->max_channel_cnt != 0,
	                  "several channels, but none more");
	probe_note(p, "%u bytes a transfer, %u sub-channels", props->max_transfer_bytes,
	           (uint32_t)props->max_channel_cnt);
	check_operation(p, dev, VSTOR_OPERATION_QUERY_PROPERTIES, VMBUS_STATUS_INVALID_DEVICE_STATE,
	                "QUERY_PROPERTIES twice");
}

/* ------------------------------------------------------------------ requests */

/* INQUIRY of 36 bytes, which is answered by a LUN that is not there as well. */
static struct vstor_packet inquiry(void)
{
	struct vstor_packet packet = {
	        .operation = VSTOR_OPERATION_EXECUTE_SRB,
	        .flags = VSTOR_REQUEST_COMPLETION_FLAG,
	        .u.vm_srb = {.length = sizeof(struct vmscsi_request),
	                     .cdb_length = 6,
	                     .sense_info_length = SENSE_BYTES,
	                     .data_in = VSTOR_DATA_IN,
	                     .data_transfer_length = SCSI_INQUIRY_BYTES,
	                     .time_out_value = 60},
	};

	packet.u.vm_srb.u.cdb[0] = INQUIRY;
	packet.u.vm_srb.u.cdb[4] = SCSI_INQUIRY_BYTES;
	return packet;
}

static bool inquiry_ask(struct vmbus_device *dev, uint64_t gfn, uint32_t bytes, struct vstor_packet *packet)
{
	const struct hv_buffer buffer = {.bytes = SCSI_INQUIRY_BYTES, .gfns = &gfn};

	*packet = inquiry();
	if (!device_ask_buffers(dev, &buffer, 1, packet, bytes)) {
		return false;
	}
	memcpy(packet, dev->answer, sizeof(*packet));
	return true;
}

static void check_inquiry(struct probe *p, struct vmbus_device *dev)
{
	const uint8_t *data = dev->pages[0].bytes;
	struct vstor_packet packet;

	memset(dev->pages[0].bytes, 0xA5, PAGE_BYTES);
	if (!probe_check(p, inquiry_ask(dev, dev->pages[0].gfn, sizeof(packet), &packet),
	                 "a request is not answered")) {
		return;
	}
	(void)probe_equal(p, packet.operation, VSTOR_OPERATION_COMPLETE_IO, "operation of the reply");
	(void)probe_equal(p, packet.status, VMBUS_STATUS_SUCCESS, "status of the reply");
	(void)probe_equal(p, dev->answer_bytes, sizeof(packet), "bytes of the reply");
	(void)probe_equal(p, packet.u.vm_srb.srb_status, SRB_STATUS_SUCCESS, "SRB status");
	(void)probe_equal(p, packet.u.vm_srb.data_transfer_length, SCSI_INQUIRY_BYTES, "bytes transferred");
	(void)probe_check(p, data[0] != 0xA5 && data[SCSI_INQUIRY_BYTES] == 0xA5,
	                  "the data are not in the buffer, or beyond it");
}

static void body_srb(struct probe *p, struct vmbus_device *dev)
{
	struct vstor_packet packet = inquiry();

	check_operation(p, dev, VSTOR_OPERATION_EXECUTE_SRB, VMBUS_STATUS_INVALID_DEVICE_STATE,
	                "EXECUTE_SRB before initialization");
	if (!stor_initialize(p, dev)) {
		return;
	}
	check_inquiry(p, dev);
	if (probe_check(p, inquiry_ask(dev, UINT64_MAX >> PAGE_SHIFT, sizeof(packet), &packet),
	                "a request with a buffer beyond memory is not answered")) {
		(void)probe_check(p, packet.u.vm_srb.srb_status != SRB_STATUS_SUCCESS,
		                  "a buffer beyond memory is written");
	}
	if (probe_check(p, inquiry_ask(dev, dev->pages[0].gfn, VSTOR_PACKET_BYTES_WIN7, &packet),
	                "a packet that is too short is not answered")) {
		(void)probe_check(p, packet.status != VMBUS_STATUS_SUCCESS,
		                  "a packet that is too short is taken");
	}
	/* What asks for no completion gets none; the next one gets its own. */
	packet = inquiry();
	packet.flags = 0;
	packet.u.vm_srb.data_transfer_length = 0;
	packet.u.vm_srb.u.cdb[4] = 0;
	(void)probe_check(p, device_tell(dev, &packet, sizeof(packet)), "the ring is full");
	check_inquiry(p, dev);
	(void)probe_equal(p, dev->stray_count, 0, "completions that nobody asked for");
}

static void body_reset(struct probe *p, struct vmbus_device *dev)
{
	uint32_t operation = (uint32_t)p->row->number;

	check_operation(p, dev, operation, VMBUS_STATUS_INVALID_DEVICE_STATE,
	                "a reset before initialization");
	if (stor_initialize(p, dev)) {
		check_operation(p, dev, operation, VMBUS_STATUS_SUCCESS, "a reset");
		check_operation(p, dev, operation, VMBUS_STATUS_SUCCESS, "a second reset");
		check_inquiry(p, dev);
	}
}

/* ------------------------------------------------------------------ what is not offered */

static void body_fibre_channel(struct probe *p, struct vmbus_device *dev)
{
	probe_offer(p, false);
	if (stor_initialize(p, dev)) {
		check_operation(p, dev, VSTOR_OPERATION_FCHBA_DATA, VMBUS_STATUS_INVALID_DEVICE_REQUEST,
		                "FCHBA_DATA on SCSI");
		check_operation(p, dev, 99, VMBUS_STATUS_INVALID_DEVICE_REQUEST, "operation 99");
		check_operation(p, dev, 0, VMBUS_STATUS_INVALID_DEVICE_REQUEST, "operation 0");
		check_inquiry(p, dev);
	}
}

/* A host that says it has some is believed: what it would offer then is not for this channel alone. */
static void body_sub_channels(struct probe *p, struct vmbus_device *dev)
{
	struct vstor_packet packet;
	const struct vmstorage_channel_properties *props = &packet.u.storage_channel_properties;

	if (!begin_with_version(p, dev) || !ask_properties(p, dev, &packet)) {
		return;
	}
	probe_offer(p, (props->flags & STORAGE_CHANNEL_SUPPORTS_MULTI_CHANNEL) != 0);
	if (p->offered) {
		probe_note(p, "%u sub-channels are offered", (uint32_t)props->max_channel_cnt);
		return;
	}
	(void)probe_equal(p, props->max_channel_cnt, 0, "sub-channels, of one channel");
	check_operation(p, dev, VSTOR_OPERATION_END_INITIALIZATION, VMBUS_STATUS_SUCCESS,
	                "END_INITIALIZATION");
	packet = (struct vstor_packet){.operation = VSTOR_OPERATION_CREATE_SUB_CHANNELS,
	                               .u.sub_channel_count = 1};
	(void)probe_equal(p, stor_ask(dev, &packet, sizeof(packet)), VMBUS_STATUS_INVALID_DEVICE_REQUEST,
	                  "status of CREATE_SUB_CHANNELS");
}

/* ------------------------------------------------------------------ rows */

static void stor_probe(struct probe *p, stor_body *body)
{
	struct vmbus_device *dev = device_open(p, (struct vmbus_guid)VMBUS_CLASS_SCSI);

	if (dev != NULL) {
		body(p, dev);
		device_close(p, dev);
	}
}

#define STOR_PROBE(name, body)                    \
	static void probe_##name(struct probe *p) \
	{                                         \
		stor_probe(p, body);              \
	}

STOR_PROBE(EXECUTE_SRB, body_srb)
STOR_PROBE(RESET_LUN, body_reset)
STOR_PROBE(RESET_ADAPTER, body_reset)
STOR_PROBE(RESET_BUS, body_reset)
STOR_PROBE(BEGIN_INITIALIZATION, body_begin)
STOR_PROBE(END_INITIALIZATION, body_end)
STOR_PROBE(QUERY_PROTOCOL_VERSION, body_version)
STOR_PROBE(QUERY_PROPERTIES, body_properties)
STOR_PROBE(FCHBA_DATA, body_fibre_channel)
STOR_PROBE(CREATE_SUB_CHANNELS, body_sub_channels)

#define SPEC_ROW(number, name, status, handler, clause) ROW(number, name, status, clause, probe_##name)
static const struct row rows[] = {
#include "specs/storvsp.def"
};
ROW_TABLE(storvsp, NEED_HYPERV)
