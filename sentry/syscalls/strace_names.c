/* strace_names.c: names of flags and values, for the trace. */
#include <string.h>

#include "platform/base/errname.h"
#include "platform/abi/futex.h"
#include "platform/abi/ioctl.h"
#include "platform/abi/resource.h"
#include "platform/abi/sched.h"
#include "platform/abi/socket.h"
#include "platform/abi/time.h"
#include "sentry/syscalls/strace_internal.h"

#define N(n)                                                                                                   \
	{                                                                                                      \
		LINUX_##n, #n                                                                                  \
	}

static const struct name open_flags[] = {
	N(O_CREAT),   N(O_EXCL),      N(O_NOCTTY),  N(O_TRUNC),	  N(O_APPEND),	  N(O_NONBLOCK),
	N(O_SYNC),    N(O_DSYNC),     N(O_ASYNC),   N(O_DIRECT),  N(O_LARGEFILE), N(O_NOFOLLOW),
	N(O_TMPFILE), N(O_DIRECTORY), N(O_NOATIME), N(O_CLOEXEC), N(O_PATH),	  {0, NULL},
};
static const struct name at_flags[] = {
	N(AT_SYMLINK_NOFOLLOW), {LINUX_AT_REMOVEDIR, "AT_REMOVEDIR"},
	N(AT_SYMLINK_FOLLOW),	N(AT_NO_AUTOMOUNT),
	N(AT_EMPTY_PATH),	N(AT_STATX_FORCE_SYNC),
	N(AT_STATX_DONT_SYNC),	{0, NULL},
};
static const struct name prot_flags[] = {
	N(PROT_READ),	   N(PROT_WRITE),   N(PROT_EXEC),     N(PROT_SEM),
	N(PROT_GROWSDOWN), N(PROT_GROWSUP), {0, "PROT_NONE"},
};
static const struct name map_flags[] = {
	N(MAP_SHARED_VALIDATE), N(MAP_SHARED),	  N(MAP_PRIVATE),    N(MAP_FIXED),   N(MAP_ANONYMOUS),
	N(MAP_GROWSDOWN),	N(MAP_DENYWRITE), N(MAP_EXECUTABLE), N(MAP_LOCKED),  N(MAP_NORESERVE),
	N(MAP_POPULATE),	N(MAP_NONBLOCK),  N(MAP_STACK),	     N(MAP_HUGETLB), N(MAP_32BIT),
	N(MAP_FIXED_NOREPLACE), {0, NULL},
};
static const struct name access_flags[] = {
	{4, "R_OK"},
	{2, "W_OK"},
	{1, "X_OK"},
	{0, "F_OK"},
};
static const struct name msg_flags[] = {
	N(MSG_OOB),	 N(MSG_PEEK),	    N(MSG_DONTROUTE),	 N(MSG_CTRUNC),	  N(MSG_TRUNC),
	N(MSG_DONTWAIT), N(MSG_EOR),	    N(MSG_WAITALL),	 N(MSG_NOSIGNAL), N(MSG_MORE),
	N(MSG_ERRQUEUE), N(MSG_WAITFORONE), N(MSG_CMSG_CLOEXEC), {0, NULL},
};
static const struct name poll_flags[] = {
	N(POLLIN),     N(POLLPRI),    N(POLLOUT),    N(POLLERR),    N(POLLHUP),	  N(POLLNVAL),
	N(POLLRDNORM), N(POLLRDBAND), N(POLLWRNORM), N(POLLWRBAND), N(POLLRDHUP), {0, NULL},
};
static const struct name epoll_flags[] = {
	N(EPOLLIN),	   N(EPOLLPRI),	   N(EPOLLOUT),	    N(EPOLLERR),    N(EPOLLHUP),
	N(EPOLLRDNORM),	   N(EPOLLRDBAND), N(EPOLLWRNORM),  N(EPOLLWRBAND), N(EPOLLRDHUP),
	N(EPOLLEXCLUSIVE), N(EPOLLWAKEUP), N(EPOLLONESHOT), N(EPOLLET),	    {0, NULL},
};
static const struct name clone_flags[] = {
	N(CLONE_VM),
	N(CLONE_FS),
	N(CLONE_FILES),
	N(CLONE_SIGHAND),
	N(CLONE_PIDFD),
	N(CLONE_PTRACE),
	N(CLONE_VFORK),
	N(CLONE_PARENT),
	N(CLONE_THREAD),
	N(CLONE_NEWNS),
	N(CLONE_SYSVSEM),
	N(CLONE_SETTLS),
	N(CLONE_PARENT_SETTID),
	N(CLONE_CHILD_CLEARTID),
	N(CLONE_UNTRACED),
	N(CLONE_CHILD_SETTID),
	N(CLONE_NEWCGROUP),
	N(CLONE_NEWUTS),
	N(CLONE_NEWIPC),
	N(CLONE_NEWUSER),
	N(CLONE_NEWPID),
	N(CLONE_NEWNET),
	N(CLONE_IO),
	{0, NULL},
};
static const struct name sa_flags[] = {
	N(SA_RESTORER),	 N(SA_ONSTACK),	  N(SA_RESTART), N(SA_NODEFER), {LINUX_SA_RESETHAND, "SA_RESETHAND"},
	N(SA_NOCLDSTOP), N(SA_NOCLDWAIT), N(SA_SIGINFO), {0, NULL},
};
static const struct name rename_flags[] = {
	N(RENAME_NOREPLACE),
	N(RENAME_EXCHANGE),
	N(RENAME_WHITEOUT),
	{0, NULL},
};
static const struct name fd_flags[] = {
	{LINUX_O_NONBLOCK, "NONBLOCK"},
	{LINUX_O_CLOEXEC, "CLOEXEC"},
	{LINUX_O_DIRECT, "DIRECT"},
	{1, "SEMAPHORE"},
	{0, NULL},
};
static const struct name mount_flags[] = {
	N(MS_RDONLY),  N(MS_NOSUID),   N(MS_NODEV),	  N(MS_NOEXEC),	 N(MS_SYNCHRONOUS),
	N(MS_REMOUNT), N(MS_NOATIME),  N(MS_NODIRATIME),  N(MS_BIND),	 N(MS_MOVE),
	N(MS_REC),     N(MS_SILENT),   N(MS_UNBINDABLE),  N(MS_PRIVATE), N(MS_SLAVE),
	N(MS_SHARED),  N(MS_RELATIME), N(MS_STRICTATIME), {0, NULL},
};
static const struct name umount_flags[] = {
	{1, "MNT_FORCE"}, {2, "MNT_DETACH"}, {4, "MNT_EXPIRE"}, {8, "UMOUNT_NOFOLLOW"}, {0, NULL},
};
static const struct name wait_flags[] = {
	{1, "WNOHANG"},		{2, "WUNTRACED"},	  {4, "WEXITED"},
	{8, "WCONTINUED"},	{0x1000000, "WNOWAIT"},	  {0x20000000, "__WNOTHREAD"},
	{0x40000000, "__WALL"}, {0x80000000, "__WCLONE"}, {0, NULL},
};
static const struct name msync_flags[] = {
	N(MS_ASYNC),
	N(MS_INVALIDATE),
	N(MS_SYNC),
	{0, NULL},
};
static const struct name flock_flags[] = {
	N(LOCK_SH), N(LOCK_EX), N(LOCK_NB), N(LOCK_UN), {0, NULL},
};
static const struct name mremap_flags[] = {
	N(MREMAP_MAYMOVE),
	N(MREMAP_FIXED),
	N(MREMAP_DONTUNMAP),
	{0, NULL},
};

