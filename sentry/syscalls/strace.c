/* strace.c: whole lines of the trace: who called, the call, its result. A line is built in memory and written
 * at once, so that lines of tasks don't mix. The arguments are read when the call is over (what it stored is
 * there to show), but for those that replace the memory they came from. */
#include <stdarg.h>
#include <stdio.h>

#include "platform/abi/x86_64/nr.h"
#include "platform/base/errname.h"
#include "platform/base/log.h"
#include "sentry/syscalls/strace_internal.h"

struct call_args {
	bool listed;
	enum arg_kind kinds[7];
};

static const struct call_args calls[LINUX_NR_MAX + 1] = {
#define ARGS(call, ...) [LINUX_NR_##call] = {.listed = true, .kinds = {__VA_ARGS__}},
#include "sentry/syscalls/strace_args.def"
#undef ARGS
};

static const struct call_args unlisted = {
	.listed = true,
	.kinds = {A_HEX, A_HEX, A_HEX, A_HEX, A_HEX, A_HEX},
};

void line_add(struct line *l, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(l->buf + l->len, LINE_SIZE - l->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		l->len = MIN(l->len + (size_t)n, (size_t)LINE_SIZE - 1);
}

void line_quote(struct line *l, const void *bytes, size_t n)
{
	static const char letters[] = "abtnvfr"; /* \a is 7 */
	const unsigned char *p = bytes;
	size_t i;

	line_add(l, "\"");
	for (i = 0; i < n; i++) {
		if (p[i] == '"' || p[i] == '\\')
			line_add(l, "\\%c", p[i]);
		else if (p[i] >= 0x20 && p[i] < 0x7f)
			line_add(l, "%c", p[i]);
		else if (p[i] >= 7 && p[i] <= 13)
			line_add(l, "\\%c", letters[p[i] - 7]);
		else
			line_add(l, i + 1 < n && p[i + 1] >= '0' && p[i + 1] <= '9' ? "\\%03o" : "\\%o", p[i]);
	}
	line_add(l, "\"");
}

static bool wanted(const struct strace *st, const struct sys_entry *e, int64_t nr)
{
	uint32_t i, n = (uint32_t)nr;
	uint64_t any = 0;

	for (i = 0; i < ARRAY_SIZE(st->only); i++)
		any |= st->only[i];
	return !any || (e && n <= LINUX_NR_MAX && (st->only[n / 64] >> (n % 64) & 1));
}

static const struct call_args *args_of(const struct sys_entry *e, int64_t nr)
{
	const struct call_args *c = e ? &calls[(uint32_t)nr] : &unlisted;

	return c->listed ? c : &unlisted;
}

/* "[pid 7] name(args)" */
static void line_call(struct line *l, const struct arg_view *v, const struct sys_entry *e)
{
	line_add(l, "[pid %d] ", v->t->tid);
	if (e)
		line_add(l, "%s(", e->name);
	else
		line_add(l, "syscall_%d(", (int32_t)v->ev->nr);
	args_show(l, v);
	line_add(l, ")");
}

static void line_write(const struct strace *st, struct line *l)
{
	if (l->len > LINE_SIZE - 2)
		l->len = LINE_SIZE - 2;
	l->buf[l->len++] = '\n';
	(void)log_write(st->fd, l->buf, l->len); /* a reader who went away doesn't stop the guest */
}

/* Calls whose arguments are gone when they return, or that don't return. */
static bool shown_at_entry(int64_t nr)
{
	return nr == LINUX_NR_execve || nr == LINUX_NR_execveat || nr == LINUX_NR_exit ||
	       nr == LINUX_NR_exit_group;
}

void strace_enter(struct task *t, const struct run_event *ev, const struct sys_entry *e)
{
	const struct strace *st = t->kernel->strace;
	struct arg_view v = {.t = t, .st = st, .ev = ev, .kinds = args_of(e, ev->nr)->kinds};
	struct line l = {.len = 0};

	if (!shown_at_entry(ev->nr) || !wanted(st, e, ev->nr))
		return;
	l.buf = kmalloc(LINE_SIZE);
	if (!l.buf)
		return;
	line_call(&l, &v, e);
	if (ev->nr == LINUX_NR_execve || ev->nr == LINUX_NR_execveat) {
		kfree(t->strace_line);
		t->strace_line = l.buf;
		return;
	}
	line_add(&l, " = ?");
	line_write(st, &l);
	kfree(l.buf);
}

static const char *restart_name(int64_t err)
{
	switch (err) {
	case ERESTARTSYS:
		return "ERESTARTSYS (To be restarted if SA_RESTART is set)";
	case ERESTARTNOINTR:
		return "ERESTARTNOINTR (To be restarted)";
	case ERESTARTNOHAND:
		return "ERESTARTNOHAND (To be restarted if no handler)";
	case ERESTART_RESTARTBLOCK:
		return "ERESTART_RESTARTBLOCK (Interrupted by signal)";
	default:
		return NULL;
	}
}

static bool result_is_address(int64_t nr)
{
	return nr == LINUX_NR_mmap || nr == LINUX_NR_brk || nr == LINUX_NR_mremap || nr == LINUX_NR_shmat;
}

static void line_result(struct line *l, int64_t nr, int64_t ret)
{
	line_add(l, "%*s = ", l->len < 39 ? (int)(39 - l->len) : 0, "");
	if (ret >= 0 || ret < -4095) {
		if (result_is_address(nr) && ret)
			line_add(l, "0x%llx", (unsigned long long)ret);
		else if (nr == LINUX_NR_umask)
			line_add(l, "%#llo", (unsigned long long)ret);
		else
			line_add(l, "%lld", (long long)ret);
	} else if (restart_name(-ret)) {
		line_add(l, "? %s", restart_name(-ret));
	} else {
		const char *name = err_name((int)-ret), *text = err_text((int)-ret);

		line_add(l, "-1 %s (%s)", name ? name : "E?", text ? text : "Unknown error");
	}
}

void strace_exit(struct task *t, const struct run_event *ev, const struct sys_entry *e, int64_t ret,
		 uint64_t ns)
{
	const struct strace *st = t->kernel->strace;
	struct arg_view v = {
		.t = t, .st = st, .ev = ev, .kinds = args_of(e, ev->nr)->kinds, .ret = ret, .done = true};
	struct line l = {.buf = t->strace_line};
	bool failed = ret < 0 && ret >= -4095;

	t->strace_line = NULL;
	if (!wanted(st, e, ev->nr) || ev->nr == LINUX_NR_exit || ev->nr == LINUX_NR_exit_group)
		goto out;
	if (st->errors_only && !failed)
		goto out;
	if (l.buf) {
		l.len = strlen(l.buf);
		ret = failed ? ret : 0; /* exec: the registers are the new image's */
	} else {
		l.buf = kmalloc(LINE_SIZE);
		if (!l.buf)
			return;
		line_call(&l, &v, e);
	}
	line_result(&l, ev->nr, ret);
	if (st->times)
		line_add(&l, " <%llu.%06llu>", (unsigned long long)(ns / NSEC_PER_SEC),
			 (unsigned long long)(ns % NSEC_PER_SEC / 1000));
	line_write(st, &l);
out:
	kfree(l.buf);
}

int strace_start(struct kernel *k, int fd, uint32_t string_size, struct strace **out)
{
	struct strace *st = kmalloc(sizeof(*st));

	if (!st)
		return -ENOMEM;
	st->fd = fd;
	st->string_size = string_size ? MIN(string_size, 1024u) : 32;
	k->strace = st;
	*out = st;
	return 0;
}

int strace_select(struct strace *st, const char *names)
{
	const char *p = names;

	while (*p) {
		size_t n = strcspn(p, ",");
		const struct sys_entry *e = NULL;
		int64_t nr;

		for (nr = 0; nr <= LINUX_NR_MAX; nr++) {
			e = sys_lookup(nr);
			if (e && strlen(e->name) == n && memcmp(e->name, p, n) == 0)
				break;
		}
		if (nr > LINUX_NR_MAX)
			return -EINVAL;
		st->only[nr / 64] |= 1ULL << (nr % 64);
		p += n + (p[n] == ',');
	}
	return 0;
}
