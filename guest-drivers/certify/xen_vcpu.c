/*
 * xen_vcpu.c - probes of specs/xen_vcpu.def: vCPUs, their areas and timers, by vcpu.h and hvm/hvm_vcpu.h.
 *
 * No vCPU is started or stopped here that another part of the guest may want, and no NMI is sent where it would come.
 * Areas end by being moved where nothing is mapped: the hypervisor may not write to a page that is given back.
 */
#include "guest-drivers/certify/xen_probe.h"

#define AFTER_NS (3 * XP_MS_NS)
#define IN_TIME_TRIES 8u
#define PERIOD_NS (2 * XP_MS_NS)
#define TICKS 4u
#define AR_CODE 0xC9Bu
#define AR_DATA 0xC93u
#define AR_TASK 0x08Bu

/* The row's operation on @vcpu. */
static int64_t op(struct probe *p, struct xen_guest *x, uint32_t vcpu, const void *argument, size_t len)
{
	memcpy(x->args.bytes, argument, len);
	return xen_call(x, __HYPERVISOR_vcpu_op, p->row->number, vcpu, x->args.gfn << PAGE_SHIFT);
}

static int64_t bare_op(struct probe *p, struct xen_guest *x, uint32_t vcpu, uint64_t pointer)
{
	return xen_call(x, __HYPERVISOR_vcpu_op, p->row->number, vcpu, pointer);
}

static void check_no_vcpu(struct probe *p, struct xen_guest *x)
{
	(void)xp_result(p, bare_op(p, x, XP_NO_VCPU, x->args.gfn << PAGE_SHIFT), -XEN_ENOENT,
	                "of a vCPU that there is not");
	(void)xp_result(p, bare_op(p, x, UINT32_MAX, x->args.gfn << PAGE_SHIFT), -XEN_ENOENT,
	                "of vCPU 0xffffffff");
}

static void check_fault(struct probe *p, struct xen_guest *x)
{
	(void)xp_result(p, bare_op(p, x, 0, XP_BAD), -XEN_EFAULT, "an argument where there is no memory");
}

/* ------------------------------------------------------------------ initialise, up, down */

static struct xen_vcpu_hvm_context legal_context(void)
{
	struct xen_vcpu_hvm_context context = {.mode = VCPU_HVM_MODE_32B};

	context.cpu_regs.x86_32 = (struct xen_vcpu_x86_32){
	        .cr0 = 0x11,
	        .cs_limit = UINT32_MAX,
	        .ds_limit = UINT32_MAX,
	        .ss_limit = UINT32_MAX,
	        .es_limit = UINT32_MAX,
	        .tr_limit = 0x67,
	        .cs_ar = AR_CODE,
	        .ds_ar = AR_DATA,
	        .ss_ar = AR_DATA,
	        .es_ar = AR_DATA,
	        .tr_ar = AR_TASK,
	};
	return context;
}

/* Of a vCPU that was never started each is wrong; of one that was, nothing can be said again. */
static void check_illegal(struct probe *p, struct xen_guest *x, uint32_t vcpu)
{
	struct xen_vcpu_hvm_context contexts[6];

	for (uint32_t i = 0; i < ARRAY_COUNT(contexts); i++) {
		contexts[i] = legal_context();
	}
	contexts[0].mode = 7;
	contexts[1].pad = 1;
	contexts[2].cpu_regs.x86_32.cs_limit = 0x0FFF;
	contexts[2].cpu_regs.x86_32.cs_ar = AR_CODE & 0xFFu;
	contexts[2].cpu_regs.x86_32.eip = 0x1000;
	contexts[3].cpu_regs.x86_32.cs_ar = 0;
	contexts[4].cpu_regs.x86_32.ss_ar = AR_CODE;
	contexts[5].cpu_regs.x86_32.pad1 = 1;
	for (uint32_t i = 0; i < ARRAY_COUNT(contexts); i++) {
		(void)XP_RESULT_OF(p, op(p, x, vcpu, &contexts[i], sizeof(contexts[i])),
		                   "a state that no processor starts in", -XEN_EINVAL, -XEN_EEXIST);
	}
}

