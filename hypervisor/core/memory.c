/*
 * memory.c - guest memory as the seam offers it (vm/vm.h), over the p2m and the frames.
 */
#include "base/bits.h"
#include "hypervisor/core/frames.h"
#include "hypervisor/core/machine.h"
#include "hypervisor/arch/x86/walk.h"
#include "vm/page.h"

#define COPY_BYTES_MAX 65536u
#define VM_PAGES_OF_OURS_MAX 1024u

/* All vCPUs of the guest drop what they have cached; the one whose exit this is waits for the others. */
static void flush_all(struct vm *vm)
{
	struct vcpu *self = this_cpu()->current;
	uint64_t mask = vm->config.vcpu_count == 64 ? ~0ull : BIT64(vm->config.vcpu_count) - 1;

	if (vm->life != VM_RUNNING) {
		return; /* nothing has run yet, or will again */
	}
	if (self != NULL && self->vm == vm) {
		vcpu_flush_tlbs(self, mask);
		return;
	}
	for (uint32_t i = 0; i < vm->config.vcpu_count; i++) {
		vcpu_request(vm->vcpus[i], REQUEST_FLUSH);
	}
}

static bool range_is_memory(struct vm *vm, gpa_t at, size_t len, bool write)
{
	uint64_t end = at.v + len;

	if (len > COPY_BYTES_MAX || end < at.v) {
		return false;
	}
	for (uint64_t page = at.v & ~(uint64_t)PAGE_MASK; page < end; page += PAGE_BYTES) {
		struct p2m_view view = p2m_find(&vm->p2m, gpa(page));

		if (view.page == NULL || (write && !view.writable)) {
			return false;
		}
	}
	return true;
}

/* Most of what is read and written: one lookup does. */
static bool is_within_page(gpa_t at, size_t len)
{
	return len != 0 && len <= PAGE_BYTES - (at.v & PAGE_MASK);
}

/* The range was checked; a page that goes away between is still a frame of the guest's until this exit ends. */
enum vm_status vm_read(struct vm *vm, gpa_t from, void *to, size_t len)
{
	uint8_t *out = to;

	if (is_within_page(from, len)) {
		const struct vm_page *page = p2m_find(&vm->p2m, from).page;

		if (page == NULL) {
			return VM_EFAULT;
		}
		memcpy(to, page->bytes + (from.v & PAGE_MASK), len);
		return VM_OK;
	}
	if (!range_is_memory(vm, from, len, false)) {
		return VM_EFAULT;
	}
	for (size_t done = 0; done < len;) {
		gpa_t at = gpa(from.v + done);
		size_t here = PAGE_BYTES - (at.v & PAGE_MASK);
		struct vm_page *page = p2m_find(&vm->p2m, at).page;

		here = here < len - done ? here : len - done;
		if (page == NULL) {
			return VM_EFAULT;
		}
		memcpy(out + done, page->bytes + (at.v & PAGE_MASK), here);
		done += here;
	}
	return VM_OK;
}

enum vm_status vm_write(struct vm *vm, gpa_t to, const void *from, size_t len)
{
	const uint8_t *in = from;

	if (is_within_page(to, len)) {
		struct p2m_view view = p2m_find(&vm->p2m, to);

		if (view.page == NULL || !view.writable) {
			return VM_EFAULT;
		}
		memcpy(view.page->bytes + (to.v & PAGE_MASK), from, len);
		return VM_OK;
	}
	if (!range_is_memory(vm, to, len, true)) {
		return VM_EFAULT;
	}
	for (size_t done = 0; done < len;) {
		gpa_t at = gpa(to.v + done);
		size_t here = PAGE_BYTES - (at.v & PAGE_MASK);
		struct p2m_view view = p2m_find(&vm->p2m, at);

		here = here < len - done ? here : len - done;
		if (view.page == NULL || !view.writable) {
			return VM_EFAULT;
		}
		memcpy(view.page->bytes + (at.v & PAGE_MASK), in + done, here);
		done += here;
	}
	return VM_OK;
}

