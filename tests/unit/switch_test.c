/*
 * switch_test.c - switch.c and switch_frame.c: who gets a frame, and whether each form of it is
 * right on the wire.
 *
 * The checks here are written anew and slowly from the RFCs: 16 bits at a time, from a flat copy.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "backend/switch.h"
#include "tests/unit/unit.h"

#define KEEP 300u
#define FRAME_MAX 65550u

struct kept {
	uint8_t bytes[FRAME_MAX];
	uint32_t len;
	bool blank, good;
	uint16_t segment_bytes;
};

struct device {
	struct switch_port port;
	struct kept *kept; /* the last KEEP frames are enough */
	uint32_t count;
	bool full;     /* no room */
	bool scribble; /* after each frame the sender's memory changes */
};

static struct ether_switch sw;
static struct device devices[4];
static uint8_t buffer[FRAME_MAX + 64];

static bool deliver(void *context, const struct switch_frame *frame)
{
	struct device *device = context;
	struct kept *kept = &device->kept[device->count % KEEP];

	if (device->full) {
		return false;
	}
	CU_ASSERT_TRUE_FATAL(frame->segment_count <= SWITCH_SEGMENT_MAX + 1);
	CU_ASSERT_EQUAL_FATAL(io_total_bytes(frame->segments, frame->segment_count),
			      frame->len_bytes);
	io_copy_out(frame->segments, frame->segment_count, 0, kept->bytes, frame->len_bytes);
	kept->len = frame->len_bytes;
	kept->blank = frame->checksum_blank;
	kept->good = frame->checksum_good;
	kept->segment_bytes = frame->segment_bytes;
	device->count++;
	if (device->scribble) {
		memset(buffer, 0x5A, 192);
	}
	return true;
}

static const struct switch_port_ops ops = {deliver};

static void start(void)
{
	switch_init(&sw, "lan");
	for (int i = 0; i < 4; i++) {
		if (devices[i].kept == NULL) {
			devices[i].kept = calloc(KEEP, sizeof(struct kept));
		}
		CU_ASSERT_TRUE(switch_add_port(&sw, &devices[i].port));
		switch_connect(&devices[i].port, &ops, &devices[i], 0);
		devices[i].count = 0;
		devices[i].full = false;
		devices[i].scribble = false;
	}
}

static void counts_clear(void)
{
	for (int i = 0; i < 4; i++) {
		devices[i].count = 0;
	}
}

/* ------------------------------------------------------------------ building frames */

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put_mac(uint8_t *at, uint8_t last)
{
	static const uint8_t head[5] = {2, 0, 0, 0, 0};

	memcpy(at, head, 5);
	at[5] = last;
}

struct shape {
	uint8_t from, to;
	bool ipv6, udp;
	uint32_t tags;       /* VLAN */
	uint32_t ip_options; /* IPv4: bytes; IPv6: 1 = a destination options header of 16 bytes */
	uint32_t tcp_options;
	uint32_t payload;
	uint8_t flags;
	uint32_t l3, l4, data, len; /* filled in */
};

static uint32_t build_l3(struct shape *shape, uint32_t l4_bytes)
{
	uint8_t *ip = buffer + shape->l3;
	uint8_t proto = shape->udp ? 17 : 6;

	if (!shape->ipv6) {
		ip[0] = (uint8_t)(0x45 + shape->ip_options / 4);
		put16(ip + 2, 20 + shape->ip_options + l4_bytes);
		put16(ip + 4, 0xFFFE); /* the id wraps in a cut */
		put16(ip + 6, 0x4000);
		ip[8] = 64;
		ip[9] = proto;
		memcpy(ip + 12, "\x0A\x01\x02\x03\x0A\x01\x02\xFE", 8);
		memset(ip + 20, 1, shape->ip_options);
		return shape->l3 + 20 + shape->ip_options;
	}
	ip[0] = 0x60;
	put16(ip + 4, l4_bytes + shape->ip_options * 16);
	ip[6] = shape->ip_options ? 60 : proto;
	ip[7] = 64;
	for (uint8_t i = 0; i < 32; i++) {
		ip[8 + i] = (uint8_t)(0xFD + i * 11);
	}
	if (shape->ip_options) {
		ip[40] = proto;
		ip[41] = 1;
	}
	return shape->l3 + 40 + shape->ip_options * 16;
}

