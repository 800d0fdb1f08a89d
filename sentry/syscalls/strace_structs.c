/* strace_structs.c: structures behind pointers, for the trace. */
#include "platform/abi/in.h"
#include "platform/abi/socket.h"
#include "sentry/syscalls/strace_internal.h"

static bool get(const struct arg_view *v, void *dst, uaddr_t src, size_t n)
{
	return src && copy_from_user(v->t, dst, src, n) == 0;
}

static const char *file_type(uint32_t mode)
{
	switch (mode & LINUX_S_IFMT) {
	case LINUX_S_IFREG:
		return "S_IFREG";
	case LINUX_S_IFDIR:
		return "S_IFDIR";
	case LINUX_S_IFLNK:
		return "S_IFLNK";
	case LINUX_S_IFCHR:
		return "S_IFCHR";
	case LINUX_S_IFBLK:
		return "S_IFBLK";
	case LINUX_S_IFIFO:
		return "S_IFIFO";
	case LINUX_S_IFSOCK:
		return "S_IFSOCK";
	default:
		return "0";
	}
}

static bool show_stat(struct line *l, const struct arg_view *v, uaddr_t a)
{
	struct linux_stat s;

	if (!get(v, &s, a, sizeof(s)))
		return false;
	line_add(l, "{st_mode=%s|0%o, ", file_type(s.st_mode), s.st_mode & 07777);
	if ((s.st_mode & LINUX_S_IFMT) == LINUX_S_IFCHR || (s.st_mode & LINUX_S_IFMT) == LINUX_S_IFBLK)
		line_add(l, "st_rdev=makedev(0x%x, 0x%x)", dev_major(s.st_rdev), dev_minor(s.st_rdev));
	else
		line_add(l, "st_size=%lld", (long long)s.st_size);
	line_add(l, ", ...}");
	return true;
}

static bool show_statx(struct line *l, const struct arg_view *v, uaddr_t a)
{
	struct linux_statx s;

	if (!get(v, &s, a, sizeof(s)))
		return false;
	line_add(l, "{stx_mask=0x%x, stx_mode=%s|0%o, stx_size=%llu, ...}", s.stx_mask, file_type(s.stx_mode),
		 s.stx_mode & 07777, (unsigned long long)s.stx_size);
	return true;
}

static bool show_statfs(struct line *l, const struct arg_view *v, uaddr_t a)
{
	struct linux_statfs s;

	if (!get(v, &s, a, sizeof(s)))
		return false;
	line_add(l, "{f_type=0x%llx, f_bsize=%lld, f_blocks=%lld, f_bfree=%lld, ...}",
		 (unsigned long long)s.f_type, (long long)s.f_bsize, (long long)s.f_blocks,
		 (long long)s.f_bfree);
	return true;
}

static bool show_time(struct line *l, const struct arg_view *v, uaddr_t a, const char *part)
{
	struct linux_timespec ts;

	if (!get(v, &ts, a, sizeof(ts)))
		return false;
	line_add(l, "{tv_sec=%lld, %s=%lld}", (long long)ts.tv_sec, part, (long long)ts.tv_nsec);
	return true;
}

static bool show_sigset(struct line *l, const struct arg_view *v, uaddr_t a)
{
	uint64_t set;

	if (!get(v, &set, a, sizeof(set)))
		return false;
	sigset_show(l, set);
	return true;
}

static bool show_sigaction(struct line *l, const struct arg_view *v, uaddr_t a)
{
	struct linux_sigaction sa;

	if (!get(v, &sa, a, sizeof(sa)))
		return false;
	if (sa.sa_handler == LINUX_SIG_DFL || sa.sa_handler == LINUX_SIG_IGN)
		line_add(l, "{sa_handler=%s, sa_mask=", sa.sa_handler == LINUX_SIG_DFL ? "SIG_DFL" : "SIG_IGN");
	else
		line_add(l, "{sa_handler=0x%llx, sa_mask=", (unsigned long long)sa.sa_handler);
	sigset_show(l, sa.sa_mask);
	line_add(l, ", sa_flags=");
	(void)flags_show(l, A_SIGACTION, sa.sa_flags);
	if (sa.sa_flags & LINUX_SA_RESTORER)
		line_add(l, ", sa_restorer=0x%llx", (unsigned long long)sa.sa_restorer);
	line_add(l, "}");
	return true;
}

