/*
 * vmbus_nvsp.c - probes of specs/nvsp.def: the set-up of a network channel, its buffers, and packets that carry RNDIS.
 *
 * A reply is the completion of the message that asked for one. What carries RNDIS is completed with type 108 in either
 * direction; until the guest has, the slot of the receive buffer is its own.
 */
#include "guest-drivers/certify/vmbus_device.h"

#define MESSAGE_BYTES sizeof(struct nvsp_message)
#define REPLY_BYTES_MIN 28u /* of types 2 and 102: what guests want at least */
#define MTU 1514u
#define HEADER_BYTES 256u /* of a slot, for RNDIS */
#define SLOT_BYTES_MIN 68u
#define EXCHANGES 40u /* more than a host keeps slots for control messages */
#define POLLS 16u
#define GPADL_UNKNOWN 0x7777u

/* The device's pages. */
#define RECEIVE_FIRST 0u
#define RECEIVE_PAGES 40u
#define SEND_FIRST 40u
#define SEND_PAGES 8u
#define CONTROL 48u
#define SMALL 49u

typedef void net_body(struct probe *p, struct vmbus_device *dev);

/* ------------------------------------------------------------------ messages */

/* False: no completion. */
static bool ask(struct vmbus_device *dev, const struct nvsp_message *message, struct nvsp_message *reply)
{
	bool answered = device_ask(dev, message, MESSAGE_BYTES);

	memcpy(reply, dev->answer, sizeof(*reply));
	return answered;
}

/* A message that asks for a completion gets one, whatever is in it; without asking it gets none. */
static void check_completion(struct probe *p, struct vmbus_device *dev, const struct nvsp_message *message)
{
	struct nvsp_message reply;

	(void)probe_check(p, ask(dev, message, &reply), "%s: no completion", p->row->name);
	(void)probe_check(p, device_tell(dev, message, MESSAGE_BYTES), "the ring is full");
	(void)probe_check(p, ask(dev, message, &reply), "%s: no completion behind one without", p->row->name);
	(void)probe_equal(p, dev->stray_count, 0, "completions that nobody asked for");
}

static bool init_ask(struct vmbus_device *dev, uint32_t version, struct nvsp_message *reply)
{
	const struct nvsp_message message = {.msg_type = NVSP_MSG_TYPE_INIT, .u.init = {version, version}};

	return ask(dev, &message, reply);
}

static bool init_with(struct vmbus_device *dev, uint32_t version)
{
	struct nvsp_message reply;

	return init_ask(dev, version, &reply) && reply.msg_type == NVSP_MSG_TYPE_INIT_COMPLETE &&
	       reply.u.init_complete.status == NVSP_STAT_SUCCESS;
}

static const uint32_t versions[] = {NVSP_PROTOCOL_VERSION_1, NVSP_PROTOCOL_VERSION_2,
                                    NVSP_PROTOCOL_VERSION_4, NVSP_PROTOCOL_VERSION_5,
                                    NVSP_PROTOCOL_VERSION_6, NVSP_PROTOCOL_VERSION_61};

/* From the newest down; 0: a check has failed. */
static uint32_t agree(struct probe *p, struct vmbus_device *dev)
{
	for (uint32_t i = ARRAY_COUNT(versions); i-- != 0;) {
		if (init_with(dev, versions[i])) {
			return versions[i];
		}
	}
	(void)probe_check(p, false, "no version from 1 to 6.1 is taken");
	return 0;
}

static struct nvsp_message config_of(uint32_t mtu)
{
	struct nvsp_message message = {.msg_type = NVSP_MSG2_TYPE_SEND_NDIS_CONFIG};

	message.u.send_ndis_config.mtu = mtu;
	return message;
}

static const struct nvsp_message ndis_version = {.msg_type = NVSP_MSG1_TYPE_SEND_NDIS_VER,
                                                 .u.send_ndis_ver = {6, 30}};

/* Version, MTU and NDIS's version, as guests do it. */
static bool set_up(struct probe *p, struct vmbus_device *dev, uint32_t mtu)
{
	const struct nvsp_message config = config_of(mtu);
	uint32_t version = agree(p, dev);

	return version != 0 &&
	       probe_check(p,
	                   (version < NVSP_PROTOCOL_VERSION_2 || device_tell(dev, &config, MESSAGE_BYTES)) &&
	                           device_tell(dev, &ndis_version, MESSAGE_BYTES),
	                   "the ring is full");
}

