/*
 * guest_machine.h - the machine below a driver whose host is the fuzzer's input: pages that are allocations of
 * their own, so that the sanitizer sees each step over an end, and MSRs that say yes.
 */
#ifndef TESTS_FUZZ_GUEST_MACHINE_H
#define TESTS_FUZZ_GUEST_MACHINE_H

#include <stdlib.h>
#include <string.h>

#include "abi/hyperv.h"
#include "guest-drivers/guest.h"
#include "tests/fuzz/fuzz_input.h"

#define PAGES 640u
#define STORE_GFN 1u /* the host's own choice of one of the guest's pages */
#define POLL_MAX 24u

static struct input in;
static uint8_t *pages[PAGES];
static bool used[PAGES];
static uint32_t first_free; /* no page below it is */

static bool lies(void)
{
	return take_below(&in, 16) == 15;
}

static bool op_page_alloc(void *context, struct guest_page *page)
{
	(void)context;
	for (uint32_t i = first_free; i < PAGES; i++) {
		if (!used[i]) {
			used[i] = true;
			first_free = i + 1;
			memset(pages[i], 0, PAGE_BYTES);
			*page = (struct guest_page){pages[i], i};
			return true;
		}
	}
	return false;
}

static void op_page_free(void *context, struct guest_page *page)
{
	(void)context;
	require(page->gfn < PAGES && used[page->gfn], "a page is given back once");
	used[page->gfn] = false;
	first_free = page->gfn < first_free ? (uint32_t)page->gfn : first_free;
	page->bytes = NULL;
}

static uint8_t *op_page_at(void *context, uint64_t gfn)
{
	(void)context;
	return gfn < PAGES ? pages[gfn] : NULL;
}

static bool op_wrmsr(void *context, uint32_t msr, uint64_t value)
{
	(void)context;
	(void)msr;
	(void)value;
	return true;
}

static bool op_rdmsr(void *context, uint32_t msr, uint64_t *value)
{
	(void)context;
	*value = msr == HV_X64_MSR_HYPERCALL ? HV_OVERLAY_ENABLE : 0;
	return true;
}

/* All pages are free, and the host's answers are of this input. */
static void machine_start(const uint8_t *data, size_t size)
{
	for (uint32_t i = 0; i < PAGES && pages[PAGES - 1] == NULL; i++) {
		pages[i] = aligned_alloc(PAGE_BYTES, PAGE_BYTES);
		require(pages[i] != NULL, "memory");
	}
	first_free = STORE_GFN + 1;
	in = (struct input){data, size};
	memset(used, 0, sizeof(used));
	memset(pages[STORE_GFN], 0, PAGE_BYTES);
}

#endif /* TESTS_FUZZ_GUEST_MACHINE_H */
