/*
 * svm.c - AMD's virtualization (AMD64 APM volume 2, chapter 15) as a struct hvm_ops: entry, exit and what each exit means.
 *
 * Nothing above this folder knows a VMCB. Nested paging is required. Next-RIP save, decode assists, clean bits
 * and flush-by-ASID are not assumed: a flush is "all", which is always right.
 */
#include "hypervisor/arch/x86/svm/svm.h"

#define NO_RIP UINT64_MAX

static uint32_t svm_asid_count(void)
{
	return cpu_id(0x8000000au, 0).ebx;
}

static uint32_t svm_vcpu_page_count(void)
{
	return 1;
}

static uint64_t event_word(const struct hvm_event *event)
{
	uint64_t type = 0;

	switch (event->kind) {
	case HVM_EVENT_NONE:
		return 0;
	case HVM_EVENT_INTERRUPT:
		type = 0;
		break;
	case HVM_EVENT_NMI:
		type = 2;
		break;
	case HVM_EVENT_EXCEPTION:
		type = 3;
		break;
	case HVM_EVENT_SOFTWARE:
		type = 4;
		break;
	}
	return event->vector | type << 8 | (event->has_error ? SVM_EVENT_ERROR : 0) | SVM_EVENT_VALID |
	       (uint64_t)event->error << 32;
}

static struct hvm_event word_event(uint64_t word)
{
	static const enum hvm_event_kind kinds[8] = {
	        [0] = HVM_EVENT_INTERRUPT,
	        [2] = HVM_EVENT_NMI,
	        [3] = HVM_EVENT_EXCEPTION,
	        [4] = HVM_EVENT_SOFTWARE,
	};
	struct hvm_event event = {HVM_EVENT_NONE, 0, false, 0};

	if ((word & SVM_EVENT_VALID) != 0) {
		event.kind = kinds[word >> 8 & 7];
		event.vector = (uint8_t)word;
		if (event.kind == HVM_EVENT_EXCEPTION && event.vector >= 32) {
			event.kind =
			        HVM_EVENT_INTERRUPT; /* TCG calls a virtual interrupt that met a fault so */
		}
		event.has_error = (word & SVM_EVENT_ERROR) != 0;
		event.error = (uint32_t)(word >> 32);
	}
	return event;
}

static void decode_io(struct hvm_exit *out, uint64_t info)
{
	out->reason = HVM_EXIT_IO;
	out->io.port = (uint16_t)(info >> 16);
	out->io.in = (info & 1) != 0;
	out->io.string = (info & 4) != 0;
	out->io.rep = (info & 8) != 0;
	out->io.bytes = (uint8_t)(info >> 4 & 7);
}

static void decode_memory(struct hvm_exit *out, const struct vmcb *vmcb)
{
	uint64_t error = vmcb->exit_info1;

	out->reason = HVM_EXIT_MEMORY;
	out->memory.gpa = vmcb->exit_info2;
	out->memory.access = ((error & 1) != 0 ? HVM_MEMORY_PRESENT : 0u) |
	                     ((error & 2) != 0 ? HVM_MEMORY_WRITE : 0u) |
	                     ((error & 16) != 0 ? HVM_MEMORY_FETCH : 0u);
}

static enum hvm_exit_reason plain_reason(uint32_t code)
{
	switch (code) {
	case SVM_EXIT_INTR:
	case SVM_EXIT_NMI:
	case SVM_EXIT_SMI:
	case SVM_EXIT_INIT:
		return HVM_EXIT_HOST;
	case SVM_EXIT_VINTR:
		return HVM_EXIT_WINDOW;
	case SVM_EXIT_CPUID:
		return HVM_EXIT_CPUID;
	case SVM_EXIT_HLT:
		return HVM_EXIT_HLT;
	case SVM_EXIT_PAUSE:
		return HVM_EXIT_PAUSE;
	case SVM_EXIT_VMMCALL:
		return HVM_EXIT_HYPERCALL;
	case SVM_EXIT_MSR:
		return HVM_EXIT_MSR;
	case SVM_EXIT_CR8_WRITE:
		return HVM_EXIT_CR8;
	case SVM_EXIT_XSETBV:
		return HVM_EXIT_XSETBV;
	case SVM_EXIT_WBINVD:
	case SVM_EXIT_INVD:
		return HVM_EXIT_CACHE;
	case SVM_EXIT_RDPMC:
		return HVM_EXIT_REFUSED;
	case SVM_EXIT_SHUTDOWN:
		return HVM_EXIT_SHUTDOWN;
	case SVM_EXIT_INVALID:
		return HVM_EXIT_INVALID;
	case SVM_EXIT_RSM:
	case SVM_EXIT_MONITOR:
	case SVM_EXIT_MWAIT:
	case SVM_EXIT_INVLPGA:
		return HVM_EXIT_FORBIDDEN;
	default:
		return code >= SVM_EXIT_VMRUN && code <= SVM_EXIT_SKINIT ? HVM_EXIT_FORBIDDEN
		                                                         : HVM_EXIT_UNKNOWN;
	}
}