/* Checksums are left zero. */
static void build(struct shape *shape)
{
	uint32_t off = 12, l4_bytes = (shape->udp ? 8 : 20 + shape->tcp_options) + shape->payload;

	memset(buffer, 0, sizeof(buffer));
	put_mac(buffer, shape->to);
	put_mac(buffer + 6, shape->from);
	for (uint32_t i = 0; i < shape->tags; i++, off += 4) {
		put16(buffer + off, i + 1 < shape->tags ? 0x88A8 : 0x8100);
		put16(buffer + off + 2, 42);
	}
	put16(buffer + off, shape->ipv6 ? 0x86DD : 0x0800);
	shape->l3 = off + 2;
	shape->l4 = build_l3(shape, l4_bytes);
	put16(buffer + shape->l4, 1234);
	put16(buffer + shape->l4 + 2, 80);
	if (shape->udp) {
		put16(buffer + shape->l4 + 4, l4_bytes);
	} else {
		memcpy(buffer + shape->l4 + 4, "\xFF\xFF\xFF\x00", 4); /* the sequence wraps */
		buffer[shape->l4 + 12] = (uint8_t)((5 + shape->tcp_options / 4) << 4);
		buffer[shape->l4 + 13] = shape->flags;
		memset(buffer + shape->l4 + 20, 1, shape->tcp_options);
	}
	shape->data = shape->l4 + l4_bytes - shape->payload;
	shape->len = shape->data + shape->payload;
	for (uint32_t i = 0; i < shape->payload; i++) {
		buffer[shape->data + i] = (uint8_t)(i * 31 + i / 256);
	}
}

/* Sends the buffer in pieces of @cut bytes (or as few as are allowed). */
static void send_as(uint8_t from, uint32_t len, uint32_t cut, bool blank, uint16_t segment_bytes)
{
	struct io_segment segments[SWITCH_SEGMENT_MAX];
	struct switch_frame frame = {.segments = segments,
				     .len_bytes = len,
				     .checksum_blank = blank,
				     .segment_bytes = segment_bytes};

	for (uint32_t off = 0; off < len;) {
		uint32_t here = cut < len - off ? cut : len - off;

		if (frame.segment_count == SWITCH_SEGMENT_MAX - 1) {
			here = len - off;
		}
		segments[frame.segment_count++] =
			(struct io_segment){.bytes = buffer + off, .len_bytes = here};
		off += here;
	}
	switch_send(&devices[from].port, &frame);
}

/* ------------------------------------------------------------------ judging frames */

static uint32_t sum_words(const uint8_t *at, uint32_t len, uint32_t sum)
{
	for (uint32_t i = 0; i < len; i++) {
		sum += i % 2 == 0 ? (uint32_t)at[i] << 8 : at[i];
		sum = (sum & 0xFFFF) + (sum >> 16);
	}
	return sum;
}

static uint32_t pseudo_sum(const struct shape *shape, const uint8_t *frame, uint32_t l4_bytes)
{
	uint32_t sum = l4_bytes / 65536 + l4_bytes % 65536 + (shape->udp ? 17 : 6);

	return shape->ipv6 ? sum_words(frame + shape->l3 + 8, 32, sum)
			   : sum_words(frame + shape->l3 + 12, 8, sum);
}

/* The lengths and the IPv4 header's checksum. Returns the bytes from the TCP or UDP header on. */
static uint32_t judge_ip(const struct shape *shape, const struct kept *kept, uint32_t padding)
{
	const uint8_t *ip = kept->bytes + shape->l3;

	if (shape->ipv6) {
		CU_ASSERT_EQUAL(get16(ip + 4), kept->len - padding - shape->l3 - 40);
	} else {
		CU_ASSERT_EQUAL(get16(ip + 2), kept->len - padding - shape->l3);
		CU_ASSERT_EQUAL(sum_words(ip, shape->l4 - shape->l3, 0), 0xFFFF);
	}
	return kept->len - padding - shape->l4;
}

