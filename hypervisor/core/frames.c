/*
 * frames.c - see frames.h. A buddy allocator over the frames that the boot loader left free.
 */
#include "hypervisor/core/frames.h"

#include "base/bits.h"
#include "base/lock.h"
#include "hypervisor/arch/x86/host.h"
#include "hypervisor/core/machine.h"

#define LIMBO_MAX 256u

/* Free blocks are chained by their first page: shown_at is the next one's frame number, ~0 at the end. */
#define NO_FRAME UINT64_MAX

static struct {
	struct spinlock lock; /* RANK_FRAMES */
	struct vm_page *pages;
	uint64_t page_count;
	uint64_t free_heads[FRAME_ORDER_MAX + 1];
	uint64_t free_frames, total_frames, limbo_frames;
	uint32_t limbo_of[VM_COUNT_MAX + 1]; /* limbo_frames by guest; 0: all others */
	uint64_t limbo_head;
	uint64_t limbo_passes[HOST_CPUS_MAX]; /* when the current batch was closed */
	uint64_t batch_head; /* waits for limbo_passes */
} pool;

struct vm_page *frames_page(hpa_t at)
{
	uint64_t frame = at.v >> PAGE_SHIFT;

	if (frame >= pool.page_count || pool.pages[frame].kind == FRAME_NONE) {
		return NULL;
	}
	return &pool.pages[frame];
}

hpa_t frames_hpa(const struct vm_page *page)
{
	return hpa((uint64_t)(page - pool.pages) << PAGE_SHIFT);
}

void frames_zero(void *at, size_t bytes)
{
	size_t words = bytes / 8;

	__asm__ volatile("rep stosq" : "+D"(at), "+c"(words) : "a"(0ull) : "memory");
}

/* The list of an order is doubly linked through shown_at (next) and the first 8 bytes of the frame (previous). */
static uint64_t *previous_of(uint64_t frame)
{
	return (uint64_t *)(void *)pool.pages[frame].bytes;
}

static void list_push(unsigned int order, uint64_t frame)
{
	uint64_t head = pool.free_heads[order];

	pool.pages[frame].kind = FRAME_FREE;
	pool.pages[frame].access = (uint8_t)order;
	pool.pages[frame].shown_at = head;
	*previous_of(frame) = NO_FRAME;
	if (head != NO_FRAME) {
		*previous_of(head) = frame;
	}
	pool.free_heads[order] = frame;
}

static void list_unlink(unsigned int order, uint64_t frame)
{
	uint64_t next = pool.pages[frame].shown_at;
	uint64_t previous = *previous_of(frame);

	if (previous == NO_FRAME) {
		pool.free_heads[order] = next;
	} else {
		pool.pages[previous].shown_at = next;
	}
	if (next != NO_FRAME) {
		*previous_of(next) = previous;
	}
	pool.pages[frame].access = 0xff; /* no longer the head of a free block */
}

static bool is_free_block(uint64_t frame, unsigned int order)
{
	return frame < pool.page_count && pool.pages[frame].kind == FRAME_FREE &&
	       pool.pages[frame].access == order;
}

/* Under the lock. */
static void block_free(uint64_t frame, unsigned int order)
{
	for (uint64_t i = 0; i < 1ull << order; i++) {
		pool.pages[frame + i].kind = FRAME_FREE;
		pool.pages[frame + i].owner = 0;
		pool.pages[frame + i].pin_count = 0;
		pool.pages[frame + i].access = 0xff;
	}
	pool.free_frames += 1ull << order;
	while (order < FRAME_ORDER_MAX && is_free_block(frame ^ 1ull << order, order)) {
		list_unlink(order, frame ^ 1ull << order);
		frame &= ~(1ull << order);
		order++;
	}
	list_push(order, frame);
}

/* Under the lock. NO_FRAME if there is none. */
static uint64_t block_take(unsigned int order)
{
	unsigned int from = order;
	uint64_t frame;

	while (from <= FRAME_ORDER_MAX && pool.free_heads[from] == NO_FRAME) {
		from++;
	}
	if (from > FRAME_ORDER_MAX) {
		return NO_FRAME;
	}
	frame = pool.free_heads[from];
	list_unlink(from, frame);
	while (from > order) {
		from--;
		list_push(from, frame + (1ull << from));
	}
	pool.free_frames -= 1ull << order;
	return frame;
}

struct vm_page *frames_reserve(unsigned int order)
{
	uint64_t frame;

	spin_lock(&pool.lock);
	frame = block_take(order);
	spin_unlock(&pool.lock);
	return frame == NO_FRAME ? NULL : &pool.pages[frame];
}

void frames_open(struct vm_page *page, unsigned int order, enum frame_kind kind, uint16_t owner)
{
	spin_lock(&pool.lock);
	for (uint64_t i = 0; i < 1ull << order; i++) {
		page[i].kind = (uint8_t)kind;
		page[i].owner = owner;
		page[i].pin_count = 0;
		page[i].access = 0;
		page[i].shown_at = FRAME_SHOWN_NOWHERE;
	}
	spin_unlock(&pool.lock);
	frames_zero(page->bytes, (size_t)PAGE_BYTES << order);
}

