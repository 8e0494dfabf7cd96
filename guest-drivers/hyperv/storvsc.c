/*
 * storvsc.c - the SCSI controller's driver (abi/vmbus_scsi.h): initialization, SRBs, and the few
 * commands that find a disk.
 *
 * Every request has an id that was never used before; a completion counts only if its id is that of
 * a request under way.
 */
#include "guest-drivers/hyperv/hyperv.h"

#define SLOT_MASK 0xFFu
#define SRB_TIMEOUT_S 60u

#define SCSI_INQUIRY 0x12u
#define SCSI_REPORT_LUNS 0xA0u
#define SCSI_MODE_SENSE_6 0x1Au
#define SCSI_READ_CAPACITY_10 0x25u
#define SCSI_SERVICE_IN_16 0x9Eu
#define SCSI_SYNCHRONIZE_CACHE_10 0x35u
#define SCSI_READ_10 0x28u
#define SCSI_WRITE_10 0x2Au
#define SCSI_READ_16 0x88u
#define SCSI_WRITE_16 0x8Au
#define MODE_WRITE_PROTECTED 0x80u

static uint64_t get_be(const uint8_t *at, uint32_t bytes)
{
	uint64_t value = 0;

	for (uint32_t i = 0; i < bytes; i++) {
		value = value << 8 | at[i];
	}
	return value;
}

static void put_be(uint8_t *at, uint64_t value, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++) {
		at[i] = (uint8_t)(value >> (bytes - 1 - i) * 8);
	}
}

/* ------------------------------------------------------------------ completions */

static void slot_end(struct hv_storvsc *stor, struct hv_stor_slot *slot, const struct hv_scsi_result *result)
{
	slot->used = false;
	stor->used_count--;
	slot->done(slot->context, result);
}

/* What the SRB says, as far as it can be true. */
static void srb_end(struct hv_storvsc *stor, struct hv_stor_slot *slot, const struct vmscsi_request *srb)
{
	struct hv_scsi_result result = {
	        .answered = true,
	        .srb_status = srb->srb_status,
	        .scsi_status = srb->scsi_status,
	        .bytes = srb->data_transfer_length < slot->bytes ? srb->data_transfer_length : slot->bytes,
	};

	if (srb->scsi_status == SAM_STAT_CHECK_CONDITION &&
	    (srb->srb_status & SRB_STATUS_AUTOSENSE_VALID) != 0) {
		result.sense_bytes = srb->sense_info_length < VSTOR_SENSE_BYTES ? srb->sense_info_length
		                                                                : VSTOR_SENSE_BYTES;
		memcpy(result.sense, srb->u.sense_data, result.sense_bytes);
	}
	slot_end(stor, slot, &result);
}

static void take_completion(struct hv_storvsc *stor, uint64_t id, const struct vstor_packet *packet)
{
	uint32_t index = (uint32_t)(id & SLOT_MASK);
	struct hv_stor_slot *slot = &stor->slots[index % HV_STOR_SLOTS];

	if (id == stor->setup_id && !stor->setup_done) {
		stor->setup = *packet;
		stor->setup_done = true;
	} else if (index < HV_STOR_SLOTS && slot->used && slot->id == id) {
		srb_end(stor, slot, &packet->u.vm_srb);
	} else {
		hv_channel_break(&stor->channel); /* an answer to nothing */
	}
}

static void stor_take(void *context, const struct hv_packet *packet)
{
	struct hv_storvsc *stor = context;
	struct vstor_packet copy = {0};
	uint32_t bytes =
	        packet->payload_bytes < sizeof(copy) ? packet->payload_bytes : (uint32_t)sizeof(copy);

	memcpy(&copy, packet->payload, bytes);
	if (packet->type == VM_PKT_COMP && bytes == sizeof(copy)) {
		take_completion(stor, packet->id, &copy);
	} else if (packet->type == VM_PKT_DATA_INBAND && bytes >= sizeof(copy.operation)) {
		stor->rescan_count++;
	} else {
		hv_channel_break(&stor->channel);
	}
}

static void stor_event(void *context)
{
	struct hv_storvsc *stor = context;

	hv_channel_drain(&stor->channel, 0, true, stor_take);
}

/* ------------------------------------------------------------------ initialization */