static void judge_filled(const struct shape *shape, const struct kept *kept, uint32_t padding)
{
	uint32_t l4_bytes = judge_ip(shape, kept, padding);

	CU_ASSERT_FALSE(kept->blank);
	CU_ASSERT_TRUE(kept->good);
	CU_ASSERT_EQUAL(kept->segment_bytes, 0);
	CU_ASSERT_EQUAL(sum_words(kept->bytes + shape->l4, l4_bytes,
				  pseudo_sum(shape, kept->bytes, l4_bytes)),
			0xFFFF);
}

static void judge_blank(const struct shape *shape, const struct kept *kept, uint32_t padding)
{
	uint32_t l4_bytes = judge_ip(shape, kept, padding);

	CU_ASSERT_TRUE(kept->blank);
	CU_ASSERT_EQUAL(get16(kept->bytes + shape->l4 + (shape->udp ? 6 : 16)),
			pseudo_sum(shape, kept->bytes, l4_bytes));
}

/* ------------------------------------------------------------------ who gets it */

static void send_between(uint8_t from, uint8_t source, uint8_t to)
{
	struct shape shape = {.from = source, .to = to, .udp = true, .payload = 20};

	build(&shape);
	send_as(from, shape.len, 1000, false, 0);
}

static void test_learning(void)
{
	start();
	send_between(0, 10, 11); /* unknown: to all but the sender */
	CU_ASSERT_EQUAL(devices[0].count, 0);
	CU_ASSERT_EQUAL(devices[1].count + devices[2].count + devices[3].count, 3);
	send_between(1, 11, 10); /* known now */
	CU_ASSERT_EQUAL(devices[0].count, 1);
	CU_ASSERT_EQUAL(devices[2].count, 1);
	counts_clear();
	send_between(0, 10, 11);
	CU_ASSERT_EQUAL(devices[1].count, 1);
	CU_ASSERT_EQUAL(devices[2].count + devices[3].count, 0);
	send_between(2, 11, 10); /* it has moved */
	send_between(0, 10, 11);
	CU_ASSERT_EQUAL(devices[1].count, 1);
	CU_ASSERT_EQUAL(devices[2].count, 1);
	send_between(2, 12, 11); /* behind the sender itself: nowhere */
	CU_ASSERT_EQUAL(devices[0].count + devices[3].count, 1);
	switch_disconnect(&devices[2].port);
	counts_clear();
	send_between(0, 10, 11); /* forgotten */
	CU_ASSERT_EQUAL(devices[1].count, 1);
	CU_ASSERT_EQUAL(devices[2].count, 0);
	CU_ASSERT_EQUAL(devices[3].count, 1);
}

static void test_groups(void)
{
	start();
	send_between(1, 11, 11);
	counts_clear();
	memset(buffer, 0xFF, 6);
	buffer[6] = 0x03; /* a group as the source is not learned */
	send_as(0, 60, 60, false, 0);
	CU_ASSERT_EQUAL(devices[1].count + devices[2].count + devices[3].count, 3);
	memset(buffer, 0, 12);
	memcpy(buffer, buffer + 100, 6);
	buffer[0] = 0x03;
	send_as(1, 60, 60, false, 0); /* to that group: to all */
	CU_ASSERT_EQUAL(devices[0].count, 1);
	CU_ASSERT_EQUAL(devices[2].count, 2);
	memset(buffer, 0, 6); /* to no address: as unknown */
	send_as(1, 60, 60, false, 0);
	CU_ASSERT_EQUAL(devices[0].count, 2);
}

/* A sender that invents addresses loses its own, not another's. */
static void test_invented_addresses(void)
{
	start();
	send_between(1, 11, 10);
	for (uint8_t i = 0; i < 200; i++) {
		send_between(0, (uint8_t)(20 + i), 11);
	}
	counts_clear();
	send_between(2, 12, 11);
	CU_ASSERT_EQUAL(devices[1].count, 1);
	CU_ASSERT_EQUAL(devices[3].count, 0);
	send_between(2, 12, 20); /* invented first: lost */
	CU_ASSERT_EQUAL(devices[3].count, 1);
	send_between(2, 12, 219); /* the last one: known */
	CU_ASSERT_EQUAL(devices[3].count, 1);
}

