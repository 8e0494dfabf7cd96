/*
 * ring.c - the rings of a channel. Layout and rules: abi/vmbus.h, "rings"; contract: ring.h.
 */
#include "vmbus/ring.h"

#include "base/bits.h"
#include "vm/page.h"

static bool index_is_right(const struct ring *ring, uint32_t raw_index)
{
	return raw_index < ring->data_bytes && raw_index % 8 == 0;
}

/* Bytes between the two indexes, both checked. */
static uint32_t ring_used(const struct ring *ring, uint32_t write, uint32_t read)
{
	return write >= read ? write - read : ring->data_bytes - read + write;
}

static uint32_t ring_advance(const struct ring *ring, uint32_t index, uint32_t bytes)
{
	uint64_t sum = (uint64_t)index + bytes;

	return (uint32_t)(sum >= ring->data_bytes ? sum - ring->data_bytes : sum);
}

static bool ring_open(struct ring *ring, struct vm_page *const *pages, uint32_t page_count, size_t own_at)
{
	uint32_t raw_write, raw_read;

	*ring = (struct ring){
	        .control = pages[0],
	        .data = pages + 1,
	        .data_bytes = (page_count - 1) * PAGE_BYTES,
	};
	raw_write = vm_page_load32(ring->control, VMBUS_RING_WRITE_INDEX);
	raw_read = vm_page_load32(ring->control, VMBUS_RING_READ_INDEX);
	ring->own = own_at == VMBUS_RING_WRITE_INDEX ? raw_write : raw_read;
	ring->published = ring->own;
	return index_is_right(ring, raw_write) && index_is_right(ring, raw_read);
}

bool ring_open_receiver(struct ring *ring, struct vm_page *const *pages, uint32_t page_count)
{
	return ring_open(ring, pages, page_count, VMBUS_RING_READ_INDEX);
}

bool ring_open_sender(struct ring *ring, struct vm_page *const *pages, uint32_t page_count)
{
	uint32_t raw_features;

	if (!ring_open(ring, pages, page_count, VMBUS_RING_WRITE_INDEX)) {
		return false;
	}
	raw_features = vm_page_load32(ring->control, VMBUS_RING_FEATURE_BITS);
	vm_page_store32(ring->control, VMBUS_RING_FEATURE_BITS,
	                raw_features | VMBUS_RING_FEAT_PENDING_SEND_SZ);
	return true;
}

/* @index is in bounds; @len at most the data area. Each byte is fetched once. */
static void ring_copy_out(const struct ring *ring, uint32_t index, void *to, uint32_t len)
{
	uint8_t *at = to;

	while (len != 0) {
		uint32_t off = index % PAGE_BYTES;
		uint32_t here = PAGE_BYTES - off < len ? PAGE_BYTES - off : len;

		vm_page_read(ring->data[index / PAGE_BYTES], off, at, here);
		index = ring_advance(ring, index, here);
		at += here;
		len -= here;
	}
}

/* The same inwards; returns the index behind. */
static uint32_t ring_copy_in(const struct ring *ring, uint32_t index, const void *from, uint32_t len)
{
	const uint8_t *at = from;

	while (len != 0) {
		uint32_t off = index % PAGE_BYTES;
		uint32_t here = PAGE_BYTES - off < len ? PAGE_BYTES - off : len;

		vm_page_write(ring->data[index / PAGE_BYTES], off, at, here);
		index = ring_advance(ring, index, here);
		at += here;
		len -= here;
	}
	return index;
}

/* ------------------------------------------------------------------ receiving */

/* Are the lengths of a descriptor (our copy) right, with @used bytes in the ring? */
static bool packet_fits(const struct vmpacket_descriptor *raw_d, uint32_t used, uint32_t room)
{
	uint32_t len = raw_d->len8 * 8u;
	uint32_t offset = raw_d->offset8 * 8u;

	return offset >= sizeof(*raw_d) && offset <= len && len <= room &&
	       len + VMBUS_RING_TRAILER_BYTES <= used;
}

enum ring_status ring_receive(struct ring *ring, void *to, uint32_t room, uint32_t *len)
{
	uint32_t raw_write = vm_page_load32(ring->control, VMBUS_RING_WRITE_INDEX);
	struct vmpacket_descriptor d;
	uint32_t used, at;

