/*
 * host_trap.c - where every interrupt and exception of ring 0 arrives: interrupts go to
 * host_irq.c, a fault with a row in the fixup table goes on there, the rest is a panic.
 */
#include "hypervisor/arch/x86/host_internal.h"

#define VECTOR_NMI 2u
#define VECTOR_DF 8u
#define VECTOR_MC 18u
#define VECTOR_IRQ_FIRST 32u

struct fixup {
	uint64_t from;
	uint64_t to;
};

extern const struct fixup image_fixup_start[];
extern const struct fixup image_fixup_end[];

/* A few dozen rows, as each inline use makes one, and faults are rare: no need to sort. */
static bool fixup_apply(struct trap_frame *frame)
{
	for (const struct fixup *row = image_fixup_start; row < image_fixup_end; row++) {
		if (row->from == frame->rip) {
			frame->rip = row->to;
			return true;
		}
	}
	return false;
}

void trap_dispatch(struct trap_frame *frame)
{
	if (frame->vector >= VECTOR_IRQ_FIRST) {
		irq_dispatch((unsigned int)frame->vector);
		return;
	}
	if (frame->vector == VECTOR_NMI) {
		if (panic_by_other()) {
			panic_stop_here(frame);
		}
		return;
	}
	/* #DF and #MC are aborts: there is nothing to go back to. */
	if (frame->vector == VECTOR_DF || frame->vector == VECTOR_MC || !fixup_apply(frame)) {
		panic_exception(frame);
	}
}
