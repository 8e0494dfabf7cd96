/*
 * host_test.c - the hosted side of the seam keeps the contracts of vm/vm.h, and finds what breaks
 * them.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"
#include "tests/host/host.h"
#include "tests/unit/unit.h"

#define MIB (1u << 20)

static void test_copy_all_or_nothing(void)
{
	struct vm *vm = host_vm_new(NULL);
	uint8_t out[8192], in[8192];

	for (size_t i = 0; i < sizeof(out); i++) {
		out[i] = (uint8_t)(i * 7 + 1);
	}
	CU_ASSERT_EQUAL(vm_write(vm, gpa(100), out, sizeof(out)), VM_OK);
	CU_ASSERT_EQUAL(vm_read(vm, gpa(100), in, sizeof(in)), VM_OK);
	CU_ASSERT_EQUAL(memcmp(in, out, sizeof(in)), 0);
	/* half of it lies past the end: nothing moves */
	CU_ASSERT_EQUAL(vm_write(vm, gpa(MIB - 4096), out, 8192), VM_EFAULT);
	CU_ASSERT_EQUAL(vm_read(vm, gpa(MIB - 4096), in, 4096), VM_OK);
	CU_ASSERT_EQUAL(in[0] | in[4095], 0);
	CU_ASSERT_EQUAL(vm_read(vm, gpa(~0ull - 10), in, 100), VM_EFAULT);
	CU_ASSERT_EQUAL(vm_read(vm, gpa(~0ull), in, 0), VM_OK);
	host_vm_free(vm);
}

static void test_overlays(void)
{
	struct vm *vm = host_vm_new(NULL);
	struct vm_page *a = vm_page_alloc(vm);
	struct vm_page *b = vm_page_alloc(vm);
	uint32_t word = 0x11223344;
	gpa_t at;

	CU_ASSERT_EQUAL(vm_write(vm, gpa(0x3000), &word, 4), VM_OK);
	CU_ASSERT_FALSE(vm_page_where(vm, a, &at));
	CU_ASSERT_EQUAL(vm_page_show(vm, a, gpa(0x3004), VM_ACCESS_READ), VM_EINVAL);
	CU_ASSERT_EQUAL(vm_page_show(vm, a, gpa(0x3000), VM_ACCESS_READ), VM_OK);
	CU_ASSERT_EQUAL(vm_page_show(vm, b, gpa(0x3000), VM_ACCESS_READ), VM_EBUSY);
	CU_ASSERT_PTR_EQUAL(vm_page_at(vm, gpa(0x3000)), a);
	CU_ASSERT_EQUAL(vm_read(vm, gpa(0x3000), &word, 4), VM_OK);
	CU_ASSERT_EQUAL(word, 0);
	CU_ASSERT_EQUAL(vm_write(vm, gpa(0x3000), &word, 4), VM_EFAULT); /* read only */
	CU_ASSERT_PTR_NULL(vm_page_pin(vm, gpa(0x3000)));
	/* showing again moves it, and RAM comes back */
	CU_ASSERT_EQUAL(vm_page_show(vm, a, gpa(0x80000000), VM_ACCESS_READ | VM_ACCESS_WRITE),
			VM_OK);
	CU_ASSERT_TRUE(vm_page_where(vm, a, &at));
	CU_ASSERT_EQUAL(at.v, 0x80000000);
	CU_ASSERT_EQUAL(vm_read(vm, gpa(0x3000), &word, 4), VM_OK);
	CU_ASSERT_EQUAL(word, 0x11223344);
	vm_page_store32(a, 8, 77);
	CU_ASSERT_EQUAL(vm_read(vm, gpa(0x80000008), &word, 4), VM_OK);
	CU_ASSERT_EQUAL(word, 77);
	CU_ASSERT_FALSE(vm_is_ram(vm, gpa(0x80000000)));
	CU_ASSERT_EQUAL(vm_page_show(vm, b, gpa(0xFEE00000), VM_ACCESS_READ), VM_EFAULT);
	CU_ASSERT_EQUAL(vm_page_show(vm, b, gpa(1ull << 40), VM_ACCESS_READ), VM_EFAULT);
	vm_page_hide(vm, a);
	CU_ASSERT_PTR_NULL(vm_page_at(vm, gpa(0x80000000)));
	CU_ASSERT_EQUAL(vm_read(vm, gpa(0x80000008), &word, 4), VM_EFAULT);
	vm_page_free(vm, a);
	vm_page_free(vm, b);
	host_vm_free(vm);
}

/*
 * An overlay page that is freed while pinned is out of sight at once and lives on for the holder.
 */
