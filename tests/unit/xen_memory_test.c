/*
 * xen_memory_test.c - memory_op: ballooning with continuation, placing of pages, the memory map.
 */
#include "tests/unit/xen_guest.h"

#define LIST 0x40000ull

static int64_t extents(struct vm *vm, uint64_t op, struct xen_reservation64 r)
{
	return GUEST_OP(vm, memory_op, op, r);
}

static struct xen_reservation64 list_of(struct vm *vm, uint64_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		guest_put64(vm, LIST + i * 8, first + i);
	}
	return (struct xen_reservation64){.extent_start = LIST, .nr_extents = count, .domid = DOMID_SELF};
}

static void test_balloon_out_and_in(void)
{
	struct vm *vm = guest_new(1);
	uint64_t before = vm_ram_pages(vm);
	uint16_t dom = DOMID_SELF;

	guest_put32(vm, 0x100000, 0x1234);
	CU_ASSERT_EQUAL(extents(vm, XENMEM_decrease_reservation, list_of(vm, 0x100, 512)), 512);
	CU_ASSERT_TRUE(guest_again_count >= 7);
	CU_ASSERT_EQUAL(vm_ram_pages(vm), before - 512);
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_current_reservation, dom), (int64_t)before - 512);
	CU_ASSERT_FALSE(vm_is_ram(vm, gpa(0x100000)));
	CU_ASSERT_EQUAL(extents(vm, XENMEM_populate_physmap, list_of(vm, 0x100, 512)), 512);
	CU_ASSERT_TRUE(guest_again_count >= 31); /* 16 pages zeroed an exit */
	CU_ASSERT_EQUAL(vm_ram_pages(vm), before);
	CU_ASSERT_EQUAL(guest_get32(vm, 0x100000), 0);
	guest_free(vm);
}

static void test_extents_stop_at_the_first_failure(void)
{
	struct vm *vm = guest_new(1);
	struct xen_reservation64 r = list_of(vm, 0x3FE, 4); /* RAM ends at 0x400 */

	CU_ASSERT_EQUAL(extents(vm, XENMEM_decrease_reservation, r), 2);
	CU_ASSERT_EQUAL(extents(vm, XENMEM_populate_physmap, list_of(vm, 0x3FD, 3)), 0); /* is there */
	CU_ASSERT_EQUAL(extents(vm, XENMEM_populate_physmap, list_of(vm, 0x3FE, 1)), 1);
	guest_put64(vm, LIST, UINT64_MAX);
	r.nr_extents = 1;
	CU_ASSERT_EQUAL(extents(vm, XENMEM_decrease_reservation, r), 0);
	CU_ASSERT_EQUAL(extents(vm, XENMEM_populate_physmap, r), 0);
	r.extent_start = 1ull << 39;
	CU_ASSERT_EQUAL(extents(vm, XENMEM_populate_physmap, r), 0);
	guest_free(vm);
}

/* None of these is an error: extents done, 0 of them. */
static void test_extents_never_answer_an_error(void)
{
	struct vm *vm = guest_new(1);
	struct xen_reservation64 r = list_of(vm, 0x100, 1);

	r.domid = 3;
	CU_ASSERT_EQUAL(extents(vm, XENMEM_decrease_reservation, r), 0);
	r.domid = GUEST_DOMID;
	r.extent_order = 5;
	CU_ASSERT_EQUAL(extents(vm, XENMEM_decrease_reservation, r), 0);
	r.extent_order = UINT32_MAX;
	CU_ASSERT_EQUAL(extents(vm, XENMEM_populate_physmap, r), 0);
	r.extent_order = 0;
	r.mem_flags = XENMEMF_populate_on_demand;
	CU_ASSERT_EQUAL(extents(vm, XENMEM_populate_physmap, r), 0);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_memory_op, 1, 1ull << 39, 0), 0);
	CU_ASSERT_EQUAL(extents(vm, XENMEM_increase_reservation, r), 0);
	r.nr_extents = UINT64_MAX; /* ends where the list cannot be read or names no RAM */
	r.mem_flags = 0;
	CU_ASSERT_TRUE(extents(vm, XENMEM_decrease_reservation, r) >= 1);
	guest_free(vm);
}

