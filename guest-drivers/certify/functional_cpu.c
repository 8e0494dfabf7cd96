/*
 * functional_cpu.c - more than one CPU: each starts, is reached by every kind of IPI, and loses a mapping when told to;
 * and both faces used in turn.
 */
#include "guest-drivers/certify/functional.h"

#define VECTOR_APIC_IPI 0xE6u
#define VECTOR_HV_IPI 0xE7u
#define WAIT_US 3000000u /* a busy machine may leave a CPU of the guest alone for long */
#define TURNS 200u

/* Also true with one CPU, where the probe then says so. */
static bool needs_cpus(struct probe *p)
{
	const struct certify_machine *machine = p->c->machine;

	if (machine == NULL) {
		probe_skip(p, "needs a machine: a TSC, interrupts, CPUs");
	} else if (machine->cpu_count < 2) {
		probe_skip(p, "one CPU only");
	}
	return machine == NULL || machine->cpu_count < 2;
}

static bool run_on(struct probe *p, uint32_t cpu, void (*work)(void *context), void *context)
{
	return probe_check(p, certify_cpu_run(p->c, cpu, work, context), "CPU %u does not answer", cpu);
}

/* ------------------------------------------------------------------ start */

struct leaves {
	struct certify *c;
	uint32_t regs[2][4]; /* of Hyper-V's and Xen's second leaf */
};

static void read_leaves(void *context)
{
	struct leaves *leaves = context;

	memset(leaves->regs, 0, sizeof(leaves->regs));
	if (leaves->c->faces.hyperv_base != 0) {
		certify_cpuid(leaves->c, leaves->c->faces.hyperv_base + 1, 0, leaves->regs[0]);
	}
	if (leaves->c->faces.xen_base != 0) {
		certify_cpuid(leaves->c, leaves->c->faces.xen_base + 1, 0, leaves->regs[1]);
	}
}

void probe_cpus_start(struct probe *p)
{
	const struct certify_machine *machine = p->c->machine;
	struct leaves first = {.c = p->c};
	struct leaves other = {.c = p->c};

	if (needs_cpus(p)) {
		return;
	}
	read_leaves(&first);
	for (uint32_t cpu = 1; cpu < machine->cpu_count; cpu++) {
		if (run_on(p, cpu, read_leaves, &other)) {
			(void)probe_check(p, memcmp(first.regs, other.regs, sizeof(first.regs)) == 0,
			                  "CPU %u has other leaves", cpu);
		}
		for (uint32_t before = 0; before < cpu; before++) {
			(void)probe_check(p, machine->apic_id(before) != machine->apic_id(cpu),
			                  "CPUs %u and %u have one APIC id", before, cpu);
		}
	}
	probe_note(p, "%u CPUs", machine->cpu_count);
}

/* ------------------------------------------------------------------ IPIs */

/* Sends to each CPU by @send and asks that the interrupt comes there once, and not here (where Xen's may be of other ports). */
static void probe_ipis(struct probe *p, uint8_t vector, bool eoi, bool (*send)(struct probe *p, uint32_t cpu))
{
	const struct certify_machine *machine = p->c->machine;

	machine->vector_watch(vector, eoi);
	for (uint32_t cpu = 1; cpu < machine->cpu_count; cpu++) {
		uint32_t before = machine->vector_count(cpu, vector);
		uint32_t here = machine->vector_count(0, vector);
		uint64_t start = machine->tsc();

		if (!send(p, cpu)) {
			return;
		}
		while (machine->vector_count(cpu, vector) == before &&
		       machine->tsc() - start < machine->tsc_hz / 1000000 * WAIT_US) {
			machine->wait_ns(1000, false);
		}
		machine->wait_ns(100000, false);
		(void)probe_equal(p, machine->vector_count(cpu, vector) - before, 1, "interrupts there");
		(void)probe_check(p,
		                  vector == XEN_CALLBACK_VECTOR || machine->vector_count(0, vector) == here,
		                  "it came here too");
	}
}

static bool send_apic(struct probe *p, uint32_t cpu)
{
	p->c->machine->ipi_send(cpu, VECTOR_APIC_IPI);
	return true;
}