static void test_pinned_overlay_outlives_free(void)
{
	struct vm *vm = host_vm_new(NULL);
	struct vm_page *page = vm_page_alloc(vm);
	struct vm_page *pin;

	CU_ASSERT_EQUAL(vm_page_show(vm, page, gpa(0x5000), 7), VM_OK);
	pin = vm_page_pin(vm, gpa(0x5123));
	CU_ASSERT_PTR_EQUAL(pin, page);
	vm_page_free(vm, page);
	CU_ASSERT_PTR_NULL(vm_page_at(vm, gpa(0x5000)));
	vm_page_store8(pin, 1, 9);
	CU_ASSERT_EQUAL(vm_page_load8(pin, 1), 9);
	CU_ASSERT_EQUAL(host_vm_leaks(vm).pages, 1);
	vm_page_unpin(vm, pin);
	host_vm_free(vm);
}

static void test_ballooning(void)
{
	struct host_vm_config config = {.memory_max_bytes = MIB};
	struct vm *vm = host_vm_new(&config);
	struct vm_page *pin = vm_page_pin(vm, gpa(0x7000));
	uint32_t word;

	vm_page_store32(pin, 0, 0xABCD);
	CU_ASSERT_EQUAL(vm_ram_pages(vm), 256);
	CU_ASSERT_EQUAL(vm_ram_max_pages(vm), 256);
	CU_ASSERT_EQUAL(vm_max_gfn(vm), 255);
	CU_ASSERT_EQUAL(vm_ram_give(vm, gpa(0x7000)), VM_EBUSY);
	CU_ASSERT_EQUAL(vm_ram_take(vm, gpa(0x7000)), VM_OK);
	CU_ASSERT_EQUAL(vm_ram_take(vm, gpa(0x7000)), VM_EFAULT);
	CU_ASSERT_EQUAL(vm_ram_pages(vm), 255);
	CU_ASSERT_EQUAL(vm_read(vm, gpa(0x7000), &word, 4), VM_EFAULT);
	CU_ASSERT_EQUAL(vm_page_load32(pin, 0), 0xABCD); /* the holder's still */
	CU_ASSERT_EQUAL(vm_ram_give(vm, gpa(0x7000)), VM_OK);
	CU_ASSERT_EQUAL(vm_read(vm, gpa(0x7000), &word, 4), VM_OK);
	CU_ASSERT_EQUAL(word, 0); /* another, zeroed */
	vm_page_unpin(vm, pin);
	CU_ASSERT_EQUAL(vm_ram_take(vm, gpa(0x7000)), VM_OK); /* the extra frame goes */
	CU_ASSERT_EQUAL(vm_ram_give(vm, gpa(0x7000)), VM_OK);
	CU_ASSERT_EQUAL(vm_ram_give(vm, gpa(MIB)), VM_EFAULT);
	host_vm_reset(vm);
	CU_ASSERT_EQUAL(vm_ram_pages(vm), 256);
	host_vm_free(vm);

	config.gfn_count = 512;
	vm = host_vm_new(&config);
	CU_ASSERT_EQUAL(vm_ram_give(vm, gpa(MIB)), VM_EQUOTA);
	CU_ASSERT_EQUAL(vm_ram_take(vm, gpa(0)), VM_OK);
	CU_ASSERT_EQUAL(vm_ram_give(vm, gpa(MIB)), VM_OK);
	CU_ASSERT_TRUE(vm_is_ram(vm, gpa(MIB)));
	CU_ASSERT_PTR_NULL(host_vm_bytes(vm, MIB - 4096, 8192)); /* not side by side */
	host_vm_free(vm);
}

static void test_map_and_special(void)
{
	struct vm *vm = host_vm_new(NULL);
	struct vm_range range;

	CU_ASSERT_TRUE(vm_memory_map(vm, 0, &range));
	CU_ASSERT_EQUAL(range.base + range.len_bytes, MIB - 8192);
	CU_ASSERT_EQUAL(range.type, 1);
	CU_ASSERT_TRUE(vm_memory_map(vm, 1, &range));
	CU_ASSERT_EQUAL(range.base, vm_special_page(vm, VM_SPECIAL_XENSTORE).v);
	CU_ASSERT_EQUAL(range.type, 2);
	CU_ASSERT_EQUAL(vm_special_page(vm, VM_SPECIAL_CONSOLE).v, MIB - 4096);
	CU_ASSERT_FALSE(vm_memory_map(vm, 2, &range));
	host_vm_free(vm);
}

