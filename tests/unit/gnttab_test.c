/*
 * gnttab_test.c - the grant table: holding, releasing, what the guest may change meanwhile, and its calls.
 */
#include "tests/unit/xen_guest.h"

static int64_t grant_op(struct vm *vm, uint64_t op, void *argument, size_t len, uint64_t count)
{
	int64_t result;

	guest_put(vm, GUEST_ARGS, argument, len);
	result = guest_call_on(vm, 0, __HYPERVISOR_grant_table_op, op, GUEST_ARGS, count);
	guest_get(vm, GUEST_ARGS, argument, len);
	return result;
}

#define GRANT_OP(vm, op, arg) grant_op((vm), (op), &(arg), sizeof(arg), 1)

static void test_reserved_entries(void)
{
	struct vm *vm = guest_new(1);
	struct xen_grant_entry_v1 entry;

	guest_map_grants(vm);
	guest_get(vm, guest_grant_at(GNTTAB_RESERVED_XENSTORE), &entry, sizeof(entry));
	CU_ASSERT_EQUAL(entry.flags, GTF_permit_access);
	CU_ASSERT_EQUAL(entry.domid, 0);
	CU_ASSERT_EQUAL(entry.frame, vm_special_page(vm, VM_SPECIAL_XENSTORE).v >> 12);
	CU_ASSERT_NOT_EQUAL(guest_grant_flags(vm, GNTTAB_RESERVED_CONSOLE), 0);
	CU_ASSERT_EQUAL(guest_grant_flags(vm, 2), 0);
	guest_free(vm);
}

static void test_hold_and_release(void)
{
	struct vm *vm = guest_new(1);
	struct gnttab_hold hold, again;

	guest_map_grants(vm);
	guest_grant(vm, 8, GTF_permit_access, 0, 0x33);
	CU_ASSERT_EQUAL(gnttab_hold(vm, 8, false, &hold), GNTST_okay);
	CU_ASSERT_EQUAL(guest_grant_flags(vm, 8), GTF_permit_access | GTF_reading);
	CU_ASSERT_EQUAL(host_page_pin_count(vm, 0x33000), 1);
	CU_ASSERT_EQUAL(gnttab_hold(vm, 8, true, &again), GNTST_okay);
	CU_ASSERT_EQUAL(guest_grant_flags(vm, 8), GTF_permit_access | GTF_reading | GTF_writing);
	vm_page_store32(again.page, 4, 0x1234);
	CU_ASSERT_EQUAL(guest_get32(vm, 0x33004), 0x1234);
	gnttab_release(vm, &again);
	CU_ASSERT_PTR_NULL(again.page);
	CU_ASSERT_EQUAL(guest_grant_flags(vm, 8), GTF_permit_access | GTF_reading);
	gnttab_release(vm, &hold);
	CU_ASSERT_EQUAL(guest_grant_flags(vm, 8), GTF_permit_access);
	CU_ASSERT_EQUAL(host_page_pin_count(vm, 0x33000), 0);
	gnttab_release(vm, &hold); /* nothing */
	guest_free(vm);
}

static void check_refused(struct vm *vm, uint32_t ref, bool write, int16_t status)
{
	struct gnttab_hold hold;
	uint16_t before = ref < 512 ? guest_grant_flags(vm, ref) : 0;

	CU_ASSERT_EQUAL(gnttab_hold(vm, ref, write, &hold), status);
	CU_ASSERT_PTR_NULL(hold.page);
	if (ref < 512) {
		CU_ASSERT_EQUAL(guest_grant_flags(vm, ref), before);
	}
}

