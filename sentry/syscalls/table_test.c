/* table_test.c: the table itself: complete, consistent, safe for any number. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "platform/abi/x86_64/nr.h"
#include "sentry/syscalls/sys.h"

Test(syscalls, every_number_has_its_line)
{
	static const struct {
		int nr;
		const char *name;
	} known[] = {
		{LINUX_NR_read, "read"},
		{LINUX_NR_execve, "execve"},
		{LINUX_NR_epoll_ctl, "epoll_ctl"},
		{LINUX_NR_statx, "statx"},
		{LINUX_NR_clone3, "clone3"},
		{LINUX_NR_mseal, "mseal"},
		{LINUX_NR_futex_waitv, "futex_waitv"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		const struct sys_entry *e = sys_lookup(known[i].nr);

		cr_assert_not_null(e);
		cr_assert_str_eq(e->name, known[i].name);
	}
	for (int64_t nr = 0; nr <= LINUX_NR_MAX; nr++) {
		const struct sys_entry *e = sys_lookup(nr);

		if (nr > 334 && nr < 424) {
			cr_assert_null(e, "%d is not a call", (int)nr);
			continue;
		}
		cr_assert_not_null(e, "%d has no line", (int)nr);
		cr_assert_eq(e->handler == NULL, e->level == SYS_NONE, "%s", e->name);
		cr_assert(e->level != SYS_PARTIAL || e->note[0],
			  "%s is partial and doesn't say what is missing", e->name);
		cr_assert(e->level != SYS_REFUSED || e->note[0], "%s", e->name);
	}
}

Test(syscalls, any_number_can_be_looked_up)
{
	static const int64_t wild[] = {-1, LINUX_NR_MAX + 1, INT32_MAX, 0x40000000, 0x40000001};

	for (size_t i = 0; i < ARRAY_SIZE(wild); i++)
		cr_assert_null(sys_lookup(wild[i]), "%lld", (long long)wild[i]);
	/* the upper half of rax doesn't count */
	cr_assert_eq(sys_lookup(0x100000000LL), sys_lookup(0));
}

Test(syscalls, listing_names_each_call_once)
{
	static char text[64 * 1024];
	int fd[2];
	ssize_t n = 0, r;

	cr_assert_eq(pipe(fd), 0);
	cr_assert_eq(syscall_listing(fd[1]), 0);
	close(fd[1]);
	while ((r = read(fd[0], text + n, sizeof(text) - 1 - (size_t)n)) > 0)
		n += r;
	cr_assert(n > 4096);
	cr_assert_not_null(strstr(text, "| 0 | `read` |"));
	for (int64_t nr = 0; nr <= LINUX_NR_MAX; nr++) {
		const struct sys_entry *e = sys_lookup(nr);
		char row[64];
		char *at;

		if (!e)
			continue;
		snprintf(row, sizeof(row), "| `%s` |", e->name);
		at = strstr(text, row);
		cr_assert_not_null(at, "%s", e->name);
		cr_assert_null(strstr(at + 1, row), "%s twice", e->name);
	}
}
