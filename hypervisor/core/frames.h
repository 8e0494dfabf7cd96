/*
 * frames.h - host memory: 4 KiB frames, in blocks of powers of two, each with a struct vm_page.
 *
 * A frame that a guest could still reach (through a stale translation or a pin) is not free: it waits in
 * limbo until every CPU has passed a point without that guest's translations, and until its last pin is gone.
 */
#ifndef CORE_FRAMES_H
#define CORE_FRAMES_H

#include "base/addr.h"
#include "base/compiler.h"
#include "vm/page.h"

#define FRAME_ORDER_2M 9u
#define FRAME_ORDER_1G 18u
#define FRAME_ORDER_MAX FRAME_ORDER_1G
#define FRAME_SHOWN_NOWHERE UINT64_MAX

enum frame_kind {
	FRAME_NONE, /* not ours to hand out */
	FRAME_FREE,
	FRAME_HOST, /* tables, heap, vCPU state */
	FRAME_RAM, /* a guest's RAM */
	FRAME_SPECIAL, /* a page of ours that a guest may see (vm_page_alloc) */
	FRAME_LIMBO,
};

/* From the boot loader's map. Once, on the boot CPU. */
void frames_init(void);

/* 2^@order zeroed frames in a row, aligned; NULL if there are none. */
MUST_CHECK struct vm_page *frames_alloc(unsigned int order, enum frame_kind kind, uint16_t owner);
/*
 * The same in two steps, for blocks that take long to zero: 2^@order frames in a row, aligned, that are nobody's, of which each
 * part is to be opened before it is used, and freed by itself. NULL if there are none.
 */
MUST_CHECK struct vm_page *frames_reserve(unsigned int order);
void frames_open(struct vm_page *page, unsigned int order, enum frame_kind kind, uint16_t owner);
/* Frames that no CPU and nobody else can reach any more. */
void frames_free(struct vm_page *page, unsigned int order);
/* One frame that may still be reached: freed when it is safe. */
void frames_retire(struct vm_page *page);
/*
 * Frees what has become safe, some hundred frames at most. Called now and then by each CPU. True: it got on, so there may
 * be more at once.
 */
bool frames_reap(void);

struct vm_page *frames_page(hpa_t at); /* NULL if not ours */
hpa_t frames_hpa(const struct vm_page *page);
uint64_t frames_free_count(void);
uint64_t frames_total_count(void);
uint64_t frames_limbo_count(void);
/* Those that guest @owner gave up, and that are not free yet. Any CPU. */
uint64_t frames_limbo_of(uint32_t owner);

/* Zeroes @bytes (a multiple of 8). */
void frames_zero(void *at, size_t bytes);

/* Ring 0's own memory of odd sizes, zeroed; up to 2 MiB. NULL if there is none. */
MUST_CHECK void *heap_alloc(size_t bytes);
void heap_free(void *memory);
size_t heap_size(const void *memory);

#endif /* CORE_FRAMES_H */
