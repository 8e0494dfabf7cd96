/*
 * vmx_setup.c - VMX turned on, CPU by CPU, and a vCPU's VMCS made and moved (Intel SDM 3C, 23.7, 24.11, 31.5).
 */
#include "base/mem.h"
#include "hypervisor/arch/x86/vmx/judge.h"
#include "hypervisor/arch/x86/vmx/vmx.h"

#define CR4_VMXE BIT64(13)
#define PAT_AT_RESET 0x0007040600070406ull
#define EXCEPTIONS_TAKEN (BIT(1) | BIT(17) | BIT(18)) /* #DB, #AC, #MC: see core/exit.c */
/* PAUSEs at most so many ticks apart are one loop; a loop this long ends the stay. */
#define PLE_GAP 128u
#define PLE_WINDOW 4096u

static uint8_t vmxon_regions[HOST_CPUS_MAX][4096] ALIGNED(4096);
/* One bit an MSR: reads of the low ones, of the high ones, writes of both. All exit but vmx_free_msrs(). */
static uint8_t msr_bitmap[4096] ALIGNED(4096);
static struct vmx_facts facts;
static uint32_t timer_shift;

static uint64_t capability(uint32_t msr)
{
	uint64_t value;

	return msr_read_safe(msr, &value) ? value : 0;
}

struct hvm_fitness vmx_probe(void)
{
	static const uint32_t msrs[VMX_FACT_COUNT] = {
	        [VMX_FACT_BASIC] = MSR_VMX_BASIC,
	        [VMX_FACT_PROCBASED2] = MSR_VMX_PROCBASED2,
	        [VMX_FACT_EPT_VPID_CAP] = MSR_VMX_EPT_VPID_CAP,
	        [VMX_FACT_PIN] = MSR_VMX_TRUE_PIN,
	        [VMX_FACT_PROC] = MSR_VMX_TRUE_PROC,
	        [VMX_FACT_EXIT] = MSR_VMX_TRUE_EXIT,
	        [VMX_FACT_ENTRY] = MSR_VMX_TRUE_ENTRY,
	};

	facts.has_vmx = (cpu_id(1, 0).ecx & BIT(5)) != 0;
	if (!facts.has_vmx) {
		return vmx_judge(&facts);
	}
	facts.has_rdtscp = (cpu_id(0x80000001u, 0).edx & BIT(27)) != 0;
	facts.has_invpcid = cpu_id(0, 0).eax >= 7 && (cpu_id(7, 0).ebx & BIT(10)) != 0;
	facts.feature_control = capability(MSR_FEATURE_CONTROL);
	for (size_t i = 0; i < VMX_FACT_COUNT; i++) {
		facts.word[i] = capability(msrs[i]);
	}
	return vmx_judge(&facts);
}

static void msr_bitmap_fill(void)
{
	size_t count;
	const uint32_t *list = vmx_free_msrs(&count);

	memset(msr_bitmap, 0xff, sizeof(msr_bitmap));
	for (size_t i = 0; i < count; i++) {
		uint32_t byte = (list[i] >= 0xc0000000u ? 1024u : 0u) + (list[i] & 0x1fffu) / 8;
		uint8_t without = (uint8_t) ~(1u << list[i] % 8);

		msr_bitmap[byte] &= without;
		msr_bitmap[2048 + byte] &= without;
	}
}

static void feature_control_enable(void)
{
	uint64_t control = msr_read(MSR_FEATURE_CONTROL);

	if ((control & FEATURE_CONTROL_LOCKED) == 0) {
		msr_write(MSR_FEATURE_CONTROL, control | FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMXON);
	} else if ((control & FEATURE_CONTROL_VMXON) == 0) {
		PANIC("virtualization is locked off by firmware on this CPU, but not on the first");
	}
}

static uint64_t fixed(uint64_t value, uint32_t fixed0, uint32_t fixed1)
{
	return (value | msr_read(fixed0)) & msr_read(fixed1);
}

