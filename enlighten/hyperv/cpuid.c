/*
 * cpuid.c - the Hyper-V CPUID leaves (TLFS, feature discovery): what specs/hv_cpuid.def offers.
 *
 * Each bit stands for something that is served whole. The values are the same on all vCPUs and
 * constant: guests keep them.
 */
#include "enlighten/hyperv/hyperv_private.h"

#define HYPERV_CPUID_LAST 0x400000FFu

/* Windows Server 2016: what QEMU tells too. Guests print it and decide nothing by it. */
#define HYPERV_BUILD 14393u
#define HYPERV_MAJOR 10u
#define HYPERV_MINOR 0u

/* How often to try for a lock before NotifyLongSpinWait. */
#define HYPERV_SPIN_COUNT 0xFFFu

typedef void leaf_fn(const struct vm_config *config, struct cpuid_regs *out);

static void leaf_vendor(const struct vm_config *config, struct cpuid_regs *out)
{
	(void)config;
	*out = (struct cpuid_regs){HYPERV_CPUID_HARDWARE_FEATURES, HYPERV_VENDOR_EBX, HYPERV_VENDOR_ECX,
	                           HYPERV_VENDOR_EDX};
}

static void leaf_interface(const struct vm_config *config, struct cpuid_regs *out)
{
	(void)config;
	out->eax = HYPERV_INTERFACE_EAX;
}

static void leaf_version(const struct vm_config *config, struct cpuid_regs *out)
{
	(void)config;
	out->eax = HYPERV_BUILD;
	out->ebx = HYPERV_MAJOR << 16 | HYPERV_MINOR;
}

static void leaf_features(const struct vm_config *config, struct cpuid_regs *out)
{
	out->eax = HV_MSR_VP_RUNTIME_AVAILABLE | HV_MSR_TIME_REF_COUNT_AVAILABLE | HV_MSR_SYNIC_AVAILABLE |
	           HV_MSR_SYNTIMER_AVAILABLE | HV_MSR_HYPERCALL_AVAILABLE | HV_MSR_VP_INDEX_AVAILABLE |
	           HV_MSR_RESET_AVAILABLE | HV_MSR_GUEST_IDLE_AVAILABLE | HV_ACCESS_FREQUENCY_MSRS;
	if (config->clock->stable) {
		out->eax |= HV_MSR_REFERENCE_TSC_AVAILABLE;
	}
	out->ebx = HV_POST_MESSAGES | HV_SIGNAL_EVENTS;
	out->edx = HV_X64_GUEST_IDLE_STATE_AVAILABLE | HV_FEATURE_FREQUENCY_MSRS_AVAILABLE |
	           HV_FEATURE_GUEST_CRASH_MSR_AVAILABLE | HV_STIMER_DIRECT_MODE_AVAILABLE;
}

static void leaf_recommendations(const struct vm_config *config, struct cpuid_regs *out)
{
	(void)config;
	out->eax = HV_X64_REMOTE_TLB_FLUSH_RECOMMENDED | HV_X64_RELAXED_TIMING_RECOMMENDED |
	           HV_X64_X2APIC_MSRS_RECOMMENDED | HV_DEPRECATING_AEOI_RECOMMENDED |
	           HV_X64_CLUSTER_IPI_RECOMMENDED | HV_X64_EX_PROCESSOR_MASKS_RECOMMENDED;
	out->ebx = HYPERV_SPIN_COUNT;
}

static void leaf_limits(const struct vm_config *config, struct cpuid_regs *out)
{
	(void)config;
	out->eax = VM_VCPU_MAX;
	out->ebx = VM_VCPU_MAX;
}

static void leaf_hardware(const struct vm_config *config, struct cpuid_regs *out)
{
	(void)config;
	out->eax = HV_HARDWARE_NESTED_PAGING;
}

static void leaf_zero(const struct vm_config *config, struct cpuid_regs *out)
{
	(void)config;
	(void)out;
}

#define IS_REFUSED_OFFERED false
#define IS_REFUSED_REFUSED true
static const struct {
	uint32_t leaf;
	bool is_refused;
	leaf_fn *fill;
} rows[] = {
#define SPEC_ROW(number, name, status, handler, clause) {name, IS_REFUSED_##status, leaf_##handler},
#include "specs/hv_cpuid.def"
#undef SPEC_ROW
};

#define SPEC_ROW(number, name, status, handler, clause) \
	_Static_assert((number) == (name), "hv_cpuid.def and abi/hyperv.h");
#include "specs/hv_cpuid.def"
#undef SPEC_ROW

bool hyperv_cpuid(struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out)
{
	struct vm *vm = vcpu_vm(vcpu);

	(void)subleaf;
	if (leaf < HYPERV_CPUID_VENDOR_AND_MAX_FUNCTIONS || leaf > HYPERV_CPUID_LAST) {
		return false;
	}
	*out = (struct cpuid_regs){0};
	for (uint32_t row = 0; row < ARRAY_COUNT(rows); row++) {
		if (rows[row].leaf == leaf) {
			vm_count(vm, SPEC_HV_CPUID, row, rows[row].is_refused);
			rows[row].fill(vm_config(vm), out);
			return true;
		}
	}
	vm_count(vm, SPEC_HV_CPUID, SPEC_UNKNOWN, true);
	return true;
}
