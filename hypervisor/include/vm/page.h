/*
 * page.h - access to a pinned page, inline: the metal's copy. The hosted copy is tests/host/include/vm/page.h.
 *
 * Each load or store is one access of one width. @off must be a multiple of the width and below 4096; the
 * caller has checked it. Multi-byte copies may tear; use them for payload, not for indexes or flags.
 */
#ifndef VM_PAGE_H
#define VM_PAGE_H

#include "base/compiler.h"
#include "base/mem.h"

/* One 4 KiB frame. Its fields are core's: see hypervisor/core/frames.h. */
struct vm_page {
	uint8_t *bytes; /* in the direct map */
	uint32_t pin_count; /* atomic */
	uint16_t owner; /* guest id, 0 = ours or free */
	uint8_t kind;
	uint8_t access;
	uint64_t shown_at; /* a page of ours: the gpa where it shows, ~0 if nowhere. A free one: link */
};

#define PAGE_ACCESS(bits, type)                                                                             \
	static inline type vm_page_load##bits(const struct vm_page *page, size_t off)                       \
	{                                                                                                   \
		return __atomic_load_n((const type *)(const void *)(page->bytes + off), __ATOMIC_ACQUIRE);  \
	}                                                                                                   \
	static inline void vm_page_store##bits(struct vm_page *page, size_t off, type value)                \
	{                                                                                                   \
		__atomic_store_n((type *)(void *)(page->bytes + off), value, __ATOMIC_RELEASE);             \
	}                                                                                                   \
	static inline type vm_page_exchange##bits(struct vm_page *page, size_t off, type value)             \
	{                                                                                                   \
		return __atomic_exchange_n((type *)(void *)(page->bytes + off), value, __ATOMIC_SEQ_CST);   \
	}                                                                                                   \
	/* True if it held @old and now holds @value. */                                                    \
	static inline bool vm_page_compare_exchange##bits(struct vm_page *page, size_t off, type old,       \
	                                                  type value)                                       \
	{                                                                                                   \
		return __atomic_compare_exchange_n((type *)(void *)(page->bytes + off), &old, value, false, \
		                                   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                     \
	}

PAGE_ACCESS(8, uint8_t)
PAGE_ACCESS(16, uint16_t)
PAGE_ACCESS(32, uint32_t)
PAGE_ACCESS(64, uint64_t)

/* Sets bit @bit (0 to 32767) with a full barrier; true if it was set already. */
static inline bool vm_page_set_bit(struct vm_page *page, size_t bit)
{
	uint64_t mask = 1ull << (bit % 64);

	return (__atomic_fetch_or((uint64_t *)(void *)(page->bytes + bit / 64 * 8), mask, __ATOMIC_SEQ_CST) &
	        mask) != 0;
}

/* Clears it with a full barrier; true if it was set. */
static inline bool vm_page_clear_bit(struct vm_page *page, size_t bit)
{
	uint64_t mask = 1ull << (bit % 64);

	return (__atomic_fetch_and((uint64_t *)(void *)(page->bytes + bit / 64 * 8), ~mask,
	                           __ATOMIC_SEQ_CST) &
	        mask) != 0;
}

static inline bool vm_page_test_bit(const struct vm_page *page, size_t bit)
{
	return (vm_page_load64(page, bit / 64 * 8) >> (bit % 64) & 1) != 0;
}

static inline void vm_page_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Copies; @off + @len at most 4096. */
static inline void vm_page_read(const struct vm_page *page, size_t off, void *to, size_t len)
{
	memcpy(to, page->bytes + off, len);
}

static inline void vm_page_write(struct vm_page *page, size_t off, const void *from, size_t len)
{
	memcpy(page->bytes + off, from, len);
}

/* For an io_segment that a backend copies to or from while the pin is held. */
static inline uint8_t *vm_page_bytes(struct vm_page *page)
{
	return page->bytes;
}

#endif /* VM_PAGE_H */