void vmx_cpu_enable(void)
{
	uint8_t *region = vmxon_regions[cpu_self()];
	uint64_t at = host_hpa_of(region).v;
	bool failed;

	if (cpu_self() == 0) {
		msr_bitmap_fill();
		timer_shift = (uint32_t)msr_read(MSR_VMX_MISC) & 31;
	}
	feature_control_enable();
	cr0_write(fixed(cr0_read(), MSR_VMX_CR0_FIXED0, MSR_VMX_CR0_FIXED1));
	cr4_write(fixed(cr4_read() | CR4_VMXE, MSR_VMX_CR4_FIXED0, MSR_VMX_CR4_FIXED1));
	*(uint32_t *)(void *)region = (uint32_t)facts.word[VMX_FACT_BASIC] & 0x7fffffffu;
	__asm__ volatile("vmxon %[at]" : "=@ccbe"(failed) : [at] "m"(at) : "memory");
	if (failed) {
		PANIC("VMXON failed");
	}
	/* Whatever stood in the TLB before counts as nothing's. */
}

uint32_t vmx_timer_shift(void)
{
	return timer_shift;
}

void vmx_vcpu_create(struct hvm_vcpu *vcpu, void *const *pages)
{
	struct vmx_vcpu *v = pages[2];

	_Static_assert(sizeof(*v) <= 4096, "a page");
	vcpu->backend = v;
	v->vmcs = host_hpa_of(pages[0]);
	v->apic_page = host_hpa_of(pages[1]);
	v->apic = pages[1];
	v->dr6 = 0xffff0ff0u;
	*(uint32_t *)pages[0] = (uint32_t)facts.word[VMX_FACT_BASIC] & 0x7fffffffu;
}

static void vmcs_clear(hpa_t at)
{
	bool failed;

	__asm__ volatile("vmclear %[at]" : "=@ccbe"(failed) : [at] "m"(at.v) : "memory");
	CHECK(!failed);
}

static void vmcs_load(hpa_t at)
{
	bool failed;

	__asm__ volatile("vmptrld %[at]" : "=@ccbe"(failed) : [at] "m"(at.v) : "memory");
	CHECK(!failed);
}

static uint32_t secondary_controls(void)
{
	uint32_t wanted = SECONDARY_EPT | SECONDARY_VPID | SECONDARY_WBINVD | SECONDARY_UNRESTRICTED |
	                  SECONDARY_PAUSE_LOOP;

	wanted |= facts.has_rdtscp ? SECONDARY_RDTSCP : 0;
	wanted |= facts.has_invpcid ? SECONDARY_INVPCID : 0;
	return vmx_controls(facts.word[VMX_FACT_PROCBASED2], wanted);
}

/* Every exit by PAUSE where the CPU cannot tell a loop. */
static uint32_t primary_controls(uint32_t secondary)
{
	uint32_t pause = (secondary & SECONDARY_PAUSE_LOOP) != 0 ? 0 : PRIMARY_PAUSE;

	return vmx_controls(facts.word[VMX_FACT_PROC], VMX_PRIMARY_ALWAYS | pause);
}

