/*
 * hostile_vmbus.c - messages, lists of pages, channels, rings and packets that lie.
 */
#include "guest-drivers/hyperv/hyperv.h"
#include "tests/guest/hostile.h"

#define RING_BREAKS 2000u

static struct hv_guest hv;
static struct hv_storvsc stor;
static struct hv_netvsc net;
static struct hv_disk disk;
static struct hv_channel channel;
static struct guest_page pages[64];
static uint32_t answers;
static volatile uint32_t stop;

static bool start(void)
{
	bool ok = hv_start(&hv, machine) && hv_bus_connect(&hv, VERSION_WIN10_V5_3) && hv_bus_offers(&hv);

	claim(ok, "VMBus connects");
	for (uint32_t i = 0; ok && i < ARRAY_COUNT(pages); i++) {
		ok = guest_page_alloc(machine, &pages[i]);
	}
	return ok;
}

static bool start_disk(void)
{
	bool ok = start() && hv_storvsc_open(&stor, &hv, 0) && hv_disk_open(&disk, &stor, 0);

	claim(ok, "the disk opens");
	return ok;
}

static const struct vmbus_channel_offer_channel *scsi_offer(void)
{
	return hv_bus_find(&hv, (struct vmbus_guid)VMBUS_CLASS_SCSI, 0);
}

static void poll_once(void)
{
	hv_poll(&hv);
}

static void polls(uint32_t turns)
{
	let_work(poll_once, turns);
}

static void answered(void *context, const struct hv_scsi_result *result)
{
	(void)context;
	answers += result->answered ? 1 : 0;
}

static bool submit(uint64_t sector, bool write)
{
	const struct hv_buffer buffer = {.bytes = 4096, .gfns = &pages[0].gfn};

	return hv_disk_submit(&disk, write ? HV_DISK_WRITE : HV_DISK_READ, sector, &buffer, answered, NULL);
}

static bool none_under_way(void)
{
	hv_poll(&hv);
	return stor.used_count == 0;
}

static void good_disk(void)
{
	uint32_t before = answers;

	claim(submit(0, false) && wait_for(none_under_way, 5) && answers == before + 1, "a good request is answered");
}

/* ---------------------------------------------------------------- messages */

static void messages_wild(void)
{
	uint8_t message[VMBUS_MESSAGE_BYTES_MAX];
	uint32_t posted = 0;

	if (!start()) {
		return;
	}
	for (uint32_t type = 0; type < 64 || blowing(); type++) {
		uint32_t size = (uint32_t)(random_number() >> 8) % sizeof(message);
		uint32_t kind = type % 64;

		for (uint32_t i = 0; i + 4 <= sizeof(message); i += 4) {
			uint32_t value = (uint32_t)random_wild();

			memcpy(message + i, &value, 4);
		}
		if (kind == CHANNELMSG_UNLOAD) {
			continue;
		}
		memcpy(message, &kind, sizeof(kind));
		posted += hv_post_message(&hv, hv.bus.connection_id, message, size) == HV_STATUS_SUCCESS ? 1 : 0;
		hv_poll(&hv);
	}
	claim(posted > 10, "messages are taken");
}

static void post_lies(void)
{
	struct hv_input_post_message *in;

	if (!start()) {
		return;
	}
	in = (struct hv_input_post_message *)(void *)hv.input.bytes;
	for (uint32_t i = 0; i < WILD_COUNT; i++) {
		*in = (struct hv_input_post_message){.connection_id = hv.bus.connection_id, .message_type = 1,
		                                     .payload_size = (uint32_t)wild(i) | 256};
		claim(hv_call(&hv, HVCALL_POST_MESSAGE, hv.input.gfn << 12, 0) != HV_STATUS_SUCCESS, "a payload that is too long");
		*in = (struct hv_input_post_message){.connection_id = (uint32_t)wild(i) | 0x10000, .message_type = 1};
		claim(hv_call(&hv, HVCALL_POST_MESSAGE, hv.input.gfn << 12, 0) != HV_STATUS_SUCCESS, "no such connection");
		*in = (struct hv_input_post_message){.connection_id = hv.bus.connection_id,
		                                     .message_type = HVMSG_HYPERVISOR_BIT | (uint32_t)wild(i)};
		claim(hv_call(&hv, HVCALL_POST_MESSAGE, hv.input.gfn << 12, 0) != HV_STATUS_SUCCESS, "the hypervisor's own type");
	}
}