	if (!index_is_right(ring, raw_write)) {
		return RING_BROKEN;
	}
	used = ring_used(ring, raw_write, ring->own);
	if (used == 0) {
		return RING_EMPTY;
	}
	if (used < sizeof(d) + VMBUS_RING_TRAILER_BYTES) {
		return RING_BROKEN;
	}
	ring_copy_out(ring, ring->own, &d, sizeof(d));
	if (!packet_fits(&d, used, room)) {
		return RING_BROKEN;
	}
	*len = d.len8 * 8u;
	memcpy(to, &d, sizeof(d));
	at = ring_advance(ring, ring->own, sizeof(d));
	ring_copy_out(ring, at, (uint8_t *)to + sizeof(d), *len - (uint32_t)sizeof(d));
	ring->own = ring_advance(ring, ring->own, *len + VMBUS_RING_TRAILER_BYTES);
	return RING_OK;
}

bool ring_publish(struct ring *ring)
{
	uint32_t before_read = ring->published;
	uint32_t raw_pending, raw_write, pending, before, after;

	if (ring->own == before_read) {
		return false;
	}
	ring->published = ring->own;
	vm_page_store32(ring->control, VMBUS_RING_READ_INDEX, ring->own);
	vm_page_barrier();
	raw_pending = vm_page_load32(ring->control, VMBUS_RING_PENDING_SEND_SZ);
	if (raw_pending == 0 ||
	    (vm_page_load32(ring->control, VMBUS_RING_FEATURE_BITS) & VMBUS_RING_FEAT_PENDING_SEND_SZ) == 0) {
		return false;
	}
	raw_write = vm_page_load32(ring->control, VMBUS_RING_WRITE_INDEX);
	if (!index_is_right(ring, raw_write)) {
		return false; /* the next receive finds it */
	}
	/* Guests differ in which side of the crossing includes equality: take both. */
	pending = raw_pending & ~7u;
	before = ring->data_bytes - ring_used(ring, raw_write, before_read);
	after = ring->data_bytes - ring_used(ring, raw_write, ring->own);
	return before <= pending && pending <= after;
}

void ring_set_mask(struct ring *ring, bool masked)
{
	vm_page_store32(ring->control, VMBUS_RING_INTERRUPT_MASK, masked ? 1 : 0);
	vm_page_barrier();
}

bool ring_has_packet(const struct ring *ring)
{
	return vm_page_load32(ring->control, VMBUS_RING_WRITE_INDEX) != ring->own;
}

/* ------------------------------------------------------------------ sending */

/* RING_OK if @need bytes fit: at least one byte always stays free, so that full is not empty. */
static enum ring_status ring_room(const struct ring *ring, uint32_t need)
{
	uint32_t raw_read = vm_page_load32(ring->control, VMBUS_RING_READ_INDEX);

	if (!index_is_right(ring, raw_read)) {
		return RING_BROKEN;
	}
	return need < ring->data_bytes - ring_used(ring, ring->own, raw_read) ? RING_OK : RING_FULL;
}

static enum ring_status ring_wait_room(struct ring *ring, uint32_t need)
{
	enum ring_status status = ring_room(ring, need);

	if (status == RING_FULL) {
		vm_page_store32(ring->control, VMBUS_RING_PENDING_SEND_SZ, need);
		vm_page_barrier();
		ring->waiting = true;
		status = ring_room(ring, need); /* the guest may have read before it could see that */
	}
	if (status == RING_OK && ring->waiting) {
		vm_page_store32(ring->control, VMBUS_RING_PENDING_SEND_SZ, 0);
		ring->waiting = false;
	}
	return status;
}

enum ring_status ring_send(struct ring *ring, const struct ring_part *parts, uint32_t count, uint32_t len,
                           bool *signal)
{
	static const uint8_t zeros[8];
	uint32_t padding = (uint32_t)align_up(len, 8) - len;
	uint32_t start = ring->own;
	uint64_t trailer = (uint64_t)start << 32;
	enum ring_status status;
	uint32_t index = start;

	status = ring_wait_room(ring, len + padding + VMBUS_RING_TRAILER_BYTES);
	if (status != RING_OK) {
		return status;
	}
	for (uint32_t i = 0; i < count; i++) {
		index = ring_copy_in(ring, index, parts[i].bytes, parts[i].len_bytes);
	}
	index = ring_copy_in(ring, index, zeros, padding);
	ring->own = ring_copy_in(ring, index, &trailer, sizeof(trailer));
	ring->published = ring->own;
	vm_page_store32(ring->control, VMBUS_RING_WRITE_INDEX, ring->own);
	vm_page_barrier();
	*signal = vm_page_load32(ring->control, VMBUS_RING_INTERRUPT_MASK) == 0 &&
	          vm_page_load32(ring->control, VMBUS_RING_READ_INDEX) == start;
	return RING_OK;
}
