/* monitor.c: see monitor.h. One thread, one loop. */
#include "sentry/oci/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/base/bug.h"
#include "platform/host/text.h"
#include "sentry/oci/client.h"
#include "sentry/oci/console.h"
#include "sentry/oci/describe.h"
#include "sentry/oci/log.h"
#include "sentry/oci/same_file.h"

#define IDLE_MS	  1000 /* a program that runs this long isn't a short one */
#define EXIT_LOST 137  /* the sandbox was killed, as engines expect of a kill from outside */

struct monitor {
	const struct create_options *o;
	const struct oci_spec *spec;
	struct oci_state *state;
	struct launch l;
	int report; /* to `create`: a text why it failed, or the byte 1; from it: the byte 1 at its end */
	int listener, signals, console;
	int log; /* the sandbox's own messages: a file beside the state */
	char err[1024];
};

/* `create` was killed before others could know of the container: nobody else would ever remove it. */
static NORETURN void abandoned(struct monitor *m)
{
	launch_stop(&m->l);
	cgroup_leave(&m->state->cgroup);
	state_remove(m->state);
	_exit(EXIT_LOST);
}

/* `create` hears why and removes everything, us too; or it is dead. */
static NORETURN void give_up(struct monitor *m)
{
	char none;

	launch_stop(&m->l);
	if (write(m->report, m->err, strlen(m->err)) >= 0 && shutdown(m->report, SHUT_WR) == 0)
		(void)!read(m->report, &none, 1);
	abandoned(m);
}

static bool is_namespace(int fd, const char *path)
{
	int other = open(path, O_RDONLY | O_CLOEXEC);
	bool same = same_file(fd, other);

	if (other >= 0)
		close(other);
	return same;
}

static int refuse_host_network(struct monitor *m)
{
	snprintf(m->err, sizeof(m->err),
		 "linux.namespaces: the host's network can't be a sandbox's, which has a network stack of its "
		 "own: "
		 "use a bridge, or no network");
	return -1;
}

/* A network namespace of its own or the given one: `start` takes over what engines put in there. */
static int enter_network(struct monitor *m)
{
	const struct oci_namespace *n = spec_namespace(m->spec, "network");
	int fd, ret;

	if (!n)
		return refuse_host_network(m);
	if (!n->path) {
		if (unshare(CLONE_NEWNET) == 0 || errno == EPERM)
			return 0; /* without the right to: nobody can put anything in there either */
		snprintf(m->err, sizeof(m->err), "cannot make a network namespace: %s", strerror(errno));
		return -1;
	}
	fd = open(n->path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && (is_namespace(fd, "/proc/self/ns/net") || is_namespace(fd, "/proc/1/ns/net"))) {
		close(fd);
		return refuse_host_network(m);
	}
	ret = fd < 0 ? -1 : setns(fd, CLONE_NEWNET);
	if (ret < 0)
		snprintf(m->err, sizeof(m->err), "cannot join the network namespace %s: %s", n->path,
			 strerror(errno));
	if (fd >= 0)
		close(fd);
	return ret;
}

static int open_console(struct monitor *m)
{
	const struct oci_process *p = &m->spec->process;

	m->console = -1;
	if (!p->terminal)
		return 0;
	if (m->o->tty >= 0) { /* the caller's terminal is what it was given */
		m->console = fcntl(m->l.stdio[0], F_DUPFD_CLOEXEC, 200);
		return 0;
	}
	m->console = console_open(m->o->console_socket, p->rows, p->cols, m->err, sizeof(m->err));
	if (m->console < 0)
		return -1;
	console_adopt(m->console);
	for (int i = 0; i < 3; i++) {
		close(m->l.stdio[i]);
		m->l.stdio[i] = m->console;
	}
	return 0;
}

static int describe(struct monitor *m)
{
	struct launch *l = &m->l;

	l->log_fd = m->log;
	l->strace_fd = l->stats_fd = l->tty_fd = -1;
	if (m->o->debug)
		config_add(&l->config, "loglevel", "3");
	if (m->o->platform)
		config_add(&l->config, "platform", "%s", m->o->platform);
	for (uint32_t i = 0; i < m->o->preserve_fds; i++)
		launch_add_fd(l, 3 + (int)i, 3 + (int)i);
	config_add(&l->config, "wait", "1");
	return describe_container(l, m->spec, m->state->bundle, m->state->rootfs, m->err, sizeof(m->err));
}