/* Requests that are all answered, and no answer is taken. */
static void messages_unread(void)
{
	const struct vmbus_channel_open_channel open = {.header.msgtype = CHANNELMSG_OPENCHANNEL, .child_relid = 1,
	                                                .openid = 1, .ringbuffer_gpadlhandle = 77};
	uint64_t refused = 0;

	if (!start()) {
		return;
	}
	while (blowing()) {
		refused += hv_post_message(&hv, hv.bus.connection_id, &open, sizeof(open)) != HV_STATUS_SUCCESS ? 1 : 0;
	}
	report("refused=%lu", (unsigned long)refused);
	claim(refused != 0, "there is an end to what waits");
	polls(2000);
	claim(hv_bus_unload(&hv), "then it goes on");
}

static void contacts(void)
{
	uint32_t rounds = 0;

	if (!start()) {
		return;
	}
	while (blowing()) {
		struct vmbus_channel_initiate_contact contact = {
			.header.msgtype = CHANNELMSG_INITIATE_CONTACT,
			.vmbus_version_requested = (rounds & 1) != 0 ? VERSION_WIN10_V5_3 : (uint32_t)random_wild(),
			.target_vcpu = (uint32_t)random_wild(), .msg_sint = (uint8_t)random_number(),
		};

		(void)hv_post_message(&hv, VMBUS_MESSAGE_CONNECTION_ID_4, &contact, sizeof(contact));
		(void)hv_post_message(&hv, VMBUS_MESSAGE_CONNECTION_ID, &contact, sizeof(contact));
		hv_poll(&hv);
		rounds++;
	}
	(void)!hv_bus_unload(&hv);
	claim(hv_bus_connect(&hv, VERSION_WIN10_V5_3), "a good contact still works");
}

/* ---------------------------------------------------------------- lists of pages */

struct PACKED gpadl_message {
	struct vmbus_channel_gpadl_header head;
	struct gpa_range range;
	uint64_t frames[26];
};

static uint16_t post_gpadl(uint32_t id, uint16_t range_count, uint16_t range_bytes, struct gpa_range range,
                           uint64_t frame, uint32_t frames)
{
	struct gpadl_message m = {
		.head = {.header.msgtype = CHANNELMSG_GPADL_HEADER, .child_relid = scsi_offer()->child_relid, .gpadl = id,
		         .range_buflen = range_bytes, .rangecount = range_count},
		.range = range,
	};

	for (uint32_t i = 0; i < 26; i++) {
		m.frames[i] = frame;
	}
	return hv_post_message(&hv, hv.bus.connection_id, &m, (uint32_t)(28 + frames * 8));
}

static void post_teardown(uint32_t id)
{
	const struct vmbus_channel_gpadl_teardown t = {
		.header.msgtype = CHANNELMSG_GPADL_TEARDOWN, .child_relid = scsi_offer()->child_relid, .gpadl = id};

	(void)hv_post_message(&hv, hv.bus.connection_id, &t, sizeof(t));
}

/* Does the host make this list? */
static bool is_made(uint32_t id, uint16_t range_count, uint16_t range_bytes, struct gpa_range range, uint64_t frame,
                    uint32_t frames)
{
	struct vmbus_channel_gpadl_created created;

	hv_bus_expect(&hv, CHANNELMSG_GPADL_CREATED, 2, scsi_offer()->child_relid, id);
	if (post_gpadl(id, range_count, range_bytes, range, frame, frames) != HV_STATUS_SUCCESS) {
		hv.bus.wait.type = 0;
		return false;
	}
	for (uint32_t i = 0; i < 300 && !hv.bus.wait.done; i++) {
		hv_poll(&hv);
	}
	hv.bus.wait.type = 0;
	memcpy(&created, hv.bus.wait.bytes, sizeof(created));
	return hv.bus.wait.done && created.creation_status == VMBUS_STATUS_SUCCESS;
}