/* ------------------------------------------------------------------ buffers */

/* SEND_RECV_BUF or SEND_SEND_BUF; the reply's status, 0 if there is none of its type. */
static uint32_t buffer_ask(struct vmbus_device *dev, uint32_t type, uint32_t gpadl,
                           struct nvsp_message *reply)
{
	struct nvsp_message message = {.msg_type = type};

	message.u.send_buf.gpadl_handle = gpadl;
	message.u.send_buf.id = type == NVSP_MSG1_TYPE_SEND_RECV_BUF ? NETVSC_RECEIVE_BUFFER_ID : 0;
	if (!ask(dev, &message, reply) || reply->msg_type != type + 1) {
		return 0;
	}
	return reply->u.send_recv_buf_complete.status; /* both begin so */
}

static void check_section(struct probe *p, const struct vmbus_device *dev, const struct nvsp_message *reply,
                          uint32_t pages)
{
	const struct nvsp_1_send_recv_buf_complete *answer = &reply->u.send_recv_buf_complete;
	uint64_t bytes = (uint64_t)answer->section.sub_alloc_size * answer->section.num_sub_allocs;

	(void)probe_check(p, dev->answer_bytes >= REPLY_BYTES_MIN, "a reply of %u bytes", dev->answer_bytes);
	(void)probe_check(p, answer->num_sections == 1 && answer->section.offset == 0,
	                  "%u sections, the first from 0x%x on", answer->num_sections,
	                  answer->section.offset);
	(void)probe_check(p,
	                  answer->section.sub_alloc_size >= SLOT_BYTES_MIN && bytes != 0 &&
	                          bytes <= (uint64_t)pages * PAGE_BYTES,
	                  "%u slots of %u bytes in %u pages", answer->section.num_sub_allocs,
	                  answer->section.sub_alloc_size, pages);
	(void)probe_equal(p, answer->section.end_offset, bytes, "end of the slots");
}

/* The receive buffer, given and taken; false: a check has failed. Its list is in @gpadl. */
static bool receive_buffer(struct probe *p, struct vmbus_device *dev, uint32_t *gpadl,
                           struct nvsp_message *reply)
{
	uint32_t status;

	*gpadl = device_gpadl(dev, RECEIVE_FIRST, RECEIVE_PAGES);
	if (!probe_check(p, *gpadl != 0, "no list for the receive buffer")) {
		return false;
	}
	status = buffer_ask(dev, NVSP_MSG1_TYPE_SEND_RECV_BUF, *gpadl, reply);
	return probe_equal(p, status, NVSP_STAT_SUCCESS, "status of the receive buffer");
}

static bool send_buffer(struct probe *p, struct vmbus_device *dev, uint32_t *gpadl,
                        struct nvsp_message *reply)
{
	uint32_t status;

	*gpadl = device_gpadl(dev, SEND_FIRST, SEND_PAGES);
	if (!probe_check(p, *gpadl != 0, "no list for the send buffer")) {
		return false;
	}
	status = buffer_ask(dev, NVSP_MSG1_TYPE_SEND_SEND_BUF, *gpadl, reply);
	return probe_equal(p, status, NVSP_STAT_SUCCESS, "status of the send buffer");
}

static bool revoke(struct vmbus_device *dev, uint32_t type, uint16_t id)
{
	struct nvsp_message message = {.msg_type = type};
	struct nvsp_message reply;

	message.u.revoke_buf.id = id;
	return ask(dev, &message, &reply);
}

/* A list in use is torn down when its buffer is revoked, and not before. */
static void check_held(struct probe *p, struct vmbus_device *dev, uint32_t gpadl, uint32_t type, uint16_t id)
{
	struct hv_guest *hv = dev->channel.hv;
	const struct vmbus_channel_gpadl_teardown message = {
	        {CHANNELMSG_GPADL_TEARDOWN, 0}, dev->channel.relid, gpadl};

	hv_bus_expect(hv, CHANNELMSG_GPADL_TORNDOWN, 1, gpadl, 0);
	(void)!hv_bus_post(hv, &message, sizeof(message));
	for (uint32_t i = 0; i < POLLS; i++) {
		hv_poll(hv);
	}
	(void)probe_check(p, !hv->bus.wait.done, "a buffer in use is torn down");
	(void)probe_check(p, revoke(dev, type, id), "REVOKE: no completion");
	if (probe_check(p, hv_bus_await(hv), "a buffer that was revoked is not torn down")) {
		device_gpadl_forget(dev, gpadl);
	}
}

