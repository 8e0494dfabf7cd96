/*
 * metal_machine.c - struct certify_machine by instructions: other CPUs that sleep until they are given work, counted
 * interrupts, and one page of linear addresses to change.
 */
#include "base/addr.h"
#include "base/bits.h"
#include "guest-drivers/certify/metal.h"
#include "guest-drivers/metal/machine.h"

#define WATCHED_MAX 16u
#define PATIENCE_SECONDS 5u /* a busy machine may leave a CPU of the guest alone for long */
#define WINDOW 0xFE400000u /* below the I/O APIC: no RAM, no framebuffer; 2 MiB of its own page table */
#define PAGE_PRESENT 0x3u
#define ENTRIES 512u

struct worker {
	void (*volatile work)(void *context);
	void *volatile context;
	volatile bool busy;
	uint32_t apic_id;
	volatile uint32_t counts[WATCHED_MAX];
};

static struct worker workers[CPUS_MAX];
static uint8_t watched[WATCHED_MAX]; /* vectors; those that want no EOI in silent */
static bool silent[WATCHED_MAX];
static uint32_t watched_count;
static uint8_t *(*upcall_byte)(void *context, uint32_t cpu);
static void *upcall_context;
static bool upcall_waits; /* CPU 0 is in take_interrupts() */
static bool upcall_taken; /* there */
static uint64_t window_table[ENTRIES] __attribute__((aligned(4096)));

/* ------------------------------------------------------------------ interrupts */

static uint32_t place_of(uint8_t vector)
{
	uint32_t i = 0;

	while (i < watched_count && watched[i] != vector) {
		i++;
	}
	return i;
}

static void upcall_lower(uint32_t cpu)
{
	uint8_t *byte = upcall_byte == NULL ? NULL : upcall_byte(upcall_context, cpu);

	if (byte != NULL && __atomic_exchange_n(byte, 0, __ATOMIC_SEQ_CST) != 0 && cpu == 0) {
		upcall_taken = upcall_waits;
	}
}

static void upcall_bytes(uint8_t *(*byte)(void *context, uint32_t cpu), void *context)
{
	upcall_context = context;
	upcall_byte = byte;
}

/* Lets this CPU, which is the first, take what interrupts there are. */
static void take_interrupts(void)
{
	uint8_t *byte;

	upcall_waits = true;
	interrupts_take();
	upcall_waits = false;
	byte = upcall_taken ? upcall_byte(upcall_context, 0) : NULL;
	if (byte != NULL) {
		__atomic_store_n(byte, 1, __ATOMIC_SEQ_CST);
	}
	upcall_taken = false;
}

static void count_interrupt(struct frame *frame)
{
	uint32_t place = place_of((uint8_t)frame->vector);

	workers[cpu_number()].counts[place]++;
	if (frame->vector == XEN_CALLBACK_VECTOR) {
		upcall_lower(cpu_number());
	}
	if (!silent[place]) {
		apic_eoi();
	}
}

static void vector_watch(uint8_t vector, bool eoi)
{
	uint32_t place = place_of(vector);

	if (place == watched_count && watched_count + 1 < WATCHED_MAX) {
		watched[watched_count++] = vector;
	}
	silent[place] = !eoi;
	interrupt_handle(vector, count_interrupt);
}

static uint32_t vector_count(uint32_t cpu, uint8_t vector)
{
	return workers[cpu].counts[place_of(vector)];
}

static void ipi_send(uint32_t cpu, uint8_t vector)
{
	apic_send(cpu, vector);
}

/* ------------------------------------------------------------------ time */

static uint64_t ticks_of(uint64_t ns)
{
	return mul_div(ns, tsc_hz(), NS_PER_SECOND);
}

static void timer_start(uint64_t ns)
{
	uint64_t ticks = mul_div(ns, apic_hz(), NS_PER_SECOND);

	apic_timer_start(ticks == 0 ? 1 : (uint32_t)ticks);
}

static void wait_ns(uint64_t ns, bool asleep)
{
	uint64_t start = tsc_read();

	while (tsc_read() - start < ticks_of(ns)) {
		if (asleep) {
			timer_start(ns);
			cpu_sleep();
			apic_timer_start(0);
		} else {
			take_interrupts();
		}
	}
}

