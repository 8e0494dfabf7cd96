/*
 * hvm_ops.h - what core asks of a CPU's virtualization, without knowing whose it is.
 *
 * One instance for each vendor (svm/svm.c, vmx/vmx.c); the boot CPU chooses one at start. `struct hvm_vcpu` is what
 * both sides look at on every exit; all else of a vCPU's state stays with the vendor and is fetched when needed.
 */
#ifndef ARCH_X86_HVM_OPS_H
#define ARCH_X86_HVM_OPS_H

#include "base/addr.h"
#include "base/compiler.h"
#include "base/regs.h"

enum hvm_event_kind {
	HVM_EVENT_NONE,
	HVM_EVENT_INTERRUPT,
	HVM_EVENT_NMI,
	HVM_EVENT_EXCEPTION,
	HVM_EVENT_SOFTWARE, /* INT n: only ever given back by an exit that broke its delivery */
};

struct hvm_event {
	enum hvm_event_kind kind;
	uint8_t vector;
	bool has_error;
	uint32_t error;
};

enum hvm_exit_reason {
	HVM_EXIT_HOST, /* an interrupt or NMI of the host's; taken when interrupts open */
	HVM_EXIT_WINDOW, /* the guest can take an interrupt now */
	HVM_EXIT_CPUID,
	HVM_EXIT_HLT,
	HVM_EXIT_PAUSE,
	HVM_EXIT_HYPERCALL,
	HVM_EXIT_IO,
	HVM_EXIT_MSR,
	HVM_EXIT_MEMORY, /* nested page fault */
	HVM_EXIT_CR8, /* MOV to CR8, asked for by want_cr8 */
	HVM_EXIT_XSETBV,
	HVM_EXIT_CACHE, /* WBINVD, INVD: nothing to do but to step over */
	HVM_EXIT_REFUSED, /* an instruction that may not be, or not so: #GP */
	HVM_EXIT_FORBIDDEN, /* an instruction of the virtualization itself: #UD */
	HVM_EXIT_EXCEPTION, /* one that core intercepts */
	HVM_EXIT_SHUTDOWN, /* triple fault */
	HVM_EXIT_TASK_SWITCH, /* by the CPU's own task switch, which is not offered */
	HVM_EXIT_DONE, /* the vendor's own affair: nothing is left to do */
	HVM_EXIT_INVALID, /* the CPU refused the state: ours or the guest's fault, the guest ends */
	HVM_EXIT_UNKNOWN,
	HVM_EXIT_COUNT,
};

enum hvm_memory_access {
	HVM_MEMORY_WRITE = 1,
	HVM_MEMORY_FETCH = 2,
	HVM_MEMORY_PRESENT = 4, /* mapped, but not for this access */
};

struct hvm_exit {
	enum hvm_exit_reason reason;
	uint64_t code; /* the vendor's own number, for traces */
	struct hvm_event undelivered; /* what was being delivered when the exit came: core injects it again */
	uint64_t next_rip; /* 0: not known, decode */
	union {
		struct {
			uint64_t gpa;
			uint32_t access; /* enum hvm_memory_access */
		} memory;
		struct {
			uint16_t port;
			uint8_t bytes;
			bool in, string, rep;
		} io;
		struct {
			bool write;
		} msr;
		struct hvm_event exception;
	};
};

struct hvm_segment {
	uint64_t base;
	uint32_t limit;
	uint16_t selector;
	uint16_t attributes; /* type 3:0, S 4, DPL 6:5, P 7, AVL 8, L 9, DB 10, G 11 */
};

enum hvm_segment_name {
	HVM_ES,
	HVM_CS,
	HVM_SS,
	HVM_DS,
	HVM_FS,
	HVM_GS,
	HVM_LDTR,
	HVM_TR,
	HVM_SEGMENT_COUNT,
};

/* All that makes up a processor but the general registers. EFER as the guest sees it. */
struct hvm_state {
	struct hvm_segment segments[HVM_SEGMENT_COUNT];
	uint64_t gdt_base, idt_base;
	uint16_t gdt_limit, idt_limit;
	uint64_t cr0, cr2, cr3, cr4, efer;
	uint64_t dr6, dr7;
};

