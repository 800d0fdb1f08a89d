/* listing.c: the table as Markdown, for `sbx-sentry --syscalls` and the compatibility page. */

#include <stdarg.h>
#include <stdio.h>

#include "platform/abi/x86_64/nr.h"
#include "platform/base/log.h"
#include "sentry/syscalls/sys.h"

static const char *const level_names[] = {
	[SYS_NONE] = "not implemented (ENOSYS)",
	[SYS_PARTIAL] = "partial",
	[SYS_FULL] = "full",
	[SYS_REFUSED] = "refused as Linux refuses it",
};

static unsigned int level_count(enum sys_level level)
{
	const struct sys_entry *e;
	unsigned int n = 0;
	int64_t nr;

	for (nr = 0; nr <= LINUX_NR_MAX; nr++) {
		e = sys_lookup(nr);
		if (e && e->level == level)
			n++;
	}
	return n;
}

PRINTF_LIKE(2, 3) static int put(int fd, const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	return n < 0 ? -EINVAL : log_write(fd, line, MIN((size_t)n, sizeof(line) - 1));
}

static int list_level(int fd, enum sys_level level)
{
	int ret = put(fd, "\n## %s\n\n| nr | call | note |\n|---|---|---|\n", level_names[level]);
	const struct sys_entry *e;
	int64_t nr;

	for (nr = 0; ret == 0 && nr <= LINUX_NR_MAX; nr++) {
		e = sys_lookup(nr);
		if (e && e->level == level)
			ret = put(fd, "| %d | `%s` | %s |\n", (int)nr, e->name, e->note);
	}
	return ret;
}

int syscall_listing(int fd)
{
	static const enum sys_level order[] = {SYS_FULL, SYS_PARTIAL, SYS_REFUSED, SYS_NONE};
	int ret = put(fd, "# System calls (x86-64)\n\n| level | calls |\n|---|---|\n");
	size_t i;

	for (i = 0; ret == 0 && i < ARRAY_SIZE(order); i++)
		ret = put(fd, "| %s | %u |\n", level_names[order[i]], level_count(order[i]));
	for (i = 0; ret == 0 && i < ARRAY_SIZE(order); i++)
		ret = list_level(fd, order[i]);
	return ret;
}
