/*
 * hostile.c - choosing a case, its claims, and what all cases use: traps, modes, maps.
 */
#include "tests/guest/hostile.h"

#include "base/bits.h"

#define VECTOR_NMI 2u
#define EXCEPTIONS 32u
#define FAILURES_SHOWN 8u
#define CODE64 0x08u
#define DATA 0x10u
#define CODE32 0x18u
#define USER_CODE64 0x23u
#define USER_DATA 0x2bu
#define USER_CODE32 0x33u
#define TSS 0x38u
#define ENTRY_PRESENT 1u
#define ENTRY_WRITE 2u
#define ENTRY_USER 4u
#define ENTRY_LARGE 0x80u
#define FAR_LINEAR (UINT64_C(1) << 39) /* the second PML4 entry's first page */
#define LARGE_BYTES (UINT64_C(2) << 20)

struct PACKED table_pointer {
	uint16_t limit;
	uint64_t base;
};

extern uint64_t try_stack[CPUS_MAX];
extern const uint8_t try_out[];
extern const uint8_t call_code[];
extern const uint8_t call_code_end[];
void mode_enter(void *regs);

struct guest *machine;
static struct frame frames[CPUS_MAX];
static uint32_t failures;
static uint64_t deadline;
static uint8_t line[64] __attribute__((aligned(64)));
static uint8_t user_stack[4096] __attribute__((aligned(4096)));
static uint8_t kernel_stack[8192] __attribute__((aligned(4096)));
static uint64_t far_tables[2][512] __attribute__((aligned(4096)));

/* ---------------------------------------------------------------- claims */

void claim(bool holds, const char *what)
{
	if (!holds && failures++ < FAILURES_SHOWN) {
		report("failed=%s", what);
	}
}

void claim_number(uint64_t seen, uint64_t wanted, const char *what)
{
	if (seen != wanted && failures++ < FAILURES_SHOWN) {
		report("failed=%s: %lx instead of %lx", what, (unsigned long)seen, (unsigned long)wanted);
	}
}

bool blowing(void)
{
	return tsc_read() < deadline;
}

bool wait_for(bool (*done)(void), uint32_t seconds)
{
	uint64_t limit = tsc_read() + tsc_hz() * seconds;

	while (!done()) {
		if (tsc_read() > limit) {
			return false;
		}
		machine->ops->poll(machine->context);
	}
	return true;
}

void let_work(void (*poll)(void), uint32_t turns)
{
	uint64_t limit = tsc_read() + tsc_hz() / 20;

	for (uint32_t i = 0; i < turns && tsc_read() < limit; i++) {
		poll();
	}
}

uint64_t ram_end(void)
{
	return option_number("ram_mib", 32) << 20;
}

uint64_t wild(uint32_t index)
{
	static const uint64_t values[WILD_COUNT] = {
		0xfee00000, 0xfec00000, 0xfffff000, 0x100000000, 0xffffffff000, 0x1000000000000 - 4096,
		0x7fffffffffff, 0x800000000000, 0xffff800000000000, UINT64_MAX, UINT64_MAX - 4095, UINT64_MAX - 7,
		UINT64_C(1) << 63, UINT64_C(1) << 52, (UINT64_C(1) << 52) - 4096, (UINT64_C(1) << 40) - 4096,
		UINT64_C(1) << 40, 0xc0000000, 0xe0000000, 0xd0000fff, 0x80000000, 0x80000001, 0xbffff000, 0xfffffffffffff001,
	};

	return index == 0 ? ram_end() + (16u << 20) : values[index % WILD_COUNT];
}

uint64_t random_wild(void)
{
	uint64_t kind = random_number();

	switch (kind >> 8 & 3) {
	case 0:
		return random_number();
	case 1:
		return random_number() & 0xff;
	default:
		return wild((uint32_t)(kind >> 16));
	}
}

/* ---------------------------------------------------------------- traps */

struct frame *trapped(void)
{
	return &frames[cpu_number()];
}

static void trap(struct frame *frame)
{
	unsigned int cpu = cpu_number();

	frames[cpu] = *frame;
	if (try_stack[cpu] == 0) {
		report("error=vector %lu error %lx at %lx on CPU %u", (unsigned long)frame->vector,
		       (unsigned long)frame->error, (unsigned long)frame->rip, cpu);
		finish(false);
	}
	frame->rip = (uintptr_t)try_out;
	frame->rsp = try_stack[cpu];
	frame->rax = frame->vector;
	frame->cs = CODE64;
	frame->ss = DATA;
	frame->rflags = 2;
}

static void ignore(struct frame *frame)
{
	(void)frame;
}

static void go_to(void *argument)
{
	void (*code)(void);

	memcpy(&code, &argument, sizeof(code));
	code();
}

int try_bytes(const uint8_t *bytes, size_t count)
{
	uint8_t *at = line;

	for (size_t i = 0; i < sizeof(line); i += 2) {
		line[i] = 0x0f;
		line[i + 1] = 0x0b;
	}
	memcpy(line, bytes, count);
	line[count] = 0xc3;
	return try_call(go_to, at);
}

