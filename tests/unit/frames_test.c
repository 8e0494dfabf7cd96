/*
 * frames_test.c - core's frames: a frame that a guest gave up is no one else's while a CPU may hold a translation to it or
 * a backend a pin, and what is handed out shows nothing of who had it.
 */
#include <stdlib.h>
#include <string.h>

#include "hypervisor/include/vm/page.h" /* ring 0's, not that of tests/host */

#include "hypervisor/core/machine.h"
#include "tests/unit/unit.h"

static uint8_t *ram; /* from address 0 */

static void *fake_direct(hpa_t at)
{
	return ram + at.v;
}

static hpa_t fake_hpa_of(const void *at)
{
	return hpa((uint64_t)((const uint8_t *)at - ram));
}

#define host_direct fake_direct
#define host_hpa_of fake_hpa_of
#include "hypervisor/core/frames.c"

#define FRAMES 1024u
#define HOLE 300u /* this frame is no RAM */
#define CPUS 3u

struct cpu cpus[HOST_CPUS_MAX];
static struct host_boot boot;

unsigned int cpu_count(void)
{
	return CPUS;
}

const struct host_boot *host_boot(void)
{
	return &boot;
}

static void start(void)
{
	free(ram);
	ram = aligned_alloc(PAGE_BYTES, FRAMES * PAGE_BYTES);
	CU_ASSERT_PTR_NOT_NULL_FATAL(ram);
	memset(ram, 0xa5, FRAMES * PAGE_BYTES); /* what firmware left there */
	memset(&pool, 0, sizeof(pool));
	memset(&heap, 0, sizeof(heap));
	memset(cpus, 0, sizeof(cpus));
	boot.free_count = 2;
	boot.free[0].start = hpa(PAGE_BYTES); /* page 0 is never handed out */
	boot.free[0].bytes = (HOLE - 1) * PAGE_BYTES;
	boot.free[1].start = hpa((HOLE + 1) * PAGE_BYTES);
	boot.free[1].bytes = (FRAMES - HOLE - 1) * PAGE_BYTES;
	frames_init();
}

static bool is_zero(const struct vm_page *page, unsigned int order)
{
	for (size_t i = 0; i < (size_t)PAGE_BYTES << order; i++) {
		if (page->bytes[i] != 0) {
			return false;
		}
	}
	return true;
}

/* Each free frame at once, marked; none twice, none that is not RAM, none of the table's own. */
static void test_each_frame_once(void)
{
	static struct vm_page *got[FRAMES];
	uint64_t total;
	uint32_t count = 0;

	start();
	total = frames_total_count();
	CU_ASSERT_EQUAL(frames_free_count(), total);
	CU_ASSERT_TRUE(total > FRAMES / 2 && total < FRAMES - 1);
	CU_ASSERT_PTR_NULL(frames_page(hpa(HOLE * PAGE_BYTES)));
	CU_ASSERT_PTR_NULL(frames_page(hpa(FRAMES * PAGE_BYTES)));
	CU_ASSERT_PTR_NULL(frames_page(host_hpa_of(pool.pages)));
	for (;;) {
		struct vm_page *page = frames_alloc(0, FRAME_RAM, 1);

		if (page == NULL) {
			break;
		}
		CU_ASSERT_TRUE_FATAL(count < FRAMES);
		CU_ASSERT_TRUE(is_zero(page, 0)); /* who got it before has marked it */
		memset(page->bytes, 0x5a, PAGE_BYTES);
		CU_ASSERT_NOT_EQUAL(frames_hpa(page).v, HOLE * PAGE_BYTES);
		got[count++] = page;
	}
	CU_ASSERT_EQUAL(count, total);
	CU_ASSERT_EQUAL(frames_free_count(), 0);
	for (uint32_t i = 0; i < count; i++) {
		frames_free(got[i], 0);
	}
	CU_ASSERT_EQUAL(frames_free_count(), total);
	got[0] = frames_alloc(FRAME_ORDER_2M - 1, FRAME_RAM, 1); /* they are whole blocks again */
	CU_ASSERT_PTR_NOT_NULL_FATAL(got[0]);
	CU_ASSERT_EQUAL(frames_hpa(got[0]).v & ((PAGE_BYTES << (FRAME_ORDER_2M - 1)) - 1), 0);
}

