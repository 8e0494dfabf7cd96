/*
 * exit.c - what each exit of a guest does.
 */
#include "base/bits.h"
#include "hypervisor/arch/x86/cpuid_policy.h"
#include "hypervisor/arch/x86/insn.h"
#include "hypervisor/core/machine.h"
#include "vm/face.h"

#define VECTOR_UD 6u
#define VECTOR_GP 13u
#define MSR_EFER 0xc0000080u
#define MSR_TSC 0x10u
#define MSR_TSC_AUX 0xc0000103u
#define CR4_OSXSAVE BIT64(18)
#define FACE_MSR_FIRST 0x40000000u
#define FACE_MSR_LAST 0x4000ffffu

void vcpu_inject_exception(struct vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error)
{
	vcpu->hvm.inject = (struct hvm_event){HVM_EVENT_EXCEPTION, vector, has_error, error};
}

void vcpu_raise(struct vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error)
{
	vcpu_inject_exception(vcpu, vector, has_error, error);
}

static void inject_gp(struct vcpu *vcpu)
{
	vcpu_inject_exception(vcpu, VECTOR_GP, true, 0);
}

/* ---------------------------------------------------------------- CPUID */

static void host_leaf(void *ctx, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out)
{
	struct cpuid_result r = cpu_id(leaf, subleaf);

	(void)ctx;
	*out = (struct cpuid_regs){r.eax, r.ebx, r.ecx, r.edx};
}

static struct cpuid_host the_host = {.get = host_leaf};

void exit_start(void)
{
	cpuid_policy_know(&the_host);
}

static struct cpuid_input cpuid_facts(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;

	return (struct cpuid_input){
	        .host = &the_host,
	        .vcpu_index = vcpu->index,
	        .vcpu_count = vm->config.vcpu_count,
	        .xcr0 = host_xcr0() == 0 ? 0 : xcr_read(0),
	        .osxsave = (vcpu_paging(vcpu)->cr4 & CR4_OSXSAVE) != 0,
	        .apic_base = board_lapic(&vm->board, vcpu->index)->shared.apic_base,
	        .invariant_tsc = vm->clock.stable,
	        .phys_bits_max = P2M_ADDRESS_BITS,
	        .tsc_khz = (uint32_t)(vm->clock.tsc_hz / 1000),
	        .apic_bus_hz = VLAPIC_BUS_HZ,
	};
}

static void exit_cpuid(struct vcpu *vcpu, const struct hvm_exit *exit)
{
	uint64_t *gpr = vcpu->hvm.regs.gpr;
	uint32_t leaf = (uint32_t)gpr[REG_RAX];
	uint32_t subleaf = (uint32_t)gpr[REG_RCX];
	struct cpuid_regs out = {0, 0, 0, 0};

	if (!emulate_step_over(vcpu, exit, INSN_CPUID)) {
		return;
	}
	if (leaf >> 28 == 4) {
		(void)personality.cpuid(vcpu, leaf, subleaf, &out);
	} else {
		const struct cpuid_input in = cpuid_facts(vcpu);

		cpuid_policy_get(&in, leaf, subleaf, &out);
	}
	gpr[REG_RAX] = out.eax;
	gpr[REG_RBX] = out.ebx;
	gpr[REG_RCX] = out.ecx;
	gpr[REG_RDX] = out.edx;
}

/* ---------------------------------------------------------------- MSRs */

static bool has_rdtscp(void)
{
	return (the_host.features[CPUID_WORD_80000001_EDX] & BIT(27)) != 0;
}

static struct msr_env msr_facts(struct vcpu *vcpu)
{
	const struct hvm_paging *p = vcpu_paging(vcpu);

	return (struct msr_env){
	        .efer = p->efer,
	        .cr0 = p->cr0,
	        .efer_mask = the_host.efer_mask,
	        .amd = the_host.amd,
	        .rdtscp = has_rdtscp(),
	};
}

