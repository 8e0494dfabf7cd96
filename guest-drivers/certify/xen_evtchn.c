/*
 * xen_evtchn.c - probes of specs/xen_evtchn.def: ports, by event_channel.h.
 *
 * FIFO events are looked at by their refusals only: once begun, they are the guest's form of events for good.
 */
#include "guest-drivers/certify/xen_probe.h"

#define PORTS_MAX 4096u
#define ENDS_MAX 8u
#define RESET_PORTS 300u /* more than one exit closes */
#define NO_VIRQ 24u
#define NO_GFN_OFFSET 4092u

static int64_t op(struct probe *p, struct xen_guest *x, void *argument, size_t len)
{
	return xp_op(p, x, __HYPERVISOR_event_channel_op, argument, len);
}

static int64_t port_op(struct probe *p, struct xen_guest *x, uint32_t port)
{
	return op(p, x, &port, sizeof(port));
}

/* An operation on a port alone: none of these has one. */
static void check_no_port(struct probe *p, struct xen_guest *x)
{
	(void)xp_result(p, port_op(p, x, XP_NO_PORT), -XEN_EINVAL, "a port that there is not");
	(void)xp_result(p, port_op(p, x, UINT32_MAX), -XEN_EINVAL, "port 0xffffffff");
	xp_check_fault(p, x, __HYPERVISOR_event_channel_op);
}

static void check_state(struct probe *p, struct xen_guest *x, uint32_t port, uint32_t wanted)
{
	struct xen_evtchn_status status;

	(void)xp_result(p, xp_port_status(x, port, &status), 0, "a port's status");
	(void)probe_check(p, status.status == wanted, "port %u is in state %u, not %u", port, status.status,
	                  wanted);
}

/* ------------------------------------------------------------------ alloc_unbound */

static int64_t alloc(struct probe *p, struct xen_guest *x, uint16_t dom, uint16_t remote, uint32_t *port)
{
	struct xen_evtchn_alloc_unbound arg = {.dom = dom, .remote_dom = remote};
	int64_t result = op(p, x, &arg, sizeof(arg));

	*port = arg.port;
	return result;
}

/* All that there are; then none; and each can be had again. */
static void check_exhausted(struct probe *p, struct xen_guest *x)
{
	static uint16_t ports[PORTS_MAX];
	uint32_t count = 0;
	uint32_t port = 0;
	int64_t result = 0;

	while (count < PORTS_MAX && (result = alloc(p, x, DOMID_SELF, 0, &port)) == 0) {
		ports[count++] = (uint16_t)port;
	}
	(void)xp_result(p, result, -XEN_ENOSPC, "a port more than there are");
	probe_note(p, "%u ports more than are in use", count);
	result = 0;
	while (count != 0) {
		result |= xen_port_close(x, ports[--count]);
	}
	(void)xp_result(p, result, 0, "closing them all");
}

static void probe_alloc_unbound(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct xen_evtchn_status status;
	uint32_t first;
	uint32_t port;

	if (x == NULL || !xp_result(p, alloc(p, x, DOMID_SELF, 0, &first), 0, "a port for domain 0")) {
		return;
	}
	(void)xp_result(p, xp_port_status(x, first, &status), 0, "its status");
	(void)probe_check(p, status.status == EVTCHNSTAT_unbound && status.u.unbound.dom == 0,
	                  "it is in state %u, for domain %u", status.status, status.u.unbound.dom);
	xp_port_close(p, x, first);
	(void)xp_result(p, alloc(p, x, DOMID_SELF, DOMID_SELF, &port), 0, "a port for the domain itself");
	(void)probe_equal(p, port, first, "the lowest free port");
	(void)xp_port_status(x, port, &status);
	(void)probe_check(p, status.u.unbound.dom == x->domid || x->domid == 0, "it is for domain %u",
	                  status.u.unbound.dom);
	xp_port_close(p, x, port);
	(void)xp_result(p, alloc(p, x, 0, 0, &port), -XEN_EPERM, "a port of domain 0's");
	(void)XP_RESULT_OF(p, alloc(p, x, XP_NO_DOMID, 0, &port), "of a domain that there is not", -XEN_ESRCH,
	                   -XEN_EPERM);
	xp_check_fault(p, x, __HYPERVISOR_event_channel_op);
	check_exhausted(p, x);
}

