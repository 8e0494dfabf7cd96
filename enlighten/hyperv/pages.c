/*
 * pages.c - the two pages that the face fills: the hypercall page and the reference TSC page.
 *
 * TLFS, hypercall interface and timers.
 */
#include "enlighten/hyperv/hyperv_private.h"

#define INT3 0xCCu
#define RET 0xC3u

/*
 * Each instruction is the same in 32-bit and 64-bit code. ENDBR64 does nothing on a processor
 * without indirect branch tracking; with it, a guest that finds it keeps the tracking on. With
 * Xen's interface beside ours, EAX (an output) carries the mark by which the two are told apart.
 */
void hyperv_fill_hypercall_page(struct vm *vm, struct vm_page *page)
{
	static const uint8_t endbr64[] = {0xF3, 0x0F, 0x1E, 0xFA};
	static const uint8_t or_eax_mark[] = {0x0D, 0x00, 0x00, 0x00, 0x80};
	const size_t opcode_bytes = 3;
	size_t off = 0;

	for (size_t i = 0; i < PAGE_BYTES; i++) {
		vm_page_store8(page, i, INT3);
	}
	vm_page_write(page, off, endbr64, sizeof(endbr64));
	off += sizeof(endbr64);
	if (vm_config(vm)->xen_face) {
		vm_page_write(page, off, or_eax_mark, sizeof(or_eax_mark));
		off += sizeof(or_eax_mark);
	}
	vm_page_write(page, off, vm_hypercall_opcode(vm), opcode_bytes);
	vm_page_store8(page, off + opcode_bytes, RET);
}

/* Guest time and the TSC are both 0 at creation, so the offset is 0 and the page never changes. */
void hyperv_fill_tsc_page(struct vm_page *page, const struct clock *clock)
{
	const struct hv_reference_tsc_page content = {
	        .tsc_sequence = clock->stable && clock_reference_scale(clock) != 0 ? 1 : 0,
	        .tsc_scale = clock_reference_scale(clock),
	        .tsc_offset = 0,
	};

	vm_page_write(page, 0, &content, sizeof(content));
}
