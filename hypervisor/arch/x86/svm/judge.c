/*
 * judge.c - whether a CPU's SVM has all that Janus needs (AMD64 APM volume 2, 15.4). Pure: hosted tests make their own
 * facts.
 */
#include "hypervisor/arch/x86/svm/judge.h"

#include "base/bits.h"
#include "hypervisor/arch/x86/svm/vmcb.h"

struct hvm_fitness svm_judge(const struct svm_facts *facts)
{
	if (facts->max_extended_leaf < 0x8000000au || (facts->leaf_80000001_ecx & BIT(2)) == 0) {
		return (struct hvm_fitness){.is_there = false};
	}
	if ((facts->vm_cr & VM_CR_SVMDIS) != 0) {
		return (struct hvm_fitness){
		        .is_there = true,
		        .missing = "virtualization is disabled by firmware: enable SVM in its setup"};
	}
	if ((facts->leaf_8000000a_edx & BIT(0)) == 0) {
		return (struct hvm_fitness){
		        .is_there = true,
		        .missing = "this CPU has SVM but no nested paging, which Janus needs"};
	}
	/* Nested tables are of the host's own format (15.25.5). */
	return (struct hvm_fitness){.is_there = true,
	                            .huge_pages = (facts->leaf_80000001_edx & BIT(26)) != 0};
}
