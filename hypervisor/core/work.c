/*
 * work.c - deferred work (vm.h): run by the guest's own vCPUs between exits, so in the guest's own time.
 */
#include "hypervisor/core/machine.h"

enum work_state {
	WORK_IDLE,
	WORK_QUEUED,
	WORK_RUNNING,
	WORK_AGAIN, /* running, and asked for once more */
};

void vm_work_init(struct vm_work *work, struct vm *vm, bool (*step)(struct vm_work *work))
{
	list_init(&work->node);
	work->vm = vm;
	work->step = step;
	work->state = WORK_IDLE;
}

/* Some vCPU of the guest has to look: the one that is here anyway, or the first. */
static void call_worker(struct vm *vm)
{
	struct vcpu *self = this_cpu()->current;

	if (self != NULL && self->vm == vm) {
		__atomic_fetch_or(&self->requests, REQUEST_WORK, __ATOMIC_SEQ_CST);
	} else {
		vcpu_request(vm->vcpus[0], REQUEST_WORK);
	}
}

void vm_work_queue(struct vm_work *work)
{
	struct vm *vm = work->vm;
	bool queued = false;

	spin_lock(&vm->work_lock);
	if (work->state == WORK_IDLE) {
		work->state = WORK_QUEUED;
		list_add_tail(&vm->work, &work->node);
		queued = true;
	} else if (work->state == WORK_RUNNING) {
		work->state = WORK_AGAIN;
	}
	spin_unlock(&vm->work_lock);
	if (queued) {
		call_worker(vm);
	}
}

void vm_work_cancel(struct vm_work *work)
{
	struct vm *vm = work->vm;

	spin_lock(&vm->work_lock);
	if (work->state == WORK_QUEUED) {
		list_remove(&work->node);
		work->state = WORK_IDLE;
	} else if (work->state == WORK_AGAIN) {
		work->state = WORK_RUNNING;
	}
	spin_unlock(&vm->work_lock);
}

bool work_run_one(struct vm *vm)
{
	struct list_node *node;
	struct vm_work *work;
	bool more;

	spin_lock(&vm->work_lock);
	node = list_take_first(&vm->work);
	if (node == NULL) {
		spin_unlock(&vm->work_lock);
		return false;
	}
	work = CONTAINER_OF(node, struct vm_work, node);
	work->state = WORK_RUNNING;
	spin_unlock(&vm->work_lock);

	more = work->step(work);

	spin_lock(&vm->work_lock);
	if (more || work->state == WORK_AGAIN) {
		work->state = WORK_QUEUED;
		list_add_tail(&vm->work, &work->node);
	} else {
		work->state = WORK_IDLE;
	}
	spin_unlock(&vm->work_lock);
	return true;
}
