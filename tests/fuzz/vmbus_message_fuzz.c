/*
 * vmbus_message_fuzz.c - libFuzzer: messages, signals, ring bytes and reads in any order, to a bus with disks and
 * components. What must hold: no fault, work that ends, no vm_kill, and after a reset nothing of the guest's is held.
 *
 * Input: commands {what u8, size u8, bytes}. A message's bytes are posted as they stand, or put into one whose type
 * and ids are right, so that the deeper states are met.
 */
#include "tests/fuzz/fuzz_guest.h"

#define COMMANDS_MAX 64u
#define DISK_BYTES (64u << 10) /* small: it is wiped for each input */

static struct guest *guest;
static uint8_t last_ids[2]; /* channel and list of the last bring_up() */

static void post(const void *message, size_t size)
{
	(void)guest_post_on(guest, 4, message, size);
}

static void post_contact(uint8_t choice)
{
	struct vmbus_channel_initiate_contact contact = {
	        .header.msgtype = CHANNELMSG_INITIATE_CONTACT,
	        .vmbus_version_requested = (choice & 1) != 0 ? VERSION_WIN10_V5_3 : VERSION_WIN10_V4_1,
	        .msg_sint = 2,
	        .target_vcpu = choice >> 1 & 3,
	};

	post(&contact, sizeof(contact));
}

/* A list of up to 12 pages from a page of the input's choice. */
static void post_gpadl(const uint8_t *bytes)
{
	struct {
		struct vmbus_channel_gpadl_header h;
		uint64_t words[13];
	} PACKED m = {.h = {.header.msgtype = CHANNELMSG_GPADL_HEADER, .rangecount = 1}};
	uint32_t pages = bytes[0] % 12 + 1u;

	m.h.child_relid = bytes[1] % 6;
	m.h.gpadl = bytes[2] % 4;
	m.h.range_buflen = (uint16_t)(8 + pages * 8 + (bytes[0] & 0x80));
	m.words[0] = pages * PAGE_BYTES;
	for (uint32_t i = 0; i < pages; i++) {
		m.words[1 + i] = 0x100u + bytes[3] + i;
	}
	post(&m, sizeof(m.h) + 8 + pages * 8);
}

static void post_open(const uint8_t *bytes)
{
	const struct vmbus_channel_open_channel open = {
	        .header.msgtype = CHANNELMSG_OPENCHANNEL,
	        .child_relid = bytes[0] % 6,
	        .ringbuffer_gpadlhandle = bytes[1] % 4,
	        .downstream_ringbuffer_pageoffset = bytes[2] % 12,
	        .target_vp = bytes[3] % 3,
	};

	post(&open, sizeof(open));
}

static void post_ids(uint32_t type, const uint8_t *bytes)
{
	const struct vmbus_channel_gpadl_teardown ids = {
	        .header.msgtype = type, .child_relid = bytes[0] % 6, .gpadl = bytes[1] % 4};

	post(&ids, sizeof(ids));
}

static void write_memory(const uint8_t *bytes, uint8_t size)
{
	uint64_t at = 0x100000u + bytes[0] * 0x1000u + (bytes[1] & 0xF8);

	if (size != 0) {
		memcpy(host_vm_bytes(guest->vm, at, size), bytes, size);
	}
}

static void signal_channel(uint8_t relid)
{
	(void)synic_port_signal(vm_vcpu(guest->vm, 0), 0x100u + relid % 6, 0);
}

/* What a guest does first, as it should be done: so the input's own commands meet an open channel. */
static void bring_up(const uint8_t *bytes)
{
	uint8_t relid = bytes[0] % 5 + 1u, id = bytes[1] % 4;
	const uint8_t list[] = {7, relid, id, bytes[2]};
	const uint8_t open[] = {relid, id, bytes[3] < 0xC0 ? 4 : bytes[3], 0};

	last_ids[0] = relid;
	last_ids[1] = id;
	post_contact(1);
	(void)host_run(guest->vm);
	post_gpadl(list);
	post_open(open);
	(void)host_run(guest->vm);
}

static void command(uint8_t what, const uint8_t *bytes, uint8_t size)
{
	switch (what % 15) {
	case 0:
		post(bytes, size);
		break;
	case 1:
		post_contact(bytes[0]);
		break;
	case 2:
		post_gpadl(bytes);
		break;
	case 3:
		post_open(bytes);
		break;
	case 4:
		post_ids(CHANNELMSG_GPADL_TEARDOWN, bytes);
		break;
	case 5:
		post_ids(CHANNELMSG_CLOSECHANNEL, bytes);
		break;
	case 6:
		post_ids(bytes[2] % 30, bytes);
		break;
	case 7:
		write_memory(bytes, size);
		break;
	case 8:
		signal_channel(bytes[0]);
		break;
	case 9:
		(void)guest_receive_on(guest, bytes[0] % 2);
		break;
	case 10:
		host_time_advance_ns(guest->vm, (uint64_t)bytes[0] << 28);
		break;
	case 11:
		bring_up(bytes);
		break;
	case 12:
		post_ids(bytes[0] % 2 == 0 ? CHANNELMSG_GPADL_TEARDOWN : CHANNELMSG_CLOSECHANNEL,
			 last_ids);
		break;
	default:
		(void)host_run_work_once(guest->vm);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct host_snapshot *start;
	bool begins_anew = size % 8 == 0;
	uint8_t bytes[256];

	guest = guest == NULL ? fuzz_guest_new(NULL, 1) : guest;
	memset(guest->disk[0], 0, DISK_BYTES);
	block_ram_open(&guest->blocks[0], guest->disk[0], DISK_BYTES, false, "serial-0");
	if (start == NULL) {
		fuzz_guest_begin(guest);
		start = fuzz_guest_keep(guest);
	} else {
		host_snapshot_restore(start);
	}
	memset(last_ids, 0, sizeof(last_ids));
	for (uint32_t i = 0; i < COMMANDS_MAX && size >= 2; i++) {
		uint8_t what = data[0], len = data[1] < size - 2 ? data[1] : (uint8_t)(size - 2);

		memset(bytes, 0, sizeof(bytes));
		memcpy(bytes, data + 2, len);
		data += 2u + len;
		size -= 2u + len;
		command(what, bytes, len);
		if ((what & 0x80) != 0) {
			(void)host_run(guest->vm);
		}
	}
	(void)host_run(guest->vm);
	must(!host_vm_killed(guest->vm));
	if (begins_anew) {
		must(vmbus_reset(guest->vm));
		must(host_vm_leaks(guest->vm).pins == 0);
		synic_reset(guest->vm);
		guest_synic_up(guest);
		must(guest_contact(guest, VERSION_WIN10_V5_3, 1));
	}
	vmbus_teardown(guest->vm);
	synic_teardown(guest->vm);
	host_vm_reset(guest->vm); /* panics on a leak */
	return 0;
}
