/*
 * evtchn_op.c - event_channel_op: what a guest asks of its ports.
 *
 * Follows Xen's event_channel.h. A guest has two neighbours: itself (loopback) and domain 0, which is us.
 * Each call copies its structure in, acts under event_lock, and copies the result out after it.
 */
#include "enlighten/xen/xen_state.h"

#define PORTS_A_STEP 4 /* of XEN_COST_STEP: 256 ports closed an exit */

enum virq_kind {
	VIRQ_KIND_VCPU,
	VIRQ_KIND_DOMAIN,
	VIRQ_KIND_GLOBAL
};

static enum virq_kind virq_kind(uint32_t virq)
{
	switch (virq) {
	case VIRQ_TIMER:
	case VIRQ_DEBUG:
	case VIRQ_XENPMU:
		return VIRQ_KIND_VCPU;
	case VIRQ_ARGO:
		return VIRQ_KIND_DOMAIN;
	default:
		return VIRQ_KIND_GLOBAL;
	}
}

/* The result of a call that made a port: the whole structure goes back, as the guest may look at all of it. */
static int64_t put_port(struct xen_call *call, uint32_t port, const void *args, size_t len)
{
	if (port == 0) {
		return -XEN_ENOSPC;
	}
	return xen_put(call, call->args[1], args, len) ? 0 : -XEN_EFAULT;
}

static int64_t alloc_unbound(struct xen_call *call)
{
	struct xen_vm *xen = call->xen;
	struct xen_evtchn_alloc_unbound arg;

	if (!xen_get(call, call->args[1], &arg, sizeof(arg))) {
		return -XEN_EFAULT;
	}
	if (!xen_domid_is_self(xen, arg.dom)) {
		return -XEN_EPERM;
	}
	spin_lock(&xen->event_lock);
	arg.port = evtchn_port_alloc_locked(xen);
	if (arg.port != 0) {
		xen->ports[arg.port].remote_dom =
		        arg.remote_dom == DOMID_SELF ? (uint16_t)vm_config(call->vm)->id : arg.remote_dom;
	}
	spin_unlock(&xen->event_lock);
	return put_port(call, arg.port, &arg, sizeof(arg));
}

/* Both ends in this guest. -errno, or 0 and the new port. */
static int64_t bind_loopback_locked(struct xen_vm *xen, uint32_t raw_remote, uint32_t *port)
{
	uint16_t self = (uint16_t)vm_config(xen->vm)->id;
	struct evtchn_port *remote = evtchn_port_at(xen, raw_remote);
	struct evtchn_port *local;

	if (remote == NULL || remote->state != EVTCHNSTAT_unbound || remote->remote_dom != self) {
		return -XEN_EINVAL;
	}
	*port = evtchn_port_alloc_locked(xen);
	if (*port == 0) {
		return -XEN_ENOSPC;
	}
	local = &xen->ports[*port];
	local->state = EVTCHNSTAT_interdomain;
	local->remote_dom = self;
	local->remote_port = raw_remote;
	remote->state = EVTCHNSTAT_interdomain;
	remote->remote_port = *port;
	/* What was sent while the other end was unbound is lost: say that something may have been. */
	evtchn_raise_locked(xen, *port);
	return 0;
}

static int64_t bind_interdomain(struct xen_call *call)
{
	struct xen_vm *xen = call->xen;
	struct xen_evtchn_bind_interdomain arg;
	uint32_t port = 0;
	int64_t error;

	if (!xen_get(call, call->args[1], &arg, sizeof(arg))) {
		return -XEN_EFAULT;
	}
	if (!xen_domid_is_self(xen, arg.remote_dom) && arg.remote_dom != XEN_DOMID_BACKENDS) {
		return -XEN_ESRCH;
	}
	spin_lock(&xen->event_lock);
	if (arg.remote_dom == XEN_DOMID_BACKENDS) {
		port = arg.remote_port;
		error = evtchn_port_take_left_locked(xen, port);
	} else {
		error = bind_loopback_locked(xen, arg.remote_port, &port);
	}
	spin_unlock(&xen->event_lock);
	arg.local_port = port;
	return error != 0 ? error : put_port(call, port, &arg, sizeof(arg));
}

static int64_t bind_virq_locked(struct xen_vcpu *v, uint32_t virq, uint32_t *port)
{
	struct xen_vm *xen = v->xen;

	if (v->virq_port[virq] != 0) {
		return -XEN_EEXIST;
	}
	*port = evtchn_port_alloc_locked(xen);
	if (*port != 0) {
		xen->ports[*port].state = EVTCHNSTAT_virq;
		xen->ports[*port].virq = (uint8_t)virq;
		xen->ports[*port].vcpu = (uint8_t)v->id;
		v->virq_port[virq] = *port;
	}
	return 0;
}

