/*
 * metal_bench_xen.c - what Xen's hypercalls and events cost.
 */
#include "guest-drivers/certify/metal_bench.h"

#define XEN_UNKNOWN_CALL 63u

static struct xen_guest *x;
static uint32_t port; /* an IPI port of this vCPU */

static uint64_t call(uint64_t number, uint64_t first, uint64_t second)
{
	register uint64_t nr __asm__("r14") = number;

	return TICKS_AROUND("movl %%r14d, %%eax\n" HYPERCALL_INSN, "r"(nr), "D"(first), "S"(second)
	                    : "r8", "r9", "r10", "r11", "rcx", "memory");
}

static uint64_t time_version(void)
{
	return call(__HYPERVISOR_xen_version, XENVER_version, 0);
}

static uint64_t time_unknown(void)
{
	return call(XEN_UNKNOWN_CALL, 0, 0);
}

static uint64_t time_yield(void)
{
	return call(__HYPERVISOR_sched_op, SCHEDOP_yield, 0);
}

static struct xen_shared_info64 *shared(void)
{
	return (void *)x->shared;
}

static void port_set(bool pending, bool masked)
{
	uint64_t bit = UINT64_C(1) << port % 64;

	shared()->evtchn_pending[port / 64] = pending ? bit : 0;
	shared()->evtchn_mask[port / 64] = masked ? ~UINT64_C(0) : ~bit;
	shared()->vcpu_info[0].evtchn_pending_sel = 0;
	shared()->vcpu_info[0].evtchn_upcall_pending = 0;
}

static uint64_t send(void)
{
	memcpy(x->args.bytes, &port, sizeof(port));
	return call(__HYPERVISOR_event_channel_op, EVTCHNOP_send, x->args.gfn << PAGE_SHIFT);
}

static uint64_t time_send_masked(void)
{
	port_set(false, true);
	return send();
}

static uint64_t time_send_pending(void)
{
	port_set(true, true);
	return send();
}

/* From before the call until the first instruction of the upcall's handler. */
static uint64_t time_send_handled(void)
{
	uint64_t before;

	port_set(false, false);
	bench_irq_tsc = 0;
	interrupts_on();
	before = tsc_read();
	(void)send();
	while (bench_irq_tsc == 0) {
		cpu_pause();
	}
	interrupts_off();
	return bench_irq_tsc - before;
}

bool bench_xen(struct certify *c)
{
	static const struct row row = {.name = "bench"};
	struct probe p = {.c = c, .row = &row};
	struct xen_evtchn_bind_ipi bind = {.vcpu = 0};

	x = certify_xen_started(&p);
	if (x == NULL) {
		return false;
	}
	bench_measure(c, "xen_version", time_version);
	bench_measure(c, "xen_unknown", time_unknown);
	bench_measure(c, "xen_yield", time_yield);
	if (xen_call_struct(x, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, &bind, sizeof(bind)) == 0) {
		port = bind.port;
		bench_measure(c, "xen_send_masked", time_send_masked);
		bench_measure(c, "xen_send_pending", time_send_pending);
		interrupt_set_entry(XEN_CALLBACK_VECTOR, bench_irq_entry);
		bench_irq_lower = c->guest->xen_upcall;
		bench_measure(c, "xen_send_handled", time_send_handled);
		port_set(false, true);
		(void)xen_port_close(x, port);
	}
	certify_xen_down(c);
	return true;
}