static void test_forged_progress(void)
{
	struct vm *vm = guest_new(1);
	struct xen_reservation64 r = list_of(vm, 0x100, 4);
	uint64_t before = vm_ram_pages(vm);

	CU_ASSERT_EQUAL(extents(vm, XENMEM_decrease_reservation | 3 << 6, r), 4);
	CU_ASSERT_EQUAL(vm_ram_pages(vm), before - 1); /* only the last */
	CU_ASSERT_EQUAL(extents(vm, XENMEM_decrease_reservation | 100 << 6, r), 100);
	CU_ASSERT_EQUAL(extents(vm, XENMEM_decrease_reservation | 1ull << 63, r), (int64_t)(1ull << 57));
	CU_ASSERT_EQUAL(vm_ram_pages(vm), before - 1);
	guest_free(vm);
}

static void test_orders(void)
{
	struct vm *vm = guest_new(1);
	struct xen_reservation64 r = list_of(vm, 0x100, 1);
	uint64_t before = vm_ram_pages(vm);

	r.extent_order = 4;
	CU_ASSERT_EQUAL(extents(vm, XENMEM_decrease_reservation, r), 1);
	CU_ASSERT_EQUAL(vm_ram_pages(vm), before - 16);
	CU_ASSERT_EQUAL(extents(vm, XENMEM_decrease_reservation, r), 0);
	CU_ASSERT_EQUAL(vm_ram_give(vm, gpa(0x108000)), VM_OK);
	CU_ASSERT_EQUAL(extents(vm, XENMEM_populate_physmap, r), 0); /* all of an extent or nothing */
	CU_ASSERT_EQUAL(vm_ram_pages(vm), before - 15);
	CU_ASSERT_EQUAL(vm_ram_take(vm, gpa(0x108000)), VM_OK);
	CU_ASSERT_EQUAL(extents(vm, XENMEM_populate_physmap, r), 1);
	CU_ASSERT_EQUAL(vm_ram_pages(vm), before);
	guest_put64(vm, LIST, 0x101); /* not aligned to its order */
	CU_ASSERT_EQUAL(extents(vm, XENMEM_decrease_reservation, r), 0);
	guest_free(vm);
}

static void test_populate_up_to_the_maximum(void)
{
	struct vm *vm = guest_new(1);
	struct xen_reservation64 r = list_of(vm, 0x400, 300); /* 256 more are allowed */
	uint16_t dom = DOMID_SELF;
	int64_t max = GUEST_OP(vm, memory_op, XENMEM_maximum_reservation, dom);

	CU_ASSERT_EQUAL(max, 0x500);
	CU_ASSERT_EQUAL(extents(vm, XENMEM_populate_physmap, r), 256);
	CU_ASSERT_EQUAL((int64_t)vm_ram_pages(vm), max);
	guest_free(vm);
}

static void test_narrow_extents(void)
{
	struct vm *vm = guest_new(1);
	struct xen_reservation32 r = {.extent_start = LIST, .nr_extents = 130, .domid = DOMID_SELF};

	for (uint32_t i = 0; i < 130; i++) {
		guest_put32(vm, LIST + i * 4, 0x100 + i);
	}
	guest_set_narrow(vm, 0, true);
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_decrease_reservation, r), 130);
	CU_ASSERT_EQUAL(guest_again_count, 2);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_memory_op, 1, 0xFFFFF000, 0), 0);
	guest_free(vm);
}

static void test_numbers(void)
{
	struct vm *vm = guest_new(1);
	uint16_t dom = DOMID_SELF;

	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_memory_op, XENMEM_maximum_ram_page, 0, 0), 0x3FF);
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_maximum_gpfn, dom), 0x3FF);
	dom = 3;
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_maximum_gpfn, dom), -XEN_ESRCH);
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_current_reservation, dom), -XEN_ESRCH);
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_maximum_reservation, dom), -XEN_ESRCH);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_memory_op, XENMEM_maximum_gpfn, 1ull << 39, 0),
	                -XEN_EFAULT);
	guest_free(vm);
}

/* ------------------------------------------------------------------ placing pages */

