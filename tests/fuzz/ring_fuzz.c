/*
 * ring_fuzz.c - libFuzzer: an open SCSI channel whose rings hold the input, and change after each load if it says so. What
 * must hold: no fault, work that ends, no vm_kill, nothing held at the end, and a channel that opens again.
 *
 * Input: byte 0 flags, then 8 words of 32 bits for the two control pages, then the guest-to-host ring. Flag 0: rings change
 * under us. Flag 1: the disk keeps its requests until the end. Flag 2: the initialization is done first. Flag 3:
 * the write index is where the input ends. Flag 4: the guest's indexes are in bounds, and
 * the bytes start where the host reads.
 */
#include "tests/fuzz/fuzz_guest.h"

#define RINGS 0x100000u
#define RING_PAGES 3u
#define HELD_MAX 256u
#define DISK_BYTES (64u << 10) /* small: it is wiped for each input */

static struct block_request *held[HELD_MAX];
static uint32_t held_count;

static void hold_submit(void *medium, struct block_request *request)
{
	(void)medium;
	must(held_count < HELD_MAX);
	held[held_count++] = request;
}

static void end_held(struct guest *guest)
{
	while (held_count != 0) {
		held_count--;
		block_done(held[held_count], held_count % 3 == 0 ? BLOCK_EIO : BLOCK_OK);
	}
	(void)host_run(guest->vm);
}

static void open_disk(struct guest *guest, bool slow)
{
	static const struct block_medium_ops ops = {.submit = hold_submit};

	if (slow) {
		block_open(&guest->blocks[0], &ops, NULL, 1u << 20, false, "slow");
	} else {
		memset(guest->disk[0], 0, DISK_BYTES);
		block_ram_open(&guest->blocks[0], guest->disk[0], DISK_BYTES, false, "serial-0");
	}
}

static void initialize(struct guest *guest, struct guest_channel *channel)
{
	static const uint32_t steps[] = {7, 9, 10, 8};
	struct vmpacket_descriptor d;
	struct vstor_packet packet;

	for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
		packet = (struct vstor_packet){.operation = steps[i]};
		packet.u.version.major_minor = VMSTOR_PROTO_VERSION_WIN10;
		guest_send_inband(guest, channel, 1, &packet, sizeof(packet));
		(void)guest_take(guest, channel, &d, &packet, sizeof(packet));
		must(packet.status == 0);
	}
}

static void fill_rings(struct guest *guest, struct guest_channel *channel, const uint8_t *data, size_t size,
                       uint8_t flags)
{
	struct hv_ring_buffer *out = guest_ring(guest, channel->out_at);
	struct hv_ring_buffer *in = guest_ring(guest, channel->in_at);
	size_t len = size - 32 < channel->data_bytes ? size - 32 : channel->data_bytes - 8;

	if ((flags & 8) != 0) {
		guest_ring_put(guest, channel, data + 32, (uint32_t)len / 8 * 8);
		out->write_index = channel->write;
		return;
	}
	memcpy(out, data, 16);
	memcpy(in, data + 16, 16);
	if ((flags & 16) != 0) {
		uint32_t write = channel->write;

		out->write_index = out->write_index % channel->data_bytes & ~7u;
		in->read_index = in->read_index % channel->data_bytes & ~7u;
		guest_ring_put(guest, channel, data + 32, (uint32_t)len);
		channel->write = write;
		return;
	}
	memcpy(host_vm_bytes(guest->vm, channel->out_at + PAGE_BYTES, len), data + 32, len);
}

static void play(struct guest *guest, struct guest_channel *channel, const uint8_t *data, size_t size)
{
	uint8_t flags = data[0];

	if ((flags & 4) != 0) {
		initialize(guest, channel);
	}
	fill_rings(guest, channel, data + 1, size - 1, flags);
	if ((flags & 1) != 0) {
		host_scribble(guest->vm, RINGS, 2 * RING_PAGES * PAGE_BYTES, size);
	}
	for (uint32_t i = 0; i < 4; i++) {
		guest_signal(guest, channel);
		/* With rings that change for ever there may always be a packet: not to the end, then. */
		for (uint32_t k = 0; k < 200 && host_run_work_once(guest->vm); k++) {
		}
	}
	host_load_hook(NULL, NULL);
}

/* Opens it with control pages that hold the input: taken or refused, and signalled in both cases. */
static void open_filled(struct guest *guest, struct guest_channel *channel, const uint8_t *data)
{
	uint32_t gpadl = guest_post_gpadl(guest, channel->offer.child_relid, RINGS, 2 * RING_PAGES);

	must(guest_gpadl_status(guest) == 0);
	memcpy(guest_ring(guest, channel->out_at), data, 16);
	memcpy(guest_ring(guest, channel->in_at), data + 16, 16);
	if (guest_open_with(guest, channel->offer.child_relid, gpadl, RING_PAGES, 0) == 0) {
		guest_signal(guest, channel);
		for (uint32_t k = 0; k < 200 && host_run_work_once(guest->vm); k++) {
		}
		guest_close(guest, channel);
		end_held(guest); /* of requests left in the ring by the channel before; they keep the GPADL */
	}
	guest_post_teardown(guest, channel->offer.child_relid, gpadl);
	must(guest_receive(guest) == CHANNELMSG_GPADL_TORNDOWN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct vmbus_guid scsi = VMBUS_CLASS_SCSI;
	static struct guest_channel channel;
	static struct host_snapshot *start;
	static struct guest *guest;

	if (size < 34) {
		return 0;
	}
	guest = guest == NULL ? fuzz_guest_new(NULL, 1) : guest;
	open_disk(guest, (data[0] & 2) != 0);
	if (start == NULL) {
		fuzz_guest_begin(guest);
		fuzz_guest_connect(guest);
		guest_open(guest, &channel, scsi, RINGS, RING_PAGES);
		start = fuzz_guest_keep(guest);
		host_snapshot_add(start, &channel, sizeof(channel));
	} else {
		host_snapshot_restore(start);
	}
	play(guest, &channel, data, size);
	must(!host_vm_killed(guest->vm));
	guest_close(guest, &channel);
	end_held(guest);
	must(host_vm_leaks(guest->vm).pins == 2 * RING_PAGES); /* the GPADL's */
	open_filled(guest, &channel, data + 1);
	guest_open(guest, &channel, scsi, RINGS, RING_PAGES);
	initialize(guest, &channel);
	vmbus_teardown(guest->vm);
	synic_teardown(guest->vm);
	host_vm_reset(guest->vm); /* panics on a leak */
	return 0;
}
