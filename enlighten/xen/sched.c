/*
 * sched.c - sched_op: giving up the processor, the end of the guest, watchdogs.
 *
 * Follows Xen's sched.h. Suspend is answered as cancelled (there is nowhere to resume), soft reset as a
 * reboot (memory is not kept).
 */
#include "enlighten/xen/xen_state.h"

#define POLL_PORT_MAX 128u

static int64_t yield(struct xen_call *call)
{
	vcpu_yield(call->vcpu);
	return 0;
}

/* vcpu_wait() looks again for what came before it. */
static int64_t block(struct xen_call *call)
{
	vcpu_wait(call->vcpu, 0);
	return 0;
}

/* ------------------------------------------------------------------ poll */

struct poll_request {
	uint64_t ports;
	uint32_t port_count;
	uint64_t deadline_ns;
};

static bool get_poll(struct xen_call *call, struct poll_request *request)
{
	struct xen_sched_poll64 wide;
	struct xen_sched_poll32 narrow;

	if (call->narrow) {
		if (!xen_get(call, call->args[1], &narrow, sizeof(narrow))) {
			return false;
		}
		*request = (struct poll_request){narrow.ports, narrow.nr_ports, narrow.timeout};
		return true;
	}
	if (!xen_get(call, call->args[1], &wide, sizeof(wide))) {
		return false;
	}
	*request = (struct poll_request){wide.ports, wide.nr_ports, wide.timeout};
	return true;
}

/* The vCPU runs again: no event has to wake it. */
void sched_poll_ended(struct xen_vcpu *v)
{
	uint64_t bit = BIT64(v->id);
	struct vcpu_times times;

	if ((__atomic_load_n(&v->xen->poll_mask, __ATOMIC_RELAXED) & bit) == 0) {
		return;
	}
	vcpu_times(v->vcpu, &times);
	if (times.state == VCPU_RUNNING) {
		__atomic_fetch_and(&v->xen->poll_mask, ~bit, __ATOMIC_SEQ_CST);
	}
}

/* 1: one is pending, masked or not; 0: none; -errno. */
static int64_t look_at_ports(const struct xen_vm *xen, const uint32_t *raw_ports, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (raw_ports[i] == 0 || raw_ports[i] >= evtchn_port_limit(xen)) {
			return -XEN_EINVAL;
		}
		if (evtchn_is_pending(xen, raw_ports[i])) {
			return 1;
		}
	}
	return 0;
}

/* Looking and lying down are one step under event_lock, so that no event falls between them. */
static int64_t poll_locked(struct xen_call *call, const uint32_t *raw_ports,
                           const struct poll_request *request)
{
	struct xen_vm *xen = call->xen;
	int64_t found = look_at_ports(xen, raw_ports, request->port_count);

	if (found != 0 || (request->deadline_ns != 0 && request->deadline_ns <= vm_time_ns(call->vm))) {
		return found < 0 ? found : 0;
	}
	call->self->poll_port = request->port_count == 1 ? raw_ports[0] : 0;
	__atomic_fetch_or(&xen->poll_mask, BIT64(call->self->id), __ATOMIC_SEQ_CST);
	vcpu_wait(call->vcpu, request->deadline_ns);
	return 0;
}

static int64_t poll(struct xen_call *call)
{
	uint32_t raw_ports[POLL_PORT_MAX];
	struct poll_request request;
	int64_t result;

	if (!get_poll(call, &request)) {
		return -XEN_EFAULT;
	}
	if (request.port_count > POLL_PORT_MAX) {
		return -XEN_EINVAL;
	}
	if (request.port_count != 0 &&
	    !xen_get(call, request.ports, raw_ports, request.port_count * sizeof(raw_ports[0]))) {
		return -XEN_EFAULT;
	}
	spin_lock(&call->xen->event_lock);
	result = poll_locked(call, raw_ports, &request);
	spin_unlock(&call->xen->event_lock);
	return result;
}

/* ------------------------------------------------------------------ the end */

static void stop_for(struct vm *vm, uint8_t reason)
{
	switch (reason) {
	case SHUTDOWN_poweroff:
		vm_stop(vm, VM_STOP_POWEROFF, "SCHEDOP_shutdown: poweroff");
		break;
	case SHUTDOWN_reboot:
		vm_stop(vm, VM_STOP_REBOOT, "SCHEDOP_shutdown: reboot");
		break;
	case SHUTDOWN_soft_reset:
		vm_stop(vm, VM_STOP_REBOOT, "SCHEDOP_shutdown: soft reset, done as a reboot");
		break;
	case SHUTDOWN_crash:
		vm_stop(vm, VM_STOP_CRASH, "SCHEDOP_shutdown: the guest says it crashed");
		break;
	case SHUTDOWN_watchdog:
		vm_stop(vm, VM_STOP_CRASH, "watchdog");
		break;
	default:
		vm_stop(vm, VM_STOP_CRASH, "SCHEDOP_shutdown: a reason that stands in no header");
		break;
	}
}

