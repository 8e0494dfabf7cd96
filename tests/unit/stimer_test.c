/*
 * stimer_test.c - synthetic timers: both modes, both kinds, and what they do when they come late.
 */
#include "tests/unit/hyperv_support.h"

#define SIMP 0x10000ull
#define VECTOR 0xF3
#define DIRECT(vector) (HV_STIMER_DIRECT_MODE | (uint64_t)(vector) << HV_STIMER_VECTOR_SHIFT)
#define SINT(n) ((uint64_t)(n) << HV_STIMER_SINT_SHIFT)

static struct vm *vm;
static struct vcpu *vcpu;

static void begin(void)
{
	vm = hyperv_guest(2);
	vcpu = vm_vcpu(vm, 1);
	host_time_set(vm, 1000000);
}

static void end(void)
{
	hyperv_guest_free(vm);
}

static void config(uint32_t timer, uint64_t value)
{
	wr(vcpu, HV_X64_MSR_STIMER0_CONFIG + 2 * timer, value);
}

static void count(uint32_t timer, uint64_t value)
{
	wr(vcpu, HV_X64_MSR_STIMER0_COUNT + 2 * timer, value);
}

static uint64_t read_config(uint32_t timer)
{
	return rd(vcpu, HV_X64_MSR_STIMER0_CONFIG + 2 * timer);
}

static uint64_t posts(uint8_t vector)
{
	return host_vcpu_post_count(vcpu, vector);
}

/* As Linux does it: enable and auto-enable with COUNT still 0, then COUNT for each event. */
static void test_linux_direct(void)
{
	begin();
	count(0, 0);
	config(0, 0);
	config(0, 0x1ED9);
	CU_ASSERT_EQUAL(read_config(0), 0x1ED9);
	CU_ASSERT_FALSE(host_next_timer_ns(vm, &(uint64_t){0}));
	for (uint64_t i = 1; i <= 3; i++) {
		uint64_t due = vm_time_ns(vm) / 100 + 50;

		count(0, due);
		CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_STIMER0_COUNT), due);
		CU_ASSERT_EQUAL(read_config(0), 0x1ED9);
		host_time_set(vm, due * 100 - 1);
		CU_ASSERT_EQUAL(posts(0xED), i - 1);
		host_time_set(vm, due * 100);
		CU_ASSERT_EQUAL(posts(0xED), i);
		CU_ASSERT_EQUAL(read_config(0), 0x1ED8);
	}
	CU_ASSERT_EQUAL(host_vcpu_post_count(vm_vcpu(vm, 0), 0xED), 0);
	count(0, vm_time_ns(vm) / 100 + 50);
	count(0, 0);
	config(0, 0);
	host_time_advance_ns(vm, 1000000);
	CU_ASSERT_EQUAL(posts(0xED), 3);
	end();
}

static void test_past_expires_at_once(void)
{
	begin();
	config(1, DIRECT(0x40) | HV_STIMER_ENABLE);
	count(1, 1);
	CU_ASSERT_EQUAL(posts(0x40), 1);
	CU_ASSERT_EQUAL(read_config(1) & 1, 0);
	/* Without auto-enable a new COUNT alone does nothing. */
	count(1, 2);
	CU_ASSERT_EQUAL(posts(0x40), 1);
	config(1, DIRECT(0x40) | HV_STIMER_ENABLE);
	CU_ASSERT_EQUAL(posts(0x40), 2);
	end();
}

static void test_rules_of_enable(void)
{
	begin();
	count(0, 1ull << 40);
	config(0, HV_STIMER_ENABLE); /* SINT 0 */
	CU_ASSERT_EQUAL(read_config(0), 0);
	config(0, HV_STIMER_ENABLE | DIRECT(15));
	CU_ASSERT_EQUAL(read_config(0), DIRECT(15));
	config(0, HV_STIMER_AUTOENABLE);
	count(0, 1ull << 40);
	CU_ASSERT_EQUAL(read_config(0), HV_STIMER_AUTOENABLE);
	config(0, HV_STIMER_ENABLE | SINT(2));
	CU_ASSERT_EQUAL(read_config(0) & 1, 1);
	count(0, 0);
	CU_ASSERT_EQUAL(read_config(0), SINT(2));
	/* Reserved bits read as zero. */
	config(0, ~0ull);
	CU_ASSERT_EQUAL(read_config(0), 0xF1FFF);
	end();
}

static void test_far_future(void)
{
	uint64_t deadline;

	begin();
	config(0, DIRECT(0x40) | HV_STIMER_ENABLE);
	count(0, ~0ull);
	CU_ASSERT_EQUAL(read_config(0) & 1, 1);
	CU_ASSERT_FALSE(host_next_timer_ns(vm, &deadline));
	config(1, DIRECT(0x41) | HV_STIMER_ENABLE | HV_STIMER_PERIODIC);
	count(1, ~0ull);
	CU_ASSERT_FALSE(host_next_timer_ns(vm, &deadline));
	host_time_advance_ns(vm, 1ull << 50);
	CU_ASSERT_EQUAL(posts(0x40) + posts(0x41), 0);
	end();
}

