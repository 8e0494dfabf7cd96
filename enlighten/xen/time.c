/*
 * time.c - pvclock, wall clock, runstate areas, and the two timers of a vCPU.
 *
 * Follows Xen's xen.h (vcpu_time_info, wc_*) and vcpu.h. The guest's TSC starts at 0 with guest time and is in
 * step on all vCPUs, so that every vcpu_time_info says the same for ever: written once for each place.
 */
#include "enlighten/xen/xen_state.h"

#define RUNSTATE_FLAG_BYTE 0x80u /* XEN_RUNSTATE_UPDATE in the last byte of state_entry_time */
#define FAR_NS (1ull << 50)
#define FAR_CAP_NS 100000000ull

/* ------------------------------------------------------------------ pvclock */

static void fill_time(const struct xen_vm *xen, struct xen_vcpu_time_info *time)
{
	const struct clock *clock = vm_config(xen->vm)->clock;

	*time = (struct xen_vcpu_time_info){
	        .version = 2,
	        .tsc_to_system_mul = (uint32_t)clock->mult,
	        .tsc_shift = clock->shift,
	        .flags = clock->stable ? XEN_PVCLOCK_TSC_STABLE_BIT : 0,
	};
}

/* @off is a multiple of 4. */
void time_write_info(const struct xen_vm *xen, struct vm_page *page, uint32_t off)
{
	struct xen_vcpu_time_info time;
	uint32_t busy = vm_page_load32(page, off) | 1u; /* odd: do not read now */

	fill_time(xen, &time);
	vm_page_store32(page, off, busy);
	vm_page_barrier();
	vm_page_write(page, off + 4, (const uint8_t *)&time + 4, sizeof(time) - 4);
	vm_page_barrier();
	vm_page_store32(page, off, busy + 1u);
}

void time_write_wallclock_locked(struct xen_vm *xen)
{
	uint64_t wall_ns = vm_config(xen->vm)->clock->wall_ns;
	uint64_t sec = wall_ns / 1000000000u;
	uint32_t off = xen->narrow ? offsetof(struct xen_shared_info32, wc_version)
	                           : offsetof(struct xen_shared_info64, wc_version);
	uint32_t high = xen->narrow ? offsetof(struct xen_shared_info32, wc_sec_hi)
	                            : offsetof(struct xen_shared_info64, wc_sec_hi);
	uint32_t busy = vm_page_load32(xen->shared, off) | 1u;

	vm_page_store32(xen->shared, off, busy);
	vm_page_barrier();
	vm_page_store32(xen->shared, off + 4, (uint32_t)sec);
	vm_page_store32(xen->shared, off + 8, (uint32_t)(wall_ns % 1000000000u));
	vm_page_store32(xen->shared, high, (uint32_t)(sec >> 32));
	vm_page_barrier();
	vm_page_store32(xen->shared, off, busy + 1u);
}

/* ------------------------------------------------------------------ areas */

static void drop_area(struct xen_vm *xen, struct xen_area *area)
{
	for (uint32_t i = 0; i < 2; i++) {
		if (area->pages[i] != NULL) {
			vm_page_unpin(xen->vm, area->pages[i]);
		}
	}
	*area = (struct xen_area){0};
}

/* Bytes @pos to @pos + @len of the area, wherever its page ends. */
static void write_area(struct xen_area *area, uint32_t pos, const void *from, uint32_t len)
{
	uint32_t off = area->off + pos;
	uint32_t here = off >= PAGE_BYTES ? 0 : PAGE_BYTES - off;

	here = here < len ? here : len;
	if (here != 0) {
		vm_page_write(area->pages[0], off, from, here);
	}
	if (here < len) {
		vm_page_write(area->pages[1], off + here - PAGE_BYTES, (const uint8_t *)from + here,
		              len - here);
	}
}

/* One byte is one access, at any alignment: that of the update flag. */
static void write_area_byte(struct xen_area *area, uint32_t pos, uint8_t value)
{
	uint32_t off = area->off + pos;

	vm_page_store8(area->pages[off / PAGE_BYTES], off % PAGE_BYTES, value);
}

size_t time_encode_runstate(struct vcpu *vcpu, bool narrow, void *record)
{
	struct xen_runstate32 *small = record;
	struct xen_runstate64 *wide = record;
	struct vcpu_times times;

	vcpu_times(vcpu, &times);
	if (narrow) {
		small->state = (uint32_t)times.state;
		small->state_entry_time = times.since_ns;
		memcpy(small->time, times.time_ns, sizeof(small->time));
		return sizeof(*small);
	}
	wide->state = (uint32_t)times.state;
	wide->pad = 0;
	wide->state_entry_time = times.since_ns;
	memcpy(wide->time, times.time_ns, sizeof(wide->time));
	return sizeof(*wide);
}