static int64_t bind_virq(struct xen_call *call)
{
	struct xen_vm *xen = call->xen;
	struct xen_evtchn_bind_virq arg;
	struct xen_vcpu *v;
	uint32_t port = 0;
	int64_t error;

	if (!xen_get(call, call->args[1], &arg, sizeof(arg))) {
		return -XEN_EFAULT;
	}
	if (arg.virq >= NR_VIRQS || (virq_kind(arg.virq) != VIRQ_KIND_VCPU && arg.vcpu != 0)) {
		return -XEN_EINVAL;
	}
	v = xen_vcpu_at(xen, arg.vcpu);
	if (v == NULL) {
		return -XEN_ENOENT;
	}
	if (virq_kind(arg.virq) == VIRQ_KIND_GLOBAL) {
		return -XEN_EBUSY;
	}
	spin_lock(&xen->event_lock);
	error = bind_virq_locked(v, arg.virq, &port);
	spin_unlock(&xen->event_lock);
	arg.port = port;
	return error != 0 ? error : put_port(call, port, &arg, sizeof(arg));
}

static int64_t bind_ipi(struct xen_call *call)
{
	struct xen_vm *xen = call->xen;
	struct xen_evtchn_bind_ipi arg;

	if (!xen_get(call, call->args[1], &arg, sizeof(arg))) {
		return -XEN_EFAULT;
	}
	if (xen_vcpu_at(xen, arg.vcpu) == NULL) {
		return -XEN_ENOENT;
	}
	spin_lock(&xen->event_lock);
	arg.port = evtchn_port_alloc_locked(xen);
	if (arg.port != 0) {
		xen->ports[arg.port].state = EVTCHNSTAT_ipi;
		xen->ports[arg.port].vcpu = (uint8_t)arg.vcpu;
	}
	spin_unlock(&xen->event_lock);
	return put_port(call, arg.port, &arg, sizeof(arg));
}

static int64_t close_port(struct xen_call *call)
{
	struct xen_vm *xen = call->xen;
	uint32_t raw_port;
	bool open;

	if (!xen_get(call, call->args[1], &raw_port, sizeof(raw_port))) {
		return -XEN_EFAULT;
	}
	spin_lock(&xen->event_lock);
	open = evtchn_port_at(xen, raw_port) != NULL;
	if (open) {
		evtchn_port_free_locked(xen, raw_port);
	}
	spin_unlock(&xen->event_lock);
	return open ? 0 : -XEN_EINVAL;
}

/* -errno, or 0; @be is then who of ours is to be told, if it has a function. */
static int64_t send_locked(struct xen_vm *xen, uint32_t raw_port, struct evtchn_backend *be)
{
	const struct evtchn_port *p = evtchn_port_at(xen, raw_port);

	if (p == NULL) {
		return -XEN_EINVAL;
	}
	switch (p->state) {
	case EVTCHNSTAT_interdomain:
		if (p->ours) {
			*be = p->be;
		} else {
			evtchn_raise_locked(xen, p->remote_port);
		}
		return 0;
	case EVTCHNSTAT_ipi:
		evtchn_raise_locked(xen, raw_port);
		return 0;
	case EVTCHNSTAT_unbound:
		return 0;
	default:
		return -XEN_EINVAL;
	}
}

static int64_t send(struct xen_call *call)
{
	struct xen_vm *xen = call->xen;
	struct evtchn_backend be = {0};
	uint32_t raw_port;
	int64_t error;

	if (!xen_get(call, call->args[1], &raw_port, sizeof(raw_port))) {
		return -XEN_EFAULT;
	}
	spin_lock(&xen->event_lock);
	error = send_locked(xen, raw_port, &be);
	spin_unlock(&xen->event_lock);
	if (be.notify != NULL) {
		be.notify(be.context);
	}
	return error;
}

static void fill_status(const struct evtchn_port *p, struct xen_evtchn_status *arg)
{
	arg->status = p->state;
	arg->vcpu = p->vcpu;
	memset(&arg->u, 0, sizeof(arg->u));
	switch (p->state) {
	case EVTCHNSTAT_unbound:
		arg->u.unbound.dom = p->remote_dom;
		break;
	case EVTCHNSTAT_interdomain:
		arg->u.interdomain.dom = p->remote_dom;
		arg->u.interdomain.port = p->remote_port;
		break;
	case EVTCHNSTAT_virq:
		arg->u.virq = p->virq;
		break;
	default:
		break;
	}
}

