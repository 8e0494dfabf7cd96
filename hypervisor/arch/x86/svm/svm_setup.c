/*
 * svm_setup.c - SVM turned on, CPU by CPU, and a vCPU's VMCB made (AMD64 APM volume 2, 15.4, 15.9 to 15.14).
 */
#include "base/mem.h"
#include "hypervisor/arch/x86/svm/judge.h"
#include "hypervisor/arch/x86/svm/svm.h"

/* Leaf 8000000Ah, EDX */
#define SVM_FEATURE_PAUSE_FILTER BIT(10)
#define SVM_FEATURE_PAUSE_THRESHOLD BIT(12)
/* PAUSEs at most so many ticks apart are one loop; so many of them in one stay end it. */
#define PAUSE_FILTER_THRESHOLD 128u
#define PAUSE_FILTER_COUNT 3000u

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

static const uint32_t free_msrs[] = {
        0x174u,      0x175u,      0x176u, /* SYSENTER_CS, ESP, EIP */
        0xc0000081u, 0xc0000082u, 0xc0000083u, 0xc0000084u, /* STAR, LSTAR, CSTAR, SFMASK */
        0xc0000100u, 0xc0000101u, 0xc0000102u, /* FS, GS, KERNEL_GS base */
};

hpa_t svm_host_extra(void)
{
	return host_hpa_of(svm_cpus[cpu_self()].host_extra);
}

struct hvm_fitness svm_probe(void)
{
	struct svm_facts facts = {.max_extended_leaf = cpu_id(0x80000000u, 0).eax};

	if (facts.max_extended_leaf >= 0x8000000au) {
		facts.leaf_80000001_ecx = cpu_id(0x80000001u, 0).ecx;
		facts.leaf_80000001_edx = cpu_id(0x80000001u, 0).edx;
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

void svm_cpu_enable(void)
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

/* Every PAUSE exits where the CPU cannot count them (15.14.4). */
static void filter_pauses(struct vmcb *vmcb)
{
	uint32_t features = cpu_id(0x8000000au, 0).edx;

	if ((features & SVM_FEATURE_PAUSE_FILTER) != 0) {
		vmcb->pause_filter_count = PAUSE_FILTER_COUNT;
	}
	if ((features & SVM_FEATURE_PAUSE_THRESHOLD) != 0) {
		vmcb->pause_filter_threshold = PAUSE_FILTER_THRESHOLD;
	}
}

void svm_vcpu_create(struct hvm_vcpu *vcpu, void *const *pages)
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
	filter_pauses(vmcb);
	vmcb->iopm_base = host_hpa_of(svm_iopm).v;
	vmcb->msrpm_base = host_hpa_of(svm_msrpm).v;
	vmcb->v_masking = 1;
	vmcb->np_enable = 1;
	vmcb->ours_iret_rip = UINT64_MAX;
	vmcb->g_pat = 0x0007040600070406ull;
}