static void test_periodic(void)
{
	uint64_t deadline;

	begin();
	config(2, DIRECT(0x42) | HV_STIMER_ENABLE | HV_STIMER_PERIODIC);
	count(2, 10000); /* 1 ms */
	for (uint64_t i = 1; i <= 10; i++) {
		CU_ASSERT(host_next_timer_ns(vm, &deadline));
		CU_ASSERT_EQUAL(deadline, 1000000 + i * 1000000);
		host_time_advance_ns(vm, 1000000);
		CU_ASSERT_EQUAL(posts(0x42), i);
	}
	CU_ASSERT_EQUAL(read_config(2) & 1, 1);
	count(2, 0);
	host_time_advance_ns(vm, 5000000);
	CU_ASSERT_EQUAL(posts(0x42), 10);
	end();
}

/* However short the period, the host is asked at most once in 100 us. */
static void test_shortest_period(void)
{
	begin();
	config(0, DIRECT(0x42) | HV_STIMER_ENABLE | HV_STIMER_PERIODIC);
	count(0, 1);
	host_time_advance_ns(vm, 100000000);
	CU_ASSERT(posts(0x42) >= 995 && posts(0x42) <= 1001);
	end();
}

#define LATE_START_NS 1000000000ull
#define LATE_PERIOD_NS 50000000ull

static void spin_until(uint64_t ns)
{
	while (vm_time_ns(vm) < ns) {
		lock_relax();
	}
}

/*
 * A period of 50 ms, and no CPU for the timers until 220 ms: four expiries are due. How often it
 * fired after that; @in_time: before the fifth was due, so that the number is exact and not only
 * within bounds.
 */
static uint64_t late(uint64_t flags, uint64_t *next_ns, bool *in_time)
{
	uint64_t fired;

	begin();
	host_time_set(vm, LATE_START_NS);
	host_time_real(vm);
	config(0, DIRECT(0x42) | HV_STIMER_ENABLE | HV_STIMER_PERIODIC | flags);
	count(0, LATE_PERIOD_NS / 100);
	spin_until(LATE_START_NS + 220000000);
	for (int i = 0; i < 8; i++) {
		host_run_timers(vm);
		spin_until(vm_time_ns(vm) + 100000);
	}
	fired = posts(0x42);
	CU_ASSERT(host_next_timer_ns(vm, next_ns));
	*in_time = vm_time_ns(vm) < LATE_START_NS + 5 * LATE_PERIOD_NS;
	end();
	return fired;
}

static void test_late(void)
{
	uint64_t next_ns;
	uint64_t fired;
	bool in_time;

	fired = late(HV_STIMER_LAZY, &next_ns, &in_time);
	CU_ASSERT(in_time ? fired == 1 : fired >= 1);
	CU_ASSERT(next_ns >= LATE_START_NS + 5 * LATE_PERIOD_NS);
	fired = late(0, &next_ns, &in_time);
	CU_ASSERT(in_time ? fired == 4 : fired >= 1);
	CU_ASSERT(!in_time || next_ns - LATE_START_NS - 5 * LATE_PERIOD_NS < 1000000);
}

static void test_message(void)
{
	struct hv_timer_message_payload payload;
	struct hv_message *slot;

	begin();
	synic_up(vcpu, SIMP, 0x11000, VECTOR);
	slot = slot_at(vm, SIMP, 2);
	config(3, SINT(2) | HV_STIMER_ENABLE);
	count(3, 20000);
	host_time_set(vm, 1999999);
	CU_ASSERT_EQUAL(slot->header.message_type, 0);
	host_time_set(vm, 2000000);
	CU_ASSERT_EQUAL(slot->header.message_type, HVMSG_TIMER_EXPIRED);
	CU_ASSERT_EQUAL(slot->header.payload_size, 24);
	CU_ASSERT_EQUAL(slot->header.sender, 0);
	memcpy(&payload, slot->payload, sizeof(payload));
	CU_ASSERT_EQUAL(payload.timer_index, 3);
	CU_ASSERT_EQUAL(payload.expiration_time, 20000);
	CU_ASSERT_EQUAL(payload.delivery_time, 20000);
	CU_ASSERT_EQUAL(posts(VECTOR), 1);
	end();
}

