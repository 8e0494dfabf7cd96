/*
 * gpadl_test.c - lists of the guest's frames: built in pieces, wrong ones, what lies behind an offset, quotas and release.
 */
#include "tests/unit/unit.h"

#include "tests/unit/vmbus_guest.h"
#include "vmbus/gpadl.h"

static struct vm *vm;

static uint64_t range(uint32_t bytes, uint32_t offset)
{
	return bytes | (uint64_t)offset << 32;
}

static struct vmbus_gpadl *create(uint32_t words, uint32_t ranges)
{
	vm = host_vm_new(NULL);
	return gpadl_create(vm, words * 8, ranges);
}

static void end(struct vmbus_gpadl *gpadl)
{
	if (gpadl != NULL) {
		while (!gpadl_release(vm, gpadl, 1)) {
		}
	}
	host_vm_free(vm);
}

static void test_one_range(void)
{
	const uint64_t words[] = {range(3 * 4096, 0), 5, 9, 7};
	struct vmbus_gpadl *gpadl = create(4, 1);
	struct io_segment segments[8];

	CU_ASSERT_PTR_NOT_NULL_FATAL(gpadl);
	CU_ASSERT_EQUAL(gpadl_add(vm, gpadl, (const uint8_t *)words, 2), GPADL_MORE);
	CU_ASSERT_EQUAL(gpadl_add(vm, gpadl, (const uint8_t *)(words + 2), 9), GPADL_DONE);
	CU_ASSERT_EQUAL(host_page_pin_count(vm, 0x9000), 1);
	CU_ASSERT_TRUE(gpadl_is_ring(gpadl));
	CU_ASSERT_EQUAL(vmbus_gpadl_bytes(gpadl), 3 * 4096);
	CU_ASSERT_EQUAL(vmbus_gpadl_segments(gpadl, 4090, 4108, segments, 8), 3);
	CU_ASSERT_EQUAL(segments[0].len_bytes, 6);
	CU_ASSERT_EQUAL(segments[1].len_bytes, 4096);
	CU_ASSERT_EQUAL(segments[2].len_bytes, 6);
	CU_ASSERT_PTR_EQUAL(segments[0].bytes, (uint8_t *)host_vm_bytes(vm, 0x5000, 1) + 4090);
	CU_ASSERT_PTR_EQUAL(segments[1].bytes, host_vm_bytes(vm, 0x9000, 1));
	CU_ASSERT_PTR_EQUAL(segments[2].bytes, host_vm_bytes(vm, 0x7000, 1));
	CU_ASSERT_EQUAL(vmbus_gpadl_segments(gpadl, 4090, 4108, segments, 2), 0);
	CU_ASSERT_EQUAL(vmbus_gpadl_segments(gpadl, 0, 3 * 4096 + 1, segments, 8), 0);
	CU_ASSERT_EQUAL(vmbus_gpadl_segments(gpadl, UINT64_MAX, 2, segments, 8), 0);
	CU_ASSERT_EQUAL(vmbus_gpadl_segments(gpadl, 3 * 4096, 1, segments, 8), 0);
	CU_ASSERT_EQUAL(vmbus_gpadl_segments(gpadl, 0, 0, segments, 8), 0);
	end(gpadl);
}

static void test_two_ranges(void)
{
	const uint64_t words[] = {range(100, 4090), 1, 2, range(10, 16), 3};
	struct vmbus_gpadl *gpadl = create(5, 2);
	struct io_segment segments[4];

	CU_ASSERT_EQUAL(gpadl_add(vm, gpadl, (const uint8_t *)words, 5), GPADL_DONE);
	CU_ASSERT_FALSE(gpadl_is_ring(gpadl));
	CU_ASSERT_EQUAL(vmbus_gpadl_bytes(gpadl), 110);
	CU_ASSERT_EQUAL(vmbus_gpadl_segments(gpadl, 0, 110, segments, 4), 3);
	CU_ASSERT_EQUAL(segments[0].len_bytes, 6);
	CU_ASSERT_EQUAL(segments[1].len_bytes, 94);
	CU_ASSERT_EQUAL(segments[2].len_bytes, 10);
	CU_ASSERT_PTR_EQUAL(segments[2].bytes, (uint8_t *)host_vm_bytes(vm, 0x3000, 1) + 16);
	CU_ASSERT_EQUAL(vmbus_gpadl_segments(gpadl, 105, 5, segments, 4), 1);
	end(gpadl);
}

