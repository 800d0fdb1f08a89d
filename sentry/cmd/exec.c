/* exec.c: `sbx exec`: a further process in a running container. The process that stays (this one, or with
 * --detach a child of ours) stands for it: it passes signals on and exits with its status. */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "platform/base/bug.h"
#include "sentry/cmd/oci.h"
#include "sentry/oci/client.h"
#include "sentry/oci/console.h"
#include "sentry/oci/describe.h"
#include "sentry/oci/log.h"

#define EXIT_EXEC_FAILED 255 /* as runc */
#define EXIT_LOST	 137

enum {
	OPT_CONSOLE = 256,
	OPT_PIDFILE,
	OPT_PRESERVE,
	OPT_CWD,
	OPT_NNP,
	OPT_IGNORED,
	OPT_IGNORED_ARG,
	OPT_PAUSED
};

struct exec_args {
	const char *console_socket, *pid_file, *process, *cwd, *user, *id;
	const char **env, **caps, **groups; /* NULL-terminated */
	size_t env_count, cap_count, group_count;
	bool tty, detach, no_new_privs, ignore_paused, help;
	uint32_t preserve_fds;
	char **argv;
};

static const struct option longs[] = {
	{"console-socket", required_argument, NULL, OPT_CONSOLE},
	{"pid-file", required_argument, NULL, OPT_PIDFILE},
	{"preserve-fds", required_argument, NULL, OPT_PRESERVE},
	{"cwd", required_argument, NULL, OPT_CWD},
	{"env", required_argument, NULL, 'e'},
	{"tty", no_argument, NULL, 't'},
	{"user", required_argument, NULL, 'u'},
	{"additional-gids", required_argument, NULL, 'g'},
	{"process", required_argument, NULL, 'p'},
	{"detach", no_argument, NULL, 'd'},
	{"no-new-privs", no_argument, NULL, OPT_NNP},
	{"cap", required_argument, NULL, 'c'},
	{"process-label", required_argument, NULL, OPT_IGNORED_ARG},
	{"apparmor", required_argument, NULL, OPT_IGNORED_ARG},
	{"cgroup", required_argument, NULL, OPT_IGNORED_ARG},
	{"no-subreaper", no_argument, NULL, OPT_IGNORED},
	{"ignore-paused", no_argument, NULL, OPT_PAUSED},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"usage: sbx exec [OPTION...] ID PROGRAM [ARG...]\n"
	"       sbx exec [OPTION...] -p FILE ID\n\n"
	"Runs a further program in a container.\n\n"
	"  -p, --process FILE       what to run as the process object of a config.json\n"
	"  -t, --tty                give it a terminal\n"
	"  -d, --detach             don't wait for its end\n"
	"  --console-socket PATH    where the terminal's descriptor is sent to\n"
	"  --pid-file FILE          the id of the process that stands for it\n"
	"  --cwd DIR, -e K=V, -u UID[:GID], -g GID, -c CAP, --no-new-privs, --preserve-fds N\n"
	"  --ignore-paused          also when the container is paused: it runs once that goes on\n"
	"  --process-label, --apparmor, --cgroup, --no-subreaper   accepted: nothing of the kind is done\n";

static void append(const char ***list, size_t *count, const char *s)
{
	*list = realloc(*list, (*count + 2) * sizeof(**list));
	BUG_ON(!*list);
	(*list)[(*count)++] = s;
	(*list)[*count] = NULL;
}

static int parse_one(struct exec_args *a, int c)
{
	int64_t n;

	switch (c) {
	case OPT_CONSOLE:
		a->console_socket = optarg;
		return 0;
	case OPT_PIDFILE:
		a->pid_file = optarg;
		return 0;
	case OPT_PRESERVE:
		if (!oci_number("--preserve-fds", optarg, 0, 90, &n))
			return -1;
		a->preserve_fds = (uint32_t)n;
		return 0;
	case OPT_CWD:
		a->cwd = optarg;
		return 0;
	case 'e':
		append(&a->env, &a->env_count, optarg);
		return 0;
	case 't':
		a->tty = true;
		return 0;
	case 'u':
		a->user = optarg;
		return 0;
	case 'g':
		append(&a->groups, &a->group_count, optarg);
		return 0;
	case 'p':
		a->process = optarg;
		return 0;
	case 'd':
		a->detach = true;
		return 0;
	case OPT_NNP:
		a->no_new_privs = true;
		return 0;
	case 'c':
		append(&a->caps, &a->cap_count, optarg);
		return 0;
	case OPT_PAUSED:
		a->ignore_paused = true;
		return 0;
	case OPT_IGNORED:
	case OPT_IGNORED_ARG:
		return 0;
	case 'h':
		fputs(help, stdout);
		a->help = true;
		return 0;
	default:
		return -1;
	}
}

static int parse(int argc, char **argv, struct exec_args *a)
{
	int c;

	optind = 0;
	while ((c = oci_getopt(argc, argv, "e:tu:g:p:dc:h", longs)) != -1) {
		if (parse_one(a, c) < 0)
			return -1;
		if (a->help)
			return 0;
	}
	if (optind >= argc) {
		oci_fail("exec: give a container id");
		return -1;
	}
	a->id = argv[optind++];
	a->argv = argv + optind;
	if (!a->process && !a->argv[0]) {
		oci_fail("exec: give a program, or a process with -p");
		return -1;
	}
	return 0;
}

/* The container's own process, changed as the options say. */
static int apply_options(const struct exec_args *a, struct oci_process *p)
{
	int64_t n;

	free(p->args);
	p->args = NULL;
	for (size_t i = 0, count = 0; a->argv[i]; i++)
		append(&p->args, &count, a->argv[i]);
	for (size_t i = 0; i < a->env_count; i++) {
		size_t count = 0;

		while (p->env[count])
			count++;
		append(&p->env, &count, a->env[i]);
	}
	p->terminal = a->tty;
	if (a->cwd)
		p->cwd = a->cwd;
	if (p->cwd[0] != '/') {
		oci_fail("--cwd: must be an absolute path");
		return -1;
	}
	if (a->user) {
		char *copy = strdup(a->user), *colon = copy ? strchr(copy, ':') : NULL;

		if (colon)
			*colon = 0;
		if (!oci_number("--user", copy, 0, UINT32_MAX - 1, &n))
			return -1;
		p->uid = (uint32_t)n;
		if (colon && !oci_number("--user", colon + 1, 0, UINT32_MAX - 1, &n))
			return -1;
		if (colon)
			p->gid = (uint32_t)n;
		free(copy);
	}
	for (size_t i = 0; i < a->group_count; i++) {
		if (!oci_number("--additional-gids", a->groups[i], 0, UINT32_MAX - 1, &n))
			return -1;
		p->groups = realloc(p->groups, (p->group_count + 1) * sizeof(*p->groups));
		BUG_ON(!p->groups);
		p->groups[p->group_count++] = (uint32_t)n;
	}
	for (size_t i = 0; i < a->cap_count; i++) {
		int cap = spec_cap_number(a->caps[i]);

		if (cap < 0) {
			oci_fail("--cap: unknown capability %s", a->caps[i]);
			return -1;
		}
		for (int set = 0; set < OCI_CAP_SETS; set++)
			if (set != OCI_CAP_INHERITABLE &&
			    (set != OCI_CAP_AMBIENT || p->caps[OCI_CAP_INHERITABLE] >> cap & 1))
				p->caps[set] |= 1ULL << cap;
	}
	p->no_new_privs |= a->no_new_privs;
	return 0;
}

struct exec_run {
	const struct exec_args *a;
	const struct oci_state *state;
	int sock, console, signals, stdio[3], config;
	int report; /* to the command that waits: a text why it failed, or the byte 1; -1 */
	char err[1024];
};

/* As launch.c: a folder would lead to the host's files, if only for who has taken the sentry over. */
static int without_folders(int fd, int null)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? null : fd;
}