/* An address that the configuration gave to one port: no other port sends from it, or gets what is for it. */
static void test_own_address(void)
{
	static const uint8_t own[6] = {2, 0, 0, 0, 0, 11};
	static const uint8_t group[6] = {3, 0, 0, 0, 0, 11};
	struct switch_counts counts;

	start();
	switch_set_address(&devices[1].port, own);
	switch_set_address(&devices[2].port, own); /* it is another's: nothing */
	switch_set_address(&devices[2].port, group); /* nothing */
	send_between(0, 11, 12);
	CU_ASSERT_EQUAL(devices[1].count + devices[2].count + devices[3].count, 0);
	switch_counts_get(&devices[0].port, &counts);
	CU_ASSERT_EQUAL(counts.spoofed_frames, 1);
	CU_ASSERT_EQUAL(counts.dropped_frames, 1);
	send_between(2, 12, 11);
	CU_ASSERT_EQUAL(devices[1].count, 1);
	CU_ASSERT_EQUAL(devices[0].count + devices[3].count, 0);
	/* What its device invents beside it pushes the invented ones out, not this one. */
	for (uint8_t i = 0; i < 20; i++) {
		send_between(1, (uint8_t)(40 + i), 12);
	}
	counts_clear();
	send_between(2, 12, 11);
	CU_ASSERT_EQUAL(devices[1].count, 1);
	CU_ASSERT_EQUAL(devices[0].count + devices[3].count, 0);
	/* While no device is connected it stays the port's. */
	switch_disconnect(&devices[1].port);
	counts_clear();
	send_between(0, 11, 12);
	send_between(2, 12, 11);
	CU_ASSERT_EQUAL(devices[0].count + devices[2].count + devices[3].count, 0);
	switch_remove_port(&devices[1].port);
	send_between(0, 11, 12);
	CU_ASSERT_EQUAL(devices[2].count, 1);
}

static void test_no_room_and_counts(void)
{
	struct switch_counts counts;

	start();
	send_between(1, 11, 10);
	devices[1].full = true;
	send_between(0, 10, 11);
	switch_counts_get(&devices[1].port, &counts);
	CU_ASSERT_EQUAL(counts.dropped_frames, 1);
	CU_ASSERT_EQUAL(counts.received_frames, 0);
	CU_ASSERT_EQUAL(counts.sent_frames, 1);
	switch_counts_get(&devices[0].port, &counts);
	CU_ASSERT_EQUAL(counts.sent_bytes, 62);
	CU_ASSERT_EQUAL(counts.received_bytes, 62);
	CU_ASSERT_EQUAL(counts.dropped_frames, 0);
}

static void test_bad_lengths(void)
{
	struct io_segment segments[SWITCH_SEGMENT_MAX + 1];
	struct switch_frame frame = {.segments = segments, .segment_count = 1, .len_bytes = 100};
	struct switch_counts counts;

	start();
	send_as(0, 13, 13, false, 0);
	send_as(0, FRAME_MAX + 1, FRAME_MAX, false, 0);
	segments[0] = (struct io_segment){.bytes = buffer, .len_bytes = 99};
	switch_send(&devices[0].port, &frame); /* lengths do not agree */
	for (uint32_t i = 0; i <= SWITCH_SEGMENT_MAX; i++) {
		segments[i] = (struct io_segment){.bytes = buffer, .len_bytes = 4};
	}
	frame.segment_count = SWITCH_SEGMENT_MAX + 1;
	switch_send(&devices[0].port, &frame);
	switch_counts_get(&devices[0].port, &counts);
	CU_ASSERT_EQUAL(counts.dropped_frames, 4);
	CU_ASSERT_EQUAL(devices[1].count, 0);
	send_as(0, 14, 1, false, 0);
	send_as(0, FRAME_MAX, 4096, false, 0);
	CU_ASSERT_EQUAL(devices[1].count, 2);
}

