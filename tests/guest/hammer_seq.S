/*
 * hammer_seq.S - the sequences that hammer.c runs while an interrupt is on its way, each with a row
 * of addresses.
 *
 * A sequence is entered and left with interrupts off. From its start to `open` (exclusive) none may
 * arrive, nor from `hole` to `hole_end`, nor from `close` on. `open` and `hole_end` are the first
 * places where one may.
 *
 * AMD64 APM volume 3, STI and MOV (SS): STI and MOV SS hold interrupts off for one instruction
 * more.
 */
	.macro SEQUENCE name
	.text
	.balign 16
\name\()_start:
	.endm

	/* Eight places for an interrupt to arrive, then off again. */
	.macro OPEN_THEN_CLOSE name
\name\()_open:
	nop
	nop
	nop
	nop
	nop
	nop
	nop
	cli
\name\()_close:
	nop
	ret
\name\()_end:
	.endm

	.macro ROW name, hole, hole_end
	.section .rodata
\name\()_text:
	.asciz "\name"
	.section .hammer_rows, "a"
	.quad \name\()_start, \name\()_open, \hole, \hole_end, \name\()_close, \name\()_end, \name\()_text
	.endm

	.macro STI_THEN name, shadowed:vararg
	SEQUENCE \name
	nop
	nop
	sti
	\shadowed
	OPEN_THEN_CLOSE \name
	ROW \name, 0, 0
	.endm

	.macro MOV_SS_THEN name, shadowed:vararg
	SEQUENCE \name
	movl %ss, %r10d
	sti
	nop
\name\()_open:
	nop
	nop
	movl %r10d, %ss
\name\()_hole:
	\shadowed
\name\()_hole_end:
	nop
	nop
	cli
\name\()_close:
	nop
	ret
\name\()_end:
	ROW \name, \name\()_hole, \name\()_hole_end
	.endm

	.section .hammer_rows, "a"
	.balign 8
	.globl hammer_rows
hammer_rows:

	/* Operands that the shadowed instructions want are set before each call: see hammer_call below. */
	STI_THEN sti_nop, nop
	STI_THEN sti_hlt, hlt
	STI_THEN sti_cpuid, cpuid
	STI_THEN sti_in, inb %dx, %al
	STI_THEN sti_rdmsr, rdmsr
	STI_THEN sti_memory, movl %eax, -64(%rsp)
	MOV_SS_THEN mov_ss_nop, nop
	MOV_SS_THEN mov_ss_cpuid, cpuid
	MOV_SS_THEN mov_ss_in, inb %dx, %al
	MOV_SS_THEN mov_ss_rdmsr, rdmsr

	/* POPF and IRET turn interrupts on with no shadow. */
	SEQUENCE popf
	pushfq
	orq $0x200, (%rsp)
	popfq
	OPEN_THEN_CLOSE popf
	ROW popf, 0, 0

	SEQUENCE iret
	movq %rsp, %r10
	movl %ss, %r11d
	pushq %r11
	pushq %r10
	pushfq
	orq $0x200, (%rsp)
	movl %cs, %r11d
	pushq %r11
	pushq $iret_open
	iretq
	OPEN_THEN_CLOSE iret
	ROW iret, 0, 0

	/* STI and CLI side by side: interrupts are never on. So this goes on to a place where they are. */
	SEQUENCE sti_cli
	.rept 8
	sti
	cli
	.endr
	sti
	nop
	OPEN_THEN_CLOSE sti_cli
	ROW sti_cli, 0, 0

	.section .hammer_rows, "a"
	.quad 0

	/* hammer_call(start): EAX and ECX as CPUID and RDMSR want them, a port that no one has in DX. */
	.text
	.balign 16
	.globl hammer_call
hammer_call:
	pushq %rbx
	movl $0x1b, %eax
	movl $0x1b, %ecx
	movl $0x1234, %edx
	call *%rdi
	popq %rbx
	ret

	.section .note.GNU-stack, "", @progbits
