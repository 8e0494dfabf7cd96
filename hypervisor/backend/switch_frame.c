/*
 * switch_frame.c - what the switch does inside a frame. Clauses in switch_frame.h.
 *
 * The payload stays in the sender's pages and may change while it is summed: then a checksum is
 * wrong and the receiver drops the frame, as it would drop one broken on a wire. No offset comes
 * from there.
 */
#include "hypervisor/backend/switch_frame.h"

#include "base/bits.h"
#include "base/mem.h"

#define ETHER_BYTES 14u
#define ETHERTYPE_IPV4 0x0800u
#define ETHERTYPE_IPV6 0x86DDu
#define ETHERTYPE_VLAN 0x8100u
#define ETHERTYPE_QINQ 0x88A8u
#define TAGS_MAX 2u
#define IPV6_BYTES 40u
#define IPV6_EXTENSIONS_MAX 8u
#define PROTO_HOP_BY_HOP 0u
#define PROTO_TCP 6u
#define PROTO_UDP 17u
#define PROTO_ROUTING 43u
#define PROTO_DESTINATION 60u
#define TCP_FIN 0x01u
#define TCP_PSH 0x08u
#define TCP_CWR 0x80u

/* ------------------------------------------------------------------ bytes and sums */

static uint16_t load16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void store16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint32_t load32(const uint8_t *at)
{
	return (uint32_t)load16(at) << 16 | load16(at + 2);
}

static void store32(uint8_t *at, uint32_t value)
{
	store16(at, value >> 16);
	store16(at + 2, value & 0xFFFF);
}

static uint32_t fold(uint64_t sum)
{
	sum = (sum >> 32) + (sum & 0xFFFFFFFFu);
	sum = (sum >> 16) + (sum & 0xFFFF);
	sum = (sum >> 16) + (sum & 0xFFFF);
	return (uint32_t)((sum >> 16) + (sum & 0xFFFF));
}

static uint32_t swap16(uint32_t value)
{
	return (value >> 8 | value << 8) & 0xFFFF;
}

/*
 * The ones' complement sum of big-endian 16-bit words, odd length padded with a zero; 0 to 0xFFFF.
 */
static uint32_t sum_bytes(const uint8_t *at, size_t len)
{
	uint64_t sum = 0, word;

	for (; len >= 8; at += 8, len -= 8) {
		__builtin_memcpy(&word, at, 8); /* one load, where a freestanding compiler would call */
		sum += word;
		sum += sum < word; /* the carry comes round */
	}
	word = 0;
	for (size_t i = 0; i < len; i++) {
		word |= (uint64_t)at[i] << (8 * i);
	}
	sum += word;
	sum += sum < word;
	return swap16(fold(sum)); /* summed as this CPU loads: RFC 1071, 2.B */
}

/*
 * A sum that goes on over pieces of any length: a piece at an odd place counts with its bytes
 * swapped.
 */
struct sum {
	uint64_t value;
	bool odd;
};

static void sum_add(struct sum *sum, const uint8_t *at, size_t len)
{
	uint32_t part = sum_bytes(at, len);

	sum->value += sum->odd ? swap16(part) : part;
	sum->odd ^= (len & 1) != 0;
}

/* ------------------------------------------------------------------ taking a frame */

bool frame_take(struct frame *frame, const struct switch_frame *sent)
{
	uint32_t len = sent->len_bytes;

	frame->sent = sent;
	frame->len_bytes = len;
	frame->segment_bytes = sent->segment_bytes;
	if (len < ETHER_BYTES || len > SWITCH_FRAME_BYTES_MAX || sent->segment_count > SWITCH_SEGMENT_MAX ||
	    io_total_bytes(sent->segments, sent->segment_count) != len) {
		return false;
	}
	frame->head_bytes = len < FRAME_HEAD_BYTES ? len : FRAME_HEAD_BYTES;
	(void)io_copy_out(sent->segments, sent->segment_count, 0, frame->head, frame->head_bytes);
	return true;
}

uint64_t frame_mac(const uint8_t *at)
{
	uint64_t mac = 0;

	memcpy(&mac, at, 6);
	return mac;
}

uint64_t frame_destination(const struct frame *frame)
{
	return frame_mac(frame->head);
}

uint64_t frame_source(const struct frame *frame)
{
	return frame_mac(frame->head + 6);
}

/* ------------------------------------------------------------------ finding the headers */

/* True if @len bytes from @off on lie in our copy. */
static bool head_has(const struct frame *frame, uint32_t off, uint32_t len)
{
	return range_fits(off, len, frame->head_bytes);
}

/* Past the Ethernet header and its tags; 0 as the type if it is cut short. */
static uint32_t ethertype_find(struct frame *frame)
{
	uint32_t off = ETHER_BYTES - 2;
	uint32_t type = load16(frame->head + off);

	for (uint32_t i = 0; i < TAGS_MAX; i++) {
		if (type != ETHERTYPE_VLAN && type != ETHERTYPE_QINQ) {
			break;
		}
		off += 4;
		if (!head_has(frame, off, 2)) {
			return 0;
		}
		type = load16(frame->head + off);
	}
	frame->l3 = off + 2;
	return type;
}

