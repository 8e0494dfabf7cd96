/*
 * xen_time_test.c - pvclock, wall clock, timers, runstate and time areas.
 */
#include <pthread.h>

#include "tests/unit/xen_guest.h"

static uint32_t bind_timer(struct vm *vm, uint32_t vcpu)
{
	struct xen_evtchn_bind_virq arg = {VIRQ_TIMER, vcpu, 0};

	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_bind_virq, arg), 0);
	return arg.port;
}

/* True if the port was pending, which then it is no more. */
static bool take(struct vm *vm, uint64_t shared, uint32_t port)
{
	uint64_t word = guest_get64(vm, shared + 2048);

	guest_put64(vm, shared + 2048, word & ~(1ull << port));
	return (word >> port & 1) != 0;
}

/* What a guest computes (xen.h, vcpu_time_info). */
static uint64_t pvclock(const struct xen_vcpu_time_info *t, uint64_t tsc)
{
	uint64_t delta = tsc - t->tsc_timestamp;

	delta = t->tsc_shift >= 0 ? delta << t->tsc_shift : delta >> -t->tsc_shift;
	return t->system_time + (uint64_t)(mul_high(delta, (uint64_t)t->tsc_to_system_mul << 32));
}

static void test_pvclock(void)
{
	struct vm *vm = guest_new(2);
	uint64_t shared = guest_map_shared(vm);
	struct xen_vcpu_time_info t;

	for (uint32_t i = 0; i < 32; i++) {
		guest_get(vm, shared + i * 64 + 32, &t, sizeof(t));
		CU_ASSERT_EQUAL(t.version % 2, 0);
		CU_ASSERT_NOT_EQUAL(t.version, 0);
		CU_ASSERT_EQUAL(t.flags, XEN_PVCLOCK_TSC_STABLE_BIT);
		CU_ASSERT_EQUAL(t.tsc_to_system_mul >> 31, 1);
	}
	CU_ASSERT_EQUAL(pvclock(&t, host_tsc(vm)), vm_time_ns(vm));
	host_time_set(vm, 123456789012ull);
	CU_ASSERT_EQUAL(pvclock(&t, host_tsc(vm)), vm_time_ns(vm));
	guest_free(vm);
	vm = guest_new_with(1, false, false);
	shared = guest_map_shared(vm);
	guest_get(vm, shared + 32, &t, sizeof(t));
	CU_ASSERT_EQUAL(t.flags, 0);
	guest_free(vm);
}

static void test_wallclock(void)
{
	struct vm *vm = guest_new(1);
	uint64_t shared = guest_map_shared(vm);
	uint64_t sec = guest_get32(vm, shared + 3076) | (uint64_t)guest_get32(vm, shared + 3084) << 32;

	CU_ASSERT_EQUAL(sec, 5000000001ull);
	CU_ASSERT_EQUAL(guest_get32(vm, shared + 3080), 234567890);
	CU_ASSERT_EQUAL(guest_get32(vm, shared + 3072) % 2, 0);
	guest_set_narrow(vm, 0, true);
	CU_ASSERT_EQUAL(xen_face.msr_write(vm_vcpu(vm, 0), XEN_MSR_BASE, 0x50000), FACE_MSR_OK);
	sec = guest_get32(vm, shared + 2308) | (uint64_t)guest_get32(vm, shared + 2340) << 32;
	CU_ASSERT_EQUAL(sec, 5000000001ull);
	CU_ASSERT_EQUAL(guest_get32(vm, shared + 2312), 234567890);
	guest_free(vm);
}

static int64_t singleshot(struct vm *vm, uint64_t at_ns)
{
	struct xen_set_singleshot_timer arg = {at_ns, 0};

	return guest_vcpu_op(vm, 0, VCPUOP_set_singleshot_timer, 0, &arg, sizeof(arg));
}

static void test_singleshot(void)
{
	struct vm *vm = guest_new(2);
	uint64_t shared = guest_map_shared(vm);
	uint32_t port = bind_timer(vm, 0);
	struct xen_set_singleshot_timer arg = {5000, 0};

	CU_ASSERT_EQUAL(singleshot(vm, 1000000), 0);
	host_time_set(vm, 999999);
	CU_ASSERT_FALSE(take(vm, shared, port)); /* never early */
	host_time_set(vm, 1000000);
	CU_ASSERT_TRUE(take(vm, shared, port));
	host_time_set(vm, 5000000);
	CU_ASSERT_FALSE(take(vm, shared, port)); /* once */
	CU_ASSERT_EQUAL(singleshot(vm, 4000000), 0); /* past: at once */
	CU_ASSERT_TRUE(take(vm, shared, port));
	CU_ASSERT_EQUAL(singleshot(vm, 6000000), 0);
	CU_ASSERT_EQUAL(singleshot(vm, 7000000), 0); /* takes its place */
	host_time_set(vm, 6500000);
	CU_ASSERT_FALSE(take(vm, shared, port));
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_stop_singleshot_timer, 0, NULL, 0), 0);
	host_time_set(vm, 8000000);
	CU_ASSERT_FALSE(take(vm, shared, port));
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_set_singleshot_timer, 1, &arg, sizeof(arg)), -XEN_EINVAL);
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_stop_singleshot_timer, 1, NULL, 0), -XEN_EINVAL);
	guest_free(vm);
}

