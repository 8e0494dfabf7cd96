/*
 * host_memory.c - guest memory by copy and by page, hosted: an array of frames and a table of where
 * each stands.
 *
 * A frame of RAM keeps its memory over ballooning while it is pinned, as on the metal:
 * vm_ram_take() leaves the pinned frame with its holders and vm_ram_give() brings another.
 */
#define _GNU_SOURCE /* mmap */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/host/host_private.h"

#define IOAPIC_BASE 0xFEC00000ull
#define LAPIC_BASE 0xFEE00000ull
#define COPY_BYTES_MAX 65536u
#define ALLOC_BYTES_MAX (256u << 10)
#define BOUNCE_BYTES 256u /* small: the sanitizer marks it at each call */

/* ------------------------------------------------------------------ raw copies */

/*
 * No library call, no instrumentation: the other side may write here at the same time, by design.
 */
static void raw_copy(void *to, const void *from, size_t len)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(len) : : "memory");
}

void host_page_copy_out(const struct vm_page *page, size_t off, void *to, size_t len)
{
	uint8_t bounce[BOUNCE_BYTES];

	for (size_t done = 0, step; done < len; done += step) {
		step = len - done < sizeof(bounce) ? len - done : sizeof(bounce);
		raw_copy(bounce, page->bytes + off + done, step);
		memcpy((uint8_t *)to + done, bounce, step); /* sanitizers watch the caller's side */
	}
}

void host_page_copy_in(struct vm_page *page, size_t off, const void *from, size_t len)
{
	uint8_t bounce[BOUNCE_BYTES];

	for (size_t done = 0, step; done < len; done += step) {
		step = len - done < sizeof(bounce) ? len - done : sizeof(bounce);
		memcpy(bounce, (const uint8_t *)from + done, step);
		raw_copy(page->bytes + off + done, bounce, step);
	}
}

/* ------------------------------------------------------------------ frames */

/* A frame that vm_ram_give() had to make because pins held all that were taken. */
struct extra_frame {
	struct vm_page page;
	struct list_node all;
};

static void page_touch(struct vm *vm, struct vm_page *page)
{
	if (page->touched) {
		return;
	}
	page->touched = true;
	if (page >= vm->frames && page < vm->frames + vm->frame_count) {
		vm->touched[vm->touched_count++] = (uint32_t)(page - vm->frames);
	}
}

static void frame_init(struct vm *vm, struct vm_page *page, uint8_t *bytes)
{
	*page = (struct vm_page){.bytes = bytes, .shown_at = NOWHERE, .vm = vm};
	list_init(&page->node);
}

static void ram_stand_all(struct vm *vm)
{
	memset(vm->gfns, 0, vm->gfn_count * sizeof(*vm->gfns));
	for (uint64_t i = 0; i < vm->frame_count; i++) {
		vm->gfns[i].ram = &vm->frames[i];
	}
	vm->ram_pages = vm->frame_count;
	list_init(&vm->spare_frames);
}

void host_memory_new(struct vm *vm)
{
	uint64_t bytes = vm->config.memory_bytes;

	CHECK(bytes % PAGE_BYTES == 0 && bytes >= 16 * PAGE_BYTES);
	vm->ram = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(vm->ram != MAP_FAILED);
	vm->frame_count = bytes >> PAGE_SHIFT;
	vm->gfn_count = vm->host.gfn_count;
	CHECK(vm->gfn_count >= vm->frame_count);
	vm->frames = calloc(vm->frame_count, sizeof(*vm->frames));
	vm->touched = calloc(vm->frame_count, sizeof(*vm->touched));
	vm->gfns = calloc(vm->gfn_count, sizeof(*vm->gfns));
	CHECK(vm->frames != NULL && vm->touched != NULL && vm->gfns != NULL);
	for (uint64_t i = 0; i < vm->frame_count; i++) {
		frame_init(vm, &vm->frames[i], vm->ram + i * PAGE_BYTES);
	}
	list_init(&vm->extra_frames);
	list_init(&vm->pages);
	list_init(&vm->allocs);
	ram_stand_all(vm);
}