static bool setup_ask(struct hv_storvsc *stor, struct vstor_packet *packet)
{
	packet->flags = VSTOR_REQUEST_COMPLETION_FLAG;
	stor->setup_id = ++stor->sequence << 8 | SLOT_MASK;
	stor->setup_done = false;
	if (!hv_channel_send(&stor->channel, stor->setup_id, true, packet, sizeof(*packet))) {
		return false;
	}
	for (uint32_t i = 0; i < stor->channel.hv->guest->poll_max && !stor->setup_done; i++) {
		hv_poll(stor->channel.hv);
	}
	*packet = stor->setup;
	return stor->setup_done && stor->setup.operation == VSTOR_OPERATION_COMPLETE_IO;
}

static bool setup_simple(struct hv_storvsc *stor, uint32_t operation)
{
	struct vstor_packet packet = {.operation = operation};

	return setup_ask(stor, &packet) && packet.status == VMBUS_STATUS_SUCCESS;
}

static bool agree_version(struct hv_storvsc *stor)
{
	static const uint16_t versions[] = {VMSTOR_PROTO_VERSION_WIN10, VMSTOR_PROTO_VERSION_WIN8_1,
	                                    VMSTOR_PROTO_VERSION_WIN8};

	for (uint32_t i = 0; i < ARRAY_COUNT(versions); i++) {
		struct vstor_packet packet = {.operation = VSTOR_OPERATION_QUERY_PROTOCOL_VERSION};

		if (stor->version_max != 0 && versions[i] > stor->version_max) {
			continue;
		}
		packet.u.version.major_minor = versions[i];
		if (!setup_ask(stor, &packet)) {
			return false;
		}
		if (packet.status == VMBUS_STATUS_SUCCESS) {
			stor->version = versions[i];
			return true;
		}
	}
	return false;
}

static bool read_properties(struct hv_storvsc *stor)
{
	struct vstor_packet packet = {.operation = VSTOR_OPERATION_QUERY_PROPERTIES};

	if (!setup_ask(stor, &packet) || packet.status != VMBUS_STATUS_SUCCESS) {
		return false;
	}
	stor->max_transfer_bytes = packet.u.storage_channel_properties.max_transfer_bytes & ~PAGE_MASK;
	return stor->max_transfer_bytes != 0;
}

static bool initialize(struct hv_storvsc *stor)
{
	return setup_simple(stor, VSTOR_OPERATION_BEGIN_INITIALIZATION) && agree_version(stor) &&
	       read_properties(stor) && setup_simple(stor, VSTOR_OPERATION_END_INITIALIZATION);
}

bool hv_storvsc_open(struct hv_storvsc *stor, struct hv_guest *hv, uint32_t index)
{
	const struct vmbus_channel_offer_channel *offer =
	        hv_bus_find(hv, (struct vmbus_guid)VMBUS_CLASS_SCSI, index);
	uint16_t version_max = stor->version_max;

	memset(stor, 0, sizeof(*stor));
	stor->version_max = version_max;
	stor->channel.hv = hv;
	if (offer == NULL || !guest_page_alloc(hv->guest, &stor->page)) {
		return false;
	}
	if (!hv_channel_open(&stor->channel, hv, offer, HV_STOR_RING_PAGES, stor_event, stor)) {
		guest_page_free(hv->guest, &stor->page);
		return false;
	}
	if (!initialize(stor)) {
		(void)hv_storvsc_close(stor);
		return false;
	}
	return true;
}

bool hv_storvsc_close(struct hv_storvsc *stor)
{
	static const struct hv_scsi_result none = {.answered = false};
	bool gone;

	hv_channel_drain(&stor->channel, 0, true, stor_take);
	gone = hv_channel_close(&stor->channel);
	if (!gone) {
		hv_pages_lose(&stor->channel, &stor->page, 1);
	}
	for (uint32_t i = 0; i < HV_STOR_SLOTS; i++) {
		if (stor->slots[i].used) {
			slot_end(stor, &stor->slots[i], &none);
		}
	}
	guest_page_free(stor->channel.hv->guest, &stor->page);
	return gone;
}

bool hv_storvsc_reset(struct hv_storvsc *stor)
{
	return setup_simple(stor, VSTOR_OPERATION_RESET_BUS);
}

/* ------------------------------------------------------------------ commands */

static uint32_t slot_find(const struct hv_storvsc *stor)
{
	uint32_t index = 0;

	while (index < HV_STOR_SLOTS && stor->slots[index].used) {
		index++;
	}
	return index;
}