static void test_shared_info_replaces_ram(void)
{
	struct vm *vm = guest_new(1);
	uint64_t before = vm_ram_pages(vm);
	uint64_t shared = guest_map_shared(vm);

	CU_ASSERT_EQUAL(vm_ram_pages(vm), before - 1); /* the page below is lost */
	CU_ASSERT_NOT_EQUAL(guest_get32(vm, shared + 32 + 24), 0);
	CU_ASSERT_EQUAL(guest_map_shared(vm), shared); /* again: the same */
	CU_ASSERT_EQUAL(guest_add_to_physmap(vm, XENMAPSPACE_shared_info, 0, 0x900), 0);
	CU_ASSERT_PTR_NULL(vm_page_at(vm, gpa(shared))); /* one place at a time: a hole */
	CU_ASSERT_FALSE(vm_is_ram(vm, gpa(shared)));
	CU_ASSERT_EQUAL(extents(vm, XENMEM_populate_physmap, list_of(vm, 0x900, 1)), 0);
	CU_ASSERT_EQUAL(extents(vm, XENMEM_populate_physmap, list_of(vm, GUEST_SHARED_GFN, 1)), 1);
	guest_free(vm);
}

static void test_one_page_of_ours_over_another(void)
{
	struct vm *vm = guest_new(1);
	uint64_t grants = guest_map_grants(vm);

	CU_ASSERT_EQUAL(guest_add_to_physmap(vm, XENMAPSPACE_shared_info, 0, GUEST_GRANT_GFN), 0);
	CU_ASSERT_NOT_EQUAL(guest_get32(vm, grants + 32 + 24), 0);
	CU_ASSERT_EQUAL(guest_map_grants(vm), grants);
	CU_ASSERT_EQUAL(guest_grant_flags(vm, 0), GTF_permit_access);
	guest_free(vm);
}

static void test_add_to_physmap_refusals(void)
{
	struct vm *vm = guest_new(1);
	struct xen_add_to_physmap64 arg = {3, 0, 0, 0, 0x900};

	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_add_to_physmap, arg), -XEN_ESRCH);
	CU_ASSERT_EQUAL(guest_add_to_physmap(vm, XENMAPSPACE_shared_info, 1, 0x900), -XEN_EINVAL);
	CU_ASSERT_EQUAL(guest_add_to_physmap(vm, XENMAPSPACE_shared_info, 0, UINT64_MAX), -XEN_EINVAL);
	CU_ASSERT_EQUAL(guest_add_to_physmap(vm, XENMAPSPACE_shared_info, 0, 1ull << 39),
	                -XEN_EPERM); /* past 40 bits */
	CU_ASSERT_EQUAL(guest_add_to_physmap(vm, XENMAPSPACE_gmfn, 0x100, 0x900), -XEN_EOPNOTSUPP);
	CU_ASSERT_EQUAL(guest_add_to_physmap(vm, XENMAPSPACE_gmfn_range, 0x100, 0x900), -XEN_EOPNOTSUPP);
	CU_ASSERT_EQUAL(guest_add_to_physmap(vm, XENMAPSPACE_gmfn_foreign, 0x100, 0x900), -XEN_ENOSYS);
	CU_ASSERT_EQUAL(guest_add_to_physmap(vm, 99, 0, 0x900), -XEN_ENOSYS);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, 1ull << 39, 0),
	                -XEN_EFAULT);
	guest_free(vm);
}

static void test_a_page_of_the_other_face(void)
{
	struct vm *vm = guest_new(1);
	struct vm_page *page = vm_page_alloc(vm);
	struct xen_remove_from_physmap64 arg = {.domid = DOMID_SELF, .gpfn = 0x900};

	CU_ASSERT_EQUAL(vm_page_show(vm, page, gpa(0x900000), VM_ACCESS_READ), VM_OK);
	CU_ASSERT_EQUAL(guest_add_to_physmap(vm, XENMAPSPACE_shared_info, 0, 0x900), -XEN_EBUSY);
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_remove_from_physmap, arg), -XEN_EPERM);
	CU_ASSERT_PTR_EQUAL(vm_page_at(vm, gpa(0x900000)), page);
	vm_page_free(vm, page);
	guest_free(vm);
}

static void test_narrow_add_and_remove(void)
{
	struct vm *vm = guest_new(1);
	struct xen_add_to_physmap32 add = {DOMID_SELF, 0, XENMAPSPACE_shared_info, 0, 0x900};
	struct xen_remove_from_physmap32 remove = {.domid = DOMID_SELF, .gpfn = 0x900};

	guest_set_narrow(vm, 0, true);
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_add_to_physmap, add), 0);
	CU_ASSERT_PTR_NOT_NULL(vm_page_at(vm, gpa(0x900000)));
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_remove_from_physmap, remove), 0);
	CU_ASSERT_PTR_NULL(vm_page_at(vm, gpa(0x900000)));
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_remove_from_physmap, remove), -XEN_ENOENT);
	add.gpfn = UINT32_MAX;
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_add_to_physmap, add), -XEN_EINVAL);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_memory_op, 7, 0xFFFFF000, 0), -XEN_EFAULT);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_memory_op, 15, 0xFFFFF000, 0), -XEN_EFAULT);
	guest_free(vm);
}

