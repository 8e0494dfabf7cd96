/*
 * metal_bench_irq.S - the self-IPI's handler: notes the TSC before anything else.
 */
	.text
	.balign 16
	.globl bench_irq_entry
bench_irq_entry:
	pushq %rax
	pushq %rdx
	rdtsc
	shlq $32, %rdx
	orq %rdx, %rax
	movq %rax, bench_irq_tsc
	movq bench_irq_lower, %rdx
	movb $0, (%rdx)
	popq %rdx
	popq %rax
	iretq

	.section .note.GNU-stack, "", @progbits