static bool apic_timer(uint64_t ns)
{
	uint32_t before;
	uint64_t start;

	apic_timer_start(0);
	take_interrupts(); /* one of an earlier start may be on its way */
	vector_watch(VECTOR_TIMER, true);
	before = vector_count(0, VECTOR_TIMER);
	start = tsc_read();
	timer_start(ns);
	while (vector_count(0, VECTOR_TIMER) == before && tsc_read() - start < PATIENCE_SECONDS * tsc_hz()) {
		take_interrupts();
	}
	return vector_count(0, VECTOR_TIMER) != before;
}

/* ------------------------------------------------------------------ other CPUs */

static void wake(struct frame *frame)
{
	(void)frame;
	apic_eoi();
}

static void work_for_ever(unsigned int cpu)
{
	struct worker *worker = &workers[cpu];

	worker->apic_id = cpuid(1, 0).ebx >> 24;
	for (;;) {
		if (worker->busy) {
			worker->work(worker->context);
			worker->busy = false;
		}
		cpu_sleep();
	}
}

static bool cpu_begin(uint32_t cpu, void (*work)(void *context), void *context)
{
	struct worker *worker = &workers[cpu];

	if (worker->busy) {
		return false;
	}
	worker->work = work;
	worker->context = context;
	__atomic_store_n(&worker->busy, true, __ATOMIC_SEQ_CST);
	apic_send(cpu, VECTOR_IPI);
	return true;
}

static bool cpu_wait(uint32_t cpu)
{
	for (uint64_t start = tsc_read();
	     workers[cpu].busy && tsc_read() - start < PATIENCE_SECONDS * tsc_hz();) {
		take_interrupts();
	}
	return !workers[cpu].busy;
}

static uint32_t apic_id(uint32_t cpu)
{
	return workers[cpu].apic_id;
}

/* ------------------------------------------------------------------ ports */

static uint32_t port_in(uint16_t port, uint32_t bytes)
{
	return bytes == 1 ? port_read8(port) : bytes == 2 ? port_read16(port) : port_read32(port);
}

static void port_out(uint16_t port, uint32_t bytes, uint32_t value)
{
	if (bytes == 1) {
		port_write8(port, (uint8_t)value);
	} else if (bytes == 2) {
		port_write16(port, (uint16_t)value);
	} else {
		__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
	}
}

/* ------------------------------------------------------------------ the window */

static uint64_t *table_at(uint64_t entry)
{
	return (uint64_t *)(uintptr_t)(entry & ~UINT64_C(0xFFF) & UINT64_C(0x000FFFFFFFFFFFFF));
}

/* Memory is mapped one to one by pages of 2 MiB (boot.S): one of them becomes a table. */
static void window_open(void)
{
	uint64_t top;
	uint64_t *entry;

	__asm__ volatile("movq %%cr3, %0" : "=r"(top));
	entry = &table_at(table_at(*table_at(top))[WINDOW >> 30])[WINDOW >> 21 & (ENTRIES - 1)];
	*entry = (uintptr_t)window_table | PAGE_PRESENT;
	__asm__ volatile("movq %0, %%cr3" : : "r"(top) : "memory");
}

static void window_map(uint64_t gfn)
{
	__atomic_store_n(&window_table[0], gfn << PAGE_SHIFT | PAGE_PRESENT, __ATOMIC_SEQ_CST);
}

/* ------------------------------------------------------------------ start */

const struct certify_machine *metal_machine_open(void)
{
	static struct certify_machine machine = {
	        .tsc = tsc_read,
	        .port_in = port_in,
	        .port_out = port_out,
	        .wait_ns = wait_ns,
	        .apic_timer = apic_timer,
	        .vector_watch = vector_watch,
	        .vector_count = vector_count,
	        .upcall_bytes = upcall_bytes,
	        .ipi_send = ipi_send,
	        .cpu_begin = cpu_begin,
	        .cpu_wait = cpu_wait,
	        .apic_id = apic_id,
	        .window_map = window_map,
	};

	machine.tsc_hz = tsc_hz();
	interrupt_handle(VECTOR_IPI, wake);
	vector_watch(XEN_CALLBACK_VECTOR, false);
	window_open();
	machine.window = (uint8_t *)(uintptr_t)WINDOW;
	workers[0].apic_id = cpuid(1, 0).ebx >> 24;
	machine.cpu_count = cpu_count() > 1 ? cpus_start(work_for_ever) : 1;
	return &machine;
}
