/*
 * host_vm.c - a hosted guest: its making and end, its configuration, what it logged and counted.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/clock.h"
#include "tests/host/host_private.h"

static void config_fill(struct vm *vm, const struct host_vm_config *config)
{
	struct host_vm_config *host = &vm->host;

	if (config != NULL) {
		*host = *config;
	}
	snprintf(vm->name, sizeof(vm->name), "%s", host->vm.name != NULL ? host->vm.name : "guest");
	host->vm.name = vm->name;
	host->vm.id = host->vm.id != 0 ? host->vm.id : 1;
	host->vm.vcpu_count = host->vm.vcpu_count != 0 ? host->vm.vcpu_count : 1;
	host->vm.memory_bytes = host->vm.memory_bytes != 0 ? host->vm.memory_bytes : 1u << 20;
	if (host->memory_max_bytes == 0) {
		host->memory_max_bytes = host->vm.memory_bytes;
	}
	if (host->gfn_count == 0) {
		host->gfn_count = host->memory_max_bytes >> PAGE_SHIFT;
	}
	host->alloc_bytes_max = host->alloc_bytes_max != 0 ? host->alloc_bytes_max : 16u << 20;
	host->page_max = host->page_max != 0 ? host->page_max : 1024;
	host->physical_bits = host->physical_bits != 0 ? host->physical_bits : 40;
	CHECK(host->vm.vcpu_count <= VM_VCPU_MAX);
}

static struct clock *default_clock;

void host_default_clock(struct clock *clock)
{
	default_clock = clock;
}

/* TSC = nanoseconds: (tsc << 1) * 2^31 >> 32. */
static void clock_fill(struct vm *vm)
{
	if (vm->host.vm.clock == NULL) {
		vm->host.vm.clock = default_clock;
	}
	if (vm->host.vm.clock != NULL) {
		return;
	}
	vm->own_clock = calloc(1, sizeof(*vm->own_clock));
	CHECK(vm->own_clock != NULL);
	*vm->own_clock = (struct clock){
		.tsc_hz = 1000000000, .stable = true, .mult = 0x80000000u, .shift = 1};
	vm->host.vm.clock = vm->own_clock;
}

static void vm_ready(struct vm *vm)
{
	vm->config = vm->host.vm;
	memset(vm->slots, 0, sizeof(vm->slots));
	host_clear(vm->counts, sizeof(vm->counts));
	vm->stopped = false;
	vm->killed = false;
	vm->reason[0] = 0;
	vm->log_count = 0;
	host_time_reset(vm);
	host_vcpus_reset(vm);
}

struct vm *host_vm_new(const struct host_vm_config *config)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	CHECK(vm != NULL);
	config_fill(vm, config);
	clock_fill(vm);
	vm->config = vm->host.vm;
	vm->vcpus = calloc(vm->config.vcpu_count, sizeof(*vm->vcpus));
	CHECK(vm->vcpus != NULL);
	spin_init(&vm->memory_lock, RANK_MEMORY);
	spin_init(&vm->work_lock, RANK_WORK);
	spin_init(&vm->timer_lock, RANK_TIMER);
	spin_init(&vm->cpu_lock, RANK_SCHED);
	spin_init(&vm->log_lock, RANK_LOG);
	list_init(&vm->works);
	list_init(&vm->timers);
	host_memory_new(vm);
	vm_ready(vm);
	return vm;
}

struct host_leaks host_vm_leaks(struct vm *vm)
{
	struct host_leaks leaks = {0};

	spin_lock(&vm->memory_lock);
	leaks.pins = vm->pin_total;
	leaks.pages = vm->page_count;
	leaks.allocs = vm->alloc_live;
	spin_unlock(&vm->memory_lock);
	spin_lock(&vm->timer_lock);
	leaks.timers = vm->timer_count;
	spin_unlock(&vm->timer_lock);
	leaks.works = host_work_is_queued(vm) ? 1 : 0;
	return leaks;
}

bool host_vm_check_no_leaks(struct vm *vm)
{
	struct host_leaks leaks = host_vm_leaks(vm);

	if ((leaks.pins | leaks.pages | leaks.allocs | leaks.timers | leaks.works) == 0) {
		return true;
	}
	fprintf(stderr, "%s: left over: %llu pins, %llu pages, %llu allocations, %llu timers, %s\n",
		vm->name, (unsigned long long)leaks.pins, (unsigned long long)leaks.pages,
		(unsigned long long)leaks.allocs, (unsigned long long)leaks.timers,
		leaks.works != 0 ? "queued work" : "no work");
	return false;
}

void host_vm_discard(struct vm *vm)
{
	host_memory_free(vm);
	host_pool_free(vm);
	free(vm->own_clock);
	free(vm->vcpus);
	free(vm);
}

void host_vm_free(struct vm *vm)
{
	CHECK(host_vm_check_no_leaks(vm));
	host_vm_discard(vm);
}