void probe_apic_ipi(struct probe *p)
{
	if (!needs_cpus(p)) {
		probe_ipis(p, VECTOR_APIC_IPI, true, send_apic);
	}
}

struct vp_index {
	struct certify *c;
	uint64_t index;
	bool good;
};

static void read_vp_index(void *context)
{
	struct vp_index *vp = context;

	vp->good = certify_rdmsr(vp->c, HV_X64_MSR_VP_INDEX, &vp->index);
}

static bool send_hyperv(struct probe *p, uint32_t cpu)
{
	struct vp_index vp = {.c = p->c};
	struct hv_send_ipi *input = (void *)p->c->hv.input.bytes;

	if (!run_on(p, cpu, read_vp_index, &vp) ||
	    !probe_check(p, vp.good && vp.index < 64, "VP index %lu", (unsigned long)vp.index)) {
		return false;
	}
	*input = (struct hv_send_ipi){.vector = VECTOR_HV_IPI, .cpu_mask = UINT64_C(1) << vp.index};
	return probe_equal(p, hv_call(&p->c->hv, HVCALL_SEND_IPI, p->c->hv.input.gfn << PAGE_SHIFT, 0),
	                   HV_STATUS_SUCCESS, "status of the call");
}

/* True, with the reason told, if Hyper-V does not recommend what @bit of its hints says. */
static bool lacks_hint(struct probe *p, uint32_t bit, const char *what)
{
	uint32_t regs[4] = {0};

	if (p->c->faces.hyperv_base == 0) {
		probe_skip(p, "no Hyper-V here");
		return true;
	}
	certify_cpuid(p->c, p->c->faces.hyperv_base + 4, 0, regs);
	if ((regs[0] & bit) == 0) {
		probe_skip(p, "%s not offered", what);
	}
	return (regs[0] & bit) == 0;
}

void probe_hyperv_ipi(struct probe *p)
{
	if (!lacks_hint(p, HV_X64_CLUSTER_IPI_RECOMMENDED, "IPIs by hypercall are") && !needs_cpus(p) &&
	    certify_hv_started(p) != NULL) {
		probe_ipis(p, VECTOR_HV_IPI, true, send_hyperv);
	}
}

/* A port of @cpu is bound, sent to, and closed again. */
static bool send_xen(struct probe *p, uint32_t cpu)
{
	struct xen_guest *x = &p->c->xen;
	struct xen_evtchn_bind_ipi bind = {.vcpu = cpu};
	const struct certify_machine *machine = p->c->machine;
	uint32_t before = machine->vector_count(cpu, XEN_CALLBACK_VECTOR);
	uint64_t start = machine->tsc();
	struct xen_shared_info64 *shared = (void *)x->shared;
	uint64_t *masks = (uint64_t *)(void *)(x->shared + offsetof(struct xen_shared_info64, evtchn_mask));
	uint64_t *pending =
	        (uint64_t *)(void *)(x->shared + offsetof(struct xen_shared_info64, evtchn_pending));

	if (!probe_equal(p,
	                 (uint64_t)xen_call_struct(x, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, &bind,
	                                           sizeof(bind)),
	                 0, "binding an IPI port")) {
		return false;
	}
	shared->vcpu_info[cpu].evtchn_upcall_pending = 0;
	shared->vcpu_info[cpu].evtchn_pending_sel = 0; /* else an event in the same word would not call */
	(void)__atomic_fetch_and(&masks[bind.port / 64], ~(UINT64_C(1) << bind.port % 64), __ATOMIC_SEQ_CST);
	(void)probe_equal(p, (uint64_t)xen_port_notify(x, bind.port), 0, "sending");
	while (machine->vector_count(cpu, XEN_CALLBACK_VECTOR) == before &&
	       machine->tsc() - start < machine->tsc_hz / 1000000 * WAIT_US) {
		machine->wait_ns(100000, false);
	}
	(void)probe_check(p, (pending[bind.port / 64] >> bind.port % 64 & 1) != 0, "the port is not pending");
	(void)__atomic_fetch_and(&pending[bind.port / 64], ~(UINT64_C(1) << bind.port % 64),
	                         __ATOMIC_SEQ_CST);
	shared->vcpu_info[cpu].evtchn_pending_sel = 0;
	shared->vcpu_info[cpu].evtchn_upcall_pending = 0;
	return probe_equal(p, (uint64_t)xen_port_close(x, bind.port), 0, "closing it");
}