static void test_unbound_timer_is_dropped(void)
{
	struct vm *vm = guest_new(1);

	CU_ASSERT_EQUAL(singleshot(vm, 1000), 0);
	host_time_set(vm, 2000);
	CU_ASSERT_FALSE(host_vcpu_take_upcall(vm_vcpu(vm, 0)));
	guest_free(vm);
}

static void test_periodic(void)
{
	struct vm *vm = guest_new(2);
	uint64_t shared = guest_map_shared(vm);
	uint32_t port = bind_timer(vm, 1);
	uint64_t period = 2000000;

	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_set_periodic_timer, 1, &period, sizeof(period)), 0);
	for (uint32_t i = 1; i <= 5; i++) {
		host_time_set(vm, i * period - 1);
		CU_ASSERT_FALSE(take(vm, shared, port));
		host_time_set(vm, i * period);
		CU_ASSERT_TRUE(take(vm, shared, port));
	}
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_stop_periodic_timer, 1, NULL, 0), 0);
	host_time_advance_ns(vm, 10 * period);
	CU_ASSERT_FALSE(take(vm, shared, port));
	period = 999999;
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_set_periodic_timer, 1, &period, sizeof(period)),
	                -XEN_EINVAL);
	period = 1ull << 62;
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_set_periodic_timer, 1, &period, sizeof(period)),
	                -XEN_EINVAL);
	guest_free(vm);
}

static void test_set_timer_op(void)
{
	struct vm *vm = guest_new(1);
	uint64_t shared = guest_map_shared(vm);
	uint32_t port = bind_timer(vm, 0);
	uint64_t deadline;

	host_time_set(vm, 1000000);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_set_timer_op, 2000000, 0, 0), 0);
	CU_ASSERT_TRUE(host_next_timer_ns(vm, &deadline) && deadline == 2000000);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_set_timer_op, 0, 0, 0), 0);
	CU_ASSERT_FALSE(host_next_timer_ns(vm, &deadline));
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_set_timer_op, 999999, 0, 0), 0);
	CU_ASSERT_TRUE(take(vm, shared, port));
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_set_timer_op, 1ull << 63, 0, 0), 0);
	CU_ASSERT_TRUE(host_next_timer_ns(vm, &deadline) && deadline == 101000000);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_set_timer_op, 1ull << 60, 0, 0), 0);
	CU_ASSERT_TRUE(host_next_timer_ns(vm, &deadline) && deadline == 101000000);
	guest_set_narrow(vm, 0, true);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_set_timer_op, 5, 1, 0), 0);
	CU_ASSERT_TRUE(host_next_timer_ns(vm, &deadline) && deadline == (1ull << 32 | 5));
	guest_free(vm);
}

/* ------------------------------------------------------------------ runstate */

static void check_record(struct vm *vm, uint64_t at, uint32_t id, uint32_t state)
{
	struct xen_runstate64 r;
	struct vcpu_times times;

	guest_get(vm, at, &r, sizeof(r));
	vcpu_times(vm_vcpu(vm, id), &times);
	CU_ASSERT_EQUAL(r.state, state);
	CU_ASSERT_EQUAL(r.state_entry_time, times.since_ns);
	for (uint32_t i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(r.time[i], times.time_ns[i]);
	}
}

static void turn(struct vm *vm, uint32_t id, enum vcpu_runstate state)
{
	host_time_advance_ns(vm, 1000);
	host_vcpu_set_runstate(vm_vcpu(vm, id), state);
	xen_face.scheduled(vm_vcpu(vm, id));
}

