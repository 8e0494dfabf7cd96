/*
 * reset_test.c - with disk requests and frames under way, after each number of steps: the frontends
 * go to Closing or straight to Closed, the guest unloads its bus, or a new kernel starts without a
 * word (kexec). The host lets go of everything only when the disk is done, and all comes up again.
 */
#include "tests/faults/fault_rig.h"

#define REQUESTS 6u
#define STEPS 60u

enum reset {
	RESET_CLOSE,	/* close in order */
	RESET_UNLOAD,	/* Hyper-V: UNLOAD; Xen: Closed without Closing */
	RESET_NEW_KERNEL, /* Hyper-V: INITIATE_CONTACT; Xen: Initialising */
	RESET_COUNT,
};

static const char *const reset_names[RESET_COUNT] = {"closed in flight", "bus unloaded in flight",
						     "new kernel in flight"};

static struct fault_disk disk;
static struct fault_work work;

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

/* The old kernel's memory: used no more, and given to no one. */
static void forget_io(struct fault_guest *g)
{
	if (g->face == FAULT_XEN) { /* a new kernel knows nothing of the old one's ports */
		xen_port_forget(&g->xen, g->blk.port);
		xen_port_forget(&g->xen, g->xen_net.port);
	}
	memset(&g->blk, 0, sizeof(g->blk));
	memset(&g->xen_net, 0, sizeof(g->xen_net));
	memset(&g->stor, 0, sizeof(g->stor));
	memset(&g->hv_net, 0, sizeof(g->hv_net));
	g->disk_open = false;
	g->net_open = false;
	for (uint32_t i = 0; i < FAULT_IOS; i++) {
		work.ios[i].busy = false;
	}
}

static void close_in_order(struct fault_guest *g)
{
	CU_ASSERT_TRUE_FATAL(fault_net_close(g));
	CU_ASSERT_TRUE_FATAL(fault_disk_close(g));
	CU_ASSERT_EQUAL_FATAL(g->blk.lost_pages + g->stor.channel.lost_pages, 0);
	for (uint32_t i = 0; i < FAULT_IOS; i++) {
		CU_ASSERT_FALSE_FATAL(work.ios[i].busy);
	}
}

static bool xen_closed(struct xen_frontend *front)
{
	return xen_frontend_set_state(front, XenbusStateClosed) &&
	       xen_frontend_wait(front, 1u << XenbusStateClosed);
}

static void unload(struct fault_guest *g)
{
	if (g->face == FAULT_XEN) {
		CU_ASSERT_TRUE_FATAL(xen_closed(&g->blk.front));
		CU_ASSERT_TRUE_FATAL(xen_closed(&g->xen_net.front));
		forget_io(g);
		return;
	}
	CU_ASSERT_TRUE_FATAL(hv_bus_unload(&g->hv));
	forget_io(g);
	hv_stop(&g->hv);
	CU_ASSERT_TRUE_FATAL(fault_start(g));
}

static void new_kernel(struct fault_guest *g)
{
	forget_io(g);
	if (g->face == FAULT_HYPERV) {
		CU_ASSERT_TRUE_FATAL(fault_start(g)); /* the old pages stay out of use */
	}
}

static void one(enum fault_face face, enum reset reset, uint64_t steps, bool stalls)
{
	struct fault_guest *g, *peer;

	fault_point(reset_names[reset], steps);
	fault_disk_init(&disk, FAULT_MEDIUM, fault_seed + steps);
	switch_init(&fault_lan, "lan");
	disk.late = true;
	peer = fault_up(1, face, NULL, true);
	g = fault_up(0, face, &disk, true);
	fault_work_begin(&work, g, fault_seed + steps);
	fault_disk_plan(&disk, FAULT_STALL, 7, 2, stalls ? 3 : 0, 100000);
	CU_ASSERT_TRUE_FATAL(fault_work_run(&work, REQUESTS));
	CU_ASSERT_TRUE_FATAL(fault_frame_send(g, 1000) && fault_frame_send(peer, 1000));
	for (uint64_t i = 0; i < steps; i++) {
		fault_poll(g);
	}
	if (reset == RESET_CLOSE) {
		close_in_order(g);
	} else if (reset == RESET_UNLOAD) {
		unload(g);
	} else {
		new_kernel(g);
	}
	FAULT_CHECK(fault_disk_open(g), reset, steps);
	/* It did not answer before the disk was done with the old one's pages. */
	FAULT_CHECK(g->block.in_flight == 0 && disk.queued == 0, reset, steps);
	FAULT_CHECK(pins_of_ios(g) == 0, reset, steps);
	FAULT_CHECK(fault_net_open(g), reset, steps);
	fault_disk_plan(&disk, FAULT_NONE, 0, 0, 0, 0);
	memset(work.unknown, 1, sizeof(work.unknown));
	memset(work.busy, 0, sizeof(work.busy));
	FAULT_CHECK(fault_work_run(&work, 20) && fault_work_wait(&work), reset, steps);
	fault_work_verify(&work);
	FAULT_CHECK(fault_frame_send(peer, 500) && fault_frame_send(g, 500), reset, steps);
	fault_polls(g, 30);
	fault_polls(peer, 30);
	FAULT_CHECK(g->frames_in >= 1 && peer->frames_in >= 1 && g->frames_bad + peer->frames_bad == 0, reset,
		    steps);
	FAULT_CHECK(fault_net_close(g) && fault_disk_close(g), reset, steps);
	fault_work_end(&work, reset == RESET_CLOSE);
	fault_stop(g);
	FAULT_CHECK(!host_vm_killed(g->loop.vm), reset, steps);
	fault_destroy(g, reset == RESET_CLOSE);
	fault_down(peer);
	fault_disk_free(&disk);
}

static void sweep(enum fault_face face)
{
	for (enum reset reset = RESET_CLOSE; reset < RESET_COUNT; reset++) {
		uint64_t points = 0;

		for (uint64_t steps = 0; steps <= STEPS; steps += fault_full ? 1 : 13) {
			one(face, reset, steps, false);
			one(face, reset, steps, true);
			points += 2;
		}
		fault_report(reset_names[reset], face, points, "steps");
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

FAULT_MAIN("resets", UNIT_TEST(test_xen), UNIT_TEST(test_hyperv))
