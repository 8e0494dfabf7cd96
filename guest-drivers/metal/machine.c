/*
 * machine.c - see machine.h. Memory is mapped one to one.
 */
#include "guest-drivers/metal/machine.h"

#include "abi/hyperv.h"

#define VECTOR_UPCALL 0xf3u /* XEN_CALLBACK_VECTOR, HV_SINT_VECTOR: neither wants an EOI */
#define POLL_MAX 30000u

#define POOL_WISH (UINT64_C(8) << 20)
#define POOL_LEAST 16u

extern const uint8_t image_end[]; /* metal.lds */

static uint8_t used[POOL_PAGES_MAX];
static uint64_t pool_first;
static uint32_t pool_pages;
static uint32_t out;
static uint32_t sleep_each;
static bool sleepy;
static uint32_t timer_ticks;
static uint64_t hypercall_page; /* 0: it is off */

/* ---------------------------------------------------------------- pages */

static bool op_page_alloc(void *context, struct guest_page *page)
{
	static uint32_t next;

	(void)context;
	for (uint32_t i = 0; i < pool_pages; i++) {
		uint32_t at = (next + i) % pool_pages;

		if (used[at] == 0) {
			used[at] = 1;
			next = at + 1;
			out++;
			page->gfn = pool_first + at;
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
	used[page->gfn - pool_first] = 0;
	out--;
	page->bytes = NULL;
}

static uint8_t *op_page_at(void *context, uint64_t gfn)
{
	(void)context;
	return (uint8_t *)(uintptr_t)(gfn << PAGE_SHIFT);
}

static void open_pool(void)
{
	uint64_t first = (uintptr_t)image_end > POOL_WISH ? (uintptr_t)image_end : POOL_WISH;
	uint64_t at = 0;

	pool_pages = POOL_PAGES_MAX;
	while (at == 0 && pool_pages >= POOL_LEAST) {
		at = boot_info_find_ram(&boot_info, &metal_memory, first, (uint64_t)pool_pages << PAGE_SHIFT);
		if (at == 0) {
			at = boot_info_find_ram(&boot_info, &metal_memory, (uintptr_t)image_end,
			                        (uint64_t)pool_pages << PAGE_SHIFT);
		}
		pool_pages = at == 0 ? pool_pages / 2 : pool_pages;
	}
	pool_pages = at == 0 ? 0 : pool_pages;
	pool_first = at >> PAGE_SHIFT;
}

uint64_t machine_pool_first_gfn(void)
{
	return pool_first;
}

uint32_t machine_pool_pages(void)
{
	return pool_pages;
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

/* Hyper-V's hypercall page is where the driver has put it; it goes with the OS id. */
static bool op_wrmsr(void *context, uint32_t msr, uint64_t value)
{
	(void)context;
	if (!msr_write_safe(msr, value)) {
		return false;
	}
	if (msr == HV_X64_MSR_HYPERCALL) {
		hypercall_page = (value & HV_OVERLAY_ENABLE) != 0 ? align_down(value, PAGE_BYTES) : 0;
	} else if (msr == HV_X64_MSR_GUEST_OS_ID && value == 0) {
		hypercall_page = 0;
	}
	return true;
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
	__asm__ volatile(HYPERCALL_INSN
	                 : "+a"(result), "+D"(a), "+S"(b), "+d"(c), "+r"(d), "+r"(e)
	                 :
	                 : "memory");
	return (int64_t)result;
}

/*
 * Through the page, as TLFS wants it: where Xen's face is there too, only the page's code says whose call it
 * is. Without a page (a test's hypercalls) by the instruction itself.
 */
static uint64_t op_hypercall_hyperv(void *context, uint64_t control, uint64_t input, uint64_t output)
{
	register uint64_t second __asm__("r8") = output;
	uint64_t result = hypercall_page;

	(void)context;
	if (result != 0) {
		__asm__ volatile("call *%0"
		                 : "+a"(result), "+c"(control), "+d"(input), "+r"(second)
		                 :
		                 : "memory", "cc", "r9", "r10", "r11");
		return result;
	}
	__asm__ volatile(HYPERCALL_INSN
	                 : "+a"(result), "+c"(control), "+d"(input), "+r"(second)
	                 :
	                 : "memory");
	return result;
}

static void op_poll(void *context)
{
	static uint32_t polls;

	(void)context;
	polls++;
	if (sleepy || (sleep_each != 0 && polls % sleep_each == 0)) {
		apic_timer_start(timer_ticks);
		cpu_sleep();
		apic_timer_start(0);
		return;
	}
	interrupts_take();
}

void machine_sleep_each(uint32_t polls)
{
	sleep_each = polls;
}

/* ---------------------------------------------------------------- start */

static struct guest the_guest;

/* It only ends a sleep: what has come is found by polling. */
static void upcall(struct frame *frame)
{
	(void)frame;
	if (the_guest.xen_upcall != NULL) {
		__atomic_store_n(the_guest.xen_upcall, 0, __ATOMIC_SEQ_CST);
	}
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

	the_guest = (struct guest){.ops = &ops, .poll_max = POLL_MAX};
	open_pool();
	interrupt_handle(VECTOR_UPCALL, upcall);
	interrupt_handle(VECTOR_TIMER, timer);
	sleepy = sleeps;
	timer_ticks = (uint32_t)(apic_hz() / NS_PER_SECOND * 1000 * POLL_TIMER_US);
	timer_ticks = timer_ticks == 0 ? (uint32_t)(apic_hz() / 1000) : timer_ticks;
	return &the_guest;
}
