/*
 * vmx_state.c - a vCPU's registers, segments and MSRs, to and from its VMCS (Intel SDM 3C, 24.4).
 *
 * Control registers: bits that the CPU must have set in VMX operation, and those that a guest must not change on the
 * CPU itself (CD, NW, MCE), are the host's; the guest sees its own values of them in the read shadows (24.6.6).
 */
#include "hypervisor/arch/x86/vmx/vmx.h"

#define CR0_PE BIT64(0)
#define CR0_ET BIT64(4)
#define CR0_NE BIT64(5)
#define CR0_NW BIT64(29)
#define CR0_CD BIT64(30)
#define CR0_PG BIT64(31)
#define CR0_HOSTS (CR0_NE | CR0_NW | CR0_CD)
#define CR4_MCE BIT64(6)
#define CR4_VMXE BIT64(13)
/* VME PVI TSD DE PSE PAE, PGE PCE OSFXSR OSXMMEXCPT UMIP, FSGSBASE PCIDE OSXSAVE, SMEP SMAP */
#define CR4_GUESTS (0x3full | 0xf80ull | BIT64(16) | BIT64(17) | BIT64(18) | BIT64(20) | BIT64(21))
#define CR4_HOSTS (~CR4_GUESTS)

#define MSR_SYSENTER_CS 0x174u
#define MSR_SYSENTER_ESP 0x175u
#define MSR_SYSENTER_EIP 0x176u
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u

static const uint32_t free_msrs[] = {
        0xc0000081u,     0xc0000082u,      0xc0000083u,
        0xc0000084u,     0xc0000102u, /* STAR, LSTAR, CSTAR, SFMASK, KERNEL_GS_BASE */
        MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,
        MSR_FS_BASE,     MSR_GS_BASE,
};

/* The first of them are those that the VMCS does not hold. */
static const uint32_t *const syscall_msrs = free_msrs;

const uint32_t *vmx_free_msrs(size_t *count)
{
	*count = ARRAY_COUNT(free_msrs);
	return free_msrs;
}

void vmx_registers_load(const struct vmx_vcpu *v)
{
	cr2_write(v->cr2);
	dr6_write(v->dr6);
	for (size_t i = 0; i < SYSCALL_MSR_COUNT; i++) {
		msr_write(syscall_msrs[i], v->syscall[i]);
	}
}

void vmx_registers_save(struct vmx_vcpu *v)
{
	v->cr2 = cr2_read();
	v->dr6 = dr6_read();
	for (size_t i = 0; i < SYSCALL_MSR_COUNT; i++) {
		v->syscall[i] = msr_read(syscall_msrs[i]);
	}
}

/* Each segment has its fields at the same distance. */
static enum vmcs_field of_segment(enum vmcs_field first, unsigned int name)
{
	return (enum vmcs_field)(first + 2 * name);
}

static struct hvm_segment segment_get(unsigned int name)
{
	uint32_t access = (uint32_t)vmcs_read(of_segment(VMCS_GUEST_ES_ACCESS, name));
	uint16_t attributes = (uint16_t)((access & 0xff) | (access >> 4 & 0xf00));

	if ((access & ACCESS_UNUSABLE) != 0) {
		attributes &= 0x60; /* not present; SS's DPL is the CPL even so */
	}
	return (struct hvm_segment){
	        vmcs_read(of_segment(VMCS_GUEST_ES_BASE, name)),
	        (uint32_t)vmcs_read(of_segment(VMCS_GUEST_ES_LIMIT, name)),
	        (uint16_t)vmcs_read(of_segment(VMCS_GUEST_ES_SELECTOR, name)),
	        attributes,
	};
}

static void segment_set(unsigned int name, const struct hvm_segment *s)
{
	uint32_t access = (s->attributes & 0xffu) | (s->attributes & 0xf00u) << 4;

	if ((s->attributes & BIT(7)) == 0) {
		access |= ACCESS_UNUSABLE;
	}
	vmcs_write(of_segment(VMCS_GUEST_ES_BASE, name), s->base);
	vmcs_write(of_segment(VMCS_GUEST_ES_LIMIT, name), s->limit);
	vmcs_write(of_segment(VMCS_GUEST_ES_SELECTOR, name), s->selector);
	vmcs_write(of_segment(VMCS_GUEST_ES_ACCESS, name), access);
}

