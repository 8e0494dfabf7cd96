/*
 * face.h - what core calls of a face: the seam up.
 *
 * enlighten/personality.c holds the one instance that core uses; it asks the faces that the guest has. All
 * of it runs on an exit of the vCPU named, on that vCPU's CPU, with no lock held, unless said otherwise.
 */
#ifndef VM_FACE_H
#define VM_FACE_H

#include "base/cpuid.h"
#include "vm/vm.h"

enum face_msr {
	FACE_MSR_OK,
	FACE_MSR_GP, /* mine, and this access faults */
	FACE_MSR_ABSENT, /* not mine: core looks further, in the end #GP */
};

enum face_call {
	FACE_CALL_DONE, /* result is in the registers: step over the instruction */
	FACE_CALL_AGAIN, /* registers hold where to go on: interrupts may be taken, then it runs again */
	FACE_CALL_UD, /* no interface here, or not from this mode: #UD */
	FACE_CALL_STAY, /* the vCPU's state was replaced or the guest ended: step over nothing */
};

/* What a guest holds of what a face hands out: for the monitor, and to see that nothing is left behind. */
struct face_counts {
	uint32_t ports; /* event channels in use; connections that it may post to or signal */
	uint32_t grants; /* references that backends hold */
	uint32_t buffers; /* GPADLs */
	uint32_t channels; /* devices whose rings are served */
};

struct face {
	/* Before the guest's first run: allocates what the face needs (VM_SLOT_*). False: out of quota, no start. */
	bool (*create)(struct vm *vm);
	/* The machine was reset, no vCPU runs: back to the state after create. False as for create. */
	bool (*reset)(struct vm *vm);
	/* The guest is gone, no vCPU runs: releases everything. */
	void (*teardown)(struct vm *vm);

	/* True if the leaf is the face's; asked for 0x40000000 to 0x4FFFFFFF only. */
	bool (*cpuid)(struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out);
	/* Asked for 0x40000000 to 0x4000FFFF only. */
	enum face_msr (*msr_read)(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
	enum face_msr (*msr_write)(struct vcpu *vcpu, uint32_t msr, uint64_t value);
	/* VMMCALL or VMCALL, from any mode and privilege. */
	enum face_call (*hypercall)(struct vcpu *vcpu);

	/*
	 * A vector to inject now past the local APIC (Xen's callback vector), or -1. Asked before each
	 * entry at which the guest could take an interrupt.
	 */
	int (*upcall)(struct vcpu *vcpu);
	/* The local APIC was software-enabled. */
	void (*lapic_enabled)(struct vcpu *vcpu);
	/* The guest ended an interrupt of its local APIC. */
	void (*eoi)(struct vcpu *vcpu, uint8_t vector);
	/* @vcpu's runstate has changed: it is about to run, or has just stopped. */
	void (*scheduled)(struct vcpu *vcpu);
	/* INIT: what the architecture resets with a processor. */
	void (*vcpu_reset)(struct vcpu *vcpu);

	/*
	 * Adds to @counts what @vm holds now. Any CPU, no lock held, while vCPUs may run; between create and teardown.
	 * NULL: the face counts nothing.
	 */
	void (*count)(struct vm *vm, struct face_counts *counts);
};

extern const struct face personality;

#endif /* VM_FACE_H */