static void test_page_access(void)
{
	struct vm *vm = host_vm_new(NULL);
	struct vm_page *page = vm_page_pin(vm, gpa(0x2000));
	uint8_t bytes[16] = "0123456789abcde";

	CU_ASSERT_EQUAL(host_page_pin_count(vm, 0x2000), 1);
	vm_page_store64(page, 8, 5);
	CU_ASSERT_EQUAL(vm_page_exchange64(page, 8, 6), 5);
	CU_ASSERT_FALSE(vm_page_compare_exchange64(page, 8, 5, 7));
	CU_ASSERT_TRUE(vm_page_compare_exchange64(page, 8, 6, 7));
	CU_ASSERT_FALSE(vm_page_set_bit(page, 32767));
	CU_ASSERT_TRUE(vm_page_set_bit(page, 32767));
	CU_ASSERT_TRUE(vm_page_test_bit(page, 32767));
	CU_ASSERT_EQUAL(vm_page_load8(page, 4095), 0x80);
	CU_ASSERT_TRUE(vm_page_clear_bit(page, 32767));
	CU_ASSERT_FALSE(vm_page_clear_bit(page, 32767));
	vm_page_write(page, 4080, bytes, 16);
	vm_page_barrier();
	memset(bytes, 0, sizeof(bytes));
	vm_page_read(page, 4080, bytes, 16);
	CU_ASSERT_STRING_EQUAL((char *)bytes, "0123456789abcde");
	CU_ASSERT_EQUAL(vm_page_bytes(page)[4080], '0');
	vm_page_unpin(vm, page);
	host_vm_free(vm);
}

/*
 * ------------------------------------------------------------------ what breaks a contract panics
 */

static void break_unpinned_load(void *context)
{
	(void)vm_page_load8(context, 0);
}

static void break_misaligned_load(void *context)
{
	(void)vm_page_load32(context, 2);
}

static void break_page_end(void *context)
{
	uint8_t bytes[8];

	vm_page_read(context, 4090, bytes, 8);
}

static void break_leak(void *context)
{
	host_vm_reset(context);
}

static void break_rank(void *context)
{
	struct spinlock lock;

	spin_init(&lock, RANK_LOG);
	spin_lock(&lock);
	(void)vm_is_ram(context, gpa(0));
}

static void break_copy_size(void *context)
{
	static uint8_t big[65537];

	(void)!vm_read(context, gpa(0), big, sizeof(big));
}

static void break_unpin_twice(void *context)
{
	struct vm *vm = context;
	struct vm_page *page = vm_page_pin(vm, gpa(0));

	vm_page_unpin(vm, page);
	vm_page_unpin(vm, page);
}

static void break_nothing(void *context)
{
	(void)context;
}

static void test_contracts_are_checked(void)
{
	struct vm *vm = host_vm_new(NULL);
	struct vm_page *page = vm_page_pin(vm, gpa(0x1000));
	void *memory;

	CU_ASSERT_FALSE(host_panics(break_nothing, NULL));
	CU_ASSERT_TRUE(host_panics(break_misaligned_load, page));
	CU_ASSERT_TRUE(host_panics(break_page_end, page));
	CU_ASSERT_TRUE(host_panics(break_leak, vm)); /* the pin */
	vm_page_unpin(vm, page);
	CU_ASSERT_TRUE(host_panics(break_unpinned_load, page));
	CU_ASSERT_TRUE(strstr(host_panic_text(), "pin_count") != NULL);
	memory = vm_alloc(vm, 10);
	CU_ASSERT_TRUE(host_panics(break_leak, vm));
	vm_free(vm, memory);
	CU_ASSERT_TRUE(host_panics(break_copy_size, vm));
	CU_ASSERT_TRUE(host_panics(break_rank, vm));
	CU_ASSERT_TRUE(host_panics(break_unpin_twice, vm));
	host_vm_discard(vm);
}

/* ------------------------------------------------------------------ allocation */

static void test_allocations(void)
{
	struct host_vm_config config = {.alloc_bytes_max = 1000, .page_max = 2};
	struct vm *vm = host_vm_new(&config);
	uint8_t *a = vm_alloc(vm, 600);
	struct vm_page *pages[2];

	CU_ASSERT_EQUAL(a[0] | a[599], 0);
	CU_ASSERT_PTR_NULL(vm_alloc(vm, 401));
	CU_ASSERT_EQUAL(host_alloc_bytes(vm), 600);
	vm_free(vm, a);
	vm_free(vm, NULL);
	pages[0] = vm_page_alloc(vm);
	pages[1] = vm_page_alloc(vm);
	CU_ASSERT_PTR_NOT_NULL(pages[1]);
	CU_ASSERT_PTR_NULL(vm_page_alloc(vm));
	vm_page_free(vm, pages[0]);
	vm_page_free(vm, pages[1]);
	host_vm_reset(vm);
	CU_ASSERT_EQUAL(host_alloc_count(vm), 0);
	host_fail_alloc_after(vm, 1);
	a = vm_alloc(vm, 1);
	CU_ASSERT_PTR_NOT_NULL(a);
	CU_ASSERT_PTR_NULL(vm_alloc(vm, 1));
	CU_ASSERT_PTR_NULL(vm_page_alloc(vm));
	CU_ASSERT_EQUAL(host_alloc_count(vm), 3);
	host_fail_alloc_never(vm);
	vm_free(vm, a);
	a = vm_alloc(vm, 1);
	CU_ASSERT_PTR_NOT_NULL(a);
	vm_free(vm, a);
	host_vm_free(vm);
}