void host_vm_reset(struct vm *vm)
{
	CHECK(host_vm_check_no_leaks(vm));
	host_memory_reset(vm);
	vm_ready(vm);
}

const struct vm_config *vm_config(const struct vm *vm)
{
	return &vm->config;
}

void *vm_slot(const struct vm *vm, enum vm_slot slot)
{
	CHECK(slot < VM_SLOT_COUNT);
	return vm->slots[slot];
}

void vm_slot_set(struct vm *vm, enum vm_slot slot, void *state)
{
	CHECK(slot < VM_SLOT_COUNT);
	vm->slots[slot] = state;
}

/* ------------------------------------------------------------------ its end */

static void vm_end(struct vm *vm, bool killed, enum vm_stop_how how, const char *reason)
{
	CHECK(*lock_held_ranks() >> RANK_MEMORY == 0);
	spin_lock(&vm->cpu_lock);
	if (!vm->stopped && !vm->killed) {
		vm->stopped = !killed;
		vm->killed = killed;
		vm->stop_how = how;
		snprintf(vm->reason, sizeof(vm->reason), "%s", reason);
	}
	spin_unlock(&vm->cpu_lock);
}

void vm_stop(struct vm *vm, enum vm_stop_how how, const char *reason)
{
	vm_end(vm, false, how, reason);
}

void vm_kill(struct vm *vm, const char *reason)
{
	vm_end(vm, true, VM_STOP_CRASH, reason);
}

bool host_vm_stopped(struct vm *vm, enum vm_stop_how *how)
{
	bool stopped;

	spin_lock(&vm->cpu_lock);
	stopped = vm->stopped;
	if (stopped && how != NULL) {
		*how = vm->stop_how;
	}
	spin_unlock(&vm->cpu_lock);
	return stopped;
}

bool host_vm_killed(struct vm *vm)
{
	bool killed;

	spin_lock(&vm->cpu_lock);
	killed = vm->killed;
	spin_unlock(&vm->cpu_lock);
	return killed;
}

const char *host_vm_reason(struct vm *vm)
{
	return vm->reason;
}

/* ------------------------------------------------------------------ log and counts */

void vm_log(struct vm *vm, const char *format, ...)
{
	char line[LOG_LINE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	CHECK(*lock_held_ranks() >> RANK_MEMORY == 0);
	spin_lock(&vm->log_lock);
	memcpy(vm->log[vm->log_count % LOG_LINES], line, sizeof(line));
	vm->log_count++;
	spin_unlock(&vm->log_lock);
	if (vm->host.log_to_stderr) {
		fprintf(stderr, "%s: %s\n", vm->name, line);
	}
}

/* Index of the oldest line kept. */
static uint64_t log_first(const struct vm *vm)
{
	return vm->log_count > LOG_LINES ? vm->log_count - LOG_LINES : 0;
}

bool host_log_has(struct vm *vm, const char *part)
{
	bool found = false;

	spin_lock(&vm->log_lock);
	for (uint64_t i = log_first(vm); i < vm->log_count && !found; i++) {
		found = strstr(vm->log[i % LOG_LINES], part) != NULL;
	}
	spin_unlock(&vm->log_lock);
	return found;
}

uint64_t host_log_count(struct vm *vm)
{
	uint64_t count;

	spin_lock(&vm->log_lock);
	count = vm->log_count;
	spin_unlock(&vm->log_lock);
	return count;
}

void host_log_print(struct vm *vm)
{
	for (uint64_t i = log_first(vm); i < vm->log_count; i++) {
		fprintf(stderr, "%s: %s\n", vm->name, vm->log[i % LOG_LINES]);
	}
}

static struct spec_count *count_row(struct vm *vm, enum spec_table table, uint32_t row)
{
	CHECK(table < SPEC_TABLE_COUNT && (row < SPEC_ROW_MAX || row == SPEC_UNKNOWN));
	return &vm->counts[table][row == SPEC_UNKNOWN ? SPEC_ROW_MAX : row];
}

void vm_count(struct vm *vm, enum spec_table table, uint32_t row, bool refused)
{
	struct spec_count *count = count_row(vm, table, row);

	__atomic_fetch_add(&count->used, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&count->refused, refused ? 1 : 0, __ATOMIC_RELAXED);
}

uint64_t host_count_used(struct vm *vm, enum spec_table table, uint32_t row)
{
	return __atomic_load_n(&count_row(vm, table, row)->used, __ATOMIC_RELAXED);
}

uint64_t host_count_refused(struct vm *vm, enum spec_table table, uint32_t row)
{
	return __atomic_load_n(&count_row(vm, table, row)->refused, __ATOMIC_RELAXED);
}

const uint8_t *vm_hypercall_opcode(const struct vm *vm)
{
	static const uint8_t vmmcall[3] = {0x0f, 0x01, 0xd9};

	(void)vm;
	return vmmcall;
}