/* area_lock held. While the flag is set, a reader on another vCPU tries again. */
static void write_runstate_locked(struct xen_vcpu *v)
{
	struct xen_area *area = &v->runstate;
	uint8_t record[sizeof(struct xen_runstate64)];
	uint32_t len = (uint32_t)time_encode_runstate(v->vcpu, area->narrow, record);
	uint32_t last = area->narrow ? offsetof(struct xen_runstate32, time) - 1u
	                             : offsetof(struct xen_runstate64, time) - 1u;
	uint8_t final = record[last];

	if (!area->flagged && !__atomic_load_n(&v->xen->runstate_flag, __ATOMIC_RELAXED)) {
		write_area(area, 0, record, len);
		return;
	}
	record[last] = final | RUNSTATE_FLAG_BYTE;
	write_area_byte(area, last, record[last]);
	vm_page_barrier();
	write_area(area, 0, record, len);
	vm_page_barrier();
	write_area_byte(area, last, final);
}

void time_update_runstate(struct xen_vcpu *v)
{
	spin_lock(&v->area_lock);
	if (v->runstate.pages[0] != NULL) {
		write_runstate_locked(v);
	}
	spin_unlock(&v->area_lock);
}

static void write_time_locked(struct xen_vcpu *v)
{
	struct xen_vcpu_time_info time;
	uint32_t busy = 1;

	fill_time(v->xen, &time);
	write_area(&v->time, 0, &busy, sizeof(busy));
	vm_page_barrier();
	write_area(&v->time, 4, (const uint8_t *)&time + 4, sizeof(time) - 4);
	vm_page_barrier();
	write_area(&v->time, 0, &time.version, sizeof(time.version));
}

/* Puts a registered area in the place of the old one and fills it. */
static void set_area(struct xen_vcpu *v, struct xen_area *area, const struct xen_area *next)
{
	struct xen_area old;

	spin_lock(&v->area_lock);
	old = *area;
	*area = *next;
	if (area->pages[0] != NULL && area == &v->runstate) {
		write_runstate_locked(v);
	} else if (area->pages[0] != NULL) {
		write_time_locked(v);
	}
	spin_unlock(&v->area_lock);
	drop_area(v->xen, &old);
}

static struct vm_page *pin_linear(struct xen_call *call, uint64_t linear)
{
	gpa_t at;

	if (vcpu_translate(call->vcpu, linear, true, &at) != VM_OK) {
		return NULL;
	}
	return vm_page_pin(call->vm, at);
}

static bool is_canonical(uint64_t linear)
{
	return linear + BIT64(47) < BIT64(48);
}

/*
 * The address is translated now, by the caller's tables: later it may not be there (a kernel hides from its
 * users), and a switch of vCPUs is no time for a walk. An address that is not mapped is no error (3.7 of
 * the ABI: later failures are silent); nothing is written then.
 */
int64_t time_area_linear(struct xen_call *call, struct xen_vcpu *v, struct xen_area *area,
                         uint64_t raw_linear, size_t len)
{
	struct xen_area next = {.narrow = call->narrow};
	uint64_t linear = call->narrow ? (uint32_t)raw_linear : raw_linear;

	if (!is_canonical(linear) || !is_canonical(linear + len - 1)) {
		return -XEN_EFAULT;
	}
	next.off = (uint32_t)(linear % PAGE_BYTES);
	next.pages[0] = pin_linear(call, linear);
	if (next.pages[0] != NULL && next.off + len > PAGE_BYTES) {
		next.pages[1] = pin_linear(call, align_up(linear, PAGE_BYTES));
		if (next.pages[1] == NULL) {
			drop_area(call->xen, &next);
		}
	}
	set_area(v, area, &next);
	return 0;
}

