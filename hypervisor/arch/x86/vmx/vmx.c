/*
 * vmx.c - Intel's virtualization (Intel SDM 3C) as a struct hvm_ops: entry, exit and what each exit means.
 *
 * Nothing above this folder knows a VMCS. EPT, unrestricted guest mode, VPID, the preemption timer and virtual NMIs are
 * required (judge.c). All ports exit, so there is no I/O bitmap.
 */
#include "hypervisor/arch/x86/vmx/vmx.h"

#define APIC_PAGE_TPR 0x80u
#define VECTOR_DB 1u
#define VECTOR_MC 18u
#define CR0_PE BIT64(0)
#define VPID_COUNT 65536u
#define PREEMPTION_TICKS_MAX 0xffffffffull
#define INVALIDATE_ALL 2u /* of INVEPT and of INVVPID */

static uint32_t vmx_asid_count(void)
{
	return VPID_COUNT;
}

static uint32_t vmx_vcpu_page_count(void)
{
	return 3;
}

/* ---------------------------------------------------------------- entry */

struct ALIGNED(16) invalidation {
	uint64_t low, high;
};

static void invalidate_linear(void)
{
	static const struct invalidation all = {0, 0};
	bool failed;

	__asm__ volatile("invvpid %[all], %[type]"
	                 : "=@ccbe"(failed)
	                 : [all] "m"(all), [type] "r"((uint64_t)INVALIDATE_ALL)
	                 : "memory");
	CHECK(!failed);
}

static void invalidate_nested(void)
{
	static const struct invalidation all = {0, 0};
	bool failed;

	__asm__ volatile("invept %[all], %[type]"
	                 : "=@ccbe"(failed)
	                 : [all] "m"(all), [type] "r"((uint64_t)INVALIDATE_ALL)
	                 : "memory");
	CHECK(!failed);
}

static uint32_t event_type(enum hvm_event_kind kind)
{
	switch (kind) {
	case HVM_EVENT_INTERRUPT:
		return VMX_EVENT_INTERRUPT;
	case HVM_EVENT_NMI:
		return VMX_EVENT_NMI;
	case HVM_EVENT_SOFTWARE:
		return VMX_EVENT_SOFTWARE_INTERRUPT;
	default:
		return VMX_EVENT_EXCEPTION;
	}
}

/* In real mode an exception has no error code (26.2.1.3). */
static void set_event(const struct hvm_event *event)
{
	uint32_t word;

	if (event->kind == HVM_EVENT_NONE) {
		return; /* the CPU clears the valid bit at each exit */
	}
	word = event->vector | event_type(event->kind) << 8 | VMX_EVENT_VALID;
	if (event->has_error && (vmcs_read(VMCS_GUEST_CR0) & CR0_PE) != 0) {
		word |= VMX_EVENT_ERROR;
		vmcs_write(VMCS_ENTRY_ERROR_CODE, event->error);
	}
	vmcs_write(VMCS_ENTRY_EVENT, word);
}

/* What still blocks interrupts. STI's shadow and MOV SS's stay what they were; core ends both alike. */
static void set_blocked(struct vmx_vcpu *v, const struct hvm_vcpu *vcpu)
{
	uint32_t blocked = v->blocked;

	if (!vcpu->shadow) {
		blocked &= ~(BLOCKED_BY_STI | BLOCKED_BY_MOV_SS);
	} else if ((blocked & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS)) == 0) {
		blocked |= BLOCKED_BY_MOV_SS;
	}
	/* An NMI that is delivered again had set it (26.3.1.5). */
	if (vcpu->nmi_blocked && vcpu->inject.kind != HVM_EVENT_NMI) {
		blocked |= BLOCKED_BY_NMI;
	} else {
		blocked &= ~BLOCKED_BY_NMI;
	}
	if (blocked != v->blocked) {
		v->blocked = blocked;
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, blocked);
	}
}

static void set_primary(struct vmx_vcpu *v, const struct hvm_vcpu *vcpu)
{
	uint32_t primary = v->primary & ~(PRIMARY_INTERRUPT_WINDOW | PRIMARY_NMI_WINDOW | PRIMARY_CR8_LOAD);

	primary |= vcpu->want_window ? PRIMARY_INTERRUPT_WINDOW : 0;
	primary |= vcpu->want_nmi_window ? PRIMARY_NMI_WINDOW : 0;
	primary |= vcpu->want_cr8 ? PRIMARY_CR8_LOAD : 0;
	if (primary != v->primary) {
		v->primary = primary;
		vmcs_write(VMCS_PRIMARY_CONTROLS, primary);
	}
}