static void test_runstate_area(void)
{
	struct vm *vm = guest_new(1);
	uint64_t linear = 0x60040;
	struct xen_runstate64 r;

	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_register_runstate_memory_area, 0, &linear, 8), 0);
	check_record(vm, 0x60040, 0, RUNSTATE_running); /* at once */
	turn(vm, 0, VCPU_BLOCKED);
	check_record(vm, 0x60040, 0, RUNSTATE_blocked);
	turn(vm, 0, VCPU_RUNNABLE);
	check_record(vm, 0x60040, 0, RUNSTATE_runnable);
	turn(vm, 0, VCPU_RUNNING);
	check_record(vm, 0x60040, 0, RUNSTATE_running);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_vcpu_op, VCPUOP_get_runstate_info, 0, GUEST_DATA),
	                0);
	guest_get(vm, GUEST_DATA, &r, sizeof(r));
	CU_ASSERT_EQUAL(r.time[0] + r.time[1] + r.time[2] + r.time[3], r.state_entry_time);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_vcpu_op, VCPUOP_get_runstate_info, 0, 1ull << 39),
	                -XEN_EFAULT);
	guest_free(vm);
}

static bool translate(void *context, struct vcpu *vcpu, uint64_t linear, bool write, gpa_t *at)
{
	(void)context;
	(void)vcpu;
	(void)write;
	*at = gpa(linear & 0xFFFFF);
	return linear >= 0xFFFF800000000000ull || linear < 0x80000;
}

static void test_runstate_crosses_a_page(void)
{
	struct vm *vm = guest_new(1);
	uint64_t linear = 0xFFFF800000060FF0ull;

	host_translate_hook(vm, translate, NULL);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_vm_assist, 0, 5, 0), 0);
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_register_runstate_memory_area, 0, &linear, 8), 0);
	CU_ASSERT_EQUAL(host_page_pin_count(vm, 0x60000), 1);
	CU_ASSERT_EQUAL(host_page_pin_count(vm, 0x61000), 1);
	turn(vm, 0, VCPU_BLOCKED);
	check_record(vm, 0x60FF0, 0, RUNSTATE_blocked); /* and the flag is off again */
	linear = 0xFFFF800000060FFCull; /* flag on the second page */
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_register_runstate_memory_area, 0, &linear, 8), 0);
	turn(vm, 0, VCPU_RUNNING);
	check_record(vm, 0x60FFC, 0, RUNSTATE_running);
	linear = 0x7FFF0; /* goes on where nothing is mapped */
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_register_runstate_memory_area, 0, &linear, 8), 0);
	CU_ASSERT_EQUAL(host_vm_leaks(vm).pins, 0);
	turn(vm, 0, VCPU_BLOCKED);
	linear = 0x800000000000ull; /* not canonical */
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_register_runstate_memory_area, 0, &linear, 8),
	                -XEN_EFAULT);
	linear = 0x7FFFFFFFFFF0ull;
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_register_runstate_memory_area, 0, &linear, 8),
	                -XEN_EFAULT);
	linear = 0x90000; /* not mapped: no error, nothing written */
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_register_runstate_memory_area, 0, &linear, 8), 0);
	turn(vm, 0, VCPU_RUNNING);
	guest_free(vm);
}

static void test_runstate_narrow(void)
{
	struct vm *vm = guest_new(1);
	uint64_t linear = 0x60004;
	struct xen_runstate32 r;
	struct vcpu_times times;

	guest_set_narrow(vm, 0, true);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_vm_assist, 0, 5, 0), 0);
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_register_runstate_memory_area, 0, &linear, 8), 0);
	guest_put32(vm, 0x60004 + 44, 0x5555);
	turn(vm, 0, VCPU_BLOCKED);
	turn(vm, 0, VCPU_RUNNING);
	vcpu_times(vm_vcpu(vm, 0), &times);
	guest_get(vm, 0x60004, &r, sizeof(r));
	CU_ASSERT_EQUAL(r.state, RUNSTATE_running);
	CU_ASSERT_EQUAL(r.state_entry_time, times.since_ns);
	CU_ASSERT_EQUAL(r.time[RUNSTATE_blocked], 1000);
	CU_ASSERT_EQUAL(guest_get32(vm, 0x60004 + 44), 0x5555);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_vcpu_op, VCPUOP_get_runstate_info, 0, GUEST_DATA),
	                0);
	guest_get(vm, GUEST_DATA, &r, sizeof(r));
	CU_ASSERT_EQUAL(r.state_entry_time, times.since_ns);
	guest_free(vm);
}