static void test_reset_zeroes(void)
{
	struct vm *vm = host_vm_new(NULL);
	uint32_t word = 1;
	struct vm_page *page;

	CU_ASSERT_EQUAL(vm_write(vm, gpa(0x1FFE), &word, 4), VM_OK);
	page = vm_page_pin(vm, gpa(0x4000));
	vm_page_store8(page, 0, 1);
	vm_page_unpin(vm, page);
	memset(host_vm_bytes(vm, 0x8000, 0x3000), 0xFF, 0x3000);
	vm_slot_set(vm, VM_SLOT_XEN, vm);
	vcpu_slot_set(vm_vcpu(vm, 0), VM_SLOT_XEN, vm);
	host_vm_reset(vm);
	for (uint64_t at = 0; at < MIB; at += 4096) {
		uint64_t sum = 0, words[512];

		CU_ASSERT_EQUAL(vm_read(vm, gpa(at), words, 4096), VM_OK);
		for (int i = 0; i < 512; i++) {
			sum |= words[i];
		}
		CU_ASSERT_EQUAL(sum, 0);
	}
	CU_ASSERT_PTR_NULL(vm_slot(vm, VM_SLOT_XEN));
	CU_ASSERT_PTR_NULL(vcpu_slot(vm_vcpu(vm, 0), VM_SLOT_XEN));
	host_vm_free(vm);
}

/* ------------------------------------------------------------------ hooks */

static void test_fetch_watch(void)
{
	struct vm *vm = host_vm_new(NULL);
	struct vm_page *page = vm_page_pin(vm, gpa(0x3000));
	uint8_t bytes[32];

	host_fetch_watch(vm, 0x3010, 16);
	(void)vm_page_load64(page, 0x08); /* beside it */
	CU_ASSERT_EQUAL(host_fetch_max(), 0);
	CU_ASSERT_EQUAL(vm_read(vm, gpa(0x3000), bytes, 32), VM_OK);
	CU_ASSERT_EQUAL(host_fetch_max(), 1);
	(void)vm_page_load8(page, 0x1F);
	CU_ASSERT_EQUAL(host_fetch_max(), 2);
	host_fetch_unwatch();
	CU_ASSERT_EQUAL(host_fetch_max(), 0);
	vm_page_unpin(vm, page);
	host_vm_free(vm);
}

static void test_scribble(void)
{
	struct vm *vm = host_vm_new(NULL);
	struct vm_page *page = vm_page_pin(vm, gpa(0x3000));
	uint32_t first, second;

	vm_page_store32(page, 4, 5);
	host_scribble(vm, 0x3004, 4, 1);
	first = vm_page_load32(page, 4);
	second = vm_page_load32(page, 4);
	host_load_hook(NULL, NULL);
	CU_ASSERT_EQUAL(first, 5);
	CU_ASSERT_NOT_EQUAL(second, 5);
	CU_ASSERT_EQUAL(vm_page_load32(page, 0), 0);
	vm_page_unpin(vm, page);
	host_vm_free(vm);
}

static bool translate(void *context, struct vcpu *vcpu, uint64_t linear, bool write, gpa_t *at)
{
	(void)vcpu;
	(void)context;
	*at = gpa(linear - 0x100000);
	return linear >= 0x100000 && linear < 0x102000 && (!write || linear < 0x101000);
}

static void test_linear(void)
{
	struct vm *vm = host_vm_new(NULL);
	struct vcpu *vcpu = vm_vcpu(vm, 0);
	uint32_t word = 9;

	CU_ASSERT_EQUAL(vcpu_write_linear(vcpu, 0xFFE, &word, 4), VM_OK);
	host_translate_hook(vm, translate, NULL);
	word = 0;
	CU_ASSERT_EQUAL(vcpu_read_linear(vcpu, 0x100FFE, &word, 4), VM_OK);
	CU_ASSERT_EQUAL(word, 9);
	CU_ASSERT_EQUAL(vcpu_read_linear(vcpu, 0x101FFE, &word, 4), VM_EFAULT);
	word = 0xFFFFFFFF;
	CU_ASSERT_EQUAL(vcpu_write_linear(vcpu, 0x100FFE, &word, 4), VM_EFAULT);
	CU_ASSERT_EQUAL(vm_read(vm, gpa(0xFFE), &word, 4), VM_OK);
	CU_ASSERT_EQUAL(word, 0xFFFF); /* the first page's part had moved */
	host_vm_free(vm);
}