static void test_ports(void)
{
	static struct switch_port ports[SWITCH_PORT_MAX];
	struct switch_port one_more;

	switch_init(&sw, "a name that is longer than its place in the switch");
	CU_ASSERT_EQUAL(strlen(sw.name), 31);
	for (uint32_t i = 0; i < SWITCH_PORT_MAX; i++) {
		CU_ASSERT_TRUE(switch_add_port(&sw, &ports[i]));
	}
	CU_ASSERT_FALSE(switch_add_port(&sw, &one_more));
	switch_remove_port(&ports[63]);
	switch_remove_port(&ports[5]);
	CU_ASSERT_EQUAL(sw.port_end, 63);
	CU_ASSERT_TRUE(switch_add_port(&sw, &one_more));
	CU_ASSERT_EQUAL(one_more.index, 5);
}

/* ------------------------------------------------------------------ checksums */

/* All forms of a header, in every way of cutting the sender's memory. */
static void each_shape(void (*test)(struct shape *shape, uint32_t cut))
{
	static const uint32_t cuts[] = {1, 7, 64, 191, 192, 193, 4096, 65536};

	for (uint32_t form = 0; form < 32; form++) {
		for (size_t c = 0; c < sizeof(cuts) / sizeof(cuts[0]); c++) {
			struct shape shape = {.from = 10,
					      .to = 11,
					      .ipv6 = (form & 1) != 0,
					      .udp = (form & 2) != 0,
					      .tags = (form >> 2 & 3) % 3,
					      .flags = 0x99}; /* CWR ACK PSH FIN */

			if ((form & 16) != 0) {
				shape.ip_options = shape.ipv6 ? 1 : 40;
				shape.tcp_options = 40;
			}
			test(&shape, cuts[c]);
		}
	}
}

static void start_pair(uint32_t offloads)
{
	start();
	send_between(0, 10, 11);
	send_between(1, 11, 10);
	switch_set_offloads(&devices[1].port, offloads);
	counts_clear();
}

static void fill_one(struct shape *shape, uint32_t cut)
{
	static const uint32_t sizes[] = {0, 1, 2, 3, 100, 999, 1460};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint32_t padding = i % 2 == 0 ? 0 : 5;

		shape->payload = sizes[i];
		build(shape);
		memset(buffer + shape->len, 0xEE, padding);
		put16(buffer + shape->l4 + (shape->udp ? 6 : 16), 0x1234); /* whatever is there */
		counts_clear();
		switch_set_offloads(&devices[1].port, 0);
		send_as(0, shape->len + padding, cut, true, 0);
		CU_ASSERT_EQUAL_FATAL(devices[1].count, 1);
		CU_ASSERT_EQUAL(devices[1].kept[0].len, shape->len + padding);
		judge_filled(shape, &devices[1].kept[0], padding);
		CU_ASSERT_EQUAL(memcmp(devices[1].kept[0].bytes + shape->data,
				       buffer + shape->data, shape->payload), 0);
		switch_set_offloads(&devices[1].port,
				    shape->ipv6 ? SWITCH_CHECKSUM_IPV6 : SWITCH_CHECKSUM_IPV4);
		send_as(0, shape->len + padding, cut, true, 0);
		judge_blank(shape, &devices[1].kept[1], padding);
		CU_ASSERT_EQUAL_FATAL(devices[1].count, 2);
	}
}

static void test_checksums(void)
{
	struct switch_counts counts;

	start_pair(0);
	each_shape(fill_one);
	switch_counts_get(&devices[0].port, &counts);
	CU_ASSERT_EQUAL(counts.checksums_filled, 32 * 8 * 7);
	CU_ASSERT_EQUAL(counts.dropped_frames, 0);
}

