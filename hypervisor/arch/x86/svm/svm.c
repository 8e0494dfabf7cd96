/*
 * svm.c - AMD's virtualization (AMD64 APM volume 2, chapter 15) as a struct hvm_ops.
 *
 * Nothing above this folder knows a VMCB. Nested paging is required. Next-RIP save, decode assists, clean bits
 * and flush-by-ASID are not assumed: a flush is "all", which is always right.
 */
#include "base/bits.h"
#include "base/check.h"
#include "base/mem.h"
#include "hypervisor/arch/x86/host.h"
#include "hypervisor/arch/x86/hvm_ops.h"
#include "hypervisor/arch/x86/svm/judge.h"
#include "hypervisor/arch/x86/svm/vmcb.h"

#define MSR_EFER 0xc0000080u
#define VECTOR_DB 1u
#define VECTOR_AC 17u
#define VECTOR_MC 18u

/* One page of host state for VMRUN and one for VMSAVE, a CPU. */
struct svm_cpu {
	uint8_t host_save[4096];
	uint8_t host_extra[4096];
};

static struct svm_cpu svm_cpus[HOST_CPUS_MAX] ALIGNED(4096);
/* All I/O exits; one map for all. 12 KiB and two bytes' worth, filled with ones. */
static uint8_t svm_iopm[3 * 4096] ALIGNED(4096);
/* MSRs whose state VMLOAD and VMSAVE swap run free, all others exit. */
static uint8_t svm_msrpm[2 * 4096] ALIGNED(4096);

void svm_enter(struct cpu_regs *regs, uint64_t vmcb_pa, uint64_t host_vmcb_pa);

static const uint32_t free_msrs[] = {
        0x174u,      0x175u,      0x176u, /* SYSENTER_CS, ESP, EIP */
        0xc0000081u, 0xc0000082u, 0xc0000083u, 0xc0000084u, /* STAR, LSTAR, CSTAR, SFMASK */
        0xc0000100u, 0xc0000101u, 0xc0000102u, /* FS, GS, KERNEL_GS base */
};

static struct hvm_fitness svm_probe(void)
{
	struct svm_facts facts = {.max_extended_leaf = cpu_id(0x80000000u, 0).eax};

	if (facts.max_extended_leaf >= 0x8000000au) {
		facts.leaf_80000001_ecx = cpu_id(0x80000001u, 0).ecx;
		facts.leaf_8000000a_edx = cpu_id(0x8000000au, 0).edx;
	}
	if ((facts.leaf_80000001_ecx & BIT(2)) != 0 && !msr_read_safe(MSR_VM_CR, &facts.vm_cr)) {
		facts.vm_cr = 0; /* a CPU without the register cannot have it locked */
	}
	return svm_judge(&facts);
}

/* Two bits an MSR: read, write. Three ranges of 8192 MSRs (15.11). */
static void msrpm_free(uint32_t msr)
{
	uint32_t base = msr >= 0xc0000000u ? 0x800u : 0;
	uint32_t bit = (msr & 0x1fffu) * 2;

	svm_msrpm[base + bit / 8] &= (uint8_t) ~(3u << bit % 8);
}

static void svm_cpu_enable(void)
{
	struct svm_cpu *cpu = &svm_cpus[cpu_self()];

	if (cpu_self() == 0) {
		memset(svm_iopm, 0xff, sizeof(svm_iopm));
		memset(svm_msrpm, 0xff, sizeof(svm_msrpm));
		for (size_t i = 0; i < ARRAY_COUNT(free_msrs); i++) {
			msrpm_free(free_msrs[i]);
		}
	}
	msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_SVME);
	msr_write(MSR_VM_HSAVE_PA, host_hpa_of(cpu->host_save).v);
	__asm__ volatile("vmsave %0" : : "a"(host_hpa_of(cpu->host_extra).v) : "memory");
}

static uint32_t svm_asid_count(void)
{
	return cpu_id(0x8000000au, 0).ebx;
}

static uint32_t svm_vcpu_page_count(void)
{
	return 1;
}

static struct vmcb *vmcb_of(const struct hvm_vcpu *vcpu)
{
	return vcpu->backend;
}

static void svm_vcpu_create(struct hvm_vcpu *vcpu, void *const *pages)
{
	struct vmcb *vmcb = pages[0];

	vcpu->backend = vmcb;
	vmcb->intercept_exceptions = BIT(VECTOR_DB) | BIT(VECTOR_AC) | BIT(VECTOR_MC); /* see core/exit.c */
	vmcb->intercept_a = SVM_A_INTR | SVM_A_NMI | SVM_A_SMI | SVM_A_INIT | SVM_A_RDPMC | SVM_A_CPUID |
	                    SVM_A_RSM | SVM_A_INVD | SVM_A_PAUSE | SVM_A_HLT | SVM_A_INVLPGA | SVM_A_IOIO |
	                    SVM_A_MSR | SVM_A_SHUTDOWN;
	vmcb->intercept_b = SVM_B_VMRUN | SVM_B_VMMCALL | SVM_B_VMLOAD | SVM_B_VMSAVE | SVM_B_STGI |
	                    SVM_B_CLGI | SVM_B_SKINIT | SVM_B_WBINVD | SVM_B_MONITOR | SVM_B_MWAIT |
	                    SVM_B_XSETBV;
	vmcb->iopm_base = host_hpa_of(svm_iopm).v;
	vmcb->msrpm_base = host_hpa_of(svm_msrpm).v;
	vmcb->v_masking = 1;
	vmcb->np_enable = 1;
	vmcb->g_pat = 0x0007040600070406ull;
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

	svm_enter(&vcpu->regs, host_hpa_of(vmcb).v, host_hpa_of(svm_cpus[cpu_self()].host_extra).v);

	vcpu->regs.gpr[REG_RAX] = vmcb->rax;
	vcpu->regs.gpr[REG_RSP] = vmcb->rsp;
	vcpu->regs.rip = vmcb->rip;
	vcpu->regs.rflags = vmcb->rflags;
	vcpu->shadow = (vmcb->interrupt_shadow & 1) != 0;
	vcpu->cr8 = vmcb->v_tpr & 0xf;
	decode_exit(vmcb, out);
	take_back_interrupt(vmcb, vcpu, out);
}

