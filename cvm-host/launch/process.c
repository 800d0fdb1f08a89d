/* process.c: children without network, privileges or cores; a private folder. */
#include "cvm-host/launch/process.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cvm-host/cvm.h"

#define NOBODY 65534

/* In the child. What failed, or NULL. */
static const char *confine(pid_t launcher)
{
	const struct rlimit none = {0, 0};
	bool root = geteuid() == 0;

	/* without privileges a user namespace gives the network namespace; where that is forbidden QEMU's own
	 * -nic none and -sandbox stand alone */
	if (unshare(root ? CLONE_NEWNET | CLONE_NEWIPC : CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC) < 0 &&
	    root)
		return "namespaces";
	if (root && setgroups(0, NULL) < 0)
		return "setgroups";
	if (root && setgid(NOBODY) < 0)
		return "setgid";
	if (root && setuid(NOBODY) < 0)
		return "setuid";
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return "RLIMIT_CORE";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return "no_new_privs";
	/* the last of all: a change of user or capabilities clears it (prctl(2)) */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return "PDEATHSIG";
	if (getppid() != launcher)
		_exit(127); /* it ended before that */
	return NULL;
}

pid_t process_start(const char *const *argv, const char *dir, const sigset_t *mask)
{
	static const char *const env[] = {"PATH=/usr/bin:/bin:/usr/local/bin", "HOME=/nonexistent", NULL};
	pid_t launcher = getpid(), pid = fork();
	const char *failed;
	int fd;

	if (pid)
		return pid;
	setpgid(0, 0);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	fd = open("/dev/null", O_RDWR);
	dup2(fd, 0);
	dup2(fd, 1);
	if (fd > 1)
		close(fd);
	failed = confine(launcher);
	if (!failed && chdir(dir) < 0)
		failed = dir;
	if (!failed)
		execvpe(argv[0], (char *const *)argv, (char *const *)env); /* exec changes neither */
	cvm_complain("%s: %s: %s", argv[0], failed ?: "not started", strerror(errno));
	_exit(127);
}

void process_end(pid_t pid)
{
	if (pid > 0) {
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
}

int folder_make(char dir[FOLDER_MAX], struct err *e)
{
	char *tpm;
	int ret = 0;

	snprintf(dir, FOLDER_MAX, "/tmp/sbx-cvm-XXXXXX");
	if (!mkdtemp(dir)) {
		ret = err_set(e, -errno, "%s: %s", dir, strerror(errno));
		*dir = 0;
		return ret;
	}
	tpm = xasprintf("%s/tpm", dir);
	if (mkdir(tpm, 0700) < 0 ||
	    (geteuid() == 0 && (chown(tpm, NOBODY, NOBODY) < 0 || chown(dir, NOBODY, NOBODY) < 0)))
		ret = err_set(e, -errno, "%s: %s", tpm, strerror(errno));
	free(tpm);
	return ret;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	remove(path);
	return 0;
}

void folder_remove(const char *dir)
{
	if (*dir)
		nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
