/*
 * xen_hypercall.c - probes of specs/xen_hypercall.def: the numbers of xen.h. What is offered has a table of its own for
 * what it does; here stands that it is reached, refuses what it does not know, and how calls are nested and timed.
 */
#include "guest-drivers/certify/xen_probe.h"

#define NO_OPERATION 99u /* of no hypercall */
#define FIRE_AFTER_NS (3 * XP_MS_NS)
#define FAR_NS (1ull << 51)
#define CALLS_MAX 100u

static int64_t call(struct probe *p, struct xen_guest *x, uint64_t a, uint64_t b, uint64_t c)
{
	return xen_call(x, (uint32_t)p->row->number, a, b, c);
}

/* ------------------------------------------------------------------ refused */

/* With an argument of zeros, that means nothing to any of them. */
static int64_t call_zeros(struct probe *p, struct xen_guest *x, uint64_t op)
{
	memset(x->args.bytes, 0, PAGE_BYTES);
	return call(p, x, op, x->args.gfn << PAGE_SHIFT, 1);
}

/* Privileged, or not built in. */
static void probe_platform_op(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		memset(x->args.bytes, 0, PAGE_BYTES);
		XP_REFUSED(p, call(p, x, x->args.gfn << PAGE_SHIFT, 0, 0), -XEN_ENOSYS, -XEN_EPERM,
		           -XEN_EACCES);
	}
}

/* Linux falls back at -ENOSYS; Xen's -EPERM is for those that may not. A line of no length is written. */
static void probe_console_io(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		XP_REFUSED(p, call(p, x, 0, 0, x->args.gfn << PAGE_SHIFT), -XEN_ENOSYS, -XEN_EPERM);
	}
}

/* Numbers that Xen's table does not have for these guests, or not at all. */
static void probe_mmuext_op(struct probe *p)
{
	static const uint32_t numbers[] = {0, 1, 3, 6, 16, 19, 22, 23, 43, 47, 63, 64, 0xFFFF, 0x7FFFFFFF};
	struct xen_guest *x = certify_xen_started(p);

	if (x == NULL) {
		return;
	}
	memset(x->args.bytes, 0, PAGE_BYTES);
	x->args.bytes[0] = NO_OPERATION;
	XP_REFUSED(p, call(p, x, x->args.gfn << PAGE_SHIFT, 1, 0), -XEN_ENOSYS, -XEN_ESRCH, -XEN_EPERM,
	           -XEN_EINVAL);
	for (uint32_t i = 0; i < ARRAY_COUNT(numbers); i++) {
		int64_t result = xen_call(x, numbers[i], 0, 0, 0);

		(void)probe_check(p, result == -XEN_ENOSYS, "number %u, which is none: %ld", numbers[i],
		                  (long)result);
	}
}

static void probe_xsm_op(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		memset(x->args.bytes, 0, PAGE_BYTES);
		XP_REFUSED(p, call(p, x, x->args.gfn << PAGE_SHIFT, 0, 0), -XEN_ENOSYS, -XEN_EACCES,
		           -XEN_EPERM);
	}
}

static void probe_physdev_op(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		XP_REFUSED(p, call_zeros(p, x, NO_OPERATION), -XEN_ENOSYS);
	}
}

/* Interface version 0 is nobody's: -EACCES, if a guest is let that far. */
static void probe_of_control(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		memset(x->args.bytes, 0, PAGE_BYTES);
		XP_REFUSED(p, call(p, x, x->args.gfn << PAGE_SHIFT, 0, 0), -XEN_EPERM, -XEN_EACCES,
		           -XEN_ENOSYS);
	}
}

static void probe_argo_op(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		XP_REFUSED(p, call_zeros(p, x, NO_OPERATION), -XEN_ENOSYS, -XEN_EOPNOTSUPP);
	}
}

static void probe_xenpmu_op(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		XP_REFUSED(p, call_zeros(p, x, NO_OPERATION), -XEN_ENOSYS, -XEN_EOPNOTSUPP, -XEN_EPERM,
		           -XEN_EINVAL);
	}
}

/* Of the guest's own domain, whose device model it is not. */
static void probe_dm_op(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		memset(x->args.bytes, 0, PAGE_BYTES); /* one buffer: none at all is another error */
		XP_REFUSED(p, call(p, x, x->domid, 1, x->args.gfn << PAGE_SHIFT), -XEN_EPERM, -XEN_ESRCH,
		           -XEN_ENOSYS);
	}
}

static void probe_hypfs_op(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		XP_REFUSED(p, call_zeros(p, x, NO_OPERATION), -XEN_ENOSYS, -XEN_EPERM);
	}
}

#define probe_sysctl probe_of_control
#define probe_domctl probe_of_control

/* ------------------------------------------------------------------ offered */

/* An operation that there is not, and one that there is. */
static void check_reached(struct probe *p, uint64_t known, int64_t lowest)
{
	struct xen_guest *x = certify_xen_started(p);
	int64_t result;

	if (x == NULL) {
		return;
	}
	result = call(p, x, known, 0, 0);
	(void)probe_check(p, result >= lowest && result != -XEN_ENOSYS, "operation %lu: %ld",
	                  (unsigned long)known, (long)result);
	(void)xp_result(p, call(p, x, NO_OPERATION, x->args.gfn << PAGE_SHIFT, 0), -XEN_ENOSYS,
	                "an operation that there is not");
}

