/*
 * storvsp_fuzz.c - libFuzzer: an open SCSI channel, storage packets and commands of any shape, buffers in any pieces, a disk
 * that ends its requests when the input says so, rings that change under the host, closes and resets in between.
 *
 * Input: byte 0 (0xF0 and more: rings change while they are read, and then memory and completions are not judged), then steps;
 * one length in 16 leaves the channel not initialized. What must hold: the disk is asked only for what lies
 * on it, in and out of memory that is the guest's or our own, and never to write what is read-only; memory that no request
 * names stays as it is; each packet is completed once at most; what is pinned belongs to a list or to a request under way.
 */
#include "tests/fuzz/fuzz_guest.h"

#define RINGS 0x100000u
#define RING_PAGES 4u
#define DATA_AT 0x300000u
#define DATA_PAGES 24u
#define DATA_BYTES (DATA_PAGES * PAGE_BYTES)
#define SECTORS 2048u
#define STEPS_MAX 60u
#define HELD_MAX 128u
#define FILL 0xC7

static struct guest *guest;
static struct guest_channel channel;
static bool is_open, hold, is_wild;
static struct block_request *held[HELD_MAX];
static uint32_t held_count;
static uint8_t named[DATA_BYTES]; /* bytes that a request has named */
static bool page_named[DATA_PAGES]; /* one of its bytes is */
static uint8_t owed[65536 / 8]; /* packets whose completion may still come, by number */
static uint16_t next_id;

/* ------------------------------------------------------------------ the disk */

static void check_request(const struct block_request *request, bool read_only)
{
	static uint8_t sink[BLOCK_REQUEST_BYTES_MAX];
	uint64_t bytes = 0;

	must(request->segment_count <= BLOCK_SEGMENT_MAX);
	for (uint32_t i = 0; i < request->segment_count; i++) {
		const struct io_segment *segment = &request->segments[i];

		must(segment->len_bytes % BLOCK_SECTOR_BYTES == 0 && segment->len_bytes != 0);
		must(segment->len_bytes <= sizeof(sink));
		/* Touched to its end: the sanitizer sees whose it is. */
		if (request->operation == BLOCK_READ) {
			memset(segment->bytes, 0xD1, segment->len_bytes);
		} else {
			memcpy(sink, segment->bytes, segment->len_bytes);
		}
		bytes += segment->len_bytes;
	}
	must(bytes <= BLOCK_REQUEST_BYTES_MAX && (request->operation != BLOCK_FLUSH || bytes == 0));
	must(request->operation != BLOCK_WRITE || !read_only);
	must(request->sector <= SECTORS && bytes / BLOCK_SECTOR_BYTES <= SECTORS - request->sector);
}

static void submit(void *medium, struct block_request *request)
{
	check_request(request, medium != NULL);
	if (hold) {
		must(held_count < HELD_MAX);
		held[held_count++] = request;
	} else {
		block_done(request, BLOCK_OK);
	}
}

static void end_held(uint32_t count, enum block_status status)
{
	while (count-- != 0 && held_count != 0) {
		block_done(held[--held_count], status);
	}
}

/* ------------------------------------------------------------------ the guest's side of the rings */

/* Reads all that has come. */
static void take_replies(void)
{
	struct vmpacket_descriptor d;
	uint8_t bytes[256];

	while (!is_wild && is_open && guest_take(guest, &channel, &d, bytes, sizeof(bytes)) >= 0) {
		struct vstor_packet reply;

		must(d.type == VM_PKT_COMP && d.trans_id < 65536);
		must((owed[d.trans_id / 8] >> d.trans_id % 8 & 1) != 0);
		owed[d.trans_id / 8] &= (uint8_t) ~(1u << d.trans_id % 8);
		memcpy(&reply, bytes, sizeof(reply));
		must(reply.operation == VSTOR_OPERATION_COMPLETE_IO);
	}
}