static void test_hold_refusals(void)
{
	struct vm *vm = guest_new(1);
	struct gnttab_hold hold;

	guest_map_grants(vm);
	check_refused(vm, 512, false, GNTST_bad_gntref);
	check_refused(vm, UINT32_MAX, false, GNTST_bad_gntref);
	check_refused(vm, 9, false, GNTST_general_error); /* empty */
	guest_grant(vm, 9, GTF_permit_access, 3, 0x33); /* another's */
	check_refused(vm, 9, false, GNTST_general_error);
	guest_grant(vm, 9, GTF_accept_transfer, 0, 0x33);
	check_refused(vm, 9, false, GNTST_general_error);
	guest_grant(vm, 9, GTF_transitive, 0, 0x33);
	check_refused(vm, 9, false, GNTST_general_error);
	guest_grant(vm, 9, GTF_permit_access | GTF_sub_page, 0, 0x33);
	check_refused(vm, 9, false, GNTST_general_error);
	guest_grant(vm, 9, GTF_permit_access | GTF_readonly, 0, 0x33);
	check_refused(vm, 9, true, GNTST_general_error);
	CU_ASSERT_EQUAL(gnttab_hold(vm, 9, false, &hold), GNTST_okay);
	check_refused(vm, 9, true, GNTST_general_error); /* not while read either */
	gnttab_release(vm, &hold);
	guest_grant(vm, 9, GTF_permit_access, 0, 0xFFFFFFFF);
	check_refused(vm, 9, true, GNTST_bad_page);
	guest_grant(vm, 9, GTF_permit_access, 0, 0x700); /* a hole */
	check_refused(vm, 9, false, GNTST_bad_page);
	guest_free(vm);
}

/* While an entry is in use, what the guest writes into it changes nothing of what is held. */
static void test_entry_changes_while_held(void)
{
	struct vm *vm = guest_new(1);
	struct gnttab_hold hold, again;

	guest_map_grants(vm);
	guest_grant(vm, 10, GTF_permit_access, 0, 0x33);
	CU_ASSERT_EQUAL(gnttab_hold(vm, 10, true, &hold), GNTST_okay);
	guest_grant(vm, 10, 0, 3, 0x44);
	CU_ASSERT_EQUAL(gnttab_hold(vm, 10, true, &again), GNTST_okay); /* by our own record */
	CU_ASSERT_PTR_EQUAL(again.page, hold.page);
	gnttab_release(vm, &again);
	gnttab_release(vm, &hold);
	check_refused(vm, 10, true, GNTST_general_error);
	guest_free(vm);
}

static void test_frame_is_read_once(void)
{
	struct vm *vm = guest_new(1);
	struct gnttab_hold hold;

	guest_map_grants(vm);
	guest_grant(vm, 11, GTF_permit_access, 0, 0x33);
	host_fetch_watch(vm, guest_grant_at(11) + 4, 4);
	CU_ASSERT_EQUAL(gnttab_hold(vm, 11, true, &hold), GNTST_okay);
	CU_ASSERT_EQUAL(host_fetch_max(), 1);
	host_fetch_unwatch();
	gnttab_release(vm, &hold);
	guest_free(vm);
}

static void test_entry_that_never_stands_still(void)
{
	struct vm *vm = guest_new(1);
	struct gnttab_hold hold;
	uint32_t held = 0;

	guest_map_grants(vm);
	for (uint64_t seed = 1; seed < 200; seed++) {
		guest_grant(vm, 12, GTF_permit_access, 0, 0x33);
		host_scribble(vm, guest_grant_at(12), 8, seed);
		if (gnttab_hold(vm, 12, true, &hold) == GNTST_okay) {
			held++;
			gnttab_release(vm, &hold);
		}
		host_load_hook(NULL, NULL);
	}
	CU_ASSERT_TRUE(held < 200);
	CU_ASSERT_EQUAL(host_vm_leaks(vm).pins, 0);
	guest_free(vm);
}

static void test_hold_survives_ballooning(void)
{
	struct vm *vm = guest_new(1);
	struct gnttab_hold hold;

	guest_map_grants(vm);
	guest_grant(vm, 8, GTF_permit_access, 0, 0x33);
	CU_ASSERT_EQUAL(gnttab_hold(vm, 8, true, &hold), GNTST_okay);
	CU_ASSERT_EQUAL(vm_ram_take(vm, gpa(0x33000)), VM_OK);
	vm_page_store32(hold.page, 0, 1);
	gnttab_release(vm, &hold);
	guest_free(vm);
}