/* ------------------------------------------------------------------ INIT, NDIS_CONFIG, NDIS_VER */

static void check_first(struct probe *p, struct vmbus_device *dev)
{
	uint32_t gpadl = device_gpadl(dev, RECEIVE_FIRST, RECEIVE_PAGES);
	struct nvsp_message reply;

	(void)probe_check(p,
	                  buffer_ask(dev, NVSP_MSG1_TYPE_SEND_RECV_BUF, gpadl, &reply) != NVSP_STAT_SUCCESS,
	                  "a receive buffer is taken before INIT");
	(void)probe_check(p,
	                  buffer_ask(dev, NVSP_MSG1_TYPE_SEND_SEND_BUF, gpadl, &reply) != NVSP_STAT_SUCCESS,
	                  "a send buffer is taken before INIT");
}

static void check_never(struct probe *p, struct vmbus_device *dev)
{
	static const uint32_t never[] = {0,           1,           3,           0x00030000u,
	                                 0x00040001u, 0x00050001u, 0x00070000u, UINT32_MAX};
	struct nvsp_message reply;

	for (uint32_t i = 0; i < ARRAY_COUNT(never); i++) {
		if (probe_check(p, init_ask(dev, never[i], &reply), "version 0x%x: no answer", never[i])) {
			(void)probe_check(p, reply.u.init_complete.status != NVSP_STAT_SUCCESS,
			                  "version 0x%x is taken", never[i]);
		}
	}
	(void)probe_check(p, agree(p, dev) != 0, "behind refused versions none is taken");
}

static void body_init(struct probe *p, struct vmbus_device *dev)
{
	struct nvsp_message unknown = {.msg_type = 999};
	struct nvsp_message reply;
	uint32_t taken = 0;

	check_first(p, dev);
	for (uint32_t i = 0; i < ARRAY_COUNT(versions) && device_renew(p, dev); i++) {
		if (!probe_check(p, init_ask(dev, versions[i], &reply), "version 0x%x: no answer",
		                 versions[i])) {
			continue;
		}
		taken += reply.u.init_complete.status == NVSP_STAT_SUCCESS;
		(void)probe_check(p, reply.msg_type == NVSP_MSG_TYPE_INIT_COMPLETE,
		                  "version 0x%x: answered by type %u", versions[i], reply.msg_type);
		(void)probe_check(p, dev->answer_bytes >= REPLY_BYTES_MIN, "version 0x%x: %u bytes",
		                  versions[i], dev->answer_bytes);
		(void)probe_check(p, reply.u.init_complete.max_mdl_chain_len != 0,
		                  "version 0x%x: packets of no part", versions[i]);
	}
	probe_offer(p, taken == ARRAY_COUNT(versions));
	probe_note(p, "%u of 1, 2, 4, 5, 6 and 6.1", taken);
	(void)probe_check(p, taken != 0, "no version from 1 to 6.1 is taken");
	if (device_renew(p, dev)) {
		check_never(p, dev);
		(void)probe_check(p,
		                  !ask(dev, &unknown, &reply) ||
		                          reply.u.send_rndis_pkt_complete.status != NVSP_STAT_SUCCESS,
		                  "a message of type 999 succeeds");
	}
}

static void body_ndis_version(struct probe *p, struct vmbus_device *dev)
{
	if (agree(p, dev) != 0) {
		check_completion(p, dev, &ndis_version);
	}
}

/* Bytes of a slot for @mtu on a channel that is new; 0: a check has failed. */
static uint32_t slot_bytes(struct probe *p, struct vmbus_device *dev, uint32_t mtu)
{
	struct nvsp_message reply;
	uint32_t gpadl;

	if (!device_renew(p, dev) || !set_up(p, dev, mtu) || !receive_buffer(p, dev, &gpadl, &reply)) {
		return 0;
	}
	check_section(p, dev, &reply, RECEIVE_PAGES);
	return reply.u.send_recv_buf_complete.section.sub_alloc_size;
}

