/*
 * stall_test.c - the Nth request is done 1 s later, 30 s later or never: the others go on, a late
 * answer arrives once, a close, a reset and the guest's end wait for what is under way, and the
 * pages stay pinned as long as the disk may touch them.
 */
#include "tests/faults/fault_rig.h"

#define REQUESTS 12u
#define SECOND_NS 1000000000ull
#define RELAX_MAX 1000u

enum scene {
	SCENE_WAIT, /* the answer comes, late */
	SCENE_CLOSE, /* the driver closes first */
	SCENE_RESET,
	SCENE_END,
	SCENE_COUNT,
};

static const char *const scene_names[SCENE_COUNT] = {"answered late", "closed first", "reset first",
						     "ended first"};

static struct fault_disk disk;
static struct fault_work work;
static uint64_t relaxed, relax_until;

/* The face waits, in a loop: after a while the disk comes back. */
static void relax(void *context)
{
	struct fault_disk *d = context;

	CU_ASSERT_TRUE_FATAL(relaxed < RELAX_MAX);
	if (++relaxed == relax_until) {
		fault_disk_release(d, relax_until % 2 == 0 ? BLOCK_OK : BLOCK_EIO);
	}
}

static uint64_t pins_of_ios(struct fault_guest *g)
{
	uint64_t pins = 0;

	for (uint32_t i = 0; i < FAULT_IOS; i++) {
		for (uint32_t n = 0; n < FAULT_IO_PAGES; n++) {
			pins += host_page_pin_count(g->loop.vm, work.ios[i].gfns[n] << PAGE_SHIFT);
		}
	}
	return pins;
}

static bool stalls_write(void)
{
	for (uint32_t i = 0; i < disk.queued; i++) {
		if (disk.queue[i].kind == FAULT_STALL && disk.queue[i].request->operation != BLOCK_FLUSH) {
			return true;
		}
	}
	return false;
}

static void scene_wait(struct fault_guest *g, uint64_t stall_ns, uint64_t seed, uint64_t nth)
{
	if (stall_ns == FAULT_FOREVER) {
		fault_polls(g, 3000);
		FAULT_CHECK(disk.queued == disk.fired, seed, nth); /* the others are done */
		fault_disk_release(&disk, BLOCK_EIO);
	} else {
		g->poll_ns = stall_ns / 100;
	}
	FAULT_CHECK(fault_work_wait(&work), seed, nth);
	FAULT_CHECK(work.unanswered_count == 0 && work.wrong_count == 0, seed, nth);
	FAULT_CHECK(work.error_count == (stall_ns == FAULT_FOREVER ? disk.fired : 0), seed, nth);
	g->poll_ns = 1000;
	disk.nth = 0; /* no more */
	fault_work_verify(&work);
}

/* The driver gives up; what it had given is its own again only when the disk lets go. */
static void scene_close(struct fault_guest *g, uint64_t seed, uint64_t nth)
{
	bool data = stalls_write();
	bool closed;

	g->loop.guest.poll_max = 300;
	closed = fault_disk_close(g);
	g->loop.guest.poll_max = 2000;
	for (uint32_t i = 0; i < FAULT_IOS; i++) {
		FAULT_CHECK(!work.ios[i].busy, seed, nth);
	}
	if (disk.queued != 0) {
		FAULT_CHECK(!closed, seed, nth);
		FAULT_CHECK(!data || pins_of_ios(g) != 0, seed, nth);
		fault_disk_release(&disk, BLOCK_OK);
	}
	fault_polls(g, 300);
	FAULT_CHECK(pins_of_ios(g) == 0, seed, nth);
	FAULT_CHECK(disk.queued == 0 && g->block.in_flight == 0, seed, nth);
}