/* The first reason counts, also one that SCHEDOP_shutdown_code left. */
static uint8_t claim_reason(struct xen_vm *xen, uint8_t reason)
{
	uint8_t first;

	spin_lock(&xen->event_lock);
	if (xen->shutdown_code == XEN_SHUTDOWN_NONE) {
		xen->shutdown_code = reason;
	}
	first = xen->shutdown_code;
	spin_unlock(&xen->event_lock);
	return first;
}

static int64_t shut_down(struct xen_call *call)
{
	uint32_t raw_reason;

	if (!xen_get(call, call->args[1], &raw_reason, sizeof(raw_reason))) {
		return -XEN_EFAULT;
	}
	if ((uint8_t)raw_reason == SHUTDOWN_suspend) {
		return 1;
	}
	stop_for(call->vm, claim_reason(call->xen, (uint8_t)raw_reason));
	return 0;
}

static int64_t shutdown_code(struct xen_call *call)
{
	uint32_t raw_reason;

	if (!xen_get(call, call->args[1], &raw_reason, sizeof(raw_reason))) {
		return -XEN_EFAULT;
	}
	spin_lock(&call->xen->event_lock);
	call->xen->shutdown_code = (uint8_t)raw_reason;
	spin_unlock(&call->xen->event_lock);
	return 0;
}

/* ------------------------------------------------------------------ watchdogs */

static void watchdog_expired(struct vm_timer *timer)
{
	struct xen_watchdog *dog = CONTAINER_OF(timer, struct xen_watchdog, timer);
	struct xen_vm *xen = dog->xen;
	bool due;

	spin_lock(&xen->event_lock);
	due = dog->in_use && vm_time_ns(xen->vm) >= dog->deadline_ns;
	spin_unlock(&xen->event_lock);
	if (due) {
		stop_for(xen->vm, claim_reason(xen, SHUTDOWN_watchdog));
	}
}

static void watchdog_arm_locked(struct xen_watchdog *dog, uint32_t timeout_s)
{
	dog->in_use = true;
	dog->deadline_ns = vm_time_ns(dog->xen->vm) + timeout_s * 1000000000ull;
	vm_timer_arm(&dog->timer, dog->deadline_ns);
}

static int64_t watchdog_alloc_locked(struct xen_vm *xen, uint32_t timeout_s)
{
	for (uint32_t i = 0; i < XEN_WATCHDOG_COUNT; i++) {
		if (!xen->watchdogs[i].in_use) {
			watchdog_arm_locked(&xen->watchdogs[i], timeout_s);
			return i + 1;
		}
	}
	return -XEN_ENOSPC;
}

static int64_t watchdog_set_locked(struct xen_watchdog *dog, uint32_t timeout_s)
{
	if (!dog->in_use) {
		return -XEN_EINVAL;
	}
	if (timeout_s != 0) {
		watchdog_arm_locked(dog, timeout_s);
	} else {
		dog->in_use = false;
		vm_timer_disarm(&dog->timer);
	}
	return 0;
}

static int64_t watchdog(struct xen_call *call)
{
	struct xen_vm *xen = call->xen;
	struct xen_sched_watchdog arg;
	int64_t result;

	if (!xen_get(call, call->args[1], &arg, sizeof(arg))) {
		return -XEN_EFAULT;
	}
	if (arg.id > XEN_WATCHDOG_COUNT || (arg.id == 0 && arg.timeout == 0)) {
		return -XEN_EINVAL;
	}
	spin_lock(&xen->event_lock);
	result = arg.id == 0 ? watchdog_alloc_locked(xen, arg.timeout)
	                     : watchdog_set_locked(&xen->watchdogs[arg.id - 1], arg.timeout);
	spin_unlock(&xen->event_lock);
	return result;
}

/* ------------------------------------------------------------------ life, dispatch */

void sched_create(struct xen_vm *xen)
{
	xen->shutdown_code = XEN_SHUTDOWN_NONE;
	for (uint32_t i = 0; i < XEN_WATCHDOG_COUNT; i++) {
		xen->watchdogs[i].xen = xen;
		vm_timer_init(&xen->watchdogs[i].timer, vm_vcpu(xen->vm, 0), watchdog_expired);
	}
}

void sched_reset(struct xen_vm *xen)
{
	xen->shutdown_code = XEN_SHUTDOWN_NONE;
	for (uint32_t i = 0; i < XEN_WATCHDOG_COUNT; i++) {
		spin_lock(&xen->event_lock);
		xen->watchdogs[i].in_use = false;
		vm_timer_disarm(&xen->watchdogs[i].timer);
		spin_unlock(&xen->event_lock);
	}
}

enum {
#define SPEC_ROW XEN_ROW_PLACE
#include "specs/xen_sched.def"
#undef SPEC_ROW
};

static const struct xen_row rows[] = {
#define SPEC_ROW XEN_ROW_ENTRY
#include "specs/xen_sched.def"
#undef SPEC_ROW
};

int64_t xen_sched_op(struct xen_call *call)
{
	return xen_dispatch(call, SPEC_XEN_SCHED, rows, ARRAY_COUNT(rows), (uint32_t)call->args[0]);
}
