/*
 * cycles_test.c - guests made, used and ended ten thousand times, and devices connected and closed
 * ten thousand times in one guest: what is free afterwards is what was free before.
 */
#include "tests/faults/fault_rig.h"

/* Of the sanitizer's run-time library, whose header not every compiler brings. */
extern size_t __sanitizer_get_current_allocated_bytes(void);

#define FULL_CYCLES 10000u
#define QUICK_CYCLES 300u

static struct fault_disk disk;
static struct fault_work work;

static void data(struct fault_guest *g, uint64_t seed)
{
	fault_work_begin(&work, g, seed);
	memset(work.unknown, 1, sizeof(work.unknown));
	CU_ASSERT_TRUE_FATAL(fault_work_run(&work, 6) && fault_work_wait(&work));
	CU_ASSERT_EQUAL_FATAL(work.ok_count, 6);
	CU_ASSERT_TRUE_FATAL(fault_frame_send(g, 400));
	fault_polls(g, 4);
	fault_work_end(&work, true);
}

static uint32_t ports_used(void)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < SWITCH_PORT_MAX; i++) {
		count += fault_lan.ports[i] != NULL;
	}
	return count;
}

static uint32_t cycles(void)
{
	return fault_full ? FULL_CYCLES : QUICK_CYCLES;
}

/* A machine, its end by its own or by a kill. */
static void one_guest(enum fault_face face, uint64_t i)
{
	struct fault_guest *g = fault_machine(0, face, &disk, true);

	fault_point("create and destroy", i);
	g->whole_work = true;
	CU_ASSERT_TRUE_FATAL(fault_create(g));
	CU_ASSERT_TRUE_FATAL(fault_start(g) && fault_disk_open(g) && fault_net_open(g));
	data(g, i);
	if (i % 4 == 3) {
		vm_kill(g->loop.vm, "the test ends it");
		fault_quiesce(g);
		fault_destroy(g, false);
	} else {
		fault_down(g);
	}
}

static void create_and_destroy(enum fault_face face)
{
	size_t heap;
	uint32_t ports;

	fault_disk_init(&disk, FAULT_MEDIUM, 3);
	switch_init(&fault_lan, "lan");
	for (uint64_t i = 0; i < 4; i++) {
		one_guest(face, i);
	}
	heap = __sanitizer_get_current_allocated_bytes();
	ports = ports_used();
	for (uint64_t i = 0; i < cycles(); i++) {
		one_guest(face, i);
		if (i % 256 == 0) { /* each asks for leaks of its own; this is what all of them hold */
			CU_ASSERT_EQUAL_FATAL(__sanitizer_get_current_allocated_bytes(), heap);
		}
	}
	CU_ASSERT_EQUAL(__sanitizer_get_current_allocated_bytes(), heap);
	CU_ASSERT_EQUAL(ports_used(), ports);
	CU_ASSERT_EQUAL(disk.queued, 0);
	fault_disk_free(&disk);
	fault_report("create and destroy", face, cycles(), "cycles; heap, pages, pins, timers, ports as before");
}

/* What a guest's devices hold of it, and the next numbers that it would be given. */
struct holdings {
	struct host_leaks leaks;
	uint64_t alloc_bytes, pages_out;
	int64_t port;
	uint32_t grants;
};

static struct holdings look(struct fault_guest *g)
{
	struct holdings now = {
		.leaks = host_vm_leaks(g->loop.vm),
		.alloc_bytes = host_alloc_bytes(g->loop.vm),
		.pages_out = g->loop.pages_out,
	};

	if (g->face == FAULT_XEN) {
		now.grants = g->xen.grant_free_count;
		now.port = xen_port_alloc(&g->xen, NULL, NULL); /* the lowest that is free */
		CU_ASSERT_EQUAL_FATAL(xen_port_close(&g->xen, (uint32_t)now.port), 0);
	}
	return now;
}

static void connect_and_close(enum fault_face face)
{
	struct holdings before, after;
	struct fault_guest *g;

	fault_disk_init(&disk, FAULT_MEDIUM, 3);
	switch_init(&fault_lan, "lan");
	g = fault_up(0, face, &disk, true);
	g->whole_work = true;
	for (uint64_t i = 0; i <= cycles(); i++) {
		if (i != 0) {
			CU_ASSERT_TRUE_FATAL(fault_disk_open(g) && fault_net_open(g));
		}
		data(g, i);
		CU_ASSERT_TRUE_FATAL(fault_net_close(g) && fault_disk_close(g));
		fault_polls(g, 2);
		if (i == 0) {
			before = look(g);
		}
	}
	after = look(g);
	CU_ASSERT_EQUAL(memcmp(&after.leaks, &before.leaks, sizeof(before.leaks)), 0);
	CU_ASSERT_EQUAL(after.alloc_bytes, before.alloc_bytes);
	CU_ASSERT_EQUAL(after.pages_out, before.pages_out);
	CU_ASSERT_EQUAL(after.port, before.port);
	CU_ASSERT_EQUAL(after.grants, before.grants);
	fault_down(g);
	fault_disk_free(&disk);
	fault_report("connect and close", face, cycles(), "cycles; memory, pins, ports, grants as before");
}

static void test_xen_guests(void)
{
	create_and_destroy(FAULT_XEN);
}

static void test_hyperv_guests(void)
{
	create_and_destroy(FAULT_HYPERV);
}

static void test_xen_devices(void)
{
	connect_and_close(FAULT_XEN);
}

static void test_hyperv_devices(void)
{
	connect_and_close(FAULT_HYPERV);
}

FAULT_MAIN("cycles", UNIT_TEST(test_xen_guests), UNIT_TEST(test_hyperv_guests),
	   UNIT_TEST(test_xen_devices), UNIT_TEST(test_hyperv_devices))