static struct vmcb_segment *segment_of(struct vmcb *vmcb, unsigned int name)
{
	struct vmcb_segment *const table[HVM_SEGMENT_COUNT] = {
	        [HVM_ES] = &vmcb->es, [HVM_CS] = &vmcb->cs, [HVM_SS] = &vmcb->ss,     [HVM_DS] = &vmcb->ds,
	        [HVM_FS] = &vmcb->fs, [HVM_GS] = &vmcb->gs, [HVM_LDTR] = &vmcb->ldtr, [HVM_TR] = &vmcb->tr,
	};

	return table[name];
}

static void svm_state_get(const struct hvm_vcpu *vcpu, struct hvm_state *state)
{
	struct vmcb *vmcb = vmcb_of(vcpu);

	for (unsigned int i = 0; i < HVM_SEGMENT_COUNT; i++) {
		const struct vmcb_segment *s = segment_of(vmcb, i);

		state->segments[i] = (struct hvm_segment){s->base, s->limit, s->selector, s->attributes};
	}
	state->gdt_base = vmcb->gdtr.base;
	state->gdt_limit = (uint16_t)vmcb->gdtr.limit;
	state->idt_base = vmcb->idtr.base;
	state->idt_limit = (uint16_t)vmcb->idtr.limit;
	state->cr0 = vmcb->cr0;
	state->cr2 = vmcb->cr2;
	state->cr3 = vmcb->cr3;
	state->cr4 = vmcb->cr4;
	state->efer = vmcb->efer & ~EFER_SVME;
	state->dr6 = vmcb->dr6;
	state->dr7 = vmcb->dr7;
}

static void svm_state_set(struct hvm_vcpu *vcpu, const struct hvm_state *state)
{
	struct vmcb *vmcb = vmcb_of(vcpu);

	for (unsigned int i = 0; i < HVM_SEGMENT_COUNT; i++) {
		const struct hvm_segment *s = &state->segments[i];

		*segment_of(vmcb, i) = (struct vmcb_segment){s->selector, s->attributes, s->limit, s->base};
	}
	vmcb->gdtr = (struct vmcb_segment){0, 0, state->gdt_limit, state->gdt_base};
	vmcb->idtr = (struct vmcb_segment){0, 0, state->idt_limit, state->idt_base};
	vmcb->cpl = (uint8_t)(state->segments[HVM_SS].attributes >> 5 & 3);
	vmcb->cr0 = state->cr0;
	vmcb->cr2 = state->cr2;
	vmcb->cr3 = state->cr3;
	vmcb->cr4 = state->cr4;
	vmcb->efer = state->efer | EFER_SVME;
	vmcb->dr6 = state->dr6;
	vmcb->dr7 = state->dr7;
}

static void svm_paging_get(const struct hvm_vcpu *vcpu, struct hvm_paging *paging)
{
	const struct vmcb *vmcb = vmcb_of(vcpu);

	paging->cr0 = vmcb->cr0;
	paging->cr3 = vmcb->cr3;
	paging->cr4 = vmcb->cr4;
	paging->efer = vmcb->efer & ~EFER_SVME;
	paging->cs_base = vmcb->cs.base;
	paging->cs_long = (vmcb->cs.attributes & BIT(9)) != 0;
	paging->cs_default32 = (vmcb->cs.attributes & BIT(10)) != 0;
	paging->cpl = vmcb->cpl;
}

static uint64_t *msr_home(struct vmcb *vmcb, uint32_t msr)
{
	switch (msr) {
	case 0x174:
		return &vmcb->sysenter_cs;
	case 0x175:
		return &vmcb->sysenter_esp;
	case 0x176:
		return &vmcb->sysenter_eip;
	case 0x277:
		return &vmcb->g_pat;
	case 0xc0000081u:
		return &vmcb->star;
	case 0xc0000082u:
		return &vmcb->lstar;
	case 0xc0000083u:
		return &vmcb->cstar;
	case 0xc0000084u:
		return &vmcb->sfmask;
	case 0xc0000100u:
		return &vmcb->fs.base;
	case 0xc0000101u:
		return &vmcb->gs.base;
	case 0xc0000102u:
		return &vmcb->kernel_gs_base;
	default:
		return NULL;
	}
}

static bool svm_msr_get(const struct hvm_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	struct vmcb *vmcb = vmcb_of(vcpu);
	const uint64_t *home = msr_home(vmcb, msr);

	if (msr == MSR_EFER) {
		*value = vmcb->efer & ~EFER_SVME;
		return true;
	}
	if (home != NULL) {
		*value = *home;
	}
	return home != NULL;
}

static bool svm_msr_set(struct hvm_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	struct vmcb *vmcb = vmcb_of(vcpu);
	uint64_t *home = msr_home(vmcb, msr);

	if (msr == MSR_EFER) {
		vmcb->efer = value | EFER_SVME;
		return true;
	}
	if (home != NULL) {
		*home = value;
	}
	return home != NULL;
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
	return entry | (size == HVM_PAGE_2M ? BIT64(7) : 0);
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