/* The debug exception has already set DR6 and DR7 (15.12.2). */
static struct hvm_event exception_of(uint32_t code, uint32_t error)
{
	uint8_t vector = (uint8_t)(code - SVM_EXIT_EXCEPTION_FIRST);

	if (vector == VECTOR_MC) {
		PANIC("machine check while a guest ran");
	}
	return (struct hvm_event){HVM_EVENT_EXCEPTION, vector, vector == VECTOR_AC, error};
}

static void decode_exit(const struct vmcb *vmcb, struct hvm_exit *out)
{
	uint32_t code = (uint32_t)vmcb->exit_code; /* an emulator leaves the upper half clear for -1 */

	out->code = code;
	out->next_rip = vmcb->next_rip;
	out->undelivered = word_event(vmcb->exit_int_info);
	if (code == SVM_EXIT_IOIO) {
		decode_io(out, vmcb->exit_info1);
		out->next_rip = vmcb->exit_info2;
	} else if (code == SVM_EXIT_NPF) {
		decode_memory(out, vmcb);
	} else if (code >= SVM_EXIT_EXCEPTION_FIRST && code <= SVM_EXIT_EXCEPTION_LAST) {
		out->reason = HVM_EXIT_EXCEPTION;
		out->exception = exception_of(code, (uint32_t)vmcb->exit_info1);
	} else {
		out->reason = plain_reason(code);
		out->msr.write = code == SVM_EXIT_MSR && vmcb->exit_info1 == 1;
	}
}

/*
 * The virtual interrupt of the VMCB, at priority 15 with TPR ignored, so that only RFLAGS.IF and the shadow count.
 * With its intercept on it is never delivered: the CPU exits just when it could be (the window).
 *
 * It also delivers external interrupts, in place of event injection: QEMU's TCG leaves the vector behind as
 * a pending exception after it has injected an interrupt at VMRUN, and if its own thread is woken in that
 * moment, delivers it a second time, with interrupts off. Both ways are the same on a real CPU.
 */
static void set_virtual_interrupt(struct vmcb *vmcb, const struct hvm_vcpu *vcpu)
{
	bool deliver = vcpu->inject.kind == HVM_EVENT_INTERRUPT;
	bool window = vcpu->want_window && !deliver;

	vmcb->v_irq = deliver || window ? 1 : 0;
	vmcb->v_prio = vmcb->v_irq != 0 ? 0x1f : 0;
	vmcb->v_vector = deliver ? vcpu->inject.vector : 0;
	if (window) {
		vmcb->intercept_a |= SVM_A_VINTR;
	} else {
		vmcb->intercept_a &= ~SVM_A_VINTR;
	}
}

/*
 * The CPU does not tell whether an NMI is being handled. So from its injection on IRET exits; that exit comes before
 * the IRET, which is then let through, and at the next exit elsewhere it has been.
 */
static void watch_iret(struct vmcb *vmcb, struct hvm_vcpu *vcpu)
{
	if (vcpu->inject.kind == HVM_EVENT_NMI) {
		vcpu->nmi_blocked = true;
		vmcb->ours_iret_rip = NO_RIP;
	}
	if (vcpu->nmi_blocked && vmcb->ours_iret_rip == NO_RIP) {
		vmcb->intercept_a |= SVM_A_IRET;
	} else {
		vmcb->intercept_a &= ~SVM_A_IRET;
	}
}