/* ------------------------------------------------------------------ bind_interdomain */

static int64_t bind(struct probe *p, struct xen_guest *x, uint16_t dom, uint32_t remote, uint32_t *port)
{
	struct xen_evtchn_bind_interdomain arg = {.remote_dom = dom, .remote_port = remote};
	int64_t result = op(p, x, &arg, sizeof(arg));

	*port = arg.local_port;
	return result;
}

/* Either end tells the other; what is told when the other is gone is dropped. */
static void check_ends(struct probe *p, struct xen_guest *x, uint32_t a, uint32_t b)
{
	struct xen_evtchn_status status;

	(void)xp_result(p, xp_port_status(x, a, &status), 0, "the first end's status");
	(void)probe_check(p, status.status == EVTCHNSTAT_interdomain && status.u.interdomain.port == b,
	                  "the first end is in state %u, to port %u", status.status,
	                  status.u.interdomain.port);
	(void)xp_result(p, xp_port_status(x, b, &status), 0, "the second end's status");
	(void)probe_check(p, status.status == EVTCHNSTAT_interdomain && status.u.interdomain.port == a,
	                  "the second end is in state %u, to port %u", status.status,
	                  status.u.interdomain.port);
	(void)probe_check(p, xp_is_pending(x, b), "the second end is not pending when it is bound");
	xp_clear(x, a);
	xp_clear(x, b);
	(void)xp_result(p, xen_port_notify(x, a), 0, "telling the second end");
	(void)probe_check(p, xp_is_pending(x, b) && !xp_is_pending(x, a), "it is not pending there");
	(void)xp_result(p, xen_port_notify(x, b), 0, "telling the first end");
	(void)probe_check(p, xp_is_pending(x, a), "it is not pending there");
	xp_clear(x, a);
	(void)xp_result(p, xen_port_close(x, b), 0, "closing the second end");
	check_state(p, x, b, EVTCHNSTAT_closed);
	check_state(p, x, a, EVTCHNSTAT_unbound);
	(void)probe_check(p, !xp_is_pending(x, b), "a closed port is pending");
	(void)xp_result(p, xen_port_notify(x, a), 0, "telling nobody");
	(void)probe_check(p, !xp_is_pending(x, a) && !xp_is_pending(x, b), "somebody is told");
}

static void probe_bind_interdomain(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	uint32_t ours;
	uint32_t zeros;
	uint32_t port;

	if (x == NULL) {
		return;
	}
	ours = xp_port_unbound(p, x, DOMID_SELF);
	zeros = xp_port_unbound(p, x, 0);
	if (ours != 0 && zeros != 0) {
		(void)xp_result(p, bind(p, x, DOMID_SELF, zeros, &port), -XEN_EINVAL,
		                "a port that is for domain 0");
		(void)xp_result(p, bind(p, x, XP_NO_DOMID, ours, &port), -XEN_ESRCH,
		                "of a domain that there is not");
		(void)xp_result(p, bind(p, x, DOMID_SELF, XP_NO_PORT, &port), -XEN_EINVAL,
		                "a port that there is not");
		(void)xp_result(p, bind(p, x, 0, PORTS_MAX - 1, &port), -XEN_EINVAL,
		                "a port of domain 0's that is not for us");
		if (xp_result(p, bind(p, x, DOMID_SELF, ours, &port), 0, "a port of the domain itself")) {
			uint32_t twice;

			(void)xp_result(p, bind(p, x, DOMID_SELF, ours, &twice), -XEN_EINVAL,
			                "the same a second time");
			check_ends(p, x, ours, port);
		}
		xp_check_fault(p, x, __HYPERVISOR_event_channel_op);
	}
	xp_port_close(p, x, zeros);
	xp_port_close(p, x, ours);
}

/* ------------------------------------------------------------------ VIRQs, pirqs, IPIs */

static int64_t bind_virq(struct probe *p, struct xen_guest *x, uint32_t virq, uint32_t vcpu, uint32_t *port)
{
	struct xen_evtchn_bind_virq arg = {.virq = virq, .vcpu = vcpu};
	int64_t result = op(p, x, &arg, sizeof(arg));

	*port = arg.port;
	return result;
}

