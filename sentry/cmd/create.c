/* create.c: `sbx create`, `start` and the runtime's form of `run`. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "sentry/cmd/oci.h"
#include "sentry/oci/log.h"

enum { OPT_CONSOLE = 256, OPT_PIDFILE, OPT_PRESERVE, OPT_IGNORED, OPT_KEEP };

struct create_args {
	struct create_options o;
	bool detach, keep, help;
};

static const struct option longs[] = {
	{"bundle", required_argument, NULL, 'b'},
	{"console-socket", required_argument, NULL, OPT_CONSOLE},
	{"pid-file", required_argument, NULL, OPT_PIDFILE},
	{"preserve-fds", required_argument, NULL, OPT_PRESERVE},
	{"detach", no_argument, NULL, 'd'},
	{"keep", no_argument, NULL, OPT_KEEP},
	{"no-pivot", no_argument, NULL, OPT_IGNORED},
	{"no-new-keyring", no_argument, NULL, OPT_IGNORED},
	{"no-subreaper", no_argument, NULL, OPT_IGNORED},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"usage: sbx create [OPTION...] ID\n"
	"       sbx run -b DIR [-d] [OPTION...] ID\n\n"
	"Creates a container from an OCI bundle, a folder with config.json; `run` starts it, too.\n\n"
	"  -b, --bundle DIR         the bundle (default: the current folder)\n"
	"  --console-socket PATH    where the terminal's descriptor is sent to (process.terminal)\n"
	"  --pid-file FILE          the id of the process that stands for the container\n"
	"  --preserve-fds N         pass N descriptors from 3 on\n"
	"  -d, --detach             run: don't wait for its end\n"
	"  --keep                   run: don't delete it at its end\n"
	"  --no-pivot, --no-new-keyring, --no-subreaper   accepted: nothing of the kind is done\n";

static int parse(int argc, char **argv, struct create_args *a)
{
	int64_t n;
	int c;

	*a = (struct create_args){.o = {.bundle = ".", .tty = -1}};
	optind = 0;
	while ((c = oci_getopt(argc, argv, "b:dh", longs)) != -1) {
		switch (c) {
		case 'b':
			a->o.bundle = optarg;
			break;
		case OPT_CONSOLE:
			a->o.console_socket = optarg;
			break;
		case OPT_PIDFILE:
			a->o.pid_file = optarg;
			break;
		case OPT_PRESERVE:
			if (!oci_number("--preserve-fds", optarg, 0, 90, &n))
				return -1;
			a->o.preserve_fds = (uint32_t)n;
			break;
		case 'd':
			a->detach = true;
			break;
		case OPT_KEEP:
			a->keep = true;
			break;
		case OPT_IGNORED:
			break;
		case 'h':
			fputs(help, stdout);
			a->help = true;
			return 0;
		default:
			return -1;
		}
	}
	a->o.root = oci_globals.root;
	a->o.platform = oci_globals.platform;
	a->o.debug = oci_globals.debug;
	a->o.systemd_cgroup = oci_globals.systemd_cgroup;
	/* descriptors of socket activation come on top */
	if (getenv("LISTEN_FDS") && oci_number("LISTEN_FDS", getenv("LISTEN_FDS"), 0, 64, &n))
		a->o.preserve_fds += (uint32_t)n;
	return 0;
}

int cmd_create(int argc, char **argv)
{
	struct create_args a;
	struct oci_state s;
	char err[1024];
	const char *id;

	if (oci_begin() < 0 || parse(argc, argv, &a) < 0)
		return 1;
	if (a.help)
		return 0;
	id = oci_one_id(argc, argv);
	if (!id)
		return 1;
	if (container_create(&a.o, id, &s, err, sizeof(err)) < 0)
		return oci_fail("%s", err);
	state_free(&s);
	return 0;
}

int cmd_start(int argc, char **argv)
{
	struct oci_state s;
	char err[1024];
	const char *id;
	int ret;

	optind = 1;
	if (oci_begin() < 0 || !(id = oci_one_id(argc, argv)))
		return 1;
	ret = state_load(&s, oci_globals.root, id, true, err, sizeof(err));
	if (ret == 0)
		ret = container_start(&s, err, sizeof(err));
	state_free(&s);
	return ret < 0 ? oci_fail("%s", err) : 0;
}

/* ---- run ---- */

bool oci_run_wanted(int argc, char **argv)
{
	static const char *const ours[] = {"--bundle",	 "--detach",	    "--console-socket",
					   "--pid-file", "--preserve-fds",  "--keep",
					   "--no-pivot", "--no-new-keyring"};

	if (oci_globals.given)
		return true;
	for (int i = 1; i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "-b") == 0 || strcmp(argv[i], "-d") == 0)
			return true;
		for (size_t k = 0; k < ARRAY_SIZE(ours); k++) {
			size_t n = strlen(ours[k]);

			if (strncmp(argv[i], ours[k], n) == 0 && (argv[i][n] == 0 || argv[i][n] == '='))
				return true;
		}
	}
	return false;
}

static struct termios saved_termios;
static bool termios_changed;

static void restore_terminal(void)
{
	if (termios_changed)
		tcsetattr(0, TCSADRAIN, &saved_termios);
	termios_changed = false;
}

static void raw_terminal(void)
{
	struct termios raw;

	if (tcgetattr(0, &saved_termios) < 0)
		return;
	raw = saved_termios;
	cfmakeraw(&raw);
	atexit(restore_terminal);
	termios_changed = true;
	tcsetattr(0, TCSADRAIN, &raw);
}

/* Waits for the container's monitor, a child of ours, and passes signals on to it. Its exit status. */
static int attend(int pid, int signals)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), status = 0;
	struct pollfd p[2] = {{pidfd, POLLIN, 0}, {signals, POLLIN, 0}};
	struct signalfd_siginfo si;

	while (pidfd >= 0 && !p[0].revents) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			break;
		if (p[1].revents && read(signals, &si, sizeof(si)) == (ssize_t)sizeof(si))
			kill(pid, (int)si.ssi_signo);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run(struct create_args *a, const char *id)
{
	static const int passed[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGALRM};
	struct oci_state s;
	int status, signals, pid;
	char err[1024];
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(passed) && !a->detach; i++)
		sigaddset(&set, passed[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (!a->detach && !a->o.console_socket && isatty(0))
		a->o.tty = 0;
	if (container_create(&a->o, id, &s, err, sizeof(err)) < 0)
		return oci_fail("%s", err);
	pid = s.pid;
	if (a->o.tty >= 0)
		raw_terminal();
	if (container_start(&s, err, sizeof(err)) < 0) {
		restore_terminal();
		(void)!container_delete(&s, true, err + strlen(err), 0);
		state_free(&s);
		return oci_fail("%s", err);
	}
	if (a->detach) {
		state_free(&s);
		return 0;
	}
	state_free(&s); /* others may want the lock while it runs */
	status = attend(pid, signals);
	restore_terminal();
	if (!a->keep && state_load(&s, oci_globals.root, id, true, err, sizeof(err)) == 0) {
		(void)!container_delete(&s, true, err, sizeof(err));
		state_free(&s);
	}
	return status;
}

int cmd_oci_run(int argc, char **argv)
{
	struct create_args a;
	const char *id;

	if (oci_begin() < 0 || parse(argc, argv, &a) < 0)
		return 1;
	if (a.help)
		return 0;
	id = oci_one_id(argc, argv);
	return id ? run(&a, id) : 1;
}