static void probe_initialise(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct xen_vcpu_hvm_context context = legal_context();
	uint32_t down;
	int64_t result;

	if (x == NULL) {
		return;
	}
	result = op(p, x, 0, &context, sizeof(context));
	if (!xp_offered(p, result)) {
		return;
	}
	(void)xp_result(p, result, -XEN_EEXIST, "the vCPU that runs");
	check_illegal(p, x, 0);
	down = xp_vcpu_down(x);
	if (down != 0) {
		check_illegal(p, x, down);
		(void)xp_result(p, xen_call(x, __HYPERVISOR_vcpu_op, VCPUOP_is_up, down, 0), 0,
		                "is it up after that");
	}
	check_no_vcpu(p, x);
	check_fault(p, x);
}

/* One that was never started cannot be; on a real machine it may have been, and is left alone. */
static void probe_up(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	uint32_t down;
	int64_t result;

	if (x == NULL) {
		return;
	}
	result = bare_op(p, x, 0, 0);
	if (!xp_offered(p, result)) {
		return;
	}
	(void)xp_result(p, result, 0, "the vCPU that runs");
	down = p->c->machine == NULL ? xp_vcpu_down(x) : 0;
	if (down != 0) {
		(void)xp_result(p, bare_op(p, x, down, 0), -XEN_EINVAL, "a vCPU that has no state yet");
	}
	check_no_vcpu(p, x);
}

/* One that is down already. The last one up is never taken down: it would be the end. */
static void probe_down(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	uint32_t down;
	int64_t result;

	if (x == NULL) {
		return;
	}
	result = bare_op(p, x, XP_NO_VCPU, 0);
	if (!xp_offered(p, result)) {
		return;
	}
	check_no_vcpu(p, x);
	down = xp_vcpu_down(x);
	if (down != 0) {
		(void)xp_result(p, bare_op(p, x, down, 0), 0, "a vCPU that is down");
		(void)xp_result(p, xen_call(x, __HYPERVISOR_vcpu_op, VCPUOP_is_up, down, 0), 0,
		                "is it up after that");
	}
}

static void probe_is_up(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	int64_t result;

	if (x == NULL) {
		return;
	}
	result = bare_op(p, x, 0, 0);
	if (xp_offered(p, result)) {
		(void)xp_result(p, result, 1, "the vCPU that runs");
		check_no_vcpu(p, x);
	}
}

/* ------------------------------------------------------------------ runstate */

static uint64_t total(const struct xen_runstate64 *state)
{
	return state->time[0] + state->time[1] + state->time[2] + state->time[3];
}

/* Of the vCPU that asks: it runs, since some time that was. */
static void check_running(struct probe *p, const struct xen_runstate64 *state)
{
	uint64_t now = xp_now(p->c);

	(void)probe_equal(p, state->state, RUNSTATE_running, "the state");
	(void)probe_check(p, state->state_entry_time <= now, "entered at %lu, now is %lu",
	                  (unsigned long)state->state_entry_time, (unsigned long)now);
	(void)probe_check(p, total(state) <= now, "%lu ns spent, %lu since the start",
	                  (unsigned long)total(state), (unsigned long)now);
}

static int64_t runstate_read(struct xen_guest *x, uint32_t vcpu, struct xen_runstate64 *state)
{
	int64_t result =
	        xen_call(x, __HYPERVISOR_vcpu_op, VCPUOP_get_runstate_info, vcpu, x->args.gfn << PAGE_SHIFT);

	memcpy(state, x->args.bytes, sizeof(*state));
	return result;
}

