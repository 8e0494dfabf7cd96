/*
 * stimer.c - synthetic timers (TLFS, timers): four a vCPU, one-shot or periodic, with a message or
 * (direct mode) a vector.
 *
 * A timer's interrupt or message comes at or after its time, never before. A periodic timer that
 * could not run for a while catches up on three expiries at most, each STIMER_SPACING_NS after the
 * last; what lies further back is dropped, as all of it is for a lazy one. So no period, however
 * short, keeps a CPU of the host busy.
 */
#include "synic/synic_private.h"

#define STIMER_CATCH_UP_MAX 3u
#define STIMER_SPACING_NS 100000u /* with 50 us four timers took 8 to 11 % from a neighbour on the same CPU */
/* Later than any machine runs; nothing is armed for it, and no sum with it wraps. */
#define STIMER_NEVER_NS (1ull << 62)

static uint32_t message_sint(const struct stimer *timer)
{
	return (uint32_t)((timer->config & HV_STIMER_SINT_MASK) >> HV_STIMER_SINT_SHIFT);
}

static uint8_t direct_vector(const struct stimer *timer)
{
	return (uint8_t)((timer->config & HV_STIMER_VECTOR_MASK) >> HV_STIMER_VECTOR_SHIFT);
}

static bool is_direct(const struct stimer *timer)
{
	return (timer->config & HV_STIMER_DIRECT_MODE) != 0;
}

static bool is_periodic(const struct stimer *timer)
{
	return (timer->config & HV_STIMER_PERIODIC) != 0;
}

/*
 * A timer that could reach no one is not enabled: SINT 0 is the hypervisor's, vectors below 16 are
 * the CPU's.
 */
static void drop_enable_if_mute(struct stimer *timer)
{
	bool mute = is_direct(timer) ? direct_vector(timer) < HV_SYNIC_FIRST_VALID_VECTOR
	                             : message_sint(timer) == 0;

	if (mute) {
		timer->config &= ~HV_STIMER_ENABLE;
	}
}

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
	return a + b < a ? UINT64_MAX : a + b;
}

static void arm(struct stimer *timer, uint64_t earliest_ns)
{
	uint64_t deadline_ns;

	if (timer->due_ref > STIMER_NEVER_NS / HV_REFERENCE_NS) {
		return;
	}
	deadline_ns = timer->due_ref * HV_REFERENCE_NS;
	vm_timer_arm(&timer->timer, deadline_ns < earliest_ns ? earliest_ns : deadline_ns);
}

static void signal_expiry(struct synic_vcpu *synic, struct stimer *timer)
{
	if (is_direct(timer)) {
		vcpu_post_vector(synic->vcpu, direct_vector(timer));
		return;
	}
	if (!timer->message_waiting) {
		timer->message_waiting = true;
		timer->message_due_ref = timer->due_ref;
		message_update_waiting(synic, message_sint(timer));
	}
	message_deliver(synic, message_sint(timer));
}

/* The next expiry of a periodic timer, on the grid of its period. */
static void advance(struct stimer *timer, uint64_t now_ref)
{
	uint64_t behind;

	timer->due_ref = add_saturated(timer->due_ref, timer->count);
	if (timer->due_ref > now_ref) {
		return;
	}
	behind = now_ref - timer->due_ref;
	if ((timer->config & HV_STIMER_LAZY) != 0 || behind / timer->count >= STIMER_CATCH_UP_MAX) {
		timer->due_ref = add_saturated(now_ref - behind % timer->count, timer->count);
	}
}

static void expire(struct synic_vcpu *synic, struct stimer *timer, uint64_t now_ns)
{
	signal_expiry(synic, timer);
	if (!is_periodic(timer)) {
		timer->running = false;
		timer->config &= ~HV_STIMER_ENABLE;
		return;
	}
	advance(timer, now_ns / HV_REFERENCE_NS);
	arm(timer, now_ns + STIMER_SPACING_NS);
}