void probe_xen_ipi(struct probe *p)
{
	if (p->c->faces.xen_base == 0) {
		probe_skip(p, "no Xen here");
		return;
	}
	if (needs_cpus(p) || certify_xen_started(p) == NULL) {
		return;
	}
	if (p->c->machine->cpu_count > XEN_LEGACY_MAX_VCPUS) {
		probe_skip(p, "more CPUs than the shared page has room for");
		return;
	}
	probe_ipis(p, XEN_CALLBACK_VECTOR, false, send_xen);
}

/* ------------------------------------------------------------------ a mapping that changes */

/* Another CPU reads the window until it sees the second page, or is told to give up. */
struct watcher {
	volatile const uint8_t *window;
	volatile bool looks, changed;
	volatile uint32_t seen;
};

static void watch(void *context)
{
	struct watcher *watcher = context;

	watcher->seen = *watcher->window;
	watcher->looks = true;
	while (!watcher->changed) {
		__asm__ volatile("pause" : : : "memory");
	}
	watcher->seen = *watcher->window;
}

static bool flush_hyperv(struct probe *p)
{
	struct hv_tlb_flush *input = (void *)p->c->hv.input.bytes;

	*input =
	        (struct hv_tlb_flush){.flags = HV_FLUSH_ALL_PROCESSORS | HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES};
	return probe_equal(
	        p,
	        hv_call(&p->c->hv, HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE, p->c->hv.input.gfn << PAGE_SHIFT, 0),
	        HV_STATUS_SUCCESS, "status of the flush");
}

static bool flush_xen(struct probe *p)
{
	return probe_equal(p, (uint64_t)xen_call(&p->c->xen, __HYPERVISOR_hvm_op, HVMOP_flush_tlbs, 0, 0), 0,
	                   "result of the flush");
}

static void flush_once(struct probe *p, uint32_t cpu, const struct guest_page pages[2],
                       bool (*flush)(struct probe *p))
{
	const struct certify_machine *machine = p->c->machine;
	struct watcher watcher = {.window = machine->window};

	machine->window_map(pages[0].gfn);
	if (!flush(p) || !probe_check(p, machine->cpu_begin(cpu, watch, &watcher), "CPU %u is busy", cpu)) {
		return;
	}
	for (uint64_t start = machine->tsc(); !watcher.looks && machine->tsc() - start < machine->tsc_hz;) {
		machine->wait_ns(1000, false);
	}
	(void)probe_equal(p, watcher.seen, 1, "what the other CPU sees first");
	machine->window_map(pages[1].gfn);
	(void)flush(p);
	watcher.changed = true;
	(void)probe_check(p, machine->cpu_wait(cpu), "CPU %u does not answer", cpu);
	(void)probe_equal(p, watcher.seen, 2, "what it sees after the flush");
}

static void probe_flush(struct probe *p, bool (*flush)(struct probe *p))
{
	struct guest_page pages[2];

	if (!probe_check(p, guest_page_alloc(p->c->guest, &pages[0]), "no page left")) {
		return;
	}
	if (probe_check(p, guest_page_alloc(p->c->guest, &pages[1]), "no page left")) {
		memset(pages[0].bytes, 1, PAGE_BYTES);
		memset(pages[1].bytes, 2, PAGE_BYTES);
		for (uint32_t cpu = 1; cpu < p->c->machine->cpu_count; cpu++) {
			flush_once(p, cpu, pages, flush);
		}
		guest_page_free(p->c->guest, &pages[1]);
	}
	guest_page_free(p->c->guest, &pages[0]);
}