static void set_translation(struct vmx_vcpu *v, const struct hvm_vcpu *vcpu)
{
	if (v->vpid != vcpu->asid) {
		v->vpid = vcpu->asid;
		vmcs_write(VMCS_VPID, vcpu->asid);
	}
	if (vcpu->flush_nested) {
		invalidate_nested();
	}
	if (vcpu->flush_tlb) {
		invalidate_linear();
	}
}

/* The timer runs whatever RFLAGS.IF is. */
static void set_timer(const struct hvm_vcpu *vcpu)
{
	uint64_t now = tsc_read();
	uint64_t ticks;

	ticks = vcpu->until_tsc > now ? ((vcpu->until_tsc - now) >> vmx_timer_shift()) + 1 : 0;
	vmcs_write(VMCS_PREEMPTION_TIMER, ticks < PREEMPTION_TICKS_MAX ? ticks : PREEMPTION_TICKS_MAX);
}

static void prepare(struct vmx_vcpu *v, const struct hvm_vcpu *vcpu)
{
	if (v->state_waits) {
		vmx_state_apply(v);
	}
	if (v->tsc_offset != vcpu->tsc_offset) {
		v->tsc_offset = vcpu->tsc_offset;
		vmcs_write(VMCS_TSC_OFFSET, v->tsc_offset);
	}
	v->apic[APIC_PAGE_TPR] = (uint8_t)(vcpu->cr8 << 4);
	vmcs_write(VMCS_GUEST_RSP, vcpu->regs.gpr[REG_RSP]);
	vmcs_write(VMCS_GUEST_RIP, vcpu->regs.rip);
	vmcs_write(VMCS_GUEST_RFLAGS, vcpu->regs.rflags);
	set_event(&vcpu->inject);
	set_blocked(v, vcpu);
	set_primary(v, vcpu);
	set_translation(v, vcpu);
	set_timer(vcpu);
}

/* ---------------------------------------------------------------- exit */

static struct hvm_event event_of(uint32_t word, uint32_t error)
{
	static const enum hvm_event_kind kinds[8] = {
	        [VMX_EVENT_INTERRUPT] = HVM_EVENT_INTERRUPT,
	        [VMX_EVENT_NMI] = HVM_EVENT_NMI,
	        [VMX_EVENT_EXCEPTION] = HVM_EVENT_EXCEPTION,
	        [VMX_EVENT_SOFTWARE_INTERRUPT] = HVM_EVENT_SOFTWARE,
	        [VMX_EVENT_PRIVILEGED] = HVM_EVENT_SOFTWARE,
	        [VMX_EVENT_SOFTWARE_EXCEPTION] = HVM_EVENT_SOFTWARE,
	};
	bool has_error = (word & VMX_EVENT_ERROR) != 0;

	if ((word & VMX_EVENT_VALID) == 0) {
		return (struct hvm_event){HVM_EVENT_NONE, 0, false, 0};
	}
	return (struct hvm_event){kinds[word >> 8 & 7], (uint8_t)word, has_error, has_error ? error : 0};
}

static struct hvm_event undelivered(void)
{
	uint32_t word = (uint32_t)vmcs_read(VMCS_VECTORING_EVENT);

	if ((word & VMX_EVENT_VALID) == 0) {
		return (struct hvm_event){HVM_EVENT_NONE, 0, false, 0};
	}
	return event_of(word, (uint32_t)vmcs_read(VMCS_VECTORING_ERROR_CODE));
}

/* An IRET that ended the blocking and then met a fault: it is to be in force again (27.2.3). */
static void block_nmi_again(struct vmx_vcpu *v, uint64_t word, const struct hvm_exit *out)
{
	if ((word & VMX_EVENT_NMI_UNBLOCKED) != 0 && out->undelivered.kind == HVM_EVENT_NONE) {
		v->blocked |= BLOCKED_BY_NMI;
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, v->blocked);
	}
}

/* For a debug exception the CPU tells, and has not written, what is new in DR6 (27.2.1). */
static void decode_exception(struct vmx_vcpu *v, struct hvm_exit *out)
{
	uint32_t word = (uint32_t)vmcs_read(VMCS_EXIT_EVENT);
	struct hvm_event event = event_of(word, (uint32_t)vmcs_read(VMCS_EXIT_ERROR_CODE));

	if (event.kind == HVM_EVENT_NMI) {
		out->reason = HVM_EXIT_HOST;
		cpu_take_nmi();
		return;
	}
	if (event.vector == VECTOR_MC) {
		PANIC("machine check while a guest ran");
	}
	if (event.vector == VECTOR_DB) {
		dr6_write(dr6_read() | (vmcs_read(VMCS_QUALIFICATION) & 0xe00full));
	}
	block_nmi_again(v, word, out);
	out->reason = HVM_EXIT_EXCEPTION;
	out->exception = event;
}