static void body_config(struct probe *p, struct vmbus_device *dev)
{
	const struct nvsp_message config = config_of(MTU);
	uint32_t ordinary, large;

	if (agree(p, dev) < NVSP_PROTOCOL_VERSION_2) {
		probe_offer(p, false);
		return;
	}
	check_completion(p, dev, &config);
	ordinary = slot_bytes(p, dev, MTU);
	large = slot_bytes(p, dev, 4096);
	(void)probe_check(p, ordinary >= HEADER_BYTES + MTU, "a slot of %u bytes for an MTU of 1514",
	                  ordinary);
	(void)probe_check(p, large >= HEADER_BYTES + 4096, "a slot of %u bytes for an MTU of 4096", large);
	(void)probe_check(p, slot_bytes(p, dev, 0) >= SLOT_BYTES_MIN, "no slots for an MTU of 0");
	(void)probe_check(p, slot_bytes(p, dev, UINT32_MAX) >= SLOT_BYTES_MIN,
	                  "no slots for the greatest MTU");
	probe_note(p, "%u bytes a slot", ordinary);
}

/* ------------------------------------------------------------------ the two buffers */

/* One page: refused, or cut so that it fits. */
static void check_small(struct probe *p, struct vmbus_device *dev)
{
	uint32_t gpadl = device_gpadl(dev, SMALL, 1);
	struct nvsp_message reply;

	if (buffer_ask(dev, NVSP_MSG1_TYPE_SEND_RECV_BUF, gpadl, &reply) == NVSP_STAT_SUCCESS) {
		check_section(p, dev, &reply, 1);
		(void)probe_check(p, revoke(dev, NVSP_MSG1_TYPE_REVOKE_RECV_BUF, NETVSC_RECEIVE_BUFFER_ID),
		                  "REVOKE: no completion");
	} else {
		(void)probe_equal(p, reply.msg_type, NVSP_MSG1_TYPE_SEND_RECV_BUF_COMPLETE,
		                  "type of the answer to a receive buffer of a page");
	}
}

static void check_unknown(struct probe *p, struct vmbus_device *dev, uint32_t type)
{
	struct nvsp_message reply = {0};
	uint32_t status = buffer_ask(dev, type, GPADL_UNKNOWN, &reply);

	(void)probe_check(p, reply.msg_type == type + 1 && status != NVSP_STAT_SUCCESS,
	                  "a buffer of no list: type %u, status %u", reply.msg_type, status);
}

static void body_receive_buffer(struct probe *p, struct vmbus_device *dev)
{
	struct nvsp_message reply;
	uint32_t gpadl, status;

	if (!set_up(p, dev, MTU)) {
		return;
	}
	check_unknown(p, dev, NVSP_MSG1_TYPE_SEND_RECV_BUF);
	check_small(p, dev);
	if (!receive_buffer(p, dev, &gpadl, &reply)) {
		return;
	}
	check_section(p, dev, &reply, RECEIVE_PAGES);
	probe_note(p, "%u slots of %u bytes", reply.u.send_recv_buf_complete.section.num_sub_allocs,
	           reply.u.send_recv_buf_complete.section.sub_alloc_size);
	status = buffer_ask(dev, NVSP_MSG1_TYPE_SEND_RECV_BUF, gpadl, &reply);
	(void)probe_check(p, status != NVSP_STAT_SUCCESS, "a second receive buffer is taken");
}

static void body_send_buffer(struct probe *p, struct vmbus_device *dev)
{
	struct nvsp_message reply;
	uint32_t gpadl, size;

	if (!set_up(p, dev, MTU)) {
		return;
	}
	check_unknown(p, dev, NVSP_MSG1_TYPE_SEND_SEND_BUF);
	if (!send_buffer(p, dev, &gpadl, &reply)) {
		return;
	}
	size = reply.u.send_send_buf_complete.section_size;
	(void)probe_check(p, size >= SLOT_BYTES_MIN && size <= SEND_PAGES * PAGE_BYTES,
	                  "sections of %u bytes", size);
	probe_note(p, "sections of %u bytes", size);
	(void)probe_check(p,
	                  buffer_ask(dev, NVSP_MSG1_TYPE_SEND_SEND_BUF, gpadl, &reply) != NVSP_STAT_SUCCESS,
	                  "a second send buffer is taken");
	if (size > PAGE_BYTES && device_renew(p, dev) && set_up(p, dev, MTU)) {
		gpadl = device_gpadl(dev, SMALL, 1);
		(void)probe_check(
		        p, buffer_ask(dev, NVSP_MSG1_TYPE_SEND_SEND_BUF, gpadl, &reply) != NVSP_STAT_SUCCESS,
		        "a send buffer smaller than a section is taken");
	}
}

