/*
 * smp.c - all the CPUs that a guest may have: each is started, takes IPIs of every kind, and none
 * is lost or doubled; and the TSC does not go back from one CPU to the next.
 *
 * Options: cpus=N, rounds=N (IPIs to each), looks=N (TSC readings on each), apic=xapic.
 */
#include "guest-drivers/metal/cpu.h"

#define ROUND_SECONDS 60u

struct per_cpu {
	volatile uint32_t ipis;
	volatile uint32_t alive;
	volatile uint32_t looked;
	volatile uint32_t slips; /* TSC readings that came before an earlier one */
	uint8_t apart[48];
};

static struct per_cpu cpus[CPUS_MAX];
static unsigned int count;
static uint32_t looks;
static volatile uint32_t ring_rounds;
static volatile bool look_now;
static uint64_t latest_tsc;
static uint64_t worst_slip;

static void take_ipi(struct frame *frame)
{
	(void)frame;
	cpus[cpu_number()].ipis++;
	apic_eoi();
}

/* A token that goes from each CPU to the next, sent by the handlers themselves. */
static void take_ring(struct frame *frame)
{
	unsigned int cpu = cpu_number();

	(void)frame;
	cpus[cpu].ipis++;
	if (cpu == 0) {
		ring_rounds++;
	} else {
		apic_send((cpu + 1) % count, VECTOR_RING);
	}
	apic_eoi();
}

static void note_slip(unsigned int cpu, uint64_t slip)
{
	uint64_t worst = __atomic_load_n(&worst_slip, __ATOMIC_SEQ_CST);

	cpus[cpu].slips++;
	while (slip > worst && !__atomic_compare_exchange_n(&worst_slip, &worst, slip, false,
	                                                    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
	}
}

/* What was seen before the reading must not be later than it. */
static void look_at_tsc(unsigned int cpu)
{
	for (uint32_t i = 0; i < looks; i++) {
		uint64_t seen = __atomic_load_n(&latest_tsc, __ATOMIC_SEQ_CST);
		uint64_t now = tsc_read();

		if (now < seen) {
			note_slip(cpu, seen - now);
			continue;
		}
		while (seen < now && !__atomic_compare_exchange_n(&latest_tsc, &seen, now, false,
		                                                  __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		}
		if (i % 16 == 0) {
			cpu_pause();
		}
	}
	cpus[cpu].looked = 1;
}

static void run_other(unsigned int cpu)
{
	bool looked = false;

	cpus[cpu].alive = cpu + 1;
	for (;;) {
		cpu_sleep();
		if (look_now && !looked) {
			looked = true;
			look_at_tsc(cpu);
		}
	}
}

/* How many CPUs from @first on have taken exactly @wanted IPIs, once all have or time is up. */
static unsigned int wait_ipis(unsigned int first, uint32_t wanted)
{
	uint64_t limit = tsc_read() + tsc_hz() * ROUND_SECONDS;
	unsigned int right;

	do {
		right = 0;
		for (unsigned int cpu = first; cpu < count; cpu++) {
			right += cpus[cpu].ipis == wanted ? 1 : 0;
		}
		cpu_pause();
	} while (right != count - first && tsc_read() < limit);
	return right;
}

static bool check_started(void)
{
	unsigned int alive = 1;
	unsigned int up = cpus_start(run_other);

	for (unsigned int cpu = 1; cpu < count; cpu++) {
		alive += cpus[cpu].alive == cpu + 1 ? 1 : 0;
	}
	report("started=%u", up);
	report("alive=%u of %u", alive, count);
	return up == count && alive == count;
}

/* @sent: how many each other CPU must have taken when this is over. */
static bool check_direct(uint32_t rounds, uint32_t *sent)
{
	for (uint32_t round = 0; round < rounds; round++) {
		for (unsigned int cpu = 1; cpu < count; cpu++) {
			apic_send(cpu, VECTOR_IPI);
		}
		++*sent;
		if (wait_ipis(1, *sent) != count - 1) {
			report("ipis=wrong in round %u: %u CPUs have %u", round, wait_ipis(1, *sent), *sent);
			return false;
		}
	}
	report("ipis=%u to each of %u", rounds, count - 1);
	return true;
}

static bool check_broadcast(uint32_t *sent)
{
	unsigned int right;

	apic_send_others(VECTOR_IPI);
	++*sent;
	right = wait_ipis(1, *sent);
	report("broadcast=%u of %u", right, count - 1);
	return right == count - 1;
}

static bool check_ring(uint32_t *sent)
{
	uint64_t limit = tsc_read() + tsc_hz() * ROUND_SECONDS;
	unsigned int right;

	interrupts_on();
	apic_send(1 % count, VECTOR_RING);
	while (ring_rounds == 0 && tsc_read() < limit) {
		cpu_pause();
	}
	interrupts_off();
	++*sent;
	right = wait_ipis(1, *sent);
	report("ring=%u of %u", right, count - 1);
	return ring_rounds == 1 && cpus[0].ipis == 1 && right == count - 1;
}

static bool check_tsc(uint32_t *sent)
{
	uint64_t limit = tsc_read() + tsc_hz() * ROUND_SECONDS;
	unsigned int looked;
	uint64_t slips = 0;

	look_now = true;
	apic_send_others(VECTOR_IPI);
	++*sent;
	look_at_tsc(0);
	do {
		looked = 0;
		for (unsigned int cpu = 0; cpu < count; cpu++) {
			looked += cpus[cpu].looked;
		}
		cpu_pause();
	} while (looked != count && tsc_read() < limit);
	for (unsigned int cpu = 0; cpu < count; cpu++) {
		slips += cpus[cpu].slips;
	}
	report("tsc=%lu slips, the worst %lu ticks, on %u CPUs", (unsigned long)slips,
	       (unsigned long)worst_slip, looked);
	return looked == count && slips == 0 && wait_ipis(1, *sent) == count - 1;
}

/* Nothing more comes after all has been counted. */
static bool check_no_more(uint32_t sent)
{
	unsigned int right;

	delay_us(50000);
	right = wait_ipis(1, sent);
	report("total=%u each on %u", sent, right);
	return right == count - 1;
}

void program_main(void)
{
	uint32_t rounds = (uint32_t)option_number("rounds", 10);
	uint32_t sent = 0;
	bool ok;

	count = cpu_count();
	looks = (uint32_t)option_number("looks", 500);
	interrupt_handle(VECTOR_IPI, take_ipi);
	interrupt_handle(VECTOR_RING, take_ring);
	report("face=%s", face_name());
	report("apic=%s", apic_is_x2() ? "x2apic" : "xapic");
	ok = check_started() && check_direct(rounds, &sent) && check_broadcast(&sent) && check_ring(&sent) &&
	     check_tsc(&sent) && check_no_more(sent);
	finish(ok);
}
