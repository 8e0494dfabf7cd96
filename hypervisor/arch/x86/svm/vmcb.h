/*
 * vmcb.h - the virtual machine control block (AMD64 APM volume 2, appendix B) and its numbers.
 */
#ifndef ARCH_X86_SVM_VMCB_H
#define ARCH_X86_SVM_VMCB_H

#include "base/compiler.h"

struct vmcb_segment {
	uint16_t selector;
	uint16_t attributes;
	uint32_t limit;
	uint64_t base;
};

struct vmcb {
	/* control area */
	uint16_t intercept_cr_read, intercept_cr_write;
	uint16_t intercept_dr_read, intercept_dr_write;
	uint32_t intercept_exceptions;
	uint32_t intercept_a;
	uint32_t intercept_b;
	uint8_t reserved_014[0x3c - 0x14];
	uint16_t pause_filter_threshold, pause_filter_count;
	uint64_t iopm_base;
	uint64_t msrpm_base;
	uint64_t tsc_offset;
	uint32_t asid;
	uint8_t tlb_control;
	uint8_t reserved_05d[3];
	uint8_t v_tpr;
	uint8_t v_irq;
	uint8_t v_prio; /* bits 3:0 priority, 4 ignore TPR */
	uint8_t v_masking;
	uint8_t v_vector;
	uint8_t reserved_065[3];
	uint64_t interrupt_shadow;
	uint64_t exit_code;
	uint64_t exit_info1;
	uint64_t exit_info2;
	uint64_t exit_int_info;
	uint64_t np_enable;
	uint8_t reserved_098[0xa8 - 0x98];
	uint64_t event_inject;
	uint64_t n_cr3;
	uint64_t lbr_control;
	uint64_t clean;
	uint64_t next_rip;
	uint8_t reserved_0d0[0x3e0 - 0xd0];
	uint64_t
	        ours_iret_rip; /* for software (appendix B): where an IRET waits to be executed, ~0 if none does */
	uint8_t ours_3e8[0x400 - 0x3e8];
	/* state save area */
	struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t reserved_4a0[0x4cb - 0x4a0];
	uint8_t cpl;
	uint32_t reserved_4cc;
	uint64_t efer;
	uint8_t reserved_4d8[0x548 - 0x4d8];
	uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
	uint8_t reserved_580[0x5d8 - 0x580];
	uint64_t rsp;
	uint8_t reserved_5e0[0x5f8 - 0x5e0];
	uint64_t rax;
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t cr2;
	uint8_t reserved_648[0x668 - 0x648];
	uint64_t g_pat;
	uint8_t reserved_670[0x1000 - 0x670];
};

_Static_assert(sizeof(struct vmcb) == 4096, "vmcb");
_Static_assert(offsetof(struct vmcb, intercept_a) == 0x0c, "vmcb.intercept_a");
_Static_assert(offsetof(struct vmcb, pause_filter_count) == 0x3e, "vmcb.pause_filter_count");
_Static_assert(offsetof(struct vmcb, iopm_base) == 0x40, "vmcb.iopm_base");
_Static_assert(offsetof(struct vmcb, asid) == 0x58, "vmcb.asid");
_Static_assert(offsetof(struct vmcb, v_tpr) == 0x60, "vmcb.v_tpr");
_Static_assert(offsetof(struct vmcb, exit_code) == 0x70, "vmcb.exit_code");
_Static_assert(offsetof(struct vmcb, np_enable) == 0x90, "vmcb.np_enable");
_Static_assert(offsetof(struct vmcb, event_inject) == 0xa8, "vmcb.event_inject");
_Static_assert(offsetof(struct vmcb, next_rip) == 0xc8, "vmcb.next_rip");
_Static_assert(offsetof(struct vmcb, ours_iret_rip) == 0x3e0, "vmcb, for software");
_Static_assert(offsetof(struct vmcb, es) == 0x400, "vmcb.es");
_Static_assert(offsetof(struct vmcb, cpl) == 0x4cb, "vmcb.cpl");
_Static_assert(offsetof(struct vmcb, efer) == 0x4d0, "vmcb.efer");
_Static_assert(offsetof(struct vmcb, cr4) == 0x548, "vmcb.cr4");
_Static_assert(offsetof(struct vmcb, rflags) == 0x570, "vmcb.rflags");
_Static_assert(offsetof(struct vmcb, rsp) == 0x5d8, "vmcb.rsp");
_Static_assert(offsetof(struct vmcb, rax) == 0x5f8, "vmcb.rax");
_Static_assert(offsetof(struct vmcb, cr2) == 0x640, "vmcb.cr2");
_Static_assert(offsetof(struct vmcb, g_pat) == 0x668, "vmcb.g_pat");