static void probe_bind_virq(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct xen_evtchn_status status;
	uint32_t port;
	uint32_t other;
	int64_t result;

	if (x == NULL || !xp_result(p, bind_virq(p, x, VIRQ_DEBUG, 0, &port), 0, "VIRQ_DEBUG")) {
		return;
	}
	(void)xp_result(p, xp_port_status(x, port, &status), 0, "its status");
	(void)probe_check(p, status.status == EVTCHNSTAT_virq && status.u.virq == VIRQ_DEBUG,
	                  "it is in state %u, of VIRQ %u", status.status, status.u.virq);
	(void)xp_result(p, bind_virq(p, x, VIRQ_DEBUG, 0, &other), -XEN_EEXIST, "the same a second time");
	(void)xp_result(p, xen_port_notify(x, port), -XEN_EINVAL, "telling a VIRQ's port");
	xp_port_close(p, x, port);
	if (xp_result(p, bind_virq(p, x, VIRQ_DEBUG, 0, &port), 0, "the same after it was closed")) {
		xp_port_close(p, x, port);
	}
	(void)xp_result(p, bind_virq(p, x, NO_VIRQ, 0, &port), -XEN_EINVAL, "a VIRQ that there is not");
	(void)xp_result(p, bind_virq(p, x, VIRQ_TIMER, XP_NO_VCPU, &port), -XEN_ENOENT,
	                "of a vCPU that there is not");
	(void)xp_result(p, bind_virq(p, x, VIRQ_CONSOLE, 1, &port), -XEN_EINVAL, "a global VIRQ of vCPU 1's");
	result = bind_virq(p, x, VIRQ_CONSOLE, 0, &port);
	(void)XP_RESULT_OF(p, result, "a global VIRQ, which is domain 0's", -XEN_EBUSY, 0);
	if (result == 0) {
		xp_port_close(p, x, port);
	}
	xp_check_fault(p, x, __HYPERVISOR_event_channel_op);
}

/* One that no domain has. */
static void probe_bind_pirq(struct probe *p)
{
	struct {
		uint32_t pirq;
		uint32_t flags;
		uint32_t port;
	} arg = {.pirq = 0x7FFFFFFF};
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		XP_REFUSED(p, op(p, x, &arg, sizeof(arg)), -XEN_EPERM, -XEN_EINVAL, -XEN_EOPNOTSUPP,
		           -XEN_ENOSYS);
	}
}

static void probe_bind_ipi(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct xen_evtchn_bind_ipi arg = {.vcpu = 0};
	struct xen_evtchn_status status;

	if (x == NULL || !xp_result(p, op(p, x, &arg, sizeof(arg)), 0, "an IPI's port")) {
		return;
	}
	(void)xp_result(p, xp_port_status(x, arg.port, &status), 0, "its status");
	(void)probe_check(p, status.status == EVTCHNSTAT_ipi && status.vcpu == 0,
	                  "it is in state %u, of vCPU %u", status.status, status.vcpu);
	xp_mask(x, arg.port, true);
	(void)xp_result(p, xen_port_notify(x, arg.port), 0, "an IPI to itself");
	(void)probe_check(p, xp_is_pending(x, arg.port), "it is not pending");
	xp_port_close(p, x, arg.port);
	arg.vcpu = XP_NO_VCPU;
	(void)xp_result(p, op(p, x, &arg, sizeof(arg)), -XEN_ENOENT, "of a vCPU that there is not");
	xp_check_fault(p, x, __HYPERVISOR_event_channel_op);
}

/* ------------------------------------------------------------------ close, send, status, unmask */

static void probe_close(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	uint32_t port;

	if (x == NULL || (port = xp_port_ipi(p, x)) == 0) {
		return;
	}
	xp_mask(x, port, true);
	(void)xen_port_notify(x, port);
	(void)xp_result(p, port_op(p, x, port), 0, "a port");
	check_state(p, x, port, EVTCHNSTAT_closed);
	(void)probe_check(p, !xp_is_pending(x, port), "it is pending when it is closed");
	(void)xp_result(p, port_op(p, x, port), -XEN_EINVAL, "the same a second time");
	(void)xp_result(p, port_op(p, x, 0), -XEN_EINVAL, "port 0");
	xp_mask(x, port, false);
	check_no_port(p, x);
}

