/*
 * overlay.c - pages of ours that a guest places over its memory with an MSR (TLFS, overlay pages).
 */
#include "synic/synic.h"
#include "vm/page.h"

bool synic_overlay_create(struct vm *vm, struct synic_overlay *overlay)
{
	overlay->value = 0;
	overlay->page = vm_page_alloc(vm);
	return overlay->page != NULL;
}

void synic_overlay_destroy(struct vm *vm, struct synic_overlay *overlay)
{
	if (overlay->page != NULL) {
		vm_page_free(vm, overlay->page);
		overlay->page = NULL;
	}
}

static void hide(struct vm *vm, struct synic_overlay *overlay)
{
	if ((overlay->value & HV_OVERLAY_ENABLE) != 0) {
		vm_page_hide(vm, overlay->page);
	}
}

void synic_overlay_reset(struct vm *vm, struct synic_overlay *overlay)
{
	hide(vm, overlay);
	for (size_t off = 0; off < PAGE_BYTES; off += sizeof(uint64_t)) {
		vm_page_store64(overlay->page, off, 0);
	}
	__atomic_store_n(&overlay->value, 0, __ATOMIC_RELEASE);
}

bool synic_overlay_write(struct vm *vm, struct synic_overlay *overlay, uint64_t raw_value, uint32_t access)
{
	if ((raw_value & HV_OVERLAY_ENABLE) == 0) {
		hide(vm, overlay);
	} else if (vm_page_show(vm, overlay->page, gpa(raw_value & HV_OVERLAY_ADDRESS_MASK), access) !=
	           VM_OK) {
		return false;
	}
	__atomic_store_n(&overlay->value, raw_value, __ATOMIC_RELEASE);
	return true;
}
