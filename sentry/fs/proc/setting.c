/* setting.c: the files of /proc/sys that root can change: one number, or several on a line (entry->arg: the
 * first setting, and how many in the upper half). Who may write is the file's mode. */
#include "sentry/kernel/settings.h"
#include "sentry/fs/proc/internal.h"
#include "sentry/fs/proc/setting.h"

static enum setting first(const struct pseudo_node *n)
{
	return (enum setting)(n->entry->arg & UINT32_MAX);
}

static uint32_t count(const struct pseudo_node *n)
{
	return (uint32_t)(n->entry->arg >> 32);
}

int proc_show_setting(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	(void)f;
	for (uint32_t i = 0; i < count(n); i++)
		strbuf_printf(out, "%s%lu", i ? "\t" : "", setting(proc_kernel(n), first(n) + i));
	strbuf_putc(out, '\n');
	return 0;
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* The next number of the text; false: there is none, or something else. */
static bool next_number(const char **p, const char *end, uint64_t *out)
{
	uint64_t v = 0;
	const char *s = *p;

	while (s < end && blank(*s))
		s++;
	if (s == end || *s < '0' || *s > '9')
		return false;
	for (; s < end && *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(v, 10UL, &v) || __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return false;
	*p = s;
	*out = v;
	return s == end || blank(*s) || !*s;
}

/* As Linux: what comes first counts although what follows is wrong, and nothing at all is an error. */
ssize_t proc_store_setting(struct pseudo_node *n, struct file *f, char *buf, size_t size)
{
	const char *p = buf, *end = buf + size;
	uint64_t v;
	int ret;

	(void)f;
	for (uint32_t i = 0; i < count(n); i++) {
		if (!next_number(&p, end, &v))
			return i ? (ssize_t)size : -EINVAL;
		ret = setting_change(proc_kernel(n), first(n) + i, v);
		if (ret < 0)
			return ret;
	}
	return (ssize_t)size;
}

/* drop_caches, compact_memory: requests about caches that aren't this kernel's; nothing is kept of them. */
ssize_t proc_store_request(struct pseudo_node *n, struct file *f, char *buf, size_t size)
{
	int64_t v;

	(void)f;
	return proc_parse_int(buf, size, &v) && v >= 1 && v <= (int64_t)n->entry->arg ? (ssize_t)size : -EINVAL;
}