static void extra_frames_free(struct vm *vm)
{
	struct list_node *node;

	while ((node = list_take_first(&vm->extra_frames)) != NULL) {
		struct extra_frame *extra = CONTAINER_OF(node, struct extra_frame, all);

		free(extra->page.bytes);
		free(extra);
	}
}

void host_memory_reset(struct vm *vm)
{
	for (uint64_t i = 0; i < vm->touched_count; i++) {
		struct vm_page *page = &vm->frames[vm->touched[i]];

		host_clear(page->bytes, PAGE_BYTES);
		frame_init(vm, page, page->bytes);
	}
	vm->touched_count = 0;
	if (vm->ballooned) {
		extra_frames_free(vm);
		ram_stand_all(vm);
		vm->ballooned = false;
	}
	vm->alloc_tries = 0;
	vm->fail_armed = false;
	vm->fail_alloc_nth = 0;
	vm->fail_pin_nth = 0;
	vm->translate = NULL;
}

static void pages_discard(struct vm *vm)
{
	struct list_node *node;

	while ((node = list_take_first(&vm->pages)) != NULL) {
		struct vm_page *page = CONTAINER_OF(node, struct vm_page, node);

		free(page->bytes);
		free(page);
	}
	while ((node = list_take_first(&vm->allocs)) != NULL) {
		free(CONTAINER_OF(node, struct alloc_head, node));
	}
}

void host_memory_free(struct vm *vm)
{
	pages_discard(vm);
	extra_frames_free(vm);
	munmap(vm->ram, vm->config.memory_bytes);
	free(vm->frames);
	free(vm->touched);
	free(vm->gfns);
}

/*
 * ------------------------------------------------------------------ what stands where; memory_lock
 * held
 */

static struct vm_page *overlay_find(struct vm *vm, uint64_t gfn)
{
	if (gfn < vm->gfn_count) {
		return vm->gfns[gfn].overlay;
	}
	LIST_FOR_EACH(node, &vm->pages) {
		struct vm_page *page = CONTAINER_OF(node, struct vm_page, node);

		if (page->shown_at == gfn << PAGE_SHIFT) {
			return page;
		}
	}
	return NULL;
}

/* The page that the guest meets at @at and may use for @access; NULL if there is none. */
static struct vm_page *page_find(struct vm *vm, uint64_t at, uint32_t access)
{
	uint64_t gfn = at >> PAGE_SHIFT;
	struct vm_page *page = overlay_find(vm, gfn);

	if (page != NULL) {
		return (page->access & access) == access ? page : NULL;
	}
	return gfn < vm->gfn_count ? vm->gfns[gfn].ram : NULL;
}

static void page_conceal(struct vm *vm, struct vm_page *page)
{
	if (page->shown_at != NOWHERE && page->shown_at >> PAGE_SHIFT < vm->gfn_count) {
		vm->gfns[page->shown_at >> PAGE_SHIFT].overlay = NULL;
	}
	page->shown_at = NOWHERE;
}

/* The last pin of a page that is gone, or its end without one. */
static void page_release(struct vm *vm, struct vm_page *page)
{
	if (!page->ours) {
		list_add_tail(&vm->spare_frames, &page->node);
		return;
	}
	list_remove(&page->node);
	vm->page_count--;
	host_block_free(vm, page->bytes, PAGE_BYTES, page->kept);
	host_block_free(vm, page, sizeof(*page), page->kept);
}

/* ------------------------------------------------------------------ copies */

static bool range_is_there(struct vm *vm, uint64_t at, size_t len, uint32_t access)
{
	if (len == 0) {
		return true;
	}
	if (at + len - 1 < at) {
		return false;
	}
	for (uint64_t page = align_down(at, PAGE_BYTES); page <= at + len - 1; page += PAGE_BYTES) {
		if (page_find(vm, page, access) == NULL) {
			return false;
		}
	}
	return true;
}

/* How much of @len lies in the page of @at. */
static size_t in_page(uint64_t at, size_t len)
{
	size_t room = PAGE_BYTES - (size_t)(at & PAGE_MASK);

	return len < room ? len : room;
}