/* ---- linear addresses ---- */

/* Entries are aligned, so one never crosses a page, and is read in one access. */
static bool walk_read(void *memory, uint64_t at, uint8_t bytes, uint64_t *value)
{
	struct vm *vm = memory;
	const struct vm_page *page = p2m_find(&vm->p2m, gpa(at)).page;

	if (page == NULL) {
		return false;
	}
	*value = bytes == 8 ? vm_page_load64(page, at & PAGE_MASK) : vm_page_load32(page, at & PAGE_MASK);
	return true;
}

static enum walk_exchange walk_exchange(void *memory, uint64_t at, uint8_t bytes, uint64_t old, uint64_t new)
{
	struct vm *vm = memory;
	struct p2m_view view = p2m_find(&vm->p2m, gpa(at));
	size_t off = at & PAGE_MASK;
	bool done;

	if (view.page == NULL || !view.writable) {
		return WALK_ABSENT;
	}
	done = bytes == 8 ? vm_page_compare_exchange64(view.page, off, old, new)
	                  : vm_page_compare_exchange32(view.page, off, (uint32_t)old, (uint32_t) new);
	return done ? WALK_EXCHANGED : WALK_CHANGED;
}

enum walk_status core_walk(struct vcpu *vcpu, uint64_t linear, uint32_t access, gpa_t *at, uint32_t *error)
{
	const struct hvm_paging *paging = vcpu_paging(vcpu);
	const struct walk_ctx ctx = {
	        .cr0 = paging->cr0,
	        .cr3 = paging->cr3,
	        .cr4 = paging->cr4,
	        .efer = paging->efer,
	        .rflags = vcpu->hvm.regs.rflags,
	        .cpl = paging->cpl,
	        .phys_bits = P2M_ADDRESS_BITS,
	        .memory = vcpu->vm,
	        .read = walk_read,
	        .exchange = walk_exchange,
	};

	return guest_walk(&ctx, linear, access, &at->v, error);
}

enum vm_status vcpu_translate(struct vcpu *vcpu, uint64_t linear, bool write, gpa_t *at)
{
	uint32_t error;

	return core_walk(vcpu, linear, write ? WALK_WRITE : 0, at, &error) == WALK_OK ? VM_OK : VM_EFAULT;
}

enum vm_status vcpu_read_linear(struct vcpu *vcpu, uint64_t from, void *to, size_t len)
{
	for (size_t done = 0; done < len;) {
		size_t here = PAGE_BYTES - ((from + done) & PAGE_MASK);
		gpa_t at;

		here = here < len - done ? here : len - done;
		if (vcpu_translate(vcpu, from + done, false, &at) != VM_OK ||
		    vm_read(vcpu->vm, at, (uint8_t *)to + done, here) != VM_OK) {
			return VM_EFAULT;
		}
		done += here;
	}
	return VM_OK;
}

enum vm_status vcpu_write_linear(struct vcpu *vcpu, uint64_t to, const void *from, size_t len)
{
	for (size_t done = 0; done < len;) {
		size_t here = PAGE_BYTES - ((to + done) & PAGE_MASK);
		gpa_t at;

		here = here < len - done ? here : len - done;
		if (vcpu_translate(vcpu, to + done, true, &at) != VM_OK ||
		    vm_write(vcpu->vm, at, (const uint8_t *)from + done, here) != VM_OK) {
			return VM_EFAULT;
		}
		done += here;
	}
	return VM_OK;
}

/* ---- pages ---- */

struct vm_page *vm_page_pin(struct vm *vm, gpa_t at)
{
	struct p2m_view view = p2m_find(&vm->p2m, at);

	if (view.page == NULL || !view.writable) {
		return NULL;
	}
	__atomic_fetch_add(&view.page->pin_count, 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&vm->pin_count, 1, __ATOMIC_RELAXED);
	return view.page;
}

