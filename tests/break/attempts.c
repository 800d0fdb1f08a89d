/* attempts.c: the table of attempts that either taken-over program makes, and how they are made. */
#include "tests/break/attempts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/break/special.h"

#define P(s) ((long)(s))

static char page[4096] __attribute__((aligned(4096)));
static struct rlimit more = {1 << 20, 1 << 20};
static struct sockaddr_storage address = {.ss_family = AF_UNIX};
static struct clone_args args3 = {.exit_signal = SIGCHLD};
static const char *const no_argv[] = {"sh", NULL};

/* Not on either program's list. */
static const struct attempt both[] = {
	/* files */
	{"open", SYS_open, {P("/etc/passwd"), O_RDONLY}},
	{"creat", SYS_creat, {P("/tmp/x"), 0600}},
	{"stat", SYS_stat, {P("/"), P(page)}},
	{"chdir", SYS_chdir, {P("/")}},
	{"fchdir", SYS_fchdir, {2}},
	{"chroot", SYS_chroot, {P("/")}},
	{"truncate", SYS_truncate, {P("/etc/passwd"), 0}},
	{"name_to_handle_at", SYS_name_to_handle_at, {AT_FDCWD, P("/"), P(page), P(page), 0}},
	{"open_by_handle_at", SYS_open_by_handle_at, {2, P(page), O_RDONLY}},
	{"memory that runs", SYS_mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}},
	{"memory made to run", SYS_mprotect, {P(page), 4096, PROT_READ | PROT_EXEC}},
	{"pkey_mprotect", SYS_pkey_mprotect, {P(page), 4096, PROT_READ | PROT_EXEC, -1}},
	{"fanotify", SYS_fanotify_init, {0, 0}},
	{"inotify", SYS_inotify_init1, {0}},
	/* descriptors */
	{"losing append mode", SYS_fcntl, {2, F_SETFL, 0}},
	{"signals from a descriptor", SYS_fcntl, {2, F_SETOWN, 1}},
	{"typing into the terminal", SYS_ioctl, {2, TIOCSTI, P(page)}},
	{"taking the terminal", SYS_ioctl, {2, TIOCSCTTY, 1}},
	{"another request", SYS_ioctl, {2, FIOASYNC, P(page)}},
	/* sockets */
	{"inet socket", SYS_socket, {AF_INET, SOCK_STREAM, 0}},
	{"netlink socket", SYS_socket, {AF_NETLINK, SOCK_RAW, 0}},
	{"packet socket", SYS_socket, {AF_PACKET, SOCK_RAW, 0}},
	{"vsock socket", SYS_socket, {AF_VSOCK, SOCK_STREAM, 0}},
	{"unix socket", SYS_socket, {AF_UNIX, SOCK_STREAM, 0}},
	{"inet socket pair", SYS_socketpair, {AF_INET, SOCK_STREAM, 0, P(page)}},
	{"bind", SYS_bind, {2, P(&address), sizeof(address)}},
	{"connect", SYS_connect, {2, P(&address), sizeof(address)}},
	{"listen", SYS_listen, {2, 1}},
	{"accept", SYS_accept4, {2, 0, 0, 0}},
	{"socket option", SYS_setsockopt, {2, SOL_SOCKET, SO_RCVBUF, P(page), 4}},
	/* processes */
	{"fork", SYS_fork, {0}},
	{"vfork", SYS_vfork, {0}},
	{"clone like fork", SYS_clone, {SIGCHLD, 0, 0, 0, 0}},
	{"clone into namespaces", SYS_clone, {CLONE_NEWUSER | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0}},
	{"clone3", SYS_clone3, {P(&args3), sizeof(args3)}, {ENOSYS}},
	{"execve", SYS_execve, {P("/bin/sh"), P(no_argv), 0}},
	{"execveat", SYS_execveat, {2, P(""), P(no_argv), 0, AT_EMPTY_PATH}},
	{"unshare", SYS_unshare, {CLONE_NEWUSER}},
	{"setns", SYS_setns, {2, 0}},
	{"pidfd_open", SYS_pidfd_open, {1, 0}},
	{"pidfd_getfd", SYS_pidfd_getfd, {2, 0, 0}},
	{"setpriority", SYS_setpriority, {0, 0, -20}},
	{"more descriptors", SYS_prlimit64, {0, RLIMIT_NOFILE, P(&more), 0}},
	{"dumpable again", SYS_prctl, {PR_SET_DUMPABLE, 1}},
	{"its parent's death", SYS_prctl, {PR_SET_PDEATHSIG, 0}},
	{"seccomp", SYS_seccomp, {0, 0, 0}},
	{"setuid", SYS_setuid, {0}},
	{"setresuid", SYS_setresuid, {0, 0, 0}},
	{"setgroups", SYS_setgroups, {0, 0}},
	{"capset", SYS_capset, {P(page), P(page)}},
	{"a signal handler", SYS_rt_sigaction, {SIGSYS, 0, P(page), 8}},
	{"personality", SYS_personality, {0}},
	{"modify_ldt", SYS_modify_ldt, {0, P(page), 16}},
	/* mounts */
	{"mount", SYS_mount, {P("none"), P("/"), P("proc"), 0, 0}},
	{"umount", SYS_umount2, {P("/"), 2}},
	{"pivot_root", SYS_pivot_root, {P("."), P(".")}},
	{"fsopen", SYS_fsopen, {P("tmpfs"), 0}},
	{"open_tree", SYS_open_tree, {AT_FDCWD, P("/"), 1}},
	{"move_mount", SYS_move_mount, {2, P(""), AT_FDCWD, P("/"), 4}},
	{"mount_setattr", SYS_mount_setattr, {2, P(""), AT_EMPTY_PATH, P(page), 32}},
	/* keys, modules, and the rest of what a kernel must not be asked by it */
	{"add_key", SYS_add_key, {P("user"), P("x"), P(page), 1, -3}},
	{"request_key", SYS_request_key, {P("user"), P("x"), 0, -3}},
	{"keyctl", SYS_keyctl, {0, -3, 1}},
	{"init_module", SYS_init_module, {P(page), 4096, P("")}},
	{"finit_module", SYS_finit_module, {2, P(""), 0}},
	{"delete_module", SYS_delete_module, {P("x"), 0}},
	{"kexec", SYS_kexec_load, {0, 0, 0, 0}},
	{"bpf", SYS_bpf, {0, P(page), 64}},
	{"perf", SYS_perf_event_open, {P(page), 0, -1, -1, 0}},
	{"io_uring", SYS_io_uring_setup, {1, P(page)}},
	{"userfaultfd", SYS_userfaultfd, {1}},
	{"reboot", SYS_reboot, {0, 0, 0, 0}},
	{"sethostname", SYS_sethostname, {P("x"), 1}},
	{"settimeofday", SYS_settimeofday, {0, P(page)}},
	{"iopl", SYS_iopl, {3}},
	{"syslog", SYS_syslog, {3, P(page), 4096}},
	{"shmget", SYS_shmget, {0, 4096, 0600}},
	{"msgget", SYS_msgget, {0, 0600}},
	{"semget", SYS_semget, {0, 1, 0600}},
	{"mq_open", SYS_mq_open, {P("x"), O_RDWR | O_CREAT, 0600, 0}},
	{"a call of the x32 table", 0x40000000 | SYS_getpid, {0}},
	{"a call that does not exist", 9999, {0}},
	{"a call of the 32-bit table", -1, {0}, {0}, special_int80},
	/* through: what shows that this test can see success */
	{"control", SYS_getpid, {0}},
};

