/*
 * netvsp_fuzz.c - libFuzzer: a network device's channel: NVSP messages in any order, buffers given and revoked, RNDIS in sections
 * and in ranges with lengths that lie, frames from the network, slots returned or not, memory that changes under the host.
 *
 * Input: byte 0 flags (1: not brought up; 2: send memory changes), then steps. What must hold: a frame that reaches the
 * network is whole and readable to its end; what comes to the guest lies in its receive buffer, in a slot that it does not
 * hold yet; memory beside the buffer stays as it is; a buffer in use stays pinned, and after a close nothing is.
 */
#include "tests/fuzz/fuzz_guest.h"

#define RINGS 0x100000u
#define RING_PAGES 4u
#define RECEIVE_AT 0x200000u
#define RECEIVE_PAGES 16u
#define SEND_AT 0x300000u
#define SEND_PAGES 8u
#define DATA_AT 0x400000u
#define STEPS_MAX 60u
#define FILL 0xC7
#define RNDIS_HEAD 44u

static struct ether_switch sw;
static struct switch_port port, tap;
static struct guest *guest;
static struct guest_channel channel;
static bool is_open;
static uint32_t gpadls[2]; /* receive, send */
static uint64_t taken[64]; /* transaction ids of slots that the guest holds; 0: none */
static uint32_t taken_at[64];

static bool tap_deliver(void *device, const struct switch_frame *frame)
{
	uint8_t *copy = malloc(frame->len_bytes);
	uint32_t bytes = 0;

	(void)device;
	must(copy != NULL && frame->len_bytes >= 14);
	for (uint32_t i = 0; i < frame->segment_count; i++) {
		must(frame->segments[i].len_bytes <= frame->len_bytes - bytes);
		memcpy(copy + bytes, frame->segments[i].bytes, frame->segments[i].len_bytes);
		bytes += frame->segments[i].len_bytes;
	}
	must(bytes == frame->len_bytes);
	must(frame->segment_bytes == 0 || frame->checksum_blank);
	free(copy);
	return true;
}

static const struct switch_port_ops tap_ops = {.deliver = tap_deliver};

/* ------------------------------------------------------------------ from the device */

/* A slot: in the buffer, and not one that the guest has. */
static void take_slot(const struct vmpacket_descriptor *d, const uint8_t *bytes)
{
	struct vmtransfer_page_range range;
	uint32_t place = 0;

	memcpy(&range, bytes, sizeof(range));
	must(range.byte_offset < RECEIVE_PAGES * PAGE_BYTES);
	must(range.byte_count <= RECEIVE_PAGES * PAGE_BYTES - range.byte_offset);
	for (uint32_t i = 0; i < ARRAY_COUNT(taken); i++) {
		must(taken[i] == 0 || (taken[i] != d->trans_id && taken_at[i] != range.byte_offset));
		place = taken[i] == 0 ? i : place;
	}
	must(taken[place] == 0);
	taken[place] = d->trans_id;
	taken_at[place] = range.byte_offset;
}

static void take_packets(void)
{
	struct hv_ring_buffer *ring = guest_ring(guest, channel.in_at);
	const uint8_t *data = host_vm_bytes(guest->vm, channel.in_at + PAGE_BYTES, channel.data_bytes);

	while (is_open && ring->write_index != channel.read) {
		struct vmpacket_descriptor d;
		uint8_t bytes[256];

		uint32_t first = channel.data_bytes - channel.read;

		first = first < sizeof(bytes) ? first : (uint32_t)sizeof(bytes);
		memcpy(bytes, data + channel.read, first);
		memcpy(bytes + first, data, sizeof(bytes) - first);
		memcpy(&d, bytes, sizeof(d));
		must(d.len8 >= d.offset8 && d.offset8 >= 2 && d.len8 * 8u <= sizeof(bytes));
		if (d.type == VM_PKT_DATA_USING_XFER_PAGES) {
			take_slot(&d, bytes + sizeof(struct vmtransfer_page_packet_header));
		}
		channel.read = (channel.read + d.len8 * 8u + 8) % channel.data_bytes;
		ring->read_index = channel.read;
	}
}

/* ------------------------------------------------------------------ to the device */

static void send(uint16_t type, uint64_t id, const void *more, uint32_t more_bytes, const void *payload,
                 uint32_t len)
{
	uint8_t head[16 + 256];
	const struct vmpacket_descriptor d = {
	        .type = type,
	        .offset8 = (uint16_t)((16 + more_bytes) / 8),
	        .len8 = (uint16_t)((16 + more_bytes + len + 7) / 8),
	        .flags = type == VM_PKT_COMP ? 0 : VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED,
	        .trans_id = id,
	};

	if (is_open && fuzz_room(guest, &channel) > sizeof(head) + len + 64) {
		memcpy(head, &d, sizeof(d));
		memcpy(head + 16, more, more_bytes);
		fuzz_send(guest, &channel, head, 16 + more_bytes, payload, len, 200);
		take_packets();
	}
}