void probe_hyperv_tlb_flush(struct probe *p)
{
	if (!lacks_hint(p, HV_X64_REMOTE_TLB_FLUSH_RECOMMENDED, "flushes by hypercall are") &&
	    !needs_cpus(p) && certify_hv_started(p) != NULL) {
		probe_flush(p, flush_hyperv);
	}
}

void probe_xen_tlb_flush(struct probe *p)
{
	if (p->c->faces.xen_base == 0) {
		probe_skip(p, "no Xen here");
	} else if (!needs_cpus(p) && certify_xen_started(p) != NULL) {
		probe_flush(p, flush_xen);
	}
}

/* ------------------------------------------------------------------ both faces in turn */

/* One call of each face, right and wrong; each must be answered by its own. */
static void call_in_turn(struct probe *p)
{
	struct certify *c = p->c;
	int64_t version = xen_call(&c->xen, __HYPERVISOR_xen_version, XENVER_version, 0, 0);

	for (uint32_t i = 0; i < TURNS; i++) {
		(void)probe_equal(p,
		                  hv_call(&c->hv, HVCALL_NOTIFY_LONG_SPIN_WAIT | HV_HYPERCALL_FAST_BIT, i, 0),
		                  HV_STATUS_SUCCESS, "Hyper-V's status");
		(void)probe_equal(p,
		                  (uint64_t)xen_call(&c->xen, __HYPERVISOR_xen_version, XENVER_version, 0, 0),
		                  (uint64_t)version, "Xen's version");
		(void)probe_equal(p, hv_call(&c->hv, 0x8001u, 0, 0), HV_STATUS_INVALID_HYPERCALL_CODE,
		                  "Hyper-V's status of an unknown call");
		(void)probe_equal(p, (uint64_t)xen_call(&c->xen, 63, 0, 0, 0), (uint64_t)-XEN_ENOSYS,
		                  "Xen's answer to an unknown call");
	}
}

/* Pages that both disks work on at once, in different places. */
static void disks_in_turn(struct probe *p, struct io_disk *hyperv, struct io_disk *xen)
{
	struct guest_page pages[2];
	bool good = guest_page_alloc(p->c->guest, &pages[0]);

	if (!probe_check(p, good && guest_page_alloc(p->c->guest, &pages[1]), "no page left")) {
		return;
	}
	for (uint32_t i = 0; i < 16; i++) {
		uint64_t sector = CERTIFY_SCRATCH_SECTOR + 512 + i * 16;

		pattern_fill(&pages[0], i);
		pattern_fill(&pages[1], i + 100);
		good = io_disk_submit(hyperv, IO_WRITE, sector, &pages[0]) &&
		       io_disk_submit(xen, IO_WRITE, sector + 8, &pages[1]);
		good = io_disk_wait(hyperv) && good;
		(void)probe_check(p, io_disk_wait(xen) && good, "a write of one of the two fails");
		good = io_disk_submit(hyperv, IO_READ, sector + 8, &pages[0]) &&
		       io_disk_submit(xen, IO_READ, sector, &pages[1]);
		good = io_disk_wait(hyperv) && good;
		(void)probe_check(p, io_disk_wait(xen) && good, "a read of one of the two fails");
		(void)probe_check(p, pattern_holds(&pages[0], i + 100) && pattern_holds(&pages[1], i),
		                  "they read something else");
		call_in_turn(p);
	}
	guest_page_free(p->c->guest, &pages[1]);
	guest_page_free(p->c->guest, &pages[0]);
}

void probe_both_at_once(struct probe *p)
{
	struct io_disk hyperv;
	struct io_disk xen;

	if (p->c->faces.hyperv_base == 0 || p->c->faces.xen_base == 0) {
		probe_skip(p, "not both faces here");
		return;
	}
	if (certify_hv_started(p) == NULL || certify_xen_started(p) == NULL) {
		return;
	}
	call_in_turn(p);
	if (!io_disk_open_scratch(p, &hyperv, IO_HYPERV)) {
		return;
	}
	if (io_disk_open_scratch(p, &xen, IO_XEN)) {
		disks_in_turn(p, &hyperv, &xen);
		io_disk_close(p, &xen);
	}
	io_disk_close(p, &hyperv);
}
