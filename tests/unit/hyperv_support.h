/*
 * hyperv_support.h - a guest with the Hyper-V face, and what it does: MSRs, leaves, hypercalls.
 */
#ifndef TESTS_UNIT_HYPERV_SUPPORT_H
#define TESTS_UNIT_HYPERV_SUPPORT_H

#include <string.h>

#include "abi/hyperv.h"
#include "backend/clock.h"
#include "base/lock.h"
#include "enlighten/hyperv/hyperv.h"
#include "synic/synic.h"
#include "tests/host/host.h"
#include "tests/unit/unit.h"

#define OVERLAY_ON 1ull

static inline struct vm *hyperv_guest(uint32_t vcpu_count)
{
	struct host_vm_config config = {.vm = {.vcpu_count = vcpu_count, .hyperv_face = true}};
	struct vm *vm = host_vm_new(&config);

	CU_ASSERT_FATAL(hyperv_face.create(vm));
	return vm;
}

static inline void hyperv_guest_free(struct vm *vm)
{
	hyperv_face.teardown(vm);
	CU_ASSERT(host_vm_check_no_leaks(vm));
	host_vm_free(vm);
}

/* Fails the test if it faults. */
static inline uint64_t rd(struct vcpu *vcpu, uint32_t msr)
{
	uint64_t value = 0xDEADull << 48;

	CU_ASSERT_EQUAL(hyperv_face.msr_read(vcpu, msr, &value), FACE_MSR_OK);
	return value;
}

static inline void wr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	CU_ASSERT_EQUAL(hyperv_face.msr_write(vcpu, msr, value), FACE_MSR_OK);
}

static inline bool rd_faults(struct vcpu *vcpu, uint32_t msr)
{
	uint64_t value;

	return hyperv_face.msr_read(vcpu, msr, &value) == FACE_MSR_GP;
}

static inline bool wr_faults(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	return hyperv_face.msr_write(vcpu, msr, value) == FACE_MSR_GP;
}

/* A 64-bit hypercall: the whole result. */
static inline uint64_t call64(struct vcpu *vcpu, uint64_t input, uint64_t first, uint64_t second)
{
	struct cpu_regs *regs = vcpu_regs(vcpu);

	regs->gpr[REG_RAX] = 0x5555555555555555;
	regs->gpr[REG_RCX] = input;
	regs->gpr[REG_RDX] = first;
	regs->gpr[REG_R8] = second;
	CU_ASSERT_EQUAL(hyperv_face.hypercall(vcpu), FACE_CALL_DONE);
	CU_ASSERT_EQUAL(regs->gpr[REG_RCX], input);
	CU_ASSERT_EQUAL(regs->gpr[REG_RDX], first);
	CU_ASSERT_EQUAL(regs->gpr[REG_R8], second);
	return regs->gpr[REG_RAX];
}

#define FAST HV_HYPERCALL_FAST_BIT
#define REPS(n) ((uint64_t)(n) << HV_HYPERCALL_REP_COMP_OFFSET)
#define REP_START(n) ((uint64_t)(n) << HV_HYPERCALL_REP_START_OFFSET)
#define BANKS(n) ((uint64_t)(n) << HV_HYPERCALL_VARHEAD_OFFSET)

/* As Linux sets it up: pages, SINT 2 on @vector, SynIC on. */
static inline void synic_up(struct vcpu *vcpu, uint64_t simp, uint64_t siefp, uint8_t vector)
{
	wr(vcpu, HV_X64_MSR_SIMP, simp | OVERLAY_ON);
	wr(vcpu, HV_X64_MSR_SIEFP, siefp | OVERLAY_ON);
	wr(vcpu, HV_X64_MSR_SINT2, vector);
	wr(vcpu, HV_X64_MSR_SCONTROL, 1);
}

static inline struct hv_message *slot_at(struct vm *vm, uint64_t simp, uint32_t sint)
{
	return host_vm_bytes(vm, simp + sint * HV_MESSAGE_SIZE, HV_MESSAGE_SIZE);
}

/*
 * As a guest empties a slot: the type, then the flag, then EOM if it is set. True if it wrote EOM.
 */
static inline bool slot_done(struct vcpu *vcpu, struct hv_message *slot)
{
	bool more;

	slot->header.message_type = HVMSG_NONE;
	more = (slot->header.message_flags & HV_MESSAGE_FLAG_PENDING) != 0;
	if (more) {
		wr(vcpu, HV_X64_MSR_EOM, 0);
	}
	return more;
}

#endif /* TESTS_UNIT_HYPERV_SUPPORT_H */
