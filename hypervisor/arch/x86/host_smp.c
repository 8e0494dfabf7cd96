/*
 * host_smp.c - the other CPUs: found in the MADT, woken by INIT and two startup IPIs (Intel SDM
 * 3A, 9.4.4), one after the other, their TSCs compared with ours, then let go all at once.
 */
#include "base/check.h"
#include "base/mem.h"
#include "hypervisor/arch/x86/host_internal.h"

#define THROWS 1000u
#define THROWS_MIN 16u

extern const uint8_t trampoline_start[];
extern const uint8_t trampoline_end[];
extern const uint8_t trampoline_gdt_pointer[];
extern const uint8_t trampoline_jump_32[];
extern const uint8_t trampoline_jump_64[];

static uint32_t apic_ids[HOST_CPUS_MAX];
static unsigned int count = 1;

/* For the one CPU that is on its way. */
uint64_t smp_trampoline_cr3;
uint64_t smp_trampoline_stack;
static unsigned int starting;
static uint32_t arrived; /* its number, once it is in C */

/*
 * By number: has it tables of ours? An NMI to one that firmware has parked would crash the
 * machine.
 */
static uint32_t has_arrived[HOST_CPUS_MAX];

static void (*entry_of_core)(unsigned int cpu);

/*
 * A game of ball between CPU 0 and another: an odd turn is the other's, who then writes down its
 * TSC and passes on. One ball for each game, so that a slow player cannot walk into the next one.
 */
struct ALIGNED(64) ball {
	uint32_t turn;
	uint32_t is_over;
	uint64_t tsc;
};

static struct ball balls[HOST_CPUS_MAX];

unsigned int cpu_count(void)
{
	return count;
}

void smp_find(void)
{
	uint32_t listed[HOST_CPUS_MAX];
	uint32_t listed_count = acpi_cpus(listed, HOST_CPUS_MAX);

	apic_ids[0] = apic_id_read();
	cpu_this()->apic_id = apic_ids[0];
	has_arrived[0] = 1;
	for (uint32_t i = 0; i < listed_count && count < HOST_CPUS_MAX; i++) {
		if (listed[i] != apic_ids[0]) {
			apic_ids[count++] = listed[i];
		}
	}
}

bool smp_is_ours(unsigned int cpu)
{
	return __atomic_load_n(&has_arrived[cpu], __ATOMIC_ACQUIRE) != 0;
}

void smp_stop_others(void)
{
	for (unsigned int cpu = 0; cpu < HOST_CPUS_MAX; cpu++) {
		if (cpu != cpu_self() && smp_is_ours(cpu)) {
			apic_send(apic_ids[cpu], APIC_NMI);
		}
	}
}

/* ---- On the CPU that arrives. ---- */

static void ball_play(struct ball *ball)
{
	uint32_t turn = 1;

	while (__atomic_load_n(&ball->is_over, __ATOMIC_ACQUIRE) == 0) {
		if (__atomic_load_n(&ball->turn, __ATOMIC_ACQUIRE) == turn) {
			ball->tsc = tsc_read_ordered();
			__atomic_store_n(&ball->turn, turn + 1, __ATOMIC_RELEASE);
			turn += 2;
		}
		cpu_pause();
	}
}

NORETURN void smp_enter(void)
{
	unsigned int cpu = starting;
	void (*entry)(unsigned int);

	cpu_start(cpu, apic_ids[cpu], true);
	cpu_features_start();
	apic_start();
	__atomic_store_n(&has_arrived[cpu], 1, __ATOMIC_RELEASE);
	__atomic_store_n(&arrived, cpu, __ATOMIC_RELEASE);
	ball_play(&balls[cpu]);
	do {
		cpu_idle();
		entry = __atomic_load_n(&entry_of_core, __ATOMIC_ACQUIRE);
	} while (entry == NULL);
	(void)host_kick_taken();
	entry(cpu);
	PANIC("core came back on CPU %u", cpu);
}

/* ---- On the boot CPU. ---- */

static uint32_t pointer_offset(const uint8_t *pointer)
{
	return (uint32_t)(pointer - trampoline_start);
}

static void pointer_move(uint8_t *page, uint32_t offset, uint32_t by)
{
	uint32_t value;

	memcpy(&value, page + offset, sizeof(value));
	value += by;
	memcpy(page + offset, &value, sizeof(value));
}

static void trampoline_place(hpa_t at)
{
	uint8_t *page = host_direct(at);
	uint32_t by = (uint32_t)at.v;

	memcpy(page, trampoline_start, (size_t)(trampoline_end - trampoline_start));
	pointer_move(page, pointer_offset(trampoline_gdt_pointer) + 2, by);
	pointer_move(page, pointer_offset(trampoline_jump_32), by);
	pointer_move(page, pointer_offset(trampoline_jump_64), by);
	smp_trampoline_cr3 = paging_root();
}

static bool arrived_within_us(unsigned int cpu, uint32_t us)
{
	for (uint32_t waited = 0; waited < us; waited += 100) {
		if (__atomic_load_n(&arrived, __ATOMIC_ACQUIRE) == cpu) {
			return true;
		}
		host_delay_us(100);
	}
	return __atomic_load_n(&arrived, __ATOMIC_ACQUIRE) == cpu;
}

