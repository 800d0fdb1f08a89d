/* terminal.c: the host's terminal and the master side of the guest's. Two threads, each blocked: in a read of
 * the host's, or waiting for the master. The last of them and the owner frees all. */
#include "sentry/boot/terminal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "platform/base/bug.h"
#include "platform/base/clock.h"
#include "platform/base/thread.h"
#include "sentry/boot/program.h"
#include "sentry/fs/devpts/devpts.h"

#define CHUNK	 4096
#define EXIT_SBX 125

/* Kernel-side waiting without a task: a futex word that a waiter sets. */
struct pump_wait {
	struct waiter w;
	uint32_t word;
};

static bool pump_woken(struct waiter *w, uint32_t events)
{
	struct pump_wait *p = container_of(w, struct pump_wait, w);

	(void)events;
	__atomic_store_n(&p->word, 1, __ATOMIC_RELEASE);
	futex_wake_word(&p->word, 1);
	return true;
}

static bool stopping(const struct terminal *t)
{
	return __atomic_load_n(&t->stopping, __ATOMIC_ACQUIRE) != 0;
}

/* Waits until the master is ready for events, or all is to end. */
static void wait_master(struct terminal *t, uint32_t events)
{
	struct file *master = t->master;
	struct pump_wait p = {.w = {.mask = events, .func = pump_woken}};

	list_init(&p.w.node);
	waitq_add(master->wq, &p.w);
	while (!(file_ready(master) & (events | EV_HUP | EV_ERR)) && !stopping(t)) {
		(void)futex_wait_word(&p.word, 0, 0);
		__atomic_store_n(&p.word, 0, __ATOMIC_RELAXED);
	}
	waitq_del(master->wq, &p.w);
}

static void write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno == EAGAIN) {
			struct pollfd pf = {fd, POLLOUT, 0};

			poll(&pf, 1, -1);
			continue;
		}
		if (w < 0 && errno != EINTR)
			return;
		if (w > 0) {
			p += w;
			n -= (size_t)w;
		}
	}
}

static void terminal_put(struct terminal *t)
{
	if (!refs_put(&t->refs))
		return;
	if (t->slave)
		file_put(t->slave);
	if (t->master)
		file_put(t->master);
	close(t->stop);
	if (t->in >= 0)
		close(t->in);
	if (t->out >= 0 && t->out != t->in)
		close(t->out);
	kfree(t);
}

/* The guest's output to the host. */
static void pump_out(void *arg)
{
	struct terminal *t = arg;
	char *buf = kmalloc(CHUNK);

	BUG_ON(!buf);
	while (!stopping(t)) {
		struct uio u;
		ssize_t n;

		uio_init_kernel(&u, buf, CHUNK);
		n = file_read(t->master, &u);
		if (n == -EAGAIN) {
			wait_master(t, EV_IN);
			continue;
		}
		if (n <= 0)
			break;
		write_all(t->out, buf, (size_t)n);
	}
	kfree(buf);
	__atomic_store_n(&t->output_done, 1, __ATOMIC_RELEASE);
	futex_wake_word(&t->output_done, 1);
	terminal_put(t);
}

/* Bytes typed; 0: the end, or all is to end. */
static ssize_t read_host(struct terminal *t, char *buf)
{
	struct pollfd p[2] = {{t->in, POLLIN, 0}, {t->stop, POLLIN, 0}};
	ssize_t n;

	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return 0;
		if (p[1].revents)
			return 0;
		if (!p[0].revents)
			continue;
		n = read(t->in, buf, CHUNK);
		if (n >= 0 || (errno != EINTR && errno != EAGAIN))
			return n;
	}
}

/* What is typed to the guest. */
static void pump_in(void *arg)
{
	struct terminal *t = arg;
	char *buf = kmalloc(CHUNK);
	ssize_t n;

	BUG_ON(!buf);
	while ((n = read_host(t, buf)) > 0) {
		for (ssize_t done = 0; done < n && !stopping(t);) {
			struct uio u;
			ssize_t w;

			uio_init_kernel(&u, buf + done, (size_t)(n - done));
			w = file_write(t->master, &u);
			if (w == -EAGAIN)
				wait_master(t, EV_OUT);
			else if (w <= 0)
				break;
			else
				done += w;
		}
	}
	kfree(buf);
	terminal_put(t);
}

int terminal_create(struct boot *b, const char *size, int in, int out, const struct cred *cred,
		    struct terminal **result, struct reason *why)
{
	struct terminal *t = kmalloc(sizeof(*t));
	char *end;
	unsigned long rows = strtoul(size, &end, 10), cols = *end == 'x' ? strtoul(end + 1, NULL, 10) : 80;
	int ret;

	if (!t) {
		close(in);
		close(out);
		return reason_set(why, EXIT_SBX, "out of memory");
	}
	refs_init(&t->refs);
	t->in = in;
	t->out = out;
	t->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = devpts_create_pair(b->vfs, b->mount_ns, cred, (uint16_t)rows, (uint16_t)cols, &t->master,
				 &t->slave);
	if (ret < 0) {
		t->master = t->slave = NULL;
		terminal_put(t);
		return reason_set(why, EXIT_SBX, "cannot create the terminal: %s", strerror(-ret));
	}
	*result = t;
	return 0;
}

int terminal_start(struct terminal *t)
{
	int ret;

	refs_get(&t->refs);
	ret = thread_start(pump_out, t, "tty-out");
	if (ret < 0) {
		terminal_put(t);
		return ret;
	}
	refs_get(&t->refs);
	ret = thread_start(pump_in, t, "tty-in");
	if (ret < 0)
		terminal_put(t);
	return ret;
}

void terminal_resize(struct terminal *t, uint32_t rows, uint32_t cols)
{
	devpts_set_winsize(t->master, (uint16_t)rows, (uint16_t)cols);
}

void terminal_drain(struct terminal *t)
{
	uint64_t deadline = clock_monotonic_ns() + NSEC_PER_SEC;

	while (!__atomic_load_n(&t->output_done, __ATOMIC_ACQUIRE)) {
		if (futex_wait_word(&t->output_done, 0, deadline) == -ETIMEDOUT)
			break;
	}
}

void terminal_end(struct terminal *t)
{
	uint64_t one = 1;

	__atomic_store_n(&t->stopping, 1, __ATOMIC_RELEASE);
	(void)!write(t->stop, &one, sizeof(one));
	waitq_wake(t->master->wq, EV_ALL);
	terminal_put(t);
}
