/*
 * both.c - one guest that uses both faces at once: their CPUID leaves, their hypercalls in turn
 * through both hypercall pages, and both clocks.
 *
 * Options: rounds=N (of hypercalls), wait_us=N (between two looks at the clocks).
 */
#include "abi/hyperv.h"
#include "abi/xen.h"
#include "base/bits.h"
#include "guest-drivers/metal/cpu.h"

#define HV_UNKNOWN_CALL 0x8001u
#define XEN_UNKNOWN_CALL 63u
#define XEN_NO_SUCH_CALL ((uint64_t)-XEN_ENOSYS)
#define XEN_BASE 0x40000100u
#define LEAVES_MAX 16u
#define CLOCKS_APART_NS 200u /* Hyper-V's counts by 100 */

/* Hyper-V takes RCX, RDX and R8, as Windows' functions do; Xen takes RDI and RSI, as ours do. */
typedef uint64_t(__attribute__((ms_abi)) *hyperv_page)(uint64_t control, uint64_t input, uint64_t output);
typedef uint64_t (*xen_stub)(uint64_t first, uint64_t second);

static uint8_t xen_page[4096] __attribute__((aligned(4096)));
static uint8_t shared_page[4096] __attribute__((aligned(4096)));
static uint8_t tsc_page[4096] __attribute__((aligned(4096)));
static hyperv_page hyperv_call;
static bool all_right = true;

static void expect(bool holds, const char *what)
{
	if (!holds) {
		report("wrong=%s", what);
		all_right = false;
	}
}

/* ---------------------------------------------------------------- leaves */

struct leaves {
	uint32_t count;
	struct cpuid row[LEAVES_MAX];
};

static struct leaves read_leaves(uint32_t first)
{
	struct leaves all = {.count = cpuid(first, 0).eax - first + 1};

	all.count = all.count > LEAVES_MAX ? LEAVES_MAX : all.count;
	for (uint32_t i = 0; i < all.count; i++) {
		all.row[i] = cpuid(first + i, 0);
	}
	return all;
}

static bool leaves_same(const struct leaves *a, const struct leaves *b)
{
	bool same = a->count == b->count;

	for (uint32_t i = 0; same && i < a->count; i++) {
		same = a->row[i].eax == b->row[i].eax && a->row[i].ebx == b->row[i].ebx &&
		       a->row[i].ecx == b->row[i].ecx && a->row[i].edx == b->row[i].edx;
	}
	return same;
}

static void check_leaves(const struct leaves *hyperv, const struct leaves *xen)
{
	report("hyperv_leaves=%u", hyperv->count);
	report("xen_leaves=%u", xen->count);
	expect(xen_base() == XEN_BASE, "Xen's leaves are not at 0x40000100");
	expect(hyperv->row[0].ebx == 0x7263694du && hyperv->row[0].ecx == 0x666f736fu &&
	               hyperv->row[0].edx == 0x76482074u,
	       "no Microsoft Hv at 0x40000000");
	expect(hyperv->row[1].eax == HYPERV_INTERFACE_EAX, "no Hv#1 at 0x40000001");
	expect(hyperv->count >= 6, "fewer of Hyper-V's leaves than a guest wants");
	expect(xen->count >= 5, "fewer of Xen's leaves than a guest wants");
	expect(xen->row[2].ebx == XEN_MSR_BASE_HYPERV, "Xen's MSRs are not at 0x40000200");
}

/* ---------------------------------------------------------------- hypercalls */

static uint64_t xen_call(uint32_t number, uint64_t first, uint64_t second)
{
	return ((xen_stub)(uintptr_t)(xen_page + number * XEN_HYPERCALL_STUB_BYTES))(first, second);
}

/* As Linux does it today: without the page. */
static uint64_t xen_call_bare(uint64_t number, uint64_t first, uint64_t second)
{
	__asm__ volatile(HYPERCALL_INSN : "+a"(number), "+D"(first), "+S"(second) : : "memory");
	return number;
}

static bool open_pages(void)
{
	void *page = hyperv_open();

	__builtin_memcpy(&hyperv_call, &page, sizeof(hyperv_call));
	msr_write(XEN_MSR_BASE_HYPERV, (uintptr_t)xen_page);
	return page != NULL && xen_page[0] == 0xb8;
}

