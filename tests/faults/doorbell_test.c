/*
 * doorbell_test.c - the Nth doorbell of a guest is lost or rings twice, the Nth interrupt is not
 * seen, or interrupts come that nothing caused: everything arrives once, at the latest with the
 * next doorbell or interrupt.
 */
#include "tests/faults/fault_rig.h"

#define REQUESTS 40u
#define FRAMES 40u

static const char *const bell_names[] = {
	[FAULT_BELL_LOST] = "doorbell lost",
	[FAULT_BELL_DOUBLED] = "doorbell doubled",
	[FAULT_IRQ_LOST] = "interrupt lost",
	[FAULT_IRQ_SPURIOUS] = "interrupt out of nothing",
};

static struct fault_disk disk;
static struct fault_work work;

/* A lost doorbell is lost, and so is a vector of the APIC. Xen's upcall stays up until it is taken. */
static bool may_stop(const struct fault_guest *g)
{
	return g->bell == FAULT_BELL_LOST || (g->bell == FAULT_IRQ_LOST && g->face == FAULT_HYPERV);
}

static void disk_work(struct fault_guest *g, uint64_t nth)
{
	bool all = fault_work_run(&work, REQUESTS) && fault_work_wait(&work);
	uint64_t ended;

	if (!all) {
		FAULT_CHECK(may_stop(g) && g->bell_fired == 1, g->bell, nth);
		fault_kick(g);
		ended = work.ok_count;
		FAULT_CHECK(fault_work_run(&work, (uint32_t)(REQUESTS - ended)), g->bell, nth);
		FAULT_CHECK(fault_work_wait(&work), g->bell, nth);
	}
	FAULT_CHECK(work.ok_count >= REQUESTS && work.error_count + work.wrong_count == 0, g->bell, nth);
	FAULT_CHECK(work.bad_reads == 0, g->bell, nth);
}

static bool one_disk(enum fault_face face, enum fault_bell bell, uint64_t nth)
{
	struct fault_guest *g;
	bool fired;

	fault_point(bell_names[bell], nth);
	fault_disk_init(&disk, FAULT_MEDIUM, nth);
	disk.late = nth % 3 != 0;
	g = fault_up(0, face, &disk, false);
	fault_work_begin(&work, g, fault_seed * 31);
	g->by_interrupt = true;
	g->bell = bell;
	g->bell_nth = nth;
	fault_kick(g); /* what came before */
	disk_work(g, nth);
	fired = g->bell_fired != 0;
	g->bell = FAULT_BELL_NONE;
	g->by_interrupt = false;
	fault_work_verify(&work);
	FAULT_CHECK(!g->stor.channel.broken && !g->blk.ring.broken, bell, nth);
	fault_work_end(&work, true);
	fault_down(g);
	fault_disk_free(&disk);
	return fired;
}

static bool frames(struct fault_guest *from, struct fault_guest *to, uint32_t count)
{
	uint64_t goal = to->frames_in + count;

	for (uint32_t i = 0; i < 4000 && to->frames_in < goal; i++) {
		if (count != 0 && fault_frame_send(from, 60 + count * 30)) {
			count--;
		}
		fault_poll(from);
		fault_poll(to);
	}
	return to->frames_in == goal;
}

/* @from is the one whose doorbells and interrupts fail; frames go both ways. */
static bool one_net(enum fault_face face, enum fault_bell bell, uint64_t nth)
{
	struct fault_guest *g[2];
	bool fired;

	fault_point(bell_names[bell], nth);
	switch_init(&fault_lan, "lan");
	for (uint32_t i = 0; i < 2; i++) {
		g[i] = fault_up(i, i == 0 ? face : (enum fault_face)(nth % 2), NULL, true);
	}
	CU_ASSERT_TRUE_FATAL(frames(g[1], g[0], 1) && frames(g[0], g[1], 1));
	g[0]->by_interrupt = true;
	g[0]->bell = bell;
	g[0]->bell_nth = nth;
	fault_kick(g[0]);
	for (uint32_t way = 0; way < 2; way++) {
		uint64_t sum = g[1 - way]->frames_in + FRAMES;

		if (!frames(g[way], g[1 - way], FRAMES)) {
			FAULT_CHECK(may_stop(g[0]) && g[0]->bell_fired == 1, bell, nth);
			fault_kick(g[0]);
			fault_polls(g[0], 50);
			fault_polls(g[1], 50);
			/* What could not be sent while it stood. */
			(void)frames(g[way], g[1 - way], (uint32_t)(sum - g[1 - way]->frames_in));
		}
		FAULT_CHECK(g[1 - way]->frames_in == sum, bell, nth);
	}
	fired = g[0]->bell_fired != 0;
	for (uint32_t i = 0; i < 2; i++) {
		g[i]->bell = FAULT_BELL_NONE;
		g[i]->by_interrupt = false;
		FAULT_CHECK(g[i]->frames_bad == 0 && g[i]->frames_twice == 0, bell, nth);
		fault_down(g[i]);
	}
	return fired;
}

static void sweep(enum fault_face face)
{
	for (enum fault_bell bell = FAULT_BELL_LOST; bell <= FAULT_IRQ_SPURIOUS; bell++) {
		uint64_t points = 0, disks;

		for (uint64_t nth = 1; one_disk(face, bell, nth) && points < 400; nth += fault_full ? 1 : 3) {
			points++;
		}
		CU_ASSERT_TRUE(points > 2);
		disks = points;
		for (uint64_t nth = 1; one_net(face, bell, nth) && points < 800; nth += fault_full ? 1 : 3) {
			points++;
		}
		CU_ASSERT_TRUE(points > disks + 2);
		fault_report(bell_names[bell], face, points, "doorbells or interrupts");
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

FAULT_MAIN("doorbells", UNIT_TEST(test_xen), UNIT_TEST(test_hyperv))