struct vm_page *frames_alloc(unsigned int order, enum frame_kind kind, uint16_t owner)
{
	struct vm_page *page = frames_reserve(order);

	if (page != NULL) {
		frames_open(page, order, kind, owner);
	}
	return page;
}

void frames_free(struct vm_page *page, unsigned int order)
{
	spin_lock(&pool.lock);
	block_free((uint64_t)(page - pool.pages), order);
	spin_unlock(&pool.lock);
}

static uint32_t *limbo_of(uint32_t owner)
{
	return &pool.limbo_of[owner <= VM_COUNT_MAX ? owner : 0];
}

void frames_retire(struct vm_page *page)
{
	spin_lock(&pool.lock);
	page->kind = FRAME_LIMBO;
	page->shown_at = pool.limbo_head;
	pool.limbo_head = (uint64_t)(page - pool.pages);
	pool.limbo_frames++;
	(*limbo_of(page->owner))++;
	spin_unlock(&pool.lock);
}

static bool all_cpus_passed(void)
{
	for (unsigned int i = 0; i < cpu_count(); i++) {
		if (!__atomic_load_n(&cpus[i].idle, __ATOMIC_ACQUIRE) &&
		    __atomic_load_n(&cpus[i].passes, __ATOMIC_ACQUIRE) == pool.limbo_passes[i]) {
			return false;
		}
	}
	return true;
}

/* Under the lock: frees up to LIMBO_MAX of the closed batch; what is pinned goes back to limbo. True: freed some. */
static bool batch_free(void)
{
	uint64_t before = pool.limbo_frames;

	for (uint32_t i = 0; i < LIMBO_MAX && pool.batch_head != NO_FRAME; i++) {
		uint64_t frame = pool.batch_head;
		struct vm_page *page = &pool.pages[frame];

		pool.batch_head = page->shown_at;
		if (__atomic_load_n(&page->pin_count, __ATOMIC_ACQUIRE) != 0) {
			page->shown_at = pool.limbo_head;
			pool.limbo_head = frame;
			continue;
		}
		pool.limbo_frames--;
		(*limbo_of(page->owner))--;
		block_free(frame, 0);
	}
	return pool.limbo_frames != before;
}

bool frames_reap(void)
{
	bool freed = false;

	if (__atomic_load_n(&pool.limbo_frames, __ATOMIC_RELAXED) == 0) {
		return false;
	}
	spin_lock(&pool.lock);
	if (pool.batch_head != NO_FRAME && all_cpus_passed()) {
		freed = batch_free();
	}
	if (pool.batch_head == NO_FRAME && pool.limbo_head != NO_FRAME) {
		pool.batch_head = pool.limbo_head;
		pool.limbo_head = NO_FRAME;
		for (unsigned int i = 0; i < cpu_count(); i++) {
			pool.limbo_passes[i] = __atomic_load_n(&cpus[i].passes, __ATOMIC_ACQUIRE);
		}
	}
	spin_unlock(&pool.lock);
	return freed;
}

uint64_t frames_free_count(void)
{
	return __atomic_load_n(&pool.free_frames, __ATOMIC_RELAXED);
}

uint64_t frames_total_count(void)
{
	return pool.total_frames;
}

uint64_t frames_limbo_count(void)
{
	return __atomic_load_n(&pool.limbo_frames, __ATOMIC_RELAXED);
}

uint64_t frames_limbo_of(uint32_t owner)
{
	return __atomic_load_n(limbo_of(owner), __ATOMIC_RELAXED);
}

/* The array of struct vm_page itself comes out of the first free range that is large enough. */
static uint64_t place_page_array(const struct host_boot *boot, uint64_t bytes)
{
	for (uint32_t i = 0; i < boot->free_count; i++) {
		uint64_t start = align_up(boot->free[i].start.v, PAGE_BYTES);

		if (range_fits(start - boot->free[i].start.v, bytes, boot->free[i].bytes)) {
			return start;
		}
	}
	return 0;
}

static void add_range(uint64_t first, uint64_t end)
{
	while (first < end) {
		unsigned int order = FRAME_ORDER_MAX;

		while ((first & ((1ull << order) - 1)) != 0 || first + (1ull << order) > end) {
			order--;
		}
		block_free(first, order);
		pool.total_frames += 1ull << order;
		first += 1ull << order;
	}
}