/* What is needed on most exits. */
struct hvm_paging {
	uint64_t cr0, cr3, cr4, efer;
	uint64_t cs_base;
	uint8_t cpl;
	bool cs_long, cs_default32;
};

struct hvm_vcpu {
	struct cpu_regs regs; /* complete after each exit, taken at each entry */
	struct hvm_event inject; /* for the next entry; core clears it after */
	hpa_t nested_root;
	uint64_t tsc_offset;
	uint32_t asid;
	bool flush_tlb; /* drop what this CPU has cached under any address-space id before this entry */
	bool flush_nested; /* drop what is cached of nested tables, of all guests */
	bool want_window; /* exit when an interrupt can be taken; with one in @inject: after that, where the CPU can do both */
	bool want_nmi_window; /* exit when an NMI can be taken, if the CPU can tell that */
	bool want_cr8; /* exit on MOV to CR8 */
	bool nmi_blocked; /* both ways: one is being handled, its IRET has not come */
	uint64_t
	        until_tsc; /* the stay ends by then, with HVM_EXIT_HOST, if the vendor has a timer of its own */
	bool shadow; /* after an exit: an interrupt shadow (STI, MOV SS) is in force */
	uint8_t cr8; /* both ways */
	void *backend; /* the vendor's */
};

/* Whether the CPU has the vendor's extension, and if so, what keeps Janus from using it: one line for people, or NULL. */
struct hvm_fitness {
	bool is_there;
	const char *missing;
	bool huge_pages; /* nested tables may have leaves of 1 GiB */
};

enum hvm_page_size {
	HVM_PAGE_4K,
	HVM_PAGE_2M,
	HVM_PAGE_1G,
	HVM_PAGE_TABLE, /* points to the next lower table */
};

#define HVM_PAGE_READ 1u
#define HVM_PAGE_WRITE 2u
#define HVM_PAGE_EXECUTE 4u

struct hvm_ops {
	const char *name;
	/* Whether the boot CPU has all that is needed. */
	struct hvm_fitness (*probe)(void);
	/* On each CPU once: turns virtualization on. */
	void (*cpu_enable)(void);
	/* How many address-space ids there are, 0 among them and reserved. */
	uint32_t (*asid_count)(void);
	/* @pages: zeroed 4 KiB pages of ours that it may keep, vcpu_page_count() of them. */
	uint32_t (*vcpu_page_count)(void);
	void (*vcpu_create)(struct hvm_vcpu *vcpu, void *const *pages);
	/* The vCPU comes onto this CPU, and leaves it. Between the two only this CPU runs it or asks for its state. */
	void (*load)(struct hvm_vcpu *vcpu);
	void (*unload)(struct hvm_vcpu *vcpu);
	/* One entry and one exit. Interrupts are off before and after. */
	void (*run)(struct hvm_vcpu *vcpu, struct hvm_exit *out);
	void (*state_get)(const struct hvm_vcpu *vcpu, struct hvm_state *state);
	/* Of a loaded vCPU on its CPU; else of one that does not run. */
	void (*state_set)(struct hvm_vcpu *vcpu, const struct hvm_state *state);
	void (*paging_get)(const struct hvm_vcpu *vcpu, struct hvm_paging *paging);
	/* MSRs that live in the vendor's state. False: not one of them. Values are checked before. */
	bool (*msr_get)(const struct hvm_vcpu *vcpu, uint32_t msr, uint64_t *value);
	bool (*msr_set)(struct hvm_vcpu *vcpu, uint32_t msr, uint64_t value);
	/* An entry of the nested page table. */
	uint64_t (*page_entry)(hpa_t at, enum hvm_page_size size, uint32_t access);
	/* The three bytes of the hypercall instruction that this CPU has. */
	const uint8_t *hypercall_opcode;
};

/* Chosen at start. */
extern const struct hvm_ops *hvm;

extern const struct hvm_ops svm_ops;
extern const struct hvm_ops vmx_ops;

#endif /* ARCH_X86_HVM_OPS_H */
