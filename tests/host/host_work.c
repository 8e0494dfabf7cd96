/*
 * host_work.c - deferred work, hosted: run by hand in the order of queueing, or by threads.
 */
#define _GNU_SOURCE /* pthread, nanosleep */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "tests/host/host_private.h"

#define THREADS_MAX 16u
#define VMS_MAX 16u

/* vm_work.state */
#define WORK_QUEUED 1u
#define WORK_RUNNING 2u
#define WORK_AGAIN 4u /* queued while it runs */

/*
 * The work whose step runs on this thread; NULL once that step has cancelled it: it may be gone
 * then.
 */
static _Thread_local struct vm_work *current;

void vm_work_init(struct vm_work *work, struct vm *vm, bool (*step)(struct vm_work *work))
{
	*work = (struct vm_work){.vm = vm, .step = step};
	list_init(&work->node);
}

void vm_work_queue(struct vm_work *work)
{
	struct vm *vm = work->vm;

	CHECK(*lock_held_ranks() >> RANK_MEMORY == 0);
	spin_lock(&vm->work_lock);
	if ((work->state & WORK_RUNNING) != 0) {
		work->state |= WORK_AGAIN;
	} else if ((work->state & WORK_QUEUED) == 0) {
		work->state |= WORK_QUEUED;
		list_add_tail(&vm->works, &work->node);
	}
	spin_unlock(&vm->work_lock);
}

/* Takes it out of the queue. True if nothing of it is left running on another thread. */
static bool work_withdraw(struct vm_work *work)
{
	bool done;

	spin_lock(&work->vm->work_lock);
	if ((work->state & WORK_QUEUED) != 0) {
		list_remove(&work->node);
	}
	work->state &= WORK_RUNNING;
	if (current == work) {
		work->state = 0;
		current = NULL;
	}
	done = work->state == 0;
	spin_unlock(&work->vm->work_lock);
	return done;
}

void vm_work_cancel(struct vm_work *work)
{
	if (work->vm == NULL) {
		return; /* never initialised: a face that failed half-way */
	}
	while (!work_withdraw(work)) {
		CHECK(*lock_held_ranks() == 0);
		lock_relax();
	}
}

static struct vm_work *work_take(struct vm *vm)
{
	struct vm_work *work = NULL;
	struct list_node *node;

	spin_lock(&vm->work_lock);
	node = list_take_first(&vm->works);
	if (node != NULL) {
		work = CONTAINER_OF(node, struct vm_work, node);
		work->state = WORK_RUNNING;
	}
	spin_unlock(&vm->work_lock);
	return work;
}

static void work_ended(struct vm *vm, struct vm_work *work, bool more)
{
	spin_lock(&vm->work_lock);
	more = more || (work->state & WORK_AGAIN) != 0;
	work->state = more ? WORK_QUEUED : 0;
	if (more) {
		list_add_tail(&vm->works, &work->node);
	}
	spin_unlock(&vm->work_lock);
}

bool host_run_work_once(struct vm *vm)
{
	struct vm_work *outer = current;
	struct vm_work *work = work_take(vm);
	bool more;

	if (work == NULL) {
		return false;
	}
	CHECK(*lock_held_ranks() == 0);
	current = work;
	more = work->step(work);
	CHECK(*lock_held_ranks() == 0);
	if (current == work) {
		work_ended(vm, work, more);
	}
	current = outer;
	return true;
}

uint64_t host_run_work(struct vm *vm)
{
	uint64_t steps = 0;

	while (host_run_work_once(vm)) {
		steps++;
		CHECK(steps < HOST_WORK_STEPS_MAX);
	}
	return steps;
}

uint64_t host_run(struct vm *vm)
{
	uint64_t total = 0, now;

	do {
		now = host_run_timers(vm) + host_run_work(vm);
		total += now;
		CHECK(total < HOST_WORK_STEPS_MAX);
	} while (now != 0);
	return total;
}

bool host_work_is_queued(struct vm *vm)
{
	bool queued;

	spin_lock(&vm->work_lock);
	queued = !list_is_empty(&vm->works);
	spin_unlock(&vm->work_lock);
	return queued;
}

/* ------------------------------------------------------------------ threads */

struct host_threads {
	struct vm *vms[VMS_MAX];
	uint32_t vm_count;
	pthread_t threads[THREADS_MAX];
	uint32_t thread_count;
	bool stop; /* atomic */
};

static void *thread_main(void *context)
{
	struct host_threads *threads = context;
	const struct timespec nap = {.tv_nsec = 20000};

	while (!__atomic_load_n(&threads->stop, __ATOMIC_ACQUIRE)) {
		bool idle = true;

		for (uint32_t i = 0; i < threads->vm_count; i++) {
			idle = !host_run_work_once(threads->vms[i]) && idle;
			idle = host_run_timers(threads->vms[i]) == 0 && idle;
			host_vcpus_look(threads->vms[i]);
		}
		if (idle) {
			nanosleep(&nap, NULL);
		}
	}
	return NULL;
}

struct host_threads *host_threads_start(struct vm *const *vms, uint32_t vm_count,
					uint32_t thread_count)
{
	struct host_threads *threads = calloc(1, sizeof(*threads));

	CHECK(threads != NULL && vm_count <= VMS_MAX && thread_count <= THREADS_MAX);
	threads->vm_count = vm_count;
	for (uint32_t i = 0; i < vm_count; i++) {
		threads->vms[i] = vms[i];
	}
	for (uint32_t i = 0; i < thread_count; i++) {
		CHECK(pthread_create(&threads->threads[i], NULL, thread_main, threads) == 0);
		threads->thread_count++;
	}
	return threads;
}

void host_threads_stop(struct host_threads *threads)
{
	__atomic_store_n(&threads->stop, true, __ATOMIC_RELEASE);
	for (uint32_t i = 0; i < threads->thread_count; i++) {
		pthread_join(threads->threads[i], NULL);
	}
	free(threads);
}
