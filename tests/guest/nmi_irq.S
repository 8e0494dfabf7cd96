/*
 * nmi_irq.S - the NMI's handler: the registers of a C function's caller are kept, and one IRET ends it.
 */
	.text
	.balign 16
	.globl nmi_entry
nmi_entry:
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	cld
	call nmi_taken
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rdi
	popq %rsi
	popq %rdx
	popq %rcx
	popq %rax
	iretq

	.section .note.GNU-stack, "", @progbits
