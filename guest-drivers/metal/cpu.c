/*
 * cpu.c - interrupts, local APIC, the start of other CPUs, clocks and faces of a guest on the metal.
 * Clauses: SDM volume 3, "APIC" and "MP initialization"; TLFS, MSRs; Xen's cpuid.h; ACPI 6.4, 4.8.2.1.
 */
#include "guest-drivers/metal/cpu.h"

#include "abi/hyperv.h"
#include "abi/xen.h"
#include "base/bits.h"
#include "guest-drivers/face.h"
#include "guest-drivers/metal/console.h"

#define IDT_GATE UINT64_C(0x00008e0000080000) /* present, interrupt gate, CODE64 */
#define VECTOR_GP 13u
#define MSR_GS_BASE 0xc0000101u

#define APIC_PAGE 0xfee00000u
#define APIC_BASE_X2 0xc00u
#define MSR_X2APIC 0x800u
#define REG_EOI 0x0bu
#define REG_SPURIOUS 0x0fu
#define REG_ICR 0x30u
#define REG_ICR_HIGH 0x31u
#define REG_TIMER 0x32u
#define REG_LINT0 0x35u
#define REG_TIMER_INITIAL 0x38u
#define REG_TIMER_CURRENT 0x39u
#define REG_TIMER_DIVIDE 0x3eu
#define ICR_BUSY 0x1000u
#define ICR_INIT 0x4500u
#define ICR_SIPI 0x4600u
#define ICR_FIXED 0x4000u
#define ICR_TO_OTHERS 0xc0000u
#define LVT_MASKED 0x10000u
#define DIVIDE_BY_1 0xbu

#define PORT_PIC_1_MASK 0x21u
#define PORT_PIC_2_MASK 0xa1u

#define TRAMPOLINE 0x8000u
#define START_WAIT_SECONDS 60u
#define CALIBRATE_US 20000u
#define TSC_HZ_MAX 100000000000ull /* what says more is no rate: KVM has the scale of its clock there */
#define PM_TICKS (ACPI_PM_TIMER_HZ / 50)
#define PM_READS_MAX 10000000u
#define GUEST_ID (UINT64_C(1) << 63 | UINT64_C(0x7f) << 56 | 1) /* open source, of no known type */

struct idt_gate {
	uint64_t low;
	uint64_t high;
};

struct PACKED table_pointer {
	uint16_t limit;
	uint64_t base;
};

struct fixup {
	uint64_t at;
	uint64_t to;
};

/* What GS points to. */
struct cpu_local {
	uint64_t number;
};

extern const uint8_t vector_entries[256][16];
extern const uint8_t trampoline[];
extern const uint8_t trampoline_end[];
extern const struct fixup fixup_start[];
extern const struct fixup fixup_end[];
extern uint8_t *const call_site_start[];
extern uint8_t *const call_site_end[];

static struct idt_gate idt[256];
static void (*handlers[256])(struct frame *frame);
static struct cpu_local locals[CPUS_MAX];
static bool x2;
static uint64_t tsc_rate;
static uint64_t apic_rate;
static struct face_found faces;
static void (*ap_run)(unsigned int cpu);
static volatile uint32_t cpus_up;
static uint8_t hypercall_page[4096] __attribute__((aligned(4096)));

void interrupt_dispatch(struct frame *frame);
void ap_main(unsigned int cpu);

/* ---------------------------------------------------------------- interrupts */

void interrupt_set_entry(uint8_t vector, const void *entry)
{
	uint64_t at = (uintptr_t)entry;

	idt[vector].low = (at & 0xffff) | IDT_GATE | (at >> 16 & 0xffff) << 48;
	idt[vector].high = at >> 32;
}

void interrupt_handle(uint8_t vector, void (*handler)(struct frame *frame))
{
	handlers[vector] = handler;
}

static bool fix_up(struct frame *frame)
{
	for (const struct fixup *f = fixup_start; f < fixup_end; f++) {
		if (f->at == frame->rip) {
			frame->rip = f->to;
			return true;
		}
	}
	return false;
}

