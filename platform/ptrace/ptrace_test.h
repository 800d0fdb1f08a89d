/* ptrace_test.h: what the platform's tests share: guests of a few instructions on one page, and the steps
 * that run them. */
#pragma once

#include "platform/host/nested_test.h"
#include "platform/ptrace/internal.h"

#include <criterion/criterion.h>
#include <elf.h>
#include <fcntl.h>
#include <linux/ptrace.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "platform/abi/mman.h"
#include "platform/base/arena.h"
#include "platform/base/clock.h"
#include "platform/host/hostcall.h"
#include "platform/host/proc.h"
#include "platform/host/memfd.h"

#define CODE  0x400000UL
#define DATA  0x500000UL
#define STACK 0x600000UL

/* ---- guest code: position independent, no stack ---- */
#define GUEST(name, text)                                                                                      \
	extern const char guest_##name[], guest_##name##_end[];                                                \
	__asm__(".pushsection .rodata\nguest_" #name ":\n" text "\nguest_" #name "_end:\n.popsection")

GUEST(calls, "mov $39,%eax; mov $1,%edi; mov $2,%esi; mov $3,%edx; mov $4,%r10d; mov $5,%r8d; mov $6,%r9d\n"
	     "syscall\n"
	     "mov %rax,%rdi; mov %rcx,%rsi; mov %r11,%rdx; mov $1000,%eax; syscall; ud2");
GUEST(loop, "1: inc %rax; jmp 1b");
GUEST(call_loop, "1: mov $39,%eax; syscall; jmp 1b");
GUEST(load, "mov (%rdi),%rax; mov $1,%eax; syscall; ud2");
GUEST(store, "mov %rsi,(%rdi); mov $1,%eax; syscall; ud2");
GUEST(div, "xor %ecx,%ecx; mov $1,%eax; xor %edx,%edx; div %ecx");
GUEST(ud, "ud2");
GUEST(trap, "int3; ud2");
GUEST(int80, "mov $20,%eax; int $0x80; mov %rax,%rdi; mov $7,%eax; syscall");
GUEST(step, "pushfq; orl $0x100,(%rsp); popfq; nop; nop");
GUEST(count, "1: lock incq (%rdi); mov $2,%eax; syscall; jmp 1b");
GUEST(spin, "1: lock incq (%rdi); jmp 1b");
GUEST(jump, "jmp *%rdi");
GUEST(xmm, "movq %rdi,%xmm5; mov $3,%eax; syscall; movq %xmm5,%rdi; mov $4,%eax; syscall; jmp guest_xmm");
GUEST(vsyscall, "mov $0xffffffffff600400,%rax; xor %edi,%edi; call *%rax; mov %rax,%rdi; mov $9,%eax; syscall");

GUEST(clock, "call *%rdx; mov %rax,%rdi; mov $5,%eax; syscall");

static struct platform *plat;
#define OPS (plat->ops)

static MAYBE_UNUSED void setup(void)
{
	const struct platform_ops *ops;

	skip_where_taken(SBX_STUB_START);
	cr_assert_eq(arena_init(), 0);
	proc_setup();
	ops = platform_select("ptrace");
	cr_assert_not_null(ops);
	cr_assert_eq(ops->create(&plat), 0);
}

/* Every test ends with no guest process left. */
static MAYBE_UNUSED void teardown(void)
{
	OPS->destroy(plat);
	cr_assert_eq(hc_wait4(-1, NULL, __WALL | WNOHANG, NULL), -ECHILD);
}

static MAYBE_UNUSED void map(struct context *c, uaddr_t at, uint64_t size, uint32_t prot)
{
	struct map_request r = {.addr = at, .size = size, .prot = prot, .fd = -1};

	cr_assert_eq(OPS->map(c, &r), 0);
}

/* Loads a guest's code, data page and stack into c's space and points c to it. */
static MAYBE_UNUSED void load(struct context *c, const char *code, const char *end)
{
	map(c, CODE, PAGE_SIZE, LINUX_PROT_READ | LINUX_PROT_WRITE);
	cr_assert_eq(OPS->copy_out(c->as, c, CODE, code, (size_t)(end - code)), end - code);
	cr_assert_eq(OPS->protect(c, CODE, PAGE_SIZE, LINUX_PROT_READ | LINUX_PROT_EXEC), 0);
	map(c, DATA, PAGE_SIZE, LINUX_PROT_READ | LINUX_PROT_WRITE);
	map(c, STACK, PAGE_SIZE, LINUX_PROT_READ | LINUX_PROT_WRITE);
	*OPS->regs(c, true) = (struct guest_regs){.rip = CODE, .rsp = STACK + PAGE_SIZE, .eflags = 0x202};
}

static MAYBE_UNUSED struct context *start(const char *code, const char *end)
{
	struct context *c;

	cr_assert_eq(OPS->context_create(plat, &c), 0);
	cr_assert_eq(OPS->context_bind(c), 0);
	load(c, code, end);
	return c;
}
#define START(name) start(guest_##name, guest_##name##_end)

static MAYBE_UNUSED enum run_reason run(struct context *c, struct run_event *ev)
{
	memset(ev, 0, sizeof(*ev));
	cr_assert_eq(OPS->run(c, ev), 0);
	return ev->reason;
}

static MAYBE_UNUSED void expect_call(struct context *c, int64_t nr, uint64_t arg0)
{
	struct run_event ev;

	cr_assert_eq(run(c, &ev), RUN_SYSCALL, "reason %d signo %d code %d addr %lx", ev.reason, ev.signo,
		     ev.code, ev.addr);
	cr_assert_eq(ev.nr, nr, "nr %ld", ev.nr);
	cr_assert_eq(ev.args[0], arg0, "arg %lx", ev.args[0]);
}

static MAYBE_UNUSED void expect_fault(struct context *c, int signo, int code, uaddr_t addr)
{
	struct run_event ev;

	cr_assert_eq(run(c, &ev), RUN_FAULT, "reason %d", ev.reason);
	cr_assert_eq(ev.signo, signo, "signo %d", ev.signo);
	cr_assert_eq(ev.code, code, "code %d", ev.code);
	cr_assert_eq(ev.addr, addr, "addr %lx", ev.addr);
}

static MAYBE_UNUSED int pid_of(struct context *c)
{
	return ptrace_aspace_of(c->as)->pid;
}
