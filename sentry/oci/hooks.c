/* hooks.c: see hooks.h. A hook's output is kept for the message in case it fails. */
#include "sentry/oci/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *const names[HOOK_KINDS] = {"prestart",	"createRuntime", "createContainer",
					      "startContainer", "poststart",	 "poststop"};

struct hook_run {
	int pid, pidfd, in, out; /* in: its standard input; out: its output and errors */
	char output[512];
	size_t output_len;
};

static void exec_hook(const struct oci_hook *h, int in, int out)
{
	static const char *no_args[2];
	sigset_t none;

	no_args[0] = h->path;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setpgid(0, 0); /* so that a timeout ends what it started, too */
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(127);
	syscall(SYS_close_range, 3U, ~0U, 0U);
	execve(h->path, (char **)(h->args[0] ? h->args : no_args), (char **)h->env);
	dprintf(2, "%s: %s", h->path, strerror(errno));
	_exit(127);
}

static int start(const struct oci_hook *h, struct hook_run *r)
{
	int in[2], out[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) < 0)
		return -1;
	if (pipe2(out, O_CLOEXEC) < 0) {
		close(in[0]);
		close(in[1]);
		return -1;
	}
	r->pid = fork();
	if (r->pid == 0)
		exec_hook(h, in[1], out[1]);
	close(in[1]);
	close(out[1]);
	r->in = in[0];
	r->out = out[0];
	r->pidfd = r->pid > 0 ? (int)syscall(SYS_pidfd_open, r->pid, 0) : -1;
	return r->pid > 0 && r->pidfd >= 0 ? 0 : -1;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void take_output(struct hook_run *r)
{
	char buf[4096];
	ssize_t n = read(r->out, buf, sizeof(buf));

	if (n <= 0) {
		close(r->out);
		r->out = -1;
		return;
	}
	if ((size_t)n > sizeof(r->output) - 1 - r->output_len)
		n = (ssize_t)(sizeof(r->output) - 1 - r->output_len);
	memcpy(r->output + r->output_len, buf, (size_t)n);
	r->output_len += (size_t)n;
}

/* Feeds it and waits. Its wait status; -1: it took too long. */
static int attend(struct hook_run *r, const char *text, int64_t timeout)
{
	int64_t deadline = timeout ? now_ms() + timeout * 1000 : 0;
	size_t done = 0, size = strlen(text);
	int status;

	for (;;) {
		struct pollfd p[3] = {{r->in, POLLOUT, 0}, {r->out, POLLIN, 0}, {r->pidfd, POLLIN, 0}};
		int64_t left = deadline ? deadline - now_ms() : -1;

		if (deadline && left <= 0)
			return -1;
		if (poll(p, 3, (int)(left > 1000000 ? 1000000 : left)) < 0 && errno != EINTR)
			return -1;
		if (p[0].revents) {
			ssize_t n = send(r->in, text + done, size - done, MSG_NOSIGNAL | MSG_DONTWAIT);

			done += n > 0 ? (size_t)n : 0;
			if (done == size || (n < 0 && errno != EAGAIN)) {
				close(r->in);
				r->in = -1;
			}
		}
		if (p[1].revents)
			take_output(r);
		else if (p[2].revents)
			break;
	}
	waitpid(r->pid, &status, 0);
	r->pid = -1;
	return status;
}

static void finish(struct hook_run *r)
{
	if (r->pid > 0) {
		kill(-r->pid, SIGKILL);
		kill(r->pid, SIGKILL);
		waitpid(r->pid, NULL, 0);
	}
	if (r->in >= 0)
		close(r->in);
	if (r->out >= 0)
		close(r->out);
	if (r->pidfd >= 0)
		close(r->pidfd);
}

static int run_one(const struct oci_hook *h, enum oci_hook_kind kind, size_t index, const char *text, char *err,
		   size_t err_size)
{
	struct hook_run r = {.pid = -1, .pidfd = -1, .in = -1, .out = -1};
	int status;

	if (start(h, &r) < 0) {
		snprintf(err, err_size, "error running %s hook #%zu: cannot start %s: %s", names[kind], index,
			 h->path, strerror(errno));
		finish(&r);
		return -1;
	}
	status = attend(&r, text, h->timeout);
	r.output[r.output_len] = 0;
	finish(&r);
	if (status == 0)
		return 0;
	if (status == -1)
		snprintf(err, err_size, "error running %s hook #%zu: %s ran past its timeout of %lld s",
			 names[kind], index, h->path, (long long)h->timeout);
	else if (WIFSIGNALED(status))
		snprintf(err, err_size, "error running %s hook #%zu: %s: signal: %s, output: %s", names[kind],
			 index, h->path, strsignal(WTERMSIG(status)), r.output);
	else
		snprintf(err, err_size, "error running %s hook #%zu: %s: exit status %d, output: %s",
			 names[kind], index, h->path, WEXITSTATUS(status), r.output);
	return -1;
}

int hooks_run(const struct oci_spec *s, enum oci_hook_kind kind, const struct oci_state *state,
	      enum oci_status status, char *err, size_t err_size)
{
	struct json_object *o;
	const char *text;
	int ret = 0;

	if (!s->hook_count[kind])
		return 0;
	o = state_json(state, status, false);
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	for (size_t i = 0; i < s->hook_count[kind] && ret == 0; i++)
		ret = run_one(&s->hooks[kind][i], kind, i, text, err, err_size);
	json_object_put(o);
	return ret;
}