static void test_remove(void)
{
	struct vm *vm = guest_new(1);
	struct xen_remove_from_physmap64 arg = {.domid = DOMID_SELF, .gpfn = 0x100};
	uint64_t before = vm_ram_pages(vm);

	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_remove_from_physmap, arg), 0);
	CU_ASSERT_EQUAL(vm_ram_pages(vm), before - 1);
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_remove_from_physmap, arg), -XEN_ENOENT);
	arg.gpfn = UINT64_MAX;
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_remove_from_physmap, arg), -XEN_ENOENT);
	arg.domid = 2;
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_remove_from_physmap, arg), -XEN_ESRCH);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_memory_op, 15, 1ull << 39, 0), -XEN_EFAULT);
	guest_free(vm);
}

static void test_batch(void)
{
	struct vm *vm = guest_new(1);
	struct xen_add_to_physmap_batch64 arg = {.domid = DOMID_SELF,
	                                         .space = XENMAPSPACE_grant_table,
	                                         .size = 66,
	                                         .idxs = LIST,
	                                         .gpfns = LIST + 0x1000,
	                                         .errs = LIST + 0x2000};

	for (uint32_t i = 0; i < 66; i++) {
		guest_put64(vm, LIST + i * 8, 65 - i);
		guest_put64(vm, LIST + 0x1000 + i * 8, GUEST_GRANT_GFN + 65 - i);
	}
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_add_to_physmap_batch, arg), 0);
	CU_ASSERT_TRUE(guest_again_count >= 1);
	CU_ASSERT_EQUAL((int32_t)guest_get32(vm, LIST + 0x2000), -XEN_EINVAL);
	CU_ASSERT_EQUAL((int32_t)guest_get32(vm, LIST + 0x2004), -XEN_EINVAL);
	CU_ASSERT_EQUAL(guest_get32(vm, LIST + 0x2008), 0);
	CU_ASSERT_PTR_NOT_NULL(vm_page_at(vm, gpa((GUEST_GRANT_GFN + 63) << 12)));
	CU_ASSERT_PTR_NOT_NULL(vm_page_at(vm, gpa(GUEST_GRANT_GFN << 12)));
	arg.errs = 1ull << 39;
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_add_to_physmap_batch, arg), -XEN_EFAULT);
	arg.idxs = 1ull << 39;
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_add_to_physmap_batch, arg), -XEN_EFAULT);
	arg.space = XENMAPSPACE_gmfn_range;
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_add_to_physmap_batch, arg), -XEN_EOPNOTSUPP);
	arg.space = XENMAPSPACE_gmfn_foreign;
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_add_to_physmap_batch, arg), -XEN_EPERM);
	arg.domid = 3;
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_add_to_physmap_batch, arg), -XEN_ESRCH);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_memory_op, 23, 1ull << 39, 0), -XEN_EFAULT);
	guest_free(vm);
}

static void test_batch_narrow(void)
{
	struct vm *vm = guest_new(1);
	struct xen_add_to_physmap_batch32 arg = {DOMID_SELF, XENMAPSPACE_shared_info, 1, 0, LIST, LIST + 4,
	                                         LIST + 8};

	guest_put32(vm, LIST, 0);
	guest_put32(vm, LIST + 4, 0x900);
	guest_put32(vm, LIST + 8, 77);
	guest_set_narrow(vm, 0, true);
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_add_to_physmap_batch, arg), 0);
	CU_ASSERT_EQUAL(guest_get32(vm, LIST + 8), 0);
	CU_ASSERT_PTR_NOT_NULL(vm_page_at(vm, gpa(0x900000)));
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_memory_op, 23, 0xFFFFF000, 0), -XEN_EFAULT);
	guest_free(vm);
}

/* ------------------------------------------------------------------ the map */

