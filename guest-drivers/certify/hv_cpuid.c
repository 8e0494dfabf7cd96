/*
 * hv_cpuid.c - probes of specs/hv_cpuid.def: the leaves by which Hyper-V is found and says what it offers (TLFS, feature
 * discovery).
 *
 * That the bits are true is for the probes of the MSRs and hypercalls; here is what can be judged of the leaves alone.
 */
#include "guest-drivers/certify/hv_probe.h"

#define CPUS_LOOKED_AT 16u
#define LEAF_ANY_LAST 0x4000FFFFu
#define VERSION_FIRST_MAJOR 6u /* Windows Server 2008 */
#define PHYSICAL_BITS_MAX 52u
#define STACK_INTERFACE 0x31235356u /* "VS#1" */
#define CPUID_HYPERVISOR BIT(31) /* leaf 1, ECX */

struct leaf {
	struct certify *c;
	uint32_t number;
	uint32_t regs[4];
};

static void leaf_read(void *context)
{
	struct leaf *leaf = context;

	certify_cpuid(leaf->c, leaf->number, 0, leaf->regs);
}

/* The row's leaf: the same when read again, and on every processor. */
static void ask(struct probe *p, uint32_t regs[4])
{
	struct leaf leaf = {.c = p->c, .number = (uint32_t)p->row->number};
	uint32_t cpus = p->c->machine == NULL ? 1 : p->c->machine->cpu_count;

	certify_cpuid(p->c, leaf.number, 0, regs);
	leaf_read(&leaf);
	(void)probe_check(p, memcmp(leaf.regs, regs, sizeof(leaf.regs)) == 0,
	                  "the leaf is not the same a second time");
	for (uint32_t cpu = 1; cpu < cpus && cpu < CPUS_LOOKED_AT; cpu++) {
		if (probe_check(p, certify_cpu_run(p->c, cpu, leaf_read, &leaf), "processor %u does not run",
		                cpu)) {
			(void)probe_check(p, memcmp(leaf.regs, regs, sizeof(leaf.regs)) == 0,
			                  "the leaf is not the same on processor %u", cpu);
		}
	}
	probe_note(p, "0x%x 0x%x 0x%x 0x%x", regs[0], regs[1], regs[2], regs[3]);
}

static void probe_vendor(struct probe *p)
{
	uint32_t regs[4];

	ask(p, regs);
	(void)probe_check(p, regs[0] >= HYPERV_CPUID_IMPLEMENT_LIMITS && regs[0] <= LEAF_ANY_LAST,
	                  "the highest leaf is 0x%x", regs[0]);
	(void)probe_equal(p, regs[1], HYPERV_VENDOR_EBX, "vendor, EBX");
	(void)probe_equal(p, regs[2], HYPERV_VENDOR_ECX, "vendor, ECX");
	(void)probe_equal(p, regs[3], HYPERV_VENDOR_EDX, "vendor, EDX");
	if (p->c->machine != NULL) {
		certify_cpuid(p->c, 1, 0, regs);
		(void)probe_check(p, (regs[2] & CPUID_HYPERVISOR) != 0,
		                  "leaf 1 does not say that there is a hypervisor");
	}
}

static void probe_interface(struct probe *p)
{
	uint32_t regs[4];

	ask(p, regs);
	(void)probe_equal(p, regs[0], HYPERV_INTERFACE_EAX, "interface");
	(void)probe_check(p, (regs[1] | regs[2] | regs[3]) == 0, "reserved registers are not 0");
}

/* With the guest's identity told: some say nothing before. */
static void probe_version(struct probe *p)
{
	uint32_t regs[4];

	if (certify_hv_started(p) != NULL) {
		ask(p, regs);
		(void)probe_check(p, regs[1] >> 16 >= VERSION_FIRST_MAJOR, "major version %u", regs[1] >> 16);
		(void)probe_check(p, regs[0] != 0, "there is no build number");
	}
}

/* A guest is no root partition, and Hv#1 stands for three MSRs. */
static void probe_features(struct probe *p)
{
	const uint32_t needed = HV_MSR_HYPERCALL_AVAILABLE | HV_MSR_VP_INDEX_AVAILABLE;
	const uint32_t roots = HV_CREATE_PARTITIONS | HV_ACCESS_MEMORY_POOL | HV_CPU_MANAGEMENT;
	uint32_t regs[4];

	ask(p, regs);
	(void)probe_check(p, (regs[0] & needed) == needed, "no hypercall or VP index MSR: EAX is 0x%x",
	                  regs[0]);
	(void)probe_check(p, (regs[1] & roots) == 0, "privileges of the root partition: EBX is 0x%x",
	                  regs[1]);
	(void)probe_check(p,
	                  (regs[3] & HV_FEATURE_FREQUENCY_MSRS_AVAILABLE) == 0 ||
	                          (regs[0] & HV_ACCESS_FREQUENCY_MSRS) != 0,
	                  "frequencies are said to be there, but may not be read");
	(void)probe_check(p,
	                  (regs[3] & HV_X64_GUEST_IDLE_STATE_AVAILABLE) == 0 ||
	                          (regs[0] & HV_MSR_GUEST_IDLE_AVAILABLE) != 0,
	                  "the idle state is said to be there, but may not be entered");
	(void)probe_check(p,
	                  (regs[3] & HV_STIMER_DIRECT_MODE_AVAILABLE) == 0 ||
	                          (regs[0] & HV_MSR_SYNTIMER_AVAILABLE) != 0,
	                  "timers in direct mode, but no timers");
}

