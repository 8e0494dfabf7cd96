/*
 * boot.S - from whichever loader to guest_main() in long mode, with the first 4 GiB mapped one to one;
 * the way of another CPU from its start-up IPI to ap_main(); and the 256 vectors' entries.
 *
 * One image, three ways in, all to start32 in 32-bit protected mode with paging off: Xen's PVH (EBX =
 * start_info), Multiboot 1 and Multiboot 2 (EAX = its magic, EBX = its information). Multiboot 1, section
 * 3.1; Multiboot 2, section 3.1; Xen's elfnote.h and arch-x86/hvm/start_info.h.
 */
#define CR0_RUN 0x80000011 /* PG, ET, PE */
#define CR4_PAE 0x20
#define MSR_EFER 0xc0000080
#define EFER_LME 0x100
#define CODE64 0x08
#define DATA 0x10
#define TRAMPOLINE 0x8000 /* page 8: the vector of the start-up IPI; cpu.c copies it there */
#define STACK_BYTES 16384
#define CPUS_MAX 64

#define MULTIBOOT1_MAGIC 0x1badb002
#define MULTIBOOT2_MAGIC 0xe85250d6
#define TAG_ENTRY 3
#define TAG_FRAMEBUFFER 5
#define TAG_MODULE_ALIGN 6
#define OPTIONAL 1

/*
 * First in the image. metal.lds has the flags: with flag 16 a loader takes the addresses below and does not look
 * at the ELF header, so that those who know only 32-bit ELF files take this one too.
 */
	.section .multiboot, "a"
	.balign 8
	.globl multiboot1_header
multiboot1_header:
	.long MULTIBOOT1_MAGIC
	.long multiboot1_flags
	.long multiboot1_checksum
	.long multiboot1_header
	.long image_start
	.long data_end
	.long image_end
	.long start32

	.balign 8
multiboot2_header:
	.long MULTIBOOT2_MAGIC
	.long 0 /* i386, protected mode */
	.long multiboot2_end - multiboot2_header
	.long -(MULTIBOOT2_MAGIC + (multiboot2_end - multiboot2_header))
	.balign 8
	.word TAG_ENTRY, 0
	.long 12
	.long start32
	.balign 8
	.word TAG_FRAMEBUFFER, OPTIONAL
	.long 20
	.long 1024, 768, 32
	.balign 8
	.word TAG_MODULE_ALIGN, 0
	.long 8
	.balign 8
	.word 0, 0
	.long 8
multiboot2_end:

	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 4, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long start32

	.section .boot, "ax"
	.code32
	.globl start32
start32:
	cli
	cld
	movl %eax, %esi
	movl $page_tables, %edi
	/* One PML4 entry, four PDPT entries, 2048 pages of 2 MiB; those of the APICs are not cached. */
	leal 0x1003(%edi), %eax
	movl %eax, (%edi)
	leal 0x2003(%edi), %eax
	movl %eax, 0x1000(%edi)
	addl $0x1000, %eax
	movl %eax, 0x1008(%edi)
	addl $0x1000, %eax
	movl %eax, 0x1010(%edi)
	addl $0x1000, %eax
	movl %eax, 0x1018(%edi)
	addl $0x2000, %edi
	movl $0x83, %eax
	movl $2048, %ecx
1:	movl %eax, (%edi)
	addl $8, %edi
	addl $0x200000, %eax
	loop 1b
	orl $0x18, page_tables + 0x2000 + (0xfec00000 >> 21) * 8
	orl $0x18, page_tables + 0x2000 + (0xfee00000 >> 21) * 8

	movl $CR4_PAE, %eax
	movl %eax, %cr4
	movl $page_tables, %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	rdmsr
	orl $EFER_LME, %eax
	wrmsr
	movl $CR0_RUN, %eax
	movl %eax, %cr0
	lgdt gdtr
	ljmp $CODE64, $start64

	.code64
start64:
	movl $DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl $(stacks + STACK_BYTES), %esp
	movl %ebx, %edi
	xorl %ebp, %ebp
	call guest_main
1:	cli
	hlt
	jmp 1b

/* An AP: real mode, CS = TRAMPOLINE >> 4. All CPUs may be in here at once, so there is no stack. */
	.code16
	.globl trampoline, trampoline_end
trampoline:
	cli
	cld
	xorw %ax, %ax
	movw %ax, %ds
	lgdtl trampoline_gdtr - trampoline + TRAMPOLINE
	movl $CR4_PAE, %eax
	movl %eax, %cr4
	movl $page_tables, %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	rdmsr
	orl $EFER_LME, %eax
	wrmsr
	movl $CR0_RUN, %eax
	movl %eax, %cr0
	ljmpl $CODE64, $ap64
	.balign 4
trampoline_gdtr:
	.word gdt_end - gdt - 1
	.long gdt
trampoline_end:

/* The APIC ids of n CPUs are 0 to n - 1: the id finds the stack. */
	.code64
ap64:
	movl $DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl $1, %eax
	cpuid
	shrl $24, %ebx
	cmpl $CPUS_MAX, %ebx
	jae 1f
	movl %ebx, %edi
	leal 1(%rdi), %eax
	imull $STACK_BYTES, %eax, %eax
	leaq stacks(%rax), %rsp
	xorl %ebp, %ebp
	call ap_main
1:	cli
	hlt
	jmp 1b

	.text
	.balign 16
	.globl vector_entries
vector_entries:
	.set vector, 0
	.rept 256
	.balign 16
	.if vector != 8 && (vector < 10 || vector > 14) && vector != 17 && vector != 21 && vector != 29 && vector != 30
	pushq $0
	.endif
	pushq $vector
	jmp vector_common
	.set vector, vector + 1
	.endr

vector_common:
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rbx
	pushq %rbp
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, %rdi
	movq %rsp, %rbx
	andq $-16, %rsp
	cld
	call interrupt_dispatch
	movq %rbx, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rdi
	popq %rsi
	popq %rbp
	popq %rbx
	popq %rdx
	popq %rcx
	popq %rax
	addq $16, %rsp
	iretq

	.section .rodata
	.balign 8
gdt:
	.quad 0
	.quad 0x00af9b000000ffff
	.quad 0x00cf93000000ffff
gdt_end:
gdtr:
	.word gdt_end - gdt - 1
	.long gdt

	.bss
	.balign 4096
page_tables:
	.skip 6 * 4096
	.globl stacks
stacks:
	.skip CPUS_MAX * STACK_BYTES

	.section .note.GNU-stack, "", @progbits
