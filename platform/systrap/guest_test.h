/* guest_test.h: for tests: a guest of a few instructions whose text is mapped as programs' texts are, so
 * that its call sites can be patched. Included once a test file. */
#pragma once

#include "platform/host/nested_test.h"
#include "platform/systrap/internal.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/abi/mman.h"
#include "platform/base/arena.h"
#include "platform/host/hostcall.h"
#include "platform/host/memfd.h"
#include "platform/host/proc.h"

#define CODE  0x400000UL
#define DATA  0x500000UL
#define STACK 0x600000UL
#define POOLS 0x700000UL

#define GUEST(name, text)                                                                                      \
	extern const char text_guest_##name[], text_guest_##name##_end[];                                      \
	__asm__(".pushsection .rodata\n.balign 16\n.globl text_guest_" #name "\ntext_guest_" #name ":\n" text  \
		"\n.globl text_guest_" #name "_end\ntext_guest_" #name "_end:\n.popsection")

static struct platform *plat;
#define OPS (plat->ops)
static uint64_t pool_next;

static uaddr_t room(void *owner, uaddr_t near, uint64_t reach, uint64_t size)
{
	(void)owner, (void)near, (void)reach;
	return POOLS + __atomic_fetch_add(&pool_next, size, __ATOMIC_RELAXED);
}

static void guest_setup(void)
{
	const struct platform_ops *ops;

	skip_where_taken(SBX_STUB_START);
	cr_assert_eq(arena_init(), 0);
	proc_setup();
	ops = platform_select("systrap");
	cr_assert_not_null(ops);
	cr_assert_eq(ops->create(&plat), 0);
}

static void guest_teardown(void)
{
	OPS->destroy(plat);
}

static struct context *start_at(const char *code, const char *end, uaddr_t at)
{
	int fd = memfd_create_sized("text", 2 * PAGE_SIZE);
	struct map_request text = {
		.addr = CODE, .size = 2 * PAGE_SIZE, .prot = LINUX_PROT_READ | LINUX_PROT_EXEC, .fd = fd};
	struct map_request anon = {
		.addr = DATA, .size = PAGE_SIZE, .fd = -1, .prot = LINUX_PROT_READ | LINUX_PROT_WRITE};
	struct context *c;

	cr_assert_geq(fd, 0);
	cr_assert_eq(hc_pwrite(fd, code, (size_t)(end - code), at - CODE), end - code);
	cr_assert_eq(OPS->context_create(plat, &c), 0);
	cr_assert_eq(OPS->context_bind(c), 0);
	c->as->alloc_hidden = room;
	cr_assert_eq(OPS->map(c, &text), 0);
	cr_assert_eq(OPS->map(c, &anon), 0);
	anon.addr = STACK;
	cr_assert_eq(OPS->map(c, &anon), 0);
	hc_close(fd);
	*OPS->regs(c, true) = (struct guest_regs){.rip = at,
						  .rsp = STACK + PAGE_SIZE / 2,
						  .eflags = 0x202,
						  .r13 = 39,
						  .r14 = 0x1414,
						  .r15 = 0x1515,
						  .rdi = 1,
						  .rsi = 2,
						  .rdx = 3,
						  .r8 = 5,
						  .r9 = 6,
						  .rbp = 0xbbbb};
	return c;
}
#define START(name)	   start_at(text_guest_##name, text_guest_##name##_end, CODE)
#define START_AT(name, at) start_at(text_guest_##name, text_guest_##name##_end, at)