/* A UDP checksum that comes out as zero is sent as ones. */
static void test_udp_zero(void)
{
	struct shape shape = {.from = 10, .to = 11, .udp = true, .payload = 2};
	uint32_t sum;

	start_pair(0);
	build(&shape);
	put16(buffer + shape.data, 0);
	sum = sum_words(buffer + shape.l4, 10, pseudo_sum(&shape, buffer, 10));
	put16(buffer + shape.data, 0xFFFF - sum);
	send_as(0, shape.len, 60, true, 0);
	CU_ASSERT_EQUAL(get16(devices[1].kept[0].bytes + shape.l4 + 6), 0xFFFF);
	judge_filled(&shape, &devices[1].kept[0], 0);
}

/* To some as it is, to others done: one frame to all. */
static void test_mixed_receivers(void)
{
	struct shape shape = {.from = 10, .to = 99, .payload = 5000, .flags = 0x18};

	start();
	switch_set_offloads(&devices[1].port, SWITCH_CHECKSUM_IPV4 | SWITCH_SEGMENT_IPV4);
	switch_set_offloads(&devices[2].port, SWITCH_CHECKSUM_IPV4);
	build(&shape);
	send_as(0, shape.len, 4096, true, 1460);
	CU_ASSERT_EQUAL(devices[1].count, 1);
	CU_ASSERT_EQUAL(devices[1].kept[0].segment_bytes, 1460);
	judge_blank(&shape, &devices[1].kept[0], 0);
	CU_ASSERT_EQUAL(devices[2].count, 4);
	CU_ASSERT_EQUAL(devices[3].count, 4);
	CU_ASSERT_EQUAL(devices[0].port.counts.sent_whole, 1);
	CU_ASSERT_EQUAL(devices[0].port.counts.sent_segmented, 1);
}

/* ------------------------------------------------------------------ segmentation */

static void judge_cut(const struct shape *shape, uint32_t mss)
{
	uint32_t count = (shape->payload + mss - 1) / mss, done = 0;

	CU_ASSERT_EQUAL_FATAL(devices[1].count, count);
	for (uint32_t i = 0; i < count; i++) {
		const struct kept *kept = &devices[1].kept[i];
		uint8_t flags = shape->flags;
		uint32_t bytes = i + 1 < count ? mss : shape->payload - done;

		flags &= (uint8_t)(i == 0 ? 0xFF : 0x7F);
		flags &= (uint8_t)(i + 1 < count ? 0xF6 : 0xFF);
		CU_ASSERT_EQUAL_FATAL(kept->len, shape->data + bytes);
		judge_filled(shape, kept, 0);
		CU_ASSERT_EQUAL(get32(kept->bytes + shape->l4 + 4), 0xFFFFFF00u + done);
		CU_ASSERT_EQUAL(kept->bytes[shape->l4 + 13], flags);
		CU_ASSERT_EQUAL(
			memcmp(kept->bytes + shape->data, buffer + shape->data + done, bytes), 0);
		CU_ASSERT_EQUAL(memcmp(kept->bytes, buffer, shape->l3), 0);
		CU_ASSERT_TRUE(shape->ipv6 ||
			       get16(kept->bytes + shape->l3 + 4) == (uint16_t)(0xFFFE + i));
		done += bytes;
	}
}

static void cut_one(struct shape *shape, uint32_t cut)
{
	static const uint32_t sizes[] = {101, 1460, 1461, 4380, 20001};

	if (shape->udp || shape->tags > 1) {
		return;
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		shape->payload = sizes[i];
		build(shape);
		if (i % 2 == 0) { /* as NDIS leaves them */
			put16(buffer + shape->l3 + (shape->ipv6 ? 4 : 2), 0);
		}
		counts_clear();
		send_as(0, shape->len, cut, i != 1, (uint16_t)(i == 0 ? 100 : 1460));
		judge_cut(shape, i == 0 ? 100 : 1460);
	}
}

static void test_segmentation(void)
{
	start_pair(0);
	each_shape(cut_one);
	CU_ASSERT_EQUAL(devices[0].port.counts.dropped_frames, 0);
}