static void test_memory_map(void)
{
	struct vm *vm = guest_new(1);
	struct xen_memory_map64 map = {.nr_entries = 128, .buffer = LIST};
	struct xen_e820_entry entry;
	struct vm_range range;
	uint32_t count = 0;

	while (vm_memory_map(vm, count, &range)) {
		count++;
	}
	CU_ASSERT_TRUE(count >= 2);
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_memory_map, map), 0);
	CU_ASSERT_EQUAL(map.nr_entries, count);
	guest_get(vm, LIST + 20, &entry, sizeof(entry));
	CU_ASSERT_TRUE(vm_memory_map(vm, 1, &range));
	CU_ASSERT_TRUE(entry.addr == range.base && entry.size == range.len_bytes && entry.type == range.type);
	map.nr_entries = 1; /* cut to the room */
	guest_put32(vm, LIST + 20, 0x55);
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_memory_map, map), 0);
	CU_ASSERT_EQUAL(map.nr_entries, 1);
	CU_ASSERT_EQUAL(guest_get32(vm, LIST + 20), 0x55);
	map.buffer = 1ull << 39;
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_memory_map, map), -XEN_EFAULT);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_memory_op, 9, 1ull << 39, 0), -XEN_EFAULT);
	guest_free(vm);
}

static void test_set_memory_map(void)
{
	struct vm *vm = guest_new(1);
	struct xen_foreign_memory_map64 set = {.domid = DOMID_SELF,
	                                       .map = {.nr_entries = 40, .buffer = LIST}};
	struct xen_memory_map64 map = {.nr_entries = 128, .buffer = GUEST_DATA};

	for (uint32_t i = 0; i < 40; i++) {
		struct xen_e820_entry entry = {i * 0x1000ull, 0x1000, 1 + i % 2};

		guest_put(vm, LIST + i * sizeof(entry), &entry, sizeof(entry));
	}
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_set_memory_map, set), 0);
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_memory_map, map), 0);
	CU_ASSERT_EQUAL(map.nr_entries, 40);
	CU_ASSERT_EQUAL(memcmp(host_vm_bytes(vm, LIST, 800), host_vm_bytes(vm, GUEST_DATA, 800), 800), 0);
	set.map.nr_entries = 129;
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_set_memory_map, set), -XEN_EINVAL);
	set.map.nr_entries = 1;
	set.map.buffer = 1ull << 39;
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_set_memory_map, set), -XEN_EFAULT);
	set.domid = 4;
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_set_memory_map, set), -XEN_EPERM);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_memory_op, 13, 1ull << 39, 0), -XEN_EFAULT);
	guest_free(vm);
}

static void test_narrow_maps(void)
{
	struct vm *vm = guest_new(1);
	struct xen_foreign_memory_map32 set = {.domid = DOMID_SELF, .map = {1, LIST}};
	struct xen_memory_map32 map = {128, GUEST_DATA};
	struct xen_e820_entry entry = {0x1000, 0x2000, 1};

	guest_put(vm, LIST, &entry, sizeof(entry));
	guest_set_narrow(vm, 0, true);
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_set_memory_map, set), 0);
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_memory_map, map), 0);
	CU_ASSERT_EQUAL(map.nr_entries, 1);
	CU_ASSERT_EQUAL(guest_get64(vm, GUEST_DATA + 8), 0x2000);
	set.map.nr_entries = 0; /* back to what the machine says */
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_set_memory_map, set), 0);
	map.nr_entries = 128;
	CU_ASSERT_EQUAL(GUEST_OP(vm, memory_op, XENMEM_memory_map, map), 0);
	CU_ASSERT_TRUE(map.nr_entries >= 2);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_memory_op, 9, 0xFFFFF000, 0), -XEN_EFAULT);
	guest_free(vm);
}

UNIT_MAIN("xen_memory", UNIT_TEST(test_balloon_out_and_in), UNIT_TEST(test_extents_stop_at_the_first_failure),
          UNIT_TEST(test_extents_never_answer_an_error), UNIT_TEST(test_forged_progress),
          UNIT_TEST(test_orders), UNIT_TEST(test_populate_up_to_the_maximum), UNIT_TEST(test_narrow_extents),
          UNIT_TEST(test_numbers), UNIT_TEST(test_shared_info_replaces_ram),
          UNIT_TEST(test_one_page_of_ours_over_another), UNIT_TEST(test_add_to_physmap_refusals),
          UNIT_TEST(test_a_page_of_the_other_face), UNIT_TEST(test_narrow_add_and_remove),
          UNIT_TEST(test_remove), UNIT_TEST(test_batch), UNIT_TEST(test_batch_narrow),
          UNIT_TEST(test_memory_map), UNIT_TEST(test_set_memory_map), UNIT_TEST(test_narrow_maps))
