/* strace_args.c: single arguments of traced calls: numbers, strings, buffers, flags. Guest memory is read as it
 * is now; what can't be read is shown as its address. */
#include "sentry/syscalls/strace_internal.h"

static void show_address(struct line *l, uint64_t v)
{
	if (v)
		line_add(l, "0x%llx", (unsigned long long)v);
	else
		line_add(l, "NULL");
}

static void show_string(struct line *l, const struct arg_view *v, uaddr_t addr, size_t limit)
{
	char buf[VFS_NAME_MAX + 1];
	size_t n = 0;
	bool whole = false;

	limit = MIN(limit, sizeof(buf) - 1);
	if (addr == 0) {
		line_add(l, "NULL");
		return;
	}
	while (n <= limit) {
		if (copy_from_user(v->t, &buf[n], addr + n, 1) < 0)
			break;
		if (buf[n] == 0) {
			whole = true;
			break;
		}
		n++;
	}
	if (n == 0 && !whole) {
		show_address(l, addr);
		return;
	}
	line_quote(l, buf, MIN(n, limit));
	if (!whole)
		line_add(l, "...");
}

static void show_path(struct line *l, const struct arg_view *v, uaddr_t addr)
{
	char *name;

	if (addr == 0 || getname(v->t, addr, &name) < 0) {
		show_address(l, addr);
		return;
	}
	line_quote(l, name, MIN(strlen(name), (size_t)1024));
	kfree(name);
}

static void show_buffer(struct line *l, const struct arg_view *v, uaddr_t addr, uint64_t size)
{
	unsigned char buf[256];
	size_t n = MIN(MIN(size, (uint64_t)v->st->string_size), (uint64_t)sizeof(buf));

	if (addr == 0 || copy_from_user(v->t, buf, addr, n) < 0) {
		show_address(l, addr);
		return;
	}
	line_quote(l, buf, n);
	if (n < size)
		line_add(l, "...");
}

static bool failed(const struct arg_view *v)
{
	return !v->done || (v->ret < 0 && v->ret >= -4095);
}

static void show_dirfd(struct line *l, int fd)
{
	if (fd == LINUX_AT_FDCWD)
		line_add(l, "AT_FDCWD");
	else
		line_add(l, "%d", fd);
}

/* Only of interest when a file may be made. */
static bool open_mode_shown(const struct arg_view *v, int i)
{
	uint64_t flags = v->ev->args[i - 1];

	return (flags & LINUX_O_CREAT) || (flags & LINUX_O_TMPFILE) == LINUX_O_TMPFILE;
}

static void show_open_flags(struct line *l, uint64_t flags)
{
	static const char *const access[] = {"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"};

	line_add(l, "%s", access[flags & LINUX_O_ACCMODE]);
	flags &= ~(uint64_t)LINUX_O_ACCMODE;
	if (flags) {
		line_add(l, "|");
		(void)flags_show(l, A_OFLAGS, flags);
	}
}

static void show_strings(struct line *l, const struct arg_view *v, uaddr_t vec, bool count_only)
{
	uint32_t i;
	uaddr_t s;

	if (count_only) {
		for (i = 0; i < 10000; i++)
			if (copy_from_user(v->t, &s, vec + i * 8UL, 8) < 0 || s == 0)
				break;
		show_address(l, vec);
		line_add(l, " /* %u vars */", i);
		return;
	}
	line_add(l, "[");
	for (i = 0; i < 32; i++) {
		if (copy_from_user(v->t, &s, vec + i * 8UL, 8) < 0 || s == 0)
			break;
		if (i)
			line_add(l, ", ");
		show_string(l, v, s, v->st->string_size);
	}
	line_add(l, i == 32 ? ", ...]" : "]");
}

static void show_fcntl_arg(struct line *l, const struct arg_view *v, int i)
{
	uint64_t arg = v->ev->args[i];

	switch ((uint32_t)v->ev->args[1]) {
	case LINUX_F_SETFL:
		show_open_flags(l, arg);
		break;
	case LINUX_F_SETFD:
		line_add(l, arg & LINUX_FD_CLOEXEC ? "FD_CLOEXEC" : "%lld", (long long)arg);
		break;
	case LINUX_F_DUPFD:
	case LINUX_F_DUPFD_CLOEXEC:
	case LINUX_F_SETOWN:
	case LINUX_F_SETPIPE_SZ:
		line_add(l, "%lld", (long long)arg);
		break;
	default:
		show_address(l, arg);
	}
}

static bool fcntl_has_arg(const struct arg_view *v)
{
	uint32_t cmd = (uint32_t)v->ev->args[1];

	return cmd != LINUX_F_GETFD && cmd != LINUX_F_GETFL && cmd != LINUX_F_GETOWN && cmd != LINUX_F_GETSIG &&
	       cmd != LINUX_F_GETPIPE_SZ && cmd != LINUX_F_GET_SEALS && cmd != LINUX_F_GETLEASE;
}

static void show_number(struct line *l, enum arg_kind kind, uint64_t a)
{
	switch (kind) {
	case A_INT:
	case A_FD:
	case A_EXITCODE:
		line_add(l, "%d", (int32_t)a);
		break;
	case A_UINT:
		line_add(l, "%u", (uint32_t)a);
		break;
	case A_LONG:
		line_add(l, "%lld", (long long)a);
		break;
	case A_ULONG:
		line_add(l, "%llu", (unsigned long long)a);
		break;
	case A_HEX:
		line_add(l, a ? "0x%llx" : "%llu", (unsigned long long)a);
		break;
	case A_MODE:
	case A_OMODE:
		line_add(l, (uint32_t)a ? "0%o" : "%o", (uint32_t)a);
		break;
	case A_DEV:
		line_add(l, "makedev(0x%x, 0x%x)", dev_major(a), dev_minor(a));
		break;
	default:
		show_address(l, a);
	}
}

static void show_one(struct line *l, const struct arg_view *v, int i)
{
	enum arg_kind kind = v->kinds[i];
	uint64_t a = v->ev->args[i], next = i < 5 ? v->ev->args[i + 1] : 0;

	switch (kind) {
	case A_DIRFD:
		show_dirfd(l, (int)a);
		break;
	case A_PATH:
		show_path(l, v, a);
		break;
	case A_STR:
		show_string(l, v, a, v->st->string_size);
		break;
	case A_BUF:
		show_buffer(l, v, a, next);
		break;
	case A_BUF_OUT:
		if (failed(v))
			show_address(l, a);
		else
			show_buffer(l, v, a, MIN((uint64_t)v->ret, next));
		break;
	case A_OFLAGS:
		show_open_flags(l, a);
		break;
	case A_ARGV:
	case A_ENVP:
		show_strings(l, v, a, kind == A_ENVP);
		break;
	case A_FCNTL_ARG:
		show_fcntl_arg(l, v, i);
		break;
	case A_SIGNAL:
		signal_show(l, (int)a);
		break;
	default:
		if (!value_show(l, kind, a) && !flags_show(l, kind, a) && !struct_show(l, v, i))
			show_number(l, kind, a);
	}
}

void args_show(struct line *l, const struct arg_view *v)
{
	int i;

	for (i = 0; i < 6 && v->kinds[i] != A_END; i++) {
		if (v->kinds[i] == A_OMODE && !open_mode_shown(v, i))
			break;
		if (v->kinds[i] == A_FCNTL_ARG && !fcntl_has_arg(v))
			break;
		if (i)
			line_add(l, ", ");
		show_one(l, v, i);
	}
}