/* intercept_a */
#define SVM_A_INTR (1u << 0)
#define SVM_A_NMI (1u << 1)
#define SVM_A_SMI (1u << 2)
#define SVM_A_INIT (1u << 3)
#define SVM_A_VINTR (1u << 4)
#define SVM_A_RDPMC (1u << 15)
#define SVM_A_CPUID (1u << 18)
#define SVM_A_RSM (1u << 19)
#define SVM_A_IRET (1u << 20)
#define SVM_A_INVD (1u << 22)
#define SVM_A_PAUSE (1u << 23)
#define SVM_A_HLT (1u << 24)
#define SVM_A_INVLPGA (1u << 26)
#define SVM_A_IOIO (1u << 27)
#define SVM_A_MSR (1u << 28)
#define SVM_A_SHUTDOWN (1u << 31)

/* intercept_b */
#define SVM_B_VMRUN (1u << 0)
#define SVM_B_VMMCALL (1u << 1)
#define SVM_B_VMLOAD (1u << 2)
#define SVM_B_VMSAVE (1u << 3)
#define SVM_B_STGI (1u << 4)
#define SVM_B_CLGI (1u << 5)
#define SVM_B_SKINIT (1u << 6)
#define SVM_B_WBINVD (1u << 9)
#define SVM_B_MONITOR (1u << 10)
#define SVM_B_MWAIT (1u << 11)
#define SVM_B_XSETBV (1u << 13)

#define SVM_CR_WRITE_CR8 (1u << 8)

#define SVM_TLB_FLUSH_ALL 1u

#define SVM_EVENT_VALID (1ull << 31)
#define SVM_EVENT_ERROR (1ull << 11)

/* exit_code (low 32 bits) */
#define SVM_EXIT_CR8_WRITE 0x18u
#define SVM_EXIT_EXCEPTION_FIRST 0x40u
#define SVM_EXIT_EXCEPTION_LAST 0x5fu
#define SVM_EXIT_INTR 0x60u
#define SVM_EXIT_NMI 0x61u
#define SVM_EXIT_SMI 0x62u
#define SVM_EXIT_INIT 0x63u
#define SVM_EXIT_VINTR 0x64u
#define SVM_EXIT_RDPMC 0x6fu
#define SVM_EXIT_CPUID 0x72u
#define SVM_EXIT_RSM 0x73u
#define SVM_EXIT_IRET 0x74u
#define SVM_EXIT_INVD 0x76u
#define SVM_EXIT_PAUSE 0x77u
#define SVM_EXIT_HLT 0x78u
#define SVM_EXIT_INVLPGA 0x7au
#define SVM_EXIT_IOIO 0x7bu
#define SVM_EXIT_MSR 0x7cu
#define SVM_EXIT_SHUTDOWN 0x7fu
#define SVM_EXIT_VMRUN 0x80u
#define SVM_EXIT_VMMCALL 0x81u
#define SVM_EXIT_SKINIT 0x86u
#define SVM_EXIT_WBINVD 0x89u
#define SVM_EXIT_MONITOR 0x8au
#define SVM_EXIT_MWAIT 0x8bu
#define SVM_EXIT_XSETBV 0x8du
#define SVM_EXIT_NPF 0x400u
#define SVM_EXIT_INVALID 0xffffffffu

#define MSR_VM_CR 0xc0010114u
#define MSR_VM_HSAVE_PA 0xc0010117u
#define VM_CR_SVMDIS (1u << 4)

#define EFER_SVME (1ull << 12)

#endif /* ARCH_X86_SVM_VMCB_H */