static void test_growth(void)
{
	struct vm *vm = guest_new(1);
	struct xen_gnttab_query_size size = {.dom = DOMID_SELF};
	struct gnttab_hold hold;

	CU_ASSERT_EQUAL(GRANT_OP(vm, GNTTABOP_query_size, size), 0);
	CU_ASSERT_EQUAL(size.nr_frames, 1);
	CU_ASSERT_EQUAL(size.max_nr_frames, 64);
	CU_ASSERT_EQUAL(size.status, GNTST_okay);
	CU_ASSERT_EQUAL(guest_add_to_physmap(vm, XENMAPSPACE_grant_table, 63, GUEST_GRANT_GFN + 63), 0);
	CU_ASSERT_TRUE(guest_again_count >= 8); /* a few frames an exit */
	CU_ASSERT_EQUAL(GRANT_OP(vm, GNTTABOP_query_size, size), 0);
	CU_ASSERT_EQUAL(size.nr_frames, 64);
	CU_ASSERT_EQUAL(guest_add_to_physmap(vm, XENMAPSPACE_grant_table, 64, GUEST_GRANT_GFN + 64),
	                -XEN_EINVAL);
	CU_ASSERT_EQUAL(guest_add_to_physmap(vm, XENMAPSPACE_grant_table, XENMAPIDX_grant_table_status,
	                                     GUEST_GRANT_GFN),
	                -XEN_EINVAL);
	guest_grant(vm, 64 * 512 - 1, GTF_permit_access, 0, 0x35); /* frame 63 lies where the helper thinks */
	CU_ASSERT_EQUAL(gnttab_hold(vm, 64 * 512 - 1, true, &hold), GNTST_okay);
	gnttab_release(vm, &hold);
	size.dom = 4;
	CU_ASSERT_EQUAL(GRANT_OP(vm, GNTTABOP_query_size, size), 0);
	CU_ASSERT_EQUAL(size.status, GNTST_bad_domain);
	CU_ASSERT_EQUAL(grant_op(vm, GNTTABOP_query_size, &size, sizeof(size), 2), -XEN_EINVAL);
	guest_free(vm);
}

static void test_growth_without_memory(void)
{
	struct vm *vm = guest_new(1);

	for (uint32_t i = 0; i < 2; i++) {
		host_fail_alloc_after(vm, i);
		CU_ASSERT_EQUAL(guest_add_to_physmap(vm, XENMAPSPACE_grant_table, 1, GUEST_GRANT_GFN),
		                -XEN_ENOMEM);
	}
	host_fail_alloc_never(vm);
	CU_ASSERT_EQUAL(guest_add_to_physmap(vm, XENMAPSPACE_grant_table, 1, GUEST_GRANT_GFN), 0);
	guest_free(vm);
}

static void test_versions(void)
{
	struct vm *vm = guest_new(1);
	struct xen_gnttab_get_version get = {.dom = DOMID_SELF};
	uint32_t version = 1;

	CU_ASSERT_EQUAL(GRANT_OP(vm, GNTTABOP_set_version, version), 0);
	version = 2;
	CU_ASSERT_EQUAL(GRANT_OP(vm, GNTTABOP_set_version, version), -XEN_ENOSYS);
	CU_ASSERT_EQUAL(version, 1); /* what is in force */
	version = 3;
	CU_ASSERT_EQUAL(GRANT_OP(vm, GNTTABOP_set_version, version), -XEN_EINVAL);
	CU_ASSERT_EQUAL(version, 1); /* then too */
	CU_ASSERT_EQUAL(GRANT_OP(vm, GNTTABOP_get_version, get), 0);
	CU_ASSERT_EQUAL(get.version, 1);
	get.dom = 2;
	CU_ASSERT_EQUAL(GRANT_OP(vm, GNTTABOP_get_version, get), -XEN_ESRCH);
	guest_free(vm);
}

