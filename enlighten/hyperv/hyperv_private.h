/*
 * hyperv_private.h - state of the Hyper-V face; for enlighten/hyperv alone.
 */
#ifndef ENLIGHTEN_HYPERV_HYPERV_PRIVATE_H
#define ENLIGHTEN_HYPERV_HYPERV_PRIVATE_H

#include "backend/clock.h"
#include "base/format.h"
#include "base/lock.h"
#include "base/mem.h"
#include "enlighten/hyperv/hyperv.h"
#include "synic/synic.h"
#include "vm/page.h"

#define HYPERV_CRASH_REASON_BYTES 160u

/* One guest's. The pages' contents never change while it runs. */
struct hyperv_vm {
	struct spinlock lock; /* RANK_EVENT: all below */
	uint64_t os_id;
	struct synic_overlay hypercall_page;
	struct synic_overlay tsc_page;
	uint64_t crash[HV_X64_MSR_CRASH_PARAMS];
	char crash_reason[HYPERV_CRASH_REASON_BYTES]; /* "" until it has said something */
	uint32_t crash_reports; /* how often it has */
	struct vm_timer crash_timer; /* how long it may live on after the first */
};

/* One vCPU's; touched on its own exits only. */
struct hyperv_vcpu {
	struct synic_overlay assist_page;
};

static inline struct hyperv_vm *hyperv_of_vm(const struct vm *vm)
{
	return vm_slot(vm, VM_SLOT_HYPERV);
}

static inline struct hyperv_vcpu *hyperv_of_vcpu(const struct vcpu *vcpu)
{
	return vcpu_slot(vcpu, VM_SLOT_HYPERV);
}

/* cpuid.c, msr.c, hypercall.c: as in vm/face.h */
bool hyperv_cpuid(struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out);
enum face_msr hyperv_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
enum face_msr hyperv_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value);
enum face_call hyperv_hypercall(struct vcpu *vcpu);

/* pages.c: what stands in the hypercall page and in the reference TSC page. */
void hyperv_fill_hypercall_page(struct vm *vm, struct vm_page *page);
void hyperv_fill_tsc_page(struct vm_page *page, const struct clock *clock);

/* crash.c: the guest wrote CRASH_CTL. On its exit, no lock held. */
void hyperv_report_crash(struct vm *vm, uint64_t raw_control);
/* The guest gets its time to dump; then it ends. A new OS in it (a dump kernel) stops that. */
void hyperv_crash_init(struct vm *vm);
void hyperv_crash_forget(struct vm *vm);

/* A hypercall whose input value has been checked and whose fixed header has been fetched. */
struct hyperv_call {
	struct vcpu *vcpu;
	const struct hyperv_call_kind *kind;
	uint64_t input_gpa; /* fast: not used */
	uint32_t variable_words;
	uint32_t rep_count;
	uint32_t rep_start;
	bool fast;
	bool code64;
	union {
		struct hv_tlb_flush flush;
		struct hv_tlb_flush_ex flush_ex;
		struct hv_send_ipi ipi;
		struct hv_send_ipi_ex ipi_ex;
		struct hv_input_post_message post;
		struct hv_input_signal_event signal;
		uint64_t words[4];
	} header;
};

/*
 * What a call takes: sizes of its input, and its function. NULL @run: it is refused with @refusal.
 */
struct hyperv_call_kind {
	uint16_t header_bytes;
	uint16_t tail_bytes_max; /* after the header, of a length that the header tells */
	uint16_t rep_bytes; /* each element; 0: a simple call */
	bool variable; /* has a variable header */
	uint16_t refusal;
	uint16_t (*run)(struct hyperv_call *call); /* HV_STATUS_* */
};

/*
 * hypercall.c: @len bytes of the input at @offset, past the fixed header; not of a fast call.
 * False: not there.
 */
MUST_CHECK bool hyperv_call_read(const struct hyperv_call *call, uint32_t offset, void *to, uint32_t len);

/*
 * vpset.c: the vCPUs of a VP set whose fixed part is @set and whose banks begin at @offset of the
 * input, those that do not exist left out. HV_STATUS_*.
 */
MUST_CHECK uint16_t hyperv_read_vpset(const struct hyperv_call *call, const struct hv_vpset *set,
                                      uint32_t offset, uint64_t *vcpus);
/* One bit for each vCPU of the guest. */
uint64_t hyperv_all_vcpus(const struct vm *vm);

/* tlb.c, ipi.c */
uint16_t hyperv_call_flush(struct hyperv_call *call);
uint16_t hyperv_call_flush_ex(struct hyperv_call *call);
uint16_t hyperv_call_send_ipi(struct hyperv_call *call);
uint16_t hyperv_call_send_ipi_ex(struct hyperv_call *call);

#endif /* ENLIGHTEN_HYPERV_HYPERV_PRIVATE_H */