static void gpadls_lie(void)
{
	uint32_t id = 100;

	if (!start()) {
		return;
	}
	claim(is_made(id++, 1, 16, (struct gpa_range){4096, 0}, pages[0].gfn, 1), "a good list");
	claim(!is_made(100, 1, 16, (struct gpa_range){4096, 0}, pages[1].gfn, 1), "the same number again");
	claim(!is_made(id++, 0, 16, (struct gpa_range){4096, 0}, pages[0].gfn, 1), "no range");
	claim(!is_made(id++, 1, 16, (struct gpa_range){0, 0}, pages[0].gfn, 1), "no bytes");
	claim(!is_made(id++, 1, 16, (struct gpa_range){UINT32_MAX, 0}, pages[0].gfn, 1), "2^32-1 bytes in a page");
	claim(!is_made(id++, 1, 16, (struct gpa_range){4096, 4095}, pages[0].gfn, 1), "an offset that needs a page more");
	claim(!is_made(id++, 1, 16, (struct gpa_range){4096, UINT32_MAX}, pages[0].gfn, 1), "an offset of 2^32-1");
	claim(!is_made(id++, 65535, 16, (struct gpa_range){4096, 0}, pages[0].gfn, 1), "65535 ranges");
	claim(!is_made(id++, 1, 3, (struct gpa_range){4096, 0}, pages[0].gfn, 1), "a list of 3 bytes");
	for (uint32_t i = 0; i < WILD_COUNT; i++) {
		claim(!is_made(id++, 1, 16, (struct gpa_range){4096, 0}, wild(i) >> 12 | 0x100000, 1), "a page where none is");
		claim(!is_made(id++, 1, 16, (struct gpa_range){4096, 0}, wild(i) | 0x100000, 1), "a wild frame");
		post_teardown(id + 1000);
	}
	/* One page many times over is the guest's own affair. */
	(void)is_made(id++, 1, 8 + 26 * 8, (struct gpa_range){26 * 4096, 0}, pages[2].gfn, 26);
	post_teardown(100);
	post_teardown(100);
	polls(200);
	claim(hv_bus_unload(&hv), "it unloads");
}

static void gpadls_never_finish(void)
{
	uint32_t count = 0;

	if (!start()) {
		return;
	}
	for (uint32_t id = 1; id < 2000; id++) {
		count += post_gpadl(id, 1, UINT16_MAX & ~7u, (struct gpa_range){8000u * 4096u, 0}, pages[0].gfn, 26) == 0 ? 1 : 0;
		hv_poll(&hv);
	}
	report("begun=%u", count);
	claim(hv_bus_unload(&hv), "it unloads");
	claim(hv_bus_connect(&hv, VERSION_WIN10_V5_3) && hv_bus_offers(&hv), "and connects again");
	claim(is_made(7, 1, 16, (struct gpa_range){4096, 0}, pages[0].gfn, 1), "a good list");
}

static void gpadls_all_taken(void)
{
	if (!start()) {
		return;
	}
	for (uint32_t round = 0; round < 3; round++) {
		uint32_t count = 0;

		while (count < 1000 && is_made(1 + count, 1, 16, (struct gpa_range){4096, 0}, pages[0].gfn, 1)) {
			count++;
		}
		claim(count >= 64 && count < 1000, "there is an end to lists");
		for (uint32_t i = 0; i <= count; i++) {
			post_teardown(1 + i);
			hv_poll(&hv);
		}
		polls(200);
		report("made=%u", count);
	}
	claim(hv_bus_unload(&hv), "it unloads");
}

/* ---------------------------------------------------------------- channels */

static uint32_t open_result(uint32_t relid, uint32_t gpadl, uint32_t offset)
{
	const struct vmbus_channel_open_channel open = {
		.header.msgtype = CHANNELMSG_OPENCHANNEL, .child_relid = relid, .openid = relid,
		.ringbuffer_gpadlhandle = gpadl, .downstream_ringbuffer_pageoffset = offset};
	struct vmbus_channel_open_result result = {.status = UINT32_MAX};

	hv_bus_expect(&hv, CHANNELMSG_OPENCHANNEL_RESULT, 1, relid, 0);
	(void)hv_post_message(&hv, hv.bus.connection_id, &open, sizeof(open));
	for (uint32_t i = 0; i < 2000 && !hv.bus.wait.done; i++) {
		hv_poll(&hv);
	}
	hv.bus.wait.type = 0;
	if (hv.bus.wait.done) {
		memcpy(&result, hv.bus.wait.bytes, sizeof(result));
	}
	return result.status;
}