static int send_request(struct exec_run *r)
{
	int fds[CONTROL_FDS_MAX], n = 0, null = open("/dev/null", O_RDWR | O_CLOEXEC), ret;

	fds[n++] = r->config;
	for (int i = 0; i < 3; i++)
		fds[n++] = without_folders(r->stdio[i], null);
	for (uint32_t i = 0; i < r->a->preserve_fds; i++)
		fds[n++] = without_folders(3 + (int)i, null);
	ret = client_send(r->sock, CONTROL_EXEC, 0, NULL, 0, fds, (size_t)n);
	if (null >= 0)
		close(null);
	if (ret == 0)
		return 0;
	snprintf(r->err, sizeof(r->err), "cannot send the request: %s", strerror(errno));
	return -1;
}

static int start(struct exec_run *r, const struct oci_process *p)
{
	static struct client_msg msg;

	r->console = -1;
	if (p->terminal && r->a->console_socket) {
		r->console = console_open(r->a->console_socket, p->rows, p->cols, r->err, sizeof(r->err));
		if (r->console < 0)
			return -1;
		console_adopt(r->console);
		for (int i = 0; i < 3; i++)
			r->stdio[i] = r->console;
	} else if (p->terminal) {
		r->console = fcntl(0, F_DUPFD_CLOEXEC, 100);
	}
	r->sock = client_connect(r->state, r->err, sizeof(r->err));
	if (r->sock < 0 || send_request(r) < 0)
		return -1;
	if (client_receive(r->sock, &msg) < 0)
		snprintf(r->err, sizeof(r->err), "the container has ended");
	else if (msg.m.type != CONTROL_STARTED)
		snprintf(r->err, sizeof(r->err), "%.1000s", msg.data);
	else
		return 0;
	return -1;
}