static void call_in_turn(uint32_t version)
{
	uint64_t rounds = option_number("rounds", 1000);
	uint64_t hyperv_good = 0;
	uint64_t xen_good = 0;
	uint64_t bare_good = 0;
	uint64_t refused = 0;

	for (uint64_t i = 0; i < rounds; i++) {
		hyperv_good += hyperv_call(HVCALL_NOTIFY_LONG_SPIN_WAIT | HV_HYPERCALL_FAST_BIT, i, 0) == 0;
		xen_good += xen_call(__HYPERVISOR_xen_version, XENVER_version, 0) == version;
		refused += (hyperv_call(HV_UNKNOWN_CALL, 0, 0) & 0xffff) == HV_STATUS_INVALID_HYPERCALL_CODE;
		bare_good += xen_call_bare(__HYPERVISOR_xen_version, XENVER_version, 0) == version;
		refused += xen_call(XEN_UNKNOWN_CALL, 0, 0) == XEN_NO_SUCH_CALL;
	}
	report("hyperv_calls=%lu", (unsigned long)hyperv_good);
	report("xen_calls=%lu", (unsigned long)xen_good);
	report("xen_calls_bare=%lu", (unsigned long)bare_good);
	report("refused=%lu", (unsigned long)refused);
	expect(hyperv_good == rounds && xen_good == rounds && bare_good == rounds && refused == 2 * rounds,
	       "a hypercall came to the other face");
}

/* ---------------------------------------------------------------- clocks */

static bool open_clocks(void)
{
	struct xen_add_to_physmap64 map = {
	        .domid = DOMID_SELF, .space = XENMAPSPACE_shared_info, .gpfn = (uintptr_t)shared_page >> 12};

	msr_write(HV_X64_MSR_REFERENCE_TSC, (uintptr_t)tsc_page | 1);
	return xen_call(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, (uintptr_t)&map) == 0;
}

/* What Hyper-V's clock shows when the TSC is @tsc. */
static uint64_t hyperv_ns(uint64_t tsc)
{
	volatile struct hv_reference_tsc_page *page = (void *)tsc_page;
	uint32_t before;
	uint64_t value;

	do {
		before = page->tsc_sequence;
		value = (mul_high(tsc, page->tsc_scale) + (uint64_t)page->tsc_offset) * 100;
	} while (before != page->tsc_sequence);
	expect(before != 0, "Hyper-V's TSC page is not valid");
	return value;
}

/* What Xen's clock shows when the TSC is @tsc, which is not before the last update. */
static uint64_t xen_ns(uint64_t tsc)
{
	volatile struct xen_shared_info64 *page = (void *)shared_page;
	volatile struct xen_vcpu_time_info *time = &page->vcpu_info[0].time;
	uint32_t before;
	uint64_t value;

	do {
		uint64_t ticks;

		before = time->version;
		ticks = tsc - time->tsc_timestamp;
		ticks = time->tsc_shift < 0 ? ticks >> -time->tsc_shift : ticks << time->tsc_shift;
		value = time->system_time + mul_div(ticks, time->tsc_to_system_mul, UINT64_C(1) << 32);
	} while ((before & 1) != 0 || before != time->version);
	return value;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

/* The MSR's time lies between what the page says before and after. */
static void check_reference_count(void)
{
	uint64_t before = hyperv_ns(tsc_read());
	uint64_t middle = msr_read(HV_X64_MSR_TIME_REF_COUNT) * 100;
	uint64_t after = hyperv_ns(tsc_read());

	expect(middle + 100 >= before && middle <= after + 100, "the MSR's time is not the page's");
}

static void compare_clocks(void)
{
	uint64_t first = tsc_read();
	uint64_t hyperv_first = hyperv_ns(first);
	uint64_t xen_first = xen_ns(first);
	uint64_t last;
	uint64_t hyperv_took;
	uint64_t xen_took;

	check_reference_count();
	delay_us((uint32_t)option_number("wait_us", 500000));
	check_reference_count();
	last = tsc_read();
	hyperv_took = hyperv_ns(last) - hyperv_first;
	xen_took = xen_ns(last) - xen_first;
	report("hyperv_ns=%lu", (unsigned long)hyperv_took);
	report("xen_ns=%lu", (unsigned long)xen_took);
	report("tsc_ns=%lu", (unsigned long)tsc_to_ns(last - first));
	report("origins_apart_ns=%lu", (unsigned long)distance(hyperv_first, xen_first));
	expect(distance(hyperv_took, xen_took) <= CLOCKS_APART_NS, "the two clocks do not go at the same rate");
}

void program_main(void)
{
	struct leaves hyperv = read_leaves(0x40000000);
	struct leaves xen = read_leaves(XEN_BASE);
	struct leaves again;

	report("face=%s", face_name());
	check_leaves(&hyperv, &xen);
	expect(open_pages(), "a hypercall page does not open");
	if (!all_right) {
		finish(false);
	}
	call_in_turn(xen.row[1].eax);
	expect(open_clocks(), "Xen's shared page cannot be placed");
	compare_clocks();
	again = read_leaves(0x40000000);
	expect(leaves_same(&hyperv, &again), "Hyper-V's leaves have changed");
	again = read_leaves(XEN_BASE);
	expect(leaves_same(&xen, &again), "Xen's leaves have changed");
	finish(all_right);
}
