/*
 * kill_test.c - the guest is killed, or its machine reset, at each exit of a life (start, disk and
 * network with requests under way, close), with a disk that answers late: nothing of it is left,
 * its neighbour goes on, and a new guest in its place works.
 */
#include "tests/faults/fault_rig.h"

#define REQUESTS 6u

enum end {
	END_KILL_QUIET, /* its disk requests end first, as core waits for */
	END_KILL_NOW,	/* the teardown waits for them */
	END_RESET,
	END_COUNT,
};

static const char *const end_names[END_COUNT] = {"killed, disk done first", "killed, disk under way",
						 "reset, disk under way"};

static struct fault_disk disk;
static struct fault_work work;

static void relax(void *context)
{
	fault_disk_release(context, BLOCK_OK);
}

/* From nothing; with all under way that a guest can have. Ends by itself if it is not ended. */
static void life(struct fault_guest *g)
{
	bool ok = fault_start(g) && fault_disk_open(g) && fault_net_open(g);

	CU_ASSERT_TRUE_FATAL(ok);
	fault_work_begin(&work, g, fault_seed);
	CU_ASSERT_TRUE_FATAL(fault_work_run(&work, REQUESTS));
	for (uint32_t i = 0; i < 3; i++) {
		CU_ASSERT_TRUE_FATAL(fault_frame_send(g, 300 + i));
		CU_ASSERT_TRUE_FATAL(fault_frame_send(&fault_guests[1], 300 + i));
		fault_polls(g, 3);
	}
	CU_ASSERT_TRUE_FATAL(fault_net_close(g)); /* what was sent may still be under way */
	CU_ASSERT_TRUE_FATAL(fault_work_wait(&work));
	CU_ASSERT_TRUE_FATAL(fault_disk_close(g));
	fault_work_end(&work, true);
	fault_stop(g);
}

static void end_guest(struct fault_guest *g, enum end end)
{
	if (end == END_KILL_QUIET) {
		fault_quiesce(g);
	}
	host_relax_hook(relax, &disk);
	if (end == END_RESET) {
		fault_reset(g);
	} else {
		vm_kill(g->loop.vm, "the test ends it");
		(void)host_run_work_once(g->loop.vm); /* what was queued may still run once */
		fault_teardown(g);
	}
	host_relax_hook(NULL, NULL);
	CU_ASSERT_EQUAL_FATAL(disk.queued, 0);
	CU_ASSERT_EQUAL_FATAL(g->block.in_flight, 0);
}

/* Its neighbour's way out is free. */
static void neighbour_lives(struct fault_guest *peer)
{
	uint64_t in = fault_guests[0].loop.vm != NULL && fault_guests[0].net_open ? fault_guests[0].frames_in : 0;

	for (uint32_t i = 0; i < 3; i++) {
		CU_ASSERT_TRUE_FATAL(fault_frame_send(peer, 200));
		fault_polls(peer, 6);
	}
	if (fault_guests[0].loop.vm != NULL && fault_guests[0].net_open) {
		fault_polls(&fault_guests[0], 12);
		CU_ASSERT_EQUAL_FATAL(fault_guests[0].frames_in, in + 3);
	}
}

static void comes_again(struct fault_guest *g)
{
	CU_ASSERT_TRUE_FATAL(fault_start(g));
	CU_ASSERT_TRUE_FATAL(fault_disk_open(g));
	CU_ASSERT_TRUE_FATAL(fault_net_open(g));
	fault_work_begin(&work, g, 7);
	memset(work.unknown, 1, sizeof(work.unknown));
	CU_ASSERT_TRUE_FATAL(fault_work_run(&work, 20) && fault_work_wait(&work));
	fault_work_verify(&work);
	fault_work_end(&work, true);
	neighbour_lives(&fault_guests[1]);
	fault_down(g);
}

/* True: the life ended before point @at. */
static bool one(enum fault_face face, enum end end, uint64_t at, struct fault_guest *peer)
{
	struct fault_guest *volatile g = fault_machine(0, face, &disk, true);
	volatile bool whole = false;

	fault_point(end_names[end], at);
	disk.late = true;
	CU_ASSERT_TRUE_FATAL(fault_create(g));
	g->end_at = at;
	if (setjmp(g->end) == 0) {
		life(g);
		whole = true;
	}
	if (whole) {
		fault_destroy(g, true);
		return true;
	}
	end_guest(g, end);
	fault_work_end(&work, false);
	if (end == END_RESET) {
		comes_again(g);
	} else {
		fault_destroy(g, false);
		if (at % 16 == 0) {
			g = fault_machine(0, face, &disk, true);
			CU_ASSERT_TRUE_FATAL(fault_create(g));
			comes_again(g);
		}
	}
	neighbour_lives(peer);
	return false;
}

static void sweep(enum fault_face face)
{
	for (enum end end = END_KILL_QUIET; end < END_COUNT; end++) {
		struct fault_guest *peer;
		uint64_t points = 0;

		fault_disk_init(&disk, FAULT_MEDIUM, fault_seed);
		switch_init(&fault_lan, "lan");
		peer = fault_up(1, (enum fault_face)(1 - face), NULL, true);
		for (uint64_t at = 1; !one(face, end, at, peer); at += fault_full ? 1 : 7) {
			points++;
		}
		CU_ASSERT_TRUE(points > (fault_full ? 100 : 2));
		CU_ASSERT_EQUAL(peer->frames_bad, 0);
		fault_down(peer);
		fault_disk_free(&disk);
		fault_report(end_names[end], face, points, "exits");
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

FAULT_MAIN("ends", UNIT_TEST(test_xen), UNIT_TEST(test_hyperv))
