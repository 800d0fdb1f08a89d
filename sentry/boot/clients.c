/* clients.c: see clients.h. */
#include "sentry/boot/clients.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/base/bug.h"
#include "platform/base/log.h"
#include "platform/base/strbuf.h"
#include "sentry/boot/program.h"
#include "sentry/boot/terminal.h"
#include "sentry/control/proto.h"

#define EXIT_SBX 125

/* A process that a client started and waits for. Written by its last thread until ended is set. */
struct executed {
	uint32_t ended; /* [a] */
	int status;	/* wait status, once ended */
	int event;	/* [I] the control loop's eventfd */
	int32_t pid;	/* 0: not started */
	struct terminal *terminal;
};

struct client {
	int fd;		       /* -1: it went away; its process is being killed */
	struct executed *exec; /* NULL: none */
};

/* Only the control loop touches it. */
struct clients {
	struct client slot[CLIENTS_MAX];
	size_t count;
};

int clients_create(struct boot *b)
{
	b->clients = kmalloc(sizeof(*b->clients));
	return b->clients ? 0 : -ENOMEM;
}

void clients_add(struct boot *b, int fd)
{
	struct clients *c = b->clients;

	if (c->count == CLIENTS_MAX) {
		log_warn("too many clients at once");
		close(fd);
		return;
	}
	c->slot[c->count++] = (struct client){.fd = fd};
}

