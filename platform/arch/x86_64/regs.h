/* regs.h: the guest's general registers, laid out as struct user_regs_struct (PTRACE_GETREGS), and the
 * accessors that are the only way for other rooms to reach a register. */
#pragma once

#include "platform/abi/types.h"
#include "platform/base/attr.h"

struct guest_regs {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	uint64_t orig_rax, rip, cs, eflags, rsp, ss, fs_base, gs_base, ds, es, fs, gs;
};

#define REGS_SYSCALL_INSN_SIZE 2

static inline uint64_t regs_ip(const struct guest_regs *r)
{
	return r->rip;
}

static inline void regs_set_ip(struct guest_regs *r, uaddr_t ip)
{
	r->rip = ip;
}

static inline uint64_t regs_sp(const struct guest_regs *r)
{
	return r->rsp;
}

static inline void regs_set_sp(struct guest_regs *r, uaddr_t sp)
{
	r->rsp = sp;
}

static inline int64_t regs_result(const struct guest_regs *r)
{
	return (int64_t)r->rax;
}

static inline void regs_set_result(struct guest_regs *r, int64_t v)
{
	r->rax = (uint64_t)v;
}

/* The number that the call which is being served was made with; -1 outside a call. */
static inline int64_t regs_syscall_nr(const struct guest_regs *r)
{
	return (int64_t)r->orig_rax;
}

static inline uint64_t regs_syscall_arg(const struct guest_regs *r, int i)
{
	switch (i) {
	case 0:
		return r->rdi;
	case 1:
		return r->rsi;
	case 2:
		return r->rdx;
	case 3:
		return r->r10;
	case 4:
		return r->r8;
	default:
		return r->r9;
	}
}

/* Makes the guest execute the system call again when it resumes. */
static inline void regs_restart_syscall(struct guest_regs *r, int64_t nr)
{
	r->rax = (uint64_t)nr;
	r->rip -= REGS_SYSCALL_INSN_SIZE;
}

static inline void regs_set_tls(struct guest_regs *r, uaddr_t tls)
{
	r->fs_base = tls;
}
