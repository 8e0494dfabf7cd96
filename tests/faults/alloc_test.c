/*
 * alloc_test.c - the Nth allocation of a guest's life fails, or all from the Nth on (its quota is
 * used up; N = 1: a quota of nothing), or the Nth pin: no crash, nothing left behind, an error
 * where it happened, and the same step works when it is tried again without the fault.
 */
#include "tests/faults/fault_rig.h"

enum way {
	WAY_ALLOC, /* one allocation fails */
	WAY_QUOTA, /* all from there on */
	WAY_PIN,
	WAY_COUNT,
};

static const char *const way_names[WAY_COUNT] = {"allocation fails", "quota used up", "pin fails"};

static struct fault_disk disk;
static struct fault_work work;
static enum way armed;
static uint64_t armed_nth;
static uint64_t lost; /* pages that a driver could not have back in this life */
static bool met; /* the fault has happened in this life */

static void arm(struct fault_guest *g, enum way way, uint64_t nth)
{
	armed = way;
	armed_nth = nth;
	met = false;
	lost = 0;
	switch (way) {
	case WAY_ALLOC:
		host_fail_alloc_nth(g->loop.vm, nth);
		break;
	case WAY_QUOTA:
		host_fail_alloc_after(g->loop.vm, (uint32_t)nth - 1);
		break;
	default:
		host_fail_pin_nth(g->loop.vm, nth);
		break;
	}
}

static bool fired(struct fault_guest *g);

static void mend(struct fault_guest *g)
{
	met = met || fired(g);
	host_fail_alloc_nth(g->loop.vm, 0);
	host_fail_alloc_never(g->loop.vm);
	host_fail_pin_nth(g->loop.vm, 0);
}

/* True if the fault has happened; a quota has no mark of its own: then what was tried tells. */
static bool fired(struct fault_guest *g)
{
	switch (armed) {
	case WAY_ALLOC:
		return host_fail_alloc_fired(g->loop.vm);
	case WAY_QUOTA:
		return host_alloc_count(g->loop.vm) >= armed_nth;
	default:
		return host_fail_pin_fired(g->loop.vm);
	}
}

static void create_again(struct fault_guest *g)
{
	struct host_leaks leaks = host_vm_leaks(g->loop.vm);

	mend(g);
	CU_ASSERT_EQUAL_FATAL(leaks.pins | leaks.pages | leaks.allocs | leaks.timers | leaks.works, 0);
	CU_ASSERT_EQUAL_FATAL(host_alloc_bytes(g->loop.vm), 0);
	CU_ASSERT_TRUE_FATAL(fault_create(g));
}

static void start_again(struct fault_guest *g)
{
	mend(g);
	fault_stop(g);
	CU_ASSERT_TRUE_FATAL(fault_start(g));
}

static bool data(struct fault_guest *g)
{
	bool ok = fault_work_run(&work, 60) && fault_work_wait(&work) && work.error_count == 0;

	for (uint32_t i = 0; i < 5 && ok; i++) {
		ok = fault_frame_send(g, 100 + i * 300);
		fault_polls(g, 20);
	}
	return ok;
}

/* All that the backend offers has arrived. */
static bool offers_all(struct fault_guest *g)
{
	return g->face != FAULT_XEN || (g->blk.sector_count == FAULT_SECTORS && g->blk.sector_bytes == 512 &&
					g->blk.flush && !g->blk.read_only);
}

static uint64_t lost_pages(const struct fault_guest *g)
{
	return g->blk.lost_pages + g->stor.channel.lost_pages + g->xen_net.lost_pages +
	       g->hv_net.channel.lost_pages;
}

static void open_one(struct fault_guest *g, bool (*open)(struct fault_guest *g), uint64_t nth)
{
	if (open(g)) {
		return;
	}
	lost += lost_pages(g);
	mend(g);
	FAULT_CHECK(open(g), armed, nth);
}

static void open_devices(struct fault_guest *g, uint64_t nth)
{
	open_one(g, fault_disk_open, nth);
	open_one(g, fault_net_open, nth);
	FAULT_CHECK(g->net_open && offers_all(g), armed, nth);
}

/* All steps of a life; each that fails is tried again without the fault. True: the fault was met. */
static bool one(enum fault_face face, enum way way, uint64_t nth)
{
	struct fault_guest *g;

	fault_point(way_names[way], nth);
	fault_disk_init(&disk, FAULT_MEDIUM, nth);
	switch_init(&fault_lan, "lan");
	g = fault_machine(0, face, &disk, true);
	g->whole_work = true;
	g->loop.guest.poll_max = 100;
	arm(g, way, nth);
	if (!fault_create(g)) {
		create_again(g);
	}
	if (!fault_start(g)) {
		start_again(g);
	}
	open_devices(g, nth);
	fault_work_begin(&work, g, 9);
	if (!data(g)) {
		mend(g);
		CU_ASSERT_TRUE_FATAL(fault_work_wait(&work));
		work.error_count = 0;
		CU_ASSERT_TRUE_FATAL(data(g));
	}
	CU_ASSERT_FALSE_FATAL(host_vm_killed(g->loop.vm));
	if (way != WAY_PIN) {
		fault_work_verify(&work);
	}
	fault_work_end(&work, true);
	if (!fault_net_close(g) || !fault_disk_close(g)) {
		mend(g);
		(void)fault_net_close(g);
		(void)fault_disk_close(g);
	}
	mend(g);
	fault_stop(g);
	fault_destroy(g, way != WAY_PIN && lost + lost_pages(g) == 0);
	fault_disk_free(&disk);
	return met;
}

static void sweep(enum fault_face face)
{
	static const uint64_t least[WAY_COUNT] = {10, 10, 20};

	for (enum way way = WAY_ALLOC; way < WAY_COUNT; way++) {
		uint32_t stride = fault_full || face == FAULT_HYPERV ? 1 : 3;
		uint64_t points = 0, nth = 1;
		for (; one(face, way, nth); nth += stride) {
			points++;
		}
		CU_ASSERT_TRUE(nth > least[way]);
		fault_report(way_names[way], face, points, way == WAY_PIN ? "pins" : "allocations");
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

FAULT_MAIN("allocations", UNIT_TEST(test_xen), UNIT_TEST(test_hyperv))