void vm_page_unpin(struct vm *vm, struct vm_page *page)
{
	__atomic_fetch_sub(&vm->pin_count, 1, __ATOMIC_RELAXED);
	CHECK(__atomic_fetch_sub(&page->pin_count, 1, __ATOMIC_SEQ_CST) != 0);
}

struct vm_page *vm_page_alloc(struct vm *vm)
{
	struct vm_page *page;

	if (__atomic_add_fetch(&vm->page_count, 1, __ATOMIC_RELAXED) > VM_PAGES_OF_OURS_MAX) {
		__atomic_sub_fetch(&vm->page_count, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	page = frames_alloc(0, FRAME_SPECIAL, (uint16_t)vm->config.id);
	if (page == NULL) {
		__atomic_sub_fetch(&vm->page_count, 1, __ATOMIC_RELAXED);
	}
	return page;
}

void vm_page_free(struct vm *vm, struct vm_page *page)
{
	vm_page_hide(vm, page);
	__atomic_sub_fetch(&vm->page_count, 1, __ATOMIC_RELAXED);
	frames_retire(page);
}

enum vm_status vm_page_show(struct vm *vm, struct vm_page *page, gpa_t at, uint32_t access)
{
	if (at.v >> P2M_ADDRESS_BITS != 0 || board_owns_mmio(at.v)) {
		return VM_EFAULT;
	}
	switch (p2m_show(&vm->p2m, page, gpa(at.v & ~(uint64_t)PAGE_MASK), access)) {
	case P2M_OK:
		flush_all(vm);
		return VM_OK;
	case P2M_OCCUPIED:
		return VM_EBUSY;
	default:
		return VM_EQUOTA;
	}
}

void vm_page_hide(struct vm *vm, struct vm_page *page)
{
	if (p2m_hide(&vm->p2m, page)) {
		flush_all(vm);
	}
}

bool vm_page_where(struct vm *vm, const struct vm_page *page, gpa_t *at)
{
	(void)vm;
	at->v = page->shown_at;
	return page->shown_at != FRAME_SHOWN_NOWHERE;
}

struct vm_page *vm_page_at(struct vm *vm, gpa_t at)
{
	struct vm_page *page = p2m_find(&vm->p2m, at).page;

	return page != NULL && page->kind == FRAME_SPECIAL ? page : NULL;
}

enum vm_status vm_ram_take(struct vm *vm, gpa_t at)
{
	struct vm_page *taken;

	if (p2m_take(&vm->p2m, at, &taken) != P2M_OK) {
		return VM_EFAULT;
	}
	flush_all(vm);
	frames_retire(taken);
	return VM_OK;
}

enum vm_status vm_ram_give(struct vm *vm, gpa_t at)
{
	if (at.v >> P2M_ADDRESS_BITS != 0 || board_owns_mmio(at.v)) {
		return VM_EFAULT;
	}
	if (vm->p2m.ram_pages >= vm->p2m.ram_max_pages) {
		return VM_EQUOTA;
	}
	switch (p2m_give(&vm->p2m, gpa(at.v & ~(uint64_t)PAGE_MASK))) {
	case P2M_OK:
		return VM_OK;
	case P2M_OCCUPIED:
		return VM_EBUSY;
	default:
		return VM_EQUOTA;
	}
}

bool vm_is_ram(struct vm *vm, gpa_t at)
{
	struct vm_page *page = p2m_find(&vm->p2m, at).page;

	return page != NULL && page->kind == FRAME_RAM;
}

uint64_t vm_ram_pages(const struct vm *vm)
{
	return vm->p2m.ram_pages;
}

uint64_t vm_ram_max_pages(const struct vm *vm)
{
	return vm->p2m.ram_max_pages;
}

uint64_t vm_max_gfn(const struct vm *vm)
{
	return vm->p2m.max_gfn;
}

bool vm_memory_map(const struct vm *vm, uint32_t index, struct vm_range *range)
{
	if (index >= vm->map_count) {
		return false;
	}
	*range = vm->map[index];
	return true;
}

gpa_t vm_special_page(const struct vm *vm, enum vm_special which)
{
	return vm->special[which];
}