static void send_message(const struct nvsp_message *message)
{
	send(VM_PKT_DATA_INBAND, 1, "", 0, message, sizeof(*message));
}

/* @bytes from DATA_AT + @offset on, before them @section_bytes of a section. */
static void send_rndis(uint32_t type, uint32_t section, uint32_t section_bytes, uint32_t offset,
                       uint32_t bytes)
{
	const struct nvsp_message message = {.msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT,
	                                     .u.send_rndis_pkt = {type, section, section_bytes}};
	uint64_t words[26] = {1ull << 32, bytes | (uint64_t)offset << 32};
	uint32_t pages = (offset + bytes + PAGE_MASK) / PAGE_BYTES;

	for (uint32_t i = 0; i < pages; i++) {
		words[2 + i] = DATA_AT / PAGE_BYTES + i;
	}
	if (bytes == 0) {
		send_message(&message);
	} else {
		send(VM_PKT_DATA_USING_GPA_DIRECT, 2, words, 16 + pages * 8, &message, sizeof(message));
	}
}

static void send_control(struct input *in)
{
	static const uint32_t types[] = {RNDIS_MSG_INIT, RNDIS_MSG_HALT,  RNDIS_MSG_QUERY,
	                                 RNDIS_MSG_SET,  RNDIS_MSG_RESET, RNDIS_MSG_KEEPALIVE};
	static const uint32_t oids[] = {0x00010100, 0x00010200, 0x01010100, 0x00020100, 0xFC010200};
	uint8_t which = take8(in), more = take8(in) % 64u;
	uint32_t words[7 + 16] = {types[which % ARRAY_COUNT(types)],
	                          28 + more,
	                          1,
	                          oids[which / 8u % ARRAY_COUNT(oids)] + take8(in) % 0x20u,
	                          more,
	                          20,
	                          0};

	take(in, words + 7, more);
	if (which >= 0xC0) {
		words[take8(in) % 7u] = take16(in);
	}
	memcpy(host_vm_bytes(guest->vm, DATA_AT, sizeof(words)), words, sizeof(words));
	send_rndis(NVSP_RMC_CONTROL, NVSP_INVALID_SECTION_INDEX, 0, 0, 28u + more);
}

/* A PACKET at @to; its words bent where the input says so. Length. */
static uint32_t make_packet(struct input *in, uint8_t *to, uint32_t room)
{
	static const uint32_t infos[] = {RNDIS_PPI_TCPIP_CHECKSUM, RNDIS_PPI_TCP_LARGESEND,
	                                 RNDIS_PPI_IEEE_8021Q, 9};
	uint8_t how = take8(in);
	uint32_t len = take16(in) % (room - RNDIS_HEAD - 16 - 8), info = (how & 1u) * 16;
	uint32_t total = (RNDIS_HEAD + info + len + 7) & ~7u;
	uint32_t words[15] = {RNDIS_MSG_PACKET,
	                      total,
	                      36 + info,
	                      len,
	                      0,
	                      0,
	                      0,
	                      36 * (how & 1u),
	                      info,
	                      0,
	                      0,
	                      16,
	                      infos[how >> 1 & 3],
	                      12,
	                      (how & 1) != 0 ? take32(in) : 0};

	for (uint32_t i = 0; i < (how >> 3 & 3u); i++) {
		uint8_t where = take8(in);

		words[where % 15u] = where >= 0x80 ? take32(in) : take16(in);
	}
	memcpy(to, words, sizeof(words));
	take(in, to + RNDIS_HEAD + info, len < 60 ? len : 60);
	memset(to + RNDIS_HEAD + info, 0xFF, (how & 0x40u) != 0 && len > 6 ? 6 : 0); /* to all */
	return total;
}

static void send_packet(struct input *in)
{
	uint8_t how = take8(in);
	uint32_t section = how % 8u, offset = take16(in) % PAGE_BYTES, bytes;

	if ((how & 0x80) != 0) {
		bytes = make_packet(in, host_vm_bytes(guest->vm, DATA_AT + offset, 1), 0xF000);
		send_rndis(NVSP_RMC_DATA, NVSP_INVALID_SECTION_INDEX, 0, offset,
		           (how & 0x40) != 0 ? take16(in) : bytes);
		return;
	}
	bytes = make_packet(in, host_vm_bytes(guest->vm, SEND_AT + section % 4u * 0x1800, 1), 0x1800);
	section = (how & 0x20) != 0 ? take32(in) : section % 5u;
	send_rndis(NVSP_RMC_DATA, section, (how & 0x40) != 0 ? take16(in) : bytes, offset,
	           (how & 0x10) != 0 ? take16(in) % 0x4000u : 0);
}