static void pass_signal(struct exec_run *r)
{
	struct signalfd_siginfo si;
	struct winsize ws;

	if (read(r->signals, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return;
	if (si.ssi_signo != SIGWINCH)
		(void)!client_send(r->sock, CONTROL_SIGNAL, si.ssi_signo, NULL, 0, NULL, 0);
	else if (r->console >= 0 && ioctl(r->console, TIOCGWINSZ, &ws) == 0)
		(void)!client_send(r->sock, CONTROL_WINSIZE, (int64_t)ws.ws_row << 16 | ws.ws_col, NULL, 0,
				   NULL, 0);
}

/* Until the program ends: its exit status. */
static int attend(struct exec_run *r)
{
	static struct client_msg msg;
	struct pollfd p[2] = {{r->sock, POLLIN, 0}, {r->signals, POLLIN, 0}};

	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return EXIT_LOST;
		if (p[1].revents)
			pass_signal(r);
		if (!p[0].revents)
			continue;
		if (client_receive(r->sock, &msg) < 0)
			return EXIT_LOST;
		if (msg.m.type == CONTROL_EXITED) {
			int status = (int)msg.m.value;

			return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		}
	}
}

static void block_signals(struct exec_run *r, bool all)
{
	static const int passed[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGALRM};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(passed); i++)
		sigaddset(&set, passed[i]);
	for (int s = 1; all && s < 65; s++)
		if (s != SIGSEGV && s != SIGBUS && s != SIGABRT && s != SIGCHLD && s != 32 && s != 33)
			sigaddset(&set, s);
	sigprocmask(SIG_BLOCK, &set, NULL);
	r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static NORETURN void detached(struct exec_run *r, const struct oci_process *p)
{
	char ready = 1;
	int null;

	setsid();
	block_signals(r, true);
	if (start(r, p) < 0) {
		(void)!write(r->report, r->err, strlen(r->err));
		_exit(EXIT_EXEC_FAILED);
	}
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < 3 && null >= 0; i++)
		dup2(null, i);
	if (write(r->report, &ready, 1) != 1)
		_exit(EXIT_LOST);
	close(r->report);
	_exit(attend(r));
}