/* @head: a descriptor of which the lengths are filled in; the packet is put only if there is room for it. */
static void send(struct vmpacket_descriptor *d, const void *more, uint32_t more_bytes, const void *payload,
                 uint32_t len)
{
	uint8_t head[16 + 512];

	if (!is_open || fuzz_room(guest, &channel) <= sizeof(head) + len + 64) {
		return;
	}
	d->offset8 = (uint16_t)((16 + more_bytes) / 8);
	d->len8 = (uint16_t)((16 + more_bytes + len + 7) / 8);
	d->trans_id = next_id;
	if ((d->flags & VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED) != 0) {
		owed[next_id / 8] |= (uint8_t)(1u << next_id % 8);
	}
	next_id++;
	memcpy(head, d, 16);
	memcpy(head + 16, more, more_bytes);
	fuzz_send(guest, &channel, head, 16 + more_bytes, payload, len, is_wild ? 100 : 1000);
}

/* Mostly none of the guest's RAM. Its rings change under the host then; the pages of its SynIC, by which we hear, it spares. */
static uint64_t take_frame(struct input *in)
{
	uint64_t frame = take64(in);

	if (frame - RINGS / PAGE_BYTES < 2 * RING_PAGES) {
		is_wild = true;
	}
	return frame - GUEST_SIMP(0) / PAGE_BYTES < 2 ? frame + 2 : frame;
}

/* One range of the data pages, in pages of any order; its bytes are named. Length of what follows the descriptor. */
static uint32_t make_range(struct input *in, uint8_t *to, uint32_t *bytes)
{
	uint8_t how = take8(in), first = take8(in);
	uint32_t offset = (how & 1) != 0 ? take16(in) % PAGE_BYTES : (how & 0x40u) * 8;
	uint32_t pages, at = 16;

	*bytes = (how & 2) != 0 ? take16(in) + (how & 8u) * 0x400 + 1u
	                        : (take8(in) % 32u + 1) * BLOCK_SECTOR_BYTES;
	pages = (offset + *bytes + PAGE_MASK) / PAGE_BYTES;
	memset(to, 0, 16);
	to[4] = how >= 0xFC ? 2 : 1;
	memcpy(to + 8, &(struct gpa_range){*bytes, offset}, 8);
	for (uint32_t i = 0; i < pages; i++, at += 8) {
		uint64_t page = (first + (how & 4 ? DATA_PAGES - 1 : 1) * i) % DATA_PAGES;
		uint64_t frame = DATA_AT / PAGE_BYTES + page;
		uint32_t from = i == 0 ? offset : 0, left = *bytes + offset - i * PAGE_BYTES;

		frame = how >= 0xF8 && how < 0xFC && i == pages - 1 ? take_frame(in) : frame;
		page = frame - DATA_AT / PAGE_BYTES;
		if (page < DATA_PAGES) { /* any frame may be one of these */
			page_named[page] = true;
			memset(named + page * PAGE_BYTES + from, 1,
			       (left < PAGE_BYTES ? left : PAGE_BYTES) - from);
		}
		memcpy(to + at, &frame, 8);
	}
	return at;
}

