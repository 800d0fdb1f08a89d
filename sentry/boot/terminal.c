/* terminal.c: the host's terminal (descriptors 0 and 1 of this process) and the master side of the guest's.
 * Two threads, each blocked in a read: the host's, or the master's. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "platform/abi/ioctl.h"
#include "platform/base/bug.h"
#include "platform/base/clock.h"
#include "platform/base/log.h"
#include "platform/base/thread.h"
#include "sentry/boot/boot.h"
#include "sentry/fs/devpts/devpts.h"

#define CHUNK 4096

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

/* Waits until the master is ready for events. */
static void wait_master(struct file *master, uint32_t events)
{
	struct pump_wait p = {.w = {.mask = events, .func = pump_woken}};

	list_init(&p.w.node);
	waitq_add(master->wq, &p.w);
	while (!(file_ready(master) & (events | EV_HUP | EV_ERR))) {
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

/* The guest's output to the host. */
static void pump_out(void *arg)
{
	struct boot *b = arg;
	char *buf = kmalloc(CHUNK);

	BUG_ON(!buf);
	for (;;) {
		struct uio u;
		ssize_t n;

		uio_init_kernel(&u, buf, CHUNK);
		n = file_read(b->master, &u);
		if (n == -EAGAIN) {
			wait_master(b->master, EV_IN);
			continue;
		}
		if (n <= 0)
			break;
		write_all(1, buf, (size_t)n);
	}
	kfree(buf);
	__atomic_store_n(&b->output_done, 1, __ATOMIC_RELEASE);
	futex_wake_word(&b->output_done, 1);
}

/* What is typed to the guest. */
static void pump_in(void *arg)
{
	struct boot *b = arg;
	char *buf = kmalloc(CHUNK);

	BUG_ON(!buf);
	for (;;) {
		ssize_t n = read(0, buf, CHUNK), done = 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			struct pollfd pf = {0, POLLIN, 0};

			poll(&pf, 1, -1);
			continue;
		}
		if (n <= 0)
			break;
		while (done < n) {
			struct uio u;
			ssize_t w;

			uio_init_kernel(&u, buf + done, (size_t)(n - done));
			w = file_write(b->master, &u);
			if (w == -EAGAIN)
				wait_master(b->master, EV_OUT);
			else if (w <= 0)
				break;
			else
				done += w;
		}
	}
	kfree(buf);
}

void terminal_start(struct boot *b)
{
	if (!b->master)
		return;
	if (thread_start(pump_out, b, "tty-out") < 0 || thread_start(pump_in, b, "tty-in") < 0)
		boot_fail(b, 125, "cannot start the terminal's threads");
}

void terminal_resize(struct boot *b, uint32_t rows, uint32_t cols)
{
	if (b->master)
		devpts_set_winsize(b->master, (uint16_t)rows, (uint16_t)cols);
}

void terminal_drain(struct boot *b)
{
	uint64_t deadline = clock_monotonic_ns() + NSEC_PER_SEC;

	if (!b->master)
		return;
	while (!__atomic_load_n(&b->output_done, __ATOMIC_ACQUIRE)) {
		if (futex_wait_word(&b->output_done, 0, deadline) == -ETIMEDOUT)
			break;
	}
}
