/*
 * host_time.c - guest time and timers, hosted: turned by hand, or following the host's clock.
 */
#define _GNU_SOURCE /* clock_gettime */
#include <time.h>

#include "backend/clock.h"
#include "tests/host/host_private.h"

#define TIMER_CALLBACKS_MAX 10000000u

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t vm_time_ns(const struct vm *vm)
{
	uint64_t now = __atomic_load_n(&vm->now_ns, __ATOMIC_RELAXED);

	return vm->real_time ? now + monotonic_ns() - vm->real_origin_ns : now;
}

/*
 * By the same scale as backend/clock.c, rounded up: the first TSC value that gives at least this
 * time.
 */
uint64_t host_tsc(struct vm *vm)
{
	const struct clock *clock = vm->config.clock;
	uint64_t ns = vm_time_ns(vm);
	uint64_t shifted = mul_div(ns, 1ull << 32, clock->mult);

	shifted += mul_div(shifted, clock->mult, 1ull << 32) < ns;
	return clock->shift < 0 ? shifted << -clock->shift
				: (shifted + (1ull << clock->shift) - 1) >> clock->shift;
}

void host_time_reset(struct vm *vm)
{
	vm->now_ns = 0;
	vm->real_time = false;
}

void host_time_real(struct vm *vm)
{
	vm->real_origin_ns = monotonic_ns();
	vm->real_time = true;
}

void vm_timer_init(struct vm_timer *timer, struct vcpu *vcpu,
		   void (*expired)(struct vm_timer *timer))
{
	*timer = (struct vm_timer){.vcpu = vcpu, .expired = expired};
	list_init(&timer->node);
}

/* The lists are in order of deadline, then of arming. */
void vm_timer_arm(struct vm_timer *timer, uint64_t deadline_ns)
{
	struct vm *vm = timer->vcpu->vm;
	struct list_node *before = &vm->timers;

	CHECK(*lock_held_ranks() >> RANK_MEMORY == 0);
	spin_lock(&vm->timer_lock);
	if (timer->armed) {
		list_remove(&timer->node);
		vm->timer_count--;
	}
	timer->deadline_ns = deadline_ns;
	timer->armed = true;
	LIST_FOR_EACH(node, &vm->timers) {
		if (CONTAINER_OF(node, struct vm_timer, node)->deadline_ns > deadline_ns) {
			before = node;
			break;
		}
	}
	list_add_tail(before, &timer->node);
	vm->timer_count++;
	spin_unlock(&vm->timer_lock);
}

void vm_timer_disarm(struct vm_timer *timer)
{
	struct vm *vm = timer->vcpu->vm;

	CHECK(*lock_held_ranks() >> RANK_MEMORY == 0);
	spin_lock(&vm->timer_lock);
	if (timer->armed) {
		list_remove(&timer->node);
		timer->armed = false;
		vm->timer_count--;
	}
	spin_unlock(&vm->timer_lock);
}

/* Takes out the first timer due by @ns; NULL if there is none. */
static struct vm_timer *timer_take(struct vm *vm, uint64_t ns)
{
	struct vm_timer *timer = NULL;

	spin_lock(&vm->timer_lock);
	if (!list_is_empty(&vm->timers)) {
		timer = CONTAINER_OF(vm->timers.next, struct vm_timer, node);
		if (timer->deadline_ns > ns) {
			timer = NULL;
		} else {
			list_remove(&timer->node);
			timer->armed = false;
			vm->timer_count--;
		}
	}
	spin_unlock(&vm->timer_lock);
	return timer;
}

static void timer_run(struct vm_timer *timer)
{
	CHECK(*lock_held_ranks() == 0);
	timer->expired(timer);
	CHECK(*lock_held_ranks() == 0);
}

void host_time_set(struct vm *vm, uint64_t ns)
{
	uint64_t deadline;

	CHECK(!vm->real_time && ns >= vm_time_ns(vm));
	for (uint32_t i = 0; host_next_timer_ns(vm, &deadline) && deadline <= ns; i++) {
		struct vm_timer *timer;

		CHECK(i < TIMER_CALLBACKS_MAX);
		if (deadline > vm->now_ns) {
			__atomic_store_n(&vm->now_ns, deadline, __ATOMIC_RELAXED);
		}
		host_vcpus_look(vm);
		timer = timer_take(vm, ns);
		if (timer != NULL) {
			timer_run(timer);
		}
	}
	__atomic_store_n(&vm->now_ns, ns, __ATOMIC_RELAXED);
	host_vcpus_look(vm);
}

void host_time_advance_ns(struct vm *vm, uint64_t ns)
{
	host_time_set(vm, vm_time_ns(vm) + ns);
}

void host_time_jump_ns(struct vm *vm, uint64_t ns)
{
	CHECK(!vm->real_time && vm_time_ns(vm) + ns >= vm_time_ns(vm));
	__atomic_store_n(&vm->now_ns, vm_time_ns(vm) + ns, __ATOMIC_RELAXED);
	host_vcpus_look(vm);
}

uint64_t host_run_timers(struct vm *vm)
{
	struct vm_timer *timer;
	uint64_t now = vm_time_ns(vm);
	uint64_t count = 0;

	while ((timer = timer_take(vm, now)) != NULL) {
		CHECK(count < TIMER_CALLBACKS_MAX);
		timer_run(timer);
		count++;
	}
	return count;
}

bool host_next_timer_ns(struct vm *vm, uint64_t *deadline_ns)
{
	bool any;

	spin_lock(&vm->timer_lock);
	any = !list_is_empty(&vm->timers);
	if (any) {
		*deadline_ns = CONTAINER_OF(vm->timers.next, struct vm_timer, node)->deadline_ns;
	}
	spin_unlock(&vm->timer_lock);
	return any;
}
