/*
 * host_vcpu.c - virtual processors, hosted: state that a test sets and reads, interrupts that it
 * takes out.
 */
#include <string.h>

#include "tests/host/host_private.h"

#define CR0_PE 0x1u
#define CR0_NW 0x20000000u
#define CR0_CD 0x40000000u
#define CR0_PG 0x80000000u
#define CR4_PAE 0x20u
#define EFER_LME 0x100u
#define SEGMENT_L 0x200u
#define SEGMENT_DB 0x400u

uint32_t vm_vcpu_count(const struct vm *vm)
{
	return vm->config.vcpu_count;
}

struct vcpu *vm_vcpu(struct vm *vm, uint32_t index)
{
	return index < vm->config.vcpu_count ? &vm->vcpus[index] : NULL;
}

struct vm *vcpu_vm(const struct vcpu *vcpu)
{
	return vcpu->vm;
}

uint32_t vcpu_index(const struct vcpu *vcpu)
{
	return vcpu->index;
}

void *vcpu_slot(const struct vcpu *vcpu, enum vm_slot slot)
{
	CHECK(slot < VM_SLOT_COUNT);
	return vcpu->slots[slot];
}

void vcpu_slot_set(struct vcpu *vcpu, enum vm_slot slot, void *state)
{
	CHECK(slot < VM_SLOT_COUNT);
	vcpu->slots[slot] = state;
}

struct cpu_regs *vcpu_regs(struct vcpu *vcpu)
{
	return &vcpu->regs;
}

struct vcpu_mode vcpu_mode(struct vcpu *vcpu)
{
	return vcpu->mode;
}

void host_vcpu_set_mode(struct vcpu *vcpu, struct vcpu_mode mode)
{
	vcpu->mode = mode;
}

void host_vcpus_reset(struct vm *vm)
{
	for (uint32_t i = 0; i < vm->config.vcpu_count; i++) {
		struct vcpu *vcpu = &vm->vcpus[i];

		memset(vcpu, 0, sizeof(*vcpu));
		vcpu->vm = vm;
		vcpu->index = i;
		vcpu->mode = (struct vcpu_mode){
			.protected_mode = true, .long_mode = true, .code64 = true};
		vcpu->lapic_enabled = true;
		vcpu->regs.rflags = RFLAGS_FIXED;
		vcpu->up = i == 0;
		vcpu->started = i == 0;
		vcpu->times.state = i == 0 ? VCPU_RUNNING : VCPU_OFFLINE;
	}
}

/* ------------------------------------------------------------------ runstate; cpu_lock held */

static void runstate_enter(struct vcpu *vcpu, enum vcpu_runstate state)
{
	struct vcpu_times *times = &vcpu->times;
	uint64_t now = vm_time_ns(vcpu->vm);

	if (times->state == state) {
		return;
	}
	times->time_ns[times->state] += now - times->since_ns;
	times->since_ns = now;
	times->state = state;
}

static void unblock(struct vcpu *vcpu)
{
	vcpu->waiting = false;
	if (vcpu->times.state == VCPU_BLOCKED) {
		runstate_enter(vcpu, VCPU_RUNNABLE);
	}
}

static void deadline_look(struct vcpu *vcpu)
{
	if (vcpu->waiting && vcpu->wait_deadline_ns != 0 &&
	    vm_time_ns(vcpu->vm) >= vcpu->wait_deadline_ns) {
		unblock(vcpu);
	}
}

void host_vcpus_look(struct vm *vm)
{
	spin_lock(&vm->cpu_lock);
	for (uint32_t i = 0; i < vm->config.vcpu_count; i++) {
		deadline_look(&vm->vcpus[i]);
	}
	spin_unlock(&vm->cpu_lock);
}

/* Every function of vm.h that takes the CPU lock here may be called below RANK_MEMORY only. */
static void cpu_lock(struct vcpu *vcpu)
{
	CHECK(*lock_held_ranks() >> RANK_MEMORY == 0);
	spin_lock(&vcpu->vm->cpu_lock);
}

static void cpu_unlock(struct vcpu *vcpu)
{
	spin_unlock(&vcpu->vm->cpu_lock);
}

/* ------------------------------------------------------------------ interrupts */

void vcpu_post_vector(struct vcpu *vcpu, uint8_t vector)
{
	cpu_lock(vcpu);
	vcpu->post_counts[vector]++;
	if (vcpu->lapic_enabled) {
		if (!vcpu->pending[vector]) {
			vcpu->pending[vector] = true;
			vcpu->queue[vcpu->queue_count++] = vector;
		}
		unblock(vcpu);
	}
	cpu_unlock(vcpu);
}

