/* launch.c: clones into fresh namespaces, puts descriptors where the program expects them, execs. What each
 * child sees: 0-2 its standard descriptors, then from 3 on those named in its arguments; nothing else. */
#include "sentry/oci/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/base/bug.h"
#include "platform/host/procfd.h"
#include "sentry/oci/idmap.h"
#include "sentry/oci/quota.h"
#include "sentry/oci/same_file.h"
#include "sentry/oci/walls.h"

#define NAMESPACES (CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)
#define FD_MAX	   512

/* The byte that lets a child go on: this and IDMAP_* bits. */
#define GO '0'

/* Host threads of a sandbox: guest tasks when no limit is given, and what the two programs need besides. */
#define TASKS_MAX     32768
#define THREADS_SPARE 64

/* Enough for what a child does until it executes. */
#define CHILD_STACK (24 * 1024UL)

/* A program to start: fds[i] becomes descriptor i (-1: /dev/null). */
struct child {
	int exe_fd;
	const char *name;
	char **argv;	 /* malloc, as what it points to */
	int all_ids_arg; /* the last of argv, for a gofer that can name all ids; 0: none */
	int fds[FD_MAX];
	int fd_count;
	bool sentry;
	int self_slot;	/* where the gofer finds the folder of its own descriptors */
	int first_root; /* the gofer's roots are the last of fds */
	bool read_only[FD_MAX];
	uint64_t threads; /* at most, with those of its children */
	bool nobody;	  /* of root's power it needs nothing */
	uint64_t namespaces;
	enum idmap ids;
	int sync; /* our end: one byte to it lets it go on; what comes back is why it could not execute */
	int childs_sync;
	int *pidfd;
	char *stack; /* of CHILD_STACK bytes */
};

size_t launch_add_root(struct launch *l, int fd, bool read_only, bool public_only)
{
	l->roots = realloc(l->roots, (l->root_count + 1) * sizeof(*l->roots));
	BUG_ON(!l->roots);
	l->roots[l->root_count] = (struct gofer_root){fd, read_only, public_only};
	return l->root_count++;
}

void launch_add_fd(struct launch *l, int host, int guest)
{
	l->fds = realloc(l->fds, (l->fd_count + 1) * sizeof(*l->fds));
	BUG_ON(!l->fds || l->fd_count >= LAUNCH_FDS_MAX);
	l->fds[l->fd_count].host = host;
	l->fds[l->fd_count++].guest = guest;
}

/* The programs lie beside sbx, or in ../libexec/sbx. */
static int open_program(const char *name, char *err, size_t err_size)
{
	char self[4096], path[4200];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;
	int fd;

	if (n < 0) {
		snprintf(err, err_size, "cannot read /proc/self/exe: %s", strerror(errno));
		return -1;
	}
	self[n] = 0;
	slash = strrchr(self, '/');
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), i ? "%.*s/../libexec/sbx/%s" : "%.*s/%s", (int)(slash - self),
			 self, name);
		fd = open(path, O_PATH | O_CLOEXEC);
		if (fd >= 0)
			return fd;
	}
	snprintf(err, err_size, "cannot find %s beside %s: is the installation whole?", name, self);
	return -1;
}

/* What the child tells its parent when it can't go on. */
struct failure {
	int err;
	char step[60];
};

static int fail(struct failure *f, int err, const char *step)
{
	f->err = err;
	snprintf(f->step, sizeof(f->step), "%s", step);
	return -1;
}

/* In the child: out of the way, so that each finds its place free. */
static int raise_fds(struct child *c)
{
	int devnull = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (devnull < 0)
		return -1;
	for (int i = 0; i < c->fd_count; i++) {
		c->fds[i] = fcntl(c->fds[i] < 0 ? devnull : c->fds[i], F_DUPFD_CLOEXEC, FD_MAX);
		if (c->fds[i] < 0)
			return -1;
	}
	c->exe_fd = fcntl(c->exe_fd, F_DUPFD_CLOEXEC, FD_MAX);
	return c->exe_fd < 0 ? -1 : 0;
}