static void test_setup_table(void)
{
	struct vm *vm = guest_new(1);
	struct xen_gnttab_setup64 setup = {.dom = DOMID_SELF, .nr_frames = 3, .frame_list = GUEST_DATA};
	struct xen_gnttab_setup32 narrow = {.dom = DOMID_SELF, .nr_frames = 2, .frame_list = GUEST_DATA};

	guest_map_grants(vm);
	CU_ASSERT_EQUAL(GRANT_OP(vm, GNTTABOP_setup_table, setup), 0);
	CU_ASSERT_EQUAL(setup.status, GNTST_okay);
	CU_ASSERT_EQUAL(guest_get64(vm, GUEST_DATA), GUEST_GRANT_GFN);
	CU_ASSERT_EQUAL(guest_get64(vm, GUEST_DATA + 8), UINT64_MAX);
	setup.nr_frames = 65;
	CU_ASSERT_EQUAL(GRANT_OP(vm, GNTTABOP_setup_table, setup), 0);
	CU_ASSERT_EQUAL(setup.status, GNTST_general_error);
	setup.nr_frames = 1;
	setup.frame_list = 1ull << 39;
	CU_ASSERT_EQUAL(GRANT_OP(vm, GNTTABOP_setup_table, setup), 0);
	CU_ASSERT_EQUAL(setup.status, GNTST_bad_virt_addr);
	setup.dom = 9;
	CU_ASSERT_EQUAL(GRANT_OP(vm, GNTTABOP_setup_table, setup), 0);
	CU_ASSERT_EQUAL(setup.status, GNTST_bad_domain);
	setup = (struct xen_gnttab_setup64){.dom = DOMID_SELF, .nr_frames = 9};
	host_fail_alloc_after(vm, 0);
	CU_ASSERT_EQUAL(GRANT_OP(vm, GNTTABOP_setup_table, setup), 0);
	CU_ASSERT_EQUAL(setup.status, GNTST_general_error);
	host_fail_alloc_never(vm);
	CU_ASSERT_EQUAL(grant_op(vm, GNTTABOP_setup_table, &setup, sizeof(setup), 0), -XEN_EINVAL);
	guest_set_narrow(vm, 0, true);
	CU_ASSERT_EQUAL(GRANT_OP(vm, GNTTABOP_setup_table, narrow), 0);
	CU_ASSERT_EQUAL(narrow.status, GNTST_okay);
	CU_ASSERT_EQUAL(guest_get32(vm, GUEST_DATA), GUEST_GRANT_GFN);
	CU_ASSERT_EQUAL(guest_get32(vm, GUEST_DATA + 4), UINT32_MAX);
	guest_free(vm);
}

static void test_setup_table_is_preempted(void)
{
	struct vm *vm = guest_new(1);
	struct xen_gnttab_setup64 setup = {.dom = DOMID_SELF, .nr_frames = 64, .frame_list = GUEST_DATA};

	CU_ASSERT_EQUAL(GRANT_OP(vm, GNTTABOP_setup_table, setup), 0);
	CU_ASSERT_TRUE(guest_again_count >= 8);
	CU_ASSERT_EQUAL(setup.status, GNTST_okay);
	CU_ASSERT_EQUAL(guest_get64(vm, GUEST_DATA + 63 * 8), UINT64_MAX);
	guest_free(vm);
}

static void test_map_and_unmap_are_refused(void)
{
	struct vm *vm = guest_new(1);
	struct xen_gnttab_map maps[6] = {
	        {.dom = GUEST_DOMID, .flags = GNTMAP_host_map, .status = 5},
	        {.dom = DOMID_SELF, .flags = GNTMAP_host_map | GNTMAP_device_map, .status = 5},
	        {.dom = DOMID_SELF, .flags = 0, .status = 5},
	        {.dom = DOMID_SELF, .flags = GNTMAP_host_map, .status = 5},
	        {.dom = 0, .flags = GNTMAP_host_map, .status = 5},
	        {.dom = 3, .flags = GNTMAP_host_map, .status = 5},
	};
	struct xen_gnttab_unmap unmap = {.handle = 1};

	CU_ASSERT_EQUAL(grant_op(vm, GNTTABOP_map_grant_ref, maps, sizeof(maps), 6), 0);
	CU_ASSERT_EQUAL(maps[0].status, GNTST_no_space);
	CU_ASSERT_EQUAL(maps[1].status, GNTST_general_error);
	CU_ASSERT_EQUAL(maps[2].status, GNTST_bad_gntref);
	CU_ASSERT_EQUAL(maps[3].status, GNTST_bad_domain);
	CU_ASSERT_EQUAL(maps[4].status, GNTST_no_space);
	CU_ASSERT_EQUAL(maps[5].status, GNTST_bad_domain);
	CU_ASSERT_EQUAL(GRANT_OP(vm, GNTTABOP_unmap_grant_ref, unmap), 0);
	CU_ASSERT_EQUAL(unmap.status, GNTST_bad_handle);
	CU_ASSERT_EQUAL(grant_op(vm, GNTTABOP_map_grant_ref, maps, sizeof(maps), 0x80000000u), -XEN_EINVAL);
	CU_ASSERT_EQUAL(grant_op(vm, GNTTABOP_map_grant_ref, maps, sizeof(maps), 0), 0);
	for (uint64_t op = 0; op <= GNTTABOP_swap_grant_ref; op++) {
		int64_t result = guest_call_on(vm, 0, __HYPERVISOR_grant_table_op, op, 1ull << 39, 1);

		CU_ASSERT_TRUE(result == -XEN_EFAULT || result == -XEN_ENOSYS);
	}
	guest_free(vm);
}