/* ------------------------------------------------------------------ vCPUs */

static void test_vectors(void)
{
	struct vm *vm = host_vm_new(NULL);
	struct vcpu *vcpu = vm_vcpu(vm, 0);
	struct host_fault fault;

	vcpu_post_vector(vcpu, 0x31);
	vcpu_post_vector(vcpu, 0x90);
	vcpu_post_vector(vcpu, 0x31);
	CU_ASSERT_TRUE(host_vcpu_vector_posted(vcpu, 0x90));
	CU_ASSERT_EQUAL(host_vcpu_post_count(vcpu, 0x31), 2);
	CU_ASSERT_TRUE(host_vcpu_take_this_vector(vcpu, 0x90));
	CU_ASSERT_FALSE(host_vcpu_take_this_vector(vcpu, 0x90));
	CU_ASSERT_EQUAL(host_vcpu_take_vector(vcpu), 0x31);
	CU_ASSERT_EQUAL(host_vcpu_take_vector(vcpu), -1);
	host_vcpu_set_lapic(vcpu, false);
	vcpu_post_vector(vcpu, 0x31);
	CU_ASSERT_FALSE(host_vcpu_vector_posted(vcpu, 0x31));
	vcpu_set_auto_eoi(vcpu, 0x31, true);
	CU_ASSERT_TRUE(host_vcpu_auto_eoi(vcpu, 0x31));
	vcpu_post_nmi(vcpu);
	CU_ASSERT_TRUE(host_vcpu_take_nmi(vcpu));
	CU_ASSERT_FALSE(host_vcpu_take_nmi(vcpu));
	vcpu_post_upcall(vcpu);
	CU_ASSERT_TRUE(host_vcpu_take_upcall(vcpu));
	CU_ASSERT_FALSE(host_vcpu_take_fault(vcpu, &fault));
	vcpu_raise(vcpu, 13, true, 8);
	CU_ASSERT_TRUE(host_vcpu_take_fault(vcpu, &fault));
	CU_ASSERT_EQUAL(fault.vector, 13);
	CU_ASSERT_EQUAL(fault.error, 8);
	vcpu_flush_tlbs(vcpu, 5);
	CU_ASSERT_EQUAL(host_vcpu_flush_mask(vcpu), 5);
	CU_ASSERT_EQUAL(host_vcpu_flush_count(vcpu), 1);
	vcpu_yield(vcpu);
	CU_ASSERT_EQUAL(host_vcpu_yield_count(vcpu), 1);
	host_vm_free(vm);
}

static void test_waiting(void)
{
	struct vm *vm = host_vm_new(NULL);
	struct vcpu *vcpu = vm_vcpu(vm, 0);
	struct vcpu_times times;

	vcpu_wait(vcpu, 0);
	CU_ASSERT_TRUE(host_vcpu_is_waiting(vcpu));
	host_time_advance_ns(vm, 100);
	vcpu_wake(vcpu);
	CU_ASSERT_FALSE(host_vcpu_is_waiting(vcpu));
	vcpu_times(vcpu, &times);
	CU_ASSERT_EQUAL(times.state, VCPU_RUNNABLE);
	CU_ASSERT_EQUAL(times.time_ns[VCPU_BLOCKED], 100);
	CU_ASSERT_EQUAL(times.since_ns, 100);
	host_vcpu_set_runstate(vcpu, VCPU_RUNNING);
	vcpu_wait(vcpu, 150);
	CU_ASSERT_EQUAL(host_vcpu_wait_deadline_ns(vcpu), 150);
	host_time_advance_ns(vm, 49);
	CU_ASSERT_TRUE(host_vcpu_is_waiting(vcpu));
	host_time_advance_ns(vm, 1);
	CU_ASSERT_FALSE(host_vcpu_is_waiting(vcpu));
	vcpu_wait(vcpu, 0);
	vcpu_post_nmi(vcpu);
	CU_ASSERT_FALSE(host_vcpu_is_waiting(vcpu));
	vcpu_wait(vcpu, 0); /* pending: does not wait */
	CU_ASSERT_FALSE(host_vcpu_is_waiting(vcpu));
	host_vm_free(vm);
}