/* What no one handles: says so, on the ports alone if there are any, and ends. A fault in that is the end. */
static NORETURN void die(const struct frame *frame)
{
	static bool dying;

	while (__atomic_exchange_n(&dying, true, __ATOMIC_SEQ_CST)) {
		__asm__ volatile("cli; hlt");
	}
	if ((console_kinds() & (CONSOLE_PORT | CONSOLE_UART)) != 0) {
		console_keep_ports();
	}
	report("error=vector %lu error %lx at %lx on CPU %u", (unsigned long)frame->vector,
	       (unsigned long)frame->error, (unsigned long)frame->rip, cpu_number());
	finish(false);
}

void interrupt_dispatch(struct frame *frame)
{
	if (frame->vector == VECTOR_GP && fix_up(frame)) {
		return;
	}
	if (handlers[frame->vector] != NULL) {
		handlers[frame->vector](frame);
		return;
	}
	die(frame);
}

static void spurious(struct frame *frame)
{
	(void)frame;
}

bool msr_read_safe(uint32_t msr, uint64_t *value)
{
	uint32_t low = 0;
	uint32_t high = 0;
	bool ok = false;

	__asm__ volatile("1: rdmsr\n"
	                 "movb $1, %0\n"
	                 "2:\n"
	                 ".pushsection .fixup, \"a\"\n.quad 1b, 2b\n.popsection\n"
	                 : "+r"(ok), "+a"(low), "+d"(high)
	                 : "c"(msr)
	                 : "memory");
	*value = (uint64_t)high << 32 | low;
	return ok;
}

unsigned int cpu_number(void)
{
	uint64_t number;

	__asm__ volatile("movq %%gs:0, %0" : "=r"(number));
	return (unsigned int)number;
}

static void load_tables(unsigned int cpu)
{
	const struct table_pointer pointer = {sizeof(idt) - 1, (uintptr_t)idt};

	__asm__ volatile("lidt %0" : : "m"(pointer));
	locals[cpu].number = cpu;
	msr_write(MSR_GS_BASE, (uintptr_t)&locals[cpu]);
}

/* ---------------------------------------------------------------- local APIC */

static volatile uint32_t *apic_register(uint32_t reg)
{
	return (volatile uint32_t *)(uintptr_t)(APIC_PAGE + (reg << 4));
}

static void apic_write(uint32_t reg, uint32_t value)
{
	if (x2) {
		msr_write(MSR_X2APIC + reg, value);
	} else {
		*apic_register(reg) = value;
	}
}

static uint32_t apic_read(uint32_t reg)
{
	return x2 ? (uint32_t)msr_read(MSR_X2APIC + reg) : *apic_register(reg);
}

static void apic_command(uint32_t cpu, uint32_t command)
{
	if (x2) {
		msr_write(MSR_X2APIC + REG_ICR, (uint64_t)cpu << 32 | command);
		return;
	}
	while ((*apic_register(REG_ICR) & ICR_BUSY) != 0) {
		cpu_pause();
	}
	*apic_register(REG_ICR_HIGH) = cpu << 24;
	*apic_register(REG_ICR) = command;
}

static void apic_open(void)
{
	if (x2) {
		msr_write(MSR_APIC_BASE, msr_read(MSR_APIC_BASE) | APIC_BASE_X2);
	}
	apic_write(REG_SPURIOUS, 0x100 | VECTOR_SPURIOUS);
	apic_write(REG_LINT0, LVT_MASKED);
	apic_write(REG_TIMER_DIVIDE, DIVIDE_BY_1);
	apic_write(REG_TIMER, VECTOR_TIMER);
}

bool apic_is_x2(void)
{
	return x2;
}

void apic_eoi(void)
{
	apic_write(REG_EOI, 0);
}

void apic_send(unsigned int cpu, uint8_t vector)
{
	apic_command(cpu, ICR_FIXED | vector);
}