static void show_in_addr(struct line *l, const uint8_t *b, size_t n)
{
	size_t i;

	if (n == 4) {
		line_add(l, "inet_addr(\"%u.%u.%u.%u\")", b[0], b[1], b[2], b[3]);
		return;
	}
	line_add(l, "\"");
	for (i = 0; i < 16; i += 2)
		line_add(l, "%s%x", i ? ":" : "", get_be16(b + i));
	line_add(l, "\"");
}

static void show_sockaddr(struct line *l, const uint8_t *b, size_t len)
{
	uint16_t family = len >= 2 ? get_le16(b) : 0;
	size_t n;

	line_add(l, "{sa_family=");
	if (!value_show(l, A_AF, family))
		line_add(l, "%u", family);
	if (family == LINUX_AF_UNIX && len > 2) {
		bool abstract = b[2] == 0;

		n = abstract ? len - 3 : strnlen((const char *)b + 2, len - 2);
		line_add(l, ", sun_path=%s", abstract ? "@" : "");
		line_quote(l, b + 2 + abstract, n);
	} else if (family == LINUX_AF_INET && len >= 8) {
		line_add(l, ", sin_port=htons(%u), sin_addr=", get_be16(b + 2));
		show_in_addr(l, b + 4, 4);
	} else if (family == LINUX_AF_INET6 && len >= 24) {
		line_add(l, ", sin6_port=htons(%u), sin6_addr=", get_be16(b + 2));
		show_in_addr(l, b + 8, 16);
	} else if (len > 2) {
		line_add(l, ", sa_data=");
		line_quote(l, b + 2, MIN(len - 2, (size_t)14));
	}
	line_add(l, "}");
}

static bool show_user_sockaddr(struct line *l, const struct arg_view *v, uaddr_t a, uint64_t len)
{
	uint8_t b[128];

	len = MIN(len, (uint64_t)sizeof(b));
	if (!len || !get(v, b, a, len))
		return false;
	show_sockaddr(l, b, len);
	return true;
}

static bool show_out_sockaddr(struct line *l, const struct arg_view *v, uaddr_t a, uaddr_t ulen)
{
	int32_t len;

	return get(v, &len, ulen, sizeof(len)) && len > 0 && show_user_sockaddr(l, v, a, (uint64_t)len);
}

/* out: only the first done bytes hold something */
static bool show_iov(struct line *l, const struct arg_view *v, uaddr_t a, uint64_t count, uint64_t done)
{
	uint64_t i;

	if (!a)
		return false;
	line_add(l, "[");
	for (i = 0; i < MIN(count, (uint64_t)8); i++) {
		struct linux_iovec iov;
		unsigned char buf[256];
		size_t n;

		if (!get(v, &iov, a + i * sizeof(iov), sizeof(iov)))
			break;
		n = MIN(MIN(iov.iov_len, done), (uint64_t)v->st->string_size);
		n = MIN(n, sizeof(buf));
		line_add(l, "%s{iov_base=", i ? ", " : "");
		if (get(v, buf, iov.iov_base, n)) {
			line_quote(l, buf, n);
			if (n < MIN(iov.iov_len, done))
				line_add(l, "...");
		} else {
			line_add(l, "0x%llx", (unsigned long long)iov.iov_base);
		}
		line_add(l, ", iov_len=%llu}", (unsigned long long)iov.iov_len);
		done -= MIN(iov.iov_len, done);
	}
	line_add(l, i < count ? ", ...]" : "]");
	return true;
}

static bool show_msghdr(struct line *l, const struct arg_view *v, uaddr_t a, uint64_t done)
{
	struct linux_msghdr h;

	if (!get(v, &h, a, sizeof(h)))
		return false;
	line_add(l, "{msg_name=");
	if (h.msg_namelen <= 0 || !show_user_sockaddr(l, v, h.msg_name, (uint64_t)h.msg_namelen))
		line_add(l, "NULL");
	line_add(l, ", msg_namelen=%d, msg_iov=", h.msg_namelen);
	if (!show_iov(l, v, h.msg_iov, h.msg_iovlen, done))
		line_add(l, "NULL");
	line_add(l, ", msg_iovlen=%llu, msg_controllen=%llu, msg_flags=", (unsigned long long)h.msg_iovlen,
		 (unsigned long long)h.msg_controllen);
	(void)flags_show(l, A_MSGFLAGS, (uint32_t)h.msg_flags);
	line_add(l, "}");
	return true;
}