static void opens_lie(void)
{
	uint32_t relid, gpadl;

	if (!start()) {
		return;
	}
	relid = scsi_offer()->child_relid;
	channel = (struct hv_channel){.hv = &hv, .relid = relid};
	gpadl = hv_gpadl_create(&channel, pages, 8);
	claim(gpadl != 0, "a list");
	claim(open_result(relid, gpadl + 5, 4) != 0, "a list that is none");
	claim(open_result(relid, gpadl, 0) != 0, "a first ring of no pages");
	claim(open_result(relid, gpadl, 8) != 0, "a second ring of no pages");
	claim(open_result(relid, gpadl, UINT32_MAX) != 0, "a ring that starts far away");
	claim(open_result(relid + 500, gpadl, 4) != 0, "no such channel");
	claim_number(open_result(relid, gpadl, 4), 0, "a good one");
	claim(open_result(relid, gpadl, 4) != 0, "a second time");
	post_teardown(gpadl);
	polls(500);
	for (uint32_t i = 0; i < 20; i++) {
		const struct vmbus_channel_relid close = {
			.header.msgtype = i % 2 == 0 ? CHANNELMSG_CLOSECHANNEL : CHANNELMSG_RELID_RELEASED,
			.child_relid = i < 4 ? relid : (uint32_t)wild(i)};

		(void)hv_post_message(&hv, hv.bus.connection_id, &close, sizeof(close));
		polls(100);
	}
	claim(hv_bus_unload(&hv), "it unloads");
}

/* ---------------------------------------------------------------- rings */

/* Puts an index of the disk's rings at @to and rings; the channel must stop and stay so. */
static void ring_index(bool in, uint32_t offset, uint32_t to)
{
	uint8_t *control;

	if (!start_disk()) {
		return;
	}
	good_disk();
	answers = 0;
	control = stor.channel.pages[in ? stor.channel.ring_pages : 0].bytes;
	guest_store32(control + offset, to);
	(void)hv_signal_event(&hv, stor.channel.connection_id, 0);
	polls(RING_BREAKS);
	if (in) {
		(void)submit(0, false);
	}
	(void)hv_signal_event(&hv, stor.channel.connection_id, 0);
	polls(RING_BREAKS);
	claim_number(answers, 0, "a stopped channel answers nothing");
}

static void ring_ahead(void)
{
	ring_index(false, VMBUS_RING_WRITE_INDEX, 7 * 4096 + 8);
}

static void ring_far(void)
{
	ring_index(false, VMBUS_RING_WRITE_INDEX, UINT32_C(1) << 31);
}

static void ring_unaligned(void)
{
	ring_index(false, VMBUS_RING_WRITE_INDEX, stor.channel.out.own + 1003);
}

static void ring_back(void)
{
	ring_index(false, VMBUS_RING_WRITE_INDEX, 8);
}

static void read_far(void)
{
	ring_index(true, VMBUS_RING_READ_INDEX, UINT32_C(1) << 31);
}

/* A descriptor whose lengths lie, behind good ones. */
static void raw_packet(struct vmpacket_descriptor d)
{
	uint8_t body[64] = {0};
	const struct hv_part parts[] = {{&d, sizeof(d)}, {body, sizeof(body)}};
	bool signal = false;

	(void)hv_ring_send(&stor.channel.out, parts, ARRAY_COUNT(parts), &signal);
	(void)hv_signal_event(&hv, stor.channel.connection_id, 0);
	polls(RING_BREAKS);
}

static void packet_too_long(void)
{
	if (start_disk()) {
		good_disk();
		raw_packet((struct vmpacket_descriptor){.type = VM_PKT_DATA_INBAND, .offset8 = 2, .len8 = UINT16_MAX});
	}
}

static void packet_offset(void)
{
	if (start_disk()) {
		good_disk();
		raw_packet((struct vmpacket_descriptor){.type = VM_PKT_DATA_INBAND, .offset8 = 9, .len8 = 3});
	}
}

