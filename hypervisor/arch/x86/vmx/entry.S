/*
 * entry.S - into the guest and back (Intel SDM 3C, 26 and 27).
 *
 * bool vmx_enter(struct cpu_regs *regs, bool launched)
 *
 * All general registers but RSP are swapped here, that one by the CPU. The exit comes back at vmx_exit with the host's
 * RSP, RIP, GS and descriptor tables and interrupts off. False if VMLAUNCH or VMRESUME failed before it began.
 */
#define VMCS_HOST_RSP 0x6c14

#include "hypervisor/arch/x86/guest_regs.S"

	.section .text
	.globl vmx_enter
	.type vmx_enter, @function
vmx_enter:
	host_registers_push
	push %rdi		/* regs */
	mov $VMCS_HOST_RSP, %eax
	vmwrite %rsp, %rax
	test %sil, %sil
	mov 0x00(%rdi), %rax
	guest_registers_load
	jnz 1f
	vmlaunch
	jmp 2f
1:	vmresume
2:	pop %rdi		/* it did not begin: the registers are as they were */
	xor %eax, %eax
	jmp 3f

	.globl vmx_exit
vmx_exit:
	guest_registers_store
	mov %rax, 0x00(%rdi)
	pop %rdi
	mov $1, %eax
3:
	guest_registers_clear
	host_registers_pop
	ret
	.size vmx_enter, . - vmx_enter

	.section .note.GNU-stack, "", @progbits
