/*
 * entry.S - into the guest and back (AMD64 APM volume 2, 15.5): the only code that runs with GIF clear.
 *
 * void svm_enter(struct cpu_regs *regs, uint64_t vmcb_pa, uint64_t host_vmcb_pa)
 *
 * All general registers but RAX and RSP are swapped here, these two by VMRUN itself. VMLOAD and VMSAVE
 * swap FS, GS, TR, LDTR and the system-call MSRs; the host's are loaded again before GIF is set, as
 * its handlers need GS. IF is 1 at VMRUN so that host interrupts end the guest's run.
 */
	.section .text
	.globl svm_enter
	.type svm_enter, @function
svm_enter:
	push %rbp
	push %rbx
	push %r12
	push %r13
	push %r14
	push %r15
	push %rdx		/* host_vmcb_pa */
	push %rdi		/* regs */
	mov %rsi, %rax
	clgi
	sti
	vmload %rax
	mov 0x08(%rdi), %rcx
	mov 0x10(%rdi), %rdx
	mov 0x18(%rdi), %rbx
	mov 0x28(%rdi), %rbp
	mov 0x30(%rdi), %rsi
	mov 0x40(%rdi), %r8
	mov 0x48(%rdi), %r9
	mov 0x50(%rdi), %r10
	mov 0x58(%rdi), %r11
	mov 0x60(%rdi), %r12
	mov 0x68(%rdi), %r13
	mov 0x70(%rdi), %r14
	mov 0x78(%rdi), %r15
	mov 0x38(%rdi), %rdi
	vmrun %rax
	vmsave %rax
	push %rdi
	mov 0x8(%rsp), %rdi	/* regs */
	mov %rcx, 0x08(%rdi)
	mov %rdx, 0x10(%rdi)
	mov %rbx, 0x18(%rdi)
	mov %rbp, 0x28(%rdi)
	mov %rsi, 0x30(%rdi)
	pop %rcx
	mov %rcx, 0x38(%rdi)
	mov %r8, 0x40(%rdi)
	mov %r9, 0x48(%rdi)
	mov %r10, 0x50(%rdi)
	mov %r11, 0x58(%rdi)
	mov %r12, 0x60(%rdi)
	mov %r13, 0x68(%rdi)
	mov %r14, 0x70(%rdi)
	mov %r15, 0x78(%rdi)
	pop %rdi
	pop %rax		/* host_vmcb_pa */
	vmload %rax
	cli
	stgi
	/* Nothing of the guest's stays in registers that the compiler may spill or speculate on. */
	xor %ecx, %ecx
	xor %edx, %edx
	xor %esi, %esi
	xor %edi, %edi
	xor %r8d, %r8d
	xor %r9d, %r9d
	xor %r10d, %r10d
	xor %r11d, %r11d
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbx
	pop %rbp
	ret
	.size svm_enter, . - svm_enter

	.section .note.GNU-stack, "", @progbits