void vcpu_set_auto_eoi(struct vcpu *vcpu, uint8_t vector, bool on)
{
	cpu_lock(vcpu);
	vcpu->auto_eoi[vector] = on;
	cpu_unlock(vcpu);
}

void vcpu_post_nmi(struct vcpu *vcpu)
{
	cpu_lock(vcpu);
	vcpu->nmi = true;
	unblock(vcpu);
	cpu_unlock(vcpu);
}

void vcpu_post_upcall(struct vcpu *vcpu)
{
	cpu_lock(vcpu);
	vcpu->upcall = true;
	unblock(vcpu);
	cpu_unlock(vcpu);
}

void vcpu_raise(struct vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error)
{
	cpu_lock(vcpu);
	vcpu->fault_set = true;
	vcpu->fault = (struct host_fault){.vector = vector, .has_error = has_error, .error = error};
	cpu_unlock(vcpu);
}

bool host_vcpu_vector_posted(struct vcpu *vcpu, uint8_t vector)
{
	bool posted;

	cpu_lock(vcpu);
	posted = vcpu->pending[vector];
	cpu_unlock(vcpu);
	return posted;
}

/* Takes queue entry @at out. */
static void queue_remove(struct vcpu *vcpu, uint32_t at)
{
	vcpu->pending[vcpu->queue[at]] = false;
	vcpu->queue_count--;
	memmove(&vcpu->queue[at], &vcpu->queue[at + 1], vcpu->queue_count - at);
}

int host_vcpu_take_vector(struct vcpu *vcpu)
{
	int vector = -1;

	cpu_lock(vcpu);
	if (vcpu->queue_count != 0) {
		vector = vcpu->queue[0];
		queue_remove(vcpu, 0);
	}
	cpu_unlock(vcpu);
	return vector;
}

bool host_vcpu_take_this_vector(struct vcpu *vcpu, uint8_t vector)
{
	bool found = false;

	cpu_lock(vcpu);
	for (uint32_t i = 0; i < vcpu->queue_count && !found; i++) {
		if (vcpu->queue[i] == vector) {
			queue_remove(vcpu, i);
			found = true;
		}
	}
	cpu_unlock(vcpu);
	return found;
}

uint64_t host_vcpu_post_count(struct vcpu *vcpu, uint8_t vector)
{
	uint64_t count;

	cpu_lock(vcpu);
	count = vcpu->post_counts[vector];
	cpu_unlock(vcpu);
	return count;
}

bool host_vcpu_auto_eoi(struct vcpu *vcpu, uint8_t vector)
{
	bool on;

	cpu_lock(vcpu);
	on = vcpu->auto_eoi[vector];
	cpu_unlock(vcpu);
	return on;
}

/* Reads a flag and clears it. */
static bool flag_take(struct vcpu *vcpu, bool *flag)
{
	bool was;

	cpu_lock(vcpu);
	was = *flag;
	*flag = false;
	cpu_unlock(vcpu);
	return was;
}

bool host_vcpu_take_nmi(struct vcpu *vcpu)
{
	return flag_take(vcpu, &vcpu->nmi);
}

bool host_vcpu_take_upcall(struct vcpu *vcpu)
{
	return flag_take(vcpu, &vcpu->upcall);
}

void host_vcpu_set_lapic(struct vcpu *vcpu, bool enabled)
{
	cpu_lock(vcpu);
	vcpu->lapic_enabled = enabled;
	cpu_unlock(vcpu);
}

bool host_vcpu_take_fault(struct vcpu *vcpu, struct host_fault *fault)
{
	*fault = vcpu->fault;
	return flag_take(vcpu, &vcpu->fault_set);
}

/* ------------------------------------------------------------------ waiting */

void vcpu_wait(struct vcpu *vcpu, uint64_t deadline_ns)
{
	cpu_lock(vcpu);
	if (vcpu->queue_count == 0 && !vcpu->nmi && !vcpu->upcall) {
		vcpu->waiting = true;
		vcpu->wait_deadline_ns = deadline_ns;
		runstate_enter(vcpu, VCPU_BLOCKED);
		deadline_look(vcpu);
	}
	cpu_unlock(vcpu);
}

void vcpu_wake(struct vcpu *vcpu)
{
	cpu_lock(vcpu);
	unblock(vcpu);
	cpu_unlock(vcpu);
}

void vcpu_yield(struct vcpu *vcpu)
{
	cpu_lock(vcpu);
	vcpu->yield_count++;
	cpu_unlock(vcpu);
}