/*
 * A CPU that is too late is sent back by INIT, so that it cannot walk in on the next one's
 * stack.
 */
static bool cpu_wake(unsigned int cpu, hpa_t trampoline)
{
	uint32_t startup = APIC_STARTUP | (uint32_t)(trampoline.v >> PAGE_SHIFT);

	starting = cpu;
	arrived = 0;
	balls[cpu] = (struct ball){0, 0, 0};
	smp_trampoline_stack = paging_stack_top(cpu, 0);
	apic_send(apic_ids[cpu], APIC_INIT);
	host_delay_us(10000);
	apic_send(apic_ids[cpu], startup);
	if (arrived_within_us(cpu, 1000)) {
		return true;
	}
	apic_send(apic_ids[cpu], startup);
	if (arrived_within_us(cpu, 1000000)) {
		return true;
	}
	apic_send(apic_ids[cpu], APIC_INIT);
	host_delay_us(10000);
	has_arrived[cpu] = 0;
	return false;
}

/*
 * What the game shows: the other's TSC minus ours lies in [low, high]; and whether it ever fell
 * back.
 */
struct comparison {
	int64_t low;
	int64_t high;
	unsigned int throws;
	bool went_back;
};

/* We throw at @sent; the other reads; we catch. False if it was not back by @deadline. */
static bool ball_throw(struct ball *ball, uint32_t turn, uint64_t deadline, struct comparison *c)
{
	uint64_t sent = tsc_read_ordered();
	uint64_t there;
	uint64_t back;

	__atomic_store_n(&ball->turn, turn, __ATOMIC_RELEASE);
	while (__atomic_load_n(&ball->turn, __ATOMIC_ACQUIRE) != turn + 1) {
		if (tsc_read() > deadline) {
			return false;
		}
		cpu_pause();
	}
	there = ball->tsc;
	back = tsc_read_ordered();
	c->throws++;
	c->went_back = c->went_back || there < sent || back < there;
	c->high = (int64_t)(there - sent) < c->high ? (int64_t)(there - sent) : c->high;
	c->low = (int64_t)(there - back) > c->low ? (int64_t)(there - back) : c->low;
	return true;
}

/*
 * THROWS throws take less than a millisecond. Only in an emulator whose two CPUs must share one
 * thread can it be slow; then fewer will do, but not for longer than a second.
 */
static struct comparison tsc_compare(struct ball *ball)
{
	struct comparison c = {INT64_MIN, INT64_MAX, 0, false};
	uint64_t start = tsc_read();
	uint64_t enough = host_tsc_hz() / 10;
	uint32_t turn = 1;

	while (c.throws < THROWS && (c.throws < THROWS_MIN || tsc_read() - start < enough) &&
	       ball_throw(ball, turn, start + host_tsc_hz(), &c)) {
		turn += 2;
	}
	__atomic_store_n(&ball->is_over, 1, __ATOMIC_RELEASE);
	return c;
}

static uint64_t distance(int64_t a)
{
	return a < 0 ? (uint64_t)-a : (uint64_t)a;
}

/* The largest that the offset to CPU 0 can be; UINT64_MAX if the game was too short to tell. */
static uint64_t offset_bound(const struct comparison *c)
{
	if (c->throws < THROWS_MIN) {
		return UINT64_MAX;
	}
	return distance(c->low) > distance(c->high) ? distance(c->low) : distance(c->high);
}

/* Wakes @cpu and compares; what is learnt goes to the two results. False if it did not come. */
static bool cpu_bring_up(unsigned int cpu, hpa_t trampoline, bool *in_step, uint64_t *bound)
{
	struct comparison c;
	uint64_t this_bound;

	if (!cpu_wake(cpu, trampoline)) {
		return false;
	}
	c = tsc_compare(&balls[cpu]);
	this_bound = offset_bound(&c);
	*in_step = *in_step && !c.went_back && c.throws >= THROWS_MIN;
	*bound = this_bound > *bound ? this_bound : *bound;
	return true;
}

/* Two CPUs that are each within b of CPU 0 are within 2 b of each other. */
static uint64_t bound_of_pairs(uint64_t bound)
{
	return count > 2 && bound <= UINT64_MAX / 2 ? bound * 2 : bound;
}

void host_cpus_start(void (*entry)(unsigned int cpu))
{
	unsigned int listed = count;
	unsigned int up = 1;
	hpa_t trampoline = boot_low_page();
	bool in_step = true;
	uint64_t bound = 0;

	if (trampoline.v != 0) {
		trampoline_place(trampoline);
	}
	for (unsigned int i = 1; i < listed && trampoline.v != 0; i++) {
		apic_ids[up] = apic_ids[i];
		up += cpu_bring_up(up, trampoline, &in_step, &bound) ? 1 : 0;
	}
	count = up;
	time_set_synchrony(in_step, bound_of_pairs(bound));
	__atomic_store_n(&entry_of_core, entry, __ATOMIC_RELEASE);
	for (unsigned int cpu = 1; cpu < count; cpu++) {
		cpu_kick(cpu);
	}
}
