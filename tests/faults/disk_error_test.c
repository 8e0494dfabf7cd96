/*
 * disk_error_test.c - the medium fails at the Nth request, for every N of a fixed workload: the
 * guest gets the documented error for that request and for no other, what was acknowledged reads
 * back, and nothing is left over.
 */
#include "tests/faults/fault_rig.h"

#define REQUESTS 60u

static const char *const kind_names[FAULT_KIND_COUNT] = {
	[FAULT_EIO] = "disk error",	       [FAULT_TORN] = "disk error, torn",
	[FAULT_SHORT] = "disk error, short",   [FAULT_AFTER] = "disk error, all done",
	[FAULT_READ_ONLY] = "disk gone read-only",
};

static struct fault_disk disk;
static struct fault_work work;

/* False: there are fewer than @nth such requests. */
static bool one(enum fault_face face, enum fault_kind kind, uint32_t mask, uint64_t nth, uint64_t count)
{
	uint64_t seed = fault_seed * 1000 + kind;
	struct fault_guest *g;
	uint64_t fired;

	fault_point(kind_names[kind], nth);
	fault_disk_init(&disk, FAULT_MEDIUM, seed);
	disk.late = nth % 2 == 0;
	g = fault_up(0, face, &disk, false);
	fault_work_begin(&work, g, seed);
	fault_disk_plan(&disk, kind, mask, nth, count, 0);
	FAULT_CHECK(fault_work_run(&work, REQUESTS), seed, nth);
	FAULT_CHECK(fault_work_wait(&work), seed, nth);
	fired = disk.fired;
	FAULT_CHECK(work.wrong_count == 0 && work.unanswered_count == 0, seed, nth);
	FAULT_CHECK(work.error_count + work.denied_count == fired, seed, nth);
	FAULT_CHECK(g->block.error_count == fired, seed, nth);
	FAULT_CHECK(kind != FAULT_READ_ONLY || face == FAULT_XEN || work.denied_count == fired, seed, nth);
	FAULT_CHECK(kind == FAULT_READ_ONLY || work.denied_count == 0, seed, nth);
	FAULT_CHECK(work.ok_count == REQUESTS - fired, seed, nth);
	FAULT_CHECK(work.bad_reads == 0, seed, nth);
	fault_disk_plan(&disk, FAULT_NONE, 0, 0, 0, 0);
	fault_work_verify(&work); /* and it goes on */
	fault_work_end(&work, true);
	fault_down(g);
	fault_disk_free(&disk);
	return fired != 0;
}

static void sweep(enum fault_face face)
{
	static const uint32_t masks[] = {1u << BLOCK_READ, 1u << BLOCK_WRITE, 1u << BLOCK_FLUSH};
	uint32_t stride = fault_full ? 1 : 3;

	for (enum fault_kind kind = FAULT_EIO; kind <= FAULT_READ_ONLY; kind++) {
		uint64_t points = 0;

		for (uint32_t i = 0; i < ARRAY_COUNT(masks); i++) {
			for (uint64_t nth = 1; one(face, kind, masks[i], nth, 1); nth += stride) {
				points++;
			}
		}
		/* From the Nth on everything fails, until it is mended. */
		for (uint64_t nth = 1; one(face, kind, 7, nth, UINT64_MAX); nth += stride) {
			points++;
		}
		CU_ASSERT_TRUE(points > (fault_full ? REQUESTS : 5));
		fault_report(kind_names[kind], face, points, "requests");
	}
}

static void test_xen(void)
{
	sweep(FAULT_XEN);
}

static void test_hyperv(void)
{
	sweep(FAULT_HYPERV);
}

FAULT_MAIN("disk errors", UNIT_TEST(test_xen), UNIT_TEST(test_hyperv))
