/*
 * ring.c - one direction of a channel (abi/vmbus.h, rings).
 *
 * The host can write the whole ring at any time: its index is checked on each use, ours is kept in
 * our memory, a packet is copied before anything in it is believed.
 */
#include "guest-drivers/hyperv/hyperv.h"

void hv_ring_init(struct hv_ring *ring, const struct guest_page *pages, uint32_t page_count)
{
	*ring = (struct hv_ring){.pages = pages, .data_bytes = (page_count - 1) * PAGE_BYTES};
}

static bool index_is_right(const struct hv_ring *ring, uint32_t raw_index)
{
	return raw_index < ring->data_bytes && raw_index % 8 == 0;
}

static uint32_t used_bytes(const struct hv_ring *ring, uint32_t write, uint32_t read)
{
	return write >= read ? write - read : ring->data_bytes - read + write;
}

static uint32_t advance(const struct hv_ring *ring, uint32_t index, uint32_t bytes)
{
	index += bytes;
	return index >= ring->data_bytes ? index - ring->data_bytes : index;
}

static uint8_t *data_at(const struct hv_ring *ring, uint32_t index, uint32_t *left)
{
	*left = PAGE_BYTES - index % PAGE_BYTES;
	return ring->pages[1 + index / PAGE_BYTES].bytes + index % PAGE_BYTES;
}

static uint32_t copy_in(const struct hv_ring *ring, uint32_t index, const void *from, uint32_t len)
{
	const uint8_t *at = from;

	while (len != 0) {
		uint32_t here;
		uint8_t *to = data_at(ring, index, &here);

		here = here < len ? here : len;
		memcpy(to, at, here);
		index = advance(ring, index, here);
		at += here;
		len -= here;
	}
	return index;
}

static void copy_out(const struct hv_ring *ring, uint32_t index, uint8_t *to, uint32_t len)
{
	while (len != 0) {
		uint32_t here;
		const uint8_t *from = data_at(ring, index, &here);

		here = here < len ? here : len;
		memcpy(to, from, here);
		index = advance(ring, index, here);
		to += here;
		len -= here;
	}
}

/* ------------------------------------------------------------------ sending */

/* What is free but for 8 bytes, so that full never looks like empty. */
uint32_t hv_ring_room(const struct hv_ring *ring)
{
	uint32_t raw_read = guest_load32(ring->pages[0].bytes + VMBUS_RING_READ_INDEX);

	if (!index_is_right(ring, raw_read)) {
		return 0;
	}
	return ring->data_bytes - used_bytes(ring, ring->own, raw_read) - 8;
}

enum hv_ring_status hv_ring_send(struct hv_ring *ring, const struct hv_part *parts, uint32_t count,
                                 bool *signal)
{
	static const uint8_t zeros[8];
	uint8_t *control = ring->pages[0].bytes;
	uint64_t trailer = (uint64_t)ring->own << 32;
	uint32_t start = ring->own, index = start, len = 0;

	for (uint32_t i = 0; i < count; i++) {
		len += parts[i].len;
	}
	if (!index_is_right(ring, guest_load32(control + VMBUS_RING_READ_INDEX))) {
		return HV_RING_BROKEN;
	}
	if ((len + 7) / 8 * 8 + VMBUS_RING_TRAILER_BYTES > hv_ring_room(ring)) {
		return HV_RING_FULL;
	}
	for (uint32_t i = 0; i < count; i++) {
		index = copy_in(ring, index, parts[i].bytes, parts[i].len);
	}
	index = copy_in(ring, index, zeros, (8 - len % 8) % 8);
	ring->own = copy_in(ring, index, &trailer, sizeof(trailer));
	guest_store32(control + VMBUS_RING_WRITE_INDEX, ring->own);
	guest_barrier();
	*signal = guest_load32(control + VMBUS_RING_INTERRUPT_MASK) == 0 &&
	          guest_load32(control + VMBUS_RING_READ_INDEX) == start;
	return HV_RING_OK;
}

/* ------------------------------------------------------------------ receiving */

bool hv_ring_has_packet(const struct hv_ring *ring)
{
	return guest_load32(ring->pages[0].bytes + VMBUS_RING_WRITE_INDEX) != ring->own;
}

void hv_ring_mask(struct hv_ring *ring, bool masked)
{
	guest_store32(ring->pages[0].bytes + VMBUS_RING_INTERRUPT_MASK, masked ? 1 : 0);
	guest_barrier();
}

/* True if the host waits for room and our last @read bytes made it: as Linux decides it. */
static bool wants_room(const struct hv_ring *ring, uint32_t read)
{
	const uint8_t *control = ring->pages[0].bytes;
	uint32_t raw_write, pending, room;

	guest_barrier();
	if ((guest_load32(control + VMBUS_RING_FEATURE_BITS) & VMBUS_RING_FEAT_PENDING_SEND_SZ) == 0) {
		return false;
	}
	pending = guest_load32(control + VMBUS_RING_PENDING_SEND_SZ);
	raw_write = guest_load32(control + VMBUS_RING_WRITE_INDEX);
	if (pending == 0 || !index_is_right(ring, raw_write)) {
		return false;
	}
	room = ring->data_bytes - used_bytes(ring, raw_write, ring->own);
	return room > pending && room - read <= pending;
}

/* The lengths of a descriptor (our copy), with @used bytes in the ring. */
static bool lengths_are_right(const struct vmpacket_descriptor *d, uint32_t used, uint32_t room)
{
	uint32_t len = d->len8 * 8u, offset = d->offset8 * 8u;

	return offset >= sizeof(*d) && offset <= len && len <= room && len + VMBUS_RING_TRAILER_BYTES <= used;
}

enum hv_ring_status hv_ring_receive(struct hv_ring *ring, uint8_t *to, uint32_t room, uint32_t *len,
                                    bool *signal)
{
	uint8_t *control = ring->pages[0].bytes;
	uint32_t raw_write = guest_load32(control + VMBUS_RING_WRITE_INDEX);
	struct vmpacket_descriptor d;
	uint32_t used;

	if (!index_is_right(ring, raw_write)) {
		return HV_RING_BROKEN;
	}
	used = used_bytes(ring, raw_write, ring->own);
	if (used == 0) {
		return HV_RING_EMPTY;
	}
	if (used < sizeof(d) + VMBUS_RING_TRAILER_BYTES) {
		return HV_RING_BROKEN;
	}
	copy_out(ring, ring->own, (uint8_t *)&d, sizeof(d));
	if (!lengths_are_right(&d, used, room)) {
		return HV_RING_BROKEN;
	}
	*len = d.len8 * 8u;
	memcpy(to, &d, sizeof(d));
	copy_out(ring, advance(ring, ring->own, sizeof(d)), to + sizeof(d), *len - (uint32_t)sizeof(d));
	ring->own = advance(ring, ring->own, *len + VMBUS_RING_TRAILER_BYTES);
	guest_store32(control + VMBUS_RING_READ_INDEX, ring->own);
	*signal = wants_room(ring, *len + VMBUS_RING_TRAILER_BYTES);
	return HV_RING_OK;
}