static int place_fds(const struct child *c, const struct walls *w)
{
	for (int i = 0; i < c->fd_count; i++)
		if (dup2(c->fds[i], i) < 0)
			return -1;
	/* what isn't wanted closes at exec */
	if (syscall(SYS_close_range, c->fd_count, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */) < 0)
		return -1;
	if (!c->sentry)
		return 0;
	BUG_ON(c->fd_count > MIN(PROC_DIR_FD, PROC_FDS_FD));
	if (w->proc_fd >= 0 && dup2(w->proc_fd, PROC_DIR_FD) < 0)
		return -1;
	return w->fds_fd >= 0 && dup2(w->fds_fd, PROC_FDS_FD) < 0 ? -1 : 0;
}

/* can: IDMAP_* */
static int confine(struct child *c, unsigned can, struct failure *f)
{
	struct walls w = {.proc = c->sentry, .proc_fd = -1, .fds_fd = -1};
	int ret = 0;

	if (c->all_ids_arg && !(can & IDMAP_NAMES_ALL))
		c->argv[c->all_ids_arg] = NULL;
	if (raise_fds(c) < 0)
		return fail(f, errno, "set its descriptors aside");
	if (c->first_root) {
		w.roots = c->fds + c->first_root;
		w.read_only = c->read_only + c->first_root;
		w.root_count = c->fd_count - c->first_root;
	}
	if (c->namespaces)
		ret = walls_build(&w, FD_MAX);
	if (ret < 0)
		return fail(f, -ret, w.step);
	if (c->self_slot && w.fds_fd >= 0)
		c->fds[c->self_slot] = w.fds_fd;
	if (place_fds(c, &w) < 0)
		return fail(f, errno, "place its descriptors");
	ret = walls_drop_identity(c->nobody && (can & IDMAP_CAN_BE_NOBODY), c->namespaces ? c->threads : 0);
	return ret < 0 ? fail(f, -ret, "give its rights away") : 0;
}

/* Runs on our memory, as after vfork(2) but beside us: a copy of it all, which every page that either side
 * writes to would need, costs more than the program's own start. It changes what lies on its stack, and errno,
 * which we may thus find wrong: but only ever by another error's number. Its table of descriptors is its own
 * (no CLONE_FILES). Nothing that it was given goes away before spawned(). */
static int child_main(void *shared)
{
	static const char *const no_env[] = {NULL};
	const char *const *env = no_env;
	const char *debug_env[] = {"ASAN_OPTIONS=detect_leaks=0:allow_user_segv_handler=1", NULL};
	struct child own = *(const struct child *)shared, *c = &own;
	int sync = own.childs_sync;
	struct failure f = {0};
	sigset_t none;
	char go;

	if (SBX_ASAN)
		env = debug_env;
	/* its copy of the other end: else sbx, killed by now, would never have closed it */
	close(own.sync);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setsid(); /* the terminal's signals go to sbx, which passes on what the guest is to get */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (read(sync, &go, 1) != 1) /* its ids are mapped now; or sbx is dead already */
		_exit(1);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	/* it travels above the ordinary ones */
	sync = fcntl(sync, F_DUPFD_CLOEXEC, FD_MAX);
	if (confine(c, (unsigned)go - GO, &f) == 0) {
		syscall(SYS_execveat, c->exe_fd, "", c->argv, env, AT_EMPTY_PATH);
		fail(&f, errno, "execute");
	}
	if (write(sync, &f, sizeof(f)) < 0)
		_exit(2);
	_exit(1);
}

