/*
 * trampoline.S - from a startup IPI to C, for every CPU but the first (Intel SDM 3A, 9.4.4).
 *
 * host_smp.c copies trampoline_start..trampoline_end to a page below 1 MiB and writes that page's
 * address into the three pointers that need it. Nothing else in here depends on where it lies.
 */

#define IMAGE_BASE 0xffffffff80000000
#define PHYS(symbol) (symbol - IMAGE_BASE)
#define HERE(symbol) (symbol - trampoline_start)

	.section .rodata.trampoline, "a"
	.balign 16
	.globl trampoline_start
	.code16
trampoline_start:
	cli
	cld
	movw %cs, %ax
	movw %ax, %ds
	movzwl %ax, %ebx
	shll $4, %ebx
	lgdtl HERE(trampoline_gdt_pointer)
	movl $0x11, %eax		/* CR0: ET, PE; caches on */
	movl %eax, %cr0
	ljmpl *HERE(trampoline_jump_32)

	.code32
trampoline_32:
	movw $0x10, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl $0x20, %eax
	movl %eax, %cr4
	movl $PHYS(boot_pml4), %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx
	rdmsr
	orl $0x900, %eax
	wrmsr
	movl $0x80010033, %eax
	movl %eax, %cr0
	ljmpl *HERE(trampoline_jump_64)(%ebx)

	.code64
trampoline_64:
	movq $trampoline_high, %rax
	jmp *%rax

	.balign 8
trampoline_gdt:
	.quad 0
	.quad 0x00af9b000000ffff	/* 08: 64-bit code */
	.quad 0x00cf93000000ffff	/* 10: data */
	.quad 0x00cf9b000000ffff	/* 18: 32-bit code */
	.globl trampoline_gdt_pointer
trampoline_gdt_pointer:
	.short 31
	.long HERE(trampoline_gdt)	/* the page is added to this and to the next two */
	.globl trampoline_jump_32
trampoline_jump_32:
	.long HERE(trampoline_32)
	.short 0x18
	.globl trampoline_jump_64
trampoline_jump_64:
	.long HERE(trampoline_64)
	.short 0x08
	.globl trampoline_end
trampoline_end:

	/* In the image: the final page tables, which do not show the trampoline, then our stack. */
	.section .text.boot, "ax"
	.code64
trampoline_high:
	movq smp_trampoline_cr3(%rip), %rax
	movq %rax, %cr3
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movq smp_trampoline_stack(%rip), %rsp
	xorl %ebp, %ebp
	call smp_enter
	ud2

	.section .note.GNU-stack, "", @progbits