/* ---------------------------------------------------------------- modes */

static void open_modes(void)
{
	static uint32_t tss[26];
	static uint64_t gdt[9] = {
		0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff, 0x00affb000000ffff,
		0x00cff3000000ffff, 0x00cffb000000ffff,
	};
	const struct table_pointer pointer = {sizeof(gdt) - 1, (uintptr_t)gdt};
	uint64_t base = (uintptr_t)tss;
	uint64_t stack = (uintptr_t)kernel_stack + sizeof(kernel_stack);
	uint64_t cr3;
	uint64_t *entries;

	memcpy(&tss[1], &stack, sizeof(stack));
	gdt[7] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 | UINT64_C(0x89) << 40 | (base >> 24 & 0xff) << 56;
	gdt[8] = base >> 32;
	__asm__ volatile("lgdt %0; ltr %w1" : : "m"(pointer), "r"(TSS));
	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	entries = (uint64_t *)(uintptr_t)cr3;
	entries[0] |= ENTRY_USER;
	for (uint32_t i = 512; i < 516; i++) {
		entries[i] |= ENTRY_USER;
	}
	for (uint32_t i = 1024; i < 1024 + 2048; i++) {
		entries[i] |= ENTRY_USER;
	}
	flush_tlb();
}

static void enter(void *regs)
{
	mode_enter(regs);
}

int run_mode(enum mode mode, struct registers *regs)
{
	static const uint16_t codes[] = {CODE64, CODE32, USER_CODE64, USER_CODE32};
	static bool open;
	int vector;

	if (!open) {
		open_modes();
		open = true;
	}
	regs->rip = regs->rip == 0 ? (uintptr_t)call_code : regs->rip;
	regs->cs = codes[mode];
	regs->ss = mode >= RING3_64 ? USER_DATA : DATA;
	regs->rsp = (uintptr_t)user_stack + sizeof(user_stack) - 16;
	regs->rflags |= 2;
	vector = try_call(enter, regs);
	__asm__ volatile("mov %0, %%ds; mov %0, %%es" : : "r"(DATA));
	return vector;
}

bool call_mode(enum mode mode, struct registers *regs)
{
	const struct frame *f = trapped();
	int vector;

	regs->rip = 0;
	vector = run_mode(mode, regs);
	*regs = (struct registers){.rip = f->rip, .cs = f->cs, .rflags = f->rflags, .rsp = f->rsp, .ss = f->ss,
	                           .rax = f->rax, .rbx = f->rbx, .rcx = f->rcx, .rdx = f->rdx, .rsi = f->rsi,
	                           .rdi = f->rdi, .r8 = f->r8, .r10 = f->r10};
	return vector == VECTOR_UD && f->rip == (uintptr_t)call_code_end;
}

/* ---------------------------------------------------------------- maps */

void flush_tlb(void)
{
	uint64_t cr3;

	__asm__ volatile("mov %%cr3, %0; mov %0, %%cr3" : "=r"(cr3) : : "memory");
}

uint64_t *entry_of(uint64_t linear)
{
	uint64_t cr3;

	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	return (uint64_t *)(uintptr_t)cr3 + 1024 + linear / LARGE_BYTES;
}

volatile uint8_t *map_far(uint64_t at)
{
	uint64_t cr3;

	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	((uint64_t *)(uintptr_t)cr3)[1] = (uintptr_t)far_tables[0] | ENTRY_PRESENT | ENTRY_WRITE | ENTRY_USER;
	far_tables[0][0] = (uintptr_t)far_tables[1] | ENTRY_PRESENT | ENTRY_WRITE | ENTRY_USER;
	far_tables[1][0] = (at & ~(LARGE_BYTES - 1)) | ENTRY_PRESENT | ENTRY_WRITE | ENTRY_LARGE;
	flush_tlb();
	return (volatile uint8_t *)(uintptr_t)(FAR_LINEAR + at % LARGE_BYTES);
}

/* ---------------------------------------------------------------- choosing */

void program_main(void)
{
	const struct hostile_case *const tables[] = {cases_cpu, cases_device, cases_xen, cases_xen_device, cases_hyperv,
	                                             cases_vmbus};

	machine = machine_open(false);
	for (uint32_t vector = 0; vector < EXCEPTIONS; vector++) {
		interrupt_handle((uint8_t)vector, vector == VECTOR_NMI ? ignore : trap);
	}
	for (size_t t = 0; t < ARRAY_COUNT(tables); t++) {
		for (const struct hostile_case *c = tables[t]; c->name != NULL; c++) {
			if (!option_is("case", c->name)) {
				continue;
			}
			report("case=%s", c->name);
			deadline = tsc_read() + tsc_hz() / 1000 * option_number("ms", 1000);
			c->run();
			report("done=%s", c->name);
			finish(failures == 0);
		}
	}
	report("error=no such case");
	finish(false);
}