static void test_wrong_lists(void)
{
	static const struct {
		uint32_t words, ranges;
		uint64_t list[5];
	} wrong[] = {
	        {2, 1, {0, 1}}, /* no bytes */
	        {2, 1, {16ull | 4096ull << 32, 1}}, /* offset */
	        {3, 1, {16ull | 4096ull << 32, 1, 2}}, /* the same, with a page for it */
	        {2, 1, {8192, 1}}, /* a page is missing */
	        {3, 1, {4096, 1, 2}}, /* one too many */
	        {2, 1, {4096, 0x100000}}, /* not RAM */
	        {2, 1, {4096, UINT64_MAX}}, /* not an address */
	        {5, 2, {4096, 1, 4096, 2, 4096}}, /* three ranges */
	        {4, 2, {3 * 4096, 1, 2, 3}}, /* one range */
	        {2, 1, {0xFFFFFFFF | 0xFFFull << 32, 1}}, /* long */
	};

	for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
		struct vmbus_gpadl *gpadl = create(wrong[i].words, wrong[i].ranges);

		CU_ASSERT_PTR_NOT_NULL_FATAL(gpadl);
		CU_ASSERT_EQUAL(gpadl_add(vm, gpadl, (const uint8_t *)wrong[i].list, wrong[i].words),
		                GPADL_BAD);
		end(gpadl);
	}
}

static void test_wrong_heads(void)
{
	CU_ASSERT_PTR_NULL(create(2, 0));
	CU_ASSERT_PTR_NULL(gpadl_create(vm, 16, 2));
	CU_ASSERT_PTR_NULL(gpadl_create(vm, 17, 1));
	CU_ASSERT_PTR_NULL(gpadl_create(vm, 8, 1));
	CU_ASSERT_PTR_NULL(gpadl_create(vm, 65528, GPADL_RANGE_MAX + 1));
	for (uint32_t i = 0; i < 2; i++) {
		host_fail_alloc_after(vm, i);
		CU_ASSERT_PTR_NULL(gpadl_create(vm, 16, 1));
		host_fail_alloc_never(vm);
	}
	end(NULL);
}

static void test_release_in_pieces(void)
{
	struct vmbus_gpadl *gpadl = create(101, 1);
	uint64_t word = range(100 * 4096, 0);

	CU_ASSERT_EQUAL(gpadl_add(vm, gpadl, (const uint8_t *)&word, 1), GPADL_MORE);
	for (uint64_t i = 0; i < 100; i++) {
		CU_ASSERT_EQUAL(gpadl_add(vm, gpadl, (const uint8_t *)&i, 1),
		                i == 99 ? GPADL_DONE : GPADL_MORE);
	}
	CU_ASSERT_FALSE(gpadl_release(vm, gpadl, 60));
	CU_ASSERT_EQUAL(host_vm_leaks(vm).pins, 40);
	CU_ASSERT_TRUE(gpadl_release(vm, gpadl, 60));
	end(NULL);
}

/* ------------------------------------------------------------------ through messages */

static struct guest *guest;

static void connect(void)
{
	guest = guest_new();
	CU_ASSERT_TRUE(guest_contact(guest, VERSION_WIN10_V5_3, 0));
	guest_get_offers(guest);
}

static void test_messages(void)
{
	uint32_t id;

	connect();
	id = guest_post_gpadl(guest, 1, 0x100000, 200);
	CU_ASSERT_EQUAL(guest_gpadl_status(guest), 0);
	CU_ASSERT_EQUAL(host_page_pin_count(guest->vm, 0x100000 + 199 * 4096), 1);
	guest_post_teardown(guest, 2, id); /* of another channel: no answer */
	CU_ASSERT_EQUAL(guest_receive(guest), 0);
	guest_post_teardown(guest, 1, id);
	CU_ASSERT_EQUAL(guest_receive(guest), CHANNELMSG_GPADL_TORNDOWN);
	CU_ASSERT_EQUAL(guest->message_bytes, 12);
	CU_ASSERT_EQUAL(memcmp(guest->message + 8, &id, 4), 0);
	CU_ASSERT_EQUAL(host_page_pin_count(guest->vm, 0x100000), 0);
	guest_post_teardown(guest, 1, id);
	CU_ASSERT_EQUAL(guest_receive(guest), 0);
	guest_free(guest);
}

