/*
 * hostile_try.S - a call that an exception may end, and the way into other modes.
 */
	.text
	.globl try_call, try_out
/* int try_call(void (*code)(void *), void *argument) */
try_call:
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %gs:0, %rax
	movq %rsp, try_stack(,%rax,8)
	movq %rdi, %rax
	movq %rsi, %rdi
	subq $8, %rsp
	call *%rax
	addq $8, %rsp
	movl $-1, %eax
/* From the handler: RSP as it was kept, EAX the vector. */
try_out:
	movq %gs:0, %rcx
	movq $0, try_stack(,%rcx,8)
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	ret

/* void mode_enter(void *regs): never returns; struct registers. */
	.globl mode_enter
mode_enter:
	pushq 32(%rdi)
	pushq 24(%rdi)
	pushq 16(%rdi)
	pushq 8(%rdi)
	pushq (%rdi)
	movq 40(%rdi), %rax
	movq 48(%rdi), %rbx
	movq 56(%rdi), %rcx
	movq 64(%rdi), %rdx
	movq 72(%rdi), %rsi
	movq 88(%rdi), %r8
	movq 96(%rdi), %r10
	movq 80(%rdi), %rdi
	iretq

/* The same bytes in every mode. */
	.globl call_code, call_code_end
call_code:
661:	vmmcall
call_code_end:
	ud2
	.pushsection .call_site, "a"
	.quad 661b
	.popsection

	.bss
	.balign 8
	.globl try_stack
try_stack:
	.skip 64 * 8

	.section .note.GNU-stack, "", @progbits