/* One write, as little of the C library as can be: it may be what is forbidden. */
static void say(const char *what, const char *name, int err)
{
	char line[200];
	int n = snprintf(line, sizeof(line), "%s: %s (%d)\n", what, name, err);

	if (write(2, line, (size_t)n) < 0)
		_exit(1);
}

static void make(const struct attempt *a, int where)
{
	long ret;
	int err;

	if (a->func)
		ret = a->func(where);
	else
		ret = syscall(a->nr, a->arg[0], a->arg[1], a->arg[2], a->arg[3], a->arg[4], a->arg[5]);
	err = ret < 0 ? errno : 0;
	for (int i = 0; err && i < 3; i++) {
		if (a->held[i] == err) {
			say("held", a->name, err);
			_exit(0);
		}
	}
	say("through", a->name, err);
	_exit(0);
}

static void make_apart(const struct attempt *a, int where, int (*confine)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (confine() < 0)
			_exit(1);
		make(a, where);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		say("failed", a->name, errno);
	else if (WIFSIGNALED(status) &&
		 (WTERMSIG(status) == SIGSYS || (a->func == special_int80 && WTERMSIG(status) == SIGSEGV)))
		/* SIGSEGV: the host has no such table */
		say("killed", a->name, SIGSYS);
	else if (status)
		say("failed", a->name, status);
}

void attempts_make(int who, int where, int (*confine)(void))
{
	const struct attempt *t = who == SENTRY_ATTEMPT ? special_sentry : special_gofer;

	for (size_t i = 0; i < sizeof(both) / sizeof(both[0]); i++)
		make_apart(&both[i], where, confine);
	for (; t->name; t++)
		make_apart(t, where, confine);
}
