/* server.c: the control socket. One thread, one loop, no lock: messages only poke the kernel. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/base/log.h"
#include "platform/base/strbuf.h"
#include "sentry/boot/boot.h"
#include "sentry/control/proto.h"

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

/* false: sbx is gone or wants the end */
static bool serve_one(struct boot *b)
{
	struct control_msg m;
	ssize_t n = recv(b->control_fd, &m, sizeof(m), 0);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	if (n < (ssize_t)sizeof(m))
		return false;
	switch (m.type) {
	case CONTROL_SIGNAL:
		forward_signal(b, (int)m.value);
		return true;
	case CONTROL_WINSIZE:
		terminal_resize(b, (uint32_t)(m.value >> 16) & 0xffff, (uint32_t)m.value & 0xffff);
		return true;
	case CONTROL_DUMP:
	case CONTROL_STATS:
		answer(b, m.type);
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
	struct pollfd fds[2] = {{b->control_fd, POLLIN, 0}, {b->exit_event, POLLIN, 0}};

	while (!__atomic_load_n(&b->exited, __ATOMIC_ACQUIRE)) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return;
		if (fds[0].revents && !serve_one(b))
			return;
	}
}