static void probe_get_runstate_info(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct xen_runstate64 first;
	struct xen_runstate64 next;
	int64_t result;
	uint32_t down;

	if (x == NULL) {
		return;
	}
	memset(x->args.bytes, 0xA5, PAGE_BYTES);
	result = runstate_read(x, 0, &first);
	if (!xp_offered(p, result)) {
		return;
	}
	(void)xp_result(p, result, 0, "the state of the vCPU that runs");
	(void)probe_equal(p, x->args.bytes[sizeof(first)], 0xA5, "the byte behind it");
	check_running(p, &first);
	xp_pause(p->c, 100);
	(void)runstate_read(x, 0, &next);
	(void)probe_check(p, total(&next) >= total(&first), "less time is spent than before");
	down = xp_vcpu_down(x);
	if (down != 0 && runstate_read(x, down, &next) == 0) {
		(void)probe_check(p, next.state == RUNSTATE_offline || next.state == RUNSTATE_blocked,
		                  "a vCPU that is down: state %u", next.state);
	}
	check_no_vcpu(p, x);
	check_fault(p, x);
}

/* ------------------------------------------------------------------ areas */

/* What stands in an area when it has been registered. */
static void check_content(struct probe *p, struct xen_guest *x, const uint8_t *at, size_t len)
{
	struct xen_runstate64 state;
	struct xen_vcpu_time_info time;
	struct xen_vcpu_time_info own;

	if (len == sizeof(state)) {
		memcpy(&state, at, len);
		check_running(p, &state);
		return;
	}
	memcpy(&time, at, sizeof(time));
	memcpy(&own, x->shared + offsetof(struct xen_vcpu_info64, time), sizeof(own));
	(void)probe_check(p, time.version != 0 && (time.version & 1) == 0, "version %u", time.version);
	(void)probe_equal(p, time.tsc_to_system_mul, own.tsc_to_system_mul, "the multiplier");
	(void)probe_equal(p, (uint8_t)time.tsc_shift, (uint8_t)own.tsc_shift, "the shift");
	(void)probe_equal(p, time.flags & XEN_PVCLOCK_TSC_STABLE_BIT, own.flags & XEN_PVCLOCK_TSC_STABLE_BIT,
	                  "whether the TSC is stable");
}

/* At @off of two pages side by side; nothing around it is written. */
static void check_area_at(struct probe *p, struct xen_guest *x, struct guest_page pair[2], uint32_t off,
                          size_t len)
{
	uint64_t at = (pair[0].gfn << PAGE_SHIFT) + off;

	memset(pair[0].bytes, 0xA5, PAGE_BYTES);
	memset(pair[1].bytes, 0xA5, PAGE_BYTES);
	(void)xp_result(p, op(p, x, 0, &at, sizeof(at)), 0, "an area");
	check_content(p, x, pair[0].bytes + off, len);
	(void)probe_check(p, pair[0].bytes[off - 1] == 0xA5 && pair[0].bytes[off + len] == 0xA5,
	                  "bytes beside the area are written");
}

static void check_linear(struct probe *p, size_t len)
{
	const uint64_t gone = XP_UNMAPPED;
	const uint64_t wild = XP_BAD;
	struct xen_guest *x = certify_xen_started(p);
	struct guest_page pair[2];
	int64_t result;

	if (x == NULL) {
		return;
	}
	result = op(p, x, 0, &gone, sizeof(gone));
	if (!xp_offered(p, result) || !xp_pair(p, pair)) {
		return;
	}
	(void)xp_result(p, result, 0, "an area that is not mapped now");
	check_area_at(p, x, pair, 64, len);
	check_area_at(p, x, pair, PAGE_BYTES - (uint32_t)len / 2, len);
	(void)XP_RESULT_OF(p, op(p, x, 0, &wild, sizeof(wild)), "an area at no address", -XEN_EFAULT, 0);
	(void)xp_result(p, op(p, x, 0, &gone, sizeof(gone)), 0, "an area that is not mapped");
	check_no_vcpu(p, x);
	check_fault(p, x);
	xp_pages_free(p, pair, 2);
}