static void fill_controls(struct vmx_vcpu *v, hpa_t nested_root)
{
	uint32_t secondary = secondary_controls();

	v->primary = primary_controls(secondary);
	vmcs_write(VMCS_PIN_CONTROLS, vmx_controls(facts.word[VMX_FACT_PIN], VMX_PIN_NEEDED));
	vmcs_write(VMCS_PRIMARY_CONTROLS, v->primary);
	vmcs_write(VMCS_SECONDARY_CONTROLS, secondary);
	vmcs_write(VMCS_EXIT_CONTROLS, vmx_controls(facts.word[VMX_FACT_EXIT], VMX_EXIT_NEEDED));
	vmcs_write(VMCS_ENTRY_CONTROLS,
	           vmx_controls(facts.word[VMX_FACT_ENTRY], VMX_ENTRY_NEEDED & ~ENTRY_GUEST_64));
	vmcs_write(VMCS_EXCEPTION_BITMAP, EXCEPTIONS_TAKEN);
	vmcs_write(VMCS_CR3_TARGET_COUNT, 0);
	vmcs_write(VMCS_EXIT_MSR_STORE_COUNT, 0);
	vmcs_write(VMCS_EXIT_MSR_LOAD_COUNT, 0);
	vmcs_write(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
	vmcs_write(VMCS_MSR_BITMAP, host_hpa_of(msr_bitmap).v);
	vmcs_write(VMCS_VIRTUAL_APIC_PAGE, v->apic_page.v);
	vmcs_write(VMCS_TPR_THRESHOLD, 0);
	vmcs_write(VMCS_EPT_POINTER, nested_root.v | EPTP_WB_LEVELS_4);
	vmcs_write(VMCS_TSC_OFFSET, v->tsc_offset);
	if ((secondary & SECONDARY_PAUSE_LOOP) != 0) {
		vmcs_write(VMCS_PLE_GAP, PLE_GAP);
		vmcs_write(VMCS_PLE_WINDOW, PLE_WINDOW);
	}
}

static void fill_guest(void)
{
	vmcs_write(VMCS_LINK_POINTER, UINT64_MAX);
	vmcs_write(VMCS_GUEST_DEBUGCTL, 0);
	vmcs_write(VMCS_GUEST_PAT, PAT_AT_RESET);
	vmcs_write(VMCS_GUEST_ACTIVITY, 0);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
	vmcs_write(VMCS_GUEST_SYSENTER_CS, 0);
	vmcs_write(VMCS_GUEST_SYSENTER_ESP, 0);
	vmcs_write(VMCS_GUEST_SYSENTER_EIP, 0);
}

/* The exit finds this CPU as it was. It sets the limits of GDT and IDT to 64 KiB: nothing here loads a selector behind ours. */
static void fill_host(void)
{
	struct host_cpu_state host;

	host_cpu_state_get(&host);
	vmcs_write(VMCS_HOST_ES_SELECTOR, 0);
	vmcs_write(VMCS_HOST_CS_SELECTOR, HOST_CS);
	vmcs_write(VMCS_HOST_SS_SELECTOR, HOST_DS);
	vmcs_write(VMCS_HOST_DS_SELECTOR, 0);
	vmcs_write(VMCS_HOST_FS_SELECTOR, 0);
	vmcs_write(VMCS_HOST_GS_SELECTOR, 0);
	vmcs_write(VMCS_HOST_TR_SELECTOR, HOST_TR);
	vmcs_write(VMCS_HOST_CR0, cr0_read());
	vmcs_write(VMCS_HOST_CR3, host.cr3);
	vmcs_write(VMCS_HOST_CR4, cr4_read());
	vmcs_write(VMCS_HOST_FS_BASE, 0);
	vmcs_write(VMCS_HOST_GS_BASE, host.gs_base);
	vmcs_write(VMCS_HOST_TR_BASE, host.tss_base);
	vmcs_write(VMCS_HOST_GDTR_BASE, host.gdt_base);
	vmcs_write(VMCS_HOST_IDTR_BASE, host.idt_base);
	vmcs_write(VMCS_HOST_SYSENTER_CS, 0);
	vmcs_write(VMCS_HOST_SYSENTER_ESP, 0);
	vmcs_write(VMCS_HOST_SYSENTER_EIP, 0);
	vmcs_write(VMCS_HOST_PAT, msr_read(MSR_PAT));
	vmcs_write(VMCS_HOST_EFER, msr_read(MSR_EFER));
	vmcs_write(VMCS_HOST_RIP, (uint64_t)(uintptr_t)vmx_exit);
}

void vmx_load(struct hvm_vcpu *vcpu)
{
	struct vmx_vcpu *v = vmx_of(vcpu);

	if (!v->is_filled) {
		vmcs_clear(v->vmcs);
	}
	vmcs_load(v->vmcs);
	if (!v->is_filled) {
		fill_controls(v, vcpu->nested_root);
		fill_guest();
		v->is_filled = true;
	}
	if (v->host_cpu != cpu_self() + 1) {
		fill_host();
		v->host_cpu = cpu_self() + 1;
	}
	vmx_registers_load(v);
	v->is_loaded = true;
}

/* Cleared, so that another CPU may load it (24.11.1). */
void vmx_unload(struct hvm_vcpu *vcpu)
{
	struct vmx_vcpu *v = vmx_of(vcpu);

	vmx_registers_save(v);
	v->is_loaded = false;
	v->is_launched = false;
	vmcs_clear(v->vmcs);
}