/* An upcall is asked for once, and not for what is masked. */
static void check_upcall(struct probe *p, struct xen_guest *x, uint32_t port)
{
	xp_clear(x, port);
	xp_upcall_clear(x);
	xp_mask(x, port, true);
	(void)xp_result(p, port_op(p, x, port), 0, "telling a masked port");
	(void)probe_check(p, xp_is_pending(x, port) && !xp_upcall(x), "pending: %u, upcall: %u",
	                  xp_is_pending(x, port), xp_upcall(x));
	xp_clear(x, port);
	xp_mask(x, port, false);
	(void)xp_result(p, port_op(p, x, port), 0, "telling a port");
	(void)probe_check(p, xp_is_pending(x, port) && xp_upcall(x), "pending: %u, upcall: %u",
	                  xp_is_pending(x, port), xp_upcall(x));
	(void)probe_check(p, (guest_load32(x->shared + 8) | guest_load32(x->shared + 12)) != 0,
	                  "no word of ports is named to look at");
	xp_clear(x, port);
	xp_upcall_clear(x);
}

static void probe_send(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	uint32_t port;

	if (x == NULL || (port = xp_port_ipi(p, x)) == 0) {
		return;
	}
	check_upcall(p, x, port);
	xp_port_close(p, x, port);
	(void)xp_result(p, port_op(p, x, port), -XEN_EINVAL, "telling a closed port");
	(void)probe_check(p, !xp_is_pending(x, port), "a closed port is pending");
	port = xp_port_unbound(p, x, 0);
	if (port != 0) {
		(void)xp_result(p, port_op(p, x, port), 0, "telling a port that nobody has bound");
		(void)probe_check(p, !xp_is_pending(x, port), "it is pending");
		xp_port_close(p, x, port);
	}
	port = xp_port_timer(p, x);
	if (port != 0) {
		(void)xp_result(p, port_op(p, x, port), -XEN_EINVAL, "telling a VIRQ's port");
		xp_port_close(p, x, port);
	}
	check_no_port(p, x);
}

static void probe_status(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct xen_evtchn_status status;
	uint32_t ports[3];

	if (x == NULL) {
		return;
	}
	ports[0] = xp_port_unbound(p, x, 0);
	ports[1] = xp_port_timer(p, x);
	ports[2] = xp_port_ipi(p, x);
	check_state(p, x, ports[0], EVTCHNSTAT_unbound);
	check_state(p, x, ports[1], EVTCHNSTAT_virq);
	check_state(p, x, ports[2], EVTCHNSTAT_ipi);
	check_state(p, x, x->store.port, EVTCHNSTAT_interdomain);
	for (uint32_t i = 0; i < ARRAY_COUNT(ports); i++) {
		xp_port_close(p, x, ports[i]);
	}
	check_state(p, x, ports[2], EVTCHNSTAT_closed);
	(void)xp_result(p, xp_port_status(x, XP_NO_PORT, &status), -XEN_EINVAL, "a port that there is not");
	status = (struct xen_evtchn_status){.dom = XP_NO_DOMID, .port = x->store.port};
	(void)xp_result(p, op(p, x, &status, sizeof(status)), -XEN_ESRCH, "of a domain that there is not");
	xp_check_fault(p, x, __HYPERVISOR_event_channel_op);
}

/* What came while it was masked is told of now. */
static void probe_unmask(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	uint32_t port;

	if (x == NULL || (port = xp_port_ipi(p, x)) == 0) {
		return;
	}
	xp_upcall_clear(x);
	xp_mask(x, port, true);
	(void)xp_result(p, port_op(p, x, port), 0, "a port that is not pending");
	(void)probe_check(p, !xp_is_masked(x, port) && !xp_upcall(x), "masked: %u, upcall: %u",
	                  xp_is_masked(x, port), xp_upcall(x));
	xp_mask(x, port, true);
	(void)xen_port_notify(x, port);
	(void)probe_check(p, !xp_upcall(x), "a masked port makes an upcall");
	(void)xp_result(p, port_op(p, x, port), 0, "a port that is pending");
	(void)probe_check(p, !xp_is_masked(x, port) && xp_is_pending(x, port) && xp_upcall(x),
	                  "masked: %u, pending: %u, upcall: %u", xp_is_masked(x, port),
	                  xp_is_pending(x, port), xp_upcall(x));
	xp_clear(x, port);
	xp_upcall_clear(x);
	xp_port_close(p, x, port);
	(void)XP_RESULT_OF(p, port_op(p, x, port), "a closed port", -XEN_EINVAL, 0);
	check_no_port(p, x);
}