static int64_t status(struct xen_call *call)
{
	struct xen_vm *xen = call->xen;
	struct xen_evtchn_status arg;
	bool valid;

	if (!xen_get(call, call->args[1], &arg, sizeof(arg))) {
		return -XEN_EFAULT;
	}
	if (!xen_domid_is_self(xen, arg.dom)) {
		return -XEN_ESRCH;
	}
	valid = arg.port != 0 && arg.port < EVTCHN_2L_NR_CHANNELS_64;
	if (!valid) {
		return -XEN_EINVAL;
	}
	spin_lock(&xen->event_lock);
	fill_status(&xen->ports[arg.port], &arg);
	spin_unlock(&xen->event_lock);
	return xen_put(call, call->args[1], &arg, sizeof(arg)) ? 0 : -XEN_EFAULT;
}

/* A port whose events may go to any vCPU. */
static bool port_can_move(const struct evtchn_port *p)
{
	return p->state == EVTCHNSTAT_unbound || p->state == EVTCHNSTAT_interdomain ||
	       (p->state == EVTCHNSTAT_virq && virq_kind(p->virq) != VIRQ_KIND_VCPU);
}

static int64_t bind_vcpu(struct xen_call *call)
{
	struct xen_vm *xen = call->xen;
	struct xen_evtchn_bind_vcpu arg;
	struct evtchn_port *p;
	bool moved;

	if (!xen_get(call, call->args[1], &arg, sizeof(arg))) {
		return -XEN_EFAULT;
	}
	if (xen_vcpu_at(xen, arg.vcpu) == NULL) {
		return -XEN_ENOENT;
	}
	spin_lock(&xen->event_lock);
	p = evtchn_port_at(xen, arg.port);
	moved = p != NULL && port_can_move(p);
	if (moved) {
		p->vcpu = (uint8_t)arg.vcpu;
	}
	spin_unlock(&xen->event_lock);
	return moved ? 0 : -XEN_EINVAL;
}

static int64_t unmask(struct xen_call *call)
{
	struct xen_vm *xen = call->xen;
	uint32_t raw_port;
	bool open;

	if (!xen_get(call, call->args[1], &raw_port, sizeof(raw_port))) {
		return -XEN_EFAULT;
	}
	spin_lock(&xen->event_lock);
	open = evtchn_port_at(xen, raw_port) != NULL;
	if (open) {
		evtchn_unmask_locked(xen, raw_port);
	}
	spin_unlock(&xen->event_lock);
	return open ? 0 : -XEN_EINVAL;
}

/* The first port that is not closed; 0: none. Numbers kept of closed ones are three at most: 0, store, console. */
static uint32_t first_port_locked(const struct xen_vm *xen)
{
	for (uint32_t word = 0; word < ARRAY_COUNT(xen->port_used); word++) {
		for (uint64_t used = xen->port_used[word]; used != 0; used &= used - 1) {
			uint32_t port = word * 64 + bit_lowest(used);

			if (xen->ports[port].state != EVTCHNSTAT_closed) {
				return port;
			}
		}
	}
	return 0;
}

/* What is closed stays closed, so a preempted reset simply runs again. */
static int64_t reset_ports(struct xen_call *call)
{
	struct xen_vm *xen = call->xen;
	uint16_t raw_domid;
	uint32_t port;

	if (!xen_get(call, call->args[1], &raw_domid, sizeof(raw_domid))) {
		return -XEN_EFAULT;
	}
	if (!xen_domid_is_self(xen, raw_domid)) {
		return -XEN_ESRCH;
	}
	do {
		if (!xen_call_spend(call, XEN_COST_STEP / PORTS_A_STEP)) {
			call->again = true;
			return 0;
		}
		spin_lock(&xen->event_lock);
		port = first_port_locked(xen);
		if (port != 0) {
			evtchn_port_free_locked(xen, port);
		}
		spin_unlock(&xen->event_lock);
	} while (port != 0);
	return 0;
}

enum {
#define SPEC_ROW XEN_ROW_PLACE
#include "specs/xen_evtchn.def"
#undef SPEC_ROW
};

static const struct xen_row rows[] = {
#define SPEC_ROW XEN_ROW_ENTRY
#include "specs/xen_evtchn.def"
#undef SPEC_ROW
};

int64_t xen_evtchn_op(struct xen_call *call)
{
	return xen_dispatch(call, SPEC_XEN_EVTCHN, rows, ARRAY_COUNT(rows), (uint32_t)call->args[0]);
}