enum vm_status vm_read(struct vm *vm, gpa_t from, void *to, size_t len)
{
	struct vm_page *loaded[COPY_BYTES_MAX / PAGE_BYTES + 1];
	uint32_t loaded_count = 0;
	uint64_t at = from.v;

	CHECK(len <= COPY_BYTES_MAX);
	spin_lock(&vm->memory_lock);
	if (!range_is_there(vm, at, len, VM_ACCESS_READ)) {
		spin_unlock(&vm->memory_lock);
		return VM_EFAULT;
	}
	for (size_t done = 0; done < len; done += in_page(at + done, len - done)) {
		struct vm_page *page = page_find(vm, at + done, VM_ACCESS_READ);

		host_page_copy_out(page, (at + done) & PAGE_MASK, (uint8_t *)to + done,
				   in_page(at + done, len - done));
		loaded[loaded_count++] = page;
	}
	spin_unlock(&vm->memory_lock);
	for (size_t done = 0, i = 0, step; host_load_hook_fn != NULL && done < len; done += step) {
		step = in_page(at + done, len - done);
		host_page_loaded(loaded[i++], (at + done) & PAGE_MASK, step);
	}
	return VM_OK;
}

enum vm_status vm_write(struct vm *vm, gpa_t to, const void *from, size_t len)
{
	uint64_t at = to.v;

	CHECK(len <= COPY_BYTES_MAX);
	spin_lock(&vm->memory_lock);
	if (!range_is_there(vm, at, len, VM_ACCESS_WRITE)) {
		spin_unlock(&vm->memory_lock);
		return VM_EFAULT;
	}
	for (size_t done = 0; done < len; done += in_page(at + done, len - done)) {
		struct vm_page *page = page_find(vm, at + done, VM_ACCESS_WRITE);

		page_touch(vm, page);
		host_page_copy_in(page, (at + done) & PAGE_MASK, (const uint8_t *)from + done,
				  in_page(at + done, len - done));
	}
	spin_unlock(&vm->memory_lock);
	return VM_OK;
}

enum vm_status vcpu_translate(struct vcpu *vcpu, uint64_t linear, bool write, gpa_t *at)
{
	struct vm *vm = vcpu->vm;

	if (vm->translate != NULL) {
		return vm->translate(vm->translate_context, vcpu, linear, write, at) ? VM_OK
										     : VM_EFAULT;
	}
	*at = gpa(linear);
	return VM_OK;
}

enum vm_status vcpu_read_linear(struct vcpu *vcpu, uint64_t from, void *to, size_t len)
{
	CHECK(len <= COPY_BYTES_MAX);
	for (size_t done = 0, step; done < len; done += step) {
		gpa_t at;

		step = in_page(from + done, len - done);
		if (vcpu_translate(vcpu, from + done, false, &at) != VM_OK ||
		    vm_read(vcpu->vm, at, (uint8_t *)to + done, step) != VM_OK) {
			return VM_EFAULT;
		}
	}
	return VM_OK;
}

enum vm_status vcpu_write_linear(struct vcpu *vcpu, uint64_t to, const void *from, size_t len)
{
	CHECK(len <= COPY_BYTES_MAX);
	for (size_t done = 0, step; done < len; done += step) {
		gpa_t at;

		step = in_page(to + done, len - done);
		if (vcpu_translate(vcpu, to + done, true, &at) != VM_OK ||
		    vm_write(vcpu->vm, at, (const uint8_t *)from + done, step) != VM_OK) {
			return VM_EFAULT;
		}
	}
	return VM_OK;
}

/* ------------------------------------------------------------------ pages */

/* One step towards the event that is to fail; true if this is the one. memory_lock held. */
static bool nth_comes(uint64_t *nth, bool *fired)
{
	if (*nth == 0 || --*nth != 0) {
		return false;
	}
	*fired = true;
	return true;
}

struct vm_page *vm_page_pin(struct vm *vm, gpa_t at)
{
	struct vm_page *page;

	spin_lock(&vm->memory_lock);
	page = page_find(vm, at.v, VM_ACCESS_READ | VM_ACCESS_WRITE);
	if (nth_comes(&vm->fail_pin_nth, &vm->fail_pin_fired)) {
		page = NULL;
	}
	if (page != NULL) {
		page_touch(vm, page);
		__atomic_fetch_add(&page->pin_count, 1, __ATOMIC_RELAXED);
		vm->pin_total++;
	}
	spin_unlock(&vm->memory_lock);
	return page;
}