static void expired(struct vm_timer *vm_timer)
{
	struct stimer *timer = CONTAINER_OF(vm_timer, struct stimer, timer);
	struct synic_vcpu *synic = synic_of_vcpu(vm_timer->vcpu);
	uint64_t now_ns = vm_time_ns(vcpu_vm(vm_timer->vcpu));

	spin_lock(&synic->lock);
	/* It may have been stopped, or started anew for later, since it fell due. */
	if (timer->running && now_ns / HV_REFERENCE_NS >= timer->due_ref) {
		expire(synic, timer, now_ns);
	}
	spin_unlock(&synic->lock);
}

static void stop(struct synic_vcpu *synic, struct stimer *timer)
{
	uint32_t sint = message_sint(timer);

	vm_timer_disarm(&timer->timer);
	timer->running = false;
	timer->message_waiting = false;
	message_update_waiting(synic, sint);
}

/* From a stopped state. */
static void start(struct synic_vcpu *synic, struct stimer *timer)
{
	uint64_t now_ns = vm_time_ns(vcpu_vm(synic->vcpu));
	uint64_t now_ref = now_ns / HV_REFERENCE_NS;

	drop_enable_if_mute(timer);
	if ((timer->config & HV_STIMER_ENABLE) == 0 || timer->count == 0) {
		return;
	}
	timer->running = true;
	timer->due_ref = is_periodic(timer) ? add_saturated(now_ref, timer->count) : timer->count;
	if (timer->due_ref <= now_ref) {
		expire(synic, timer, now_ns);
	} else {
		arm(timer, 0);
	}
}

void stimer_write_config(struct synic_vcpu *synic, uint32_t index, uint64_t raw_config)
{
	struct stimer *timer = &synic->stimers[index];

	stop(synic, timer);
	timer->config = raw_config & HV_STIMER_DEFINED_MASK;
	start(synic, timer);
}

void stimer_write_count(struct synic_vcpu *synic, uint32_t index, uint64_t raw_count)
{
	struct stimer *timer = &synic->stimers[index];

	stop(synic, timer);
	timer->count = raw_count;
	if (raw_count == 0) {
		timer->config &= ~HV_STIMER_ENABLE;
	} else if ((timer->config & HV_STIMER_AUTOENABLE) != 0) {
		timer->config |= HV_STIMER_ENABLE;
	}
	start(synic, timer);
}

struct stimer *stimer_find_waiting(struct synic_vcpu *synic, uint32_t sint)
{
	for (uint32_t i = 0; i < HV_SYNIC_STIMER_COUNT; i++) {
		struct stimer *timer = &synic->stimers[i];

		if (timer->message_waiting && message_sint(timer) == sint) {
			return timer;
		}
	}
	return NULL;
}

void stimer_take_message(struct synic_vcpu *synic, struct stimer *timer,
                         struct hv_timer_message_payload *payload)
{
	memset(payload, 0, sizeof(*payload));
	payload->timer_index = (uint32_t)(timer - synic->stimers);
	payload->expiration_time = timer->message_due_ref;
	payload->delivery_time = synic_reference_time(vcpu_vm(synic->vcpu));
	timer->message_waiting = false;
	message_update_waiting(synic, message_sint(timer));
}

void stimer_init(struct synic_vcpu *synic)
{
	for (uint32_t i = 0; i < HV_SYNIC_STIMER_COUNT; i++) {
		vm_timer_init(&synic->stimers[i].timer, synic->vcpu, expired);
	}
}

void stimer_reset(struct synic_vcpu *synic)
{
	for (uint32_t i = 0; i < HV_SYNIC_STIMER_COUNT; i++) {
		struct stimer *timer = &synic->stimers[i];

		vm_timer_disarm(&timer->timer);
		timer->running = false;
		timer->message_waiting = false;
		timer->config = 0;
		timer->count = 0;
	}
}