static void check_physical(struct probe *p, size_t len)
{
	const uint64_t none = UINT64_MAX;
	const uint64_t wild = XP_BAD;
	struct xen_guest *x = certify_xen_started(p);
	struct guest_page pair[2];
	uint64_t at;
	int64_t result;

	if (x == NULL) {
		return;
	}
	result = op(p, x, 0, &none, sizeof(none));
	if (!xp_offered(p, result) || !xp_pair(p, pair)) {
		return;
	}
	(void)xp_result(p, result, 0, "no area");
	check_area_at(p, x, pair, 64, len);
	at = (pair[0].gfn << PAGE_SHIFT) + PAGE_BYTES - len / 2;
	(void)xp_result(p, op(p, x, 0, &at, sizeof(at)), -XEN_ENXIO, "an area over two pages");
	at = (pair[0].gfn << PAGE_SHIFT) + 4;
	(void)xp_result(p, op(p, x, 0, &at, sizeof(at)), -XEN_ENXIO, "an area that is not aligned");
	result = op(p, x, 0, &wild, sizeof(wild));
	(void)probe_check(p, result < 0, "an area where there is no memory: %ld", (long)result);
	(void)xp_result(p, op(p, x, 0, &none, sizeof(none)), 0, "no area any more");
	check_no_vcpu(p, x);
	check_fault(p, x);
	xp_pages_free(p, pair, 2);
}

static void probe_register_runstate_memory_area(struct probe *p)
{
	check_linear(p, sizeof(struct xen_runstate64));
}

static void probe_register_vcpu_time_memory_area(struct probe *p)
{
	check_linear(p, sizeof(struct xen_vcpu_time_info));
}

static void probe_register_runstate_phys_area(struct probe *p)
{
	check_physical(p, sizeof(struct xen_runstate64));
}

static void probe_register_vcpu_time_phys_area(struct probe *p)
{
	check_physical(p, sizeof(struct xen_vcpu_time_info));
}

/* ------------------------------------------------------------------ vcpu_info */

static int64_t register_info(struct probe *p, struct xen_guest *x, uint64_t gfn, uint32_t offset)
{
	struct xen_register_vcpu_info arg = {.mfn = gfn, .offset = offset};

	return op(p, x, 0, &arg, sizeof(arg));
}

/*
 * There is no way back, so the place is the one where it is anyway: in the shared info. After that all events count as
 * pending, so that none is lost.
 */
static void probe_register_vcpu_info(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	int64_t result;
	uint64_t home;

	if (x == NULL) {
		return;
	}
	home = x->shared_below.gfn;
	result = register_info(p, x, home, PAGE_BYTES - 8);
	if (!xp_offered(p, result)) {
		return;
	}
	(void)XP_RESULT_OF(p, result, "over the end of a page", -XEN_ENXIO, -XEN_EINVAL);
	(void)XP_RESULT_OF(p, register_info(p, x, home, 2), "not aligned", -XEN_ENXIO, -XEN_EINVAL);
	result = register_info(p, x, XP_BAD_GFN, 0);
	(void)probe_check(p, result < 0, "where there is no memory: %ld", (long)result);
	check_no_vcpu(p, x);
	check_fault(p, x);
	xp_upcall_clear(x);
	result = register_info(p, x, home, 0);
	if (result == -XEN_EBUSY || result == -XEN_EINVAL) {
		probe_note(p, "it has a place already: %ld", (long)result);
		return;
	}
	if (xp_result(p, result, 0, "a place for it")) {
		p->c->xen_info_is_placed = true;
		(void)probe_check(p, xp_upcall(x), "there is no upcall after it");
		(void)XP_RESULT_OF(p, register_info(p, x, home, 0), "a second time", -XEN_EBUSY, -XEN_EINVAL);
	}
	(void)xen_events_handle(x);
}

/* ------------------------------------------------------------------ timers */

static void check_early(struct probe *p, uint64_t at_ns)
{
	uint64_t now = xp_now(p->c);

	(void)probe_check(p, now >= at_ns, "the timer fires %lu ns early", (unsigned long)(at_ns - now));
	probe_note(p, "%lu ns late", (unsigned long)(now - at_ns));
}

static int64_t periodic(struct xen_guest *x, uint64_t period_ns)
{
	memcpy(x->args.bytes, &period_ns, sizeof(period_ns));
	return xen_call(x, __HYPERVISOR_vcpu_op, VCPUOP_set_periodic_timer, 0, x->args.gfn << PAGE_SHIFT);
}