static bool srb_send(struct hv_storvsc *stor, uint64_t id, const struct hv_scsi_command *command)
{
	struct vstor_packet packet = {
	        .operation = VSTOR_OPERATION_EXECUTE_SRB,
	        .flags = VSTOR_REQUEST_COMPLETION_FLAG,
	        .u.vm_srb =
	                {
	                        .length = sizeof(struct vmscsi_request),
	                        .path_id = command->path,
	                        .target_id = command->target,
	                        .lun = command->lun,
	                        .cdb_length = command->cdb_bytes,
	                        .sense_info_length = VSTOR_SENSE_BYTES,
	                        .data_in = command->direction,
	                        .data_transfer_length = command->buffer.bytes,
	                        .time_out_value = SRB_TIMEOUT_S,
	                },
	};

	memcpy(packet.u.vm_srb.u.cdb, command->cdb, sizeof(command->cdb));
	if (command->buffer.bytes == 0) {
		return hv_channel_send(&stor->channel, id, true, &packet, sizeof(packet));
	}
	return hv_channel_send_buffers(&stor->channel, id, &command->buffer, 1, &packet, sizeof(packet));
}

bool hv_storvsc_submit(struct hv_storvsc *stor, const struct hv_scsi_command *command, hv_scsi_done_fn *done,
                       void *context)
{
	uint32_t index = slot_find(stor);
	uint64_t id = ++stor->sequence << 8 | index;

	if (index == HV_STOR_SLOTS || command->buffer.bytes > stor->max_transfer_bytes) {
		return false;
	}
	/* The slot first: the answer may come before the send returns. */
	stor->slots[index] = (struct hv_stor_slot){
	        .used = true, .id = id, .bytes = command->buffer.bytes, .done = done, .context = context};
	stor->used_count++;
	if (!srb_send(stor, id, command)) {
		stor->slots[index].used = false;
		stor->used_count--;
		return false;
	}
	return true;
}

struct run {
	bool done;
	struct hv_scsi_result result;
};

static void run_done(void *context, const struct hv_scsi_result *result)
{
	struct run *run = context;

	run->result = *result;
	run->done = true;
}

/* Takes the slot away from a caller that gives up; the answer that comes later is to nothing. */
static void forget(struct hv_storvsc *stor, const struct run *run)
{
	for (uint32_t i = 0; i < HV_STOR_SLOTS; i++) {
		if (stor->slots[i].used && stor->slots[i].context == run) {
			stor->slots[i].used = false;
			stor->used_count--;
		}
	}
	hv_channel_break(&stor->channel);
}

bool hv_storvsc_run(struct hv_storvsc *stor, const struct hv_scsi_command *command,
                    struct hv_scsi_result *result)
{
	struct run run = {.done = false};

	if (!hv_storvsc_submit(stor, command, run_done, &run)) {
		return false;
	}
	for (uint32_t i = 0; i < stor->channel.hv->guest->poll_max && !run.done; i++) {
		hv_poll(stor->channel.hv);
	}
	if (!run.done) {
		forget(stor, &run);
		return false;
	}
	*result = run.result;
	return result->answered;
}

/* ------------------------------------------------------------------ disks */

/* A command whose answer of at most @bytes comes into the driver's page. Its length; 0: it failed. */
static uint32_t ask(struct hv_storvsc *stor, uint8_t lun, const uint8_t *cdb, uint8_t cdb_bytes,
                    uint32_t bytes)
{
	struct hv_scsi_command command = {
	        .lun = lun,
	        .cdb_bytes = cdb_bytes,
	        .direction = VSTOR_DATA_IN,
	        .buffer = {.bytes = bytes, .gfns = &stor->page.gfn},
	};
	struct hv_scsi_result result;

	memcpy(command.cdb, cdb, cdb_bytes);
	memset(stor->page.bytes, 0, bytes);
	if (!hv_storvsc_run(stor, &command, &result) || result.srb_status != SRB_STATUS_SUCCESS) {
		return 0;
	}
	return result.bytes;
}