void apic_send_others(uint8_t vector)
{
	apic_command(0, ICR_TO_OTHERS | ICR_FIXED | vector);
}

void apic_timer_start(uint32_t ticks)
{
	apic_write(REG_TIMER_INITIAL, ticks);
}

static uint32_t apic_timer_now(void)
{
	return apic_read(REG_TIMER_CURRENT);
}

/* TSC and another clock at one moment: the tightest of several readings, as each may be interrupted. */
static uint64_t sample_clocks(uint32_t (*read)(void), uint32_t *ticks)
{
	uint64_t best_width = UINT64_MAX;
	uint64_t best = 0;

	for (unsigned int i = 0; i < 16; i++) {
		uint64_t before = tsc_read();
		uint32_t now = read();
		uint64_t width = tsc_read() - before;

		if (width < best_width) {
			best_width = width;
			best = before + width / 2;
			*ticks = now;
		}
	}
	return best;
}

static uint64_t apic_measure(void)
{
	uint32_t first_ticks = 0;
	uint32_t last_ticks = 0;
	uint64_t first;
	uint64_t last;

	apic_write(REG_TIMER, VECTOR_TIMER | LVT_MASKED);
	apic_write(REG_TIMER_INITIAL, UINT32_MAX);
	first = sample_clocks(apic_timer_now, &first_ticks);
	delay_us(CALIBRATE_US);
	last = sample_clocks(apic_timer_now, &last_ticks);
	apic_write(REG_TIMER_INITIAL, 0);
	apic_write(REG_TIMER, VECTOR_TIMER);
	return mul_div(first_ticks - last_ticks, tsc_hz(), last - first);
}

uint64_t apic_hz(void)
{
	if (apic_rate == 0) {
		if (!has_hyperv() || !msr_read_safe(HV_X64_MSR_APIC_FREQUENCY, &apic_rate)) {
			apic_rate = apic_measure();
		}
	}
	return apic_rate;
}

/* ---------------------------------------------------------------- other CPUs */

unsigned int cpu_count(void)
{
	struct cpuid all = {0, 1, 0, 0};
	uint64_t count;

	if (cpuid(0, 0).eax >= 0xb) {
		all = cpuid(0xb, 1);
	}
	count = option_number("cpus", all.ebx == 0 ? 1 : all.ebx & 0xffff);
	return count == 0 || count > CPUS_MAX ? CPUS_MAX : (unsigned int)count;
}

void ap_main(unsigned int cpu)
{
	load_tables(cpu);
	apic_open();
	__atomic_add_fetch(&cpus_up, 1, __ATOMIC_SEQ_CST);
	ap_run(cpu);
	for (;;) {
		__asm__ volatile("cli; hlt");
	}
}

static void command_others(unsigned int count, uint32_t command)
{
	for (unsigned int cpu = 1; cpu < count; cpu++) {
		apic_command(cpu, command);
	}
}

unsigned int cpus_start(void (*run)(unsigned int cpu))
{
	unsigned int count = cpu_count();
	uint64_t limit = tsc_read() + tsc_hz() * START_WAIT_SECONDS;

	ap_run = run;
	cpus_up = 1;
	memcpy((void *)(uintptr_t)TRAMPOLINE, trampoline, (size_t)(trampoline_end - trampoline));
	command_others(count, ICR_INIT);
	delay_us(10000);
	command_others(count, ICR_SIPI | TRAMPOLINE >> 12);
	delay_us(200);
	command_others(count, ICR_SIPI | TRAMPOLINE >> 12);
	while (cpus_up != count && tsc_read() < limit) {
		cpu_pause();
	}
	return cpus_up;
}

/* ---------------------------------------------------------------- clocks */

static uint32_t pm_now(void)
{
	return port_read32(acpi.pm_timer);
}

/* Ticks of ACPI's timer from @first to @last; it may have 24 bits only. */
static uint32_t pm_ticks(uint32_t first, uint32_t last)
{
	return (last - first) & 0xffffff;
}

