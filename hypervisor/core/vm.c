/*
 * vm.c - what the seam says of a whole guest: configuration, time, end, log, counts, memory of modules.
 */
#include "hypervisor/core/frames.h"
#include "hypervisor/core/machine.h"

#include "base/format.h"

#define HEAP_BYTES_MAX (8u << 20)
#define LOG_LINES_A_SECOND 50u

struct vm vms[VM_COUNT_MAX];
struct cpu cpus[HOST_CPUS_MAX];
uint32_t vm_count_all;
struct ether_switch switches[BLOB_SWITCHES_MAX];
const struct hvm_ops *hvm;

const struct vm_config *vm_config(const struct vm *vm)
{
	return &vm->config;
}

void *vm_slot(const struct vm *vm, enum vm_slot slot)
{
	return vm->slots[slot];
}

void vm_slot_set(struct vm *vm, enum vm_slot slot, void *state)
{
	vm->slots[slot] = state;
}

uint32_t vm_vcpu_count(const struct vm *vm)
{
	return vm->config.vcpu_count;
}

struct vcpu *vm_vcpu(struct vm *vm, uint32_t index)
{
	return index < vm->config.vcpu_count ? vm->vcpus[index] : NULL;
}

const uint8_t *vm_hypercall_opcode(const struct vm *vm)
{
	(void)vm;
	return hvm->hypercall_opcode;
}

void *vm_alloc(struct vm *vm, size_t bytes)
{
	void *memory = NULL;

	if (__atomic_add_fetch(&vm->heap_bytes, bytes, __ATOMIC_RELAXED) <= HEAP_BYTES_MAX) {
		memory = heap_alloc(bytes);
	}
	if (memory == NULL) {
		__atomic_sub_fetch(&vm->heap_bytes, bytes, __ATOMIC_RELAXED);
	}
	return memory;
}

void vm_free(struct vm *vm, void *memory)
{
	if (memory != NULL) {
		__atomic_sub_fetch(&vm->heap_bytes, heap_size(memory), __ATOMIC_RELAXED);
		heap_free(memory);
	}
}

/* ---- time ---- */

uint64_t vm_time_ns(const struct vm *vm)
{
	return clock_tsc_to_ns(&vm->clock, tsc_read() - vm->tsc_base);
}

uint64_t vm_ns_to_tsc(const struct vm *vm, uint64_t ns)
{
	uint64_t tsc = clock_ns_to_tsc(&vm->clock, ns);

	return tsc > UINT64_MAX - vm->tsc_base ? UINT64_MAX : tsc + vm->tsc_base;
}

/* ---- its end ---- */

static void stop_all(struct vm *vm, uint32_t how, const char *reason)
{
	uint32_t running = 0;

	if (!__atomic_compare_exchange_n(&vm->stopping, &running, how, false, __ATOMIC_SEQ_CST,
	                                 __ATOMIC_SEQ_CST)) {
		return; /* the first reason stands */
	}
	vm->stop_tsc = tsc_read();
	for (size_t i = 0; i + 1 < sizeof(vm->stop_reason) && reason[i] != 0; i++) {
		vm->stop_reason[i] = reason[i];
		vm->stop_reason[i + 1] = 0;
	}
	for (uint32_t i = 0; i < vm->config.vcpu_count; i++) {
		if (vm->vcpus[i] != NULL &&
		    __atomic_load_n(&vm->vcpus[i]->place, __ATOMIC_SEQ_CST) == PLACE_RUNNING) {
			sched_wake(vm->vcpus[i]);
		}
	}
	if (cpu_self() != 0) {
		cpu_kick(0); /* control runs there */
	}
}

void vm_stop(struct vm *vm, enum vm_stop_how how, const char *reason)
{
	stop_all(vm, 1 + (uint32_t)how, reason);
}

void vm_kill(struct vm *vm, const char *reason)
{
	stop_all(vm, VM_KILLED, reason);
}

void vm_destroy(struct vm *vm)
{
	uint32_t rebooting = 1 + VM_STOP_REBOOT;

	stop_all(vm, VM_DESTROYED, "from the monitor");
	/* One that has just asked for a reboot does not come back. */
	(void)__atomic_compare_exchange_n(&vm->stopping, &rebooting, VM_DESTROYED, false, __ATOMIC_SEQ_CST,
	                                  __ATOMIC_SEQ_CST);
}

/* ---- its log and counts ---- */

static bool log_has_room(struct vm *vm)
{
	uint64_t now = tsc_read();

	if (now - vm->log_limit.window_tsc > host_tsc_hz()) {
		if (vm->log_limit.dropped != 0) {
			log_line("guest %s: %lu lines of its log dropped", vm->name,
			         (unsigned long)vm->log_limit.dropped);
		}
		vm->log_limit.window_tsc = now;
		vm->log_limit.lines = 0;
		vm->log_limit.dropped = 0;
	}
	if (vm->log_limit.lines >= LOG_LINES_A_SECOND) {
		vm->log_limit.dropped++;
		return false;
	}
	vm->log_limit.lines++;
	return true;
}

void vm_log(struct vm *vm, const char *format, ...)
{
	char text[200];
	va_list args;

	if (!log_has_room(vm)) {
		return;
	}
	va_start(args, format);
	(void)format_text(text, sizeof(text), format, args);
	va_end(args);
	log_line("guest %s: %s", vm->name, text);
}

void vm_count(struct vm *vm, enum spec_table table, uint32_t row, bool refused)
{
	struct spec_count *count;

	if (vm->counts == NULL) {
		return;
	}
	row = row < SPEC_ROW_MAX ? row : SPEC_ROW_MAX;
	count = &vm->counts[(uint32_t)table * (SPEC_ROW_MAX + 1) + row];
	__atomic_add_fetch(refused ? &count->refused : &count->used, 1, __ATOMIC_RELAXED);
}
