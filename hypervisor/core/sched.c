/*
 * sched.c - which vCPU runs on which host CPU: one queue, time slices, idle CPUs woken at once.
 *
 * A vCPU is on a CPU, in the queue, or blocked. Its own CPU blocks it; whoever gives it a reason to run
 * wakes it. The two cannot miss each other: the blocker sets the place first and looks for requests then; the
 * waker sets the request first and looks at the place then.
 */
#include "base/bits.h"
#include "hypervisor/core/frames.h"
#include "hypervisor/core/machine.h"

static struct {
	struct spinlock lock; /* RANK_SCHED */
	struct list_node queue;
	uint64_t idle; /* CPUs that halt, one bit each */
	uint32_t queued;
	bool boot_cpu_kept; /* it takes none of the queue */
} sched;

void sched_init(void)
{
	spin_init(&sched.lock, RANK_SCHED);
	list_init(&sched.queue);
}

void sched_keep_boot_cpu(bool keep)
{
	sched.boot_cpu_kept = keep && cpu_count() > 1;
	if (keep) {
		log_line(sched.boot_cpu_kept ? "the boot CPU runs no guest"
		                             : "the boot CPU runs guests all the same: there is no other");
	}
}

static bool runs_guests(const struct cpu *cpu)
{
	return cpu->index != 0 || !sched.boot_cpu_kept;
}

bool sched_others_wait(void)
{
	return __atomic_load_n(&sched.queued, __ATOMIC_RELAXED) != 0;
}

/* Under the lock: adds up the time in the state that ends. */
static void runstate_locked(struct vcpu *vcpu, enum vcpu_runstate state)
{
	uint64_t now = vm_time_ns(vcpu->vm);

	vcpu->runstate_time_ns[vcpu->runstate] += now - vcpu->runstate_since_ns;
	vcpu->runstate_since_ns = now;
	vcpu->runstate = state;
}

void sched_runstate(struct vcpu *vcpu, enum vcpu_runstate state)
{
	spin_lock(&sched.lock);
	runstate_locked(vcpu, state);
	spin_unlock(&sched.lock);
}

void vcpu_times(struct vcpu *vcpu, struct vcpu_times *times)
{
	spin_lock(&sched.lock);
	times->state = vcpu->runstate;
	times->since_ns = vcpu->runstate_since_ns;
	for (unsigned int i = 0; i < 4; i++) {
		times->time_ns[i] = vcpu->runstate_time_ns[i];
	}
	spin_unlock(&sched.lock);
}

/* Under the lock: an idle CPU to wake for a vCPU that last ran on @hint, or -1. */
static int take_idle_cpu(uint32_t hint)
{
	int cpu;

	if (sched.idle == 0) {
		return -1;
	}
	cpu = (sched.idle >> hint & 1) != 0 ? (int)hint : (int)bit_lowest(sched.idle);
	sched.idle &= ~BIT64(cpu);
	return cpu;
}

static void enqueue_locked(struct vcpu *vcpu)
{
	__atomic_store_n(&vcpu->place, PLACE_QUEUED, __ATOMIC_SEQ_CST);
	list_add_tail(&sched.queue, &vcpu->run_node);
	__atomic_add_fetch(&sched.queued, 1, __ATOMIC_RELAXED);
	if (vcpu->life == LIFE_UP) {
		runstate_locked(vcpu, VCPU_RUNNABLE);
	}
}

static void kick_if_in_guest(struct vcpu *vcpu)
{
	uint32_t cpu = __atomic_load_n(&vcpu->cpu, __ATOMIC_ACQUIRE);

	if (cpu != cpu_self() && __atomic_load_n(&vcpu->in_guest, __ATOMIC_SEQ_CST) != 0) {
		cpu_kick(cpu);
	}
}

void sched_wake(struct vcpu *vcpu)
{
	int idle = -1;

	switch (__atomic_load_n(&vcpu->place, __ATOMIC_SEQ_CST)) {
	case PLACE_RUNNING:
		kick_if_in_guest(vcpu);
		return;
	case PLACE_QUEUED:
		return;
	default:
		break;
	}
	spin_lock(&sched.lock);
	if (vcpu->place == PLACE_BLOCKED && __atomic_load_n(&vcpu->vm->stopping, __ATOMIC_SEQ_CST) == 0) {
		enqueue_locked(vcpu);
		idle = take_idle_cpu(vcpu->cpu);
	}
	spin_unlock(&sched.lock);
	if (idle >= 0 && (uint32_t)idle != cpu_self()) {
		cpu_kick((uint32_t)idle);
	}
	if (__atomic_load_n(&vcpu->place, __ATOMIC_SEQ_CST) == PLACE_RUNNING) {
		kick_if_in_guest(vcpu);
	}
}

/* The next vCPU for @cpu, now on it; NULL if none waits, and the CPU then counts as idle. */
static struct vcpu *pick(struct cpu *cpu)
{
	struct list_node *node;
	struct vcpu *vcpu = NULL;

	if (!runs_guests(cpu)) {
		return NULL;
	}
	spin_lock(&sched.lock);
	sched.idle &= ~BIT64(cpu->index);
	node = list_take_first(&sched.queue);
	if (node == NULL) {
		sched.idle |= BIT64(cpu->index);
	} else {
		vcpu = CONTAINER_OF(node, struct vcpu, run_node);
		__atomic_sub_fetch(&sched.queued, 1, __ATOMIC_RELAXED);
		__atomic_store_n(&vcpu->cpu, cpu->index, __ATOMIC_RELEASE);
		__atomic_store_n(&vcpu->place, PLACE_RUNNING, __ATOMIC_SEQ_CST);
		if (vcpu->life == LIFE_UP) {
			runstate_locked(vcpu, VCPU_RUNNING);
		}
	}
	spin_unlock(&sched.lock);
	return vcpu;
}