static void packet_type(void)
{
	if (start_disk()) {
		good_disk();
		raw_packet((struct vmpacket_descriptor){.type = 77, .offset8 = 2, .len8 = 10});
	}
}

static void ap_move(unsigned int cpu)
{
	(void)cpu;
	while (stop == 0) {
		uint32_t page = 1 + (uint32_t)(random_number() >> 8) % 6;
		volatile uint64_t *words = (volatile uint64_t *)(volatile void *)stor.channel.pages[page].bytes;

		words[(random_number() >> 8) & 511] = random_wild();
	}
}

/* The other CPU rewrites the ring while the host reads it: it stops, or answers what it took. */
static void ring_moves(void)
{
	if (!start_disk()) {
		return;
	}
	claim_number(cpus_start(ap_move), 2, "CPUs");
	while (blowing()) {
		(void)submit((random_number() & 63) * 8, (random_number() & 1) != 0);
		(void)hv_signal_event(&hv, stor.channel.connection_id, 0);
		polls(5);
	}
	stop = 1;
}

/* ---------------------------------------------------------------- the disk */

static void requests_lie(void)
{
	if (!start_disk()) {
		return;
	}
	for (uint32_t i = 0; blowing(); i++) {
		uint8_t packet[64];
		uint64_t gfns[4];
		struct hv_buffer buffer = {.offset = (uint32_t)random_number() & 0xfff, .bytes = 4096, .gfns = gfns};

		for (uint32_t b = 0; b + 8 <= sizeof(packet); b += 8) {
			uint64_t value = random_wild();

			memcpy(packet + b, &value, 8);
		}
		for (uint32_t g = 0; g < 4; g++) {
			gfns[g] = (random_number() & 1) != 0 ? pages[g].gfn : random_wild();
		}
		packet[0] = (uint8_t)(i & 15);
		packet[1] = packet[2] = packet[3] = 0;
		(void)!hv_channel_send_buffers(&stor.channel, 1000 + i, &buffer, 1, packet, sizeof(packet));
		polls(20);
		if (stor.channel.broken) { /* the driver did not ask for what is answered */
			stor.channel.broken = false;
		}
	}
}

/* The device is told of packets that are none, as fast as it can be. */
static void doorbell_storm(void)
{
	uint64_t rings = 0;

	if (!start_disk()) {
		return;
	}
	while (blowing()) {
		claim(hv_signal_event(&hv, stor.channel.connection_id, 0) == HV_STATUS_SUCCESS, "rung");
		rings++;
	}
	report("rings=%lu", (unsigned long)rings);
	good_disk();
}

static void fill(void)
{
	for (uint32_t i = 0; i < 30; i++) {
		(void)submit(i * 8, (i & 1) != 0);
	}
}

static void off_in_flight(void)
{
	if (start_disk()) {
		fill();
	}
}

static void reset_in_flight(void)
{
	if (start_disk()) {
		fill();
		report("doing=reset");
		(void)msr_write_safe(HV_X64_MSR_RESET, 1);
		delay_us(1000000);
	}
}

static void unload_in_flight(void)
{
	uint32_t rounds = 0;

	if (!start_disk()) {
		return;
	}
	while (blowing()) {
		fill();
		hv.bus.channels[0] = NULL;
		claim(hv_bus_unload(&hv), "it unloads with requests under way");
		claim(hv_bus_connect(&hv, VERSION_WIN10_V5_3) && hv_bus_offers(&hv), "and connects again");
		memset(&stor, 0, sizeof(stor));
		claim(hv_storvsc_open(&stor, &hv, 0) && hv_disk_open(&disk, &stor, 0), "and opens");
		rounds++;
		if (machine_pages_out() > machine_pool_pages() - 100) {
			break;
		}
	}
	report("rounds=%u", rounds);
}

static void closes(void)
{
	uint32_t rounds = 0;

	if (!start_disk()) {
		return;
	}
	while (blowing()) {
		fill();
		claim(hv_storvsc_close(&stor), "it closes with requests under way");
		claim(hv_storvsc_open(&stor, &hv, 0) && hv_disk_open(&disk, &stor, 0), "and opens again");
		rounds++;
	}
	report("rounds=%u", rounds);
}

