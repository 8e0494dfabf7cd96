/*
 * page.h - access to a pinned page, inline: the hosted copy. The metal's is
 * hypervisor/include/vm/page.h.
 *
 * The same functions with two things added: each access is checked (aligned, within the page, page
 * still pinned or ours), and each load tells a hook, so that a test can change a page between two
 * loads or count how often a byte was fetched (tests/host/host.h).
 */
#ifndef VM_PAGE_H
#define VM_PAGE_H

#include "base/addr.h"
#include "base/check.h"
#include "base/compiler.h"
#include "base/list.h"
#include "base/mem.h"

struct vm;

/* One 4 KiB frame. The fields are tests/host's. */
struct vm_page {
	uint8_t *bytes;
	uint32_t pin_count; /* atomic */
	bool ours;          /* made by vm_page_alloc() */
	bool gone;          /* freed or taken: its memory goes with the last pin */
	bool touched;       /* may hold something other than zeros */
	bool kept;          /* of a snapshot; its memory too */
	uint32_t access;
	uint64_t shown_at; /* ~0: nowhere */
	struct vm *vm;
	struct list_node node;
};

/* What a test set with host_load_hook(); NULL when there is none. */
typedef void host_load_fn(void *context, struct vm_page *page, size_t off, size_t width);
extern host_load_fn *host_load_hook_fn;
extern void *host_load_hook_context;

/*
 * Copies that may race with the other side by design: not watched by sanitizers on the guest's
 * side.
 */
void host_page_copy_out(const struct vm_page *page, size_t off, void *to, size_t len);
void host_page_copy_in(struct vm_page *page, size_t off, const void *from, size_t len);

static inline void host_page_check(const struct vm_page *page, size_t off, size_t width,
				   size_t align)
{
	CHECK(off % align == 0 && off <= PAGE_BYTES && width <= PAGE_BYTES - off);
	CHECK(page->ours || __atomic_load_n(&page->pin_count, __ATOMIC_RELAXED) != 0);
}

static inline void host_page_loaded(const struct vm_page *page, size_t off, size_t width)
{
	if (UNLIKELY(host_load_hook_fn != NULL)) {
		host_load_hook_fn(host_load_hook_context, (struct vm_page *)(uintptr_t)page, off,
				  width);
	}
}

#define PAGE_ACCESS(bits, type)                                                                   \
	static inline type vm_page_load##bits(const struct vm_page *page, size_t off)             \
	{                                                                                         \
		type value;                                                                       \
                                                                                                  \
		host_page_check(page, off, sizeof(type), sizeof(type));                           \
		value = __atomic_load_n((const type *)(const void *)(page->bytes + off),          \
					__ATOMIC_ACQUIRE);                                        \
		host_page_loaded(page, off, sizeof(type));                                        \
		return value;                                                                     \
	}                                                                                         \
	static inline void vm_page_store##bits(struct vm_page *page, size_t off, type value)      \
	{                                                                                         \
		host_page_check(page, off, sizeof(type), sizeof(type));                           \
		__atomic_store_n((type *)(void *)(page->bytes + off), value, __ATOMIC_RELEASE);   \
	}                                                                                         \
	static inline type vm_page_exchange##bits(struct vm_page *page, size_t off, type value)   \
	{                                                                                         \
		host_page_check(page, off, sizeof(type), sizeof(type));                           \
		return __atomic_exchange_n((type *)(void *)(page->bytes + off), value,            \
					   __ATOMIC_SEQ_CST);                                     \
	}                                                                                         \
	/* True if it held @old and now holds @value. */                                          \
	static inline bool vm_page_compare_exchange##bits(struct vm_page *page, size_t off,       \
							  type old, type value)                   \
	{                                                                                         \
		host_page_check(page, off, sizeof(type), sizeof(type));                           \
		return __atomic_compare_exchange_n((type *)(void *)(page->bytes + off), &old,     \
						   value, false, __ATOMIC_SEQ_CST,                \
						   __ATOMIC_SEQ_CST);                             \
	}

PAGE_ACCESS(8, uint8_t)
PAGE_ACCESS(16, uint16_t)
PAGE_ACCESS(32, uint32_t)
PAGE_ACCESS(64, uint64_t)

/* Sets bit @bit (0 to 32767) with a full barrier; true if it was set already. */
static inline bool vm_page_set_bit(struct vm_page *page, size_t bit)
{
	uint64_t mask = 1ull << (bit % 64);

	host_page_check(page, bit / 64 * 8, 8, 8);
	return (__atomic_fetch_or((uint64_t *)(void *)(page->bytes + bit / 64 * 8), mask,
				  __ATOMIC_SEQ_CST) & mask) != 0;
}

/* Clears it with a full barrier; true if it was set. */
static inline bool vm_page_clear_bit(struct vm_page *page, size_t bit)
{
	uint64_t mask = 1ull << (bit % 64);

	host_page_check(page, bit / 64 * 8, 8, 8);
	return (__atomic_fetch_and((uint64_t *)(void *)(page->bytes + bit / 64 * 8), ~mask,
				   __ATOMIC_SEQ_CST) & mask) != 0;
}

static inline bool vm_page_test_bit(const struct vm_page *page, size_t bit)
{
	return (vm_page_load64(page, bit / 64 * 8) >> (bit % 64) & 1) != 0;
}

/* An exchange on a word of our own: the same barrier, in a form that the thread sanitizer knows. */
static inline void vm_page_barrier(void)
{
	static uint32_t barrier;

	(void)__atomic_fetch_add(&barrier, 1, __ATOMIC_SEQ_CST);
}

/* Copies; @off + @len at most 4096. */
static inline void vm_page_read(const struct vm_page *page, size_t off, void *to, size_t len)
{
	host_page_check(page, off, len, 1);
	host_page_copy_out(page, off, to, len);
	host_page_loaded(page, off, len);
}

static inline void vm_page_write(struct vm_page *page, size_t off, const void *from, size_t len)
{
	host_page_check(page, off, len, 1);
	host_page_copy_in(page, off, from, len);
}

/* For an io_segment that a backend copies to or from while the pin is held. */
static inline uint8_t *vm_page_bytes(struct vm_page *page)
{
	host_page_check(page, 0, PAGE_BYTES, 1);
	return page->bytes;
}

#endif /* VM_PAGE_H */
