/* listing.c: the table as Markdown, for `sbx-sentry --syscalls` and the compatibility page. */
#include "platform/abi/x86_64/nr.h"
#include "platform/base/strbuf.h"
#include "sentry/syscalls/listing.h"
#include "sentry/syscalls/sys.h"

static const char *const level_names[] = {
	[SYS_NONE] = "not implemented (ENOSYS)",
	[SYS_PARTIAL] = "partial",
	[SYS_FULL] = "full",
	[SYS_REFUSED] = "refused as Linux refuses it",
};

static uint32_t level_count(enum sys_level level)
{
	const struct sys_entry *e;
	uint32_t n = 0;
	int64_t nr;

	for (nr = 0; nr <= LINUX_NR_MAX; nr++) {
		e = sys_lookup(nr);
		if (e && e->level == level)
			n++;
	}
	return n;
}

void syscalls_list(struct strbuf *out)
{
	static const enum sys_level order[] = { SYS_FULL, SYS_PARTIAL, SYS_REFUSED, SYS_NONE };
	const struct sys_entry *e;
	int64_t nr;
	size_t i;

	strbuf_puts(out, "# System calls (x86-64)\n\n| level | calls |\n|---|---|\n");
	for (i = 0; i < ARRAY_SIZE(order); i++)
		strbuf_printf(out, "| %s | %u |\n", level_names[order[i]], level_count(order[i]));
	for (i = 0; i < ARRAY_SIZE(order); i++) {
		strbuf_printf(out, "\n## %s\n\n| nr | call | note |\n|---|---|---|\n", level_names[order[i]]);
		for (nr = 0; nr <= LINUX_NR_MAX; nr++) {
			e = sys_lookup(nr);
			if (e && e->level == order[i])
				strbuf_printf(out, "| %d | `%s` | %s |\n", (int)nr, e->name, e->note);
		}
	}
}