/* The process, on its way to execute the program. */
static int spawn(struct child *c, char *err, size_t err_size)
{
	int flags = CLONE_PIDFD | SIGCHLD | (SBX_ASAN ? 0 : CLONE_VM), sync[2], pid;
	char go = GO + (IDMAP_CAN_BE_NOBODY | IDMAP_NAMES_ALL);

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sync) < 0) {
		snprintf(err, err_size, "cannot make a socket pair: %s", strerror(errno));
		return -1;
	}
	c->sync = sync[0];
	c->childs_sync = sync[1];
	pid = clone(child_main, c->stack + CHILD_STACK, flags | (int)c->namespaces, c, c->pidfd);
	if (pid < 0 && c->namespaces && (errno == EPERM || errno == ENOSPC || errno == EINVAL)) {
		/* a host that gives ordinary users no namespaces: the filters still hold */
		c->namespaces = 0;
		pid = clone(child_main, c->stack + CHILD_STACK, flags, c, c->pidfd);
	}
	close(sync[1]);
	if (pid < 0) {
		snprintf(err, err_size, "cannot start %s: %s", c->name, strerror(errno));
		close(sync[0]);
		c->sync = -1;
		return -1;
	}
	if (c->namespaces)
		go = (char)(GO + idmap_write(pid, c->ids));
	(void)!send(c->sync, &go, 1, MSG_NOSIGNAL); /* if it is dead, spawned() finds out */
	return pid;
}

/* Waits until the program runs. */
static int spawned(struct child *c, int *pid, char *err, size_t err_size)
{
	struct failure f = {0};
	ssize_t n = recv(c->sync, &f, sizeof(f), MSG_WAITALL);

	if (n == 0)
		return 0;
	waitpid(*pid, NULL, 0);
	close(*c->pidfd);
	*pid = *c->pidfd = -1;
	if (n == (ssize_t)sizeof(f))
		snprintf(err, err_size, "%s cannot %s: %s", c->name, f.step, strerror(f.err));
	else
		snprintf(err, err_size, "%s ended at once", c->name);
	return -1;
}

static int add_fd(struct child *c, int fd)
{
	BUG_ON(c->fd_count >= FD_MAX);
	c->fds[c->fd_count] = fd;
	return c->fd_count++;
}

/* Such a standard descriptor would lead to the host's files. */
static bool is_folder(int fd)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

/* name with room for that many arguments: every namespace of its own, no input, no output but for messages. Its
 * stack stays. */
static int child_init(struct child *c, const char *name, size_t args, int *pidfd, char *err, size_t err_size)
{
	*c = (struct child){.name = name,
			    .fds = {-1, -1, is_folder(2) ? -1 : 2},
			    .fd_count = 3,
			    .namespaces = NAMESPACES,
			    .ids = geteuid() == 0 ? IDMAP_NOBODY : IDMAP_OWN,
			    .nobody = geteuid() == 0,
			    .pidfd = pidfd,
			    .argv = calloc(args + 2, sizeof(char *)),
			    .stack = c->stack,
			    .sync = -1};
	BUG_ON(!c->argv);
	c->argv[0] = strdup(name);
	BUG_ON(!c->argv[0]);
	c->exe_fd = open_program(name, err, err_size);
	return c->exe_fd < 0 ? -1 : 0;
}

static int start_gofer(struct launch *l, struct child *c, int sock, char *err, size_t err_size)
{
	char **argv;
	int n = 1;

	if (child_init(c, "sbx-gofer", l->root_count + 3, &l->gofer_pidfd, err, err_size) < 0)
		return -1;
	argv = c->argv;
	if (geteuid() == 0)
		c->ids = IDMAP_ALL;
	BUG_ON(asprintf(&argv[n++], "--socket=%d", add_fd(c, sock)) < 0);
	c->self_slot = add_fd(c, -1);
	BUG_ON(asprintf(&argv[n++], "--self=%d", c->self_slot) < 0);
	c->first_root = c->fd_count;
	for (size_t i = 0; i < l->root_count; i++) {
		const struct gofer_root *r = &l->roots[i];

		c->nobody &= r->public_only && r->read_only;
		c->read_only[c->fd_count] = r->read_only;
		BUG_ON(asprintf(&argv[n++], "--root=%d%s%s", add_fd(c, r->fd), r->read_only ? ":ro" : "",
				r->public_only ? ":public" : "") < 0);
	}
	c->all_ids_arg = n;
	argv[n++] = strdup("--all-ids");
	l->gofer_pid = spawn(c, err, err_size);
	close(c->exe_fd);
	return l->gofer_pid < 0 ? -1 : 0;
}