/* ------------------------------------------------------------------ bind_vcpu */

static int64_t bind_vcpu(struct probe *p, struct xen_guest *x, uint32_t port, uint32_t vcpu)
{
	struct xen_evtchn_bind_vcpu arg = {.port = port, .vcpu = vcpu};

	return op(p, x, &arg, sizeof(arg));
}

static void probe_bind_vcpu(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct xen_evtchn_status status;
	uint32_t down;
	uint32_t port;

	if (x == NULL || (port = xp_port_unbound(p, x, 0)) == 0) {
		return;
	}
	(void)xp_result(p, bind_vcpu(p, x, port, 0), 0, "a port to vCPU 0");
	down = xp_vcpu_down(x);
	if (down != 0) {
		(void)xp_result(p, bind_vcpu(p, x, port, down), 0, "a port to another vCPU");
		(void)xp_port_status(x, port, &status);
		(void)probe_equal(p, status.vcpu, down, "the vCPU of its status");
	}
	(void)xp_result(p, bind_vcpu(p, x, port, XP_NO_VCPU), -XEN_ENOENT, "to a vCPU that there is not");
	xp_port_close(p, x, port);
	(void)xp_result(p, bind_vcpu(p, x, port, 0), -XEN_EINVAL, "a closed port");
	(void)xp_result(p, bind_vcpu(p, x, XP_NO_PORT, 0), -XEN_EINVAL, "a port that there is not");
	(void)xp_result(p, bind_vcpu(p, x, x->store.port, 0), 0, "the store's port");
	port = xp_port_ipi(p, x);
	(void)xp_result(p, bind_vcpu(p, x, port, 0), -XEN_EINVAL, "an IPI's port");
	xp_port_close(p, x, port);
	port = xp_port_timer(p, x);
	(void)xp_result(p, bind_vcpu(p, x, port, 0), -XEN_EINVAL, "a port of a vCPU's own VIRQ");
	xp_port_close(p, x, port);
	xp_check_fault(p, x, __HYPERVISOR_event_channel_op);
}

/* ------------------------------------------------------------------ reset */

/* A port of ours whose other end is domain 0's: the store's, the console's. */
struct end {
	uint32_t port;
	uint32_t remote_port;
	uint16_t remote_dom;
};

static uint32_t ends_find(struct xen_guest *x, struct end ends[ENDS_MAX])
{
	struct xen_evtchn_status status;
	uint32_t count = 0;

	for (uint32_t port = 1; port < PORTS_MAX && count < ENDS_MAX; port++) {
		if (xp_port_status(x, port, &status) == 0 && status.status == EVTCHNSTAT_interdomain) {
			ends[count++] =
			        (struct end){port, status.u.interdomain.port, status.u.interdomain.dom};
		}
	}
	return count;
}

/* The other ends wait to be bound again; from the lowest port on, each gets its old number. */
static void ends_bind(struct probe *p, struct xen_guest *x, const struct end *ends, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct xen_evtchn_status status;
		struct xen_evtchn_bind_interdomain arg = {.remote_dom = ends[i].remote_dom,
		                                          .remote_port = ends[i].remote_port};

		if (xp_port_status(x, ends[i].port, &status) == 0 && status.status != EVTCHNSTAT_closed) {
			continue; /* the hypervisor's own */
		}
		if (!xp_result(p,
		               xen_call_struct(x, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_interdomain,
		                               &arg, sizeof(arg)),
		               0, "domain 0's end of a port, again")) {
			return;
		}
		if (arg.local_port != ends[i].port && ends[i].port == x->store.port) {
			(void)xen_param_set(x, HVM_PARAM_STORE_EVTCHN, arg.local_port);
		}
		(void)probe_equal(p, arg.local_port, ends[i].port, "the port that it gets");
	}
}