static bool show_pollfds(struct line *l, const struct arg_view *v, uaddr_t a, uint64_t count)
{
	bool results = v->done && v->ret > 0;
	uint64_t i;

	if (!a)
		return false;
	line_add(l, "[");
	for (i = 0; i < MIN(count, (uint64_t)16); i++) {
		struct linux_pollfd p;

		if (!get(v, &p, a + i * sizeof(p), sizeof(p)))
			break;
		line_add(l, "%s{fd=%d, events=", i ? ", " : "", p.fd);
		(void)flags_show(l, A_POLLFD, (uint16_t)p.events);
		if (results && p.revents) {
			line_add(l, ", revents=");
			(void)flags_show(l, A_POLLFD, (uint16_t)p.revents);
		}
		line_add(l, "}");
	}
	line_add(l, i < count ? ", ...]" : "]");
	return true;
}

static bool show_epoll(struct line *l, const struct arg_view *v, uaddr_t a, int64_t count)
{
	int64_t i;

	if (count < 0 || (count && !a))
		return false;
	if (count != 1 || v->kinds[1] == A_EPOLL_OUT)
		line_add(l, "[");
	for (i = 0; i < MIN(count, (int64_t)16); i++) {
		struct linux_epoll_event e;

		if (!get(v, &e, a + (uint64_t)i * sizeof(e), sizeof(e)))
			break;
		line_add(l, "%s{events=", i ? ", " : "");
		(void)flags_show(l, A_EPOLL_EVENT, e.events);
		line_add(l, ", data=0x%llx}", (unsigned long long)e.data);
	}
	if (count != 1 || v->kinds[1] == A_EPOLL_OUT)
		line_add(l, i < count ? ", ...]" : "]");
	return true;
}

static bool show_fdset(struct line *l, const struct arg_view *v, uaddr_t a)
{
	uint32_t n = (uint32_t)v->ev->args[0], i;
	uint64_t words[16] = {0};
	bool first = true;

	n = MIN(n, 1024u);
	if (!n || !get(v, words, a, ROUND_UP(n, 64u) / 8))
		return false;
	line_add(l, "[");
	for (i = 0; i < n; i++) {
		if (!(words[i / 64] >> (i % 64) & 1))
			continue;
		line_add(l, "%s%u", first ? "" : " ", i);
		first = false;
	}
	line_add(l, "]");
	return true;
}

static bool show_int(struct line *l, const struct arg_view *v, uaddr_t a)
{
	int32_t n;

	if (!get(v, &n, a, sizeof(n)))
		return false;
	line_add(l, "[%d]", n);
	return true;
}

static bool show_pair(struct line *l, const struct arg_view *v, uaddr_t a)
{
	int32_t n[2];

	if (!get(v, n, a, sizeof(n)))
		return false;
	line_add(l, "[%d, %d]", n[0], n[1]);
	return true;
}

static bool show_wstatus(struct line *l, const struct arg_view *v, uaddr_t a)
{
	int32_t s;

	if (v->ret <= 0 || !get(v, &s, a, sizeof(s)))
		return false;
	if ((s & 0x7f) == 0) {
		line_add(l, "[{WIFEXITED(s) && WEXITSTATUS(s) == %d}]", s >> 8 & 0xff);
	} else if ((s & 0xff) == 0x7f) {
		line_add(l, s == 0xffff ? "[{WIFCONTINUED(s)" : "[{WIFSTOPPED(s) && WSTOPSIG(s) == ");
		if (s != 0xffff)
			signal_show(l, s >> 8 & 0xff);
		line_add(l, "}]");
	} else {
		line_add(l, "[{WIFSIGNALED(s) && WTERMSIG(s) == ");
		signal_show(l, s & 0x7f);
		line_add(l, "%s}]", s & 0x80 ? " && WCOREDUMP(s)" : "");
	}
	return true;
}

static bool show_rlimit(struct line *l, const struct arg_view *v, uaddr_t a)
{
	struct linux_rlimit r;

	if (!get(v, &r, a, sizeof(r)))
		return false;
	line_add(l, "{rlim_cur=");
	line_add(l, r.rlim_cur == LINUX_RLIM_INFINITY ? "RLIM64_INFINITY" : "%llu",
		 (unsigned long long)r.rlim_cur);
	line_add(l, ", rlim_max=");
	line_add(l, r.rlim_max == LINUX_RLIM_INFINITY ? "RLIM64_INFINITY" : "%llu",
		 (unsigned long long)r.rlim_max);
	line_add(l, "}");
	return true;
}

