/*
 * p2m_test.c - a guest's memory as a table: leaves of 1 GiB and 2 MiB, taken apart where a page is taken, given or shown, and
 * nothing left when it ends. Frames are numbers here; only tables have bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "hypervisor/include/vm/page.h" /* ring 0's, not that of tests/host */

#include "hypervisor/core/frames.h"
#include "hypervisor/core/machine.h"
#include "tests/unit/unit.h"

static void *fake_direct(hpa_t at);

#define host_direct fake_direct
#include "hypervisor/core/p2m.c"

#define GIB 0x40000000ull
#define PAGES_OF_GIB (GIB / PAGE_BYTES)
#define FRAMES (4 * PAGES_OF_GIB) /* tables lie in the first GiB, RAM above it */
#define OWNER 3u
#define NEVER UINT32_MAX

static struct vm_page frames[FRAMES];
static uint64_t next_table, next_ram;
static uint32_t table_count, breath_count, tables_left;
static uint64_t ram_count;

static uint64_t page_entry(hpa_t at, enum hvm_page_size size, uint32_t access)
{
	bool writable = size == HVM_PAGE_TABLE || (access & HVM_PAGE_WRITE) != 0;

	return at.v | ENTRY_PRESENT | (writable ? ENTRY_WRITABLE : 0) |
	       (size == HVM_PAGE_2M || size == HVM_PAGE_1G ? ENTRY_LARGE : 0);
}

static const struct hvm_ops fake_ops = {.page_entry = page_entry};
const struct hvm_ops *hvm = &fake_ops;

static void *fake_direct(hpa_t at)
{
	return frames[at.v >> PAGE_SHIFT].bytes;
}

void cpu_breathe(void)
{
	breath_count++;
}

struct vm_page *frames_page(hpa_t at)
{
	return &frames[at.v >> PAGE_SHIFT];
}

hpa_t frames_hpa(const struct vm_page *page)
{
	return hpa((uint64_t)(page - frames) << PAGE_SHIFT);
}

static struct vm_page *table_alloc(void)
{
	struct vm_page *page;

	if (tables_left == 0) {
		return NULL;
	}
	tables_left -= tables_left != NEVER;
	page = &frames[next_table++];
	page->bytes = calloc(1, PAGE_BYTES);
	page->kind = FRAME_HOST;
	table_count++;
	return page;
}

struct vm_page *frames_reserve(unsigned int order)
{
	uint64_t count = 1ull << order;

	next_ram = (next_ram + count - 1) & ~(count - 1);
	if (next_ram + count > FRAMES) {
		return NULL;
	}
	next_ram += count;
	return &frames[next_ram - count];
}

void frames_open(struct vm_page *page, unsigned int order, enum frame_kind kind, uint16_t owner)
{
	for (uint64_t i = 0; i < 1ull << order; i++) {
		CU_ASSERT_EQUAL_FATAL(page[i].kind, FRAME_NONE);
		page[i] = (struct vm_page){
		        .kind = (uint8_t)kind, .owner = owner, .shown_at = FRAME_SHOWN_NOWHERE};
	}
	ram_count += 1ull << order;
}

struct vm_page *frames_alloc(unsigned int order, enum frame_kind kind, uint16_t owner)
{
	struct vm_page *page = kind == FRAME_HOST ? table_alloc() : frames_reserve(order);

	if (page != NULL && kind != FRAME_HOST) {
		frames_open(page, order, kind, owner);
	}
	return page;
}

void frames_free(struct vm_page *page, unsigned int order)
{
	if (page->kind == FRAME_HOST) {
		free(page->bytes);
		page->bytes = NULL;
		table_count--;
	} else {
		ram_count -= 1ull << order;
	}
	for (uint64_t i = 0; i < 1ull << order; i++) {
		CU_ASSERT_NOT_EQUAL_FATAL(page[i].kind, FRAME_NONE);
		page[i].kind = FRAME_NONE;
	}
}

void frames_retire(struct vm_page *page)
{
	frames_free(page, 0);
}

/* ------------------------------------------------------------------ the tests */

static struct p2m p2m;

static void start(bool huge, uint64_t bytes)
{
	memset(frames, 0, sizeof(frames));
	next_table = 1;
	next_ram = PAGES_OF_GIB;
	ram_count = 0;
	table_count = breath_count = 0;
	tables_left = NEVER;
	p2m_allow_huge(huge);
	CU_ASSERT_TRUE_FATAL(p2m_create(&p2m, OWNER));
	CU_ASSERT_TRUE_FATAL(p2m_populate(&p2m, gpa(0), bytes));
	CU_ASSERT_EQUAL(p2m.ram_pages, bytes >> PAGE_SHIFT);
}

static void stop(void)
{
	p2m_destroy(&p2m);
	CU_ASSERT_EQUAL(ram_count, 0);
	CU_ASSERT_EQUAL(table_count, 0);
}

static uint64_t frame_at(uint64_t at)
{
	struct p2m_view view = p2m_find(&p2m, gpa(at));

	CU_ASSERT_TRUE(view.page == NULL || view.writable);
	return view.page == NULL ? 0 : (uint64_t)(view.page - frames);
}