/* A command that fits its buffer, then bent where the input says so. */
static void make_command(struct input *in, struct vstor_packet *packet, uint32_t bytes)
{
	static const uint8_t opcodes[] = {0x28, 0x2A, 0x88, 0x8A, 0xA8, 0xAA, 0x08, 0x0A, 0x12, 0x1A, 0x5A,
	                                  0x25, 0x9E, 0xA0, 0x03, 0x35, 0x91, 0x2F, 0x8F, 0xAF, 0x00, 0x1B};
	struct vmscsi_request *srb = &packet->u.vm_srb;
	uint8_t which = take8(in), bend = take8(in), sector = take8(in);
	uint8_t opcode = which == 0xFF ? take8(in) : opcodes[which % ARRAY_COUNT(opcodes)];
	uint8_t count = (uint8_t)(bytes / BLOCK_SECTOR_BYTES);
	uint8_t group = opcode >> 5;

	*packet = (struct vstor_packet){.operation = VSTOR_OPERATION_EXECUTE_SRB, .flags = 1};
	srb->length = 52;
	srb->lun = bend & 1;
	srb->cdb_length = group == 0 ? 6 : group < 3 ? 10 : group == 4 ? 16 : 12;
	srb->sense_info_length = VSTOR_SENSE_BYTES;
	srb->data_transfer_length = bytes;
	srb->u.cdb[0] = opcode;
	srb->u.cdb[group == 0 ? 2 : group == 4 ? 8 : 4] = (uint8_t)(bend >> 5);
	srb->u.cdb[group == 0 ? 3 : group == 4 ? 9 : 5] = sector;
	srb->u.cdb[group == 0 ? 4 : group < 3 ? 8 : group == 4 ? 13 : 9] = count;
	for (uint32_t i = 0; i < (bend >> 1 & 3u); i++) {
		uint8_t where = take8(in);

		((uint8_t *)srb)[where % sizeof(*srb)] = take8(in);
	}
}

static void send_command(struct input *in)
{
	struct vmpacket_descriptor d = {.type = VM_PKT_DATA_USING_GPA_DIRECT,
	                                .flags = VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED};
	struct vstor_packet packet;
	uint8_t range[512];
	uint32_t bytes, more = make_range(in, range, &bytes);

	make_command(in, &packet, bytes);
	send(&d, range, more, &packet, sizeof(packet));
}

static void send_operation(struct input *in, uint32_t operation, uint8_t how)
{
	struct vmpacket_descriptor d = {.type = VM_PKT_DATA_INBAND,
	                                .flags = VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED};
	struct vstor_packet packet = {.operation = operation};
	uint32_t len = sizeof(packet);

	packet.u.version.major_minor = VMSTOR_PROTO_VERSION_WIN10;
	if (how >= 0xC0) {
		d.type = how == 0xFF ? take8(in) : VM_PKT_DATA_INBAND;
		d.flags = take8(in) & 1;
		len = take8(in) % 65u;
		take(in, (uint8_t *)&packet + 4, 60);
	}
	send(&d, "", 0, &packet, len);
}

static void open_channel(bool initialize)
{
	static const uint32_t operations[] = {7, 9, 10, 8};

	guest_open(guest, &channel, (struct vmbus_guid)VMBUS_CLASS_SCSI, RINGS, RING_PAGES);
	is_open = true;
	is_wild = false;
	for (uint32_t i = 0; initialize && i < ARRAY_COUNT(operations); i++) {
		send_operation(NULL, operations[i], 0);
		take_replies();
	}
}

/* The requests under way end first: their completions are not sent any more. */
static void close_channel(void)
{
	if (!is_open) {
		return;
	}
	host_load_hook(NULL, NULL);
	guest_close(guest, &channel);
	end_held(HELD_MAX, BLOCK_EIO);
	(void)host_run(guest->vm);
	is_open = false;
	memset(owed, 0, sizeof(owed));
	guest_post_teardown(guest, channel.offer.child_relid, channel.gpadl);
	must(guest_receive(guest) == CHANNELMSG_GPADL_TORNDOWN);
	must(host_vm_leaks(guest->vm).pins == 0);
}

static void scribble_ring(struct input *in)
{
	uint32_t at = take16(in) % (2 * RING_PAGES * PAGE_BYTES - 8);

	if (is_open) {
		is_wild = true;
		take(in, host_vm_bytes(guest->vm, RINGS + at, 8), 8);
		guest_signal(guest, &channel);
		fuzz_work(guest, 100);
	}
}

