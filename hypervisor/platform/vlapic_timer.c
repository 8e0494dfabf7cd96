/*
 * vlapic_timer.c - the local APIC's timer: one-shot and periodic (SDM volume 3, "APIC Timer").
 *
 * The counter is not counted: it follows from the time since it was loaded. Core's timer is armed
 * only while an interrupt can come of it.
 */
#include "hypervisor/platform/vlapic_timer.h"

_Static_assert(VLAPIC_BUS_HZ == 1000000000u, "a tick before the divider is one nanosecond");

static uint64_t now_ns(const struct vlapic *l)
{
	const struct board_env *env = &l->bus->env;

	return env->ops->now_ns(env->ctx);
}

/* Bits 3, 1 and 0 of the divide configuration: 2, 4, ... 128, and 1 for 111. */
static unsigned int divide_shift(uint32_t config)
{
	unsigned int field = (config & 3u) | ((config >> 1) & 4u);

	return (field + 1u) & 7u;
}

static bool is_periodic(const struct vlapic *l)
{
	return (l->lvt[VLAPIC_LVT_TIMER] & LVT_TIMER_PERIODIC) != 0;
}

static uint64_t ticks_to_ns(const struct vlapic *l, uint32_t ticks)
{
	return (uint64_t)ticks << divide_shift(l->timer.divide_config);
}

/* When the counter, as loaded, reaches zero for the first time. */
static uint64_t first_end_ns(const struct vlapic *l)
{
	return l->timer.start_ns + ticks_to_ns(l, l->timer.loaded_count);
}

static uint64_t period_ns(const struct vlapic *l)
{
	uint64_t period = ticks_to_ns(l, l->timer.initial_count);

	return period < VLAPIC_PERIOD_MIN_NS ? VLAPIC_PERIOD_MIN_NS : period;
}

static uint32_t count_at(const struct vlapic *l, uint64_t now)
{
	const struct vlapic_timer *t = &l->timer;
	uint64_t elapsed;

	if (!t->running) {
		return 0;
	}
	elapsed = (now - t->start_ns) >> divide_shift(t->divide_config);
	if (elapsed < t->loaded_count) {
		return t->loaded_count - (uint32_t)elapsed;
	}
	if (!is_periodic(l)) {
		return 0;
	}
	return t->initial_count - (uint32_t)((elapsed - t->loaded_count) % t->initial_count);
}

/* A one-shot that has reached zero stays there, even if the mode is changed later. */
static void settle(struct vlapic *l, uint64_t now)
{
	if (l->timer.running && !is_periodic(l) && now >= first_end_ns(l)) {
		l->timer.running = false;
	}
}

/* The next time the counter reaches zero after @now; 0 if it will not. */
static uint64_t next_end_ns(const struct vlapic *l, uint64_t now)
{
	uint64_t end = first_end_ns(l);
	uint64_t period = period_ns(l);

	if (!l->timer.running) {
		return 0;
	}
	if (now < end) {
		return end;
	}
	if (!is_periodic(l)) {
		return 0;
	}
	return end + ((now - end) / period + 1) * period;
}

static void rearm_at(struct vlapic *l, uint64_t now)
{
	const struct board_env *env = &l->bus->env;
	bool wanted = (l->lvt[VLAPIC_LVT_TIMER] & LVT_MASKED) == 0 && vlapic_is_enabled(l);
	uint64_t next = wanted ? next_end_ns(l, now) : 0;

	if (next != 0 && next != l->timer.deadline_ns) {
		env->ops->timer_arm(env->ctx, l->vcpu, next);
	}
	if (next == 0 && l->timer.deadline_ns != 0) {
		env->ops->timer_stop(env->ctx, l->vcpu);
	}
	l->timer.deadline_ns = next;
}

/*
 * A deadline that passed before core got round to saying so is an interrupt all the same: it is
 * posted before the registers change under it.
 */
static void fire_if_due(struct vlapic *l, uint64_t now)
{
	if (l->timer.deadline_ns != 0 && now >= l->timer.deadline_ns) {
		l->timer.deadline_ns = 0;
		(void)vlapic_post(l, (uint8_t)l->lvt[VLAPIC_LVT_TIMER], false);
	}
}

void vlapic_timer_reset(struct vlapic *l)
{
	const struct board_env *env = &l->bus->env;

	if (l->timer.deadline_ns != 0) {
		env->ops->timer_stop(env->ctx, l->vcpu);
	}
	l->timer = (struct vlapic_timer){0};
}

uint32_t vlapic_timer_count(const struct vlapic *l)
{
	return count_at(l, now_ns(l));
}

void vlapic_timer_rearm(struct vlapic *l)
{
	rearm_at(l, now_ns(l));
}

void vlapic_timer_start(struct vlapic *l, uint32_t count)
{
	uint64_t now = now_ns(l);

	fire_if_due(l, now);
	l->timer.initial_count = count;
	l->timer.loaded_count = count;
	l->timer.start_ns = now;
	l->timer.running = count != 0;
	rearm_at(l, now);
}

void vlapic_timer_set_divide(struct vlapic *l, uint32_t config)
{
	uint64_t now = now_ns(l);
	uint32_t left = count_at(l, now);

	fire_if_due(l, now);
	settle(l, now);
	l->timer.divide_config = config;
	l->timer.loaded_count = left;
	l->timer.start_ns = now;
	rearm_at(l, now);
}

void vlapic_timer_set_lvt(struct vlapic *l, uint32_t lvt)
{
	uint64_t now = now_ns(l);

	fire_if_due(l, now);
	settle(l, now);
	l->lvt[VLAPIC_LVT_TIMER] = lvt;
	rearm_at(l, now);
}

void vlapic_timer_expired(struct vlapic *l, uint64_t now)
{
	bool due = l->timer.deadline_ns != 0 && now >= l->timer.deadline_ns;

	fire_if_due(l, now);
	settle(l, now);
	/* Core's timer is used up, or was early: arm it again even for the same moment. */
	if (!due) {
		l->timer.deadline_ns = 0;
	}
	rearm_at(l, now);
}
