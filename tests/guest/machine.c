/*
 * machine.c - guest_ops by instructions. Memory is mapped one to one; the pool lies from 8 MiB on.
 */
#include "tests/guest/machine.h"

#define VECTOR_UPCALL 0xf3u /* XEN_CALLBACK_VECTOR, HV_SINT_VECTOR: neither wants an EOI */
#define POLL_MAX 30000u

static uint8_t used[POOL_PAGES];
static uint32_t out;
static bool sleepy;
static uint32_t timer_ticks;

int memcmp(const void *a, const void *b, size_t bytes)
{
	const uint8_t *x = a;
	const uint8_t *y = b;

	for (size_t i = 0; i < bytes; i++) {
		if (x[i] != y[i]) {
			return x[i] < y[i] ? -1 : 1;
		}
	}
	return 0;
}

void *memmove(void *to, const void *from, size_t bytes)
{
	uint8_t *t = to;
	const uint8_t *f = from;

	if (t <= f || t >= f + bytes) {
		return memcpy(to, from, bytes);
	}
	while (bytes != 0) {
		bytes--;
		t[bytes] = f[bytes];
	}
	return to;
}

/* ---------------------------------------------------------------- pages */

static bool op_page_alloc(void *context, struct guest_page *page)
{
	static uint32_t next;

	(void)context;
	for (uint32_t i = 0; i < POOL_PAGES; i++) {
		uint32_t at = (next + i) % POOL_PAGES;

		if (used[at] == 0) {
			used[at] = 1;
			next = at + 1;
			out++;
			page->gfn = POOL_FIRST_GFN + at;
			page->bytes = (uint8_t *)(uintptr_t)(page->gfn << PAGE_SHIFT);
			memset(page->bytes, 0, PAGE_BYTES);
			return true;
		}
	}
	page->bytes = NULL;
	return false;
}

static void op_page_free(void *context, struct guest_page *page)
{
	(void)context;
	used[page->gfn - POOL_FIRST_GFN] = 0;
	out--;
	page->bytes = NULL;
}

static uint8_t *op_page_at(void *context, uint64_t gfn)
{
	(void)context;
	return (uint8_t *)(uintptr_t)(gfn << PAGE_SHIFT);
}

uint32_t machine_pages_out(void)
{
	return out;
}

/* ---------------------------------------------------------------- instructions */

static void op_cpuid(void *context, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
	struct cpuid r = cpuid(leaf, subleaf);

	(void)context;
	regs[0] = r.eax;
	regs[1] = r.ebx;
	regs[2] = r.ecx;
	regs[3] = r.edx;
}

static bool op_rdmsr(void *context, uint32_t msr, uint64_t *value)
{
	(void)context;
	return msr_read_safe(msr, value);
}

bool msr_write_safe(uint32_t msr, uint64_t value)
{
	bool ok = false;

	__asm__ volatile("1: wrmsr\n"
	                 "movb $1, %0\n"
	                 "2:\n"
	                 ".pushsection .fixup, \"a\"\n.quad 1b, 2b\n.popsection\n"
	                 : "+r"(ok)
	                 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
	                 : "memory");
	return ok;
}

static bool op_wrmsr(void *context, uint32_t msr, uint64_t value)
{
	(void)context;
	return msr_write_safe(msr, value);
}

static int64_t op_hypercall_xen(void *context, uint32_t number, const uint64_t args[5])
{
	uint64_t a = args[0];
	uint64_t b = args[1];
	uint64_t c = args[2];
	register uint64_t d __asm__("r10") = args[3];
	register uint64_t e __asm__("r8") = args[4];
	uint64_t result = number;

	(void)context;
	__asm__ volatile(HYPERCALL_INSN : "+a"(result), "+D"(a), "+S"(b), "+d"(c), "+r"(d), "+r"(e) : : "memory");
	return (int64_t)result;
}

static uint64_t op_hypercall_hyperv(void *context, uint64_t control, uint64_t input, uint64_t output)
{
	register uint64_t second __asm__("r8") = output;
	uint64_t result = 0;

	(void)context;
	__asm__ volatile(HYPERCALL_INSN : "+a"(result), "+c"(control), "+d"(input), "+r"(second) : : "memory");
	return result;
}

static void op_poll(void *context)
{
	(void)context;
	if (sleepy) {
		apic_timer_start(timer_ticks);
		cpu_sleep();
		return;
	}
	__asm__ volatile("sti; pause; cli" : : : "memory");
}

/* ---------------------------------------------------------------- start */

static void upcall(struct frame *frame)
{
	(void)frame; /* it only ends a sleep */
}

static void timer(struct frame *frame)
{
	(void)frame;
	apic_eoi();
}

struct guest *machine_open(bool sleeps)
{
	static const struct guest_ops ops = {
		.page_alloc = op_page_alloc,
		.page_free = op_page_free,
		.page_at = op_page_at,
		.cpuid = op_cpuid,
		.rdmsr = op_rdmsr,
		.wrmsr = op_wrmsr,
		.hypercall_xen = op_hypercall_xen,
		.hypercall_hyperv = op_hypercall_hyperv,
		.poll = op_poll,
	};
	static struct guest guest = {.ops = &ops, .poll_max = POLL_MAX};

	interrupt_handle(VECTOR_UPCALL, upcall);
	interrupt_handle(VECTOR_TIMER, timer);
	sleepy = sleeps;
	timer_ticks = (uint32_t)(apic_hz() / NS_PER_SECOND * 1000 * POLL_TIMER_US);
	timer_ticks = timer_ticks == 0 ? (uint32_t)(apic_hz() / 1000) : timer_ticks;
	return &guest;
}