static void body_revoke_receive(struct probe *p, struct vmbus_device *dev)
{
	struct nvsp_message message = {.msg_type = NVSP_MSG1_TYPE_REVOKE_RECV_BUF};
	struct nvsp_message reply;
	uint32_t gpadl;

	message.u.revoke_buf.id = NETVSC_RECEIVE_BUFFER_ID;
	if (!set_up(p, dev, MTU)) {
		return;
	}
	check_completion(p, dev, &message);
	if (!receive_buffer(p, dev, &gpadl, &reply)) {
		return;
	}
	(void)probe_check(p, revoke(dev, NVSP_MSG1_TYPE_REVOKE_RECV_BUF, 0x1234),
	                  "REVOKE of a buffer that there is not: no completion");
	(void)probe_check(p,
	                  buffer_ask(dev, NVSP_MSG1_TYPE_SEND_RECV_BUF, gpadl, &reply) != NVSP_STAT_SUCCESS,
	                  "REVOKE of another id takes the buffer away");
	check_held(p, dev, gpadl, NVSP_MSG1_TYPE_REVOKE_RECV_BUF, NETVSC_RECEIVE_BUFFER_ID);
	(void)probe_check(p, receive_buffer(p, dev, &gpadl, &reply), "after REVOKE no buffer is taken");
}

static void body_revoke_send(struct probe *p, struct vmbus_device *dev)
{
	const struct nvsp_message message = {.msg_type = NVSP_MSG1_TYPE_REVOKE_SEND_BUF};
	struct nvsp_message reply;
	uint32_t gpadl;

	if (!set_up(p, dev, MTU)) {
		return;
	}
	check_completion(p, dev, &message);
	if (send_buffer(p, dev, &gpadl, &reply)) {
		check_held(p, dev, gpadl, NVSP_MSG1_TYPE_REVOKE_SEND_BUF, 0);
		(void)probe_check(p, send_buffer(p, dev, &gpadl, &reply), "after REVOKE no buffer is taken");
	}
}

/* ------------------------------------------------------------------ RNDIS in packets */

struct rndis_init {
	struct rndis_message_header header;
	struct rndis_initialize_request body;
} PACKED;

static struct rndis_init rndis_of(uint32_t id)
{
	return (struct rndis_init){
	        .header = {RNDIS_MSG_INIT, sizeof(struct rndis_init)},
	        .body = {.req_id = id, .major_ver = RNDIS_MAJOR_VERSION, .max_xfer_size = 0x4000},
	};
}

/* How a message of RNDIS is sent: the first @section_bytes from a section, @page_bytes from the control page. */
struct way {
	uint32_t channel, section, section_bytes, page_bytes;
	uint64_t gfn;
};

/* The status of the completion; 0: none, or not of type 108. */
static uint32_t packet_ask(struct vmbus_device *dev, const struct way *way)
{
	const struct nvsp_message message = {
	        .msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT,
	        .u.send_rndis_pkt = {way->channel, way->section, way->section_bytes},
	};
	const struct hv_buffer buffer = {.bytes = way->page_bytes, .gfns = &way->gfn};
	struct nvsp_message reply;
	bool answered = way->page_bytes == 0 ? device_ask(dev, &message, MESSAGE_BYTES)
	                                     : device_ask_buffers(dev, &buffer, 1, &message, MESSAGE_BYTES);

	memcpy(&reply, dev->answer, sizeof(reply));
	return answered && reply.msg_type == NVSP_MSG1_TYPE_SEND_RNDIS_PKT_COMPLETE && dev->answer_bytes >= 8
	               ? reply.u.send_rndis_pkt_complete.status
	               : 0;
}

static void complete(struct vmbus_device *dev, uint64_t id)
{
	const uint32_t answer[2] = {NVSP_MSG1_TYPE_SEND_RNDIS_PKT_COMPLETE, NVSP_STAT_SUCCESS};

	(void)!hv_channel_complete(&dev->channel, id, answer, sizeof(answer));
}