/* Asked for most: the local APIC. No policy but its own. */
static bool is_platform_msr(uint32_t msr)
{
	return msr == MSR_APIC_BASE || (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST);
}

static bool face_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	return personality.msr_read(vcpu, msr, value) == FACE_MSR_OK;
}

static bool msr_fetch(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	struct vm *vm = vcpu->vm;
	struct msr_env env;

	if (msr >= FACE_MSR_FIRST && msr <= FACE_MSR_LAST) {
		return face_read(vcpu, msr, value);
	}
	if (is_platform_msr(msr)) {
		return vlapic_msr_read(board_lapic(&vm->board, vcpu->index), msr, value);
	}
	env = msr_facts(vcpu);
	switch (msr_policy_read(&vcpu->msrs, &env, msr, value)) {
	case MSR_OK:
		return true;
	case MSR_AT_VENDOR:
		return hvm->msr_get(&vcpu->hvm, msr, value);
	case MSR_AT_PLATFORM:
		return vlapic_msr_read(board_lapic(&vm->board, vcpu->index), msr, value);
	case MSR_AT_CLOCK:
		*value = tsc_read() + vcpu->hvm.tsc_offset;
		return true;
	case MSR_AT_FACE:
		return face_read(vcpu, msr, value);
	default:
		return false;
	}
}

/* A stored value that the CPU must hold too, from now on. */
static bool load_stored(struct vcpu *vcpu, uint32_t msr)
{
	uint64_t value = msr_policy_stored(&vcpu->msrs, msr);

	if (msr == MSR_TSC_AUX) {
		msr_write(MSR_TSC_AUX, value);
		return true;
	}
	if (msr == MSR_EFER) {
		vcpu->paging_valid = false;
		tlb_forget(&vcpu->tlb); /* NXE changes what entries mean */
		value |= vcpu_paging(vcpu)->efer & BIT64(10);
		vcpu->paging_valid = false;
	}
	return hvm->msr_set(&vcpu->hvm, msr, value);
}

static bool msr_store(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	struct vm *vm = vcpu->vm;
	struct msr_env env;

	if (msr >= FACE_MSR_FIRST && msr <= FACE_MSR_LAST) {
		return personality.msr_write(vcpu, msr, value) == FACE_MSR_OK;
	}
	if (is_platform_msr(msr)) {
		return vlapic_msr_write(board_lapic(&vm->board, vcpu->index), msr, value);
	}
	env = msr_facts(vcpu);
	switch (msr_policy_write(&vcpu->msrs, &env, msr, value)) {
	case MSR_OK:
		return true;
	case MSR_LOAD:
		return load_stored(vcpu, msr);
	case MSR_AT_VENDOR:
		return hvm->msr_set(&vcpu->hvm, msr, value);
	case MSR_AT_PLATFORM:
		return vlapic_msr_write(board_lapic(&vm->board, vcpu->index), msr, value);
	case MSR_AT_CLOCK:
		return true; /* one TSC for all vCPUs: what a guest writes to it is dropped */
	case MSR_AT_FACE:
		return personality.msr_write(vcpu, msr, value) == FACE_MSR_OK;
	default:
		return false;
	}
}

void vcpu_switch_msrs(struct vcpu *vcpu)
{
	if (has_rdtscp()) {
		msr_write(MSR_TSC_AUX, msr_policy_stored(&vcpu->msrs, MSR_TSC_AUX));
	}
}

static void exit_msr(struct vcpu *vcpu, const struct hvm_exit *exit)
{
	uint64_t *gpr = vcpu->hvm.regs.gpr;
	uint32_t msr = (uint32_t)gpr[REG_RCX];
	struct cpu_regs before = vcpu->hvm.regs;
	uint64_t value = (uint64_t)(uint32_t)gpr[REG_RDX] << 32 | (uint32_t)gpr[REG_RAX];

	if (!emulate_step_over(vcpu, exit, exit->msr.write ? INSN_WRMSR : INSN_RDMSR)) {
		return;
	}
	if (exit->msr.write ? !msr_store(vcpu, msr, value) : !msr_fetch(vcpu, msr, &value)) {
		vm_count(vcpu->vm, SPEC_MSR, SPEC_UNKNOWN, true);
		vcpu->hvm.regs = before; /* a fault leaves RIP on the instruction */
		inject_gp(vcpu);
		return;
	}
	if (!exit->msr.write) {
		gpr[REG_RAX] = (uint32_t)value;
		gpr[REG_RDX] = value >> 32;
	}
}