static void note_iret(struct vmcb *vmcb, struct hvm_vcpu *vcpu, struct hvm_exit *out)
{
	if ((uint32_t)vmcb->exit_code == SVM_EXIT_IRET) {
		vmcb->ours_iret_rip = vmcb->rip;
		out->reason = HVM_EXIT_DONE;
	} else if (vmcb->ours_iret_rip != NO_RIP && vmcb->rip != vmcb->ours_iret_rip) {
		vmcb->ours_iret_rip = NO_RIP;
		vcpu->nmi_blocked = false;
	}
}

/* An exit came before the interrupt could be delivered: it is given back. */
static void take_back_interrupt(const struct vmcb *vmcb, const struct hvm_vcpu *vcpu, struct hvm_exit *out)
{
	if (vcpu->inject.kind == HVM_EVENT_INTERRUPT && (vmcb->v_irq & 1) != 0 &&
	    out->undelivered.kind == HVM_EVENT_NONE) {
		out->undelivered = vcpu->inject;
	}
}

/* VMRUN takes a VMCB wherever it is: nothing is tied to a CPU. */
static void svm_load(struct hvm_vcpu *vcpu)
{
	(void)vcpu;
}

static void svm_run(struct hvm_vcpu *vcpu, struct hvm_exit *out)
{
	struct vmcb *vmcb = vmcb_of(vcpu);

	vmcb->rax = vcpu->regs.gpr[REG_RAX];
	vmcb->rsp = vcpu->regs.gpr[REG_RSP];
	vmcb->rip = vcpu->regs.rip;
	vmcb->rflags = vcpu->regs.rflags;
	vmcb->event_inject = vcpu->inject.kind == HVM_EVENT_INTERRUPT ? 0 : event_word(&vcpu->inject);
	vmcb->interrupt_shadow = vcpu->shadow ? 1 : 0;
	vmcb->n_cr3 = vcpu->nested_root.v;
	vmcb->tsc_offset = vcpu->tsc_offset;
	vmcb->asid = vcpu->asid;
	/* flush_nested asks for nothing here: what is cached of nested tables belongs to the ASID too. */
	vmcb->tlb_control = vcpu->flush_tlb ? SVM_TLB_FLUSH_ALL : 0;
	vmcb->v_tpr = vcpu->cr8;
	vmcb->intercept_cr_write = vcpu->want_cr8 ? SVM_CR_WRITE_CR8 : 0;
	vmcb->clean = 0;
	set_virtual_interrupt(vmcb, vcpu);
	watch_iret(vmcb, vcpu);

	svm_enter(&vcpu->regs, host_hpa_of(vmcb).v, svm_host_extra().v);

	vcpu->regs.gpr[REG_RAX] = vmcb->rax;
	vcpu->regs.gpr[REG_RSP] = vmcb->rsp;
	vcpu->regs.rip = vmcb->rip;
	vcpu->regs.rflags = vmcb->rflags;
	vcpu->shadow = (vmcb->interrupt_shadow & 1) != 0;
	vcpu->cr8 = vmcb->v_tpr & 0xf;
	decode_exit(vmcb, out);
	take_back_interrupt(vmcb, vcpu, out);
	note_iret(vmcb, vcpu, out);
}

/* Nested entries are those of long mode, seen as user accesses (15.25.5). */
static uint64_t svm_page_entry(hpa_t at, enum hvm_page_size size, uint32_t access)
{
	uint64_t entry = at.v | BIT64(0) | BIT64(2);

	if (size == HVM_PAGE_TABLE) {
		return entry | BIT64(1);
	}
	if ((access & HVM_PAGE_WRITE) != 0) {
		entry |= BIT64(1);
	}
	if ((access & HVM_PAGE_EXECUTE) == 0) {
		entry |= BIT64(63);
	}
	return entry | (size != HVM_PAGE_4K ? BIT64(7) : 0);
}

static const uint8_t vmmcall[3] = {0x0f, 0x01, 0xd9};

const struct hvm_ops svm_ops = {
        .name = "SVM",
        .probe = svm_probe,
        .cpu_enable = svm_cpu_enable,
        .asid_count = svm_asid_count,
        .vcpu_page_count = svm_vcpu_page_count,
        .vcpu_create = svm_vcpu_create,
        .load = svm_load,
        .unload = svm_load,
        .run = svm_run,
        .state_get = svm_state_get,
        .state_set = svm_state_set,
        .paging_get = svm_paging_get,
        .msr_get = svm_msr_get,
        .msr_set = svm_msr_set,
        .page_entry = svm_page_entry,
        .hypercall_opcode = vmmcall,
};