static void test_up_and_down(void)
{
	struct host_vm_config config = {.vm = {.vcpu_count = 2}};
	struct vm *vm = host_vm_new(&config);
	struct vcpu *vcpu = vm_vcpu(vm, 1);
	struct vcpu_context context = {.cr0 = 0x80000000, .regs = {.rip = 0x1234}};

	CU_ASSERT_PTR_NULL(vm_vcpu(vm, 2));
	CU_ASSERT_EQUAL(vcpu_index(vcpu), 1);
	CU_ASSERT_PTR_EQUAL(vcpu_vm(vcpu), vm);
	CU_ASSERT_TRUE(vcpu_is_up(vm_vcpu(vm, 0)));
	CU_ASSERT_FALSE(vcpu_is_up(vcpu));
	CU_ASSERT_EQUAL(vcpu_up(vcpu), VM_EINVAL);
	CU_ASSERT_EQUAL(vcpu_initialise(vcpu, &context), VM_EINVAL); /* paging without protection */
	context.cr0 = 0x20000001;
	CU_ASSERT_EQUAL(vcpu_initialise(vcpu, &context), VM_EINVAL); /* NW without CD */
	context.cr0 = 0x80000001;
	context.efer = 0x100;
	CU_ASSERT_EQUAL(vcpu_initialise(vcpu, &context), VM_EINVAL); /* long without PAE */
	context.cr4 = 0x20;
	context.cs.attributes = 0x600;
	CU_ASSERT_EQUAL(vcpu_initialise(vcpu, &context), VM_EINVAL); /* L and D */
	context.cs.attributes = 0x200;
	CU_ASSERT_EQUAL(vcpu_initialise(vcpu, &context), VM_OK);
	CU_ASSERT_TRUE(host_vcpu_is_initialised(vcpu));
	CU_ASSERT_EQUAL(vcpu_initialise(vcpu, &context), VM_EBUSY);
	CU_ASSERT_EQUAL(vcpu_up(vcpu), VM_OK);
	CU_ASSERT_TRUE(vcpu_is_up(vcpu));
	CU_ASSERT_EQUAL(vcpu_regs(vcpu)->rip, 0x1234);
	CU_ASSERT_EQUAL(host_vcpu_context(vcpu)->cr4, 0x20);
	vcpu_down(vcpu);
	CU_ASSERT_FALSE(vcpu_is_up(vcpu));
	CU_ASSERT_EQUAL(vcpu_up(vcpu), VM_OK);
	CU_ASSERT_EQUAL(vcpu_initialise(vm_vcpu(vm, 0), &context), VM_EBUSY);
	CU_ASSERT_TRUE(vcpu_mode(vcpu).code64);
	host_vcpu_set_mode(vcpu, (struct vcpu_mode){.cpl = 3});
	CU_ASSERT_EQUAL(vcpu_mode(vcpu).cpl, 3);
	host_vm_free(vm);
}

/* ------------------------------------------------------------------ timers */

struct probe {
	struct vm_timer timer;
	uint64_t period_ns;
	uint64_t fired_at[8];
	uint32_t fired_count;
};

static struct probe *fired_last;

static void probe_fired(struct vm_timer *timer)
{
	struct probe *probe = CONTAINER_OF(timer, struct probe, timer);

	fired_last = probe;
	probe->fired_at[probe->fired_count++ % 8] = vm_time_ns(vcpu_vm(timer->vcpu));
	if (probe->period_ns != 0) {
		vm_timer_arm(timer, timer->deadline_ns + probe->period_ns);
	}
}

static void test_timers(void)
{
	struct vm *vm = host_vm_new(NULL);
	struct probe a = {0}, b = {.period_ns = 30};
	uint64_t next;

	vm_timer_init(&a.timer, vm_vcpu(vm, 0), probe_fired);
	vm_timer_init(&b.timer, vm_vcpu(vm, 0), probe_fired);
	CU_ASSERT_FALSE(host_next_timer_ns(vm, &next));
	vm_timer_arm(&a.timer, 50);
	vm_timer_arm(&b.timer, 20);
	CU_ASSERT_TRUE(host_next_timer_ns(vm, &next));
	CU_ASSERT_EQUAL(next, 20);
	host_time_advance_ns(vm, 19);
	CU_ASSERT_EQUAL(b.fired_count, 0);
	host_time_set(vm, 60);
	CU_ASSERT_EQUAL(b.fired_count, 2); /* 20, 50 */
	CU_ASSERT_EQUAL(b.fired_at[1], 50);
	CU_ASSERT_EQUAL(a.fired_at[0], 50);
	CU_ASSERT_PTR_EQUAL(fired_last, &b); /* of the same deadline: in the order of arming */
	vm_timer_disarm(&b.timer);
	vm_timer_disarm(&b.timer);
	host_time_advance_ns(vm, 1000);
	CU_ASSERT_EQUAL(b.fired_count, 2);
	vm_timer_arm(&a.timer, 1); /* past already: runs when timers are run, not in arm */
	CU_ASSERT_EQUAL(a.fired_count, 1);
	vm_timer_arm(&a.timer, 2);
	CU_ASSERT_EQUAL(host_run_timers(vm), 1);
	CU_ASSERT_EQUAL(vm_time_ns(vm), 1060);
	CU_ASSERT_EQUAL(host_tsc(vm), 1060);
	host_vm_free(vm);
}