/* IA-32e mode is told to the entry by a control too (26.3.1.1). */
static void efer_set(uint64_t efer)
{
	uint32_t entry = (uint32_t)vmcs_read(VMCS_ENTRY_CONTROLS);

	entry = (efer & EFER_LMA) != 0 ? entry | ENTRY_GUEST_64 : entry & ~ENTRY_GUEST_64;
	vmcs_write(VMCS_ENTRY_CONTROLS, entry);
	vmcs_write(VMCS_GUEST_EFER, efer);
}

static uint64_t cr0_get(void)
{
	return (vmcs_read(VMCS_GUEST_CR0) & ~CR0_HOSTS) | (vmcs_read(VMCS_CR0_SHADOW) & CR0_HOSTS);
}

static uint64_t cr4_get(void)
{
	return (vmcs_read(VMCS_GUEST_CR4) & CR4_GUESTS) | (vmcs_read(VMCS_CR4_SHADOW) & CR4_HOSTS);
}

static void control_registers_set(const struct hvm_state *state)
{
	vmcs_write(VMCS_CR0_MASK, CR0_HOSTS);
	vmcs_write(VMCS_CR0_SHADOW, state->cr0);
	vmcs_write(VMCS_GUEST_CR0, (state->cr0 & ~CR0_HOSTS) | CR0_NE | CR0_ET);
	vmcs_write(VMCS_GUEST_CR3, state->cr3);
	vmcs_write(VMCS_CR4_MASK, CR4_HOSTS);
	vmcs_write(VMCS_CR4_SHADOW, state->cr4);
	vmcs_write(VMCS_GUEST_CR4, (state->cr4 & CR4_GUESTS) | CR4_VMXE | CR4_MCE);
}

void vmx_state_apply(struct vmx_vcpu *v)
{
	const struct hvm_state *state = &v->state;

	for (unsigned int i = 0; i < HVM_SEGMENT_COUNT; i++) {
		segment_set(i, &state->segments[i]);
	}
	vmcs_write(VMCS_GUEST_GDTR_BASE, state->gdt_base);
	vmcs_write(VMCS_GUEST_GDTR_LIMIT, state->gdt_limit);
	vmcs_write(VMCS_GUEST_IDTR_BASE, state->idt_base);
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, state->idt_limit);
	control_registers_set(state);
	efer_set(state->efer);
	vmcs_write(VMCS_GUEST_DR7, state->dr7);
	cr2_write(state->cr2);
	dr6_write(state->dr6);
	v->state_waits = false;
}

void vmx_state_get(const struct hvm_vcpu *vcpu, struct hvm_state *state)
{
	const struct vmx_vcpu *v = vmx_of(vcpu);

	if (v->state_waits || !v->is_loaded) {
		*state = v->state;
		return;
	}
	for (unsigned int i = 0; i < HVM_SEGMENT_COUNT; i++) {
		state->segments[i] = segment_get(i);
	}
	state->gdt_base = vmcs_read(VMCS_GUEST_GDTR_BASE);
	state->gdt_limit = (uint16_t)vmcs_read(VMCS_GUEST_GDTR_LIMIT);
	state->idt_base = vmcs_read(VMCS_GUEST_IDTR_BASE);
	state->idt_limit = (uint16_t)vmcs_read(VMCS_GUEST_IDTR_LIMIT);
	state->cr0 = cr0_get();
	state->cr2 = cr2_read();
	state->cr3 = vmcs_read(VMCS_GUEST_CR3);
	state->cr4 = cr4_get();
	state->efer = vmcs_read(VMCS_GUEST_EFER);
	state->dr6 = dr6_read();
	state->dr7 = vmcs_read(VMCS_GUEST_DR7);
}

void vmx_state_set(struct hvm_vcpu *vcpu, const struct hvm_state *state)
{
	struct vmx_vcpu *v = vmx_of(vcpu);

	v->state = *state;
	v->state_waits = true;
}

static void paging_of_state(const struct hvm_state *state, struct hvm_paging *paging)
{
	paging->cr0 = state->cr0;
	paging->cr3 = state->cr3;
	paging->cr4 = state->cr4;
	paging->efer = state->efer;
	paging->cs_base = state->segments[HVM_CS].base;
	paging->cs_long = (state->segments[HVM_CS].attributes & BIT(9)) != 0;
	paging->cs_default32 = (state->segments[HVM_CS].attributes & BIT(10)) != 0;
	paging->cpl = state->segments[HVM_SS].attributes >> 5 & 3;
}

