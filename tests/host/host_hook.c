/*
 * host_hook.c - what happens at each load from guest memory: count it, or change the page behind
 * it.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/host/host_private.h"

host_load_fn *host_load_hook_fn;
void *host_load_hook_context;

static struct {
	uint8_t *bytes; /* the range, in the host's address space */
	size_t len;
	uint32_t *counts; /* atomic, one a byte */
	uint64_t random;
} watch;

void host_load_hook(host_load_fn *fn, void *context)
{
	host_load_hook_context = context;
	host_load_hook_fn = fn;
}

/* The part of a load that lies in the watched range; false if none does. */
static bool watch_hits(const struct vm_page *page, size_t off, size_t width, size_t *from,
		       size_t *to)
{
	uintptr_t start = (uintptr_t)(page->bytes + off);
	uintptr_t base = (uintptr_t)watch.bytes;

	if (start + width <= base || start >= base + watch.len) {
		return false;
	}
	*from = start > base ? start - base : 0;
	*to = start + width - base;
	*to = *to < watch.len ? *to : watch.len;
	return true;
}

static void watch_loaded(void *context, struct vm_page *page, size_t off, size_t width)
{
	size_t from, to;

	(void)context;
	if (!watch_hits(page, off, width, &from, &to)) {
		return;
	}
	for (size_t i = from; i < to; i++) {
		__atomic_fetch_add(&watch.counts[i], 1, __ATOMIC_RELAXED);
	}
}

void host_fetch_watch(struct vm *vm, uint64_t at, size_t len)
{
	host_fetch_unwatch();
	watch.bytes = host_vm_bytes(vm, at, len);
	CHECK(watch.bytes != NULL);
	watch.len = len;
	watch.counts = calloc(len, sizeof(*watch.counts));
	CHECK(watch.counts != NULL);
	host_load_hook(watch_loaded, NULL);
}

uint32_t host_fetch_max(void)
{
	uint32_t max = 0;

	for (size_t i = 0; watch.counts != NULL && i < watch.len; i++) {
		uint32_t count = __atomic_load_n(&watch.counts[i], __ATOMIC_RELAXED);

		max = count > max ? count : max;
	}
	return max;
}

void host_fetch_unwatch(void)
{
	host_load_hook(NULL, NULL);
	free(watch.counts);
	watch.counts = NULL;
	watch.len = 0;
}

static void scribble_loaded(void *context, struct vm_page *page, size_t off, size_t width)
{
	size_t from, to;

	(void)context;
	if (!watch_hits(page, off, width, &from, &to)) {
		return;
	}
	for (size_t i = from; i < to; i++) {
		uint64_t next = watch.random * 6364136223846793005ull + 1442695040888963407ull;

		watch.random = next;
		__atomic_fetch_xor(&watch.bytes[i], (uint8_t)(next >> 56 | 1), __ATOMIC_RELAXED);
	}
}

void host_scribble(struct vm *vm, uint64_t at, size_t len, uint64_t seed)
{
	host_fetch_unwatch();
	watch.bytes = host_vm_bytes(vm, at, len);
	CHECK(watch.bytes != NULL);
	watch.len = len;
	watch.random = seed;
	host_load_hook(scribble_loaded, NULL);
}