/* ------------------------------------------------------------------ work */

struct job {
	struct vm_work work;
	uint32_t left;
	uint32_t step_count;
	uint32_t inside; /* atomic: how many threads are in the step */
	bool again, cancel_self;
};

static bool job_step(struct vm_work *work)
{
	struct job *job = CONTAINER_OF(work, struct job, work);

	if (__atomic_fetch_add(&job->inside, 1, __ATOMIC_SEQ_CST) != 0) {
		abort();
	}
	__atomic_fetch_add(&job->step_count, 1, __ATOMIC_RELAXED);
	if (job->again) {
		job->again = false;
		vm_work_queue(work);
	}
	__atomic_fetch_sub(&job->inside, 1, __ATOMIC_SEQ_CST);
	if (job->cancel_self) {
		vm_work_cancel(work);
		free(job);
		return true; /* must not be looked at */
	}
	return job->left != 0 && --job->left != 0;
}

static void test_work_by_hand(void)
{
	struct vm *vm = host_vm_new(NULL);
	struct job job = {.left = 3};
	struct job *gone = calloc(1, sizeof(*gone));

	vm_work_init(&job.work, vm, job_step);
	CU_ASSERT_FALSE(host_run_work_once(vm));
	vm_work_queue(&job.work);
	vm_work_queue(&job.work);
	CU_ASSERT_TRUE(host_work_is_queued(vm));
	CU_ASSERT_EQUAL(host_run_work(vm), 3);
	CU_ASSERT_FALSE(host_work_is_queued(vm));
	job.again = true; /* queued while it runs: once more */
	vm_work_queue(&job.work);
	CU_ASSERT_EQUAL(host_run(vm), 2);
	vm_work_queue(&job.work);
	CU_ASSERT_EQUAL(host_vm_leaks(vm).works, 1);
	vm_work_cancel(&job.work);
	CU_ASSERT_EQUAL(host_run_work(vm), 0);
	vm_work_init(&gone->work, vm, job_step);
	gone->cancel_self = true;
	vm_work_queue(&gone->work);
	CU_ASSERT_EQUAL(host_run_work(vm), 1);
	host_vm_free(vm);
}

static void test_work_in_threads(void)
{
	struct vm *vms[2] = {host_vm_new(NULL), host_vm_new(NULL)};
	struct job jobs[8] = {0};
	struct probe probe = {.period_ns = 1000};
	struct host_threads *threads;
	uint32_t steps = 0;

	for (uint32_t i = 0; i < 8; i++) {
		vm_work_init(&jobs[i].work, vms[i % 2], job_step);
	}
	vm_timer_init(&probe.timer, vm_vcpu(vms[0], 0), probe_fired);
	host_time_real(vms[0]);
	vm_timer_arm(&probe.timer, 1);
	threads = host_threads_start(vms, 2, 4);
	for (uint32_t round = 0; round < 2000; round++) {
		vm_work_queue(&jobs[round % 8].work);
		vcpu_post_vector(vm_vcpu(vms[1], 0), (uint8_t)round);
	}
	while (host_work_is_queued(vms[0]) || host_work_is_queued(vms[1])) {
		lock_relax();
	}
	for (uint32_t i = 0; i < 8; i++) {
		vm_work_cancel(&jobs[i].work);
	}
	host_threads_stop(threads);
	vm_timer_disarm(&probe.timer);
	for (uint32_t i = 0; i < 8; i++) {
		steps += jobs[i].step_count;
		CU_ASSERT_TRUE(jobs[i].step_count >= 1);
	}
	CU_ASSERT_TRUE(steps <= 2000);
	CU_ASSERT_TRUE(probe.fired_count > 0);
	host_vm_free(vms[0]);
	host_vm_free(vms[1]);
}

static void *hammer(void *context)
{
	struct vm *vm = context;
	uint8_t bytes[64];

	for (uint32_t i = 0; i < 2000; i++) {
		struct vm_page *page = vm_page_pin(vm, gpa((i % 8) * 4096));
		void *memory = vm_alloc(vm, 32);

		if (page != NULL) {
			(void)vm_page_set_bit(page, i % 32768);
			vm_page_write(page, 64, bytes, 0);
			vm_page_unpin(vm, page);
		}
		if (vm_write(vm, gpa((i % 8) * 4096 + 512), memory, 32) == VM_OK) {
			(void)!vm_read(vm, gpa((i % 8) * 4096 + 512), bytes, 64);
		}
		vm_free(vm, memory);
		if (vm_ram_take(vm, gpa((i % 8) * 4096)) == VM_OK) {
			(void)!vm_ram_give(vm, gpa((i % 8) * 4096));
		}
		vm_log(vm, "round %u", i);
	}
	return NULL;
}

