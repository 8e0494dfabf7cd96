/*
 * xen_guest.h - a hosted guest that makes Xen hypercalls, for the tests of enlighten/xen.
 *
 * Linear addresses are physical. ARGS is where a test puts a call's structure, DATA where its lists go.
 */
#ifndef TESTS_UNIT_XEN_GUEST_H
#define TESTS_UNIT_XEN_GUEST_H

#include <string.h>

#include "abi/xen.h"
#include "backend/clock.h"
#include "base/bits.h"
#include "enlighten/xen/evtchn.h"
#include "enlighten/xen/gnttab.h"
#include "enlighten/xen/xen.h"
#include "tests/host/host.h"
#include "tests/unit/unit.h"

#define GUEST_ARGS 0x10000ull
#define GUEST_DATA 0x20000ull
#define GUEST_MEMORY (4ull << 20)
#define GUEST_SHARED_GFN 0x300ull /* RAM */
#define GUEST_GRANT_GFN 0x800ull /* above RAM */
#define GUEST_DOMID 7u
#define GUEST_AGAIN_MAX 10000u

static uint32_t guest_again_count; /* preemptions of the last call */

static inline struct vm *guest_new_with(uint32_t vcpu_count, bool hyperv, bool stable)
{
	static struct clock clock;
	struct host_vm_config config = {
	        .vm = {.id = GUEST_DOMID,
	               .vcpu_count = vcpu_count,
	               .memory_bytes = GUEST_MEMORY,
	               .xen_face = true,
	               .hyperv_face = hyperv,
	               .uuid = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
	               .clock = &clock},
	        .memory_max_bytes = GUEST_MEMORY + (1u << 20),
	        .gfn_count = 0x1000,
	};
	struct vm *vm;

	clock_init(&clock, 2000000000u, stable, 5000000001234567890ull);
	vm = host_vm_new(&config);
	CU_ASSERT_TRUE_FATAL(xen_face.create(vm));
	return vm;
}

static inline struct vm *guest_new(uint32_t vcpu_count)
{
	return guest_new_with(vcpu_count, false, true);
}

static inline void guest_free(struct vm *vm)
{
	xen_face.teardown(vm);
	CU_ASSERT_TRUE(host_vm_check_no_leaks(vm));
	host_vm_free(vm);
}

static inline void guest_set_narrow(struct vm *vm, uint32_t vcpu, bool narrow)
{
	struct vcpu_mode mode = {.protected_mode = true, .long_mode = !narrow, .code64 = !narrow};

	host_vcpu_set_mode(vm_vcpu(vm, vcpu), mode);
}

/* One hypercall by vCPU @id, run again as often as it is preempted. */
static inline int64_t guest_call_on(struct vm *vm, uint32_t id, uint64_t number, uint64_t a, uint64_t b,
                                    uint64_t c)
{
	struct vcpu *vcpu = vm_vcpu(vm, id);
	struct cpu_regs *regs = vcpu_regs(vcpu);
	bool narrow = !vcpu_mode(vcpu).code64;
	enum face_call done;

	regs->gpr[REG_RAX] = number;
	regs->gpr[narrow ? REG_RBX : REG_RDI] = a;
	regs->gpr[narrow ? REG_RCX : REG_RSI] = b;
	regs->gpr[REG_RDX] = c;
	guest_again_count = 0;
	for (;;) {
		done = xen_face.hypercall(vcpu);
		if (done != FACE_CALL_AGAIN) {
			break;
		}
		CU_ASSERT_EQUAL(regs->gpr[REG_RAX], number);
		CU_ASSERT_TRUE_FATAL(++guest_again_count < GUEST_AGAIN_MAX);
	}
	CU_ASSERT_EQUAL(done, FACE_CALL_DONE);
	if (narrow) {
		CU_ASSERT_EQUAL(regs->gpr[REG_RAX] >> 32, 0);
		return (int32_t)regs->gpr[REG_RAX];
	}
	return (int64_t)regs->gpr[REG_RAX];
}