/* What stands above the operation is progress: an operation above 63 cannot be named. */
static void probe_memory_op(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		int64_t highest = call(p, x, XENMEM_maximum_ram_page, 0, 0);

		(void)probe_check(p, highest > 0 || highest == -XEN_ENOSYS, "no highest page");
		(void)xp_result(p, call(p, x, MEMOP_CMD_MASK, x->args.gfn << PAGE_SHIFT, 0), -XEN_ENOSYS,
		                "an operation that there is not");
	}
}

static void probe_xen_version(struct probe *p)
{
	check_reached(p, XENVER_version, 1);
}

/* The count is signed: below 0 nothing is looked at. */
static void probe_grant_table_op(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	int64_t result;

	if (x == NULL) {
		return;
	}
	(void)xp_result(p, call(p, x, NO_OPERATION, x->args.gfn << PAGE_SHIFT, 1), -XEN_ENOSYS,
	                "an operation that there is not");
	result = call(p, x, GNTTABOP_copy, x->args.gfn << PAGE_SHIFT, 0);
	if (result != -XEN_ENOSYS) {
		(void)xp_result(p, result, 0, "a copy of nothing");
		(void)xp_result(p, call(p, x, GNTTABOP_copy, x->args.gfn << PAGE_SHIFT, 0x80000000u),
		                -XEN_EINVAL, "a count below 0");
	}
}

static void probe_vm_assist(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	int64_t result;

	if (x == NULL) {
		return;
	}
	result = call(p, x, VMASST_CMD_enable, VMASST_TYPE_runstate_update_flag, 0);
	if (!xp_offered(p, result)) {
		return;
	}
	(void)xp_result(p, result, 0, "enabling the runstate's update flag");
	(void)xp_result(p, call(p, x, VMASST_CMD_disable, VMASST_TYPE_runstate_update_flag, 0), 0,
	                "disabling it");
	for (uint64_t type = 0; type < 64; type++) {
		if (type != VMASST_TYPE_runstate_update_flag &&
		    !xp_result(p, call(p, x, VMASST_CMD_enable, type, 0), -XEN_EINVAL,
		               "a type that HVM guests do not have")) {
			break;
		}
	}
	(void)xp_result(p, call(p, x, VMASST_CMD_enable, 1000, 0), -XEN_EINVAL, "a type that there is not");
	(void)xp_result(p, call(p, x, NO_OPERATION, VMASST_TYPE_runstate_update_flag, 0), -XEN_ENOSYS,
	                "a command that there is not");
}

static void probe_vcpu_op(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x == NULL) {
		return;
	}
	(void)xp_result(p, call(p, x, VCPUOP_stop_periodic_timer, 0, 0), 0, "stopping the periodic timer");
	(void)xp_result(p, call(p, x, NO_OPERATION, 0, 0), -XEN_ENOSYS, "an operation that there is not");
	(void)xp_result(p, call(p, x, VCPUOP_stop_periodic_timer, XP_NO_VCPU, 0), -XEN_ENOENT,
	                "a vCPU that there is not");
}

static void probe_sched_op(struct probe *p)
{
	check_reached(p, SCHEDOP_yield, 0);
}

static void probe_event_channel_op(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct xen_evtchn_status status;

	if (x != NULL) {
		(void)xp_result(p, xp_port_status(x, x->store.port, &status), 0, "the store's port");
		(void)xp_result(p, call(p, x, NO_OPERATION, x->args.gfn << PAGE_SHIFT, 0), -XEN_ENOSYS,
		                "an operation that there is not");
	}
}

static void probe_hvm_op(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	uint64_t value;

	if (x != NULL) {
		(void)xp_result(p, xen_param_get(x, HVM_PARAM_STORE_EVTCHN, &value), 0, "a parameter");
		(void)xp_result(p, call(p, x, NO_OPERATION, x->args.gfn << PAGE_SHIFT, 0), -XEN_ENOSYS,
		                "an operation that there is not");
	}
}

/* ------------------------------------------------------------------ multicall */

static struct xen_multicall64 entry(uint64_t op, uint64_t a, uint64_t b)
{
	return (struct xen_multicall64){.op = op, .result = 0xA5A5, .args = {a, b}};
}

