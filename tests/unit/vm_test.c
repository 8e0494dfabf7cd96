/*
 * vm_test.c - what core keeps for a guest has bounds: lines of the log in a second, bytes of modules; and its end is
 * that for the first reason.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "hypervisor/include/vm/page.h" /* ring 0's, not that of tests/host */

#include "hypervisor/core/machine.h"
#include "tests/unit/unit.h"

static uint64_t fake_tsc;
#define tsc_read() fake_tsc
#define cpu_self() 1u
#include "hypervisor/core/vm.c"

#define HZ 1000000u

static uint32_t line_count;
static char last_line[256];
static size_t heap_used;
static uint32_t kicks;

uint64_t host_tsc_hz(void)
{
	return HZ;
}

void log_line(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(last_line, sizeof(last_line), format, args);
	va_end(args);
	line_count++;
}

void cpu_kick(unsigned int cpu)
{
	kicks += cpu == 0 ? 1 : 0;
}

void sched_wake(struct vcpu *vcpu)
{
	(void)vcpu;
}

/* A heap that never ends, so that the guest's own bound is what stops it. */
static struct {
	uint32_t bytes;
} pieces[4096];
static uint32_t piece_count;

void *heap_alloc(size_t bytes)
{
	if (piece_count == ARRAY_COUNT(pieces)) {
		return NULL;
	}
	heap_used += bytes;
	pieces[piece_count].bytes = (uint32_t)bytes;
	return &pieces[piece_count++];
}

void heap_free(void *memory)
{
	heap_used -= heap_size(memory);
}

size_t heap_size(const void *memory)
{
	return ((const uint32_t *)memory)[0];
}

static struct vm *start(void)
{
	struct vm *vm = &vms[0];

	memset(vm, 0, sizeof(*vm));
	strcpy(vm->name, "web");
	fake_tsc = 10 * HZ;
	line_count = 0;
	heap_used = piece_count = 0;
	kicks = 0;
	return vm;
}

/* However much a guest makes us say: 50 lines in a second, then how many were dropped. */
static void test_log_is_limited(void)
{
	struct vm *vm = start();
	struct vm *other = &vms[1];

	memset(other, 0, sizeof(*other));
	for (uint32_t i = 0; i < 100000; i++) {
		vm_log(vm, "line %u", i);
	}
	CU_ASSERT_EQUAL(line_count, LOG_LINES_A_SECOND);
	CU_ASSERT_STRING_EQUAL(last_line, "guest web: line 49");
	vm_log(other, "mine"); /* another's lines are not lost */
	CU_ASSERT_EQUAL(line_count, LOG_LINES_A_SECOND + 1);
	fake_tsc += HZ;
	vm_log(vm, "still the same second");
	CU_ASSERT_EQUAL(line_count, LOG_LINES_A_SECOND + 1);
	fake_tsc += 1;
	vm_log(vm, "%s", "the next");
	CU_ASSERT_EQUAL(line_count, LOG_LINES_A_SECOND + 3);
	CU_ASSERT_STRING_EQUAL(last_line, "guest web: the next");
	CU_ASSERT_EQUAL(vm->log_limit.dropped, 0);
}

/* A line is no longer than its buffer, whatever is in it. */
static void test_log_lines_are_cut(void)
{
	struct vm *vm = start();
	char text[1000];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	vm_log(vm, "%s", text);
	CU_ASSERT_EQUAL(strlen(last_line), strlen("guest web: ") + 199);
}

/* What modules keep for one guest ends at its bound, and one that was refused counts for nothing. */
static void test_memory_is_limited(void)
{
	struct vm *vm = start();
	void *pieces_of_it[8];

	for (uint32_t i = 0; i < 8; i++) {
		pieces_of_it[i] = vm_alloc(vm, HEAP_BYTES_MAX / 8);
		CU_ASSERT_PTR_NOT_NULL(pieces_of_it[i]);
	}
	CU_ASSERT_PTR_NULL(vm_alloc(vm, 1));
	CU_ASSERT_PTR_NULL(vm_alloc(vm, HEAP_BYTES_MAX));
	CU_ASSERT_EQUAL(heap_used, HEAP_BYTES_MAX);
	vm_free(vm, pieces_of_it[3]);
	CU_ASSERT_PTR_NULL(vm_alloc(vm, HEAP_BYTES_MAX / 8 + 1));
	CU_ASSERT_PTR_NOT_NULL(vm_alloc(vm, HEAP_BYTES_MAX / 8));
	vm_free(vm, NULL);
	CU_ASSERT_EQUAL(vm->heap_bytes, HEAP_BYTES_MAX);
	piece_count = ARRAY_COUNT(pieces); /* the heap itself has no more */
	vm_free(vm, pieces_of_it[0]);
	CU_ASSERT_PTR_NULL(vm_alloc(vm, 1));
	CU_ASSERT_EQUAL(vm->heap_bytes, HEAP_BYTES_MAX - HEAP_BYTES_MAX / 8);
}

/* A guest that is killed cannot change why. The monitor's word alone comes before its own reboot. */
static void test_the_first_reason_stands(void)
{
	struct vm *vm = start();

	vm_kill(vm, "broken");
	vm_stop(vm, VM_STOP_REBOOT, "asked");
	vm_destroy(vm);
	CU_ASSERT_EQUAL(vm->stopping, VM_KILLED);
	CU_ASSERT_STRING_EQUAL(vm->stop_reason, "broken");
	CU_ASSERT_EQUAL(kicks, 1);
	vm = start();
	vm_stop(vm, VM_STOP_REBOOT, "asked");
	vm_kill(vm, "later");
	CU_ASSERT_EQUAL(vm->stopping, 1 + VM_STOP_REBOOT);
	vm_destroy(vm);
	CU_ASSERT_EQUAL(vm->stopping, VM_DESTROYED);
}

UNIT_MAIN("vm", UNIT_TEST(test_log_is_limited), UNIT_TEST(test_log_lines_are_cut),
	  UNIT_TEST(test_memory_is_limited), UNIT_TEST(test_the_first_reason_stands))