static inline void guest_put(struct vm *vm, uint64_t to, const void *from, size_t len)
{
	CU_ASSERT_EQUAL(vm_write(vm, gpa(to), from, len), VM_OK);
}

static inline void guest_get(struct vm *vm, uint64_t from, void *to, size_t len)
{
	CU_ASSERT_EQUAL(vm_read(vm, gpa(from), to, len), VM_OK);
}

static inline uint32_t guest_get32(struct vm *vm, uint64_t from)
{
	uint32_t value = 0;

	guest_get(vm, from, &value, sizeof(value));
	return value;
}

static inline uint64_t guest_get64(struct vm *vm, uint64_t from)
{
	uint64_t value = 0;

	guest_get(vm, from, &value, sizeof(value));
	return value;
}

static inline uint8_t guest_get8(struct vm *vm, uint64_t from)
{
	uint8_t value = 0;

	guest_get(vm, from, &value, sizeof(value));
	return value;
}

static inline void guest_put32(struct vm *vm, uint64_t to, uint32_t value)
{
	guest_put(vm, to, &value, sizeof(value));
}

static inline void guest_put64(struct vm *vm, uint64_t to, uint64_t value)
{
	guest_put(vm, to, &value, sizeof(value));
}

/* A call number(op, &argument), the structure at GUEST_ARGS and back. */
static inline int64_t guest_op_on(struct vm *vm, uint32_t id, uint64_t number, uint64_t op, void *argument,
                                  size_t len)
{
	int64_t result;

	guest_put(vm, GUEST_ARGS, argument, len);
	result = guest_call_on(vm, id, number, op, GUEST_ARGS, 0);
	guest_get(vm, GUEST_ARGS, argument, len);
	return result;
}

#define GUEST_OP(vm, name, op, arg) guest_op_on((vm), 0, __HYPERVISOR_##name, (op), &(arg), sizeof(arg))

/* vcpu_op by vCPU 0, or by @self, on @id. */
static inline int64_t guest_vcpu_op(struct vm *vm, uint32_t self, uint64_t op, uint64_t id,
                                    const void *argument, size_t len)
{
	if (argument != NULL) {
		guest_put(vm, GUEST_ARGS, argument, len);
	}
	return guest_call_on(vm, self, __HYPERVISOR_vcpu_op, op, id, argument != NULL ? GUEST_ARGS : 0);
}

static inline int64_t guest_add_to_physmap(struct vm *vm, uint32_t space, uint64_t idx, uint64_t gpfn)
{
	struct xen_add_to_physmap64 arg = {DOMID_SELF, 0, space, idx, gpfn};

	return GUEST_OP(vm, memory_op, XENMEM_add_to_physmap, arg);
}

/* Shows the shared info and returns its address. */
static inline uint64_t guest_map_shared(struct vm *vm)
{
	CU_ASSERT_EQUAL(guest_add_to_physmap(vm, XENMAPSPACE_shared_info, 0, GUEST_SHARED_GFN), 0);
	return GUEST_SHARED_GFN << 12;
}

/* Shows the first grant frame and returns its address. */
static inline uint64_t guest_map_grants(struct vm *vm)
{
	CU_ASSERT_EQUAL(guest_add_to_physmap(vm, XENMAPSPACE_grant_table, 0, GUEST_GRANT_GFN), 0);
	return GUEST_GRANT_GFN << 12;
}

/* Entry @ref of a table mapped at GUEST_GRANT_GFN. */
static inline uint64_t guest_grant_at(uint32_t ref)
{
	return (GUEST_GRANT_GFN << 12) + ref * sizeof(struct xen_grant_entry_v1);
}

static inline void guest_grant(struct vm *vm, uint32_t ref, uint16_t flags, uint16_t domid, uint32_t frame)
{
	struct xen_grant_entry_v1 entry = {flags, domid, frame};

	guest_put(vm, guest_grant_at(ref), &entry, sizeof(entry));
}

static inline uint16_t guest_grant_flags(struct vm *vm, uint32_t ref)
{
	return (uint16_t)guest_get32(vm, guest_grant_at(ref));
}

#endif /* TESTS_UNIT_XEN_GUEST_H */