static void test_busy_slot(void)
{
	struct hv_timer_message_payload payload;
	struct hv_message *slot;

	begin();
	synic_up(vcpu, SIMP, 0x11000, VECTOR);
	slot = slot_at(vm, SIMP, 2);
	CU_ASSERT_EQUAL(synic_post_message(vcpu, 2, 1, "a", 1), SYNIC_OK);
	CU_ASSERT_EQUAL(synic_post_message(vcpu, 2, 1, "b", 1), SYNIC_OK);
	CU_ASSERT_EQUAL(synic_post_message(vcpu, 2, 1, "c", 1), SYNIC_OK);
	config(0, SINT(2) | HV_STIMER_ENABLE);
	count(0, 20000);
	host_time_set(vm, 3000000);
	CU_ASSERT_EQUAL(slot->header.message_type, 1);
	CU_ASSERT_EQUAL(slot->header.message_flags, 1);
	/* By turns with the queue: the timer goes before what has waited behind the first. */
	CU_ASSERT(slot_done(vcpu, slot));
	CU_ASSERT_EQUAL(slot->header.message_type, HVMSG_TIMER_EXPIRED);
	memcpy(&payload, slot->payload, sizeof(payload));
	CU_ASSERT_EQUAL(payload.expiration_time, 20000);
	CU_ASSERT_EQUAL(payload.delivery_time, 30000);
	CU_ASSERT(slot_done(vcpu, slot));
	CU_ASSERT_EQUAL(slot->payload[0], 'b');
	CU_ASSERT(slot_done(vcpu, slot));
	CU_ASSERT_EQUAL(slot->payload[0], 'c');
	CU_ASSERT_FALSE(slot_done(vcpu, slot));
	end();
}

static void test_timer_and_queue_by_turns(void)
{
	struct hv_message *slot;
	uint32_t timers = 0;

	begin();
	synic_up(vcpu, SIMP, 0x11000, VECTOR);
	slot = slot_at(vm, SIMP, 2);
	config(0, SINT(2) | HV_STIMER_ENABLE | HV_STIMER_PERIODIC);
	count(0, 1000);
	for (uint32_t i = 0; i < 20; i++) {
		CU_ASSERT_EQUAL(synic_post_message(vcpu, 2, 1, "a", 1), SYNIC_OK);
	}
	for (uint32_t i = 0; i < 20; i++) {
		host_time_advance_ns(vm, 1000000);
		timers += slot->header.message_type == HVMSG_TIMER_EXPIRED;
		slot_done(vcpu, slot);
	}
	CU_ASSERT(timers >= 8 && timers <= 11);
	end();
}

static void test_stopped_message_is_dropped(void)
{
	struct hv_message *slot;

	begin();
	synic_up(vcpu, SIMP, 0x11000, VECTOR);
	slot = slot_at(vm, SIMP, 2);
	CU_ASSERT_EQUAL(synic_post_message(vcpu, 2, 1, "a", 1), SYNIC_OK);
	config(0, SINT(2) | HV_STIMER_ENABLE);
	count(0, 1);
	count(0, 0);
	slot_done(vcpu, slot);
	CU_ASSERT_EQUAL(slot->header.message_type, 0);
	end();
}

/* The SynIC comes on after the expiry. */
static void test_message_waits_for_synic(void)
{
	begin();
	config(0, SINT(2) | HV_STIMER_ENABLE);
	count(0, 1);
	CU_ASSERT_EQUAL(posts(VECTOR), 0);
	synic_up(vcpu, SIMP, 0x11000, VECTOR);
	CU_ASSERT_EQUAL(slot_at(vm, SIMP, 2)->header.message_type, HVMSG_TIMER_EXPIRED);
	CU_ASSERT_EQUAL(posts(VECTOR), 1);
	end();
}

static void test_four_timers(void)
{
	begin();
	for (uint32_t i = 0; i < 4; i++) {
		config(i, DIRECT(0x50 + i) | HV_STIMER_ENABLE);
		count(i, 20000 + 10000 * i);
	}
	for (uint32_t i = 0; i < 4; i++) {
		host_time_set(vm, 2000000 + 1000000 * i);
		CU_ASSERT_EQUAL(posts((uint8_t)(0x50 + i)), 1);
		CU_ASSERT_EQUAL(posts((uint8_t)(0x51 + i)), 0);
	}
	end();
}

/* Moved to later, and to earlier. */
static void test_new_count(void)
{
	begin();
	config(0, DIRECT(0x40) | HV_STIMER_AUTOENABLE);
	count(0, 20000);
	count(0, 30000);
	host_time_set(vm, 2500000);
	CU_ASSERT_EQUAL(posts(0x40), 0);
	count(0, 26000);
	host_time_set(vm, 2600000);
	CU_ASSERT_EQUAL(posts(0x40), 1);
	host_time_set(vm, 4000000);
	CU_ASSERT_EQUAL(posts(0x40), 1);
	end();
}

UNIT_MAIN("stimer", UNIT_TEST(test_linux_direct), UNIT_TEST(test_past_expires_at_once),
	  UNIT_TEST(test_rules_of_enable), UNIT_TEST(test_far_future), UNIT_TEST(test_periodic),
	  UNIT_TEST(test_shortest_period), UNIT_TEST(test_late), UNIT_TEST(test_message),
	  UNIT_TEST(test_busy_slot), UNIT_TEST(test_timer_and_queue_by_turns),
	  UNIT_TEST(test_stopped_message_is_dropped), UNIT_TEST(test_message_waits_for_synic),
	  UNIT_TEST(test_four_timers), UNIT_TEST(test_new_count))