void vmx_paging_get(const struct hvm_vcpu *vcpu, struct hvm_paging *paging)
{
	const struct vmx_vcpu *v = vmx_of(vcpu);
	uint32_t access;

	if (v->state_waits || !v->is_loaded) {
		paging_of_state(&v->state, paging);
		return;
	}
	access = (uint32_t)vmcs_read(of_segment(VMCS_GUEST_ES_ACCESS, HVM_CS));
	paging->cr0 = cr0_get();
	paging->cr3 = vmcs_read(VMCS_GUEST_CR3);
	paging->cr4 = cr4_get();
	paging->efer = vmcs_read(VMCS_GUEST_EFER);
	paging->cs_base = vmcs_read(of_segment(VMCS_GUEST_ES_BASE, HVM_CS));
	paging->cs_long = (access & BIT(13)) != 0;
	paging->cs_default32 = (access & BIT(14)) != 0;
	paging->cpl = (uint8_t)(vmcs_read(of_segment(VMCS_GUEST_ES_ACCESS, HVM_SS)) >> 5 & 3);
}

/*
 * A bit of the host's that the guest may have its own view of: the shadow gets the new value, and the instruction
 * runs again, now without an exit; the CPU itself then does all else that comes with it (paging, long mode).
 */
bool vmx_write_control_register(const struct hvm_vcpu *vcpu, uint64_t qualification)
{
	uint64_t value = vcpu->regs.gpr[qualification >> 8 & 15];

	if ((vmcs_read(VMCS_GUEST_EFER) & EFER_LMA) == 0) {
		value = (uint32_t)value;
	}
	if ((qualification & 15) == 0) {
		bool paging_alone = (value & (CR0_PG | CR0_PE)) == CR0_PG;
		bool nw_alone = (value & (CR0_NW | CR0_CD)) == CR0_NW;

		if (value >> 32 != 0 || paging_alone || nw_alone) {
			return false;
		}
		vmcs_write(VMCS_CR0_SHADOW, value);
		return true;
	}
	if ((value & CR4_HOSTS & ~CR4_MCE) != 0) {
		return false;
	}
	vmcs_write(VMCS_CR4_SHADOW, value);
	return true;
}

static enum vmcs_field field_of_msr(uint32_t msr)
{
	switch (msr) {
	case MSR_SYSENTER_CS:
		return VMCS_GUEST_SYSENTER_CS;
	case MSR_SYSENTER_ESP:
		return VMCS_GUEST_SYSENTER_ESP;
	case MSR_SYSENTER_EIP:
		return VMCS_GUEST_SYSENTER_EIP;
	case MSR_PAT:
		return VMCS_GUEST_PAT;
	case MSR_EFER:
		return VMCS_GUEST_EFER;
	case MSR_FS_BASE:
		return of_segment(VMCS_GUEST_ES_BASE, HVM_FS);
	case MSR_GS_BASE:
		return of_segment(VMCS_GUEST_ES_BASE, HVM_GS);
	default:
		return VMCS_VPID; /* none of an MSR */
	}
}

static bool is_syscall_msr(uint32_t msr)
{
	for (size_t i = 0; i < SYSCALL_MSR_COUNT; i++) {
		if (syscall_msrs[i] == msr) {
			return true;
		}
	}
	return false;
}

bool vmx_msr_get(const struct hvm_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	enum vmcs_field field = field_of_msr(msr);

	(void)vcpu;
	if (is_syscall_msr(msr)) {
		*value = msr_read(msr);
		return true;
	}
	if (field == VMCS_VPID) {
		return false;
	}
	*value = vmcs_read(field);
	return true;
}

bool vmx_msr_set(struct hvm_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	enum vmcs_field field = field_of_msr(msr);

	(void)vcpu;
	if (is_syscall_msr(msr)) {
		msr_write(msr, value);
		return true;
	}
	if (field == VMCS_VPID) {
		return false;
	}
	if (msr == MSR_EFER) {
		efer_set(value);
	} else {
		vmcs_write(field, value);
	}
	return true;
}