void vm_page_unpin(struct vm *vm, struct vm_page *page)
{
	spin_lock(&vm->memory_lock);
	CHECK(page->vm == vm && page->pin_count != 0);
	vm->pin_total--;
	if (__atomic_sub_fetch(&page->pin_count, 1, __ATOMIC_ACQ_REL) == 0 && page->gone) {
		page_release(vm, page);
	}
	spin_unlock(&vm->memory_lock);
}

/* Counts an allocation; false if it is to fail by order of the test. memory_lock held. */
static bool alloc_may(struct vm *vm)
{
	vm->alloc_tries++;
	if (nth_comes(&vm->fail_alloc_nth, &vm->fail_alloc_fired)) {
		return false;
	}
	if (!vm->fail_armed) {
		return true;
	}
	if (vm->fail_after == 0) {
		return false;
	}
	vm->fail_after--;
	return true;
}

struct vm_page *vm_page_alloc(struct vm *vm)
{
	struct vm_page *page = NULL;

	spin_lock(&vm->memory_lock);
	if (alloc_may(vm) && vm->page_count < vm->host.page_max) {
		page = host_block_new(vm, sizeof(*page));
		CHECK(page != NULL);
		frame_init(vm, page, host_block_new(vm, PAGE_BYTES));
		CHECK(page->bytes != NULL);
		page->ours = true;
		list_add_tail(&vm->pages, &page->node);
		vm->page_count++;
	}
	spin_unlock(&vm->memory_lock);
	return page;
}

void vm_page_free(struct vm *vm, struct vm_page *page)
{
	spin_lock(&vm->memory_lock);
	CHECK(page->vm == vm && page->ours && !page->gone);
	page_conceal(vm, page);
	page->gone = true;
	if (page->pin_count == 0) {
		page_release(vm, page);
	}
	spin_unlock(&vm->memory_lock);
}

static bool is_showable(const struct vm *vm, uint64_t at)
{
	return at >> vm->host.physical_bits == 0 && at != IOAPIC_BASE && at != LAPIC_BASE;
}

enum vm_status vm_page_show(struct vm *vm, struct vm_page *page, gpa_t at, uint32_t access)
{
	struct vm_page *there;
	enum vm_status status = VM_OK;

	if ((at.v & PAGE_MASK) != 0) {
		return VM_EINVAL;
	}
	spin_lock(&vm->memory_lock);
	CHECK(page->vm == vm && page->ours && !page->gone);
	there = overlay_find(vm, at.v >> PAGE_SHIFT);
	if (!is_showable(vm, at.v)) {
		status = VM_EFAULT;
	} else if (there != NULL && there != page) {
		status = VM_EBUSY;
	} else {
		page_conceal(vm, page);
		page->shown_at = at.v;
		page->access = access;
		if (at.v >> PAGE_SHIFT < vm->gfn_count) {
			vm->gfns[at.v >> PAGE_SHIFT].overlay = page;
		}
	}
	spin_unlock(&vm->memory_lock);
	return status;
}

void vm_page_hide(struct vm *vm, struct vm_page *page)
{
	spin_lock(&vm->memory_lock);
	CHECK(page->vm == vm && page->ours && !page->gone);
	page_conceal(vm, page);
	spin_unlock(&vm->memory_lock);
}

bool vm_page_where(struct vm *vm, const struct vm_page *page, gpa_t *at)
{
	bool shown;

	spin_lock(&vm->memory_lock);
	shown = page->shown_at != NOWHERE;
	if (shown) {
		*at = gpa(page->shown_at);
	}
	spin_unlock(&vm->memory_lock);
	return shown;
}

struct vm_page *vm_page_at(struct vm *vm, gpa_t at)
{
	struct vm_page *page;

	spin_lock(&vm->memory_lock);
	page = overlay_find(vm, at.v >> PAGE_SHIFT);
	spin_unlock(&vm->memory_lock);
	return page;
}