/* Every page from @from to @end but those at @but is the frame that it was at first. */
static void check_frames(uint64_t from, uint64_t end, uint64_t but)
{
	uint32_t wrong = 0;

	for (uint64_t at = from; at < end; at += PAGE_BYTES) {
		wrong += at != but && frame_at(at + 5) != PAGES_OF_GIB + (at >> PAGE_SHIFT);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void test_leaves_of_1_gib(void)
{
	start(true, 2 * GIB + 2 * LARGE_BYTES);
	CU_ASSERT_EQUAL(p2m.huge_count, 2);
	CU_ASSERT_EQUAL(table_count, 3); /* the root, one below it, and one for the rest */
	CU_ASSERT_TRUE(breath_count >= 2 * 512); /* between all blocks of 2 MiB */
	check_frames(0, 2 * GIB + 2 * LARGE_BYTES, UINT64_MAX);
	CU_ASSERT_EQUAL(frame_at(2 * GIB + 2 * LARGE_BYTES), 0);
	stop();
}

static void test_without(void)
{
	start(false, GIB + LARGE_BYTES + PAGE_BYTES);
	CU_ASSERT_EQUAL(p2m.huge_count, 0);
	check_frames(0, GIB + LARGE_BYTES + PAGE_BYTES, UINT64_MAX);
	stop();
	start(true, 3 * GIB); /* all that there is */
	CU_ASSERT_EQUAL(p2m.huge_count, 3);
	CU_ASSERT_FALSE(p2m_populate(&p2m, gpa(8 * GIB), GIB)); /* no block of any size is left */
	CU_ASSERT_EQUAL(p2m.huge_count, 3);
	stop();
}

/* A page in the midst goes and comes; all others stay where they are. */
static void test_taken_apart(void)
{
	const uint64_t at = GIB + 7 * LARGE_BYTES + 3 * PAGE_BYTES;
	struct vm_page *taken;

	start(true, 2 * GIB);
	CU_ASSERT_EQUAL(p2m_take(&p2m, gpa(at), &taken), P2M_OK);
	CU_ASSERT_PTR_EQUAL(taken, &frames[PAGES_OF_GIB + (at >> PAGE_SHIFT)]);
	frames_retire(taken);
	CU_ASSERT_EQUAL(table_count, 4); /* two more: of 2 MiB, and of 4 KiB */
	CU_ASSERT_EQUAL(frame_at(at), 0);
	check_frames(0, 2 * GIB, at);
	CU_ASSERT_EQUAL(p2m_take(&p2m, gpa(at), &taken), P2M_NOTHING);
	CU_ASSERT_EQUAL(p2m_give(&p2m, gpa(at)), P2M_OK);
	CU_ASSERT_EQUAL(frame_at(at), 3 * PAGES_OF_GIB);
	CU_ASSERT_EQUAL(p2m_give(&p2m, gpa(at)), P2M_OCCUPIED);
	CU_ASSERT_EQUAL(p2m.ram_pages, 2 * PAGES_OF_GIB);
	stop();
}

/* A page of ours over one of the guest's, which shows again after it. */
static void test_shown_inside(void)
{
	static struct vm_page ours = {.kind = FRAME_SPECIAL, .shown_at = FRAME_SHOWN_NOWHERE};
	const uint64_t at = 5 * LARGE_BYTES;

	start(true, GIB);
	frames[10] = ours;
	CU_ASSERT_EQUAL(p2m_show(&p2m, &frames[10], gpa(at), HVM_PAGE_READ | HVM_PAGE_WRITE), P2M_OK);
	CU_ASSERT_EQUAL(frame_at(at), 10);
	check_frames(0, GIB, at);
	CU_ASSERT_TRUE(p2m_hide(&p2m, &frames[10]));
	check_frames(0, GIB, UINT64_MAX);
	stop();
}

/* Without memory for the smaller tables nothing changes. */
static void test_no_memory_to_take_apart(void)
{
	struct vm_page *taken;

	start(true, GIB);
	for (uint32_t tables = 0; tables < 2; tables++) {
		tables_left = tables;
		CU_ASSERT_EQUAL(p2m_take(&p2m, gpa(LARGE_BYTES), &taken), P2M_FULL);
		CU_ASSERT_PTR_NULL(taken);
		check_frames(0, GIB, UINT64_MAX);
		CU_ASSERT_EQUAL(p2m.ram_pages, PAGES_OF_GIB);
	}
	tables_left = NEVER;
	CU_ASSERT_EQUAL(p2m_take(&p2m, gpa(LARGE_BYTES), &taken), P2M_OK);
	frames_retire(taken);
	stop();
}

static void test_no_memory_to_begin(void)
{
	start(true, 0);
	tables_left = 0;
	CU_ASSERT_FALSE(p2m_populate(&p2m, gpa(GIB), GIB));
	CU_ASSERT_EQUAL(ram_count, 0);
	CU_ASSERT_EQUAL(p2m.ram_pages, 0);
	CU_ASSERT_EQUAL(p2m.huge_count, 0);
	stop();
}

UNIT_MAIN("p2m", UNIT_TEST(test_leaves_of_1_gib), UNIT_TEST(test_without), UNIT_TEST(test_taken_apart),
          UNIT_TEST(test_shown_inside), UNIT_TEST(test_no_memory_to_take_apart),
          UNIT_TEST(test_no_memory_to_begin))