/* Each has its own result; an error in one does not end the others. */
static void check_mixed(struct probe *p, struct xen_guest *x)
{
	uint64_t at = x->args.gfn << PAGE_SHIFT;
	struct xen_multicall64 list[5] = {
	        entry(__HYPERVISOR_xen_version, XENVER_pagesize, 0),
	        entry(__HYPERVISOR_multicall, at, 1),
	        entry(__HYPERVISOR_event_channel_op, EVTCHNOP_status, XP_BAD),
	        entry(NO_OPERATION, 0, 0),
	        entry(__HYPERVISOR_sched_op, SCHEDOP_yield, 0),
	};

	memcpy(x->args.bytes, list, sizeof(list));
	(void)xp_result(p, call(p, x, at, 5, 0), 0, "a list of five");
	memcpy(list, x->args.bytes, sizeof(list));
	(void)xp_result(p, (int64_t)list[0].result, PAGE_BYTES, "its first, the page's size");
	(void)xp_result(p, (int64_t)list[1].result, -XEN_EINVAL, "its second, a list in a list");
	(void)xp_result(p, (int64_t)list[2].result, -XEN_EFAULT, "its third, without an argument");
	(void)xp_result(p, (int64_t)list[3].result, -XEN_ENOSYS, "its fourth, which is no hypercall");
	(void)xp_result(p, (int64_t)list[4].result, 0, "its fifth, a yield");
}

/* More than one exit does, with an entry over the page's end. */
static void check_long(struct probe *p, struct xen_guest *x)
{
	struct guest_page pair[2];
	struct xen_multicall64 one = entry(__HYPERVISOR_xen_version, XENVER_pagesize, 0);
	const uint64_t off = sizeof(one) / 2;
	uint32_t wrong = 0;

	if (!xp_pair(p, pair)) {
		return;
	}
	for (uint32_t i = 0; i < CALLS_MAX; i++) {
		memcpy(pair[0].bytes + off + i * sizeof(one), &one, sizeof(one));
	}
	(void)xp_result(p, call(p, x, (pair[0].gfn << PAGE_SHIFT) + off, CALLS_MAX, 0), 0, "a long list");
	for (uint32_t i = 0; i < CALLS_MAX; i++) {
		memcpy(&one, pair[0].bytes + off + i * sizeof(one), sizeof(one));
		wrong += one.result != PAGE_BYTES;
	}
	(void)probe_equal(p, wrong, 0, "wrong results in a long list");
	xp_pages_free(p, pair, 2);
}

static void probe_multicall(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	int64_t result;

	if (x == NULL) {
		return;
	}
	result = call(p, x, x->args.gfn << PAGE_SHIFT, 0, 0);
	if (!xp_offered(p, result)) {
		return;
	}
	(void)xp_result(p, result, 0, "a list of nothing");
	(void)xp_result(p, call(p, x, XP_BAD, 1, 0), -XEN_EFAULT, "a list where there is no memory");
	check_mixed(p, x);
	check_long(p, x);
}

/* ------------------------------------------------------------------ the single-shot timer */

/* Fires, and not before @at_ns. */
static void check_fires(struct probe *p, uint32_t port, uint64_t at_ns, uint32_t us)
{
	uint64_t now;

	(void)probe_check(p, xp_wait_pending(p, port, us), "the timer does not fire");
	now = xp_now(p->c);
	(void)probe_check(p, now >= at_ns, "the timer fires %lu ns early", (unsigned long)(at_ns - now));
	probe_note(p, "%lu ns late", (unsigned long)(now - at_ns));
	xp_clear(&p->c->xen, port);
}

static void check_timer(struct probe *p, struct xen_guest *x, uint32_t port)
{
	uint64_t at_ns = xp_now(p->c) + FIRE_AFTER_NS;

	xp_clear(x, port);
	(void)xp_result(p, call(p, x, at_ns, 0, 0), 0, "a timer in 3 ms");
	check_fires(p, port, at_ns, XP_PATIENCE_US);
	(void)xp_result(p, call(p, x, xp_now(p->c) + FIRE_AFTER_NS, 0, 0), 0, "another one");
	(void)xp_result(p, call(p, x, 0, 0, 0), 0, "stopping it");
	xp_pause(p->c, 6000);
	(void)probe_check(p, !xp_is_pending(x, port), "a timer that was stopped fires");
	(void)xp_result(p, call(p, x, 1, 0, 0), 0, "a timer for a time that is past");
	(void)probe_check(p, xp_wait_pending(p, port, XP_PATIENCE_US), "a past deadline does not fire");
	xp_clear(x, port);
	at_ns = xp_now(p->c) + 90 * XP_MS_NS; /* too far away: in 100 ms */
	(void)xp_result(p, call(p, x, at_ns + FAR_NS, 0, 0), 0, "a timer in 26 days");
	check_fires(p, port, at_ns, 2 * XP_PATIENCE_US);
	at_ns = xp_now(p->c) + 90 * XP_MS_NS;
	(void)xp_result(p, call(p, x, 1ull << 63, 0, 0), 0, "a timer below 0");
	check_fires(p, port, at_ns, 2 * XP_PATIENCE_US);
	(void)call(p, x, 0, 0, 0);
}

static void probe_set_timer_op(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	uint32_t port;

	if (x == NULL || !xp_offered(p, call(p, x, 0, 0, 0))) {
		return;
	}
	port = xp_port_timer(p, x);
	if (port != 0) {
		check_timer(p, x, port);
		xp_port_close(p, x, port);
	}
}

#define SPEC_ROW(number, name, status, handler, clause) ROW(number, name, status, clause, probe_##name)
static const struct row rows[] = {
#include "specs/xen_hypercall.def"
};
ROW_TABLE(xen_hypercall, NEED_XEN)
