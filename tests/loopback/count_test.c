/*
 * count_test.c - what the monitor says that a guest holds of its faces (vm/face.h): it follows devices up and down, and
 * comes back to where it began.
 */
#include "enlighten/xen/xenbus.h"
#include "tests/loopback/hv_rig.h"
#include "tests/loopback/xen_rig.h"
#include "vmbus/bus.h"

/* As core's wiring does. */
static struct face_counts count(struct vm *vm)
{
	struct face_counts counts = {0};

	personality.count(vm, &counts);
	if (vm_config(vm)->xen_face) {
		xenbus_count(vm, &counts.channels);
	}
	if (vm_config(vm)->hyperv_face) {
		vmbus_count(vm, &counts.channels, &counts.buffers);
	}
	return counts;
}

static bool is_same(const struct face_counts *a, const struct face_counts *b)
{
	return a->ports == b->ports && a->grants == b->grants && a->buffers == b->buffers &&
	       a->channels == b->channels;
}

static void test_xen(void)
{
	struct face_counts idle, disk, both, after;

	switch_init(&rig.lan, "lan");
	block_ram_open(&rig.disk, rig.medium, DISK_BYTES, false, "loop");
	rig_up(0, 1, 1);
	idle = count(rig.loops[0].vm);
	CU_ASSERT_EQUAL(idle.ports, 2); /* store and console */
	CU_ASSERT_TRUE(idle.grants == 0 && idle.channels == 0 && idle.buffers == 0);
	CU_ASSERT_TRUE_FATAL(xen_blkfront_open(&rig.blk, &rig.xens[0], VBD_ID));
	disk = count(rig.loops[0].vm);
	CU_ASSERT_EQUAL(disk.ports, 3);
	CU_ASSERT_EQUAL(disk.grants, 1); /* its ring */
	CU_ASSERT_EQUAL(disk.channels, 1);
	CU_ASSERT_TRUE_FATAL(rig_net_open(0));
	both = count(rig.loops[0].vm);
	CU_ASSERT_EQUAL(both.ports, 4);
	CU_ASSERT_TRUE(both.grants >= 3); /* two rings more */
	CU_ASSERT_EQUAL(both.channels, 2);
	CU_ASSERT_TRUE(xen_netfront_close(&rig.ends[0].net));
	after = count(rig.loops[0].vm);
	CU_ASSERT_TRUE(is_same(&after, &disk));
	CU_ASSERT_TRUE(xen_blkfront_close(&rig.blk));
	after = count(rig.loops[0].vm);
	CU_ASSERT_TRUE(is_same(&after, &idle));
	rig_down(0);
}

/* What requests hold while they are under way is theirs only. */
static void test_xen_requests(void)
{
	static struct rig_io ios[4];
	struct face_counts before, after;

	rig_disk_up(false);
	before = count(rig.loops[0].vm);
	for (uint32_t round = 0; round < 8; round++) {
		for (uint32_t i = 0; i < ARRAY_COUNT(ios); i++) {
			rig_io_alloc(&ios[i]);
			rig_io_shape(&ios[i], BLKIF_OP_WRITE, 100 * i);
			CU_ASSERT_TRUE_FATAL(rig_io_submit(&ios[i]));
		}
		for (uint32_t i = 0; i < ARRAY_COUNT(ios); i++) {
			rig_io_wait(&ios[i]);
			rig_io_free(&ios[i]);
		}
	}
	after = count(rig.loops[0].vm);
	CU_ASSERT_TRUE(is_same(&after, &before));
	rig_disk_down();
}

static void test_hyperv(void)
{
	struct face_counts idle, disk, both, after;

	hv_media_fill();
	switch_init(&hv_rig.lan, "lan");
	memset(hv_rig.ends, 0, sizeof(hv_rig.ends));
	hv_rig_up(0, VERSION_WIN10_V5_3, 2, 1);
	idle = count(hv_rig.loops[0].vm);
	CU_ASSERT_TRUE(idle.ports >= 3); /* messages, and a doorbell for each channel */
	CU_ASSERT_TRUE(idle.grants == 0 && idle.channels == 0 && idle.buffers == 0);
	CU_ASSERT_TRUE_FATAL(hv_storvsc_open(&hv_rig.stor, &hv_rig.hvs[0], 0));
	disk = count(hv_rig.loops[0].vm);
	CU_ASSERT_EQUAL(disk.ports, idle.ports);
	CU_ASSERT_EQUAL(disk.channels, 1);
	CU_ASSERT_EQUAL(disk.buffers, 1); /* its rings */
	CU_ASSERT_TRUE_FATAL(hv_net_open(0));
	both = count(hv_rig.loops[0].vm);
	CU_ASSERT_EQUAL(both.channels, 2);
	CU_ASSERT_EQUAL(both.buffers, 4); /* rings, what is sent and what is received */
	CU_ASSERT_TRUE(hv_netvsc_close(&hv_rig.ends[0].net));
	after = count(hv_rig.loops[0].vm);
	CU_ASSERT_TRUE(is_same(&after, &disk));
	CU_ASSERT_TRUE(hv_storvsc_close(&hv_rig.stor));
	after = count(hv_rig.loops[0].vm);
	CU_ASSERT_TRUE(is_same(&after, &idle));
	hv_rig_down(0);
}

UNIT_MAIN("count", UNIT_TEST(test_xen), UNIT_TEST(test_xen_requests), UNIT_TEST(test_hyperv))