void client_reply(int fd, uint32_t type, int64_t value, const char *data, size_t size)
{
	struct control_msg m = {.type = type, .size = (uint32_t)size, .value = value};
	struct iovec iov[2] = {{&m, sizeof(m)}, {(void *)(uintptr_t)data, size}};
	struct msghdr h = {.msg_iov = iov, .msg_iovlen = size ? 2 : 1};

	if (fd >= 0 && sendmsg(fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_info("a client is gone, or doesn't read");
}

static void reply_error(int fd, int status, const char *text)
{
	client_reply(fd, CONTROL_ERROR, status, text, strlen(text));
}

static void executed_exited(void *arg, int status)
{
	struct executed *x = arg;
	uint64_t one = 1;
	int event = x->event;

	x->status = status;
	__atomic_store_n(&x->ended, 1, __ATOMIC_RELEASE); /* x may be gone from here on */
	if (write(event, &one, sizeof(one)) < 0)
		log_error("cannot tell the control loop of an exit");
}

static void executed_free(struct executed *x)
{
	if (x->terminal)
		terminal_end(x->terminal);
	kfree(x);
}

/* Starts what config says. 0, or -1 with *p->why. */
static int start_executed(struct boot *b, struct executed *x, struct program *p)
{
	struct init_args a;
	int ret;

	if (p->terminal && terminal_start(p->terminal) < 0)
		return reason_set(p->why, EXIT_SBX, "cannot start the terminal's threads");
	program_args(b, p, &a);
	a.exited = executed_exited;
	a.exited_arg = x;
	ret = kernel_start_process(b->kernel, &a);
	if (ret < 0) {
		program_explain(p, ret);
		return -1;
	}
	x->pid = ret;
	return 0;
}

/* The process of a request: fds are its configuration, 0-2, and further ones; all taken over. */
static int make_executed(struct boot *b, const struct config *c, const int *fds, size_t count,
			 struct executed *x, struct reason *why)
{
	struct program_files files = {.fds = fds + 4, .count = count - 4, .stdio = {fds[1], fds[2], fds[3]}};
	struct program *p = kmalloc(sizeof(*p));
	int ret;

	if (!p)
		return reason_set(why, EXIT_SBX, "out of memory");
	p->why = why;
	ret = program_prepare(b, c, &files, p);
	x->terminal = p->terminal;
	if (ret == 0) {
		ret = start_executed(b, x, p);
		if (ret < 0) /* its thread may still be on its way out */
			while (!__atomic_load_n(&x->ended, __ATOMIC_ACQUIRE))
				usleep(100);
	}
	program_free(p);
	kfree(p);
	return ret;
}

static void serve_exec(struct boot *b, struct client *cl, const int *fds, size_t count)
{
	struct executed *x = kmalloc(sizeof(*x));
	struct reason *why = kmalloc(sizeof(*why));
	struct config c = {0};
	int ret = -1;

	if (!x || !why || count < 4 || cl->exec || !b->program_started ||
	    __atomic_load_n(&b->exited, __ATOMIC_ACQUIRE)) {
		reply_error(cl->fd, EXIT_SBX, "the container does not run, or the request is malformed");
		for (size_t i = 1; i < count; i++)
			close(fds[i]);
	} else if (config_open(&c, fds[0]) < 0) {
		reply_error(cl->fd, EXIT_SBX, "bad configuration");
		for (size_t i = 1; i < count; i++)
			close(fds[i]);
	} else {
		x->event = b->exit_event;
		ret = make_executed(b, &c, fds, count, x, why);
		munmap((void *)(uintptr_t)c.data, c.size);
		if (ret < 0)
			reply_error(cl->fd, why->status, why->text);
	}
	if (count)
		close(fds[0]);
	if (ret == 0) {
		cl->exec = x;
		client_reply(cl->fd, CONTROL_STARTED, x->pid, NULL, 0);
	} else if (x) {
		executed_free(x);
	}
	kfree(why);
}

static void serve_start(struct boot *b, struct client *cl, const struct control_msg *m, const int *fds,
			size_t count)
{
	struct reason *why = kmalloc(sizeof(*why));

	if (!why || b->program_started) {
		for (size_t i = 0; i < count; i++)
			close(fds[i]);
		reply_error(cl->fd, EXIT_SBX, "the container was started already");
	} else if (boot_net_add(b, fds, count, (uint64_t)m->value, why) < 0 || boot_program_start(b, why) < 0) {
		reply_error(cl->fd, why->status, why->text);
		boot_fail(b, why->status, "%s", why->text);
	} else {
		b->program_started = true;
		client_reply(cl->fd, CONTROL_DONE, 0, NULL, 0);
	}
	kfree(why);
}

static int send_to(struct boot *b, int32_t pid, int sig)
{
	struct process *p = process_find_in(b->kernel->pid_ns, pid);
	int ret;

	if (!p)
		return -ESRCH;
	ret = sig >= 1 && sig <= 64 ? signal_send_process(p, sig, NULL) : 0;
	process_put(p);
	return ret;
}

static void serve_kill(struct boot *b, struct client *cl, int sig, bool all)
{
	int ret = 0, after = 0;
	struct task *leader;

	if (sig < 0 || sig > 64) {
		reply_error(cl->fd, EXIT_SBX, "no such signal");
		return;
	}
	if (!b->program_started && (sig == 9 || sig == 15)) { /* nobody is there to get it: the end */
		client_reply(cl->fd, CONTROL_DONE, 0, NULL, 0);
		control_send(b, CONTROL_EXITED, sig, NULL, 0);
		_exit(0);
	}
	if (!all) {
		ret = send_to(b, 1, sig);
	} else {
		while ((leader = process_next(b->kernel->pid_ns, after))) {
			after = pid_nr_in(leader->process->pid, b->kernel->pid_ns);
			task_put(leader);
			(void)!send_to(b, after, sig);
		}
	}
	if (ret < 0)
		reply_error(cl->fd, EXIT_SBX, "container not running");
	else
		client_reply(cl->fd, CONTROL_DONE, 0, NULL, 0);
}

static void reply_text(int fd, struct strbuf *text)
{
	size_t done = 0, n;

	if (!strbuf_ok(text) || !text->len)
		strbuf_puts(text, "nothing to show\n");
	do {
		n = MIN(text->len - done, (size_t)CONTROL_DATA_MAX);
		done += n;
		client_reply(fd, CONTROL_REPLY, done < text->len, text->data + done - n, n);
	} while (done < text->len);
	strbuf_fini(text);
}

static void serve_text(struct boot *b, int fd, uint32_t type)
{
	struct strbuf text;

	strbuf_init(&text);
	if (type == CONTROL_PS)
		ps_table(b, &text);
	else if (type == CONTROL_DUMP)
		dump_state(b, &text);
	else if (!stats_text(b, &text))
		strbuf_puts(&text, "started without --stats\n");
	reply_text(fd, &text);
}

static void serve_limit(struct boot *b, int fd, const struct control_msg *m)
{
	if (m->type == CONTROL_SET_MEMORY)
		__atomic_store_n(&b->kernel->max_memory, (uint64_t)MAX(m->value, 0), __ATOMIC_RELAXED);
	else
		__atomic_store_n(&b->kernel->max_tasks, (uint32_t)MIN(MAX(m->value, 0), (int64_t)UINT32_MAX),
				 __ATOMIC_RELAXED);
	client_reply(fd, CONTROL_DONE, 0, NULL, 0);
}

static void serve_message(struct boot *b, struct client *cl, const struct control_msg *m, const int *fds,
			  size_t count)
{
	if (m->type == CONTROL_EXEC) {
		serve_exec(b, cl, fds, count);
		return;
	}
	if (m->type == CONTROL_START) {
		serve_start(b, cl, m, fds, count);
		return;
	}
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	switch (m->type) {
	case CONTROL_KILL:
	case CONTROL_KILL_ALL:
		serve_kill(b, cl, (int)MIN(MAX(m->value, -1), (int64_t)65), m->type == CONTROL_KILL_ALL);
		return;
	case CONTROL_SIGNAL:
		if (cl->exec && m->value > 0 && m->value <= 64)
			(void)!send_to(b, cl->exec->pid, (int)m->value);
		return;
	case CONTROL_WINSIZE:
		if (cl->exec && cl->exec->terminal)
			terminal_resize(cl->exec->terminal, (uint32_t)(m->value >> 16) & 0xffff,
					(uint32_t)m->value & 0xffff);
		return;
	case CONTROL_PS:
	case CONTROL_DUMP:
	case CONTROL_STATS:
		serve_text(b, cl->fd, m->type);
		return;
	case CONTROL_SET_MEMORY:
	case CONTROL_SET_PIDS:
		serve_limit(b, cl->fd, m);
		return;
	default:
		reply_error(cl->fd, EXIT_SBX, "unknown request");
	}
}

static void client_gone(struct boot *b, struct client *cl)
{
	close(cl->fd);
	cl->fd = -1;
	if (cl->exec)
		(void)!send_to(b, cl->exec->pid, 9);
}

static void serve_client(struct boot *b, struct client *cl)
{
	int fds[CONTROL_FDS_MAX];
	struct control_msg m;
	size_t count;
	ssize_t n = control_receive(cl->fd, &m, fds, &count);

	if (n == -EINTR || n == -EAGAIN)
		return;
	if (n <= 0)
		client_gone(b, cl);
	else
		serve_message(b, cl, &m, fds, count);
}

/* Its process has ended: the last output goes first. */
static void report_exit(struct client *cl)
{
	struct executed *x = cl->exec;

	if (x->terminal)
		terminal_drain(x->terminal);
	client_reply(cl->fd, CONTROL_EXITED, x->status, NULL, 0);
	if (cl->fd >= 0)
		close(cl->fd);
	cl->fd = -1;
	cl->exec = NULL;
	executed_free(x);
}

size_t clients_poll(struct boot *b, struct pollfd *p)
{
	struct clients *c = b->clients;

	for (size_t i = 0; i < c->count; i++)
		p[i] = (struct pollfd){c->slot[i].fd, POLLIN, 0};
	return c->count;
}

void clients_serve(struct boot *b, const struct pollfd *p, size_t n)
{
	struct clients *c = b->clients;
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (p[i].revents && c->slot[i].fd >= 0)
			serve_client(b, &c->slot[i]);
	for (size_t i = 0; i < c->count; i++) {
		struct client *cl = &c->slot[i];

		if (cl->exec && __atomic_load_n(&cl->exec->ended, __ATOMIC_ACQUIRE))
			report_exit(cl);
		if (cl->fd >= 0 || cl->exec)
			c->slot[kept++] = *cl;
	}
	c->count = kept;
}

void clients_end(struct boot *b)
{
	clients_serve(b, NULL, 0);
}