bool host_vcpu_is_waiting(struct vcpu *vcpu)
{
	bool waiting;

	cpu_lock(vcpu);
	deadline_look(vcpu);
	waiting = vcpu->waiting;
	cpu_unlock(vcpu);
	return waiting;
}

uint64_t host_vcpu_wait_deadline_ns(struct vcpu *vcpu)
{
	uint64_t deadline_ns;

	cpu_lock(vcpu);
	deadline_ns = vcpu->wait_deadline_ns;
	cpu_unlock(vcpu);
	return deadline_ns;
}

uint64_t host_vcpu_yield_count(struct vcpu *vcpu)
{
	uint64_t count;

	cpu_lock(vcpu);
	count = vcpu->yield_count;
	cpu_unlock(vcpu);
	return count;
}

/* ------------------------------------------------------------------ up and down */

/*
 * What no CPU could run (Intel SDM vol. 3, 26.3.1; AMD APM vol. 2, 15.5.1), as far as it matters
 * here.
 */
static bool context_is_runnable(const struct vcpu_context *context)
{
	bool paging = (context->cr0 & CR0_PG) != 0;
	bool is_long = paging && (context->efer & EFER_LME) != 0;

	if (paging && (context->cr0 & CR0_PE) == 0) {
		return false;
	}
	if ((context->cr0 & CR0_NW) != 0 && (context->cr0 & CR0_CD) == 0) {
		return false;
	}
	if (context->cr0 >> 32 != 0 || (context->regs.rflags >> 32) != 0) {
		return false;
	}
	if (is_long && (context->cr4 & CR4_PAE) == 0) {
		return false;
	}
	return !(is_long && (context->cs.attributes & SEGMENT_L) != 0 &&
		 (context->cs.attributes & SEGMENT_DB) != 0);
}

enum vm_status vcpu_initialise(struct vcpu *vcpu, const struct vcpu_context *context)
{
	enum vm_status status = VM_OK;

	cpu_lock(vcpu);
	if (vcpu->started || vcpu->initialised) {
		status = VM_EBUSY;
	} else if (!context_is_runnable(context)) {
		status = VM_EINVAL;
	} else {
		vcpu->context = *context;
		vcpu->regs = context->regs;
		vcpu->initialised = true;
	}
	cpu_unlock(vcpu);
	return status;
}

enum vm_status vcpu_up(struct vcpu *vcpu)
{
	enum vm_status status = VM_OK;

	cpu_lock(vcpu);
	if (!vcpu->initialised && !vcpu->started) {
		status = VM_EINVAL;
	} else if (!vcpu->up) {
		vcpu->up = true;
		vcpu->started = true;
		runstate_enter(vcpu, VCPU_RUNNABLE);
	}
	cpu_unlock(vcpu);
	return status;
}

void vcpu_down(struct vcpu *vcpu)
{
	cpu_lock(vcpu);
	vcpu->up = false;
	vcpu->waiting = false;
	runstate_enter(vcpu, VCPU_OFFLINE);
	cpu_unlock(vcpu);
}

bool vcpu_is_up(const struct vcpu *vcpu)
{
	bool up;

	spin_lock(&vcpu->vm->cpu_lock);
	up = vcpu->up;
	spin_unlock(&vcpu->vm->cpu_lock);
	return up;
}

bool host_vcpu_is_initialised(struct vcpu *vcpu)
{
	bool initialised;

	cpu_lock(vcpu);
	initialised = vcpu->initialised;
	cpu_unlock(vcpu);
	return initialised;
}

const struct vcpu_context *host_vcpu_context(struct vcpu *vcpu)
{
	return &vcpu->context;
}

void host_vcpu_set_runstate(struct vcpu *vcpu, enum vcpu_runstate state)
{
	cpu_lock(vcpu);
	runstate_enter(vcpu, state);
	cpu_unlock(vcpu);
}

void vcpu_times(struct vcpu *vcpu, struct vcpu_times *times)
{
	cpu_lock(vcpu);
	*times = vcpu->times;
	cpu_unlock(vcpu);
}

void vcpu_flush_tlbs(struct vcpu *vcpu, uint64_t mask)
{
	cpu_lock(vcpu);
	vcpu->flush_count++;
	vcpu->flush_mask = mask;
	cpu_unlock(vcpu);
}

uint64_t host_vcpu_flush_count(struct vcpu *vcpu)
{
	uint64_t count;

	cpu_lock(vcpu);
	count = vcpu->flush_count;
	cpu_unlock(vcpu);
	return count;
}

uint64_t host_vcpu_flush_mask(struct vcpu *vcpu)
{
	uint64_t mask;

	cpu_lock(vcpu);
	mask = vcpu->flush_mask;
	cpu_unlock(vcpu);
	return mask;
}