static int64_t periodic_stop(struct xen_guest *x)
{
	return xen_call(x, __HYPERVISOR_vcpu_op, VCPUOP_stop_periodic_timer, 0, 0);
}

/* Ticks are a period apart; Xen may give the first at once, for the time before. */
static void check_ticks(struct probe *p, struct xen_guest *x, uint32_t port)
{
	uint64_t start = xp_now(p->c);

	xp_clear(x, port);
	(void)xp_result(p, periodic(x, PERIOD_NS), 0, "a period of 2 ms");
	for (uint64_t i = 1; i <= TICKS; i++) {
		if (!probe_check(p, xp_wait_pending(p, port, XP_PATIENCE_US), "tick %lu does not come",
		                 (unsigned long)i)) {
			break;
		}
		check_early(p, start + (i - 1) * PERIOD_NS);
		xp_clear(x, port);
	}
	(void)xp_result(p, periodic_stop(x), 0, "stopping it");
	xp_clear(x, port);
}

static void probe_set_periodic_timer(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	int64_t result;
	uint32_t port;

	if (x == NULL) {
		return;
	}
	result = periodic(x, XP_MS_NS - 1);
	if (!xp_offered(p, result)) {
		return;
	}
	(void)xp_result(p, result, -XEN_EINVAL, "a period below 1 ms");
	(void)xp_result(p, periodic(x, 0), -XEN_EINVAL, "a period of 0");
	(void)xp_result(p, periodic(x, 1ull << 62), -XEN_EINVAL, "a period of 2^62 ns");
	check_no_vcpu(p, x);
	check_fault(p, x);
	port = xp_port_timer(p, x);
	if (port != 0) {
		check_ticks(p, x, port);
		xp_port_close(p, x, port);
	}
}

/* What is stopped does not fire, whether it ran or not. */
static void probe_stop_periodic_timer(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	uint32_t port;

	if (x == NULL || (port = xp_port_timer(p, x)) == 0) {
		return;
	}
	(void)xp_result(p, periodic_stop(x), 0, "stopping what does not run");
	if (periodic(x, PERIOD_NS) == 0) {
		(void)probe_check(p, xp_wait_pending(p, port, XP_PATIENCE_US), "the timer does not tick");
		(void)xp_result(p, periodic_stop(x), 0, "stopping it");
		xp_clear(x, port);
		xp_pause(p->c, 3 * PERIOD_NS / 1000);
		(void)probe_check(p, !xp_is_pending(x, port), "it ticks after it was stopped");
	}
	check_no_vcpu(p, x);
	xp_port_close(p, x, port);
}

static int64_t singleshot(struct xen_guest *x, uint32_t vcpu, uint64_t at_ns, uint32_t flags)
{
	struct xen_set_singleshot_timer arg = {.timeout_abs_ns = at_ns, .flags = flags};

	memset(x->args.bytes, 0, 2 * sizeof(arg));
	memcpy(x->args.bytes, &arg, sizeof(arg));
	return xen_call(x, __HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, vcpu,
	                x->args.gfn << PAGE_SHIFT);
}

static int64_t singleshot_stop(struct xen_guest *x, uint32_t vcpu)
{
	return xen_call(x, __HYPERVISOR_vcpu_op, VCPUOP_stop_singleshot_timer, vcpu, 0);
}

/*
 * A timer in 3 ms, which is stopped before it fires, or (@at_ns not NULL) has one in 9 ms in its place, at *@at_ns. On a
 * loaded machine that is too late now and then, and tried again. False: never in time, and there is nothing to look at.
 */
static bool called_off_in_time(struct probe *p, struct xen_guest *x, uint32_t port, uint64_t *at_ns)
{
	for (uint32_t i = 0; i < IN_TIME_TRIES; i++) {
		uint64_t now_ns = xp_now(p->c);

		xp_clear(x, port);
		(void)xp_result(p, singleshot(x, 0, now_ns + AFTER_NS, 0), 0, "a timer in 3 ms");
		if (at_ns == NULL) {
			(void)xp_result(p, singleshot_stop(x, 0), 0, "stopping it");
		} else {
			*at_ns = now_ns + 3 * AFTER_NS;
			(void)xp_result(p, singleshot(x, 0, *at_ns, 0), 0, "in its place one in 9 ms");
		}
		if (xp_now(p->c) < now_ns + AFTER_NS) {
			return true;
		}
	}
	probe_note(p, "never in time to replace or stop a timer before it fires");
	return false;
}

