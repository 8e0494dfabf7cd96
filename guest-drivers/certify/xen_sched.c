/*
 * xen_sched.c - probes of specs/xen_sched.def: giving up the processor, watchdogs, by sched.h.
 *
 * Nothing here may end the guest, on any hypervisor: SCHEDOP_shutdown is never given a reason (Xen takes any number for
 * one), watchdogs have an hour and are stopped, and no time to wait is without an end.
 */
#include "guest-drivers/certify/xen_probe.h"

#define WAIT_NS (2 * XP_MS_NS)
#define POLL_MAX_NS (1000 * XP_MS_NS) /* for WAIT_NS, on a loaded machine too */
#define BLOCK_NS (20 * XP_MS_NS)
#define BLOCK_SAFE_NS (10 * XP_MS_NS)
#define POLL_PORTS_MAX 128u
#define HOUR_S 3600u
#define WATCHDOGS 2u

static int64_t op(struct probe *p, struct xen_guest *x, void *argument, size_t len)
{
	return xp_op(p, x, __HYPERVISOR_sched_op, argument, len);
}

static void probe_yield(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	int64_t result;

	if (x != NULL) {
		result = xen_call(x, __HYPERVISOR_sched_op, p->row->number, 0, 0);
		if (xp_offered(p, result)) {
			(void)xp_result(p, result, 0, "a yield");
		}
	}
}

/* ------------------------------------------------------------------ block */

struct block_wait {
	struct certify *c;
	uint32_t port;
	uint64_t at_ns;
	int64_t result; /* of the last block */
};

static int64_t timer_set(struct xen_guest *x, uint64_t at_ns)
{
	struct xen_set_singleshot_timer arg = {.timeout_abs_ns = at_ns};

	memset(x->args.bytes, 0, 2 * sizeof(arg));
	memcpy(x->args.bytes, &arg, sizeof(arg));
	return xen_call(x, __HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, x->args.gfn << PAGE_SHIFT);
}

/*
 * Blocks only while the timer that ends it is far enough away, and with no upcall asked for: only a new one wakes a vCPU
 * whose interrupts are off.
 */
static bool block_once(void *context)
{
	struct block_wait *wait = context;
	struct xen_guest *x = &wait->c->xen;

	if (!xp_is_pending(x, wait->port) && xp_now(wait->c) + BLOCK_SAFE_NS < wait->at_ns) {
		xp_upcall_clear(x);
		wait->result = xen_call(x, __HYPERVISOR_sched_op, SCHEDOP_block, 0, 0);
	}
	return xp_is_pending(x, wait->port);
}

/* A vCPU may run again before its time; it looks, and blocks again. No other port may ask for an upcall meanwhile. */
static void check_block(struct probe *p, struct xen_guest *x, uint32_t port)
{
	struct block_wait wait = {.c = p->c, .port = port, .result = -XEN_ENOSYS};
	bool came;
	uint64_t now;

	xp_clear(x, port);
	xp_mask(x, port, false);
	wait.at_ns = xp_now(p->c) + BLOCK_NS;
	if (!xp_result(p, timer_set(x, wait.at_ns), 0, "a timer in 20 ms")) {
		return;
	}
	came = certify_wait(p->c, block_once, &wait, XP_PATIENCE_US);
	now = xp_now(p->c);
	if (!xp_offered(p, wait.result)) {
		return;
	}
	(void)xp_result(p, wait.result, 0, "a block");
	(void)probe_check(p, came, "the timer does not come");
	(void)probe_check(p, now >= wait.at_ns, "the timer comes %lu ns early",
	                  (unsigned long)(wait.at_ns - now));
	(void)probe_check(p, xp_upcall(x), "there is no upcall for it");
}

static void probe_block(struct probe *p)
{
	static uint8_t masks[sizeof(((struct xen_shared_info64 *)0)->evtchn_mask)];
	struct xen_guest *x = certify_xen_started(p);
	uint8_t *mask_at;
	uint32_t port;

	if (x == NULL || (port = xp_port_timer(p, x)) == 0) {
		return;
	}
	mask_at = x->shared + offsetof(struct xen_shared_info64, evtchn_mask);
	memcpy(masks, mask_at, sizeof(masks));
	memset(mask_at, 0xFF, sizeof(masks));
	check_block(p, x, port);
	memcpy(mask_at, masks, sizeof(masks));
	xp_mask(x, port, true);
	xp_upcall_clear(x);
	xp_port_close(p, x, port);
}