static void test_refused_messages(void)
{
	struct {
		struct vmbus_channel_gpadl_header h;
		uint64_t words[2];
	} PACKED m = {.h = {.header.msgtype = CHANNELMSG_GPADL_HEADER,
	                    .child_relid = 99,
	                    .gpadl = 5,
	                    .range_buflen = 16,
	                    .rangecount = 1},
	              .words = {4096, 0x100}};
	struct vmbus_channel_gpadl_body body = {.header.msgtype = CHANNELMSG_GPADL_BODY, .gpadl = 5};

	connect();
	guest_post(guest, &m, sizeof(m)); /* no such channel */
	CU_ASSERT_EQUAL(guest_gpadl_status(guest), VMBUS_STATUS_INVALID_PARAMETER);
	m.h.child_relid = 1;
	m.words[1] = 0xFFFFFF;
	guest_post(guest, &m, sizeof(m)); /* not RAM */
	CU_ASSERT_EQUAL(guest_gpadl_status(guest), VMBUS_STATUS_INVALID_PARAMETER);
	guest_post(guest, &body, sizeof(body)); /* of none */
	guest_post(guest, &m, 12); /* short */
	guest_post(guest, &body, 12);
	CU_ASSERT_EQUAL(guest_receive(guest), 0);
	m.words[1] = 0x100;
	guest_post(guest, &m, sizeof(m));
	CU_ASSERT_EQUAL(guest_gpadl_status(guest), 0);
	guest_post(guest, &m, sizeof(m)); /* the id is taken */
	CU_ASSERT_EQUAL(guest_gpadl_status(guest), VMBUS_STATUS_INVALID_PARAMETER);
	m.h.gpadl = 6;
	m.h.range_buflen = 24;
	guest_post(guest, &m, sizeof(m)); /* begun */
	m.h.child_relid = 2;
	guest_post(guest, &m, sizeof(m)); /* begun on another channel */
	CU_ASSERT_EQUAL(guest_gpadl_status(guest), VMBUS_STATUS_INVALID_PARAMETER);
	CU_ASSERT_TRUE(host_count_refused(guest->vm, SPEC_VMBUS_MESSAGE, 3) >= 5);
	guest_free(guest); /* with what is left */
}

static void test_quota(void)
{
	struct {
		struct vmbus_channel_gpadl_header h;
		uint64_t words[2];
	} PACKED m = {.h = {.header.msgtype = CHANNELMSG_GPADL_HEADER,
	                    .child_relid = 1,
	                    .range_buflen = 65528,
	                    .rangecount = 1},
	              .words = {8190u * 4096u, 0x100}};

	connect();
	m.h.gpadl = 1;
	guest_post(guest, &m, sizeof(m)); /* nearly all pages that may be pinned */
	CU_ASSERT_EQUAL(guest_receive(guest), 0);
	m.h.gpadl = 2;
	guest_post(guest, &m, sizeof(m));
	CU_ASSERT_EQUAL(guest_gpadl_status(guest), VMBUS_STATUS_INSUFFICIENT_RESOURCES);
	m.h.range_buflen = 16;
	m.words[0] = 4096;
	(void)guest_contact(guest, VERSION_WIN10_V5_3, 0); /* drops all */
	for (uint32_t i = 0; i < 128; i++) {
		m.h.gpadl = 100 + i;
		guest_post(guest, &m, sizeof(m));
		CU_ASSERT_EQUAL(guest_gpadl_status(guest), 0);
	}
	m.h.gpadl = 1000;
	guest_post(guest, &m, sizeof(m));
	CU_ASSERT_EQUAL(guest_gpadl_status(guest), VMBUS_STATUS_INSUFFICIENT_RESOURCES);
	CU_ASSERT_EQUAL(host_page_pin_count(guest->vm, 0x100000), 128);
	guest_free(guest);
}

UNIT_MAIN("gpadl", UNIT_TEST(test_one_range), UNIT_TEST(test_two_ranges), UNIT_TEST(test_wrong_lists),
          UNIT_TEST(test_wrong_heads), UNIT_TEST(test_release_in_pieces), UNIT_TEST(test_messages),
          UNIT_TEST(test_refused_messages), UNIT_TEST(test_quota))