static void check_singleshot(struct probe *p, struct xen_guest *x, uint32_t port)
{
	uint64_t at_ns = xp_now(p->c) + AFTER_NS;

	xp_clear(x, port);
	(void)xp_result(p, singleshot(x, 0, at_ns, 0), 0, "a timer in 3 ms");
	(void)probe_check(p, xp_wait_pending(p, port, XP_PATIENCE_US), "it does not fire");
	check_early(p, at_ns);
	xp_clear(x, port);
	xp_pause(p->c, AFTER_NS / 1000 + 1000);
	(void)probe_check(p, !xp_is_pending(x, port), "it fires twice");
	(void)xp_result(p, singleshot(x, 0, 1, 0), 0, "a deadline that is past");
	(void)probe_check(p, xp_wait_pending(p, port, XP_PATIENCE_US), "a past deadline does not fire");
	if (called_off_in_time(p, x, port, &at_ns)) {
		(void)probe_check(p, xp_wait_pending(p, port, XP_PATIENCE_US), "it does not fire");
		check_early(p, at_ns);
	}
}

static void probe_set_singleshot_timer(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	uint32_t port;
	uint32_t down;

	if (x == NULL || !xp_offered(p, singleshot_stop(x, 0)) || (port = xp_port_timer(p, x)) == 0) {
		return;
	}
	check_singleshot(p, x, port);
	down = xp_vcpu_down(x);
	if (down != 0) {
		(void)xp_result(p, singleshot(x, down, 1, 0), -XEN_EINVAL, "another vCPU's");
	}
	check_no_vcpu(p, x);
	check_fault(p, x);
	xp_port_close(p, x, port);
}

static void probe_stop_singleshot_timer(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	uint32_t port;
	uint32_t down;

	if (x == NULL || !xp_offered(p, singleshot_stop(x, 0)) || (port = xp_port_timer(p, x)) == 0) {
		return;
	}
	(void)xp_result(p, singleshot_stop(x, 0), 0, "stopping what does not run");
	if (called_off_in_time(p, x, port, NULL)) {
		xp_pause(p->c, 3 * AFTER_NS / 1000);
		(void)probe_check(p, !xp_is_pending(x, port), "it fires after it was stopped");
	}
	down = xp_vcpu_down(x);
	if (down != 0) {
		(void)xp_result(p, singleshot_stop(x, down), -XEN_EINVAL, "another vCPU's");
	}
	check_no_vcpu(p, x);
	xp_port_close(p, x, port);
}

/* ------------------------------------------------------------------ the rest */

/* In a test process it goes nowhere; on a machine it would come. */
static void probe_send_nmi(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	int64_t result;

	if (x == NULL) {
		return;
	}
	result = bare_op(p, x, 0, x->args.gfn << PAGE_SHIFT);
	if (!xp_offered(p, result)) {
		return;
	}
	(void)xp_result(p, result, -XEN_EINVAL, "with an argument");
	check_no_vcpu(p, x);
	if (p->c->machine == NULL) {
		(void)xp_result(p, bare_op(p, x, 0, 0), 0, "an NMI");
	} else {
		probe_note(p, "none is sent here");
	}
}

static void probe_get_physid(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		XP_REFUSED(p, bare_op(p, x, 0, x->args.gfn << PAGE_SHIFT), -XEN_EINVAL, -XEN_ENOSYS);
		check_no_vcpu(p, x);
	}
}

#define SPEC_ROW(number, name, status, handler, clause) ROW(number, name, status, clause, probe_##name)
static const struct row rows[] = {
#include "specs/xen_vcpu.def"
};
ROW_TABLE(xen_vcpu, NEED_XEN)