/*
 * IPv4 header that is whole and no fragment. Sets l4 and the end of the packet; the protocol, or
 * -1.
 */
static int ipv4_parse(struct frame *frame, uint32_t *end)
{
	const uint8_t *ip = frame->head + frame->l3;
	uint32_t header_bytes;

	if (!head_has(frame, frame->l3, 20)) {
		return -1;
	}
	header_bytes = (ip[0] & 15u) * 4;
	if (ip[0] >> 4 != 4 || header_bytes < 20 || !head_has(frame, frame->l3, header_bytes) ||
	    (load16(ip + 6) & 0x3FFF) != 0) {
		return -1;
	}
	frame->l4 = frame->l3 + header_bytes;
	*end = frame->l3 + load16(ip + 2);
	return ip[9];
}

static bool is_extension(uint32_t proto)
{
	return proto == PROTO_HOP_BY_HOP || proto == PROTO_ROUTING || proto == PROTO_DESTINATION;
}

/* The same for IPv6. A routing header not at its end hides the address that the checksum needs. */
static int ipv6_parse(struct frame *frame, uint32_t *end)
{
	const uint8_t *ip = frame->head + frame->l3;
	uint32_t off = frame->l3 + IPV6_BYTES;
	uint32_t proto;

	if (!head_has(frame, frame->l3, IPV6_BYTES) || ip[0] >> 4 != 6) {
		return -1;
	}
	proto = ip[6];
	for (uint32_t i = 0; i < IPV6_EXTENSIONS_MAX && is_extension(proto); i++) {
		const uint8_t *extension = frame->head + off;

		if (!head_has(frame, off, 8) || (proto == PROTO_ROUTING && extension[3] != 0)) {
			return -1;
		}
		proto = extension[0];
		off += (extension[1] + 1u) * 8;
	}
	frame->l4 = off;
	*end = frame->l3 + IPV6_BYTES + load16(ip + 4);
	return (int)proto;
}

static bool l4_parse(struct frame *frame, int proto)
{
	const uint8_t *l4 = frame->head + frame->l4;
	uint32_t header_bytes = 8;

	frame->tcp = proto == (int)PROTO_TCP;
	if (frame->tcp) {
		if (!head_has(frame, frame->l4, 20)) {
			return false;
		}
		header_bytes = (uint32_t)(l4[12] >> 4) * 4;
		if (header_bytes < 20) {
			return false;
		}
	} else if (proto != (int)PROTO_UDP || frame->segment_bytes != 0) {
		return false;
	}
	frame->payload = frame->l4 + header_bytes;
	return head_has(frame, frame->l4, header_bytes);
}

/* ------------------------------------------------------------------ making them right */

static uint8_t *checksum_place(const struct frame *frame, uint8_t *head)
{
	return head + frame->l4 + (frame->tcp ? 16 : 6);
}

/*
 * Of a head, for @l4_bytes: the IP length, the IPv4 header checksum, and the pseudo-header's sum.
 */
static void lengths_set(const struct frame *frame, uint8_t *head, uint32_t l4_bytes)
{
	uint8_t *ip = head + frame->l3;
	uint32_t header_bytes = frame->l4 - frame->l3;
	uint64_t pseudo = l4_bytes + (frame->tcp ? PROTO_TCP : PROTO_UDP);

	if (frame->ipv4) {
		store16(ip + 2, header_bytes + l4_bytes);
		store16(ip + 10, 0);
		store16(ip + 10, ~sum_bytes(ip, header_bytes) & 0xFFFF);
		pseudo += sum_bytes(ip + 12, 8);
	} else {
		store16(ip + 4, header_bytes - IPV6_BYTES + l4_bytes);
		pseudo += sum_bytes(ip + 8, 32);
	}
	store16(checksum_place(frame, head), fold(pseudo));
}

/*
 * Where the packet ends, by its own length or, in a large send, by the frame's. False if that
 * cannot be.
 */
static bool end_check(struct frame *frame, uint32_t end)
{
	uint32_t fixed = frame->ipv4 ? 0 : IPV6_BYTES;

	if (frame->segment_bytes != 0) {
		end = frame->len_bytes;
	}
	if (end > frame->len_bytes || end < frame->payload || end - frame->l3 - fixed > 65535) {
		return false;
	}
	frame->l4_bytes = end - frame->l4;
	return true;
}

