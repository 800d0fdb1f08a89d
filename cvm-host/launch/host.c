/* host.c: swtpm and QEMU in a private folder; process.h says what holds them, session.h what is spoken. The
 * launcher sees TLS records, sizes, and what the manifest lets the guest say. */
#include "cvm-host/launch/host.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cvm-host/cvm.h"
#include "cvm-host/kbs/manifest.h"
#include "cvm-host/launch/process.h"
#include "cvm-host/launch/session.h"

#define FILE_LIMIT ((size_t)1 << 30)

struct run {
	struct launch *l;
	char dir[FOLDER_MAX];
	pid_t qemu, tpm;
	sigset_t mask; /* of the caller: our children get it */
	int ctl;
	struct blob manifest;
};

/* ---- the guest's surroundings ---------------------------------------------------------------------------- */

/* A copy that QEMU's user may read: what is measured is what lies there. */
static char *copy_in(struct run *r, const char *name, struct err *e)
{
	char *from = xasprintf("%s/%s", r->l->image, name), *to = xasprintf("%s/%s", r->dir, name);
	struct blob b = {0};
	int ret = load_file(from, FILE_LIMIT, &b, e);

	if (!ret)
		ret = save_file(to, b.data, b.size, 0444, e);
	blob_free(&b);
	free(from);
	if (ret) {
		free(to);
		return NULL;
	}
	return to;
}

static int start_tpm(struct run *r, char **socket_path, struct err *e)
{
	char *state = xasprintf("dir=%s/tpm", r->dir), *path = xasprintf("%s/tpm.sock", r->dir),
	     *ctrl = xasprintf("type=unixio,path=%s", path);
	const char *argv[] = {"swtpm", "socket",      "--tpm2",	 "--tpmstate",	  state, "--ctrl",
			      ctrl,    "--terminate", "--flags", "startup-clear", NULL};
	int ret = -ETIMEDOUT;

	r->tpm = process_start(argv, r->dir, &r->mask);
	for (int i = 0; i < 200 && ret; i++) {
		if (access(path, F_OK) == 0)
			ret = 0;
		else if (waitpid(r->tpm, NULL, WNOHANG) == r->tpm) {
			r->tpm = -1;
			break;
		} else
			usleep(20000);
	}
	if (ret)
		ret = err_set(e, -ENOENT, "swtpm does not start: is it installed?");
	*socket_path = path;
	free(state);
	free(ctrl);
	return ret;
}

/* ---- all of it ------------------------------------------------------------------------------------------- */

static int open_disks(struct launch *l, struct err *e)
{
	for (size_t i = 0; i < l->vm.disk_count; i++) {
		l->vm.disks[i].fd = open(l->disk_path[i], O_RDWR);
		if (l->vm.disks[i].fd < 0)
			return err_set(e, -errno, "%s: %s", l->disk_path[i], strerror(errno));
	}
	return 0;
}

static int start_vm(struct run *r, struct err *e)
{
	struct vm_config *c = &r->l->vm;
	char **argv = NULL, *tpm = NULL, *kernel = copy_in(r, "vmlinuz", e), *initrd = NULL, *console = NULL;
	int pair[2], ret;

	initrd = kernel ? copy_in(r, "initrd", e) : NULL;
	ret = initrd ? start_tpm(r, &tpm, e) : -EIO;
	if (!ret)
		ret = open_disks(r->l, e); /* QEMU's alone: swtpm is there already */
	if (!ret && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		ret = err_set(e, -errno, "socketpair: %s", strerror(errno));
	if (!ret) {
		fcntl(pair[0], F_SETFD, FD_CLOEXEC);
		r->ctl = pair[0];
		console = r->l->console ? xasprintf("%s/console", r->dir) : NULL;
		c->kernel = kernel;
		c->initrd = initrd;
		c->tpm_socket = tpm;
		c->ctl_fd = pair[1];
		c->console = console;
		ret = vm_argv(c, &argv, e);
		if (!ret)
			ret = vm_lint(c->tee, argv, e);
		if (!ret)
			r->qemu = process_start((const char *const *)argv, r->dir, &r->mask);
		close(pair[1]);
	}
	vm_argv_free(argv);
	free(kernel);
	free(initrd);
	free(tpm);
	free(console);
	return ret;
}

static void keep_console(const struct run *r)
{
	char *path = xasprintf("%s/console", r->dir);
	struct blob b = {0};

	if (r->l->console && load_file(path, FILE_LIMIT, &b, NULL) == 0)
		(void)!save_file(r->l->console, b.data, b.size, 0600, NULL);
	blob_free(&b);
	free(path);
}

/* Signals that would end us, but for those that our caller ignores (nohup): they are answered in the session,
 * so that nothing stays of the folder. *mask: as it was. A descriptor, or -1. */
static int catch_signals(sigset_t *mask)
{
	static const int list[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction sa;
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(list); i++)
		if (sigaction(list[i], NULL, &sa) == 0 && sa.sa_handler != SIG_IGN)
			sigaddset(&set, list[i]);
	sigprocmask(SIG_BLOCK, &set, mask);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int launch_run(struct launch *l)
{
	static struct run r;
	static struct session s;
	struct err e = {"failed"};
	int ret;

	r = (struct run){.l = l, .ctl = -1};
	signal(SIGPIPE, SIG_IGN);
	s = (struct session){.l = l, .manifest = &r.manifest, .out = {1, 2}, .signals = catch_signals(&r.mask)};
	ret = s.signals < 0 ? err_set(&e, -errno, "signalfd: %s", strerror(errno))
			    : load_file(l->manifest, MANIFEST_MAX, &r.manifest, &e);
	if (!ret)
		ret = folder_make(r.dir, &e);
	if (!ret)
		ret = start_vm(&r, &e);
	if (ret)
		cvm_complain("%s", e.text);
	s.guest = r.ctl;
	ret = ret ? EXIT_OWN : session_run(&s);
	process_end(r.qemu);
	process_end(r.tpm);
	keep_console(&r);
	folder_remove(r.dir);
	blob_free(&r.manifest);
	return ret;
}
