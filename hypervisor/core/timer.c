/*
 * timer.c - the timers of vm.h: one list a host CPU, ordered by host TSC, run when that CPU's timer fires.
 *
 * A timer is kept by the CPU that arms it. The number of timers is bounded by the configuration (some ten a
 * vCPU), so that keeping the list in order is.
 */
#include "hypervisor/core/machine.h"

#define DUE_AT_ONCE_MAX 32u

void timer_cpu_init(struct cpu *cpu)
{
	spin_init(&cpu->timer_lock, RANK_TIMER);
	list_init(&cpu->timers);
	cpu->first_timer_tsc = UINT64_MAX;
}

void vm_timer_init(struct vm_timer *timer, struct vcpu *vcpu, void (*expired)(struct vm_timer *timer))
{
	list_init(&timer->node);
	timer->vcpu = vcpu;
	timer->expired = expired;
	timer->deadline_ns = 0;
	timer->deadline_tsc = 0;
	timer->cpu = 0;
	timer->armed = false;
}

static struct vm_timer *timer_of(struct list_node *node)
{
	return CONTAINER_OF(node, struct vm_timer, node);
}

/* A guest that ends gets no more callbacks: what they would touch goes away. */
static bool is_ending(const struct vm_timer *timer)
{
	uint32_t how = __atomic_load_n(&timer->vcpu->vm->stopping, __ATOMIC_SEQ_CST);

	return how != 0 && how != VM_NOT_STARTED;
}

/* Under the lock: lets the CPU's own entries see the first deadline without it. */
static void note_first(struct cpu *cpu)
{
	uint64_t first = list_is_empty(&cpu->timers) ? UINT64_MAX : timer_of(cpu->timers.next)->deadline_tsc;

	__atomic_store_n(&cpu->first_timer_tsc, first, __ATOMIC_RELEASE);
}

/* From the end, as most deadlines lie behind those that wait. Under the lock. */
static void insert_in_order(struct cpu *cpu, struct vm_timer *timer)
{
	struct list_node *after = cpu->timers.prev;

	while (after != &cpu->timers && timer_of(after)->deadline_tsc > timer->deadline_tsc) {
		after = after->prev;
	}
	list_add_tail(after->next, &timer->node); /* before the one that follows @after */
}

void vm_timer_disarm(struct vm_timer *timer)
{
	struct cpu *cpu = &cpus[__atomic_load_n(&timer->cpu, __ATOMIC_ACQUIRE)];

	if (!__atomic_load_n(&timer->armed, __ATOMIC_ACQUIRE)) {
		return;
	}
	spin_lock(&cpu->timer_lock);
	if (timer->armed) {
		list_remove(&timer->node);
		timer->armed = false;
		note_first(cpu);
	}
	spin_unlock(&cpu->timer_lock);
}

void vm_timer_arm(struct vm_timer *timer, uint64_t deadline_ns)
{
	struct cpu *cpu = this_cpu();

	vm_timer_disarm(timer);
	spin_lock(&cpu->timer_lock);
	timer->deadline_ns = deadline_ns;
	timer->deadline_tsc = vm_ns_to_tsc(vcpu_vm(timer->vcpu), deadline_ns);
	timer->cpu = cpu->index;
	timer->armed = true;
	insert_in_order(cpu, timer);
	note_first(cpu);
	spin_unlock(&cpu->timer_lock);
}

static struct vm_timer *take_due(struct cpu *cpu, uint64_t now)
{
	struct vm_timer *timer = NULL;

	spin_lock(&cpu->timer_lock);
	if (!list_is_empty(&cpu->timers) && timer_of(cpu->timers.next)->deadline_tsc <= now) {
		timer = timer_of(cpu->timers.next);
		list_remove(&timer->node);
		__atomic_store_n(&timer->armed, false, __ATOMIC_RELEASE);
		note_first(cpu);
		timer = is_ending(timer) ? NULL : timer;
	}
	spin_unlock(&cpu->timer_lock);
	return timer;
}

void timer_run_due(struct cpu *cpu)
{
	uint64_t now = tsc_read();

	for (uint32_t i = 0; i < DUE_AT_ONCE_MAX && timer_next_tsc(cpu) <= now; i++) {
		struct vm_timer *timer = take_due(cpu, now);

		if (timer != NULL) {
			timer->expired(timer);
		}
	}
}

uint32_t timer_count(const struct vm *vm)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < cpu_count(); i++) {
		struct list_node *head = &cpus[i].timers;

		spin_lock(&cpus[i].timer_lock);
		for (struct list_node *node = head->next; node != head; node = node->next) {
			count += timer_of(node)->vcpu->vm == vm;
		}
		spin_unlock(&cpus[i].timer_lock);
	}
	return count;
}

uint64_t timer_next_tsc(const struct cpu *cpu)
{
	return __atomic_load_n(&cpu->first_timer_tsc, __ATOMIC_ACQUIRE);
}