static void test_largest(void)
{
	struct shape shape = {.from = 10, .to = 11, .flags = 0x10};

	start_pair(0);
	shape.payload = 65535 - 40;
	build(&shape);
	send_as(0, shape.len, 4096, true, 1448);
	judge_cut(&shape, 1448);
	counts_clear();
	send_as(0, shape.len, 4096, true, 255); /* 257 segments */
	CU_ASSERT_EQUAL(devices[1].count, 0);
	CU_ASSERT_EQUAL(devices[0].port.counts.dropped_frames, 1);
	send_as(0, shape.len, 4096, true, 256);
	CU_ASSERT_EQUAL(devices[1].count, 256);
	shape.payload++; /* no IPv4 length says so much */
	build(&shape);
	send_as(0, shape.len, 4096, true, 1448);
	CU_ASSERT_EQUAL(devices[0].port.counts.dropped_frames, 2);
}

/* Small enough for one: the same as a blank checksum. */
static void test_large_that_is_small(void)
{
	struct shape shape = {.from = 10, .to = 11, .payload = 1000, .flags = 0x19};

	start_pair(0);
	build(&shape);
	send_as(0, shape.len, 4096, true, 1000);
	CU_ASSERT_EQUAL(devices[1].count, 1);
	judge_filled(&shape, &devices[1].kept[0], 0);
	CU_ASSERT_EQUAL(devices[1].kept[0].bytes[shape.l4 + 13], 0x19);
	CU_ASSERT_EQUAL(devices[0].port.counts.sent_segmented, 0);
}

/* What its flags do not fit is dropped, whole. */
static void test_lies(void)
{
	static const struct {
		uint32_t at; /* from the IP header */
		uint8_t value;
		bool ipv6, udp, large;
	} lies[] = {
		{0, 0x55, false, false, false}, /* version */
		{0, 0x44, false, false, false}, /* header too short */
		{0, 0x4F, false, true, false},  /* options beyond the frame */
		{6, 0x20, false, false, true},  /* a fragment */
		{7, 0x01, false, false, true},
		{9, 1, false, false, false},    /* ICMP */
		{3, 200, false, false, false},  /* longer than the frame */
		{3, 30, false, false, false},   /* shorter than its headers */
		{32, 0x40, false, false, true}, /* TCP header too short */
		{32, 0xF0, false, false, true}, /* too long */
		{0, 0x40, true, false, false},
		{6, 44, true, false, false},    /* a fragment header */
		{6, 59, true, false, false},
		{6, 43, true, false, false},    /* a routing header: see its bytes */
		{6, 0, true, true, false},      /* hop-by-hop over the whole */
		{5, 200, true, false, false},
	};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct shape shape = {
			.from = 10, .to = 11, .ipv6 = lies[i].ipv6, .udp = lies[i].udp};

		start_pair(0);
		build(&shape);
		buffer[shape.l3 + 40 + 3] |= lies[i].ipv6 ? 1 : 0;
		buffer[shape.l3 + lies[i].at] = lies[i].value;
		send_as(0, shape.len, 60, true, lies[i].large ? 10 : 0);
		CU_ASSERT_EQUAL(devices[1].count, 0);
		CU_ASSERT_EQUAL(devices[0].port.counts.dropped_frames, 1);
	}
}

static void test_lies_of_length(void)
{
	start_pair(0xF);
	for (uint32_t form = 0; form < 4; form++) {
		struct shape shape = {
			.from = 10, .to = 11, .ipv6 = (form & 1) != 0, .udp = (form & 2) != 0};

		shape.tags = 2;
		build(&shape);
		for (uint32_t len = 14; len < shape.len; len++) { /* cut off anywhere */
			send_as(0, len, 60, true, 0);
			send_as(0, len, 60, true, 1000);
		}
		send_as(0, shape.len, 60, false, shape.udp ? 1000 : 0); /* UDP is not cut */
	}
	CU_ASSERT_EQUAL(devices[1].count, 2);
}

/*
 * The sender's memory changes while it is sent: what is delivered has the headers that were
 * checked.
 */