bool frame_parse(struct frame *frame)
{
	uint32_t type = ethertype_find(frame);
	uint32_t end = 0;
	int proto = -1;

	frame->ipv4 = type == ETHERTYPE_IPV4;
	if (frame->ipv4) {
		proto = ipv4_parse(frame, &end);
	} else if (type == ETHERTYPE_IPV6) {
		proto = ipv6_parse(frame, &end);
	}
	if (proto < 0 || !l4_parse(frame, proto) || !end_check(frame, end)) {
		return false;
	}
	if (frame->segment_bytes != 0 && frame->len_bytes - frame->payload <= frame->segment_bytes) {
		frame->segment_bytes = 0; /* it fits in one */
	}
	lengths_set(frame, frame->head, frame->l4_bytes);
	return true;
}

uint32_t frame_offloads(const struct frame *frame)
{
	uint32_t needed = frame->ipv4 ? SWITCH_CHECKSUM_IPV4 : SWITCH_CHECKSUM_IPV6;

	if (frame->segment_bytes != 0) {
		needed |= frame->ipv4 ? SWITCH_SEGMENT_IPV4 : SWITCH_SEGMENT_IPV6;
	}
	return needed;
}

uint32_t frame_cut_count(const struct frame *frame)
{
	uint32_t bytes = frame->len_bytes - frame->payload;

	return (bytes + frame->segment_bytes - 1) / frame->segment_bytes;
}

/* ------------------------------------------------------------------ pieces */

/* Makes @piece of its first @head_bytes and @len bytes of the sender's from @off on. */
static void piece_slice(const struct frame *frame, struct frame_piece *piece, uint32_t head_bytes,
                        uint32_t off, uint32_t len)
{
	const struct switch_frame *sent = frame->sent;
	uint32_t count = 1;

	piece->slices[0] = (struct io_segment){.bytes = piece->head, .len_bytes = head_bytes};
	piece->out = (struct switch_frame){.segments = piece->slices, .len_bytes = head_bytes + len};
	for (uint32_t i = 0; i < sent->segment_count && len != 0; i++) {
		uint32_t here = sent->segments[i].len_bytes;

		if (off >= here) {
			off -= here;
			continue;
		}
		here = here - off < len ? here - off : len;
		piece->slices[count++] =
		        (struct io_segment){.bytes = sent->segments[i].bytes + off, .len_bytes = here};
		len -= here;
		off = 0;
	}
	piece->out.segment_count = count;
}

void frame_whole(const struct frame *frame, struct frame_piece *piece)
{
	memcpy(piece->head, frame->head, frame->head_bytes);
	piece_slice(frame, piece, frame->head_bytes, frame->head_bytes, frame->len_bytes - frame->head_bytes);
	piece->out.checksum_blank = frame->sent->checksum_blank || frame->sent->segment_bytes != 0;
	piece->out.checksum_good = frame->sent->checksum_good || piece->out.checksum_blank;
	piece->out.segment_bytes = frame->segment_bytes;
}

/*
 * Sums @l4_bytes from the TCP or UDP header on, over the pseudo-header's sum that stands in its
 * place.
 */
static void checksum_fill(const struct frame *frame, struct frame_piece *piece, uint32_t l4_bytes)
{
	struct sum sum = {0};
	uint32_t skip = frame->l4;
	uint32_t left = l4_bytes;
	uint32_t checksum;

	for (uint32_t i = 0; i < piece->out.segment_count && left != 0; i++) {
		uint32_t here = piece->slices[i].len_bytes - skip;

		here = here < left ? here : left;
		sum_add(&sum, piece->slices[i].bytes + skip, here);
		left -= here;
		skip = 0; /* all headers stand in the first slice */
	}
	checksum = ~fold(sum.value) & 0xFFFF;
	if (checksum == 0 && !frame->tcp) {
		checksum = 0xFFFF; /* RFC 768: zero means that there is none */
	}
	store16(checksum_place(frame, piece->head), checksum);
	piece->out.checksum_good = true;
}

void frame_filled(const struct frame *frame, struct frame_piece *piece)
{
	frame_whole(frame, piece);
	piece->out.checksum_blank = false;
	piece->out.segment_bytes = 0;
	checksum_fill(frame, piece, frame->l4_bytes);
}

void frame_cut(const struct frame *frame, uint32_t index, struct frame_piece *piece)
{
	uint32_t done = index * frame->segment_bytes;
	uint32_t left = frame->len_bytes - frame->payload - done;
	bool last = left <= frame->segment_bytes;
	uint32_t bytes = last ? left : frame->segment_bytes;
	uint32_t l4_bytes = frame->payload - frame->l4 + bytes;
	uint8_t *tcp = piece->head + frame->l4;
	uint8_t *ip = piece->head + frame->l3;

	memcpy(piece->head, frame->head, frame->payload);
	piece_slice(frame, piece, frame->payload, frame->payload + done, bytes);
	if (frame->ipv4) {
		store16(ip + 4, load16(ip + 4) + index);
	}
	store32(tcp + 4, load32(tcp + 4) + done);
	if (!last) {
		tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	}
	if (index != 0) {
		tcp[13] &= (uint8_t)~TCP_CWR;
	}
	lengths_set(frame, piece->head, l4_bytes);
	checksum_fill(frame, piece, l4_bytes);
}