static int exec_detached(struct exec_run *r, const struct oci_process *p)
{
	int report[2], pid;
	ssize_t n;

	if (pipe2(report, O_CLOEXEC) < 0)
		return oci_fail("exec failed: cannot make a pipe: %s", strerror(errno));
	r->report = fcntl(report[1], F_DUPFD_CLOEXEC, 3 + (int)r->a->preserve_fds);
	close(report[1]);
	pid = fork();
	if (pid == 0)
		detached(r, p);
	close(r->report);
	n = pid < 0 ? -1 : read(report[0], r->err, sizeof(r->err) - 1);
	close(report[0]);
	if (n == 1 && r->err[0] == 1) {
		if (!r->a->pid_file || write_pid_file(r->a->pid_file, pid, r->err, sizeof(r->err)) == 0)
			return 0;
		kill(pid, SIGKILL);
	} else if (n > 0) {
		r->err[n] = 0;
	} else {
		snprintf(r->err, sizeof(r->err), "it ended at once");
	}
	oci_fail("exec failed: %s", r->err);
	return EXIT_EXEC_FAILED;
}

static int exec_attached(struct exec_run *r, const struct oci_process *p)
{
	struct termios saved, raw;
	bool tty = p->terminal && !r->a->console_socket && tcgetattr(0, &saved) == 0;
	struct winsize ws;
	int status;

	block_signals(r, false);
	if (start(r, p) < 0) {
		oci_fail("exec failed: %s", r->err);
		return EXIT_EXEC_FAILED;
	}
	if (r->a->pid_file && write_pid_file(r->a->pid_file, getpid(), r->err, sizeof(r->err)) < 0) {
		oci_fail("exec failed: %s", r->err);
		return EXIT_EXEC_FAILED;
	}
	if (tty) {
		raw = saved;
		cfmakeraw(&raw);
		tcsetattr(0, TCSADRAIN, &raw);
		if (ioctl(0, TIOCGWINSZ, &ws) == 0)
			(void)!client_send(r->sock, CONTROL_WINSIZE, (int64_t)ws.ws_row << 16 | ws.ws_col, NULL,
					   0, NULL, 0);
	}
	status = attend(r);
	if (tty)
		tcsetattr(0, TCSADRAIN, &saved);
	return status;
}

static int exec_in(const struct exec_args *a, struct oci_state *s)
{
	struct exec_run r = {.a = a, .state = s, .stdio = {0, 1, 2}, .report = -1};
	struct config_writer w = {0};
	struct json_object *doc = NULL;
	enum oci_status status = state_status(s);
	struct oci_process own;
	struct oci_spec spec;
	char err[1024];

	if (status == OCI_STOPPED)
		return oci_fail("cannot exec in a stopped container") ? EXIT_EXEC_FAILED : 0;
	if (status == OCI_PAUSED && !a->ignore_paused)
		return oci_fail("cannot exec in a paused container (use --ignore-paused to override)")
			       ? EXIT_EXEC_FAILED
			       : 0;
	if (container_spec(s, &spec, err, sizeof(err)) < 0 ||
	    (a->process && spec_load_process(&own, &doc, a->process, err, sizeof(err)) < 0)) {
		oci_fail("exec failed: %s", err);
		return EXIT_EXEC_FAILED;
	}
	if (!a->process) {
		if (apply_options(a, &spec.process) < 0)
			return EXIT_EXEC_FAILED;
		own = spec.process;
	}
	own.terminal |= a->tty;
	config_add(&w, "oci", "1");
	for (uint32_t i = 0; i < a->preserve_fds; i++)
		config_add(&w, "fd", "%u:%u", 3 + i, i);
	if (describe_process(&w, &own, spec.seccomp, err, sizeof(err)) < 0 ||
	    (r.config = config_seal(&w)) < 0) {
		oci_fail("exec failed: %s", err);
		return EXIT_EXEC_FAILED;
	}
	/* the process of a --process file, or the spec's own, lives as long as we do */
	return a->detach ? exec_detached(&r, &own) : exec_attached(&r, &own);
}

int cmd_exec(int argc, char **argv)
{
	struct exec_args a = {0};
	struct oci_state s;
	char err[512];
	int ret;

	if (oci_begin() < 0 || parse(argc, argv, &a) < 0)
		return EXIT_EXEC_FAILED;
	if (a.help)
		return 0;
	if (state_load(&s, oci_globals.root, a.id, false, err, sizeof(err)) < 0) {
		oci_fail("exec failed: %s", err);
		state_free(&s);
		return EXIT_EXEC_FAILED;
	}
	ret = exec_in(&a, &s);
	state_free(&s);
	return ret;
}
