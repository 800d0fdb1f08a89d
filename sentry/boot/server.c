/* server.c: the control socket. One thread, one loop, no lock: messages only poke the kernel. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/host/text.h"
#include "platform/base/log.h"
#include "platform/base/strbuf.h"
#include "sentry/boot/boot.h"
#include "sentry/boot/clients.h"
#include "sentry/boot/program.h"
#include "sentry/boot/terminal.h"
#include "sentry/control/proto.h"

/* A program that runs this long isn't a short one. */
#define IDLE_MS 1000

static void forward_signal(struct boot *b, int sig)
{
	struct process *p;

	if (sig < 1 || sig > 64)
		return;
	p = process_find_in(b->kernel->pid_ns, 1);
	if (!p)
		return;
	(void)signal_send_process(p, sig, NULL);
	process_put(p);
}

/* Sends a text in pieces; the last has value 0. */
static void reply(struct boot *b, struct strbuf *text)
{
	size_t done = 0, n;

	if (!strbuf_ok(text) || !text->len)
		strbuf_puts(text, "nothing to show\n");
	do {
		n = MIN(text->len - done, (size_t)CONTROL_DATA_MAX);
		done += n;
		control_send(b, CONTROL_REPLY, done < text->len, text->data + done - n, n);
	} while (done < text->len);
	strbuf_fini(text);
}

static void answer(struct boot *b, uint32_t type)
{
	struct strbuf text;

	strbuf_init(&text);
	if (type == CONTROL_DUMP)
		dump_state(b, &text);
	else if (!stats_text(b, &text))
		strbuf_puts(&text, "started without --stats\n");
	reply(b, &text);
}

ssize_t control_receive(int fd, struct control_msg *m, int *fds, size_t *fd_count)
{
	union {
		char buf[CMSG_SPACE(CONTROL_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {m, sizeof(*m)};
	struct msghdr h = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control.buf,
			   .msg_controllen = sizeof(control.buf)};
	ssize_t n = recvmsg(fd, &h, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c;

	*fd_count = 0;
	if (n < 0)
		return -errno;
	for (c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		*fd_count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), *fd_count * sizeof(int));
	}
	if (n == 0 || (n == (ssize_t)sizeof(*m) && !(h.msg_flags & MSG_CTRUNC)))
		return n;
	for (size_t i = 0; i < *fd_count; i++)
		close(fds[i]);
	*fd_count = 0;
	return -EMSGSIZE;
}

/* false: sbx is gone or wants the end */
static bool serve_one(struct boot *b)
{
	int fds[CONTROL_FDS_MAX];
	struct control_msg m;
	size_t count;
	ssize_t n = control_receive(b->control_fd, &m, fds, &count);

	if (n < 0)
		return n == -EINTR || n == -EAGAIN;
	if (n == 0)
		return false;
	for (size_t i = m.type == CONTROL_CLIENT ? 1 : 0; i < count; i++)
		close(fds[i]);
	switch (m.type) {
	case CONTROL_SIGNAL:
		forward_signal(b, (int)m.value);
		return true;
	case CONTROL_WINSIZE:
		if (b->program->terminal)
			terminal_resize(b->program->terminal, (uint32_t)(m.value >> 16) & 0xffff,
					(uint32_t)m.value & 0xffff);
		return true;
	case CONTROL_DUMP:
	case CONTROL_STATS:
		answer(b, m.type);
		return true;
	case CONTROL_CLIENT:
		if (count)
			clients_add(b, fds[0]);
		return true;
	case CONTROL_STOP:
		return false;
	default:
		log_warn("control message of unknown type %u", m.type);
		return true;
	}
}

void control_serve(struct boot *b)
{
	struct pollfd *p = kmalloc((2 + CLIENTS_MAX) * sizeof(*p));
	int timeout = IDLE_MS, got;
	uint64_t events;
	size_t n;

	if (!p)
		boot_fail(b, 125, "out of memory");
	while (!__atomic_load_n(&b->exited, __ATOMIC_ACQUIRE)) {
		p[0] = (struct pollfd){b->control_fd, POLLIN, 0};
		p[1] = (struct pollfd){b->exit_event, POLLIN, 0};
		n = clients_poll(b, p + 2);
		got = poll(p, 2 + n, timeout);
		if (got == 0) { /* once */
			timeout = -1;
			text_release();
			continue;
		}
		if (got < 0) {
			if (errno == EINTR)
				continue;
			break;
		}
		if (p[1].revents && read(b->exit_event, &events, sizeof(events)) < 0 && errno != EAGAIN)
			break;
		clients_serve(b, p + 2, n);
		if (p[0].revents && !serve_one(b))
			break;
	}
	clients_end(b);
	kfree(p);
}