/* Against ACPI's timer; 0: there is none, or it stands still. */
static uint64_t measure_tsc(void)
{
	uint32_t first = 0;
	uint32_t last = 0;
	uint64_t begun, ended;

	if (acpi.pm_timer == 0) {
		return 0;
	}
	begun = sample_clocks(pm_now, &first);
	for (uint32_t i = 0; i < PM_READS_MAX && pm_ticks(first, pm_now()) < PM_TICKS; i++) {
	}
	ended = sample_clocks(pm_now, &last);
	return pm_ticks(first, last) < PM_TICKS
	               ? 0
	               : mul_div(ended - begun, ACPI_PM_TIMER_HZ, pm_ticks(first, last));
}

static uint64_t find_tsc_hz(void)
{
	uint64_t hz = option_number("tsc_hz", 0);

	if (hz != 0) {
		return hz;
	}
	if (has_hyperv() && msr_read_safe(HV_X64_MSR_TSC_FREQUENCY, &hz)) {
		return hz;
	}
	hz = xen_base() == 0 ? 0 : (uint64_t)cpuid(xen_base() + 3, 0).ecx * 1000;
	hz = hz == 0 || hz > TSC_HZ_MAX ? measure_tsc() : hz;
	return hz == 0 ? NS_PER_SECOND : hz;
}

uint64_t tsc_hz(void)
{
	return tsc_rate;
}

uint64_t tsc_to_ns(uint64_t ticks)
{
	return mul_div(ticks, NS_PER_SECOND, tsc_rate);
}

void delay_us(uint32_t us)
{
	uint64_t end = tsc_read() + tsc_rate / 1000 * us / 1000;

	while (tsc_read() < end) {
		cpu_pause();
	}
}

/* ---------------------------------------------------------------- faces */

static void op_cpuid(void *context, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
	struct cpuid r = cpuid(leaf, subleaf);

	(void)context;
	regs[0] = r.eax;
	regs[1] = r.ebx;
	regs[2] = r.ecx;
	regs[3] = r.edx;
}

void cpu_find_faces(void)
{
	static const struct guest_ops ops = {.cpuid = op_cpuid};
	struct guest guest = {.ops = &ops};

	face_find(&faces, &guest);
}

/* Intel's CPUs take VMCALL: one byte differs. */
static void choose_hypercall(void)
{
	if (cpuid(0, 0).ebx != 0x756e6547) { /* "Genu" */
		return;
	}
	for (uint8_t *const *site = call_site_start; site < call_site_end; site++) {
		(*site)[2] = 0xc1;
	}
}

bool has_hyperv(void)
{
	return faces.hyperv_base != 0;
}

uint32_t xen_base(void)
{
	return faces.xen_base;
}

const char *face_name(void)
{
	return face_name_of(&faces);
}

const struct face_found *faces_found(void)
{
	return &faces;
}

void *hyperv_open(void)
{
	if (!has_hyperv()) {
		return NULL;
	}
	msr_write(HV_X64_MSR_GUEST_OS_ID, GUEST_ID);
	msr_write(HV_X64_MSR_HYPERCALL, (uintptr_t)hypercall_page | 1);
	return (msr_read(HV_X64_MSR_HYPERCALL) & 1) != 0 ? hypercall_page : NULL;
}

void cpu_init(void)
{
	for (unsigned int i = 0; i < 256; i++) {
		interrupt_set_entry((uint8_t)i, vector_entries[i]);
	}
	load_tables(0);
	interrupt_handle(VECTOR_SPURIOUS, spurious);
	choose_hypercall();
	tsc_rate = find_tsc_hz();
	x2 = (cpuid(1, 0).ecx & 1u << 21) != 0 && !option_is("apic", "xapic");
	/* Janus has no PIC; where one is, its interrupt must go before the local APIC stops taking it. */
	port_write8(PORT_PIC_1_MASK, 0xff);
	port_write8(PORT_PIC_2_MASK, 0xff);
	apic_open();
}