/* It stays in the network namespace, and sees nothing else of the host. */
static int spawn_net(struct launch *l, struct child *c, char *err, size_t err_size)
{
	int home = -1, pid;

	if (l->nat->netns >= 0) {
		home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		if (same_file(home, l->nat->netns)) {
			close(home);
			home = -1; /* we never left it */
		} else if (home < 0 || setns(l->nat->netns, CLONE_NEWNET) < 0) {
			snprintf(err, err_size, "cannot enter the host's network: %s", strerror(errno));
			if (home >= 0)
				close(home);
			return -1;
		}
	}
	pid = spawn(c, err, err_size);
	if (home >= 0) {
		BUG_ON(setns(home, CLONE_NEWNET) < 0);
		close(home);
	}
	return pid;
}

static int start_net(struct launch *l, struct child *c, char *err, size_t err_size)
{
	struct nat_launch *n = l->nat;
	size_t count = 1;
	char **argv;

	c->stack = malloc(CHILD_STACK);
	BUG_ON(!c->stack);
	if (child_init(c, "sbx-net", n->arg_count + n->socket_count + 2, &l->net_pidfd, err, err_size) < 0)
		return -1;
	argv = c->argv;
	c->namespaces &= ~(uint64_t)CLONE_NEWNET;
	c->threads = THREADS_SPARE;
	BUG_ON(asprintf(&argv[count++], "--control=%d", add_fd(c, n->control[1])) < 0);
	BUG_ON(asprintf(&argv[count++], "--datagrams=%d", add_fd(c, n->datagrams[1])) < 0);
	for (size_t i = 0; i < n->socket_count; i++)
		BUG_ON(asprintf(&argv[count++], "--%s=%d:%u", n->sockets[i].udp ? "udp" : "tcp",
				add_fd(c, n->sockets[i].fd), n->sockets[i].guest) < 0);
	for (size_t i = 0; i < n->arg_count; i++)
		argv[count++] = n->args[i];
	n->arg_count = 0; /* they are the child's now */
	l->net_pid = spawn_net(l, c, err, err_size);
	close(c->exe_fd);
	return l->net_pid < 0 ? -1 : 0;
}

static int start_sentry(struct launch *l, struct child *c, int control, int sock, char *err, size_t err_size)
{
	int config_fd;

	if (child_init(c, "sbx-sentry", 1, &l->sentry_pidfd, err, err_size) < 0)
		return -1;
	c->sentry = true;
	/* each task has a thread here and one of its own */
	c->threads = 2 * (l->max_tasks ?: TASKS_MAX) + THREADS_SPARE;
	for (int i = 0; i < 3; i++)
		c->fds[i] = is_folder(l->stdio[i]) ? -1 : l->stdio[i];
	/* it can't look itself */
	if (quota_is_tight())
		config_add(&l->config, "no-spare-cpu", "1");
	config_add(&l->config, "host-cpus", "%ld", sysconf(_SC_NPROCESSORS_ONLN));
	config_add(&l->config, "control-fd", "%d", add_fd(c, control));
	config_add(&l->config, "gofer-fd", "%d", add_fd(c, sock));
	if (l->log_fd >= 0)
		config_add(&l->config, "logfd", "%d", add_fd(c, l->log_fd));
	if (l->strace_fd >= 0)
		config_add(&l->config, "stracefd", "%d", add_fd(c, l->strace_fd));
	if (l->stats_fd >= 0)
		config_add(&l->config, "statsfd", "%d", add_fd(c, l->stats_fd));
	if (l->tty_fd >= 0)
		config_add(&l->config, "ttyfd", "%d", add_fd(c, l->tty_fd));
	for (size_t i = 0; i < l->fd_count; i++)
		config_add(&l->config, "fd", "%d:%d", l->fds[i].guest,
			   add_fd(c, is_folder(l->fds[i].host) ? -1 : l->fds[i].host));
	if (l->net_fd > 0)
		config_add(&l->config, "net-fd", "%d", add_fd(c, l->net_fd));
	if (l->nat) {
		config_add(&l->config, "net-control-fd", "%d", add_fd(c, l->nat->control[0]));
		config_add(&l->config, "net-datagrams-fd", "%d", add_fd(c, l->nat->datagrams[0]));
	}
	if (l->pcap_fd > 0)
		config_add(&l->config, "net-pcap-fd", "%d", add_fd(c, l->pcap_fd));
	config_fd = config_seal(&l->config);
	if (config_fd < 0) {
		snprintf(err, err_size, "cannot make the configuration: %s", strerror(-config_fd));
		close(c->exe_fd);
		return -1;
	}
	BUG_ON(asprintf(&c->argv[1], "--config=%d", add_fd(c, config_fd)) < 0);
	l->sentry_pid = spawn(c, err, err_size);
	close(c->exe_fd);
	close(config_fd);
	return l->sentry_pid < 0 ? -1 : 0;
}