static void test_headers_are_ours(void)
{
	struct shape shape = {.from = 10, .to = 99, .payload = 5000, .flags = 0x18};

	start();
	devices[1].scribble = true;
	build(&shape);
	send_as(0, shape.len, 4096, true, 1460);
	CU_ASSERT_EQUAL(devices[3].count, 4);
	for (uint32_t i = 0; i < 4; i++) {
		const struct kept *kept = &devices[3].kept[i];

		CU_ASSERT_EQUAL(judge_ip(&shape, kept, 0), kept->len - shape.l4);
		CU_ASSERT_EQUAL(get32(kept->bytes + shape.l4 + 4), 0xFFFFFF00u + i * 1460);
		CU_ASSERT_EQUAL(kept->bytes[5], 99);
	}
	build(&shape);
	send_as(0, 60, 60, false, 0); /* a plain one too */
	CU_ASSERT_EQUAL(devices[3].kept[4].bytes[5], 99);
	CU_ASSERT_EQUAL(buffer[5], 0x5A);
}

static void test_random_frames(void)
{
	srand(3);
	start_pair(0);
	for (int round = 0; round < 30000; round++) {
		struct shape shape = {
			.from = 10, .to = 11, .ipv6 = rand() % 2, .udp = rand() % 4 == 0};
		uint32_t len;

		shape.tags = (uint32_t)rand() % 3;
		shape.payload = (uint32_t)rand() % 400;
		build(&shape);
		for (int i = rand() % 4; i > 0; i--) {
			buffer[12 + rand() % 80] = (uint8_t)rand();
		}
		len = rand() % 3 == 0 ? 14 + (uint32_t)rand() % 100 : shape.len;
		switch_set_offloads(&devices[1].port, (uint32_t)rand() % 16);
		send_as(0, len, 1 + (uint32_t)rand() % 200, rand() % 2, (uint16_t)(rand() % 100));
		counts_clear();
	}
}

/* ------------------------------------------------------------------ threads */

static bool count_only(void *context, const struct switch_frame *frame)
{
	struct device *device = context;
	uint8_t bytes[64];

	io_copy_out(frame->segments, frame->segment_count, 0, bytes, sizeof(bytes));
	device->count++;
	return true;
}

static void *sender(void *context)
{
	static const struct switch_port_ops count_ops = {count_only};
	struct device *device = context;
	uint8_t bytes[60] = {2, 0, 0, 0, 0, (uint8_t)rand(), 2, 0, 0, 0, 0, (uint8_t)rand()};
	struct io_segment segment = {bytes, sizeof(bytes)};
	struct switch_frame frame = {.segments = &segment, .segment_count = 1, .len_bytes = 60};

	for (int i = 0; i < 2000; i++) {
		switch_connect(&device->port, &count_ops, device, 0);
		switch_send(&device->port, &frame);
		if (i % 10 == 0) {
			switch_disconnect(&device->port);
			device->count++; /* on disconnect's return nothing else counts */
		}
	}
	switch_disconnect(&device->port);
	return NULL;
}

static void test_threads(void)
{
	pthread_t threads[4];

	start();
	for (int i = 0; i < 4; i++) {
		switch_disconnect(&devices[i].port);
		pthread_create(&threads[i], NULL, sender, &devices[i]);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		CU_ASSERT_EQUAL(devices[i].port.counts.sent_frames, 2000);
	}
}

static void test_end(void)
{
	for (int i = 0; i < 4; i++) {
		free(devices[i].kept);
		devices[i].kept = NULL;
	}
}

UNIT_MAIN("switch", UNIT_TEST(test_learning), UNIT_TEST(test_groups),
	  UNIT_TEST(test_invented_addresses), UNIT_TEST(test_own_address), UNIT_TEST(test_no_room_and_counts),
	  UNIT_TEST(test_bad_lengths), UNIT_TEST(test_ports), UNIT_TEST(test_checksums),
	  UNIT_TEST(test_udp_zero), UNIT_TEST(test_mixed_receivers), UNIT_TEST(test_segmentation),
	  UNIT_TEST(test_largest), UNIT_TEST(test_large_that_is_small), UNIT_TEST(test_lies),
	  UNIT_TEST(test_lies_of_length), UNIT_TEST(test_headers_are_ours),
	  UNIT_TEST(test_random_frames), UNIT_TEST(test_threads), UNIT_TEST(test_end))