static void put_back(struct vcpu *vcpu)
{
	spin_lock(&sched.lock);
	enqueue_locked(vcpu);
	spin_unlock(&sched.lock);
}

static void block(struct vcpu *vcpu)
{
	spin_lock(&sched.lock);
	runstate_locked(vcpu, vcpu->life == LIFE_UP ? VCPU_BLOCKED : VCPU_OFFLINE);
	spin_unlock(&sched.lock);
	__atomic_store_n(&vcpu->place, PLACE_BLOCKED, __ATOMIC_SEQ_CST);
	if (vcpu_has_reason(vcpu)) {
		sched_wake(vcpu);
	}
}

bool sched_vm_is_idle(struct vm *vm)
{
	bool idle = true;

	spin_lock(&sched.lock);
	for (uint32_t i = 0; i < vm->config.vcpu_count; i++) {
		if (vm->vcpus[i] != NULL && vm->vcpus[i]->place != PLACE_BLOCKED) {
			idle = false;
		}
	}
	spin_unlock(&sched.lock);
	return idle;
}

void cpu_note_stretch(struct cpu *cpu)
{
	uint64_t ticks = tsc_read() - cpu->closed_since_tsc;

	if (cpu->current != NULL && ticks > cpu->longest_ticks) {
		const struct exit_trace *last = &cpu->trace[(cpu->trace_next + ARRAY_COUNT(cpu->trace) - 1) %
		                                            ARRAY_COUNT(cpu->trace)];

		cpu->longest_ticks = ticks;
		cpu->longest_code = last->code;
	}
}

/* As much as the log holds of what it was at; the rest is in the dump. */
static void tell_stuck(const struct cpu *cpu)
{
	const struct vcpu *vcpu = __atomic_load_n(&cpu->current, __ATOMIC_ACQUIRE);

	if (vcpu != NULL) {
		PANIC("CPU %u is stuck with vCPU %u of guest %s: it has not passed for %u seconds",
		      cpu->index, vcpu->index, vcpu->vm->name, WATCH_LOOKS);
	}
	PANIC("CPU %u is stuck, with no guest: it has not passed for %u seconds", cpu->index, WATCH_LOOKS);
}

void cpu_watch_next(struct cpu *cpu)
{
	uint64_t now = tsc_read();
	struct cpu *next;

	if (!watch_is_due(&cpu->watch, now, host_tsc_hz())) {
		return;
	}
	next = &cpus[(cpu->index + 1) % cpu_count()];
	switch (watch_judge(&cpu->watch, next == cpu ? 0 : __atomic_load_n(&next->passes, __ATOMIC_RELAXED),
	                    now)) {
	case WATCH_KICK:
		cpu_kick(next->index);
		cpu->kicked = true;
		break;
	case WATCH_STUCK:
		tell_stuck(next);
		break;
	default:
		break;
	}
}

static void tell_kicked(struct cpu *cpu)
{
	if (cpu->kicked) {
		cpu->kicked = false;
		log_line("CPU %u had not passed for %u seconds, and was kicked",
		         (cpu->index + 1) % cpu_count(), WATCH_LOOKS_KICK);
	}
}

/* With a guest's run, the only points at which this CPU takes host interrupts. */
void cpu_open_interrupts(struct cpu *cpu)
{
	cpu_note_stretch(cpu);
	cpu_take_interrupts();
	cpu->closed_since_tsc = tsc_read();
	__atomic_add_fetch(&cpu->passes, 1, __ATOMIC_RELEASE);
	if (host_timer_fired()) {
		cpu->armed_tsc = UINT64_MAX;
	}
	cpu_watch_next(cpu);
	tell_kicked(cpu);
	timer_run_due(cpu);
	cpu->reaped = frames_reap();
	host_disks_poll();
	if (cpu->index == 0) {
		monitor_poll();
		control_poll();
	}
	log_drain(64);
}

void cpu_breathe(void)
{
	struct cpu *cpu = this_cpu();

	if (cpu != NULL && cpu->held_ranks == 0) {
		cpu_open_interrupts(cpu);
	}
}

/* Sleeps until an interrupt; the boot CPU looks at its UART now and then. */
static void idle(struct cpu *cpu)
{
	uint64_t until = timer_next_tsc(cpu);
	uint64_t now = tsc_read();
	uint64_t most = now + host_tsc_hz() / (cpu->index == 0 ? 100 : 4);

	host_timer_arm(until < most ? until : most);
	cpu->armed_tsc = UINT64_MAX;
	__atomic_store_n(&cpu->idle, true, __ATOMIC_SEQ_CST);
	if (!(runs_guests(cpu) && sched_others_wait()) && !host_disks_pending() && !cpu->reaped) {
		cpu_idle();
	}
	__atomic_store_n(&cpu->idle, false, __ATOMIC_SEQ_CST);
	cpu->closed_since_tsc = tsc_read();
}

void sched_loop(unsigned int index)
{
	struct cpu *cpu = &cpus[index];

	for (;;) {
		struct vcpu *vcpu;

		cpu_open_interrupts(cpu);
		vcpu = pick(cpu);
		if (vcpu == NULL) {
			idle(cpu);
			continue;
		}
		cpu->current = vcpu;
		if (vcpu_run(cpu, vcpu) == LEAVE_AGAIN) {
			cpu->current = NULL;
			put_back(vcpu);
		} else {
			cpu->current = NULL;
			block(vcpu);
		}
	}
}