static const struct {
	enum arg_kind kind;
	const struct name *names;
} flag_tables[] = {
	{A_OFLAGS, open_flags},	 {A_ATFLAGS, at_flags},	       {A_PROT, prot_flags},
	{A_MMAP, map_flags},	 {A_ACCESS, access_flags},     {A_MSGFLAGS, msg_flags},
	{A_POLLFD, poll_flags},	 {A_EPOLL_EVENT, epoll_flags}, {A_CLONE, clone_flags},
	{A_SIGACTION, sa_flags}, {A_RENAME, rename_flags},     {A_EFD, fd_flags},
	{A_MOUNT, mount_flags},	 {A_UMOUNT, umount_flags},     {A_WAITOPT, wait_flags},
	{A_MSYNC, msync_flags},	 {A_FLOCK, flock_flags},       {A_MREMAP, mremap_flags},
};

/* Kinds that name the bits of a structure's field: the argument itself is a pointer. */
static bool is_pointer(enum arg_kind kind)
{
	return kind == A_POLLFD || kind == A_EPOLL_EVENT || kind == A_SIGACTION;
}

static void show_flags(struct line *l, const struct name *n, uint64_t v)
{
	bool first = true;

	for (; n->value; n++) {
		if ((v & n->value) != n->value)
			continue;
		line_add(l, "%s%s", first ? "" : "|", n->name);
		v &= ~n->value;
		first = false;
	}
	if (v || first) {
		if (first && !v)
			line_add(l, "%s", n->name ? n->name : "0");
		else
			line_add(l, "%s0x%llx", first ? "" : "|", (unsigned long long)v);
	}
}

