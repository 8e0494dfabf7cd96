/*
 * virtio_ring.c - descriptors, available and used ring (virtio 1.2, 2.7.13 and 2.7.14). Contract:
 * virtio_ring.h.
 */
#include "hypervisor/drivers/virtio_ring.h"

#include "base/check.h"

void virtio_ring_init(struct virtio_ring *ring, struct virtio_ring_memory *memory, uint16_t size)
{
	CHECK(size != 0 && size <= VIRTIO_RING_SIZE_MAX && (size & (size - 1u)) == 0);
	*ring = (struct virtio_ring){.memory = memory, .size = size, .free_count = size};
	for (uint32_t i = 0; i < size; i++) {
		ring->next[i] = (uint16_t)(i + 1);
	}
}

uint16_t virtio_ring_next_head(const struct virtio_ring *ring)
{
	return ring->free_head;
}

/* Fills the descriptors from the free list on; returns the free list's rest. */
static uint16_t chain_write(struct virtio_ring *ring, const struct virtio_piece *pieces, uint32_t count)
{
	uint16_t at = ring->free_head;

	for (uint32_t i = 0; i < count; i++) {
		struct virtq_desc *desc = &ring->memory->desc[at];

		desc->addr = pieces[i].at.v;
		desc->len = pieces[i].len_bytes;
		desc->flags = pieces[i].device_writes ? VIRTQ_DESC_F_WRITE : 0;
		desc->next = 0;
		if (i + 1 < count) {
			desc->flags |= VIRTQ_DESC_F_NEXT;
			desc->next = ring->next[at];
		}
		at = ring->next[at];
	}
	return at;
}

static void chain_offer(struct virtio_ring *ring, uint16_t head)
{
	struct virtq_avail *avail = &ring->memory->avail;

	__atomic_store_n(&avail->ring[ring->avail_next & (ring->size - 1u)], head, __ATOMIC_RELAXED);
	ring->avail_next++;
	__atomic_store_n(&avail->idx, ring->avail_next, __ATOMIC_RELEASE);
}

bool virtio_ring_add(struct virtio_ring *ring, const struct virtio_piece *pieces, uint32_t count, void *token)
{
	uint16_t head = ring->free_head;
	uint32_t writable = 0;

	if (count > ring->free_count) {
		return false;
	}
	for (uint32_t i = 0; i < count; i++) {
		writable += pieces[i].device_writes ? pieces[i].len_bytes : 0;
	}
	ring->free_head = chain_write(ring, pieces, count);
	ring->free_count = (uint16_t)(ring->free_count - count);
	ring->chain_count[head] = (uint16_t)count;
	ring->writable_bytes[head] = writable;
	ring->tokens[head] = token;
	ring->in_flight++;
	chain_offer(ring, head);
	return true;
}

bool virtio_ring_wants_notify(const struct virtio_ring *ring)
{
	/* The index must be out before the flag is looked at (2.7.13.4.1). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return (__atomic_load_n(&ring->memory->used.flags, __ATOMIC_RELAXED) & VIRTQ_USED_F_NO_NOTIFY) == 0;
}

bool virtio_ring_has_used(const struct virtio_ring *ring)
{
	return __atomic_load_n(&ring->memory->used.idx, __ATOMIC_ACQUIRE) !=
	       __atomic_load_n(&ring->used_seen, __ATOMIC_RELAXED);
}

static void chain_free(struct virtio_ring *ring, uint16_t head)
{
	uint16_t last = head;

	for (uint32_t i = 1; i < ring->chain_count[head]; i++) {
		last = ring->next[last];
	}
	ring->next[last] = ring->free_head;
	ring->free_head = head;
	ring->free_count = (uint16_t)(ring->free_count + ring->chain_count[head]);
	ring->tokens[head] = NULL;
	ring->in_flight--;
}

enum virtio_ring_status virtio_ring_take(struct virtio_ring *ring, struct virtio_ring_done *done)
{
	const struct virtq_used *used = &ring->memory->used;
	uint16_t ready = (uint16_t)(__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE) - ring->used_seen);
	const struct virtq_used_elem *elem = &used->ring[ring->used_seen & (ring->size - 1u)];
	uint32_t raw_id = __atomic_load_n(&elem->id, __ATOMIC_RELAXED);
	uint32_t raw_len = __atomic_load_n(&elem->len, __ATOMIC_RELAXED);

	if (ready == 0) {
		return VIRTIO_RING_EMPTY;
	}
	if (ready > ring->in_flight || raw_id >= ring->size || ring->tokens[raw_id] == NULL ||
	    raw_len > ring->writable_bytes[raw_id]) {
		return VIRTIO_RING_BROKEN;
	}
	done->token = ring->tokens[raw_id];
	done->head = (uint16_t)raw_id;
	done->len_bytes = raw_len;
	chain_free(ring, done->head);
	__atomic_store_n(&ring->used_seen, (uint16_t)(ring->used_seen + 1), __ATOMIC_RELAXED);
	return VIRTIO_RING_TAKEN;
}

void *virtio_ring_take_back(struct virtio_ring *ring)
{
	for (uint32_t i = 0; i < ring->size && ring->in_flight != 0; i++) {
		void *token = ring->tokens[i];

		if (token != NULL) {
			chain_free(ring, (uint16_t)i);
			return token;
		}
	}
	return NULL;
}
