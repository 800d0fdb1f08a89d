/* entry.S: where control enters and leaves the stub. See shared.h for the slot's layout. */
#include "platform/systrap/stub/shared.h"

#define SYS_mmap 9
#define SYS_close 3
#define SYS_dup2 33
#define SYS_clone 56
#define SYS_exit 60
#define SYS_sigreturn 15
#define SYS_sigprocmask 14
#define SYS_sigaltstack 131
#define SYS_getppid 110
#define SYS_prctl 157
#define SYS_arch_prctl 158
#define SYS_futex 202
#define SYS_exit_group 231

	.section .text.header, "ax"
	.globl	stub_header
stub_header:
	.quad	0x62757473786273
	.quad	stub_text_end
	.quad	stub_on_signal
	.quad	stub_restorer
	.quad	stub_start
	.quad	stub_syscall_entry

	.text

	/* The kernel calls stub_on_signal (C) as a handler; it returns here. */
	.globl	stub_restorer
stub_restorer:
	mov	$SYS_sigreturn, %eax
	syscall
	ud2

	/* From a trampoline: rcx = address after the call, r11 free, the rest the guest's. Up to stub_quick_end
	 * a kick is taken as if the call had not been made yet. */
	.globl	stub_syscall_entry
stub_syscall_entry:
	mov	%rsp, %gs:R_RSP
	mov	%gs:SLOT_STACK, %rsp
	pushfq
	pop	%r11
	.globl	stub_quick_flags
stub_quick_flags:			/* the flags are in r11 */
	mov	%rax, %gs:R_RAX
	.globl	stub_quick_number
stub_quick_number:			/* the number is in the slot */
	cmp	$QUICK_CALLS, %rax
	jae	1f
	mov	%gs:SLOT_QUICK(,%rax,4), %eax
	sub	$1, %eax
	jc	1f
	incq	%gs:SLOT_TIER0
	push	%r11
	popfq
	mov	%gs:R_RSP, %rsp
	jmp	*%rcx
1:	mov	%gs:R_RAX, %rax
	.globl	stub_quick_end
stub_quick_end:
	cld
	mov	%rdi, %gs:R_RDI
	mov	%gs:SLOT_SELF, %rdi
	mov	%rax, R_ORIG(%rdi)
	mov	%rcx, R_RCX(%rdi)
	mov	%rcx, R_RIP(%rdi)
	mov	%r11, R_EFLAGS(%rdi)
	mov	%r11, R_R11(%rdi)
	mov	%rsi, R_RSI(%rdi)
	mov	%rdx, R_RDX(%rdi)
	mov	%r10, R_R10(%rdi)
	mov	%r8, R_R8(%rdi)
	mov	%r9, R_R9(%rdi)
	mov	%rbx, R_RBX(%rdi)
	mov	%rbp, R_RBP(%rdi)
	mov	%r12, R_R12(%rdi)
	mov	%r13, R_R13(%rdi)
	mov	%r14, R_R14(%rdi)
	mov	%r15, R_R15(%rdi)
	call	stub_on_syscall

	mov	%rsp, %rdi
	and	$-SLOT_SIZE, %rdi

	/* rdi = slot. Loads everything from it and goes. A kick that arrives in here restarts it. */
	.globl	stub_leave
stub_leave:
	mov	SLOT_STACK(%rdi), %rsp
	cmpl	$0, SLOT_KICK(%rdi)
	jne	1f
	cmpl	$0, SLOT_FAR(%rdi)
	jne	2f
	pushq	R_EFLAGS(%rdi)
	popfq
	mov	R_RAX(%rdi), %rax
	mov	R_RCX(%rdi), %rcx
	mov	R_R11(%rdi), %r11
	mov	R_RSI(%rdi), %rsi
	mov	R_RDX(%rdi), %rdx
	mov	R_R10(%rdi), %r10
	mov	R_R8(%rdi), %r8
	mov	R_R9(%rdi), %r9
	mov	R_RBX(%rdi), %rbx
	mov	R_RBP(%rdi), %rbp
	mov	R_R12(%rdi), %r12
	mov	R_R13(%rdi), %r13
	mov	R_R14(%rdi), %r14
	mov	R_R15(%rdi), %r15
	mov	R_RSP(%rdi), %rsp
	mov	R_RDI(%rdi), %rdi
	.globl	stub_leave_jump