/* The reply's packet: of our buffer, one range in one slot, with INITIALIZE's answer in it. */
static bool check_reply(struct probe *p, struct vmbus_device *dev, uint32_t id, uint32_t slot)
{
	const struct device_transfer *t = &dev->transfer;
	uint32_t at = t->range.byte_offset;
	struct nvsp_message message;
	uint32_t words[3];

	memcpy(&message, t->payload, sizeof(message));
	if (!probe_check(p,
	                 t->pageset == NETVSC_RECEIVE_BUFFER_ID && t->completion_requested &&
	                         t->range_count == 1,
	                 "the reply is of buffer 0x%x, in %u ranges", t->pageset, t->range_count) ||
	    !probe_check(p,
	                 message.msg_type == NVSP_MSG1_TYPE_SEND_RNDIS_PKT &&
	                         message.u.send_rndis_pkt.channel_type == NVSP_RMC_CONTROL,
	                 "the reply is a message of type %u", message.msg_type) ||
	    !probe_check(p,
	                 at % slot == 0 && t->range.byte_count <= slot &&
	                         at <= RECEIVE_PAGES * PAGE_BYTES - slot && t->range.byte_count >= 12,
	                 "the reply is %u bytes at 0x%x, in slots of %u", t->range.byte_count, at, slot)) {
		return false;
	}
	for (uint32_t i = 0; i < sizeof(words); i++) {
		uint32_t byte = at + i;

		memcpy((uint8_t *)words + i,
		       dev->pages[RECEIVE_FIRST + byte / PAGE_BYTES].bytes + byte % PAGE_BYTES, 1);
	}
	return probe_check(
	        p, words[0] == RNDIS_MSG_INIT_C && words[1] <= t->range.byte_count && words[2] == id,
	        "the reply is RNDIS 0x%x of %u bytes to request 0x%x", words[0], words[1], words[2]);
}

/* INITIALIZE by @way, and its reply, which stays uncompleted. */
static bool exchange(struct probe *p, struct vmbus_device *dev, const struct way *way, uint32_t id,
                     uint32_t slot)
{
	uint32_t before = dev->transfer_count;

	return probe_equal(p, packet_ask(dev, way), NVSP_STAT_SUCCESS, "status of a control message") &&
	       probe_check(p, device_await_transfer(dev, before), "no reply to INITIALIZE") &&
	       check_reply(p, dev, id, slot);
}

/* Sections' size and slots' size of a channel with both buffers; false: a check has failed. */
static bool bring_up(struct probe *p, struct vmbus_device *dev, uint32_t *section, uint32_t *slot)
{
	struct nvsp_message reply;
	uint32_t gpadl;

	if (!set_up(p, dev, MTU) || !receive_buffer(p, dev, &gpadl, &reply)) {
		return false;
	}
	*slot = reply.u.send_recv_buf_complete.section.sub_alloc_size;
	if (!send_buffer(p, dev, &gpadl, &reply)) {
		return false;
	}
	*section = reply.u.send_send_buf_complete.section_size;
	return probe_check(p, *slot != 0 && *section >= SLOT_BYTES_MIN && *section <= 2 * PAGE_BYTES,
	                   "slots of %u, sections of %u bytes", *slot, *section);
}

/* By pages, by a section, and by both: the section's part comes first. */
static void check_ways(struct probe *p, struct vmbus_device *dev, uint32_t section, uint32_t slot)
{
	struct way way = {.channel = NVSP_RMC_CONTROL,
	                  .section = NVSP_INVALID_SECTION_INDEX,
	                  .page_bytes = sizeof(struct rndis_init),
	                  .gfn = dev->pages[CONTROL].gfn};
	struct rndis_init message = rndis_of(0x101);

	memcpy(dev->pages[CONTROL].bytes, &message, sizeof(message));
	if (exchange(p, dev, &way, 0x101, slot)) {
		complete(dev, dev->transfer.id);
	}
	message = rndis_of(0x102);
	way = (struct way){.channel = NVSP_RMC_CONTROL, .section = 1, .section_bytes = sizeof(message)};
	hv_pages_put(dev->pages + SEND_FIRST, section, &message, sizeof(message));
	if (exchange(p, dev, &way, 0x102, slot)) {
		complete(dev, dev->transfer.id);
	}
	message = rndis_of(0x103);
	hv_pages_put(dev->pages + SEND_FIRST, section, &message, 10);
	memcpy(dev->pages[CONTROL].bytes, (uint8_t *)&message + 10, sizeof(message) - 10);
	way.section_bytes = 10;
	way.page_bytes = sizeof(message) - 10;
	way.gfn = dev->pages[CONTROL].gfn;
	if (exchange(p, dev, &way, 0x103, slot)) {
		complete(dev, dev->transfer.id);
	}
}