bool flags_show(struct line *l, enum arg_kind which, uint64_t v)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(flag_tables); i++) {
		if (flag_tables[i].kind != which)
			continue;
		/* an address has more bits than any of these words */
		if (is_pointer(which) && v > UINT32_MAX)
			return false;
		if (which == A_CLONE && (v & 0xff)) {
			show_flags(l, clone_flags, v & ~0xffULL);
			line_add(l, "|");
			signal_show(l, (int)(v & 0xff));
		} else {
			show_flags(l, flag_tables[i].names, v);
		}
		return true;
	}
	return false;
}

static const struct name whence_names[] = {
	N(SEEK_SET), N(SEEK_CUR), N(SEEK_END), N(SEEK_DATA), N(SEEK_HOLE), {0, NULL},
};
static const struct name fcntl_names[] = {
	N(F_DUPFD),	N(F_GETFD),	N(F_SETFD),	    N(F_GETFL),	     N(F_SETFL),      N(F_GETLK),
	N(F_SETLK),	N(F_SETLKW),	N(F_SETOWN),	    N(F_GETOWN),     N(F_SETSIG),     N(F_GETSIG),
	N(F_SETOWN_EX), N(F_GETOWN_EX), N(F_OFD_GETLK),	    N(F_OFD_SETLK),  N(F_OFD_SETLKW), N(F_SETLEASE),
	N(F_GETLEASE),	N(F_NOTIFY),	N(F_DUPFD_CLOEXEC), N(F_SETPIPE_SZ), N(F_GETPIPE_SZ), N(F_ADD_SEALS),
	N(F_GET_SEALS), {0, NULL},
};
static const struct name ioctl_names[] = {
	N(TCGETS),    N(TCSETS),    N(TCSETSW),	  N(TCSETSF),  N(TIOCGWINSZ), N(TIOCSWINSZ), N(TIOCGPGRP),
	N(TIOCSPGRP), N(TIOCSCTTY), N(TIOCNOTTY), N(TIOCGPTN), N(TIOCSPTLCK), N(FIONREAD),   N(FIONBIO),
	N(FIOCLEX),   N(FIONCLEX),  N(FIOASYNC),  N(FICLONE),  {0, NULL},
};
static const struct name clock_names[] = {
	N(CLOCK_REALTIME),
	N(CLOCK_MONOTONIC),
	N(CLOCK_PROCESS_CPUTIME_ID),
	N(CLOCK_THREAD_CPUTIME_ID),
	N(CLOCK_MONOTONIC_RAW),
	N(CLOCK_REALTIME_COARSE),
	N(CLOCK_MONOTONIC_COARSE),
	N(CLOCK_BOOTTIME),
	N(CLOCK_TAI),
	{0, NULL},
};
static const struct name sighow_names[] = {
	N(SIG_BLOCK),
	N(SIG_UNBLOCK),
	N(SIG_SETMASK),
	{0, NULL},
};
static const struct name af_names[] = {
	N(AF_UNSPEC), N(AF_UNIX), N(AF_INET), N(AF_INET6), N(AF_NETLINK), N(AF_PACKET), {0, NULL},
};
static const struct name sol_names[] = {
	N(SOL_SOCKET), {0, "SOL_IP"}, {6, "SOL_TCP"}, {17, "SOL_UDP"}, {41, "SOL_IPV6"}, {0, NULL},
};
static const struct name so_names[] = {
	N(SO_DEBUG),	 N(SO_REUSEADDR),  N(SO_TYPE),	    N(SO_ERROR),     N(SO_DONTROUTE), N(SO_BROADCAST),
	N(SO_SNDBUF),	 N(SO_RCVBUF),	   N(SO_KEEPALIVE), N(SO_OOBINLINE), N(SO_PRIORITY),  N(SO_LINGER),
	N(SO_REUSEPORT), N(SO_PASSCRED),   N(SO_PEERCRED),  N(SO_RCVLOWAT),  N(SO_SNDLOWAT),  N(SO_RCVTIMEO),
	N(SO_SNDTIMEO),	 N(SO_ACCEPTCONN), N(SO_PROTOCOL),  N(SO_DOMAIN),    {0, NULL},
};
static const struct name epoll_ops[] = {
	N(EPOLL_CTL_ADD),
	N(EPOLL_CTL_DEL),
	N(EPOLL_CTL_MOD),
	{0, NULL},
};
static const struct name rlimit_names[] = {
	N(RLIMIT_CPU),	    N(RLIMIT_FSIZE), N(RLIMIT_DATA),   N(RLIMIT_STACK),
	N(RLIMIT_CORE),	    N(RLIMIT_RSS),   N(RLIMIT_NPROC),  N(RLIMIT_NOFILE),
	N(RLIMIT_MEMLOCK),  N(RLIMIT_AS),    N(RLIMIT_LOCKS),  N(RLIMIT_SIGPENDING),
	N(RLIMIT_MSGQUEUE), N(RLIMIT_NICE),  N(RLIMIT_RTPRIO), N(RLIMIT_RTTIME),
	{0, NULL},
};
static const struct name prctl_names[] = {
	N(PR_SET_PDEATHSIG),
	N(PR_GET_PDEATHSIG),
	N(PR_GET_DUMPABLE),
	N(PR_SET_DUMPABLE),
	N(PR_SET_NAME),
	N(PR_GET_NAME),
	N(PR_GET_SECCOMP),
	N(PR_SET_SECCOMP),
	N(PR_CAPBSET_READ),
	N(PR_CAPBSET_DROP),
	N(PR_SET_NO_NEW_PRIVS),
	N(PR_GET_NO_NEW_PRIVS),
	N(PR_SET_CHILD_SUBREAPER),
	N(PR_SET_VMA),
	N(PR_CAP_AMBIENT),
	N(PR_SET_MM),
	N(PR_SET_KEEPCAPS),
	N(PR_SET_SECUREBITS),
	N(PR_GET_SECUREBITS),
	N(PR_SET_TIMERSLACK),
	{0, NULL},
};
static const struct name arch_prctl_names[] = {
	{0x1001, "ARCH_SET_GS"}, {0x1002, "ARCH_SET_FS"},     {0x1003, "ARCH_GET_FS"},
	{0x1004, "ARCH_GET_GS"}, {0x3001, "ARCH_CET_STATUS"}, {0, NULL},
};
static const struct name madvise_names[] = {
	N(MADV_NORMAL),	    N(MADV_RANDOM),   N(MADV_SEQUENTIAL), N(MADV_WILLNEED),   N(MADV_DONTNEED),
	N(MADV_FREE),	    N(MADV_REMOVE),   N(MADV_DONTFORK),	  N(MADV_DOFORK),     N(MADV_HUGEPAGE),
	N(MADV_NOHUGEPAGE), N(MADV_DONTDUMP), N(MADV_DODUMP),	  N(MADV_WIPEONFORK), N(MADV_COLD),
	N(MADV_PAGEOUT),    {0, NULL},
};
static const struct name socktype_names[] = {
	N(SOCK_STREAM), N(SOCK_DGRAM), N(SOCK_RAW), N(SOCK_RDM), N(SOCK_SEQPACKET), N(SOCK_PACKET), {0, NULL},
};
static const struct name futex_names[] = {
	N(FUTEX_WAIT),	      N(FUTEX_WAKE),	    N(FUTEX_REQUEUE),	N(FUTEX_CMP_REQUEUE),
	N(FUTEX_WAKE_OP),     N(FUTEX_LOCK_PI),	    N(FUTEX_UNLOCK_PI), N(FUTEX_TRYLOCK_PI),
	N(FUTEX_WAIT_BITSET), N(FUTEX_WAKE_BITSET), {0, NULL},
};