/* What is recommended is allowed. */
static void probe_recommendations(struct probe *p)
{
	struct hv_says says;
	uint32_t regs[4];

	ask(p, regs);
	hv_probe_says(p->c, &says);
	(void)probe_check(p,
	                  (regs[0] & HV_X64_APIC_ACCESS_RECOMMENDED) == 0 ||
	                          (says.privileges & HV_MSR_APIC_ACCESS_AVAILABLE) != 0,
	                  "the APIC MSRs are recommended, but may not be used");
	(void)probe_check(p,
	                  (regs[0] & HV_X64_SYSTEM_RESET_RECOMMENDED) == 0 ||
	                          (says.privileges & HV_MSR_RESET_AVAILABLE) != 0,
	                  "the reset MSR is recommended, but may not be used");
	(void)probe_check(p,
	                  (regs[0] & HV_X64_ENLIGHTENED_VMCS_RECOMMENDED) == 0 ||
	                          says.leaf_max >= HYPERV_CPUID_NESTED_FEATURES,
	                  "an enlightened VMCS is recommended, but its version is not told");
	(void)probe_check(p, (regs[2] & 0x7F) <= PHYSICAL_BITS_MAX, "%u physical address bits",
	                  regs[2] & 0x7F);
	(void)probe_equal(p, regs[3], 0, "EDX, which is reserved");
}

static void probe_limits(struct probe *p)
{
	uint32_t cpus = p->c->machine == NULL ? 1 : p->c->machine->cpu_count;
	uint32_t regs[4];

	ask(p, regs);
	(void)probe_check(p, regs[0] >= cpus, "at most %u virtual processors, and there are %u", regs[0],
	                  cpus);
	(void)probe_equal(p, regs[3], 0, "EDX, which is reserved");
}

static void probe_hardware(struct probe *p)
{
	struct hv_says says;
	uint32_t regs[4];

	hv_probe_says(p->c, &says);
	ask(p, regs);
	probe_offer(p, says.leaf_max >= HYPERV_CPUID_HARDWARE_FEATURES);
	(void)probe_check(p, (regs[1] | regs[2] | regs[3]) == 0, "reserved registers are not 0");
	(void)probe_check(p, p->offered || regs[0] == 0, "beyond the highest leaf, EAX is 0x%x", regs[0]);
}

/* What tells that a leaf of those that Janus has not says something. */
static bool is_offered(const struct hv_says *says, uint32_t leaf, const uint32_t regs[4])
{
	bool any = (regs[0] | regs[1] | regs[2] | regs[3]) != 0;

	switch (leaf) {
	case HYPERV_CPUID_CPU_MANAGEMENT_FEATURES:
		return says->leaf_max >= leaf && (says->partition & HV_CPU_MANAGEMENT) != 0;
	case HYPERV_CPUID_SVM_FEATURES:
		return says->leaf_max >= leaf && (says->features & BIT(16)) != 0;
	case HYPERV_CPUID_ISOLATION_CONFIG:
		return says->leaf_max >= leaf && (says->partition & HV_ISOLATION) != 0;
	case HYPERV_CPUID_NESTED_PRIVILEGES:
	case HYPERV_CPUID_NESTED_FEATURES:
		return says->leaf_max >= leaf && any;
	default: /* the virtualization stack's: told by its own interface leaf, beyond the highest one */
		return any;
	}
}

static void check_stack(struct probe *p)
{
	uint32_t regs[4];

	certify_cpuid(p->c, HYPERV_CPUID_VIRT_STACK_INTERFACE, 0, regs);
	(void)probe_equal(p, regs[0], STACK_INTERFACE, "the virtualization stack's interface");
}

/* Not offered: all zeros. */
static void probe_zero(struct probe *p)
{
	uint32_t leaf = (uint32_t)p->row->number;
	struct hv_says says;
	uint32_t regs[4];

	hv_probe_says(p->c, &says);
	ask(p, regs);
	probe_offer(p, is_offered(&says, leaf, regs));
	if (!p->offered) {
		(void)probe_check(p, (regs[0] | regs[1] | regs[2] | regs[3]) == 0,
		                  "not offered, and not zero: 0x%x 0x%x 0x%x 0x%x", regs[0], regs[1], regs[2],
		                  regs[3]);
		return;
	}
	if (leaf >= HYPERV_CPUID_VIRT_STACK_VENDOR) {
		check_stack(p);
	} else if (leaf == HYPERV_CPUID_NESTED_FEATURES) {
		(void)probe_check(p, (regs[0] & 0xFF) <= (regs[0] >> 8 & 0xFF),
		                  "versions of the enlightened VMCS from %u to %u", regs[0] & 0xFF,
		                  regs[0] >> 8 & 0xFF);
	}
}

/* Not by certify.h's ROW: the names are macros. */
#define SPEC_ROW(number, name, status, handler, clause) \
	{#name, (uint64_t)(number), ROW_##status, clause, probe_##handler},
static const struct row rows[] = {
#include "specs/hv_cpuid.def"
};
ROW_TABLE(hv_cpuid, NEED_HYPERV)