/* ------------------------------------------------------------------ ballooning */

enum vm_status vm_ram_take(struct vm *vm, gpa_t at)
{
	uint64_t gfn = at.v >> PAGE_SHIFT;
	struct vm_page *page;

	spin_lock(&vm->memory_lock);
	page = gfn < vm->gfn_count ? vm->gfns[gfn].ram : NULL;
	if (page != NULL) {
		page_touch(vm, page); /* as a frame it is no longer what it was */
		vm->gfns[gfn].ram = NULL;
		__atomic_fetch_sub(&vm->ram_pages, 1, __ATOMIC_RELAXED);
		vm->ballooned = true;
		page->gone = true;
		if (page->pin_count == 0) {
			page_release(vm, page);
		}
	}
	spin_unlock(&vm->memory_lock);
	return page != NULL ? VM_OK : VM_EFAULT;
}

/* A zeroed frame: a spare one, or a new one. */
static struct vm_page *frame_get(struct vm *vm)
{
	struct list_node *node = list_take_first(&vm->spare_frames);
	struct extra_frame *extra;

	if (node != NULL) {
		struct vm_page *page = CONTAINER_OF(node, struct vm_page, node);

		memset(page->bytes, 0, PAGE_BYTES);
		page->gone = false;
		return page;
	}
	extra = malloc(sizeof(*extra));
	CHECK(extra != NULL);
	frame_init(vm, &extra->page, aligned_alloc(PAGE_BYTES, PAGE_BYTES));
	CHECK(extra->page.bytes != NULL);
	memset(extra->page.bytes, 0, PAGE_BYTES);
	list_add_tail(&vm->extra_frames, &extra->all);
	return &extra->page;
}

enum vm_status vm_ram_give(struct vm *vm, gpa_t at)
{
	uint64_t gfn = at.v >> PAGE_SHIFT;
	enum vm_status status = VM_OK;

	spin_lock(&vm->memory_lock);
	if (gfn >= vm->gfn_count) {
		status = VM_EFAULT;
	} else if (vm->gfns[gfn].ram != NULL) {
		status = VM_EBUSY;
	} else if (vm->ram_pages >= vm->host.memory_max_bytes >> PAGE_SHIFT) {
		status = VM_EQUOTA;
	} else {
		vm->gfns[gfn].ram = frame_get(vm);
		__atomic_fetch_add(&vm->ram_pages, 1, __ATOMIC_RELAXED);
		vm->ballooned = true;
	}
	spin_unlock(&vm->memory_lock);
	return status;
}

bool vm_is_ram(struct vm *vm, gpa_t at)
{
	uint64_t gfn = at.v >> PAGE_SHIFT;
	bool is_ram;

	spin_lock(&vm->memory_lock);
	is_ram = gfn < vm->gfn_count && vm->gfns[gfn].ram != NULL;
	spin_unlock(&vm->memory_lock);
	return is_ram;
}

uint64_t vm_ram_pages(const struct vm *vm)
{
	return __atomic_load_n(&vm->ram_pages, __ATOMIC_RELAXED);
}

uint64_t vm_ram_max_pages(const struct vm *vm)
{
	return vm->host.memory_max_bytes >> PAGE_SHIFT;
}

uint64_t vm_max_gfn(const struct vm *vm)
{
	return vm->frame_count - 1;
}

bool vm_memory_map(const struct vm *vm, uint32_t index, struct vm_range *range)
{
	uint64_t special_bytes = (uint64_t)VM_SPECIAL_COUNT * PAGE_BYTES;
	uint64_t split = vm->config.memory_bytes - special_bytes;

	if (index == 0) {
		*range = (struct vm_range){.base = 0, .len_bytes = split, .type = 1};
	} else if (index == 1) {
		*range = (struct vm_range){.base = split, .len_bytes = special_bytes, .type = 2};
	}
	return index < 2;
}

gpa_t vm_special_page(const struct vm *vm, enum vm_special which)
{
	uint64_t from_end = (uint64_t)VM_SPECIAL_COUNT - (uint64_t)which;

	return gpa(vm->config.memory_bytes - from_end * PAGE_BYTES);
}