/* It executes, or is gone. */
static void child_free(struct child *c)
{
	if (c->sync >= 0)
		close(c->sync);
	for (char **a = c->argv; a && *a; a++)
		free(*a);
	free(c->argv);
}

int launch_start(struct launch *l, char *err, size_t err_size)
{
	int control[2] = {-1, -1}, gofer[2] = {-1, -1}, ret = -1;
	char stacks[2][CHILD_STACK] ALIGNED(16); /* here, where pages were in use already */
	struct child g = {.sync = -1, .stack = stacks[0]}, s = {.sync = -1, .stack = stacks[1]};
	struct child *n = l->nat ? calloc(1, sizeof(*n)) : NULL; /* others need no room for it */
	int dumpable = prctl(PR_GET_DUMPABLE);

	BUG_ON(l->nat && !n);
	if (n)
		n->sync = -1;
	l->sentry_pid = l->gofer_pid = l->net_pid = -1;
	l->sentry_pidfd = l->gofer_pidfd = l->net_pidfd = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, gofer) < 0) {
		snprintf(err, err_size, "cannot make a socket pair: %s", strerror(errno));
		goto out;
	}
	/* side by side; who has more to do first */
	if ((n && start_net(l, n, err, err_size) < 0) ||
	    start_sentry(l, &s, control[1], gofer[0], err, err_size) < 0 ||
	    start_gofer(l, &g, gofer[1], err, err_size) < 0 || spawned(&g, &l->gofer_pid, err, err_size) < 0 ||
	    spawned(&s, &l->sentry_pid, err, err_size) < 0 ||
	    (n && spawned(n, &l->net_pid, err, err_size) < 0)) {
		launch_stop(l);
		goto out;
	}
	l->control_fd = control[0];
	control[0] = -1;
	ret = 0;
out:
	for (int i = 0; i < 2; i++) {
		if (control[i] >= 0)
			close(control[i]);
		if (gofer[i] >= 0)
			close(gofer[i]);
	}
	child_free(&g);
	child_free(&s);
	if (n) {
		child_free(n);
		free(n->stack);
		free(n);
		nat_launch_free(l->nat);
	}
	/* a child that changes its user while it has our memory takes that from us */
	if (dumpable == 1)
		prctl(PR_SET_DUMPABLE, 1);
	for (size_t i = 0; i < l->root_count; i++)
		close(l->roots[i].fd);
	return ret;
}

void launch_stop(struct launch *l)
{
	int *pids[] = {&l->gofer_pid, &l->sentry_pid, &l->net_pid};

	/* the host takes them apart at the same time */
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
		if (*pids[i] > 0)
			kill(*pids[i], SIGKILL);
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		if (*pids[i] > 0)
			waitpid(*pids[i], NULL, 0);
		*pids[i] = -1;
	}
}

void launch_end(struct launch *l)
{
	struct pollfd p = {l->sentry_pidfd, POLLIN, 0};

	if (l->sentry_pid > 0)
		(void)!poll(&p, 1, 2000);
	launch_stop(l);
}

void launch_free(struct launch *l)
{
	free(l->fds);
	free(l->roots);
	free(l->config.data);
	free(l->nat);
	l->nat = NULL;
}
