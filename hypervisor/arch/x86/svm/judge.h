/*
 * judge.h - what Janus needs of a CPU's SVM, and the facts that it judges by.
 */
#ifndef ARCH_X86_SVM_JUDGE_H
#define ARCH_X86_SVM_JUDGE_H

#include "hypervisor/arch/x86/hvm_ops.h"

struct svm_facts {
	uint32_t max_extended_leaf;
	uint32_t leaf_80000001_ecx;
	uint32_t leaf_8000000a_edx;
	uint64_t vm_cr;
	uint32_t leaf_80000001_edx;
};

/* Whether the CPU with these @facts will do. */
struct hvm_fitness svm_judge(const struct svm_facts *facts);

#endif /* ARCH_X86_SVM_JUDGE_H */