static void step(struct input *in)
{
	uint8_t what = take8(in), a = take8(in);

	switch (what % 10) {
	case 0:
	case 1:
	case 2:
		send_command(in);
		break;
	case 3:
		send_operation(in, a % 16u, what);
		break;
	case 4:
		hold = a % 2 != 0;
		break;
	case 5:
		end_held(a % 8u + 1, a / 8u % 4u);
		(void)host_run(guest->vm);
		break;
	case 6:
		take_replies();
		break;
	case 7:
		if (what >= 0xC0) {
			scribble_ring(in);
		}
		break;
	case 8:
		if (what >= 0x80) {
			close_channel();
			open_channel(a % 4 != 0);
		}
		break;
	default:
		host_time_advance_ns(guest->vm, (uint64_t)a << 20);
		break;
	}
	must(held_count != 0 || host_vm_leaks(guest->vm).pins >= 2 * RING_PAGES);
}

/* Each byte of a page that has changed. */
UNWATCHED static bool is_named(const uint8_t *data, const uint8_t *names)
{
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < PAGE_BYTES; i++) {
		wrong |= (names[i] == 0) & (data[i] != FILL);
	}
	return wrong == 0;
}

static void check_memory(void)
{
	const uint8_t *data = host_vm_bytes(guest->vm, DATA_AT, DATA_BYTES);

	for (uint32_t page = 0; page < DATA_PAGES; page++, data += PAGE_BYTES) {
		const uint8_t *names = named + page * PAGE_BYTES;

		if (!page_named[page]) {
			must(data[0] == FILL && memcmp(data, data + 1, PAGE_BYTES - 1) == 0);
			continue;
		}
		require(is_named(data, names), "a byte that no request named stays as it is");
	}
}

UNWATCHED static void forget_names(void)
{
	for (uint32_t page = 0; page < DATA_PAGES; page++) {
		if (page_named[page]) {
			memset(named + page * PAGE_BYTES, 0, PAGE_BYTES);
			page_named[page] = false;
		}
	}
}

static void open_disks(void)
{
	static const struct block_medium_ops ops = {.submit = submit};

	block_open(&guest->blocks[0], &ops, NULL, SECTORS, false, "serial-0");
	block_open(&guest->blocks[1], &ops, guest, SECTORS, true, "");
}

/* A guest with filled memory and its channel open; @initialize: the initialization done too. */
static struct host_snapshot *make(bool initialize)
{
	struct host_snapshot *start;

	guest = fuzz_guest_new(NULL, 1);
	open_disks();
	fuzz_guest_begin(guest);
	fuzz_guest_connect(guest);
	hold = false;
	held_count = 0;
	next_id = 0;
	memset(owed, 0, sizeof(owed));
	memset(host_vm_bytes(guest->vm, DATA_AT, DATA_BYTES), FILL, DATA_BYTES);
	open_channel(initialize);
	start = fuzz_guest_keep(guest);
	host_snapshot_add(start, &guest, sizeof(guest));
	host_snapshot_add(start, &channel, sizeof(channel));
	host_snapshot_add(start, &is_open, sizeof(is_open));
	host_snapshot_add(start, &is_wild, sizeof(is_wild));
	host_snapshot_add(start, &hold, sizeof(hold));
	host_snapshot_add(start, &held_count, sizeof(held_count));
	host_snapshot_add(start, &next_id, sizeof(next_id));
	host_snapshot_add(start, owed, sizeof(owed));
	return start;
}

static void begin(uint8_t flags)
{
	static struct host_snapshot *starts[2];
	struct host_snapshot **start = &starts[flags & 1];

	forget_names();
	if (*start == NULL) {
		*start = make((flags & 1) == 0);
	} else {
		host_snapshot_restore(*start);
		open_disks();
	}
	if ((flags & 2) != 0) {
		is_wild = true;
		host_scribble(guest->vm, RINGS, 2 * RING_PAGES * PAGE_BYTES, flags);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	begin(take8(&in) >= 0xF0 ? 2 : size % 16 == 1);
	for (uint32_t i = 0; i < STEPS_MAX && in.left != 0; i++) {
		step(&in);
	}
	if (!is_wild) {
		check_memory();
	}
	close_channel();
	fuzz_check_gpadls(guest, 0);
	fuzz_guest_end(guest, size % 16 == 0);
	return 0;
}