static void test_physical_areas(void)
{
	struct vm *vm = guest_new(2);
	uint64_t at = 0x60100;
	struct xen_vcpu_time_info t;

	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_register_runstate_phys_area, 1, &at, 8), 0);
	check_record(vm, at, 1, RUNSTATE_offline); /* a vCPU that never ran */
	CU_ASSERT_EQUAL(host_page_pin_count(vm, at), 1);
	at = 0x61100;
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_register_runstate_phys_area, 1, &at, 8), 0);
	CU_ASSERT_EQUAL(host_page_pin_count(vm, 0x60000), 0);
	turn(vm, 1, VCPU_RUNNABLE);
	check_record(vm, at, 1, RUNSTATE_runnable);
	at = 0x62000;
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_register_vcpu_time_phys_area, 1, &at, 8), 0);
	guest_get(vm, at, &t, sizeof(t));
	CU_ASSERT_EQUAL(pvclock(&t, host_tsc(vm)), vm_time_ns(vm));
	CU_ASSERT_EQUAL(t.version % 2, 0);
	at = UINT64_MAX;
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_register_runstate_phys_area, 1, &at, 8), 0);
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_register_vcpu_time_phys_area, 1, &at, 8), 0);
	CU_ASSERT_EQUAL(host_vm_leaks(vm).pins, 0);
	at = 0x60FE0;
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_register_runstate_phys_area, 1, &at, 8), -XEN_ENXIO);
	at = 0x60004;
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_register_vcpu_time_phys_area, 1, &at, 8), -XEN_ENXIO);
	at = 0x900000;
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_register_vcpu_time_phys_area, 1, &at, 8), -XEN_EINVAL);
	guest_free(vm);
}

static void test_linear_time_area(void)
{
	struct vm *vm = guest_new(1);
	uint64_t linear = 0x63000;
	struct xen_vcpu_time_info t;

	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_register_vcpu_time_memory_area, 0, &linear, 8), 0);
	guest_get(vm, linear, &t, sizeof(t));
	CU_ASSERT_EQUAL(t.flags, XEN_PVCLOCK_TSC_STABLE_BIT);
	host_time_set(vm, 777777);
	CU_ASSERT_EQUAL(pvclock(&t, host_tsc(vm)), vm_time_ns(vm));
	guest_free(vm);
}

/* ------------------------------------------------------------------ a reader on another vCPU */

#define READER_TURNS 100000u
#define READER_TURNS_MAX 50000000u

struct reader {
	const uint8_t *record;
	uint32_t stop, good_count, bad_count, flag_count;
};

/* As Linux reads another CPU's record: again while the flag is set or the entry time has changed. */
static void *read_records(void *context)
{
	struct reader *r = context;
	const uint64_t *words = (const uint64_t *)(const void *)r->record;

	while (__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE) == 0) {
		uint64_t before = __atomic_load_n(&words[1], __ATOMIC_ACQUIRE);
		uint64_t sum = 0;

		if ((before & XEN_RUNSTATE_UPDATE) != 0) {
			__atomic_fetch_add(&r->flag_count, 1, __ATOMIC_RELAXED);
			continue;
		}
		for (uint32_t i = 2; i < 6; i++) {
			sum += __atomic_load_n(&words[i], __ATOMIC_ACQUIRE);
		}
		if (__atomic_load_n(&words[1], __ATOMIC_ACQUIRE) == before) {
			r->good_count += sum == before;
			r->bad_count += sum != before;
		}
	}
	return NULL;
}

static void test_reader_sees_whole_records(void)
{
	struct vm *vm = guest_new(2);
	uint64_t at = 0x60000;
	struct reader r = {.record = host_vm_bytes(vm, at, 48)};
	pthread_t thread;

	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_register_runstate_phys_area, 1, &at, 8), 0);
	CU_ASSERT_EQUAL(pthread_create(&thread, NULL, read_records, &r), 0);
	/* Until the reader has met the flag: without it, whole records are luck. */
	for (uint32_t i = 0; i < READER_TURNS ||
	                     (i < READER_TURNS_MAX && __atomic_load_n(&r.flag_count, __ATOMIC_RELAXED) == 0);
	     i++) {
		turn(vm, 1, (enum vcpu_runstate)(i % 4));
	}
	__atomic_store_n(&r.stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(r.bad_count, 0);
	CU_ASSERT_TRUE(r.good_count > 0);
	CU_ASSERT_TRUE(r.flag_count > 0);
	guest_free(vm);
}

UNIT_MAIN("xen_time", UNIT_TEST(test_pvclock), UNIT_TEST(test_wallclock), UNIT_TEST(test_singleshot),
          UNIT_TEST(test_unbound_timer_is_dropped), UNIT_TEST(test_periodic), UNIT_TEST(test_set_timer_op),
          UNIT_TEST(test_runstate_area), UNIT_TEST(test_runstate_crosses_a_page),
          UNIT_TEST(test_runstate_narrow), UNIT_TEST(test_physical_areas), UNIT_TEST(test_linear_time_area),
          UNIT_TEST(test_reader_sees_whole_records))
