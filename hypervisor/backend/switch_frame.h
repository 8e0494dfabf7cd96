/*
 * switch_frame.h - headers, checksums and segmentation of one frame; for switch.c only.
 *
 * IEEE 802.3 and 802.1Q (up to two tags), RFC 791, RFC 8200 with hop-by-hop, routing and
 * destination headers, RFC 9293, RFC 768; checksums by RFC 1071.
 */
#ifndef BACKEND_SWITCH_FRAME_H
#define BACKEND_SWITCH_FRAME_H

#include "backend/switch.h"

/* Two tags, the longest IPv4 and TCP headers; and room for IPv6's extensions. */
#define FRAME_HEAD_BYTES 192u
#define FRAME_SLICES_MAX (SWITCH_SEGMENT_MAX + 1)

/* A frame whose first bytes are our own copy: what was parsed is what is delivered. */
struct frame {
	const struct switch_frame *sent;
	uint8_t head[FRAME_HEAD_BYTES];
	uint32_t head_bytes;
	uint32_t len_bytes;
	uint16_t segment_bytes; /* 0: it is no large send */

	/* Of TCP or UDP over IP, once frame_parse() was true: offsets from the start. */
	bool ipv4;
	bool tcp;
	uint32_t l3, l4, payload;
	uint32_t l4_bytes; /* header and payload, without padding of the frame */
};

/* Something to give to deliver: a head of ours and slices of the sender's segments. */
struct frame_piece {
	uint8_t head[FRAME_HEAD_BYTES];
	struct io_segment slices[FRAME_SLICES_MAX];
	struct switch_frame out;
};

/* Copies the head. False: too short or long, too many segments, or lengths that do not agree. */
MUST_CHECK bool frame_take(struct frame *frame, const struct switch_frame *sent);
uint64_t frame_destination(const struct frame *frame); /* MAC address, first byte lowest */
uint64_t frame_source(const struct frame *frame);

/* An address as a number: the first byte lowest. */
uint64_t frame_mac(const uint8_t *at);

/*
 * For a frame with a blank checksum or a large send: finds its headers and makes its lengths, its
 * IPv4 header checksum and its pseudo-header sum right. False if it is not what its flags say.
 */
MUST_CHECK bool frame_parse(struct frame *frame);
/* What a receiver must have negotiated to take the parsed frame as it is: enum switch_offload. */
uint32_t frame_offloads(const struct frame *frame);
/* Into how many segments it is to be cut. */
uint32_t frame_cut_count(const struct frame *frame);

/* The frame as it was sent (blank and large if it was parsed as such), behind our head. */
void frame_whole(const struct frame *frame, struct frame_piece *piece);
/* The same with its TCP or UDP checksum filled in. */
void frame_filled(const struct frame *frame, struct frame_piece *piece);
/* Segment @index, below frame_cut_count(), complete with checksums. */
void frame_cut(const struct frame *frame, uint32_t index, struct frame_piece *piece);

#endif /* BACKEND_SWITCH_FRAME_H */