static void check_reset(struct probe *p, struct xen_guest *x)
{
	struct end ends[ENDS_MAX];
	uint32_t count = ends_find(x, ends);
	uint16_t self = DOMID_SELF;
	uint32_t last = 0;
	uint32_t first = xp_port_ipi(p, x);

	for (uint32_t i = 0; i < RESET_PORTS; i++) {
		struct xen_evtchn_alloc_unbound arg = {.dom = DOMID_SELF};

		if (xen_call_struct(x, __HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, &arg,
		                    sizeof(arg)) == 0) {
			last = arg.port;
		}
	}
	(void)xp_result(p, op(p, x, &self, sizeof(self)), 0, "a reset");
	check_state(p, x, first, EVTCHNSTAT_closed);
	check_state(p, x, last, EVTCHNSTAT_closed);
	check_state(p, x, x->store.port, EVTCHNSTAT_closed);
	ends_bind(p, x, ends, count);
	probe_note(p, "%u ends of domain 0's were bound again", count);
	certify_xen_down(p->c);
	(void)certify_xen_started(p);
}

static void probe_reset(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	uint16_t domid = XP_NO_DOMID;
	int64_t result;
	char text[XEN_VALUE_BYTES];

	if (x == NULL) {
		return;
	}
	result = op(p, x, &domid, sizeof(domid));
	if (!xp_offered(p, result)) {
		return;
	}
	(void)xp_result(p, result, -XEN_ESRCH, "of a domain that there is not");
	xp_check_fault(p, x, __HYPERVISOR_event_channel_op);
	check_reset(p, x);
	(void)probe_check(p, p->c->xen_is_started && xen_store_read(x, 0, "domid", text, sizeof(text)) > 0,
	                  "the store does not answer after a reset");
}

/* ------------------------------------------------------------------ FIFO form */

/* Errors that say that it is there: a vCPU that is not, a block over the page's end, none. */
static void probe_init_control(struct probe *p)
{
	struct {
		uint64_t gfn;
		uint32_t offset;
		uint32_t vcpu;
		uint64_t link_bits;
	} arg = {.vcpu = XP_NO_VCPU};
	struct xen_guest *x = certify_xen_started(p);
	int64_t result;

	if (x == NULL) {
		return;
	}
	arg.gfn = x->args.gfn;
	result = op(p, x, &arg, sizeof(arg));
	probe_offer(p, result != -XEN_ENOSYS);
	(void)XP_RESULT_OF(p, result, "a control block of a vCPU that there is not", -XEN_ENOSYS,
	                   -XEN_ENOENT);
	arg.vcpu = 0;
	arg.offset = NO_GFN_OFFSET;
	(void)xp_result(p, op(p, x, &arg, sizeof(arg)), p->offered ? -XEN_EINVAL : -XEN_ENOSYS,
	                "one over the end of a page");
	(void)xp_result(p, xen_call(x, __HYPERVISOR_event_channel_op, p->row->number, XP_BAD, 0),
	                p->offered ? -XEN_EFAULT : -XEN_ENOSYS, "an argument where there is no memory");
}

/* Before the first control block there is no array. */
static void probe_expand_array(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	uint64_t gfn;
	int64_t result;

	if (x != NULL) {
		gfn = x->args.gfn;
		result = op(p, x, &gfn, sizeof(gfn));
		probe_offer(p, result != -XEN_ENOSYS);
		(void)XP_RESULT_OF(p, result, "a page for the array", -XEN_ENOSYS, -XEN_EOPNOTSUPP);
	}
}

/* Of a port in the two-level form. */
static void probe_set_priority(struct probe *p)
{
	struct {
		uint32_t port;
		uint32_t priority;
	} arg = {.priority = 7};
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL && (arg.port = xp_port_ipi(p, x)) != 0) {
		uint32_t port = arg.port;

		XP_REFUSED(p, op(p, x, &arg, sizeof(arg)), -XEN_ENOSYS);
		xp_port_close(p, x, port);
	}
}

#define SPEC_ROW(number, name, status, handler, clause) ROW(number, name, status, clause, probe_##name)
static const struct row rows[] = {
#include "specs/xen_evtchn.def"
};
ROW_TABLE(xen_evtchn, NEED_XEN)
