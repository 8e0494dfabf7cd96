/*
 * judge.c - whether a CPU's VMX has all that Janus needs (Intel SDM 3C, 23.6 to 23.8; 3D, appendix A). Pure: hosted
 * tests make their own facts.
 */
#include "hypervisor/arch/x86/vmx/judge.h"

#include "hypervisor/arch/x86/vmx/vmcs.h"

struct need {
	enum vmx_fact fact;
	uint64_t bits; /* all of these */
	const char *missing;
};

/* A control that may be 1 has its bit in the upper half of its capability MSR. */
#define MAY_BE_1(controls) ((uint64_t)(controls) << 32)

static const struct need needs[] = {
        {VMX_FACT_PROCBASED2, MAY_BE_1(SECONDARY_EPT),
         "this CPU has VMX but no EPT (nested paging), which Janus needs"},
        {VMX_FACT_PROCBASED2, MAY_BE_1(SECONDARY_UNRESTRICTED),
         "this CPU's VMX has no unrestricted guest mode, which Janus needs"},
        {VMX_FACT_PROCBASED2, MAY_BE_1(SECONDARY_VPID), "this CPU's VMX has no VPID, which Janus needs"},
        {VMX_FACT_PROCBASED2, MAY_BE_1(SECONDARY_WBINVD),
         "this CPU's VMX has no WBINVD exiting, which Janus needs"},
        {VMX_FACT_BASIC, BIT64(55), "this CPU's VMX has no TRUE capability MSRs, which Janus needs"},
        {VMX_FACT_EPT_VPID_CAP, EPT_CAP_LEVELS_4 | EPT_CAP_WRITE_BACK | EPT_CAP_2M,
         "this CPU's EPT lacks 4 levels, write-back tables or 2 MiB pages, which Janus needs"},
        {VMX_FACT_EPT_VPID_CAP, EPT_CAP_INVEPT_ALL | EPT_CAP_INVVPID_ALL,
         "this CPU lacks INVEPT or INVVPID of all contexts, which Janus needs"},
        {VMX_FACT_PIN, MAY_BE_1(VMX_PIN_NEEDED),
         "this CPU's VMX lacks virtual NMIs or the preemption timer, which Janus needs"},
        {VMX_FACT_PROC, MAY_BE_1(VMX_PRIMARY_NEEDED),
         "this CPU's VMX lacks a processor control that Janus needs: TPR shadow, MSR bitmaps or windows"},
        {VMX_FACT_EXIT, MAY_BE_1(VMX_EXIT_NEEDED),
         "this CPU's VMX cannot switch EFER or PAT at an exit, which Janus needs"},
        {VMX_FACT_ENTRY, MAY_BE_1(VMX_ENTRY_NEEDED),
         "this CPU's VMX cannot switch EFER or PAT at an entry, which Janus needs"},
};

struct hvm_fitness vmx_judge(const struct vmx_facts *facts)
{
	if (!facts->has_vmx) {
		return (struct hvm_fitness){.is_there = false};
	}
	if ((facts->feature_control & FEATURE_CONTROL_LOCKED) != 0 &&
	    (facts->feature_control & FEATURE_CONTROL_VMXON) == 0) {
		return (struct hvm_fitness){
		        .is_there = true,
		        .missing = "virtualization is locked off by firmware: enable VT-x in its setup"};
	}
	for (size_t i = 0; i < ARRAY_COUNT(needs); i++) {
		if ((facts->word[needs[i].fact] & needs[i].bits) != needs[i].bits) {
			return (struct hvm_fitness){.is_there = true, .missing = needs[i].missing};
		}
	}
	/* Shown to guests, so it must work in them. */
	if (facts->has_rdtscp && (facts->word[VMX_FACT_PROCBASED2] & MAY_BE_1(SECONDARY_RDTSCP)) == 0) {
		return (struct hvm_fitness){
		        .is_there = true,
		        .missing = "this CPU's VMX does not let guests use RDTSCP, which the CPU has"};
	}
	if (facts->has_invpcid && (facts->word[VMX_FACT_PROCBASED2] & MAY_BE_1(SECONDARY_INVPCID)) == 0) {
		return (struct hvm_fitness){
		        .is_there = true,
		        .missing = "this CPU's VMX does not let guests use INVPCID, which the CPU has"};
	}
	return (struct hvm_fitness){.is_there = true,
	                            .huge_pages = (facts->word[VMX_FACT_EPT_VPID_CAP] & EPT_CAP_1G) != 0};
}

uint32_t vmx_controls(uint64_t capability, uint32_t wanted)
{
	uint32_t must_be_1 = (uint32_t)capability;
	uint32_t may_be_1 = (uint32_t)(capability >> 32);

	return (wanted & may_be_1) | must_be_1;
}