/* ------------------------------------------------------------------ allocations */

void *vm_alloc(struct vm *vm, size_t bytes)
{
	struct alloc_head *head = NULL;

	CHECK(bytes != 0 && bytes <= ALLOC_BYTES_MAX);
	spin_lock(&vm->memory_lock);
	if (alloc_may(vm) && vm->alloc_bytes + bytes <= vm->host.alloc_bytes_max) {
		head = host_block_new(vm, sizeof(*head) + bytes);
		CHECK(head != NULL);
		head->bytes = bytes;
		head->vm = vm;
		vm->alloc_bytes += bytes;
		vm->alloc_live++;
		list_add_tail(&vm->allocs, &head->node);
	}
	spin_unlock(&vm->memory_lock);
	return head != NULL ? head + 1 : NULL;
}

void vm_free(struct vm *vm, void *memory)
{
	struct alloc_head *head;

	if (memory == NULL) {
		return;
	}
	head = (struct alloc_head *)memory - 1;
	spin_lock(&vm->memory_lock);
	CHECK(head->vm == vm);
	vm->alloc_bytes -= head->bytes;
	vm->alloc_live--;
	list_remove(&head->node);
	host_block_free(vm, head, sizeof(*head) + head->bytes, head->kept);
	spin_unlock(&vm->memory_lock);
}

void host_fail_alloc_after(struct vm *vm, uint32_t count)
{
	spin_lock(&vm->memory_lock);
	vm->fail_armed = true;
	vm->fail_after = count;
	spin_unlock(&vm->memory_lock);
}

void host_fail_alloc_never(struct vm *vm)
{
	spin_lock(&vm->memory_lock);
	vm->fail_armed = false;
	spin_unlock(&vm->memory_lock);
}

void host_fail_alloc_nth(struct vm *vm, uint64_t nth)
{
	spin_lock(&vm->memory_lock);
	vm->fail_alloc_nth = nth;
	vm->fail_alloc_fired = false;
	spin_unlock(&vm->memory_lock);
}

bool host_fail_alloc_fired(struct vm *vm)
{
	return vm->fail_alloc_fired;
}

void host_fail_pin_nth(struct vm *vm, uint64_t nth)
{
	spin_lock(&vm->memory_lock);
	vm->fail_pin_nth = nth;
	vm->fail_pin_fired = false;
	spin_unlock(&vm->memory_lock);
}

bool host_fail_pin_fired(struct vm *vm)
{
	return vm->fail_pin_fired;
}

uint64_t host_alloc_count(struct vm *vm)
{
	uint64_t count;

	spin_lock(&vm->memory_lock);
	count = vm->alloc_tries;
	spin_unlock(&vm->memory_lock);
	return count;
}

uint64_t host_alloc_bytes(struct vm *vm)
{
	uint64_t bytes;

	spin_lock(&vm->memory_lock);
	bytes = vm->alloc_bytes;
	spin_unlock(&vm->memory_lock);
	return bytes;
}

/* ------------------------------------------------------------------ the test's view */

void *host_vm_bytes(struct vm *vm, uint64_t at, size_t len)
{
	uint8_t *first = NULL;

	spin_lock(&vm->memory_lock);
	for (size_t done = 0; done < len; done += in_page(at + done, len - done)) {
		struct vm_page *page = page_find(vm, at + done, 0);
		uint8_t *here = page != NULL ? page->bytes + ((at + done) & PAGE_MASK) : NULL;

		if (here == NULL || (first != NULL && here != first + done)) {
			first = NULL;
			break;
		}
		first = first != NULL ? first : here;
		page_touch(vm, page);
	}
	spin_unlock(&vm->memory_lock);
	return first;
}

uint32_t host_page_pin_count(struct vm *vm, uint64_t at)
{
	struct vm_page *page;
	uint32_t count;

	spin_lock(&vm->memory_lock);
	page = page_find(vm, at, 0);
	count = page != NULL ? page->pin_count : 0;
	spin_unlock(&vm->memory_lock);
	return count;
}

void host_translate_hook(struct vm *vm, host_translate_fn *fn, void *context)
{
	vm->translate = fn;
	vm->translate_context = context;
}
