/*
 * host.h - what a test may do with the hosted side of the seam (vm/vm.h in an ordinary process).
 *
 * Compile with -Itests/host/include -Ihypervisor/include -I. (in this order: page.h has a hosted
 * copy) and link all tests/host/host_*.c, with -pthread. tests/host defines every function of
 * vm/vm.h, and also panic(), lock_held_ranks() and lock_relax(). It does not define format_print().
 *
 * What is checked always, by a panic: lock ranks, use of a page that is not pinned, misaligned page
 * access, unpin without pin, lengths above the contract's limits, and (host_vm_free, host_vm_reset)
 * leaks.
 *
 * A test is one thread unless it starts more: then each function may be called from any thread, but
 * for host_vm_new/free/reset, host_load_hook and the host_time_* of by-hand time.
 */
#ifndef TESTS_HOST_HOST_H
#define TESTS_HOST_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "vm/page.h"
#include "vm/vm.h"

/* ------------------------------------------------------------------ a guest */

/* Zeros mean the default. */
struct host_vm_config {
	/*
	 * As the faces will see it, copied. Defaults: name "guest", id 1, vcpu_count 1,
	 * memory_bytes 1 MiB, and a stable clock of 1 GHz on which TSC = nanoseconds. console,
	 * lifecycle, blocks and ports: as given.
	 */
	struct vm_config vm;
	uint64_t memory_max_bytes; /* that ballooning may reach: default memory_bytes */
	uint64_t gfn_count;        /* where RAM may be given: default memory_max_bytes / 4096 */
	size_t alloc_bytes_max;    /* vm_alloc()'s quota: default 16 MiB */
	uint32_t page_max;         /* vm_page_alloc()'s quota: default 1024 */
	uint32_t physical_bits;    /* default 40 */
	bool log_to_stderr;
};

/*
 * RAM lies from 0 to memory_bytes, zeroed. The last two pages are the special ones (the store's,
 * then the console's), reserved in the memory map. vCPU 0 is up. Time is 0 and turned by hand. NULL
 * config: all defaults.
 */
struct vm *host_vm_new(const struct host_vm_config *config);

/* Panics if the faces left pins, pages, allocations, armed timers or queued work. */
void host_vm_free(struct vm *vm);

/*
 * As after host_vm_new, in a time that depends on what was touched and not on the memory's size.
 * Slots are NULL again. Panics on leaks, as above.
 */
void host_vm_reset(struct vm *vm);

/*
 * For fuzzing: @vm as it is now, to bring back for each input: its RAM, what the faces allocated, its vCPUs, armed timers, queued
 * work, log and counts, with the same addresses. RAM must stand where it stood at first; the clock of its configuration is not
 * part of it. From now on what the faces allocate comes from a pool; with the address sanitizer, what they gave back is
 * poisoned. Once for a guest.
 */
struct host_snapshot;
struct host_snapshot *host_snapshot_take(struct vm *vm);
/* [@at, @at + @len) of the test's own, as it is now, is brought back too. */
void host_snapshot_add(struct host_snapshot *shot, void *at, size_t len);
/* After host_vm_reset(): the guest is as it was. Panics if the faces hold anything. */
void host_snapshot_restore(struct host_snapshot *shot);
/* After host_vm_reset(): the guest is an ordinary one again. */
void host_snapshot_free(struct host_snapshot *shot);

/*
 * What is not given back, for asserts; host_vm_check_no_leaks() is all of it and prints what it
 * finds.
 */
struct host_leaks {
	uint64_t pins, pages, allocs, timers, works;
};
struct host_leaks host_vm_leaks(struct vm *vm);
bool host_vm_check_no_leaks(struct vm *vm);

/*
 * The next @count allocations (vm_alloc and vm_page_alloc) work, then all fail, until
 * host_fail_alloc_never().
 */