void frames_init(void)
{
	const struct host_boot *boot = host_boot();
	uint64_t top = 0;
	uint64_t bytes;
	uint64_t at;

	spin_init(&pool.lock, RANK_FRAMES);
	pool.limbo_head = NO_FRAME;
	pool.batch_head = NO_FRAME;
	for (unsigned int i = 0; i <= FRAME_ORDER_MAX; i++) {
		pool.free_heads[i] = NO_FRAME;
	}
	for (uint32_t i = 0; i < boot->free_count; i++) {
		uint64_t end = boot->free[i].start.v + boot->free[i].bytes;

		top = end > top ? end : top;
	}
	pool.page_count = top >> PAGE_SHIFT;
	bytes = align_up(pool.page_count * sizeof(struct vm_page), PAGE_BYTES);
	at = place_page_array(boot, bytes);
	if (at == 0) {
		PANIC("too little memory: no %lu KiB in one piece for the table of frames",
		      (unsigned long)(bytes >> 10));
	}
	pool.pages = host_direct(hpa(at));
	frames_zero(pool.pages, bytes);
	for (uint64_t i = 0; i < pool.page_count; i++) {
		pool.pages[i].bytes = host_direct(hpa(i << PAGE_SHIFT));
	}
	spin_lock(&pool.lock);
	for (uint32_t i = 0; i < boot->free_count; i++) {
		uint64_t first = boot->free[i].start.v >> PAGE_SHIFT;
		uint64_t end = (boot->free[i].start.v + boot->free[i].bytes) >> PAGE_SHIFT;
		uint64_t hole = at >> PAGE_SHIFT;

		if (hole >= first && hole < end) {
			add_range(first, hole);
			first = hole + (bytes >> PAGE_SHIFT);
		}
		add_range(first, end);
	}
	spin_unlock(&pool.lock);
}

/* ---- the heap: powers of two from 32 bytes to 2 KiB cut out of frames; above, whole frames ---- */

#define HEAP_CLASS_FIRST 5u
#define HEAP_CLASS_LAST 11u

struct heap_header {
	uint32_t order_or_class; /* class below 32, else 32 + frame order */
	uint32_t bytes;
	uint64_t reserved;
};

struct heap_free {
	struct heap_free *next;
};

static struct {
	struct spinlock lock; /* RANK_FRAMES: never held together with the pool's */
	bool ready;
	struct heap_free *heads[HEAP_CLASS_LAST + 1];
} heap;

static unsigned int heap_class(size_t bytes)
{
	unsigned int class = HEAP_CLASS_FIRST;

	while ((1ull << class) < bytes) {
		class ++;
	}
	return class;
}

static bool heap_refill(unsigned int class)
{
	struct vm_page *page = frames_alloc(0, FRAME_HOST, 0);

	if (page == NULL) {
		return false;
	}
	spin_lock(&heap.lock);
	for (size_t at = 0; at < PAGE_BYTES; at += 1ull << class) {
		struct heap_free *piece = (struct heap_free *)(void *)(page->bytes + at);

		piece->next = heap.heads[class];
		heap.heads[class] = piece;
	}
	spin_unlock(&heap.lock);
	return true;
}

static void *heap_take(unsigned int class)
{
	struct heap_free *piece;

	spin_lock(&heap.lock);
	piece = heap.heads[class];
	if (piece != NULL) {
		heap.heads[class] = piece->next;
	}
	spin_unlock(&heap.lock);
	return piece;
}

static void *heap_alloc_large(size_t total, size_t bytes)
{
	unsigned int order = 0;
	struct vm_page *page;
	struct heap_header *header;

	while (((size_t)PAGE_BYTES << order) < total) {
		order++;
	}
	page = order <= FRAME_ORDER_2M ? frames_alloc(order, FRAME_HOST, 0) : NULL;
	if (page == NULL) {
		return NULL;
	}
	header = (struct heap_header *)(void *)page->bytes;
	header->order_or_class = 32 + order;
	header->bytes = (uint32_t)bytes;
	return header + 1;
}

void *heap_alloc(size_t bytes)
{
	size_t total = bytes + sizeof(struct heap_header);
	struct heap_header *header;
	unsigned int class;

	if (!heap.ready) {
		spin_init(&heap.lock, RANK_FRAMES);
		heap.ready = true;
	}
	if (total > 1ull << HEAP_CLASS_LAST) {
		return heap_alloc_large(total, bytes);
	}
	class = heap_class(total);
	header = heap_take(class);
	if (header == NULL && heap_refill(class)) {
		header = heap_take(class);
	}
	if (header == NULL) {
		return NULL;
	}
	frames_zero(header, 1ull << class);
	header->order_or_class = class;
	header->bytes = (uint32_t)bytes;
	return header + 1;
}

void heap_free(void *memory)
{
	struct heap_header *header = memory;
	struct heap_free *piece;
	uint32_t class;

	if (memory == NULL) {
		return;
	}
	header--;
	class = header->order_or_class;
	if (class >= 32) {
		frames_free(frames_page(host_hpa_of(header)), class - 32);
		return;
	}
	CHECK(class >= HEAP_CLASS_FIRST && class <= HEAP_CLASS_LAST);
	piece = (struct heap_free *)(void *)header;
	spin_lock(&heap.lock);
	piece->next = heap.heads[class];
	heap.heads[class] = piece;
	spin_unlock(&heap.lock);
}

size_t heap_size(const void *memory)
{
	return ((const struct heap_header *)memory - 1)->bytes;
}