/* ------------------------------------------------------------------ copy */

static int16_t copy(struct vm *vm, struct xen_gnttab_copy64 arg)
{
	arg.status = 77;
	CU_ASSERT_EQUAL(GRANT_OP(vm, GNTTABOP_copy, arg), 0);
	return arg.status;
}

static struct xen_gnttab_copy64 copy_args(uint64_t from, uint64_t to, uint16_t len, uint16_t flags)
{
	return (struct xen_gnttab_copy64){.source = {from, DOMID_SELF, 0, 0},
	                                  .dest = {to, DOMID_SELF, 0, 0},
	                                  .len = len,
	                                  .flags = flags};
}

static void test_copy(void)
{
	struct vm *vm = guest_new(1);
	struct xen_gnttab_copy64 arg = copy_args(0x40, 0x41, 4096, 0);

	guest_map_grants(vm);
	for (uint32_t i = 0; i < 4096; i += 4) {
		guest_put32(vm, 0x40000 + i, i * 7);
	}
	CU_ASSERT_EQUAL(copy(vm, arg), GNTST_okay);
	CU_ASSERT_EQUAL(memcmp(host_vm_bytes(vm, 0x40000, 4096), host_vm_bytes(vm, 0x41000, 4096), 4096), 0);
	/* From one's own grant to oneself. */
	guest_grant(vm, 20, GTF_permit_access | GTF_readonly, GUEST_DOMID, 0x40);
	guest_grant(vm, 21, GTF_permit_access, GUEST_DOMID, 0x42);
	arg = copy_args(20, 21, 300, GNTCOPY_source_gref | GNTCOPY_dest_gref);
	arg.source.offset = 4;
	arg.dest.offset = 100;
	CU_ASSERT_EQUAL(copy(vm, arg), GNTST_okay);
	CU_ASSERT_EQUAL(guest_get32(vm, 0x42000 + 100), 4 * 7);
	CU_ASSERT_EQUAL(guest_get32(vm, 0x42000 + 396), 300 * 7);
	CU_ASSERT_EQUAL(guest_get32(vm, 0x42000 + 400), 0);
	CU_ASSERT_EQUAL(guest_grant_flags(vm, 21), GTF_permit_access);
	guest_free(vm);
}

static void test_copy_refusals(void)
{
	struct vm *vm = guest_new(1);
	struct xen_gnttab_copy64 arg = copy_args(0x40, 0x41, 16, 0);

	guest_map_grants(vm);
	arg.source.offset = 4090;
	CU_ASSERT_EQUAL(copy(vm, arg), GNTST_bad_copy_arg);
	arg.len = 0;
	CU_ASSERT_EQUAL(copy(vm, arg), GNTST_okay);
	arg.source.offset = PAGE_BYTES + 1; /* no bytes are looked at as others are */
	CU_ASSERT_EQUAL(copy(vm, arg), GNTST_bad_copy_arg);
	arg = copy_args(0x700, 0x41, 0, 0);
	CU_ASSERT_EQUAL(copy(vm, arg), GNTST_bad_page);
	arg = copy_args(0x40, 0x41, 16, 0);
	arg.dest.offset = 4081;
	CU_ASSERT_EQUAL(copy(vm, arg), GNTST_bad_copy_arg);
	arg = copy_args(0x40, 0x41, 16, 0);
	arg.source.domid = GUEST_DOMID; /* by frame: SELF exactly */
	CU_ASSERT_EQUAL(copy(vm, arg), GNTST_permission_denied);
	CU_ASSERT_EQUAL(copy(vm, copy_args(0x700, 0x41, 16, 0)), GNTST_bad_page);
	CU_ASSERT_EQUAL(copy(vm, copy_args(0x41, UINT64_MAX, 16, 0)), GNTST_bad_page);
	arg = copy_args(8, 0x41, 16, GNTCOPY_source_gref);
	CU_ASSERT_EQUAL(copy(vm, arg), GNTST_general_error); /* empty entry */
	arg.source.domid = 0;
	CU_ASSERT_EQUAL(copy(vm, arg), GNTST_bad_gntref);
	arg.source.domid = 6;
	CU_ASSERT_EQUAL(copy(vm, arg), GNTST_bad_domain);
	guest_grant(vm, 20, GTF_permit_access | GTF_readonly, GUEST_DOMID, 0x40);
	CU_ASSERT_EQUAL(copy(vm, copy_args(0x41, 20, 16, GNTCOPY_dest_gref)), GNTST_general_error);
	guest_free(vm);
}