static const struct {
	enum arg_kind kind;
	const struct name *names;
} value_tables[] = {
	{A_WHENCE, whence_names},   {A_FCNTL, fcntl_names},
	{A_IOCTL, ioctl_names},	    {A_CLOCK, clock_names},
	{A_SIGHOW, sighow_names},   {A_AF, af_names},
	{A_SOL, sol_names},	    {A_SO, so_names},
	{A_EPOLL_OP, epoll_ops},    {A_RLIMIT_NAME, rlimit_names},
	{A_PRCTL, prctl_names},	    {A_ARCH_PRCTL, arch_prctl_names},
	{A_MADVISE, madvise_names},
};

static const char *find(const struct name *n, uint64_t v)
{
	for (; n->name; n++)
		if (n->value == v)
			return n->name;
	return NULL;
}

static bool show_futex(struct line *l, uint64_t v)
{
	const char *name =
		find(futex_names, v & ~(uint64_t)(LINUX_FUTEX_PRIVATE_FLAG | LINUX_FUTEX_CLOCK_REALTIME));

	if (!name)
		return false;
	line_add(l, "%s%s%s", name, v & LINUX_FUTEX_PRIVATE_FLAG ? "_PRIVATE" : "",
		 v & LINUX_FUTEX_CLOCK_REALTIME ? "|FUTEX_CLOCK_REALTIME" : "");
	return true;
}