/* A block in parts: each is zeroed when it is opened, and they are one block again when all are free. */
static void test_a_block_in_parts(void)
{
	uint64_t total;
	struct vm_page *page;

	start();
	total = frames_free_count();
	page = frames_reserve(FRAME_ORDER_2M - 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(page);
	CU_ASSERT_EQUAL(frames_free_count(), total - 256);
	CU_ASSERT_EQUAL(frames_hpa(page).v % (256 * PAGE_BYTES), 0);
	for (uint32_t part = 0; part < 256; part += 64) {
		frames_open(page + part, 6, FRAME_RAM, 2);
		CU_ASSERT_TRUE(is_zero(page + part, 6));
		CU_ASSERT_EQUAL(page[part + 63].owner, 2);
		CU_ASSERT_EQUAL(page[part + 63].kind, FRAME_RAM);
	}
	for (uint32_t part = 0; part < 256; part += 64) {
		frames_free(page + part, 6);
	}
	CU_ASSERT_EQUAL(frames_free_count(), total);
	CU_ASSERT_PTR_NOT_NULL(frames_reserve(FRAME_ORDER_2M - 1));
	CU_ASSERT_PTR_NULL(frames_reserve(FRAME_ORDER_1G));
}

/* The next guest finds nothing of the last one's, in blocks of any size. */
static void test_nothing_is_left_in_it(void)
{
	start();
	for (unsigned int order = 0; order < FRAME_ORDER_2M; order++) {
		struct vm_page *page = frames_alloc(order, FRAME_RAM, 1);

		CU_ASSERT_PTR_NOT_NULL_FATAL(page);
		CU_ASSERT_TRUE(is_zero(page, order));
		memset(page->bytes, 0x5a, (size_t)PAGE_BYTES << order);
		frames_free(page, order);
		page = frames_alloc(order, FRAME_RAM, 2);
		CU_ASSERT_PTR_NOT_NULL_FATAL(page);
		CU_ASSERT_TRUE(is_zero(page, order));
		CU_ASSERT_TRUE(page->owner == 2 && page->pin_count == 0 && page->access == 0);
		frames_free(page, order);
	}
}

static void all_pass(void)
{
	for (unsigned int i = 0; i < CPUS; i++) {
		cpus[i].passes++;
	}
}

/* Free only once every CPU that is not idle has passed since the batch was closed. */
static void test_waits_for_every_cpu(void)
{
	struct vm_page *page;
	uint64_t free_before;

	for (unsigned int late = 0; late < CPUS; late++) {
		start();
		page = frames_alloc(0, FRAME_RAM, 1);
		CU_ASSERT_PTR_NOT_NULL_FATAL(page);
		free_before = frames_free_count();
		frames_retire(page);
		all_pass(); /* before the batch was closed: that counts for nothing */
		frames_reap();
		for (unsigned int i = 0; i < CPUS; i++) {
			cpus[i].passes += i != late ? 1 : 0;
		}
		frames_reap();
		frames_reap();
		CU_ASSERT_EQUAL(frames_free_count(), free_before);
		CU_ASSERT_EQUAL(frames_limbo_count(), 1);
		cpus[late].passes++;
		frames_reap();
		CU_ASSERT_EQUAL(frames_free_count(), free_before + 1);
		CU_ASSERT_EQUAL(frames_limbo_count(), 0);
	}
	/* One that halts has no guest's translations in use. */
	start();
	page = frames_alloc(0, FRAME_RAM, 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(page);
	free_before = frames_free_count();
	frames_retire(page);
	frames_reap();
	cpus[0].passes++;
	cpus[1].idle = true;
	frames_reap();
	CU_ASSERT_EQUAL(frames_free_count(), free_before);
	cpus[2].passes++;
	frames_reap();
	CU_ASSERT_EQUAL(frames_free_count(), free_before + 1);
}

/* Whose they are is known until they are free; and so many at a time, which is told. */
static void test_limbo_has_owners(void)
{
	struct vm_page *pinned;

	start();
	for (uint32_t i = 0; i < LIMBO_MAX + 10; i++) {
		struct vm_page *page = frames_alloc(0, FRAME_RAM, i < 5 ? 2 : 1);

		CU_ASSERT_PTR_NOT_NULL_FATAL(page);
		frames_retire(page);
	}
	pinned = frames_alloc(0, FRAME_SPECIAL, 3);
	CU_ASSERT_PTR_NOT_NULL_FATAL(pinned);
	pinned->pin_count = 1;
	frames_retire(pinned);
	CU_ASSERT_EQUAL(frames_limbo_of(1), LIMBO_MAX + 5);
	CU_ASSERT_EQUAL(frames_limbo_of(2), 5);
	CU_ASSERT_EQUAL(frames_limbo_of(3), 1);
	CU_ASSERT_FALSE(frames_reap()); /* the batch is closed, that is all */
	CU_ASSERT_FALSE(frames_reap());
	all_pass();
	CU_ASSERT_TRUE(frames_reap());
	CU_ASSERT_EQUAL(frames_limbo_of(1) + frames_limbo_of(2), 11);
	CU_ASSERT_TRUE(frames_reap());
	CU_ASSERT_EQUAL(frames_limbo_of(1) + frames_limbo_of(2), 0);
	for (uint32_t i = 0; i < 4; i++) { /* a pin alone is no progress */
		all_pass();
		CU_ASSERT_FALSE(frames_reap());
	}
	CU_ASSERT_EQUAL(frames_limbo_of(3), 1);
	pinned->pin_count = 0;
	all_pass();
	CU_ASSERT_TRUE(frames_reap());
	CU_ASSERT_EQUAL(frames_limbo_of(3), 0);
	CU_ASSERT_EQUAL(frames_free_count(), frames_total_count());
}

/* A frame that came while a batch waits has a wait of its own. */
static void test_later_ones_wait_longer(void)
{
	struct vm_page *first, *second;

	start();
	first = frames_alloc(0, FRAME_RAM, 1);
	second = frames_alloc(0, FRAME_RAM, 1);
	CU_ASSERT_TRUE_FATAL(first != NULL && second != NULL);
	frames_retire(first);
	frames_reap();
	frames_retire(second);
	all_pass();
	frames_reap();
	CU_ASSERT_EQUAL(frames_limbo_count(), 1);
	CU_ASSERT_EQUAL(second->kind, FRAME_LIMBO);
	CU_ASSERT_EQUAL(first->kind, FRAME_FREE);
	frames_reap();
	CU_ASSERT_EQUAL(frames_limbo_count(), 1);
	all_pass();
	frames_reap();
	CU_ASSERT_EQUAL(frames_limbo_count(), 0);
}

/* What a disk is still writing to stays, however often the CPUs have passed. */
static void test_waits_for_the_last_pin(void)
{
	struct vm_page *page;
	uint64_t free_before;

	start();
	page = frames_alloc(0, FRAME_RAM, 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(page);
	free_before = frames_free_count();
	page->pin_count = 2;
	frames_retire(page);
	for (uint32_t i = 0; i < 10; i++) {
		page->pin_count = i < 5 ? 2 : 1;
		frames_reap();
		all_pass();
	}
	CU_ASSERT_EQUAL(frames_free_count(), free_before);
	page->pin_count = 0;
	for (uint32_t i = 0; i < 3; i++) {
		frames_reap();
		all_pass();
	}
	CU_ASSERT_EQUAL(frames_free_count(), free_before + 1);
	CU_ASSERT_EQUAL(frames_limbo_count(), 0);
}

/* One step frees a bounded number. */
static void test_steps_are_bounded(void)
{
	start();
	for (uint32_t i = 0; i < LIMBO_MAX + 10; i++) {
		struct vm_page *page = frames_alloc(0, FRAME_RAM, 1);

		CU_ASSERT_PTR_NOT_NULL_FATAL(page);
		frames_retire(page);
	}
	frames_reap();
	all_pass();
	frames_reap();
	CU_ASSERT_EQUAL(frames_limbo_count(), 10);
	frames_reap();
	CU_ASSERT_EQUAL(frames_limbo_count(), 0);
}

/* Memory of modules: zeroed each time, its size known, and no more than there is. */
static void test_heap(void)
{
	static const size_t sizes[] = {1, 16, 17, 48, 500, 2032, 2033, 5000, 600000};

	start();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (int again = 0; again < 2; again++) {
			uint8_t *piece = heap_alloc(sizes[i]);

			CU_ASSERT_PTR_NOT_NULL_FATAL(piece);
			CU_ASSERT_EQUAL(heap_size(piece), sizes[i]);
			for (size_t at = 0; at < sizes[i]; at++) {
				CU_ASSERT_TRUE_FATAL(piece[at] == 0);
			}
			memset(piece, 0x5a, sizes[i]);
			heap_free(piece);
		}
	}
	heap_free(NULL);
	CU_ASSERT_PTR_NULL(heap_alloc(4u << 20));
	while (heap_alloc(100000) != NULL) {
	}
	while (heap_alloc(1000) != NULL) {
	}
	CU_ASSERT_EQUAL(frames_free_count(), 0);
	CU_ASSERT_PTR_NULL(frames_alloc(0, FRAME_RAM, 1));
	CU_ASSERT_PTR_NULL(heap_alloc(1000));
	free(ram);
	ram = NULL;
}

UNIT_MAIN("frames", UNIT_TEST(test_each_frame_once), UNIT_TEST(test_a_block_in_parts), UNIT_TEST(test_nothing_is_left_in_it),
	  UNIT_TEST(test_waits_for_every_cpu), UNIT_TEST(test_limbo_has_owners), UNIT_TEST(test_later_ones_wait_longer),
	  UNIT_TEST(test_waits_for_the_last_pin), UNIT_TEST(test_steps_are_bounded), UNIT_TEST(test_heap))
