/*
 * entry.S - into the guest and back (AMD64 APM volume 2, 15.5): the only code that runs with GIF clear.
 *
 * void svm_enter(struct cpu_regs *regs, uint64_t vmcb_pa, uint64_t host_vmcb_pa)
 *
 * All general registers but RAX and RSP are swapped here, these two by VMRUN itself. VMLOAD and VMSAVE
 * swap FS, GS, TR, LDTR and the system-call MSRs; the host's are loaded again before GIF is set, as
 * its handlers need GS. IF is 1 at VMRUN so that host interrupts end the guest's run.
 */
#include "hypervisor/arch/x86/guest_regs.S"

	.section .text
	.globl svm_enter
	.type svm_enter, @function
svm_enter:
	host_registers_push
	push %rdx		/* host_vmcb_pa */
	push %rdi		/* regs */
	mov %rsi, %rax
	clgi
	sti
	vmload %rax
	guest_registers_load
	vmrun %rax
	vmsave %rax
	guest_registers_store
	pop %rdi
	pop %rax		/* host_vmcb_pa */
	vmload %rax
	cli
	stgi
	guest_registers_clear
	host_registers_pop
	ret
	.size svm_enter, . - svm_enter

	.section .note.GNU-stack, "", @progbits