stub_leave_jump:
	jmp	*%gs:R_RIP
	.globl	stub_leave_end
stub_leave_end:
1:	push	%rdi
	push	%rdi
	call	stub_on_kick
	pop	%rdi
	jmp	stub_leave

	/* The guest has %gs for itself: the slow way out, which needs no register. */
2:	pushq	$0x2b
	pushq	R_RSP(%rdi)
	pushq	R_EFLAGS(%rdi)
	pushq	$0x33
	pushq	R_RIP(%rdi)
	mov	R_RAX(%rdi), %rax
	mov	R_RCX(%rdi), %rcx
	mov	R_R11(%rdi), %r11
	mov	R_RSI(%rdi), %rsi
	mov	R_RDX(%rdi), %rdx
	mov	R_R10(%rdi), %r10
	mov	R_R8(%rdi), %r8
	mov	R_R9(%rdi), %r9
	mov	R_RBX(%rdi), %rbx
	mov	R_RBP(%rdi), %rbp
	mov	R_R12(%rdi), %r12
	mov	R_R13(%rdi), %r13
	mov	R_R14(%rdi), %r14
	mov	R_R15(%rdi), %r15
	mov	R_RDI(%rdi), %rdi
	.globl	stub_leave_iret
stub_leave_iret:
	iretq
	.globl	stub_leave_far_end
stub_leave_far_end:

	/* The first thread of the zygote: rdi = slot, gs set. Its old world is unmapped, then it waits. */
	.globl	stub_start
stub_start:
	mov	SLOT_STACK(%rdi), %rsp
	xor	%ebp, %ebp
	mov	%rdi, %rbx
	call	stub_clear
	mov	%rbx, %rdi
	jmp	thread_main

	/* rdi = slot: obeys the sentry until told to go on. */
thread_main:
	mov	%rdi, %rbx
	call	stub_serve
	mov	SLOT_FRAME(%rbx), %rax
	test	%rax, %rax
	mov	%rbx, %rdi
	jz	stub_leave
	mov	%rax, %rsp
	mov	$SYS_sigreturn, %eax
	syscall
	ud2

	/* long stub_fork(struct stub_slot *): the child's slots replace the parent's at once, and until then
	 * its stack is the parent's too, so it touches none. */
	.globl	stub_fork
stub_fork:
	push	%rbx
	mov	%rdi, %rbx
	mov	$0x8000, %edi		/* CLONE_PARENT */
	xor	%esi, %esi
	xor	%edx, %edx
	xor	%r10d, %r10d
	xor	%r8d, %r8d
	mov	$SYS_clone, %eax
	syscall
	test	%rax, %rax
	jz	1f
	pop	%rbx
	ret
1:	mov	$SYS_mmap, %eax
	movabs	$STUB_SLOTS_ADDR, %rdi
	mov	$SLOTS_SIZE, %esi
	mov	$3, %edx		/* READ | WRITE */
	mov	$0x11, %r10d		/* SHARED | FIXED */
	mov	$1, %r8d
	xor	%r9d, %r9d
	syscall
	cmp	%rdi, %rax
	jne	2f
	mov	$2, %edi
	xor	%esi, %esi
	mov	$SYS_dup2, %eax
	syscall
	test	%rax, %rax
	jnz	2f
	mov	$1, %edi
	mov	$SYS_close, %eax
	syscall
	mov	$2, %edi
	mov	$SYS_close, %eax
	syscall
	mov	$1, %edi		/* PR_SET_PDEATHSIG */
	mov	$9, %esi
	mov	$SYS_prctl, %eax
	syscall
	mov	$SYS_getppid, %eax	/* it may have died before that */
	syscall
	movabs	$STUB_CONF_ADDR, %rdx
	cmp	(%rdx), %rax
	jne	2f
	mov	SLOT_STACK(%rbx), %rsp
	mov	%rbx, %rdi
	call	stub_child_init
	mov	%rbx, %rdi
	jmp	thread_main