void host_fail_alloc_after(struct vm *vm, uint32_t count);
void host_fail_alloc_never(struct vm *vm);
/* Only the @nth (1 and up) allocation from now on fails; 0: none does. host_fail_alloc_fired(): it has. */
void host_fail_alloc_nth(struct vm *vm, uint64_t nth);
bool host_fail_alloc_fired(struct vm *vm);
/* The same for pins: as if the guest had no RAM there. */
void host_fail_pin_nth(struct vm *vm, uint64_t nth);
bool host_fail_pin_fired(struct vm *vm);
/* Allocations tried since creation or reset: to fail each of them in turn. */
uint64_t host_alloc_count(struct vm *vm);
uint64_t host_alloc_bytes(struct vm *vm); /* held now by vm_alloc() */

/*
 * The clock of guests made from now on whose configuration names none; NULL: the default again. It
 * stays in place as long as they live.
 */
void host_default_clock(struct clock *clock);

/* ------------------------------------------------------------------ its memory */

/*
 * The guest's own view: where [@at, @at + @len) lies now. NULL if part of it is neither RAM nor an
 * overlay page, or its frames are not side by side (after ballooning). Good until ballooning, show,
 * hide or reset.
 */
void *host_vm_bytes(struct vm *vm, uint64_t at, size_t len);

/* Pins held on the page at @at. */
uint32_t host_page_pin_count(struct vm *vm, uint64_t at);

/* Called after each vm_page_load*, vm_page_read and (page by page) vm_read. NULL: no more. */
void host_load_hook(host_load_fn *fn, void *context);

/*
 * Counts the fetches of each byte of [@at, @at + @len): host_fetch_max() is how often the one most
 * fetched was. 1 is a good answer, 2 a double fetch. One watch in a process; it takes the load
 * hook.
 */
void host_fetch_watch(struct vm *vm, uint64_t at, size_t len);
uint32_t host_fetch_max(void);
void host_fetch_unwatch(void);

/*
 * A hostile guest: after each load of a byte of [@at, @at + @len), that byte is changed (from
 * @seed). Takes the load hook; ends with host_load_hook(NULL, NULL).
 */
void host_scribble(struct vm *vm, uint64_t at, size_t len, uint64_t seed);

/*
 * Linear addresses: by default linear = physical, over all of it. False: not mapped (or not
 * writable).
 */
typedef bool host_translate_fn(void *context, struct vcpu *vcpu, uint64_t linear, bool write,
			       gpa_t *at);
void host_translate_hook(struct vm *vm, host_translate_fn *fn, void *context);

/* ------------------------------------------------------------------ its vCPUs */

/* Default: CPL 0, 64-bit. Registers: vcpu_regs(). */
void host_vcpu_set_mode(struct vcpu *vcpu, struct vcpu_mode mode);

/* As in a local APIC, a vector posted while pending stays pending once. */
bool host_vcpu_vector_posted(struct vcpu *vcpu, uint8_t vector);         /* is pending */
int host_vcpu_take_vector(struct vcpu *vcpu); /* oldest first; -1: none */
bool host_vcpu_take_this_vector(struct vcpu *vcpu, uint8_t vector);
uint64_t host_vcpu_post_count(struct vcpu *vcpu, uint8_t vector);        /* calls, ever */
bool host_vcpu_auto_eoi(struct vcpu *vcpu, uint8_t vector);
bool host_vcpu_take_nmi(struct vcpu *vcpu);
/* True if vcpu_post_upcall() was called since the last time; then ask the face's upcall(). */
bool host_vcpu_take_upcall(struct vcpu *vcpu);
/* A local APIC that is off takes no vectors (they are lost). Default: on. */
void host_vcpu_set_lapic(struct vcpu *vcpu, bool enabled);

struct host_fault {
	uint8_t vector;
	bool has_error;
	uint32_t error;
};
/* The fault that vcpu_raise() left, taken out. False: none. */
bool host_vcpu_take_fault(struct vcpu *vcpu, struct host_fault *fault);

