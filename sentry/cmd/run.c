/* run.c: `sbx run`: describes the sandbox, starts it, passes signals on, and ends with its status. */
#include "sentry/cmd/run.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "platform/base/bug.h"
#include "platform/host/text.h"
#include "sentry/cmd/cmd.h"
#include "sentry/cmd/inspect.h"
#include "sentry/control/proto.h"
#include "sentry/oci/cgroup.h"
#include "sentry/oci/launch.h"
#include "sentry/oci/netdev.h"

/* A program that runs this long isn't a short one. */
#define IDLE_MS 1000

/* The host's system folders, shown when there is no --rootfs. */
static const char *const system_folders[] = {"/usr",   "/bin",	  "/sbin", "/lib", "/lib32",
					     "/lib64", "/libx32", "/etc",  "/opt"};

static int add_root_path(struct launch *l, const char *path, bool read_only, bool public_only, size_t *index)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0) {
		complain("cannot open %s: %s", path, strerror(errno));
		return -1;
	}
	if (!read_only && !public_only && access(path, W_OK) < 0 && errno == EROFS) {
		complain("%s is on a read-only file system: use %s:...:ro", path, path);
		close(fd);
		return -1;
	}
	*index = launch_add_root(l, fd, read_only, public_only);
	return 0;
}

static bool below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 && (path[n] == 0 || path[n] == '/');
}

/* The root made of the host's folders. */
static int add_host_view(struct launch *l, const char *cwd)
{
	struct config_writer *w = &l->config;
	bool cwd_shown = strcmp(cwd, "/") == 0;
	size_t index;

	config_add(w, "root", "tmpfs");
	for (size_t i = 0; i < ARRAY_SIZE(system_folders); i++) {
		const char *folder = system_folders[i];
		char target[4096];
		struct stat st;
		ssize_t n;

		if (lstat(folder, &st) < 0)
			continue;
		if (S_ISLNK(st.st_mode)) {
			n = readlink(folder, target, sizeof(target) - 1);
			if (n < 0)
				continue;
			target[n] = 0;
			config_add(w, "symlink", "%s:%s", target, folder);
			continue;
		}
		if (add_root_path(l, folder, true, true, &index) < 0)
			return -1;
		config_add(w, "mount", "overlay:%zu:%s", index, folder);
		cwd_shown |= below(cwd, folder);
	}
	if (cwd_shown)
		return 0;
	if (below(cwd, "/proc") || below(cwd, "/sys") || below(cwd, "/dev"))
		return 0; /* the sandbox has its own */
	if (add_root_path(l, cwd, true, false, &index) < 0)
		return -1;
	config_add(w, "mount", "overlay:%zu:%s", index, cwd);
	return 0;
}

static int add_rootfs(struct launch *l, const char *rootfs)
{
	struct stat st;
	size_t index;

	if (stat(rootfs, &st) < 0) {
		complain("--rootfs %s: %s", rootfs, strerror(errno));
		return -1;
	}
	if (!S_ISDIR(st.st_mode)) {
		complain("--rootfs %s: not a directory (unpack the image first)", rootfs);
		return -1;
	}
	if (access(rootfs, R_OK | X_OK) < 0) {
		complain("--rootfs %s: cannot be read: %s", rootfs, strerror(errno));
		return -1;
	}
	if (add_root_path(l, rootfs, true, false, &index) < 0)
		return -1;
	config_add(&l->config, "root", "gofer:%zu", index);
	return 0;
}

static int add_identity(const struct run_options *o, struct config_writer *w)
{
	unsigned long uid = o->rootfs ? 0 : geteuid(), gid = o->rootfs ? 0 : getegid();
	gid_t groups[256];
	char *end;
	int n;

	if (o->user) {
		errno = 0;
		uid = gid = strtoul(o->user, &end, 10);
		if (*end == ':' && end != o->user)
			gid = strtoul(end + 1, &end, 10);
		if (errno || end == o->user || *end || uid >= UINT32_MAX || gid >= UINT32_MAX ||
		    o->user[0] == '-') {
			complain("-u: '%s' is not UID[:GID] in numbers", o->user);
			return -1;
		}
	} else if (!o->rootfs) {
		n = getgroups((int)ARRAY_SIZE(groups), groups);
		for (int i = 0; i < n; i++)
			config_add(w, "group", "%u", groups[i]);
	}
	config_add(w, "uid", "%lu", uid);
	config_add(w, "gid", "%lu", gid);
	return 0;
}

