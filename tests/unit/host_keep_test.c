/*
 * host_keep_test.c - a hosted guest that is brought back as it was (host_snapshot_*() of tests/host/host.h).
 */
#include <string.h>

#include "tests/host/host.h"
#include "tests/host/host_asan.h"
#include "tests/unit/unit.h"

#define OVERLAY_AT 0x5000u

/* What a face might hold. */
static struct face {
	struct vm *vm;
	uint64_t *block;
	struct vm_page *page, *pinned;
	struct vm_timer timer;
	struct vm_work work;
	uint32_t steps, expiries;
} face;

static bool step(struct vm_work *work)
{
	(void)work;
	face.steps++;
	return false;
}

static void expired(struct vm_timer *timer)
{
	(void)timer;
	face.expiries++;
}

static void face_create(void)
{
	face.block = vm_alloc(face.vm, 40000);
	face.block[0] = 7;
	face.page = vm_page_alloc(face.vm);
	CU_ASSERT(vm_page_show(face.vm, face.page, gpa(OVERLAY_AT), VM_ACCESS_READ | VM_ACCESS_WRITE) == VM_OK);
	vm_page_store32(face.page, 8, 0x1234);
	face.pinned = vm_page_pin(face.vm, gpa(0x3000));
	vm_page_store32(face.pinned, 4, 99);
	vm_timer_init(&face.timer, vm_vcpu(face.vm, 0), expired);
	vm_timer_arm(&face.timer, 1000);
	vm_work_init(&face.work, face.vm, step);
	vm_work_queue(&face.work);
}

static void face_teardown(void)
{
	vm_free(face.vm, face.block);
	vm_page_free(face.vm, face.page);
	vm_page_unpin(face.vm, face.pinned);
	vm_timer_disarm(&face.timer);
	vm_work_cancel(&face.work);
}

static void check_as_made(void)
{
	uint32_t there = 0;

	CU_ASSERT(face.block[0] == 7 && face.block[4999] == 0);
	CU_ASSERT(vm_page_load32(face.page, 8) == 0x1234);
	CU_ASSERT(vm_read(face.vm, gpa(OVERLAY_AT + 8), &there, 4) == VM_OK && there == 0x1234);
	CU_ASSERT(vm_read(face.vm, gpa(0x3004), &there, 4) == VM_OK && there == 99);
	CU_ASSERT(vm_read(face.vm, gpa(0x7000), &there, 4) == VM_OK && there == 0);
	CU_ASSERT(host_page_pin_count(face.vm, 0x3000) == 1 && vm_time_ns(face.vm) == 0);
	CU_ASSERT(host_vcpu_take_vector(vm_vcpu(face.vm, 0)) == -1);
}

/* Changes all there is to change, and balloons. */
static void live(void)
{
	uint32_t word = 5;

	face.block[0] = face.block[4999] = 1;
	vm_page_store32(face.page, 8, 1);
	CU_ASSERT(vm_write(face.vm, gpa(0x3004), &word, 4) == VM_OK);
	CU_ASSERT(vm_write(face.vm, gpa(0x7000), &word, 4) == VM_OK);
	vcpu_post_vector(vm_vcpu(face.vm, 0), 0x30);
	host_time_advance_ns(face.vm, 5000);
	CU_ASSERT(host_run_work(face.vm) == 1);
	CU_ASSERT(face.expiries == 1 && face.steps == 1);
	CU_ASSERT(vm_ram_take(face.vm, gpa(0x9000)) == VM_OK && vm_ram_take(face.vm, gpa(0xA000)) == VM_OK);
	CU_ASSERT(vm_ram_give(face.vm, gpa(0x9000)) == VM_OK);
	CU_ASSERT(vm_ram_take(face.vm, gpa(0x3000)) == VM_OK && vm_ram_give(face.vm, gpa(0x3000)) == VM_OK);
}

static void test_restore(void)
{
	struct host_snapshot *shot;

	face = (struct face){.vm = host_vm_new(NULL)};
	face_create();
	shot = host_snapshot_take(face.vm);
	host_snapshot_add(shot, &face, sizeof(face));
	for (uint32_t i = 0; i < 3; i++) {
		check_as_made();
		live();
		face_teardown();
		host_vm_reset(face.vm);
		CU_ASSERT(vm_is_ram(face.vm, gpa(0xA000)) && vm_ram_pages(face.vm) == 256);
		host_snapshot_restore(shot);
	}
	check_as_made();
	face_teardown();
	host_vm_reset(face.vm);
	host_snapshot_free(shot);
	host_vm_free(face.vm);
}

/* What was given back is poisoned, and is not given to the next who asks. */
static void test_poison(void)
{
	struct vm *vm = host_vm_new(NULL);
	uint8_t *kept = vm_alloc(vm, 100), *late[20];
	struct host_snapshot *shot = host_snapshot_take(vm);

	for (uint32_t i = 0; i < ARRAY_COUNT(late); i++) {
		late[i] = vm_alloc(vm, 100);
		memset(late[i], 0xFF, 100);
	}
	CU_ASSERT(!host_is_poisoned(kept + 99, false) && host_is_poisoned(kept + 100, true));
	vm_free(vm, kept);
	vm_free(vm, late[0]);
	CU_ASSERT(host_is_poisoned(kept, true) && host_is_poisoned(late[0] + 99, true));
	late[0] = vm_alloc(vm, 100);
	CU_ASSERT(late[0] != kept && late[0][0] == 0);
	for (uint32_t i = 0; i < ARRAY_COUNT(late); i++) {
		vm_free(vm, late[i]);
	}
	late[0] = vm_alloc(vm, 100); /* an old one by now */
	CU_ASSERT(late[0] != kept && late[0][0] == 0 && late[0][99] == 0);
	CU_ASSERT(!host_is_poisoned(late[0] + 99, false) && host_is_poisoned(late[0] + 100, true));
	vm_free(vm, late[0]);
	host_vm_reset(vm);
	host_snapshot_restore(shot);
	CU_ASSERT(!host_is_poisoned(kept + 99, false) && host_is_poisoned(kept + 100, true));
	vm_free(vm, kept);
	host_vm_reset(vm);
	host_snapshot_free(shot);
	host_vm_free(vm);
}

static void restore_held(void *shot)
{
	host_snapshot_restore(shot);
}

static void test_refused(void)
{
	struct vm *vm = host_vm_new(NULL);
	struct host_snapshot *shot = host_snapshot_take(vm);
	void *held = vm_alloc(vm, 8);

	CU_ASSERT(host_panics(restore_held, shot));
	vm_free(vm, held);
	host_vm_reset(vm);
	host_snapshot_free(shot);
	host_vm_free(vm);
}

UNIT_MAIN("host_keep", UNIT_TEST(test_restore), UNIT_TEST(test_poison), UNIT_TEST(test_refused))