static bool show_socktype(struct line *l, uint64_t v)
{
	const char *name = find(socktype_names, v & 0xf);

	if (!name)
		return false;
	line_add(l, "%s%s%s", name, v & LINUX_SOCK_CLOEXEC ? "|SOCK_CLOEXEC" : "",
		 v & LINUX_SOCK_NONBLOCK ? "|SOCK_NONBLOCK" : "");
	return true;
}

bool value_show(struct line *l, enum arg_kind which, uint64_t v)
{
	const char *name = NULL;
	size_t i;

	if (which == A_FUTEX)
		return show_futex(l, (uint32_t)v);
	if (which == A_SOCKTYPE)
		return show_socktype(l, (uint32_t)v);
	for (i = 0; i < ARRAY_SIZE(value_tables); i++)
		if (value_tables[i].kind == which)
			name = find(value_tables[i].names, (uint32_t)v);
	if (name)
		line_add(l, "%s", name);
	return name != NULL;
}

void signal_show(struct line *l, int sig)
{
	const char *name = sig > 0 && sig < 32 ? signal_name(sig) : NULL;

	if (name)
		line_add(l, "SIG%s", name);
	else if (sig == 32)
		line_add(l, "SIGRTMIN");
	else if (sig > 32 && sig <= 64)
		line_add(l, "SIGRT_%d", sig - 32);
	else
		line_add(l, "%d", sig);
}

void sigset_show(struct line *l, uint64_t set)
{
	bool negate = __builtin_popcountll(set) > 48, first = true;
	int sig;

	if (negate)
		set = ~set;
	line_add(l, "%s[", negate ? "~" : "");
	for (sig = 1; sig <= 64; sig++) {
		const char *name;

		if (!(set >> (sig - 1) & 1))
			continue;
		name = sig < 32 ? signal_name(sig) : NULL;
		if (name)
			line_add(l, "%s%s", first ? "" : " ", name);
		else
			line_add(l, "%sRT_%d", first ? "" : " ", sig - 32);
		first = false;
	}
	line_add(l, "]");
}