static void test_copy_array_is_preempted(void)
{
	struct vm *vm = guest_new(1);
	struct xen_gnttab_copy64 args[100];

	for (uint32_t i = 0; i < 100; i++) {
		args[i] = copy_args(0x40, 0x41 + i, i == 50 ? 5000 : 4096, 0);
		args[i].status = 77;
	}
	CU_ASSERT_EQUAL(grant_op(vm, GNTTABOP_copy, args, sizeof(args), 100), 0);
	CU_ASSERT_TRUE(guest_again_count >= 6); /* 64 KiB an exit at most */
	for (uint32_t i = 0; i < 100; i++) {
		CU_ASSERT_EQUAL(args[i].status, i == 50 ? GNTST_bad_copy_arg : GNTST_okay);
	}
	guest_free(vm);
}

static void test_copy_narrow(void)
{
	struct vm *vm = guest_new(1);
	struct xen_gnttab_copy32 arg = {
	        .source = {0x40, DOMID_SELF, 0}, .dest = {0x41, DOMID_SELF, 8}, .len = 4, .status = 77};

	guest_put32(vm, 0x40000, 0xCAFE);
	guest_set_narrow(vm, 0, true);
	CU_ASSERT_EQUAL(GRANT_OP(vm, GNTTABOP_copy, arg), 0);
	CU_ASSERT_EQUAL(arg.status, GNTST_okay);
	CU_ASSERT_EQUAL(guest_get32(vm, 0x41008), 0xCAFE);
	guest_free(vm);
}

static void test_swap(void)
{
	struct vm *vm = guest_new(1);
	struct xen_gnttab_swap swap = {8, 9, 77, 0};
	struct gnttab_hold hold;

	guest_map_grants(vm);
	guest_grant(vm, 8, GTF_permit_access, 0, 0x33);
	CU_ASSERT_EQUAL(GRANT_OP(vm, GNTTABOP_swap_grant_ref, swap), 0);
	CU_ASSERT_EQUAL(swap.status, GNTST_okay);
	CU_ASSERT_EQUAL(guest_grant_flags(vm, 8), 0);
	CU_ASSERT_EQUAL(guest_get32(vm, guest_grant_at(9) + 4), 0x33);
	CU_ASSERT_EQUAL(gnttab_hold(vm, 9, false, &hold), GNTST_okay);
	CU_ASSERT_EQUAL(GRANT_OP(vm, GNTTABOP_swap_grant_ref, swap), 0);
	CU_ASSERT_EQUAL(swap.status, GNTST_eagain);
	gnttab_release(vm, &hold);
	swap.ref_b = 5000;
	CU_ASSERT_EQUAL(GRANT_OP(vm, GNTTABOP_swap_grant_ref, swap), 0);
	CU_ASSERT_EQUAL(swap.status, GNTST_bad_gntref);
	guest_free(vm);
}

UNIT_MAIN("gnttab", UNIT_TEST(test_reserved_entries), UNIT_TEST(test_hold_and_release),
          UNIT_TEST(test_hold_refusals), UNIT_TEST(test_entry_changes_while_held),
          UNIT_TEST(test_frame_is_read_once), UNIT_TEST(test_entry_that_never_stands_still),
          UNIT_TEST(test_hold_survives_ballooning), UNIT_TEST(test_growth),
          UNIT_TEST(test_growth_without_memory), UNIT_TEST(test_versions), UNIT_TEST(test_setup_table),
          UNIT_TEST(test_setup_table_is_preempted), UNIT_TEST(test_map_and_unmap_are_refused),
          UNIT_TEST(test_copy), UNIT_TEST(test_copy_refusals), UNIT_TEST(test_copy_array_is_preempted),
          UNIT_TEST(test_copy_narrow), UNIT_TEST(test_swap))
