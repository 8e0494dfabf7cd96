/*
 * header.S - from the boot loader to C: the multiboot2 header and the way into long mode.
 *
 * Follows the Multiboot2 specification, 3.1 (header) and 3.3 (machine state: 32-bit protected mode
 * without paging, EAX the magic, EBX the information). It is the same under BIOS and UEFI, as we do
 * not ask for boot services. The tables made here map the first 4 GiB three ways (as they are, at
 * the direct map's base, and the first GiB at the image's base); host_paging.c replaces them, and
 * the other CPUs pass through them once more.
 */

#define IMAGE_BASE 0xffffffff80000000
#define PHYS(symbol) (symbol - IMAGE_BASE)

#define MB2_HEADER_MAGIC 0xe85250d6
#define MB2_LOADER_MAGIC 0x36d76289

#define COM1 0x3f8

#define PTE_TABLE 0x003		/* present, writable */
#define PTE_LARGE 0x083		/* and a 2 MiB page */

	.section .multiboot, "a"
	.balign 8
header_start:
	.long MB2_HEADER_MAGIC
	.long 0
	.long header_end - header_start
	.long -(MB2_HEADER_MAGIC + 0 + (header_end - header_start))
	/* Modules start on page boundaries. */
	.short 6, 0
	.long 8
	/* No more tags. */
	.short 0, 0
	.long 8
header_end:

	.section .text.boot, "ax"
	.code32
	.globl boot_start
boot_start:
	cli
	cld
	movl %eax, %edi
	movl %ebx, %esi
	movl $PHYS(boot_stack_top), %esp

	movl $PHYS(text_not_multiboot), %ebp
	cmpl $MB2_LOADER_MAGIC, %edi
	jne boot_fail

	movl $PHYS(text_no_long_mode), %ebp
	movl $0x80000000, %eax
	cpuid
	cmpl $0x80000001, %eax
	jb boot_fail
	movl $0x80000001, %eax
	cpuid
	btl $29, %edx
	jnc boot_fail
	movl $PHYS(text_no_nx), %ebp
	btl $20, %edx
	jnc boot_fail

	/* 4 page directories of 2 MiB pages, one after the other. */
	movl $PHYS(boot_directories), %ebx
	movl $PTE_LARGE, %eax
	movl $2048, %ecx
1:	movl %eax, (%ebx)
	addl $0x200000, %eax
	addl $8, %ebx
	decl %ecx
	jnz 1b

	movl $(PHYS(boot_directories) + PTE_TABLE), %eax
	movl %eax, PHYS(boot_pdpt_high) + 510 * 8
	movl %eax, PHYS(boot_pdpt_low)
	addl $0x1000, %eax
	movl %eax, PHYS(boot_pdpt_low) + 8
	addl $0x1000, %eax
	movl %eax, PHYS(boot_pdpt_low) + 16
	addl $0x1000, %eax
	movl %eax, PHYS(boot_pdpt_low) + 24

	movl $(PHYS(boot_pdpt_low) + PTE_TABLE), PHYS(boot_pml4)
	movl $(PHYS(boot_pdpt_low) + PTE_TABLE), PHYS(boot_pml4) + 256 * 8
	movl $(PHYS(boot_pdpt_high) + PTE_TABLE), PHYS(boot_pml4) + 511 * 8

	movl $0x20, %eax		/* CR4.PAE */
	movl %eax, %cr4
	movl $PHYS(boot_pml4), %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx		/* EFER: LME, NXE */
	rdmsr
	orl $0x900, %eax
	wrmsr
	movl $0x80010033, %eax		/* CR0: PG, WP, NE, ET, MP, PE */
	movl %eax, %cr0

	lgdtl PHYS(boot_gdt_pointer)
	ljmpl $0x08, $PHYS(boot_long)

/* EBP: a text that ends with NUL. Sends it to COM1, 115200 8N1, and halts. */
boot_fail:
	movw $(COM1 + 3), %dx
	movb $0x83, %al
	outb %al, %dx
	movw $COM1, %dx
	movb $1, %al
	outb %al, %dx
	movw $(COM1 + 1), %dx
	xorb %al, %al
	outb %al, %dx
	movw $(COM1 + 3), %dx
	movb $0x03, %al
	outb %al, %dx
	movw $(COM1 + 1), %dx
	xorb %al, %al
	outb %al, %dx
2:	movl $1000000, %ecx		/* a missing UART must not hold us */
	movw $(COM1 + 5), %dx
3:	inb %dx, %al
	testb $0x20, %al
	jnz 4f
	decl %ecx
	jnz 3b
4:	movb (%ebp), %al
	testb %al, %al
	jz 5f
	movw $COM1, %dx
	outb %al, %dx
	incl %ebp
	jmp 2b
5:	cli
	hlt
	jmp 5b

	.code64
boot_long:
	movq $boot_high, %rax
	jmp *%rax
boot_high:
	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movq $boot_stack_top, %rsp
	xorl %ebp, %ebp
	movl %esi, %esi
	movq %rsi, %rdi			/* the information's physical address */
	call host_boot_enter
	ud2

/* void boot_switch_stack(uint64_t top, void (*go_on)(void)): goes on there, never to return. */
	.globl boot_switch_stack
boot_switch_stack:
	movq %rdi, %rsp
	xorl %ebp, %ebp
	call *%rsi
	ud2

	.section .rodata.boot, "a"
text_not_multiboot:
	.asciz "Janus: not started by a multiboot2 loader (use GRUB's multiboot2 command)\r\n"
text_no_long_mode:
	.asciz "Janus: this CPU has no 64-bit mode\r\n"
text_no_nx:
	.asciz "Janus: this CPU has no execute-disable, or the firmware hides it\r\n"

	.balign 8
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff	/* 08: 64-bit code */
	.quad 0x00cf93000000ffff	/* 10: data */
boot_gdt_pointer:
	.short 23
	.long PHYS(boot_gdt)

	.section .bss, "aw", @nobits
	.balign 4096
	.globl boot_pml4
boot_pml4:
	.skip 4096
boot_pdpt_low:
	.skip 4096
boot_pdpt_high:
	.skip 4096
boot_directories:
	.skip 4 * 4096
boot_stack:
	.skip 16384
boot_stack_top:

	.section .note.GNU-stack, "", @progbits