/* ------------------------------------------------------------------ poll */

static int64_t poll(struct probe *p, struct xen_guest *x, uint64_t ports, uint32_t count, uint64_t timeout)
{
	struct xen_sched_poll64 arg = {.ports = ports, .nr_ports = count, .timeout = timeout};

	return op(p, x, &arg, sizeof(arg));
}

/*
 * With a timeout in each: to return too soon is allowed, not to return is not. A host that takes the time of the end for how
 * long to wait sleeps for as long as the guest has been running: once is enough.
 */
static void check_poll_timeout(struct probe *p, struct xen_guest *x, const struct guest_page *list)
{
	uint64_t start = xp_now(p->c);

	(void)xp_result(p, poll(p, x, 0, 0, start + WAIT_NS), 0, "2 ms, and no port");
	if (!probe_check(p, xp_now(p->c) - start < POLL_MAX_NS, "a poll of 2 ms takes more than a second")) {
		return;
	}
	(void)xp_result(p, poll(p, x, list->gfn << PAGE_SHIFT, 1, xp_now(p->c) + WAIT_NS), 0,
	                "2 ms, and a port that stays quiet");
	probe_note(p, "two polls of 2 ms took %lu ns", (unsigned long)(xp_now(p->c) - start));
	(void)xp_result(p, poll(p, x, list->gfn << PAGE_SHIFT, 1, 1), 0, "a timeout that is past");
	(void)xp_result(p, poll(p, x, list->gfn << PAGE_SHIFT, POLL_PORTS_MAX, xp_now(p->c) + WAIT_NS), 0,
	                "128 ports");
}

static void check_poll_refused(struct probe *p, struct xen_guest *x, const struct guest_page *list)
{
	const uint32_t none = XP_NO_PORT;

	(void)xp_result(p, poll(p, x, list->gfn << PAGE_SHIFT, POLL_PORTS_MAX + 1, 1), -XEN_EINVAL,
	                "129 ports");
	(void)xp_result(p, poll(p, x, XP_BAD, 1, 1), -XEN_EFAULT, "ports where there is no memory");
	memcpy(list->bytes, &none, sizeof(none));
	(void)xp_result(p, poll(p, x, list->gfn << PAGE_SHIFT, 1, xp_now(p->c) + WAIT_NS), -XEN_EINVAL,
	                "a port that there is not");
	xp_check_fault(p, x, __HYPERVISOR_sched_op);
}

/* What is pending ends it, masked or not: no timeout is needed then, but there is one. */
static void check_poll_pending(struct probe *p, struct xen_guest *x, const struct guest_page *list,
                               uint32_t port)
{
	uint64_t far_ns = xp_now(p->c) + 1000 * XP_MS_NS;

	xp_mask(x, port, true);
	(void)xp_result(p, xen_port_notify(x, port), 0, "an event to itself");
	(void)probe_check(p, xp_is_pending(x, port), "it is not pending");
	(void)xp_result(p, poll(p, x, list->gfn << PAGE_SHIFT, 1, far_ns), 0, "a pending port, masked");
	(void)probe_check(p, xp_now(p->c) < far_ns, "a pending port does not end the poll");
	(void)probe_check(p, xp_is_pending(x, port), "the poll took the event");
	xp_clear(x, port);
	xp_mask(x, port, false);
}