/* Also where something is in the queues: reset and end come between any two steps. */
static void scene_reset(struct fault_guest *g, bool ends, uint64_t seed, uint64_t nth)
{
	bool waits = disk.queued != 0;
	bool data = stalls_write();

	FAULT_CHECK(!data || pins_of_ios(g) != 0, seed, nth);
	relaxed = 0;
	relax_until = 1 + nth % 5;
	host_relax_hook(relax, &disk);
	if (ends) {
		vm_kill(g->loop.vm, "the test ends it");
		fault_teardown(g);
	} else {
		fault_reset(g);
	}
	host_relax_hook(NULL, NULL);
	FAULT_CHECK(!waits || relaxed >= relax_until, seed, nth); /* it waited */
	FAULT_CHECK(disk.queued == 0 && g->block.in_flight == 0, seed, nth);
	FAULT_CHECK(host_vm_leaks(g->loop.vm).pins == 0 || !ends, seed, nth);
}

static void comes_again(struct fault_guest *g)
{
	fault_disk_plan(&disk, FAULT_NONE, 0, 0, 0, 0);
	CU_ASSERT_TRUE_FATAL(fault_start(g));
	CU_ASSERT_TRUE_FATAL(fault_disk_open(g));
	fault_work_end(&work, false);
	fault_work_begin(&work, g, 5);
	memset(work.unknown, 1, sizeof(work.unknown));
	CU_ASSERT_TRUE_FATAL(fault_work_run(&work, 20) && fault_work_wait(&work));
	fault_work_verify(&work);
	fault_work_end(&work, true);
	fault_down(g);
}

static bool one(enum fault_face face, uint64_t stall_ns, enum scene scene, uint64_t nth)
{
	uint64_t seed = fault_seed * 77 + 3;
	struct fault_guest *g;
	bool fired;

	fault_point(scene_names[scene], nth);
	fault_disk_init(&disk, FAULT_MEDIUM, seed);
	disk.late = nth % 2 == 0;
	g = fault_up(0, face, &disk, false);
	fault_work_begin(&work, g, seed);
	fault_disk_plan(&disk, FAULT_STALL, 7, nth, 1, stall_ns);
	FAULT_CHECK(fault_work_run(&work, REQUESTS), seed, nth);
	fault_polls(g, scene == SCENE_WAIT ? 0 : (uint32_t)(nth % 40));
	fired = disk.fired != 0;
	switch (scene) {
	case SCENE_WAIT:
		scene_wait(g, stall_ns, seed, nth);
		fired = disk.fired != 0;
		fault_work_end(&work, true);
		fault_down(g);
		break;
	case SCENE_CLOSE:
		scene_close(g, seed, nth);
		fault_work_end(&work, true);
		fault_stop(g);
		fault_destroy(g, false);
		break;
	case SCENE_RESET:
		scene_reset(g, false, seed, nth);
		comes_again(g);
		break;
	default:
		scene_reset(g, true, seed, nth);
		fault_work_end(&work, false);
		fault_destroy(g, false);
		break;
	}
	fault_disk_free(&disk);
	return fired;
}

static void sweep(enum fault_face face)
{
	static const uint64_t stalls[] = {SECOND_NS, 30 * SECOND_NS, FAULT_FOREVER};
	static const char *const names[] = {"stall 1 s", "stall 30 s", "stall for ever"};

	for (uint32_t i = 0; i < ARRAY_COUNT(stalls); i++) {
		for (enum scene scene = SCENE_WAIT; scene < SCENE_COUNT; scene++) {
			uint64_t points = 0;

			for (uint64_t nth = 1; one(face, stalls[i], scene, nth); nth += fault_full ? 1 : 2) {
				points++;
			}
			CU_ASSERT_TRUE(points >= 2);
			{
				char kind[64];

				snprintf(kind, sizeof(kind), "%s, %s", names[i], scene_names[scene]);
				fault_report(kind, face, points, "requests");
			}
		}
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

FAULT_MAIN("stalls", UNIT_TEST(test_xen), UNIT_TEST(test_hyperv))