static bool show_clone3(struct line *l, const struct arg_view *v, uaddr_t a)
{
	struct linux_clone_args c;

	if (v->ev->args[1] < 64 || !get(v, &c, a, 64))
		return false;
	line_add(l, "{flags=");
	(void)flags_show(l, A_CLONE, c.flags);
	line_add(l, ", exit_signal=");
	signal_show(l, (int)c.exit_signal);
	line_add(l, ", stack=0x%llx, stack_size=0x%llx, ...}", (unsigned long long)c.stack,
		 (unsigned long long)c.stack_size);
	return true;
}

static bool show_utsname(struct line *l, const struct arg_view *v, uaddr_t a)
{
	struct linux_utsname u;

	if (!get(v, &u, a, sizeof(u)))
		return false;
	line_add(l, "{sysname=\"%.64s\", nodename=\"%.64s\", ...}", u.sysname, u.nodename);
	return true;
}

static bool show_dents(struct line *l, const struct arg_view *v, uaddr_t a)
{
	uint16_t reclen;
	int64_t off;
	uint32_t n = 0;

	for (off = 0; off < v->ret && get(v, &reclen, a + (uint64_t)off + 16, 2) && reclen; off += reclen)
		n++;
	line_add(l, "0x%llx /* %u entries */", (unsigned long long)a, n);
	return true;
}

bool struct_show(struct line *l, const struct arg_view *v, int i)
{
	uint64_t a = v->ev->args[i], next = i < 5 ? v->ev->args[i + 1] : 0;
	bool ok = v->done && (v->ret >= 0 || v->ret < -4095);

	switch (v->kinds[i]) {
	case A_TIMESPEC:
		return show_time(l, v, a, "tv_nsec");
	case A_TIMEVAL:
		return show_time(l, v, a, "tv_usec");
	case A_SIGSET:
		return show_sigset(l, v, a);
	case A_SIGACTION:
		return show_sigaction(l, v, a);
	case A_SOCKADDR:
		return show_user_sockaddr(l, v, a, next);
	case A_IOV:
		return show_iov(l, v, a, next, UINT64_MAX);
	case A_MSGHDR:
		return show_msghdr(l, v, a, UINT64_MAX);
	case A_POLLFD:
		return show_pollfds(l, v, a, next);
	case A_EPOLL_EVENT:
		return show_epoll(l, v, a, a ? 1 : 0) && a;
	case A_FDSET:
		return show_fdset(l, v, a);
	case A_RLIMIT:
		return show_rlimit(l, v, a);
	case A_CLONE3:
		return show_clone3(l, v, a);
	default:
		break;
	}
	if (!ok)
		return false;
	switch (v->kinds[i]) {
	case A_STAT_OUT:
		return show_stat(l, v, a);
	case A_STATX_OUT:
		return show_statx(l, v, a);
	case A_STATFS_OUT:
		return show_statfs(l, v, a);
	case A_TIMESPEC_OUT:
		return show_time(l, v, a, "tv_nsec");
	case A_TIMEVAL_OUT:
		return show_time(l, v, a, "tv_usec");
	case A_SIGSET_OUT:
		return show_sigset(l, v, a);
	case A_SIGACTION_OUT:
		return show_sigaction(l, v, a);
	case A_SOCKADDR_OUT:
		return show_out_sockaddr(l, v, a, next);
	case A_LEN_OUT:
		return show_int(l, v, a);
	case A_IOV_OUT:
		return show_iov(l, v, a, next, (uint64_t)v->ret);
	case A_MSGHDR_OUT:
		return show_msghdr(l, v, a, (uint64_t)v->ret);
	case A_EPOLL_OUT:
		return show_epoll(l, v, a, v->ret);
	case A_WSTATUS_OUT:
		return show_wstatus(l, v, a);
	case A_RLIMIT_OUT:
		return show_rlimit(l, v, a);
	case A_PAIR_OUT:
		return show_pair(l, v, a);
	case A_UTSNAME_OUT:
		return show_utsname(l, v, a);
	case A_DENTS_OUT:
		return show_dents(l, v, a);
	default:
		return false;
	}
}