static void test_memory_in_threads(void)
{
	struct vm *vm = host_vm_new(NULL);
	pthread_t threads[4];

	for (int i = 0; i < 4; i++) {
		pthread_create(&threads[i], NULL, hammer, vm);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
	}
	CU_ASSERT_EQUAL(vm_ram_pages(vm), 256);
	CU_ASSERT_EQUAL(host_log_count(vm), 8000);
	host_vm_free(vm);
}

/* ------------------------------------------------------------------ records */

static void test_end_log_counts(void)
{
	struct host_vm_config config = {.vm = {.name = "web", .id = 7, .xen_face = true}};
	struct vm *vm = host_vm_new(&config);
	enum vm_stop_how how;

	CU_ASSERT_STRING_EQUAL(vm_config(vm)->name, "web");
	CU_ASSERT_EQUAL(vm_config(vm)->id, 7);
	CU_ASSERT_TRUE(vm_config(vm)->xen_face);
	CU_ASSERT_FALSE(host_vm_stopped(vm, &how));
	vm_stop(vm, VM_STOP_REBOOT, "asked");
	vm_kill(vm, "later");
	CU_ASSERT_TRUE(host_vm_stopped(vm, &how));
	CU_ASSERT_EQUAL(how, VM_STOP_REBOOT);
	CU_ASSERT_FALSE(host_vm_killed(vm));
	CU_ASSERT_STRING_EQUAL(host_vm_reason(vm), "asked");
	vm_log(vm, "line %d", 1);
	CU_ASSERT_TRUE(host_log_has(vm, "line 1"));
	CU_ASSERT_FALSE(host_log_has(vm, "line 2"));
	for (int i = 0; i < 100; i++) {
		vm_log(vm, "more");
	}
	CU_ASSERT_FALSE(host_log_has(vm, "line 1"));
	vm_count(vm, SPEC_XEN_SCHED, 2, false);
	vm_count(vm, SPEC_XEN_SCHED, 2, true);
	vm_count(vm, SPEC_XEN_SCHED, SPEC_UNKNOWN, true);
	CU_ASSERT_EQUAL(host_count_used(vm, SPEC_XEN_SCHED, 2), 2);
	CU_ASSERT_EQUAL(host_count_refused(vm, SPEC_XEN_SCHED, 2), 1);
	CU_ASSERT_EQUAL(host_count_refused(vm, SPEC_XEN_SCHED, SPEC_UNKNOWN), 1);
	host_vm_reset(vm);
	CU_ASSERT_EQUAL(host_count_used(vm, SPEC_XEN_SCHED, 2), 0);
	vm_kill(vm, "broken");
	CU_ASSERT_TRUE(host_vm_killed(vm));
	CU_ASSERT_FALSE(host_vm_stopped(vm, NULL));
	CU_ASSERT_STRING_EQUAL(host_vm_reason(vm), "broken");
	host_vm_free(vm);
}

static void *take_turns(void *context)
{
	struct spinlock *lock = context;
	static uint64_t shared;

	for (int i = 0; i < 1000; i++) {
		spin_lock(lock);
		shared++;
		spin_unlock(lock);
	}
	return &shared;
}

static void test_locks(void)
{
	struct spinlock lock;
	pthread_t threads[3];
	void *shared = NULL;

	spin_init(&lock, RANK_DEVICE);
	for (int i = 0; i < 3; i++) {
		pthread_create(&threads[i], NULL, take_turns, &lock);
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], &shared);
	}
	CU_ASSERT_EQUAL(*(uint64_t *)shared, 3000);
}

UNIT_MAIN("host", UNIT_TEST(test_copy_all_or_nothing), UNIT_TEST(test_overlays),
	  UNIT_TEST(test_pinned_overlay_outlives_free), UNIT_TEST(test_ballooning),
	  UNIT_TEST(test_map_and_special), UNIT_TEST(test_page_access),
	  UNIT_TEST(test_contracts_are_checked), UNIT_TEST(test_allocations),
	  UNIT_TEST(test_reset_zeroes), UNIT_TEST(test_fetch_watch), UNIT_TEST(test_scribble),
	  UNIT_TEST(test_linear), UNIT_TEST(test_vectors), UNIT_TEST(test_waiting),
	  UNIT_TEST(test_up_and_down), UNIT_TEST(test_timers), UNIT_TEST(test_work_by_hand),
	  UNIT_TEST(test_work_in_threads), UNIT_TEST(test_memory_in_threads),
	  UNIT_TEST(test_end_log_counts), UNIT_TEST(test_locks))