static void add_env(const struct run_options *o, struct config_writer *w)
{
	static const char *const passed[] = {"TERM", "LANG"};
	const char *home = getenv("HOME");

	config_add(w, "env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	if (o->rootfs || !home || home[0] != '/')
		home = "/root";
	config_add(w, "env", "HOME=%s", home);
	if (!o->rootfs)
		config_add(w, "dir", "%s", home);
	for (size_t i = 0; i < ARRAY_SIZE(passed); i++) {
		const char *v = getenv(passed[i]);

		if (v)
			config_add(w, "env", "%s=%s", passed[i], v);
		else if (i == 0 && o->tty)
			config_add(w, "env", "TERM=xterm");
	}
	/* the last of two equal names wins in the sentry */
	for (size_t i = 0; i < o->env_count; i++)
		config_add(w, "env", "%s", o->env[i]);
}

static int add_volumes(const struct run_options *o, struct launch *l)
{
	for (size_t i = 0; i < o->volume_count; i++) {
		const struct volume *v = &o->volumes[i];
		size_t index;

		if (add_root_path(l, v->source, v->read_only, false, &index) < 0)
			return -1;
		config_add(&l->config, "mount", "%s:%zu:%s", v->read_only ? "ro" : "rw", index, v->target);
	}
	return 0;
}

static int open_output(const char *path, int *fd)
{
	*fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	if (*fd < 0) {
		complain("cannot write %s: %s", path, strerror(errno));
		return -1;
	}
	return 0;
}

static int add_outputs(const struct run_options *o, struct launch *l)
{
	l->log_fd = l->strace_fd = l->stats_fd = l->tty_fd = -1;
	if (o->log_file && open_output(o->log_file, &l->log_fd) < 0)
		return -1;
	if (o->strace) {
		l->strace_fd = 2;
		if (o->strace_file && open_output(o->strace_file, &l->strace_fd) < 0)
			return -1;
	}
	if (o->stats) {
		l->stats_fd = 2;
		if (o->stats_file && open_output(o->stats_file, &l->stats_fd) < 0)
			return -1;
	}
	config_add(&l->config, "loglevel", "%d", o->debug ? 3 : 1);
	return 0;
}

/* Last, since the host gives something up. */
static int add_network(const struct run_options *o, struct launch *l)
{
	char err[256];

	if (!o->network)
		return 0;
	if (strncmp(o->network, "host-veth:", 10) != 0 && strcmp(o->network, "nat") != 0) {
		config_add(&l->config, "network", "%s", o->network);
		return 0;
	}
	if (o->pcap_file && open_output(o->pcap_file, &l->pcap_fd) < 0)
		return -1;
	if (strcmp(o->network, "nat") == 0) {
		l->nat = calloc(1, sizeof(*l->nat));
		BUG_ON(!l->nat);
		if (nat_prepare(&o->nat, o->hostname ? o->hostname : "sbx", &l->config, l->nat, err,
				sizeof(err)) < 0) {
			complain("--network nat: %s", err);
			return -1;
		}
		return 0;
	}
	config_add(&l->config, "network", "host-veth");
	config_add(&l->config, "net-vnet", "1");
	l->net_fd = netdev_take_over(o->network + 10, &l->config, NULL, err, sizeof(err));
	if (l->net_fd < 0)
		complain("--network %s: %s", o->network, err);
	return l->net_fd < 0 ? -1 : 0;
}

static void add_limits(const struct run_options *o, struct config_writer *w)
{
	config_add(w, "hostname", "%s", o->hostname ? o->hostname : "sbx");
	if (o->platform)
		config_add(w, "platform", "%s", o->platform);
	if (o->memory)
		config_add(w, "memory", "%llu", (unsigned long long)o->memory);
	if (o->cpus)
		config_add(w, "cpus", "%llu", (unsigned long long)o->cpus);
	if (o->pids)
		config_add(w, "pids", "%llu", (unsigned long long)o->pids);
	if (o->files)
		config_add(w, "files", "%llu", (unsigned long long)o->files);
	if (o->read_only)
		config_add(w, "root-flags", "ro");
}

static int describe(const struct run_options *o, struct launch *l)
{
	struct config_writer *w = &l->config;
	char cwd[4096];

	if (!getcwd(cwd, sizeof(cwd))) {
		complain("cannot tell the current folder: %s", strerror(errno));
		return -1;
	}
	if ((o->rootfs ? add_rootfs(l, o->rootfs) : add_host_view(l, cwd)) < 0)
		return -1;
	if (add_identity(o, w) < 0 || add_volumes(o, l) < 0 || add_outputs(o, l) < 0)
		return -1;
	if (o->workdir && o->workdir[0] != '/') {
		complain("-w: '%s' is not an absolute path", o->workdir);
		return -1;
	}
	if (o->hostname && (strlen(o->hostname) > 64 || !*o->hostname)) {
		complain("--hostname: '%s' is empty or longer than 64 bytes", o->hostname);
		return -1;
	}
	add_env(o, w);
	l->max_tasks = o->pids;
	add_limits(o, w);
	config_add(w, "cwd", "%s", o->workdir ? o->workdir : o->rootfs ? "/" : cwd);
	for (char **a = o->argv; *a; a++)
		config_add(w, "arg", "%s", *a);
	return add_network(o, l);
}

/* ---- terminal ---- */

/* Restored by the exit handler, so that no way out leaves the user's terminal raw. */
static struct termios saved_termios;
static bool termios_changed;

static void restore_terminal(void)
{
	if (termios_changed)
		tcsetattr(0, TCSADRAIN, &saved_termios);
	termios_changed = false;
}

static int prepare_terminal(struct launch *l)
{
	struct winsize ws = {.ws_row = 24, .ws_col = 80};
	struct termios raw;

	if (tcgetattr(0, &saved_termios) < 0) {
		complain("-t: standard input is not a terminal");
		return -1;
	}
	ioctl(0, TIOCGWINSZ, &ws);
	config_add(&l->config, "tty", "%ux%u", ws.ws_row, ws.ws_col);
	raw = saved_termios;
	cfmakeraw(&raw);
	atexit(restore_terminal);
	termios_changed = true;
	tcsetattr(0, TCSADRAIN, &raw);
	return 0;
}

/* ---- supervision ---- */

static void send_control(int fd, uint32_t type, int64_t value)
{
	struct control_msg m = {.type = type, .value = value};

	if (send(fd, &m, sizeof(m), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EPIPE && errno != ECONNRESET)
		complain("the sandbox does not take messages: %s", strerror(errno));
}

static void on_signal(int signal_fd, struct launch *l)
{
	struct signalfd_siginfo si;
	struct winsize ws;

	if (read(signal_fd, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return;
	if (si.ssi_signo == SIGWINCH) {
		if (ioctl(0, TIOCGWINSZ, &ws) == 0)
			send_control(l->control_fd, CONTROL_WINSIZE, (int64_t)ws.ws_row << 16 | ws.ws_col);
		return;
	}
	send_control(l->control_fd, CONTROL_SIGNAL, si.ssi_signo);
}

/* A piece of an answer to `sbx debug`. */
static void relay_reply(int *client, const struct control_msg *m)
{
	if (*client < 0)
		return;
	if (send(*client, m->data, m->size, MSG_NOSIGNAL) != (ssize_t)m->size || m->value == 0) {
		close(*client);
		*client = -1;
	}
}

/* Returns true when the sandbox is over; *status is then the exit status. */
static bool on_message(struct launch *l, int *status, int *client)
{
	static union {
		struct control_msg m;
		char bytes[sizeof(struct control_msg) + CONTROL_DATA_MAX];
	} buf;
	ssize_t n = recv(l->control_fd, &buf, sizeof(buf), 0);
	int wait_status;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return false;
	if (n < (ssize_t)sizeof(buf.m) || (size_t)n != sizeof(buf.m) + buf.m.size) {
		int st = 0;

		waitpid(l->sentry_pid, &st, 0);
		l->sentry_pid = -1;
		restore_terminal();
		if (WIFSIGNALED(st))
			complain("the sandbox's kernel was killed by signal %d (%s)", WTERMSIG(st),
				 strsignal(WTERMSIG(st)));
		else
			complain("the sandbox's kernel ended unexpectedly (status %d)", WEXITSTATUS(st));
		*status = EXIT_SBX;
		return true;
	}
	switch (buf.m.type) {
	case CONTROL_EXITED:
		wait_status = (int)buf.m.value;
		*status = WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
		return true;
	case CONTROL_ERROR:
		restore_terminal();
		complain("%.*s", (int)buf.m.size, buf.m.data);
		*status = (int)buf.m.value;
		return true;
	case CONTROL_REPLY:
		relay_reply(client, &buf.m);
		return false;
	default:
		return false;
	}
}

static int supervise(const struct run_options *o, struct launch *l, int signal_fd)
{
	struct pollfd fds[4] = {{l->control_fd, POLLIN, 0},
				{signal_fd, POLLIN, 0},
				{-1, POLLIN, 0},
				{inspect_listen(), POLLIN, 0}};
	struct itimerspec its = {0};
	int status = EXIT_SBX, client = -1, wait_ms = IDLE_MS, got;
	uint32_t request;

	if (o->timeout > 0) {
		its.it_value.tv_sec = (time_t)o->timeout;
		its.it_value.tv_nsec = (long)((o->timeout - (double)its.it_value.tv_sec) * 1e9) + 1;
		fds[2].fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
		timerfd_settime(fds[2].fd, 0, &its, NULL);
	}
	for (;;) {
		got = poll(fds, ARRAY_SIZE(fds), wait_ms);
		if (got < 0 && errno != EINTR)
			break;
		if (got == 0) { /* once */
			wait_ms = -1;
			text_release();
			continue;
		}
		if (fds[0].revents && on_message(l, &status, &client))
			break;
		if (fds[1].revents)
			on_signal(signal_fd, l);
		if (fds[3].revents && client < 0) {
			client = inspect_accept(fds[3].fd, &request);
			if (client >= 0)
				send_control(l->control_fd, request, 0);
		}
		if (fds[2].revents) {
			restore_terminal();
			complain("timeout: %s ran longer than %g s and was killed", o->argv[0], o->timeout);
			status = EXIT_TIMEDOUT;
			break;
		}
	}
	return status;
}

/* A stats writer of the sentry ends by itself after EXITED: give it the time to. */
static void let_it_end(struct launch *l)
{
	struct pollfd p = {l->sentry_pidfd, POLLIN, 0};

	if (l->sentry_pid > 0)
		(void)!poll(&p, 1, 2000);
}

static int run(struct run_options *o, struct launch *l)
{
	static const int passed[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGALRM};
	struct cgroup_set groups;
	char err[512];
	sigset_t set;
	int signal_fd, status;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(passed); i++)
		sigaddset(&set, passed[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (describe(o, l) < 0)
		return EXIT_SBX;
	if (o->tty) {
		if (prepare_terminal(l) < 0)
			return EXIT_SBX;
	} else if (!o->interactive && isatty(0)) {
		l->stdio[0] = -1;
	}
	run_cgroup_enter(o, &groups);
	if (launch_start(l, err, sizeof(err)) < 0) {
		restore_terminal();
		complain("%s", err);
		run_cgroup_leave(&groups);
		return EXIT_SBX;
	}
	status = supervise(o, l, signal_fd);
	if (status != EXIT_TIMEDOUT)
		let_it_end(l);
	launch_stop(l);
	restore_terminal();
	run_cgroup_leave(&groups);
	return status;
}

int cmd_run(int argc, char **argv)
{
	struct run_options o = {0};
	struct launch l = {.stdio = {0, 1, 2}};
	int ret = run_options_parse(&o, argc, argv), status;

	if (ret)
		status = ret < 0 ? EXIT_SBX : 0;
	else
		status = run(&o, &l);
	launch_free(&l);
	free(o.volumes);
	free(o.env);
	nat_options_free(&o.nat);
	return status;
}