uint32_t hv_storvsc_luns(struct hv_storvsc *stor, uint8_t *luns, uint32_t max)
{
	uint8_t cdb[12] = {SCSI_REPORT_LUNS};
	uint32_t got, listed, count = 0;

	put_be(cdb + 6, PAGE_BYTES, 4);
	got = ask(stor, 0, cdb, sizeof(cdb), PAGE_BYTES);
	if (got < 8) {
		return 0;
	}
	listed = (uint32_t)get_be(stor->page.bytes, 4);
	listed = listed < got - 8 ? listed : got - 8;
	for (uint32_t at = 8; at + 8 <= 8 + listed && count < max; at += 8) {
		luns[count++] = stor->page.bytes[at + 1];
	}
	return count;
}

static bool inquire(struct hv_disk *disk)
{
	const uint8_t cdb[6] = {SCSI_INQUIRY, 0, 0, 0, SCSI_INQUIRY_BYTES, 0};

	if (ask(disk->stor, disk->lun, cdb, sizeof(cdb), SCSI_INQUIRY_BYTES) < SCSI_INQUIRY_BYTES ||
	    disk->stor->page.bytes[0] != 0) {
		return false;
	}
	memcpy(disk->vendor, disk->stor->page.bytes + 8, 8);
	return true;
}

static bool read_capacity(struct hv_disk *disk)
{
	uint8_t cdb[16] = {SCSI_READ_CAPACITY_10};
	const uint8_t *bytes = disk->stor->page.bytes;
	uint64_t last;

	if (ask(disk->stor, disk->lun, cdb, 10, 8) < 8) {
		return false;
	}
	last = get_be(bytes, 4);
	disk->sector_bytes = (uint32_t)get_be(bytes + 4, 4);
	if (last == UINT32_MAX) {
		cdb[0] = SCSI_SERVICE_IN_16;
		cdb[1] = SCSI_READ_CAPACITY_16;
		put_be(cdb + 10, 32, 4);
		if (ask(disk->stor, disk->lun, cdb, 16, 32) < 12) {
			return false;
		}
		last = get_be(bytes, 8);
		disk->sector_bytes = (uint32_t)get_be(bytes + 8, 4);
	}
	disk->sector_count = last + 1;
	return disk->sector_bytes >= 512 && disk->sector_bytes <= PAGE_BYTES &&
	       (disk->sector_bytes & (disk->sector_bytes - 1)) == 0;
}

static bool read_mode(struct hv_disk *disk)
{
	const uint8_t cdb[6] = {SCSI_MODE_SENSE_6, 0, SCSI_MODE_PAGE_ALL, 0, 192, 0};

	if (ask(disk->stor, disk->lun, cdb, sizeof(cdb), 192) < 4) {
		return false;
	}
	disk->read_only = (disk->stor->page.bytes[2] & MODE_WRITE_PROTECTED) != 0;
	return true;
}

bool hv_disk_open(struct hv_disk *disk, struct hv_storvsc *stor, uint8_t lun)
{
	*disk = (struct hv_disk){.stor = stor, .lun = lun};
	return inquire(disk) && read_capacity(disk) && read_mode(disk);
}

static void transfer_cdb(struct hv_scsi_command *command, bool write, uint64_t sector, uint32_t count)
{
	if (sector + count <= UINT32_MAX) {
		command->cdb[0] = write ? SCSI_WRITE_10 : SCSI_READ_10;
		command->cdb_bytes = 10;
		put_be(command->cdb + 2, sector, 4);
		put_be(command->cdb + 7, count, 2);
	} else {
		command->cdb[0] = write ? SCSI_WRITE_16 : SCSI_READ_16;
		command->cdb_bytes = 16;
		put_be(command->cdb + 2, sector, 8);
		put_be(command->cdb + 10, count, 4);
	}
}

bool hv_disk_submit(struct hv_disk *disk, enum hv_disk_operation operation, uint64_t sector,
                    const struct hv_buffer *buffer, hv_scsi_done_fn *done, void *context)
{
	struct hv_scsi_command command = {.lun = disk->lun};

	if (operation == HV_DISK_FLUSH) {
		command.cdb[0] = SCSI_SYNCHRONIZE_CACHE_10;
		command.cdb_bytes = 10;
		command.direction = VSTOR_DATA_NONE;
		return hv_storvsc_submit(disk->stor, &command, done, context);
	}
	command.direction = (uint8_t)(operation == HV_DISK_WRITE ? VSTOR_DATA_OUT : VSTOR_DATA_IN);
	command.buffer = *buffer;
	transfer_cdb(&command, operation == HV_DISK_WRITE, sector, buffer->bytes / disk->sector_bytes);
	return hv_storvsc_submit(disk->stor, &command, done, context);
}