static void decode_io(struct hvm_exit *out)
{
	uint64_t qualification = vmcs_read(VMCS_QUALIFICATION);

	out->reason = HVM_EXIT_IO;
	out->io.port = (uint16_t)(qualification >> 16);
	out->io.bytes = (uint8_t)((qualification & 7) + 1);
	out->io.in = (qualification & 8) != 0;
	out->io.string = (qualification & 16) != 0;
	out->io.rep = (qualification & 32) != 0;
}

static void decode_memory(struct vmx_vcpu *v, struct hvm_exit *out)
{
	uint64_t qualification = vmcs_read(VMCS_QUALIFICATION);

	block_nmi_again(v, qualification, out);
	out->reason = HVM_EXIT_MEMORY;
	out->memory.gpa = vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS);
	out->memory.access = ((qualification & 2) != 0 ? HVM_MEMORY_WRITE : 0u) |
	                     ((qualification & 4) != 0 ? HVM_MEMORY_FETCH : 0u) |
	                     ((qualification & 0x38) != 0 ? HVM_MEMORY_PRESENT : 0u);
}

static void decode_control_register(const struct hvm_vcpu *vcpu, struct hvm_exit *out)
{
	uint64_t qualification = vmcs_read(VMCS_QUALIFICATION);

	if ((qualification & 0x30) != 0) {
		out->reason = HVM_EXIT_UNKNOWN; /* no MOV to: none of those is asked for */
	} else if ((qualification & 15) == 8) {
		out->reason = HVM_EXIT_CR8;
	} else {
		out->reason =
		        vmx_write_control_register(vcpu, qualification) ? HVM_EXIT_DONE : HVM_EXIT_REFUSED;
		out->next_rip = 0; /* it runs again, or faults */
	}
}

/* Exits that have no more to tell. */
static enum hvm_exit_reason plain_reason(uint32_t code)
{
	switch (code) {
	case VMX_EXIT_INIT:
	case VMX_EXIT_SIPI:
	case VMX_EXIT_IO_SMI:
	case VMX_EXIT_SMI:
	case VMX_EXIT_PREEMPTION_TIMER:
		return HVM_EXIT_HOST;
	case VMX_EXIT_INTERRUPT_WINDOW:
	case VMX_EXIT_NMI_WINDOW:
		return HVM_EXIT_WINDOW;
	case VMX_EXIT_CPUID:
		return HVM_EXIT_CPUID;
	case VMX_EXIT_HLT:
		return HVM_EXIT_HLT;
	case VMX_EXIT_PAUSE:
		return HVM_EXIT_PAUSE;
	case VMX_EXIT_VMCALL:
		return HVM_EXIT_HYPERCALL;
	case VMX_EXIT_RDMSR:
	case VMX_EXIT_WRMSR:
		return HVM_EXIT_MSR;
	case VMX_EXIT_XSETBV:
		return HVM_EXIT_XSETBV;
	case VMX_EXIT_WBINVD:
	case VMX_EXIT_INVD:
		return HVM_EXIT_CACHE;
	case VMX_EXIT_RDPMC:
		return HVM_EXIT_REFUSED;
	case VMX_EXIT_TRIPLE_FAULT:
		return HVM_EXIT_SHUTDOWN;
	case VMX_EXIT_TASK_SWITCH:
		return HVM_EXIT_TASK_SWITCH;
	case VMX_EXIT_GETSEC:
	case VMX_EXIT_RSM:
	case VMX_EXIT_MWAIT:
	case VMX_EXIT_MONITOR:
	case VMX_EXIT_INVEPT:
	case VMX_EXIT_INVVPID:
	case VMX_EXIT_VMFUNC:
		return HVM_EXIT_FORBIDDEN;
	default:
		return code >= VMX_EXIT_VMCLEAR && code <= VMX_EXIT_VMXON ? HVM_EXIT_FORBIDDEN
		                                                          : HVM_EXIT_UNKNOWN;
	}
}

/* The length is told for all that an instruction caused by itself (27.2.5); others are not stepped over. */
static uint64_t next_rip(const struct hvm_vcpu *vcpu)
{
	uint64_t next = vcpu->regs.rip + vmcs_read(VMCS_INSTRUCTION_LENGTH);
	bool long_mode = (vmcs_read(VMCS_GUEST_EFER) & EFER_LMA) != 0;

	return long_mode ? next : (uint32_t)next;
}