static void return_slot(uint8_t which)
{
	static const struct nvsp_message message = {.msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT_COMPLETE,
	                                            .u.send_rndis_pkt_complete = {NVSP_STAT_SUCCESS}};
	uint64_t id = which >= 0xC0 ? (uint64_t)which << 40 : taken[which % ARRAY_COUNT(taken)];

	if (id != 0) {
		taken[which % ARRAY_COUNT(taken)] = which >= 0xC0 ? taken[which % ARRAY_COUNT(taken)] : 0;
		send(VM_PKT_COMP, id, "", 0, &message, 8);
	}
}

static void send_any_message(struct input *in)
{
	static const uint32_t types[] = {1,   100, 101, 103, 104, 106, 107, 108,
	                                 125, 128, 129, 133, 134, 2,   102};
	uint8_t which = take8(in);
	struct nvsp_message message = {.msg_type = types[which % ARRAY_COUNT(types)]};

	if (message.msg_type == 103 || message.msg_type == 1) {
		memset(taken, 0, sizeof(taken));
	}
	if (which >= 0x80) {
		take(in, message.u.bytes, sizeof(message.u.bytes));
	} else {
		message.u.send_buf = (struct nvsp_1_send_buf){gpadls[message.msg_type == 104],
		                                              NETVSC_RECEIVE_BUFFER_ID, 0};
	}
	send_message(&message);
}

static void send_frame(struct input *in)
{
	static uint8_t bytes[65536];
	uint8_t how = take8(in);
	uint32_t len = 14 + take16(in) % ((how & 1) != 0 ? 60000u : 1500u);
	struct io_segment segment = {bytes, len};
	const struct switch_frame frame = {.segments = &segment, .segment_count = 1, .len_bytes = len};

	memset(bytes, (how & 2) != 0 ? 0xFF : 0, 6);
	bytes[0] |= 2;
	bytes[5] |= 1;
	take(in, bytes + 6, 34);
	for (uint32_t i = 0; i < how / 8u; i++) {
		switch_send(&tap, &frame);
	}
	fuzz_work(guest, 200);
	take_packets();
}

/* ------------------------------------------------------------------ life */

static void bring_up(uint8_t version)
{
	static const uint32_t versions[] = {NVSP_PROTOCOL_VERSION_1, NVSP_PROTOCOL_VERSION_2,
	                                    NVSP_PROTOCOL_VERSION_61, NVSP_PROTOCOL_VERSION_61};
	const uint32_t init[6] = {RNDIS_MSG_INIT, 24, 1, 1, 0, 0x4000},
	               filter[8] = {RNDIS_MSG_SET, 32, 2, 0x0001010E, 4, 20, 0, 0xD};
	uint32_t v = versions[version % 4u];

	send_message(&(struct nvsp_message){.msg_type = NVSP_MSG_TYPE_INIT, .u.init = {v, v}});
	send_message(
	        &(struct nvsp_message){.msg_type = NVSP_MSG2_TYPE_SEND_NDIS_CONFIG,
	                               .u.send_ndis_config = {1514, 0, NVSP_2_VSC_CAPABILITY_IEEE8021Q}});
	send_message(&(struct nvsp_message){.msg_type = NVSP_MSG1_TYPE_SEND_RECV_BUF,
	                                    .u.send_buf = {gpadls[0], NETVSC_RECEIVE_BUFFER_ID, 0}});
	send_message(&(struct nvsp_message){.msg_type = NVSP_MSG1_TYPE_SEND_SEND_BUF,
	                                    .u.send_buf = {gpadls[1], 0, 0}});
	memcpy(host_vm_bytes(guest->vm, DATA_AT, 24), init, 24);
	send_rndis(NVSP_RMC_CONTROL, NVSP_INVALID_SECTION_INDEX, 0, 0, 24);
	memcpy(host_vm_bytes(guest->vm, DATA_AT, 32), filter, 32);
	send_rndis(NVSP_RMC_CONTROL, NVSP_INVALID_SECTION_INDEX, 0, 0, 32);
}