/* ---------------------------------------------------------------- the rest */

/* The length is found first: once the face has acted, nothing may fail. The face sees RIP at the instruction. */
static void exit_hypercall(struct vcpu *vcpu, const struct hvm_exit *exit)
{
	uint64_t rip = vcpu->hvm.regs.rip;
	uint64_t next;

	if (!emulate_step_over(vcpu, exit, hvm->hypercall_opcode[2] == 0xd9 ? INSN_VMMCALL : INSN_VMCALL)) {
		return;
	}
	next = vcpu->hvm.regs.rip;
	vcpu->hvm.regs.rip = rip;
	switch (personality.hypercall(vcpu)) {
	case FACE_CALL_DONE:
		vcpu->hvm.regs.rip = next;
		break;
	case FACE_CALL_UD:
		vcpu_inject_exception(vcpu, VECTOR_UD, false, 0);
		break;
	case FACE_CALL_AGAIN:
	case FACE_CALL_STAY:
		break;
	}
}

/* Should nothing ever be able to end it, vcpu.c finds that out. */
static void exit_hlt(struct vcpu *vcpu, const struct hvm_exit *exit)
{
	if (emulate_step_over(vcpu, exit, INSN_HLT)) {
		vcpu->halted = true;
	}
}

static void exit_xsetbv(struct vcpu *vcpu, const struct hvm_exit *exit)
{
	const struct cpuid_input in = cpuid_facts(vcpu);
	uint64_t *gpr = vcpu->hvm.regs.gpr;
	uint64_t value = (uint64_t)(uint32_t)gpr[REG_RDX] << 32 | (uint32_t)gpr[REG_RAX];

	if ((uint32_t)gpr[REG_RCX] != 0 || vcpu_paging(vcpu)->cpl != 0 ||
	    !cpuid_policy_xcr0_valid(&in, value)) {
		inject_gp(vcpu);
		return;
	}
	if (emulate_step_over(vcpu, exit, INSN_XSETBV) && !xcr_write_safe(0, value)) {
		inject_gp(vcpu);
	}
}

static void exit_cr8(struct vcpu *vcpu, const struct hvm_exit *exit)
{
	struct cpu_regs before = vcpu->hvm.regs;
	uint64_t value;
	uint8_t reg;

	if (!emulate_move_to_cr8(vcpu, exit, &reg)) {
		return;
	}
	value = before.gpr[reg];
	if (value > 0xf) {
		vcpu->hvm.regs = before;
		inject_gp(vcpu);
		return;
	}
	vcpu->hvm.cr8 = (uint8_t)value;
	vlapic_set_cr8(board_lapic(&vcpu->vm->board, vcpu->index), vcpu->hvm.cr8);
}

/*
 * #DB and #AC exit because a guest whose handler causes them again, before its first instruction, would keep the CPU
 * for ever with no interrupt taken. Each goes back to the guest; between two, the host has its turn. One that came while
 * an interrupt was on its way comes again with that.
 */
static void exit_exception(struct vcpu *vcpu, const struct hvm_exit *exit)
{
	enum hvm_event_kind on_its_way = vcpu->hvm.inject.kind;

	if (on_its_way != HVM_EVENT_INTERRUPT && on_its_way != HVM_EVENT_NMI) {
		vcpu->hvm.inject = exit->exception;
	}
}