static void decode_exit(struct hvm_vcpu *vcpu, struct hvm_exit *out, uint32_t code)
{
	struct vmx_vcpu *v = vmx_of(vcpu);

	out->undelivered = undelivered();
	switch (code) {
	case VMX_EXIT_EXCEPTION:
		decode_exception(v, out);
		return;
	case VMX_EXIT_INTERRUPT:
		out->reason = HVM_EXIT_HOST;
		host_interrupt_taken((uint8_t)vmcs_read(VMCS_EXIT_EVENT));
		return;
	case VMX_EXIT_EPT_VIOLATION:
		decode_memory(v, out);
		return;
	case VMX_EXIT_MACHINE_CHECK:
		PANIC("machine check at the entry into a guest");
	default:
		break;
	}
	out->reason = plain_reason(code);
	if (out->reason == HVM_EXIT_HOST || out->reason == HVM_EXIT_WINDOW) {
		return;
	}
	out->next_rip = next_rip(vcpu);
	if (code == VMX_EXIT_IO) {
		decode_io(out);
	} else if (code == VMX_EXIT_CR) {
		decode_control_register(vcpu, out);
	} else {
		out->msr.write = code == VMX_EXIT_WRMSR;
	}
}

static void fetch_registers(struct vmx_vcpu *v, struct hvm_vcpu *vcpu)
{
	vcpu->regs.gpr[REG_RSP] = vmcs_read(VMCS_GUEST_RSP);
	vcpu->regs.rip = vmcs_read(VMCS_GUEST_RIP);
	vcpu->regs.rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	v->blocked = (uint32_t)vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);
	vcpu->shadow = (v->blocked & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS)) != 0;
	vcpu->cr8 = v->apic[APIC_PAGE_TPR] >> 4;
}

static void vmx_run(struct hvm_vcpu *vcpu, struct hvm_exit *out)
{
	struct vmx_vcpu *v = vmx_of(vcpu);
	uint32_t reason;

	prepare(v, vcpu);
	out->next_rip = 0;
	if (!vmx_enter(&vcpu->regs, v->is_launched)) {
		out->reason = HVM_EXIT_INVALID;
		out->code = VMX_EXIT_NEVER_BEGAN | vmcs_read(VMCS_INSTRUCTION_ERROR);
		out->undelivered = (struct hvm_event){HVM_EVENT_NONE, 0, false, 0};
		return;
	}
	fetch_registers(v, vcpu);
	reason = (uint32_t)vmcs_read(VMCS_EXIT_REASON);
	out->code = reason;
	if ((reason & VMX_EXIT_ENTRY_FAILED) != 0) {
		out->reason = HVM_EXIT_INVALID;
		out->undelivered = (struct hvm_event){HVM_EVENT_NONE, 0, false, 0};
		return;
	}
	v->is_launched = true;
	decode_exit(vcpu, out, reason & 0xffff);
	vcpu->nmi_blocked = (v->blocked & BLOCKED_BY_NMI) != 0;
}

/* ---------------------------------------------------------------- the table */

/* Execute and read come together: every page that a guest has can be read. */
static uint64_t vmx_page_entry(hpa_t at, enum hvm_page_size size, uint32_t access)
{
	uint64_t entry = at.v | EPT_READ;

	if (size == HVM_PAGE_TABLE) {
		return entry | EPT_WRITE | EPT_EXECUTE;
	}
	entry |= (access & HVM_PAGE_WRITE) != 0 ? EPT_WRITE : 0;
	entry |= (access & HVM_PAGE_EXECUTE) != 0 ? EPT_EXECUTE : 0;
	return entry | EPT_WRITE_BACK | (size != HVM_PAGE_4K ? EPT_LARGE : 0);
}

static const uint8_t vmcall[3] = {0x0f, 0x01, 0xc1};

const struct hvm_ops vmx_ops = {
        .name = "VMX",
        .probe = vmx_probe,
        .cpu_enable = vmx_cpu_enable,
        .asid_count = vmx_asid_count,
        .vcpu_page_count = vmx_vcpu_page_count,
        .vcpu_create = vmx_vcpu_create,
        .load = vmx_load,
        .unload = vmx_unload,
        .run = vmx_run,
        .state_get = vmx_state_get,
        .state_set = vmx_state_set,
        .paging_get = vmx_paging_get,
        .msr_get = vmx_msr_get,
        .msr_set = vmx_msr_set,
        .page_entry = vmx_page_entry,
        .hypercall_opcode = vmcall,
};