static void open_channel(uint8_t how)
{
	guest_open(guest, &channel, (struct vmbus_guid)VMBUS_CLASS_NETWORK, RINGS, RING_PAGES);
	is_open = true;
	memset(taken, 0, sizeof(taken));
	gpadls[0] = guest_post_gpadl(guest, channel.offer.child_relid, RECEIVE_AT, RECEIVE_PAGES);
	must(guest_gpadl_status(guest) == 0);
	gpadls[1] = guest_post_gpadl(guest, channel.offer.child_relid, SEND_AT, SEND_PAGES);
	must(guest_gpadl_status(guest) == 0);
	if ((how & 1) == 0) {
		bring_up(how / 2);
	}
}

static void close_channel(void)
{
	host_load_hook(NULL, NULL);
	guest_close(guest, &channel);
	is_open = false;
	for (uint32_t i = 0; i < 3; i++) {
		guest_post_teardown(guest, channel.offer.child_relid, i == 2 ? channel.gpadl : gpadls[i]);
		while (guest_receive(guest) != 0) {
		}
	}
	must(host_vm_leaks(guest->vm).pins == 0);
	must(port.ops == NULL);
}

static void step(struct input *in)
{
	uint8_t what = take8(in);

	switch (what % 8) {
	case 0:
		send_any_message(in);
		break;
	case 1:
		send_control(in);
		break;
	case 2:
	case 3:
		send_packet(in);
		break;
	case 4:
		send_frame(in);
		break;
	case 5:
		return_slot(take8(in));
		break;
	case 6:
		guest_post_teardown(guest, channel.offer.child_relid, gpadls[what / 8 % 2]);
		break;
	default:
		if (what >= 0x80) {
			close_channel();
			open_channel(take8(in));
		} else {
			bring_up(what / 8);
		}
		break;
	}
	fuzz_work(guest, 200);
	while (guest_receive(guest) != 0) {
	}
	fuzz_check_gpadls(guest, 0);
}

static void check_beside(void)
{
	const uint8_t *bytes = host_vm_bytes(guest->vm, RECEIVE_AT - PAGE_BYTES, PAGE_BYTES);

	must(bytes[0] == FILL && memcmp(bytes, bytes + 1, PAGE_MASK) == 0);
	bytes = host_vm_bytes(guest->vm, RECEIVE_AT + RECEIVE_PAGES * PAGE_BYTES, PAGE_BYTES);
	must(bytes[0] == FILL && memcmp(bytes, bytes + 1, PAGE_MASK) == 0);
}

/* A guest on a switch of its own, its channel open. */
static struct host_snapshot *make(uint8_t how)
{
	struct host_snapshot *start;

	switch_init(&sw, "fuzz");
	must(switch_add_port(&sw, &tap) && switch_add_port(&sw, &port));
	guest = fuzz_guest_new(&port, 1);
	fuzz_guest_begin(guest);
	fuzz_guest_connect(guest);
	memset(host_vm_bytes(guest->vm, RECEIVE_AT - PAGE_BYTES, PAGE_BYTES), FILL, PAGE_BYTES);
	memset(host_vm_bytes(guest->vm, RECEIVE_AT + RECEIVE_PAGES * PAGE_BYTES, PAGE_BYTES), FILL,
	       PAGE_BYTES);
	open_channel(how);
	start = fuzz_guest_keep(guest);
	host_snapshot_add(start, &guest, sizeof(guest));
	host_snapshot_add(start, &sw, sizeof(sw));
	host_snapshot_add(start, &port, sizeof(port));
	host_snapshot_add(start, &tap, sizeof(tap));
	host_snapshot_add(start, &channel, sizeof(channel));
	host_snapshot_add(start, &is_open, sizeof(is_open));
	host_snapshot_add(start, gpadls, sizeof(gpadls));
	host_snapshot_add(start, taken, sizeof(taken));
	host_snapshot_add(start, taken_at, sizeof(taken_at));
	return start;
}

static void begin(uint8_t flags)
{
	static struct host_snapshot *starts[2];
	struct host_snapshot **start = &starts[flags & 1];

	if (*start == NULL) {
		*start = make(flags & 1);
	} else {
		host_snapshot_restore(*start);
	}
	switch_connect(&tap, &tap_ops, NULL, flags >> 4);
	if ((flags & 2) != 0) {
		host_scribble(guest->vm, SEND_AT, SEND_PAGES * PAGE_BYTES, flags);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	begin(take8(&in));
	for (uint32_t i = 0; i < STEPS_MAX && in.left != 0; i++) {
		step(&in);
	}
	check_beside();
	close_channel();
	fuzz_guest_end(guest, size % 16 == 0);
	switch_disconnect(&tap);
	return 0;
}