2:	mov	$127, %edi
	mov	$SYS_exit_group, %eax
	syscall
	ud2

	/* long stub_thread(flags, child's slot, child's tid word, child's fs base) */
	.globl	stub_thread
stub_thread:
	push	%rbx
	mov	%rsi, %rbx
	mov	%rdx, %r10
	add	$(SLOT_ALT + SLOT_ALT_SIZE), %rsi /* a signal may come at once */
	mov	%rcx, %r8
	xor	%edx, %edx
	mov	$SYS_clone, %eax
	syscall
	test	%rax, %rax
	jz	1f
	pop	%rbx
	ret
1:	mov	$0x1001, %edi		/* ARCH_SET_GS */
	mov	%rbx, %rsi
	mov	$SYS_arch_prctl, %eax
	syscall
	mov	%rbx, %rdi
	call	stub_thread_init
	mov	%rbx, %rdi
	jmp	thread_main

	/* size_t stub_copy(dst, src, n): bytes copied before a fault */
	.globl	stub_copy
stub_copy:
	mov	%rdx, %rcx
	mov	%rdx, %rax
	.globl	stub_copy_insn
stub_copy_insn:
	rep movsb
	.globl	stub_copy_fixup
stub_copy_fixup:
	sub	%rcx, %rax
	ret

	/* int stub_touch(void *p): -EFAULT when it can't be written to */
	.globl	stub_touch
stub_touch:
	xor	%eax, %eax
	.globl	stub_touch_insn
stub_touch_insn:
	lock orb $0, (%rdi)
	ret

	/* int stub_cmpxchg(uint32_t *p, uint32_t *expected, uint32_t desired): 0 or -EFAULT */
	.globl	stub_cmpxchg
stub_cmpxchg:
	mov	(%rsi), %eax
	.globl	stub_cmpxchg_insn
stub_cmpxchg_insn:
	lock cmpxchg %edx, (%rdi)
	mov	%eax, (%rsi)
	xor	%eax, %eax
	ret
	.globl	stub_cmpxchg_fixup
stub_cmpxchg_fixup:
	mov	$-14, %eax
	ret

	/* long stub_futex_wait(struct stub_slot *, const uint64_t args[6]): futex(2), which a kick ends in any
	 * case: one that comes before the kernel has the thread sends it to stub_wait_abort. */
	.globl	stub_futex_wait
stub_futex_wait:
	push	%rbx
	mov	%rdi, %rbx
	mov	%rsi, %r11
	mov	0(%r11), %rdi
	mov	8(%r11), %rsi
	mov	16(%r11), %rdx
	mov	24(%r11), %r10
	mov	32(%r11), %r8
	mov	40(%r11), %r9
	mov	$SYS_futex, %eax
	.globl	stub_wait_begin
stub_wait_begin:
	cmpl	$0, SLOT_KICK(%rbx)
	jne	stub_wait_abort
	syscall
	.globl	stub_wait_end
stub_wait_end:
	pop	%rbx
	ret
	.globl	stub_wait_abort
stub_wait_abort:
	mov	$-4, %rax		/* EINTR */
	pop	%rbx
	ret

	/* long stub_call(nr, const uint64_t args[6]) */
	.globl	stub_call
stub_call:
	mov	%rdi, %rax
	mov	%rsi, %r11
	mov	0(%r11), %rdi
	mov	8(%r11), %rsi
	mov	16(%r11), %rdx
	mov	24(%r11), %r10
	mov	32(%r11), %r8
	mov	40(%r11), %r9
	syscall
	ret

	.section .note.GNU-stack, "", @progbits