/* ---------------------------------------------------------------- the card */

static void frame_taken(void *context, const struct hv_net_frame *frame)
{
	(void)context;
	(void)frame;
}

static bool start_net(void)
{
	bool ok = start() && hv_netvsc_open(&net, &hv, 0, frame_taken, NULL);

	claim(ok, "the card opens");
	return ok;
}

/* NVSP messages and RNDIS packets of every shape. */
static void frames_lie(void)
{
	if (!start_net()) {
		return;
	}
	for (uint32_t i = 0; blowing(); i++) {
		uint32_t words[10];
		uint64_t gfns[2] = {pages[0].gfn, pages[1].gfn};
		struct hv_buffer buffer = {.bytes = 200 + (uint32_t)(random_number() & 0xfff), .gfns = gfns};
		uint32_t *rndis = (uint32_t *)(void *)pages[0].bytes;

		for (uint32_t w = 0; w < ARRAY_COUNT(words); w++) {
			words[w] = (uint32_t)random_wild();
		}
		for (uint32_t w = 0; w < 64; w++) {
			rndis[w] = (uint32_t)random_wild() & ((random_number() & 1) != 0 ? 0xffu : UINT32_MAX);
		}
		rndis[0] = (i & 3) == 0 ? 1 + (i >> 2 & 7) : 1; /* RNDIS_MSG_PACKET mostly */
		words[0] = (i & 1) != 0 ? 107 : 100 + (i >> 1 & 31); /* SEND_RNDIS_PACKET mostly */
		if ((i & 2) != 0) {
			words[2] = UINT32_MAX; /* no section: the pages */
		}
		if (words[0] == 107) {
			(void)!hv_channel_send_buffers(&net.channel, 5000 + i, &buffer, 1, words, sizeof(words));
		} else {
			(void)!hv_channel_send(&net.channel, 5000 + i, true, words, sizeof(words));
		}
		polls(10);
		net.channel.broken = false;
	}
}

static void net_read_far(void)
{
	if (!start_net()) {
		return;
	}
	guest_store32(net.channel.pages[net.channel.ring_pages].bytes + VMBUS_RING_READ_INDEX, UINT32_C(1) << 31);
	(void)hv_signal_event(&hv, net.channel.connection_id, 0);
	delay_us(500000); /* the neighbours' heartbeats come */
}

static void frames_in_flight(void)
{
	static uint8_t bytes[1500] = {2};
	const struct hv_net_frame frame = {.bytes = bytes, .len = sizeof(bytes)};

	if (!start_net()) {
		return;
	}
	while (blowing()) {
		(void)!hv_netvsc_send(&net, &frame, 1);
		hv_poll(&hv);
	}
	claim(!net.channel.broken, "the channel goes on");
}

const struct hostile_case cases_vmbus[] = {
	{"bus_messages_wild", messages_wild}, {"bus_post_lies", post_lies}, {"bus_messages_unread", messages_unread},
	{"bus_contacts", contacts}, {"bus_gpadls_lie", gpadls_lie}, {"bus_gpadls_never_finish", gpadls_never_finish},
	{"bus_gpadls_all_taken", gpadls_all_taken}, {"bus_opens_lie", opens_lie}, {"bus_ring_ahead", ring_ahead},
	{"bus_ring_far", ring_far}, {"bus_ring_unaligned", ring_unaligned}, {"bus_ring_back", ring_back},
	{"bus_read_far", read_far}, {"bus_packet_too_long", packet_too_long}, {"bus_packet_offset", packet_offset},
	{"bus_packet_type", packet_type}, {"bus_ring_moves", ring_moves}, {"stor_requests_lie", requests_lie},
	{"stor_doorbell_storm", doorbell_storm}, {"stor_off_in_flight", off_in_flight}, {"stor_reset_in_flight", reset_in_flight},
	{"stor_unload_in_flight", unload_in_flight}, {"stor_closes", closes}, {"hvnet_frames_lie", frames_lie},
	{"hvnet_read_far", net_read_far}, {"hvnet_frames_in_flight", frames_in_flight}, {NULL, NULL},
};
