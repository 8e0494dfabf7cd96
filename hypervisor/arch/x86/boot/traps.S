/*
 * traps.S - the 256 interrupt gates: each saves the integer registers as a struct trap_frame and
 * calls trap_dispatch() (Intel SDM 3A, 6.14). Gates are 16 bytes apart, which host_cpu.c counts on.
 */

#define HAS_ERROR_CODE(v) \
	((v) == 8 || ((v) >= 10 && (v) <= 14) || (v) == 17 || (v) == 21 || (v) == 29 || (v) == 30)

	.section .text.traps, "ax"
	.code64
	.balign 16
	.globl trap_gates
trap_gates:
	vector = 0
	.rept 256
	.balign 16
	.if HAS_ERROR_CODE(vector)
	/* The CPU has pushed an error code. */
	.else
	pushq $0
	.endif
	pushq $vector
	jmp trap_common
	vector = vector + 1
	.endr

trap_common:
	cld
	pushq %rax
	pushq %rbx
	pushq %rcx
	pushq %rdx
	pushq %rsi
	pushq %rdi
	pushq %rbp
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, %rdi
	call trap_dispatch
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rbp
	popq %rdi
	popq %rsi
	popq %rdx
	popq %rcx
	popq %rbx
	popq %rax
	addq $16, %rsp
	iretq

	.section .note.GNU-stack, "", @progbits