static void exit_bad(struct vcpu *vcpu, const struct hvm_exit *exit)
{
	vm_log(vcpu->vm, "vCPU %u at %lx: exit %lx", vcpu->index, (unsigned long)vcpu->hvm.regs.rip,
	       (unsigned long)exit->code);
	vm_kill(vcpu->vm, exit->reason == HVM_EXIT_INVALID ? "a state that no CPU can run"
	                                                   : "an exit that Janus does not know");
}

/* What one needs to find out why: the state, and what was injected last. */
static void exit_shutdown(struct vcpu *vcpu)
{
	struct hvm_state state;
	const struct cpu_regs *regs = &vcpu->hvm.regs;

	hvm->state_get(&vcpu->hvm, &state);
	vm_log(vcpu->vm, "vCPU %u: triple fault at %lx, flags %lx, rsp %lx, cr2 %lx, cr3 %lx, cr4 %lx",
	       vcpu->index, (unsigned long)regs->rip, (unsigned long)regs->rflags,
	       (unsigned long)regs->gpr[REG_RSP], (unsigned long)state.cr2, (unsigned long)state.cr3,
	       (unsigned long)state.cr4);
	vm_log(vcpu->vm,
	       "vCPU %u: idt %lx gdt %lx tr %lx gs %lx, last injected %u vector %u, undelivered %u vector %u",
	       vcpu->index, (unsigned long)state.idt_base, (unsigned long)state.gdt_base,
	       (unsigned long)state.segments[HVM_TR].base, (unsigned long)state.segments[HVM_GS].base,
	       vcpu->last_injected.kind, vcpu->last_injected.vector, vcpu->hvm.inject.kind,
	       vcpu->hvm.inject.vector);
	vm_kill(vcpu->vm, "triple fault");
}

void exit_handle(struct vcpu *vcpu, const struct hvm_exit *exit)
{
	vcpu->exits_by_reason[exit->reason]++;
	switch (exit->reason) {
	case HVM_EXIT_HOST:
	case HVM_EXIT_WINDOW:
	case HVM_EXIT_DONE:
		break;
	case HVM_EXIT_CPUID:
		exit_cpuid(vcpu, exit);
		break;
	case HVM_EXIT_HLT:
		exit_hlt(vcpu, exit);
		break;
	case HVM_EXIT_PAUSE:
		if (emulate_step_over(vcpu, exit, INSN_PAUSE)) {
			vcpu->yielding = sched_others_wait();
		}
		break;
	case HVM_EXIT_HYPERCALL:
		exit_hypercall(vcpu, exit);
		break;
	case HVM_EXIT_IO:
		if (exit->io.string) {
			emulate_string_io(vcpu, exit);
		} else {
			emulate_port(vcpu, exit);
		}
		break;
	case HVM_EXIT_MSR:
		exit_msr(vcpu, exit);
		break;
	case HVM_EXIT_MEMORY:
		emulate_memory(vcpu, exit);
		break;
	case HVM_EXIT_CR8:
		exit_cr8(vcpu, exit);
		break;
	case HVM_EXIT_XSETBV:
		exit_xsetbv(vcpu, exit);
		break;
	case HVM_EXIT_CACHE:
		if (!emulate_step_over(vcpu, exit, INSN_WBINVD) &&
		    !emulate_step_over(vcpu, exit, INSN_INVD)) {
			break; /* neither is there any more */
		}
		break;
	case HVM_EXIT_REFUSED:
		inject_gp(vcpu);
		break;
	case HVM_EXIT_EXCEPTION:
		exit_exception(vcpu, exit);
		break;
	case HVM_EXIT_TASK_SWITCH:
		vm_kill(vcpu->vm, "a task switch by the CPU, which Janus does not offer");
		break;
	case HVM_EXIT_FORBIDDEN:
		vcpu_inject_exception(vcpu, VECTOR_UD, false, 0);
		break;
	case HVM_EXIT_SHUTDOWN:
		exit_shutdown(vcpu);
		break;
	default:
		exit_bad(vcpu, exit);
		break;
	}
}