int64_t time_area_physical(struct xen_call *call, struct xen_vcpu *v, struct xen_area *area, uint64_t raw_gpa,
                           size_t len)
{
	struct xen_area next = {.narrow = call->narrow, .flagged = true};

	if (raw_gpa == UINT64_MAX) {
		next = (struct xen_area){0};
		set_area(v, area, &next);
		return 0;
	}
	next.off = (uint32_t)(raw_gpa % PAGE_BYTES);
	if (next.off % (call->narrow ? 4u : 8u) != 0 || next.off + len > PAGE_BYTES) {
		return -XEN_ENXIO;
	}
	next.pages[0] = vm_page_pin(call->vm, gpa(raw_gpa));
	if (next.pages[0] == NULL) {
		return -XEN_EINVAL;
	}
	set_area(v, area, &next);
	return 0;
}

/* ------------------------------------------------------------------ timers */

static void arm_locked(struct vm_timer *timer, uint64_t *deadline, uint64_t at_ns)
{
	*deadline = at_ns;
	vm_timer_arm(timer, at_ns);
}

/* @deadline_ns: guest time, past or not; never 0. */
void time_set_singleshot(struct xen_vcpu *v, uint64_t deadline_ns)
{
	spin_lock(&v->xen->event_lock);
	if (deadline_ns <= vm_time_ns(v->xen->vm)) {
		v->singleshot_ns = 0;
		vm_timer_disarm(&v->singleshot);
		evtchn_raise_virq_locked(v, VIRQ_TIMER);
	} else {
		arm_locked(&v->singleshot, &v->singleshot_ns, deadline_ns);
	}
	spin_unlock(&v->xen->event_lock);
}

void time_stop_singleshot(struct xen_vcpu *v)
{
	spin_lock(&v->xen->event_lock);
	v->singleshot_ns = 0;
	vm_timer_disarm(&v->singleshot);
	spin_unlock(&v->xen->event_lock);
}

void time_set_periodic(struct xen_vcpu *v, uint64_t period_ns)
{
	spin_lock(&v->xen->event_lock);
	v->period_ns = period_ns;
	if (period_ns != 0) {
		arm_locked(&v->periodic, &v->periodic_ns, vm_time_ns(v->xen->vm) + period_ns);
	} else {
		v->periodic_ns = 0;
		vm_timer_disarm(&v->periodic);
	}
	spin_unlock(&v->xen->event_lock);
}

/* A callback that was on its way when its timer was set anew finds another deadline, or none. */
static bool is_due(const struct xen_vcpu *v, uint64_t deadline_ns)
{
	return deadline_ns != 0 && vm_time_ns(v->xen->vm) >= deadline_ns;
}

static void singleshot_expired(struct vm_timer *timer)
{
	struct xen_vcpu *v = CONTAINER_OF(timer, struct xen_vcpu, singleshot);

	spin_lock(&v->xen->event_lock);
	if (is_due(v, v->singleshot_ns)) {
		v->singleshot_ns = 0;
		evtchn_raise_virq_locked(v, VIRQ_TIMER);
	}
	spin_unlock(&v->xen->event_lock);
}

/* Ticks that were missed are not made up for. */
static void periodic_expired(struct vm_timer *timer)
{
	struct xen_vcpu *v = CONTAINER_OF(timer, struct xen_vcpu, periodic);

	spin_lock(&v->xen->event_lock);
	if (is_due(v, v->periodic_ns)) {
		uint64_t now = vm_time_ns(v->xen->vm);
		uint64_t next = v->periodic_ns + v->period_ns;

		evtchn_raise_virq_locked(v, VIRQ_TIMER);
		arm_locked(&v->periodic, &v->periodic_ns, next > now ? next : now + v->period_ns);
	}
	spin_unlock(&v->xen->event_lock);
}

int64_t xen_set_timer_op(struct xen_call *call)
{
	uint64_t raw_deadline = call->narrow ? call->args[0] | call->args[1] << 32 : call->args[0];
	uint64_t now = vm_time_ns(call->vm);

	if (raw_deadline == 0) {
		time_stop_singleshot(call->self);
		return 0;
	}
	if ((int64_t)raw_deadline < 0 || (raw_deadline > now && raw_deadline - now > FAR_NS)) {
		raw_deadline = now + FAR_CAP_NS;
	}
	time_set_singleshot(call->self, raw_deadline);
	return 0;
}

/* ------------------------------------------------------------------ life */

void time_create(struct xen_vcpu *v)
{
	vm_timer_init(&v->singleshot, v->vcpu, singleshot_expired);
	vm_timer_init(&v->periodic, v->vcpu, periodic_expired);
}

void time_reset(struct xen_vcpu *v)
{
	time_stop_singleshot(v);
	time_set_periodic(v, 0);
	drop_area(v->xen, &v->runstate);
	drop_area(v->xen, &v->time);
}
