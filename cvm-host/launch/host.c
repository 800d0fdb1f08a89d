/* host.c: swtpm and QEMU in a private folder (process.h says what holds them), and the relay between guest and
 * broker. The launcher sees TLS records, sizes, and what the manifest lets the guest say. */
#include "cvm-host/launch/host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cvm-host/cvm.h"
#include "cvm-host/kbs/manifest.h"
#include "cvm-host/kbs/tls.h"
#include "cvm-host/launch/process.h"
#include "cvm-host/launch/verbs.h"

#define FILE_LIMIT ((size_t)1 << 30)

struct run {
	struct launch *l;
	char dir[FOLDER_MAX];
	pid_t qemu, tpm;
	sigset_t mask; /* of the caller: our children get it */
	int ctl, relay;
	uint32_t seq;
	struct verb_reader reader;
	struct blob manifest;
	bool input_open, exited;
	int status;
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

/* ---- the channel ----------------------------------------------------------------------------------------- */

static int send_verb(struct run *r, enum verb v, const void *data, size_t size)
{
	static uint8_t frame[VERB_HEAD + VERB_PAYLOAD_MAX];
	size_t n = verb_put(frame, v, &r->seq, data, size), at = 0;

	while (at < n) {
		ssize_t k = send(r->ctl, frame + at, n - at, MSG_NOSIGNAL);

		if (k <= 0 && errno != EINTR)
			return -EPIPE;
		at += k > 0 ? (size_t)k : 0;
	}
	return 0;
}

static int send_manifest(struct run *r)
{
	int ret = 0;

	for (size_t at = 0; at < r->manifest.size && !ret; at += 32768)
		ret = send_verb(r, VERB_READY, r->manifest.data + at,
				MIN(r->manifest.size - at, (size_t)32768));
	return ret ? ret : send_verb(r, VERB_READY, NULL, 0);
}

static void open_relay(struct run *r)
{
	char *host = xstrdup(r->l->broker), *colon = strrchr(host, ':');
	struct err e = {""};

	if (r->relay < 0 && colon) {
		*colon = 0;
		r->relay = tls_tcp_connect(host, colon + 1, 10000, &e);
	}
	if (r->relay < 0) {
		const uint8_t op = RELAY_CLOSE;

		cvm_complain("broker: %s", e.text);
		(void)!send_verb(r, VERB_RELAY, &op, 1);
	}
	free(host);
}

static int relay_verb(struct run *r, const struct verb_frame *f)
{
	if (f->data[0] == RELAY_OPEN)
		open_relay(r);
	else if (f->data[0] == RELAY_CLOSE && r->relay >= 0) {
		close(r->relay);
		r->relay = -1;
	} else if (r->relay >= 0 && send(r->relay, f->data + 1, f->size - 1, MSG_NOSIGNAL) < 0)
		return 0; /* its end is seen by the reading side */
	return 0;
}

/* Guest's text on a terminal: printable ASCII only. */
static void show_progress(const struct run *r, const struct verb_frame *f)
{
	char text[513];
	size_t n = MIN(f->size, sizeof(text) - 1);

	for (size_t i = 0; i < n; i++)
		text[i] = f->data[i] >= ' ' && f->data[i] < 0x7f ? (char)f->data[i] : '?';
	text[n] = 0;
	if (!r->l->quiet || !strncmp(text, "refused", 7))
		cvm_complain("guest: %s", text);
}

/* A reader that is gone is no reason to stop the guest. */
static void put_output(int fd, const uint8_t *p, size_t size)
{
	while (size) {
		ssize_t n = write(fd, p, size);

		if (n <= 0 && errno != EINTR)
			return;
		p += n > 0 ? n : 0;
		size -= n > 0 ? (size_t)n : 0;
	}
}

static int guest_says(struct run *r, const struct verb_frame *f)
{
	switch (f->verb) {
	case VERB_READY:
		return send_manifest(r);
	case VERB_RELAY:
		return relay_verb(r, f);
	case VERB_STDIO:
		put_output(f->data[0], f->data + 1, f->size - 1);
		return 0;
	case VERB_PROGRESS:
		show_progress(r, f);
		return 0;
	case VERB_EXIT:
		r->exited = true;
		r->status = f->data[0] == 0 ? f->data[1] : f->data[0] == 1 ? 128 + f->data[1] : EXIT_OWN;
		return 0;
	default:
		return 0; /* pings' answers; logs of guests that the manifest gives no log */
	}
}

static int read_guest(struct run *r)
{
	static uint8_t buf[65536];
	ssize_t n = read(r->ctl, buf, sizeof(buf));
	const uint8_t *p = buf;
	size_t size = n > 0 ? (size_t)n : 0;
	struct verb_frame f;
	int ret = n <= 0 ? -EPIPE : 0;

	while (!ret && !r->exited && (ret = verb_take(&r->reader, &p, &size, &f)) == 1)
		ret = guest_says(r, &f);
	if (ret == -EPROTO)
		cvm_complain("the guest broke the channel's rules");
	return ret;
}

static void read_broker(struct run *r)
{
	static uint8_t buf[1 + 16384] = {RELAY_DATA};
	ssize_t n = read(r->relay, buf + 1, sizeof(buf) - 1);
	const uint8_t op = RELAY_CLOSE;

	if (n > 0) {
		(void)!send_verb(r, VERB_RELAY, buf, (size_t)n + 1);
		return;
	}
	close(r->relay);
	r->relay = -1;
	(void)!send_verb(r, VERB_RELAY, &op, 1);
}

static void read_input(struct run *r)
{
	static uint8_t buf[1 + 16384];
	ssize_t n = read(0, buf + 1, sizeof(buf) - 1);

	if (n <= 0)
		r->input_open = false;
	(void)!send_verb(r, VERB_STDIO, buf, (size_t)MAX(n, 0) + 1);
}

static int converse(struct run *r)
{
	int64_t deadline = r->l->timeout ? mono_ms() + r->l->timeout * 1000ll : INT64_MAX;
	int ret = 0;

	while (!r->exited && !ret) {
		struct pollfd p[3] = {
			{r->ctl, POLLIN, 0}, {r->relay, POLLIN, 0}, {r->input_open ? 0 : -1, POLLIN, 0}};
		int64_t left = deadline - mono_ms();

		if (left <= 0) {
			cvm_complain("timeout");
			return EXIT_TIMEOUT;
		}
		if (poll(p, 3, (int)MIN(left, (int64_t)1000)) < 0 && errno != EINTR)
			return EXIT_OWN;
		if (p[0].revents)
			ret = read_guest(r);
		if (!ret && p[1].revents)
			read_broker(r);
		if (!ret && p[2].revents)
			read_input(r);
	}
	if (!r->exited)
		cvm_complain("the guest is gone without an exit status");
	return r->exited ? r->status : EXIT_OWN;
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

int launch_run(struct launch *l)
{
	static struct run r;
	struct err e = {"failed"};
	int ret;

	r = (struct run){.l = l, .ctl = -1, .relay = -1, .input_open = l->input, .reader.from = FROM_GUEST};
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_SETMASK, NULL, &r.mask);
	ret = load_file(l->manifest, MANIFEST_MAX, &r.manifest, &e);
	if (!ret)
		ret = folder_make(r.dir, &e);
	if (!ret)
		ret = start_vm(&r, &e);
	if (ret)
		cvm_complain("%s", e.text);
	ret = ret ? EXIT_OWN : converse(&r);
	process_end(r.qemu);
	process_end(r.tpm);
	keep_console(&r);
	folder_remove(r.dir);
	blob_free(&r.manifest);
	return ret;
}
