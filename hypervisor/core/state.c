/*
 * state.c - the states that a vCPU starts in: INIT and SIPI (AMD64 APM volume 2, 14.1.3), the entry
 * of a kernel (Xen's PVH, Multiboot 3.2), and what a guest gives for another vCPU.
 */
#include "base/bits.h"
#include "hypervisor/core/machine.h"

#define CR0_PE BIT64(0)
#define CR0_ET BIT64(4)
#define CR0_NW BIT64(29)
#define CR0_CD BIT64(30)
#define CR0_PG BIT64(31)
#define EFER_LME BIT64(8)
#define EFER_LMA BIT64(10)
#define EFER_KNOWN (BIT64(0) | EFER_LME | EFER_LMA | BIT64(11))
#define CR4_PAE BIT64(5)
#define CR4_LA57 BIT64(12)
#define XSAVE_MXCSR 24u
#define XSAVE_FCW 0u
#define XSAVE_HEADER 512u

static void clear_registers(struct vcpu *vcpu)
{
	memset(&vcpu->hvm.regs, 0, sizeof(vcpu->hvm.regs));
	vcpu->hvm.regs.rflags = RFLAGS_FIXED;
	vcpu->hvm.inject.kind = HVM_EVENT_NONE;
	vcpu->hvm.shadow = false;
	vcpu->hvm.nmi_blocked = false;
	vcpu->hvm.cr8 = 0;
	vcpu->shadow_rip = UINT64_MAX;
	vcpu->halted = false;
	__atomic_store_n(&vcpu->done, false, __ATOMIC_SEQ_CST);
	vcpu->waiting = false;
	vcpu->nmi_pending = false;
	vcpu->paging_valid = false;
	memset(vcpu->dr, 0, sizeof(vcpu->dr));
	memset(vcpu->xsave, 0, 4096);
	*(uint32_t *)(void *)((uint8_t *)vcpu->xsave + XSAVE_MXCSR) = 0x1f80;
	*(uint16_t *)(void *)((uint8_t *)vcpu->xsave + XSAVE_FCW) = 0x37f;
	*(uint64_t *)(void *)((uint8_t *)vcpu->xsave + XSAVE_HEADER) = 3; /* x87 and SSE are in the area */
	vcpu->xcr0 = 1;
	tlb_forget(&vcpu->tlb);
}

static void set_segments(struct hvm_state *state, uint64_t base, uint32_t limit, uint16_t code, uint16_t data)
{
	for (unsigned int i = HVM_ES; i <= HVM_GS; i++) {
		state->segments[i] = (struct hvm_segment){0, limit, 0, data};
	}
	state->segments[HVM_CS] = (struct hvm_segment){base, limit, (uint16_t)(base >> 4), code};
	state->segments[HVM_LDTR] = (struct hvm_segment){0, 0xffff, 0, 0x82};
	state->segments[HVM_TR] = (struct hvm_segment){0, 0xffff, 0, 0x8b};
}

static void power_on(struct hvm_state *state)
{
	memset(state, 0, sizeof(*state));
	state->gdt_limit = 0xffff;
	state->idt_limit = 0xffff;
	state->dr6 = 0xffff0ff0u;
	state->dr7 = 0x400;
}

void vcpu_reset_state(struct vcpu *vcpu, uint8_t sipi_vector)
{
	struct hvm_state state;

	clear_registers(vcpu);
	power_on(&state);
	set_segments(&state, (uint64_t)sipi_vector << 12, 0xffff, 0x9b, 0x93);
	/* CD and NW are set after INIT; the CPU caches all the same here, and VMRUN refuses NW without CD. */
	state.cr0 = CR0_ET | CR0_CD | CR0_NW;
	vcpu->hvm.regs.gpr[REG_RDX] = cpu_id(1, 0).eax;
	hvm->state_set(&vcpu->hvm, &state);
}

void vcpu_set_boot_entry(struct vcpu *vcpu, uint32_t entry, uint32_t magic, uint32_t info)
{
	struct hvm_state state;

	clear_registers(vcpu);
	power_on(&state);
	set_segments(&state, 0, 0xffffffffu, 0xc9b, 0xc93);
	state.segments[HVM_CS].selector = 8;
	state.segments[HVM_TR] = (struct hvm_segment){0, 0x67, 0, 0x8b};
	state.cr0 = CR0_PE | CR0_ET;
	vcpu->hvm.regs.rip = entry;
	vcpu->hvm.regs.gpr[REG_RAX] = magic;
	vcpu->hvm.regs.gpr[REG_RBX] = info;
	hvm->state_set(&vcpu->hvm, &state);
	vcpu->life = LIFE_UP;
	vcpu->done = false;
}

static struct hvm_segment segment_of(const struct vcpu_segment *s)
{
	return (struct hvm_segment){s->base, s->limit, s->selector, s->attributes};
}

/* What every x86-64 CPU refuses to run. */
static bool is_possible(const struct vcpu_context *c)
{
	bool paging = (c->cr0 & CR0_PG) != 0;
	bool long_mode = (c->efer & EFER_LME) != 0 && paging;

	return (!paging || (c->cr0 & CR0_PE) != 0) && (c->efer & ~EFER_KNOWN) == 0 && (c->cr0 >> 32) == 0 &&
	       ((c->cr0 & CR0_NW) == 0 || (c->cr0 & CR0_CD) != 0) &&
	       (!long_mode || (c->cr4 & CR4_PAE) != 0) && (c->cr4 & CR4_LA57) == 0 &&
	       c->cr3 >> P2M_ADDRESS_BITS == 0 && ((c->efer & EFER_LMA) == 0 || long_mode);
}

enum vm_status vcpu_initialise(struct vcpu *vcpu, const struct vcpu_context *c)
{
	struct hvm_state state;

	if (vcpu->life != LIFE_WAIT_SIPI) {
		return VM_EBUSY;
	}
	if (!is_possible(c)) {
		return VM_EINVAL;
	}
	clear_registers(vcpu);
	power_on(&state);
	state.segments[HVM_ES] = segment_of(&c->es);
	state.segments[HVM_CS] = segment_of(&c->cs);
	state.segments[HVM_SS] = segment_of(&c->ss);
	state.segments[HVM_DS] = segment_of(&c->ds);
	state.segments[HVM_FS] = segment_of(&c->fs);
	state.segments[HVM_GS] = segment_of(&c->gs);
	state.segments[HVM_TR] = segment_of(&c->tr);
	state.segments[HVM_LDTR] = segment_of(&c->ldtr);
	state.gdt_base = c->gdt_base;
	state.gdt_limit = c->gdt_limit;
	state.idt_base = c->idt_base;
	state.idt_limit = c->idt_limit;
	state.cr0 = c->cr0 | CR0_ET;
	state.cr3 = c->cr3;
	state.cr4 = c->cr4;
	state.efer = c->efer;
	if ((c->cr0 & CR0_PG) != 0 && (c->efer & EFER_LME) != 0) {
		state.efer |= EFER_LMA;
	}
	vcpu->hvm.regs = c->regs;
	vcpu->hvm.regs.rflags |= RFLAGS_FIXED;
	hvm->state_set(&vcpu->hvm, &state);
	vcpu->life = LIFE_DOWN;
	return VM_OK;
}