static void setup_signals(struct monitor *m)
{
	sigset_t set;

	sigfillset(&set);
	sigdelset(&set, SIGSEGV);
	sigdelset(&set, SIGBUS);
	sigdelset(&set, SIGABRT);
	sigdelset(&set, SIGCHLD); /* descriptors tell when a child ends */
	sigprocmask(SIG_BLOCK, &set, NULL);
	m->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void set_oom_score(const struct oci_process *p)
{
	char text[16];
	int fd;

	if (!p->has_oom_score_adj)
		return;
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	snprintf(text, sizeof(text), "%d", p->oom_score_adj);
	/* lower needs a right that a container's engine may lack: it stays as it is */
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		oci_log("debug", "oomScoreAdj %d: %s", p->oom_score_adj, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void tell_size(struct monitor *m)
{
	struct winsize ws;

	if (m->console >= 0 && ioctl(m->console, TIOCGWINSZ, &ws) == 0 && ws.ws_row && ws.ws_col)
		(void)!client_send(m->l.control_fd, CONTROL_WINSIZE, (int64_t)ws.ws_row << 16 | ws.ws_col, NULL,
				   0, NULL, 0);
}

/* Signals sent to our pid are meant for the container's first process. */
static void pass_signal(struct monitor *m)
{
	struct signalfd_siginfo si;

	while (read(m->signals, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGWINCH)
			tell_size(m);
		else
			(void)!client_send(m->l.control_fd, CONTROL_SIGNAL, si.ssi_signo, NULL, 0, NULL, 0);
	}
}

/* Whoever may signal us may talk to the sentry. */
static void take_client(struct monitor *m)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int fd = accept4(m->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	    (peer.uid == 0 || peer.uid == geteuid()))
		(void)!client_send(m->l.control_fd, CONTROL_CLIENT, 0, NULL, 0, &fd, 1);
	close(fd);
}

/* The next message of the sentry. false: it is gone. */
static bool next_message(struct monitor *m, struct client_msg *msg)
{
	return client_receive(m->l.control_fd, msg) == 0;
}

static void wait_until_ready(struct monitor *m)
{
	struct pollfd p[2] = {{m->l.control_fd, POLLIN, 0}, {m->report, POLLIN, 0}};
	static struct client_msg msg;
	char ready = 1;

	if (poll(p, 2, -1) > 0 && p[1].revents) /* it has nothing to say yet */
		abandoned(m);
	if (!next_message(m, &msg)) {
		snprintf(m->err, sizeof(m->err),
			 "the sandbox's kernel ended unexpectedly (is there a core or a message "
			 "in the log?)");
		give_up(m);
	}
	if (msg.m.type == CONTROL_ERROR) {
		snprintf(m->err, sizeof(m->err), "%.1000s", msg.data);
		give_up(m);
	}
	if (write(m->report, &ready, 1) != 1)
		abandoned(m);
}

/* What `create` says at its end: from now on the container is other commands', and so is the lock. */
static void hear_creator(struct monitor *m)
{
	char byte;

	if (read(m->report, &byte, 1) != 1)
		abandoned(m);
	close(m->report);
	close(m->state->lock);
	m->report = m->state->lock = -1;
}

static int loop(struct monitor *m)
{
	static struct client_msg msg;
	struct pollfd p[4] = {{m->l.control_fd, POLLIN, 0},
			      {m->listener, POLLIN, 0},
			      {m->signals, POLLIN, 0},
			      {m->report, POLLIN, 0}};
	int status, wait_ms = IDLE_MS, got;

	for (;;) {
		got = poll(p, 4, wait_ms);
		if (got < 0 && errno != EINTR)
			return EXIT_LOST;
		if (got == 0) { /* once */
			wait_ms = -1;
			text_release();
			continue;
		}
		if (p[3].revents)
			hear_creator(m);
		p[3].fd = m->report;
		if (p[0].revents) {
			if (!next_message(m, &msg))
				return EXIT_LOST;
			if (msg.m.type == CONTROL_EXITED) {
				status = (int)msg.m.value;
				return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
			}
			if (msg.m.type == CONTROL_ERROR) {
				oci_log("error", "%s", msg.data);
				return (int)msg.m.value;
			}
		}
		if (p[1].revents)
			take_client(m);
		if (p[2].revents)
			pass_signal(m);
	}
}

/* What was given is the sentry's now; so is the end of its pipes. */
static void close_given(struct monitor *m)
{
	for (int i = 0; i < 3; i++)
		if (m->l.stdio[i] != m->console)
			close(m->l.stdio[i]);
	for (uint32_t i = 0; i < m->o->preserve_fds; i++)
		close(3 + (int)i);
}

/* What `create` was given as 0-2 is the container's alone: whoever else held it would keep the reader of a pipe
 * waiting for its end. Messages of the sentry and the gofer go to a file in the container's folder. */
static int set_stdio_aside(struct monitor *m)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/sandbox.log", m->state->dir);
	m->log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (null < 0 || m->log < 0) {
		snprintf(m->err, sizeof(m->err), "cannot open %.900s: %s", path, strerror(errno));
		return -1;
	}
	for (int i = 0; i < 3; i++) {
		m->l.stdio[i] = fcntl(i, F_DUPFD_CLOEXEC, 200);
		if (m->l.stdio[i] < 0 || dup2(i == 2 ? m->log : null, i) < 0) {
			snprintf(m->err, sizeof(m->err), "standard descriptor %d: %s", i, strerror(errno));
			return -1;
		}
	}
	close(null);
	oci_log_quiet();
	return 0;
}

static NORETURN void monitor_main(struct monitor *m)
{
	int status, lock;

	setsid();
	/* ours as well until `create` has ended well: nobody takes the id while we clear up after its death */
	lock = fcntl(m->state->lock, F_DUPFD_CLOEXEC, 200);
	close(m->state->lock);
	m->state->lock = lock;
	prctl(PR_SET_NAME, "sbx-monitor");
	setup_signals(m);
	if (set_stdio_aside(m) < 0 || cgroup_enter(&m->state->cgroup, m->err, sizeof(m->err)) < 0 ||
	    nat_prepare_oci(m->spec, &m->l.config, &m->l.nat, m->err, sizeof(m->err)) < 0 ||
	    enter_network(m) < 0)
		give_up(m);
	set_oom_score(&m->spec->process);
	if (open_console(m) < 0 || describe(m) < 0)
		give_up(m);
	m->listener = client_listen(m->state->dir);
	if (m->listener < 0) {
		snprintf(m->err, sizeof(m->err), "cannot listen in %s: %s", m->state->dir, strerror(errno));
		give_up(m);
	}
	if (launch_start(&m->l, m->err, sizeof(m->err)) < 0)
		give_up(m);
	launch_free(&m->l);
	close_given(m);
	wait_until_ready(m);
	tell_size(m);
	status = loop(m);
	launch_end(&m->l);
	_exit(status);
}

void monitor_keep(struct oci_state *state)
{
	char byte = 1;

	(void)!send(state->creator, &byte, 1, MSG_NOSIGNAL); /* if it is dead, the next command finds out */
	close(state->creator);
	state->creator = 0;
}

int monitor_start(const struct create_options *o, const struct oci_spec *s, struct oci_state *state, char *err,
		  size_t err_size)
{
	struct monitor m = {.o = o, .spec = s, .state = state, .l = {.stdio = {0, 1, 2}}, .console = -1};
	int report[2], pid;
	ssize_t n;

	/* above the descriptors that are passed on */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, report) < 0 ||
	    (m.report = fcntl(report[1], F_DUPFD_CLOEXEC, 3 + (int)o->preserve_fds)) < 0) {
		snprintf(err, err_size, "cannot make a socket pair: %s", strerror(errno));
		return -1;
	}
	close(report[1]);
	pid = fork();
	if (pid == 0) {
		close(report[0]);
		monitor_main(&m);
	}
	close(m.report);
	n = pid < 0 ? -1 : read(report[0], m.err, sizeof(m.err) - 1);
	if (n == 1 && m.err[0] == 1) {
		state->creator = report[0];
		return pid;
	}
	close(report[0]);
	if (n > 0)
		snprintf(err, err_size, "%.*s", (int)n, m.err);
	else
		snprintf(err, err_size, "cannot start the container's monitor: %s",
			 pid < 0 ? strerror(errno) : "it ended");
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return -1;
}