static void probe_poll(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct guest_page list;
	uint32_t port;
	int64_t result;

	if (x == NULL || !xp_pages(p, &list, 1)) {
		return;
	}
	result = poll(p, x, 0, 0, 1);
	port = xp_offered(p, result) ? xp_port_ipi(p, x) : 0;
	if (port != 0) {
		(void)xp_result(p, result, 0, "no ports, a timeout that is past");
		for (uint32_t i = 0; i < POLL_PORTS_MAX + 1; i++) {
			memcpy(list.bytes + i * sizeof(port), &port, sizeof(port));
		}
		check_poll_pending(p, x, &list, port);
		check_poll_timeout(p, x, &list);
		check_poll_refused(p, x, &list);
		xp_port_close(p, x, port);
	}
	xp_pages_free(p, &list, 1);
}

/* ------------------------------------------------------------------ the end, which is not to come */

static void probe_shutdown(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		xp_check_fault(p, x, __HYPERVISOR_sched_op);
		probe_note(p, "no reason is given here: each would end or suspend the guest");
	}
}

/* Of a domain that there is not. */
static void probe_remote_shutdown(struct probe *p)
{
	struct {
		uint16_t domid;
		uint16_t pad;
		uint32_t reason;
	} remote = {.domid = XP_NO_DOMID};
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		XP_REFUSED(p, op(p, x, &remote, sizeof(remote)), -XEN_EPERM, -XEN_ESRCH, -XEN_ENOSYS);
	}
}

/* The guest goes on; the reason is the one with which it ends later anyway. */
static void probe_shutdown_code(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	uint32_t reason = SHUTDOWN_poweroff;
	int64_t result;

	if (x == NULL) {
		return;
	}
	result = op(p, x, &reason, sizeof(reason));
	if (xp_offered(p, result)) {
		(void)xp_result(p, result, 0, "a reason for later");
		xp_check_fault(p, x, __HYPERVISOR_sched_op);
	}
}

/* ------------------------------------------------------------------ watchdogs */

/* The result is an int of 32 bits: Xen leaves what is above it clear. */
static int64_t watchdog(struct probe *p, struct xen_guest *x, uint32_t id, uint32_t timeout_s)
{
	struct xen_sched_watchdog arg = {.id = id, .timeout = timeout_s};

	return (int32_t)op(p, x, &arg, sizeof(arg));
}

static void probe_watchdog(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	int64_t ids[WATCHDOGS];

	if (x == NULL) {
		return;
	}
	ids[0] = watchdog(p, x, 0, HOUR_S);
	if (!xp_offered(p, ids[0])) {
		return;
	}
	ids[1] = watchdog(p, x, 0, HOUR_S);
	(void)probe_check(p,
	                  ids[0] >= 1 && ids[0] <= WATCHDOGS && ids[1] >= 1 && ids[1] <= WATCHDOGS &&
	                          ids[0] != ids[1],
	                  "two watchdogs: %ld and %ld", (long)ids[0], (long)ids[1]);
	(void)xp_result(p, watchdog(p, x, 0, HOUR_S), -XEN_ENOSPC, "a third");
	for (uint32_t i = 0; i < WATCHDOGS; i++) {
		if (ids[i] > 0) {
			(void)xp_result(p, watchdog(p, x, (uint32_t)ids[i], HOUR_S), 0, "setting one again");
			(void)xp_result(p, watchdog(p, x, (uint32_t)ids[i], 0), 0, "stopping it");
			(void)xp_result(p, watchdog(p, x, (uint32_t)ids[i], 0), -XEN_EINVAL,
			                "stopping one that does not run");
			(void)xp_result(p, watchdog(p, x, (uint32_t)ids[i], HOUR_S), -XEN_EINVAL,
			                "setting one that is not ours");
		}
	}
	(void)xp_result(p, watchdog(p, x, WATCHDOGS + 1, HOUR_S), -XEN_EINVAL, "one that there is not");
	xp_check_fault(p, x, __HYPERVISOR_sched_op);
}

static void probe_pin_override(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	int32_t cpu = 0;

	if (x != NULL) {
		XP_REFUSED(p, op(p, x, &cpu, sizeof(cpu)), -XEN_EPERM, -XEN_ENOSYS);
	}
}

#define SPEC_ROW(number, name, status, handler, clause) ROW(number, name, status, clause, probe_##name)
static const struct row rows[] = {
#include "specs/xen_sched.def"
};
ROW_TABLE(xen_sched, NEED_XEN)