/* True if vcpu_wait() holds and nothing has ended it (wake, vector, NMI, upcall, deadline). */
bool host_vcpu_is_waiting(struct vcpu *vcpu);
uint64_t host_vcpu_wait_deadline_ns(struct vcpu *vcpu);
uint64_t host_vcpu_yield_count(struct vcpu *vcpu);
bool host_vcpu_is_initialised(struct vcpu *vcpu);
/* What vcpu_initialise() was given last. */
const struct vcpu_context *host_vcpu_context(struct vcpu *vcpu);
/* Enters a runstate now; a face that wants to know is told by the test. */
void host_vcpu_set_runstate(struct vcpu *vcpu, enum vcpu_runstate state);

/* Flushes asked by @vcpu, and the mask of the last. */
uint64_t host_vcpu_flush_count(struct vcpu *vcpu);
uint64_t host_vcpu_flush_mask(struct vcpu *vcpu);

/* ------------------------------------------------------------------ time and work */

/*
 * Turns time by hand to @ns (not back): runs the timers due on the way, in order, each at its
 * deadline.
 */
void host_time_set(struct vm *vm, uint64_t ns);
void host_time_advance_ns(struct vm *vm, uint64_t ns);
/* The host stood still: it is @ns later, and no timer has run meanwhile. */
void host_time_jump_ns(struct vm *vm, uint64_t ns);
/* From now on guest time runs with the host's monotonic clock. */
void host_time_real(struct vm *vm);
/* The guest's TSC now, by its clock. */
uint64_t host_tsc(struct vm *vm);
/* Runs timers due now; returns how many callbacks. */
uint64_t host_run_timers(struct vm *vm);
/* Deadline of the first armed timer; false if there is none. */
bool host_next_timer_ns(struct vm *vm, uint64_t *deadline_ns);

/* One step of the first work in the queue. False if there was none. */
bool host_run_work_once(struct vm *vm);
/*
 * Steps until the queue is empty; returns how many. Panics after HOST_WORK_STEPS_MAX: work that
 * never ends.
 */
#define HOST_WORK_STEPS_MAX 1000000u
uint64_t host_run_work(struct vm *vm);
/* Timers due and work, until neither is left. Returns steps and callbacks. */
uint64_t host_run(struct vm *vm);
bool host_work_is_queued(struct vm *vm);

/*
 * @thread_count threads that run the work and the timers of these guests until host_threads_stop().
 */
struct host_threads;
struct host_threads *host_threads_start(struct vm *const *vms, uint32_t vm_count,
					uint32_t thread_count);
/* On return no thread runs; what is queued stays queued. */
void host_threads_stop(struct host_threads *threads);

/*
 * @relaxed(@context) is called in each lock_relax(): so that what is waited for can come in a test
 * of one thread. NULL: no more. It takes no lock that its caller may hold.
 */
void host_relax_hook(void (*relaxed)(void *context), void *context);

/* ------------------------------------------------------------------ what was recorded */

/* vm_stop(): false if it was not called. The reason stays readable until reset. */
bool host_vm_stopped(struct vm *vm, enum vm_stop_how *how);
bool host_vm_killed(struct vm *vm);
/* The reason of the first vm_stop() or vm_kill(); "" if none. */
const char *host_vm_reason(struct vm *vm);

/* The log: true if one of the last 64 lines has @part in it; all lines ever. */
bool host_log_has(struct vm *vm, const char *part);
uint64_t host_log_count(struct vm *vm);
void host_log_print(struct vm *vm);

/* What vm_count() counted: of one row (or SPEC_UNKNOWN). */
uint64_t host_count_used(struct vm *vm, enum spec_table table, uint32_t row);
uint64_t host_count_refused(struct vm *vm, enum spec_table table, uint32_t row);

/*
 * Calls @fn and returns true if it panicked on this thread. Locks that it held stay locked (their
 * ranks are forgotten): only for tests of a CHECK, and throw the guest away afterwards with
 * host_vm_discard().
 */
bool host_panics(void (*fn)(void *context), void *context);
const char *host_panic_text(void);
/* host_vm_free() without asking for leaks. */
void host_vm_discard(struct vm *vm);

#endif /* TESTS_HOST_HOST_H */