static void check_refused(struct probe *p, struct vmbus_device *dev, struct way way, const char *what)
{
	uint32_t status = packet_ask(dev, &way);

	(void)probe_check(p, status != 0, "%s: no completion of type 108", what);
	(void)probe_check(p, status != NVSP_STAT_SUCCESS, "%s: success", what);
}

/* Messages that are right but for where they lie. */
static void check_sections(struct probe *p, struct vmbus_device *dev, uint32_t section)
{
	struct way way = {.channel = NVSP_RMC_CONTROL, .section_bytes = section + 1};
	struct rndis_init message = rndis_of(0x104);
	uint32_t behind = SEND_PAGES * PAGE_BYTES / section;

	hv_pages_put(dev->pages + SEND_FIRST, 0, &message, sizeof(message));
	check_refused(p, dev, way, "more than a section");
	if ((uint64_t)behind * section + sizeof(message) <= (uint64_t)SEND_PAGES * PAGE_BYTES) {
		hv_pages_put(dev->pages + SEND_FIRST, behind * section, &message, sizeof(message));
	}
	way.section = behind;
	way.section_bytes = sizeof(message);
	check_refused(p, dev, way, "a section behind the last");
	way.section = NVSP_INVALID_SECTION_INDEX - 1;
	check_refused(p, dev, way, "the greatest section there is");
}

static void body_rndis(struct probe *p, struct vmbus_device *dev)
{
	struct way way = {.channel = NVSP_RMC_DATA, .section = NVSP_INVALID_SECTION_INDEX, .page_bytes = 64};
	uint32_t section, slot;

	if (!bring_up(p, dev, &section, &slot)) {
		return;
	}
	way.gfn = dev->pages[CONTROL].gfn;
	check_refused(p, dev, way, "a frame before INITIALIZE");
	check_ways(p, dev, section, slot);
	memset(dev->pages[CONTROL].bytes, 0xEE, 64);
	check_refused(p, dev, way, "a frame that is no RNDIS message");
	way.gfn = UINT64_MAX >> PAGE_SHIFT;
	check_refused(p, dev, way, "a frame in a page beyond memory");
	way.page_bytes = 0;
	check_refused(p, dev, way, "a frame of no bytes");
	check_sections(p, dev, section);
	check_ways(p, dev, section, slot);
	(void)probe_equal(p, dev->stray_count, 0, "packets that answer nothing asked");
}

/* Slots come back when they are completed; not completed they are not used again. */
static void body_complete(struct probe *p, struct vmbus_device *dev)
{
	const struct nvsp_message inband = {.msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT_COMPLETE,
	                                    .u.send_rndis_pkt_complete.status = NVSP_STAT_SUCCESS};
	struct way way = {.channel = NVSP_RMC_CONTROL,
	                  .section = NVSP_INVALID_SECTION_INDEX,
	                  .page_bytes = sizeof(struct rndis_init)};
	struct nvsp_message reply;
	uint32_t section, slot, first_at;
	uint64_t first;

	if (!bring_up(p, dev, &section, &slot)) {
		return;
	}
	way.gfn = dev->pages[CONTROL].gfn;
	for (uint32_t i = 0; i < EXCHANGES; i++) {
		struct rndis_init message = rndis_of(i);

		memcpy(dev->pages[CONTROL].bytes, &message, sizeof(message));
		if (!exchange(p, dev, &way, i, slot)) {
			return;
		}
		complete(dev, dev->transfer.id);
	}
	if (!exchange(p, dev, &way, EXCHANGES - 1, slot)) {
		return;
	}
	first = dev->transfer.id;
	first_at = dev->transfer.range.byte_offset;
	if (!exchange(p, dev, &way, EXCHANGES - 1, slot)) {
		return;
	}
	(void)probe_check(p, dev->transfer.range.byte_offset != first_at && dev->transfer.id != first,
	                  "a slot is used again that is not completed");
	complete(dev, first);
	complete(dev, first);
	complete(dev, dev->transfer.id);
	complete(dev, 0);
	complete(dev, UINT64_MAX);
	(void)probe_check(
	        p, !ask(dev, &inband, &reply) || reply.u.send_rndis_pkt_complete.status != NVSP_STAT_SUCCESS,
	        "type 108 as a message succeeds");
	if (exchange(p, dev, &way, EXCHANGES - 1, slot)) {
		complete(dev, dev->transfer.id);
	}
}

