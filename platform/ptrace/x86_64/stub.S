/* stub.S: the only host code in a guest process: copied into a sealed memfd that is mapped, readable and
 * executable, at SBX_STUB_START. It is position independent, uses no stack and no memory, and runs with all
 * registers set by the sentry. Each call sequence ends in int3, which hands control back to the tracer.
 * Only from this page does the process's seccomp filter let a system call through. */

	.section .rodata.ptrace_stub, "a", @progbits
	.balign 64
	.globl ptrace_stub_begin, ptrace_stub_end
	.globl ptrace_stub_call, ptrace_stub_call_trap
	.globl ptrace_stub_clone, ptrace_stub_clone_trap
	.globl ptrace_stub_cmpxchg, ptrace_stub_cmpxchg_trap
	.globl ptrace_stub_idle, ptrace_stub_idle_end, ptrace_stub_exit

ptrace_stub_begin:

/* Any permitted call: number and arguments in their registers. */
ptrace_stub_call:
	syscall
ptrace_stub_call_trap:
	int3

/* clone without a new stack. A new process (r12: the process id of the sentry) asks to die with the sentry
 * and looks whether that happened already; a new thread (r12: 0) needs neither. */
ptrace_stub_clone:
	syscall
	test	%rax, %rax
	jz	1f
ptrace_stub_clone_trap:
	int3
1:	test	%r12d, %r12d
	jz	ptrace_stub_idle
	mov	$157, %eax		/* prctl */
	mov	$1, %edi		/* PR_SET_PDEATHSIG */
	mov	$9, %esi		/* SIGKILL */
	syscall
	mov	$110, %eax		/* getppid */
	syscall
	cmp	%r12d, %eax
	je	ptrace_stub_idle
	mov	$231, %eax		/* exit_group */
	mov	$1, %edi
	syscall
	ud2

/* Until somebody attaches. */
ptrace_stub_idle:
	mov	$34, %eax		/* pause */
	syscall
	jmp	ptrace_stub_idle
ptrace_stub_idle_end:
	ud2

/* rdi: word, eax: expected, edx: desired */
ptrace_stub_cmpxchg:
	lock cmpxchg %edx, (%rdi)
ptrace_stub_cmpxchg_trap:
	int3

/* The end of a thread that nobody traces any more. */
ptrace_stub_exit:
	mov	$60, %eax		/* exit */
	xor	%edi, %edi
	syscall
	ud2

ptrace_stub_end:

	.section .note.GNU-stack, "", @progbits
