/*
 * host_isolation.c - between two guests on a CPU: which steps this machine has, and the steps themselves.
 * specs/isolation.def says which and why.
 */
#include "hypervisor/arch/x86/host_internal.h"
#include "hypervisor/arch/x86/isolation.h"

#define MSR_PRED_CMD 0x49u
#define PRED_CMD_IBPB 1u
#define MSR_ARCH_CAPABILITIES 0x10au
#define MSR_FLUSH_CMD 0x10bu
#define FLUSH_CMD_L1D 1u

#define LEAF_7_EDX_ARCH_CAPABILITIES (1u << 29)

/* Each goes twice round: 32 calls. */
#define RSB_ROUNDS 16u

static uint32_t steps;
static char text[ISOLATION_TEXT_BYTES];

static void read_extended(struct isolation_facts *facts)
{
	uint32_t last = cpu_id(0x80000000u, 0).eax;

	if (last < 0x80000008u || last > 0x8000ffffu) {
		return;
	}
	facts->leaf_80000008_ebx = cpu_id(0x80000008u, 0).ebx;
	if (last >= 0x80000021u) {
		struct cpuid_result leaf = cpu_id(0x80000021u, 0);

		facts->leaf_80000021_eax = leaf.eax;
		facts->leaf_80000021_ecx = leaf.ecx;
	}
}

static void read_facts(struct isolation_facts *facts)
{
	struct cpuid_result leaf = cpu_id(0, 0);

	*facts = (struct isolation_facts){.vendor = isolation_vendor_of(leaf.ebx, leaf.edx, leaf.ecx)};
	if (leaf.eax >= 7) {
		struct cpuid_result features = cpu_id(7, 0);

		facts->leaf_7_ebx = features.ebx;
		facts->leaf_7_edx = features.edx;
	}
	if ((facts->leaf_7_edx & LEAF_7_EDX_ARCH_CAPABILITIES) != 0) {
		facts->has_arch_capabilities =
		        msr_read_safe(MSR_ARCH_CAPABILITIES, &facts->arch_capabilities);
	}
	read_extended(facts);
}

void host_isolation_start(void)
{
	struct isolation_facts facts;

	read_facts(&facts);
	steps = isolation_judge(&facts);
	/* Emulators and hypervisors below may show a bit and refuse what it stands for. */
	if ((steps & ISOLATION_IBPB) != 0 && !msr_write_safe(MSR_PRED_CMD, PRED_CMD_IBPB)) {
		steps &= ~(uint32_t)ISOLATION_IBPB;
	}
	if ((steps & ISOLATION_L1D_FLUSH) != 0 && !msr_write_safe(MSR_FLUSH_CMD, FLUSH_CMD_L1D)) {
		steps &= ~(uint32_t)ISOLATION_L1D_FLUSH;
	}
	(void)isolation_text(&facts, steps, text, sizeof(text));
}

const char *host_isolation_text(void)
{
	return text;
}

/*
 * Every call leaves a return to a loop that stops speculation; none of them returns. Needs a stack without a red zone,
 * which all of ring 0 has.
 */
static void fill_rsb(void)
{
	uint32_t rounds = RSB_ROUNDS;

	__asm__ volatile("1: call 3f\n\t"
	                 "2: pause\n\t"
	                 "lfence\n\t"
	                 "jmp 2b\n\t"
	                 "3: call 5f\n\t"
	                 "4: pause\n\t"
	                 "lfence\n\t"
	                 "jmp 4b\n\t"
	                 "5: addq $16, %%rsp\n\t"
	                 "decl %0\n\t"
	                 "jnz 1b\n\t"
	                 "lfence"
	                 : "+r"(rounds)
	                 :
	                 : "cc", "memory");
}

/* Only the form with a memory operand is promised to clear; a writable data segment is the quickest. */
static void clear_buffers(void)
{
	uint16_t selector = HOST_DS;

	__asm__ volatile("verw %0" : : "m"(selector) : "cc", "memory");
}

void host_isolation_switch(void)
{
	if ((steps & ISOLATION_IBPB) != 0) {
		msr_write(MSR_PRED_CMD, PRED_CMD_IBPB);
	}
	if ((steps & ISOLATION_L1D_FLUSH) != 0) {
		msr_write(MSR_FLUSH_CMD, FLUSH_CMD_L1D);
	}
	if ((steps & ISOLATION_VERW) != 0) {
		clear_buffers();
	}
	/* Last: what comes before may return. And the barrier need not reach return predictions. */
	if ((steps & ISOLATION_FILL_RSB) != 0) {
		fill_rsb();
	}
}