/* ------------------------------------------------------------------ newer versions' */

/* The answer has to be without payload: what guests take for one. */
static void body_data_path(struct probe *p, struct vmbus_device *dev)
{
	const struct nvsp_message message = {.msg_type = NVSP_MSG4_TYPE_SWITCH_DATA_PATH};
	struct nvsp_message reply;

	probe_offer(p, false);
	if (!set_up(p, dev, MTU)) {
		return;
	}
	(void)probe_check(p, ask(dev, &message, &reply), "no completion");
	(void)probe_equal(p, dev->answer_bytes, 0, "bytes of the completion");
	check_completion(p, dev, &message);
}

static void body_subchannel(struct probe *p, struct vmbus_device *dev)
{
	struct nvsp_message message = {.msg_type = NVSP_MSG5_TYPE_SUBCHANNEL,
	                               .u.subchannel_request = {NVSP_SUBCHANNEL_ALLOCATE, 1}};
	struct nvsp_message reply;

	if (!set_up(p, dev, MTU)) {
		return;
	}
	if (probe_check(p, ask(dev, &message, &reply), "no answer")) {
		(void)probe_equal(p, reply.msg_type, NVSP_MSG5_TYPE_SUBCHANNEL, "type of the answer");
		(void)probe_equal(p, reply.u.subchannel_complete.status, NVSP_STAT_SUCCESS, "status");
		(void)probe_check(p, reply.u.subchannel_complete.num_subchannels <= 1,
		                  "%u sub-channels, of 1 asked for",
		                  reply.u.subchannel_complete.num_subchannels);
		(void)probe_check(p, dev->answer_bytes >= 12, "an answer of %u bytes", dev->answer_bytes);
		probe_note(p, "%u sub-channels", reply.u.subchannel_complete.num_subchannels);
	}
	message.u.subchannel_request.op = 7;
	if (probe_check(p, ask(dev, &message, &reply), "operation 7: no answer")) {
		(void)probe_check(p, reply.u.subchannel_complete.status != NVSP_STAT_SUCCESS,
		                  "operation 7 succeeds");
	}
}

/* ------------------------------------------------------------------ rows */

static void net_probe(struct probe *p, net_body *body)
{
	struct vmbus_device *dev = device_open(p, (struct vmbus_guid)VMBUS_CLASS_NETWORK);

	if (dev != NULL) {
		body(p, dev);
		device_close(p, dev);
	}
}

#define NET_PROBE(name, body)                     \
	static void probe_##name(struct probe *p) \
	{                                         \
		net_probe(p, body);               \
	}

NET_PROBE(NVSP_MSG_TYPE_INIT, body_init)
NET_PROBE(NVSP_MSG1_TYPE_SEND_NDIS_VER, body_ndis_version)
NET_PROBE(NVSP_MSG1_TYPE_SEND_RECV_BUF, body_receive_buffer)
NET_PROBE(NVSP_MSG1_TYPE_REVOKE_RECV_BUF, body_revoke_receive)
NET_PROBE(NVSP_MSG1_TYPE_SEND_SEND_BUF, body_send_buffer)
NET_PROBE(NVSP_MSG1_TYPE_REVOKE_SEND_BUF, body_revoke_send)
NET_PROBE(NVSP_MSG1_TYPE_SEND_RNDIS_PKT, body_rndis)
NET_PROBE(NVSP_MSG1_TYPE_SEND_RNDIS_PKT_COMPLETE, body_complete)
NET_PROBE(NVSP_MSG2_TYPE_SEND_NDIS_CONFIG, body_config)
NET_PROBE(NVSP_MSG4_TYPE_SWITCH_DATA_PATH, body_data_path)
NET_PROBE(NVSP_MSG5_TYPE_SUBCHANNEL, body_subchannel)

#define SPEC_ROW(number, name, status, handler, clause) ROW(number, name, status, clause, probe_##name)
static const struct row rows[] = {
#include "specs/nvsp.def"
};
ROW_TABLE(nvsp, NEED_HYPERV)
