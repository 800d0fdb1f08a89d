/* hostfd_test.c: descriptors of the host as files: they never wait, they wake who waits, and a shared file
 * position stays shared. */
#include "sentry/fs/host/hostfd.h" /* before <signal.h>, whose macros are names of the guest's structures */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/abi/errno.h"
#include "platform/abi/fs.h"
#include "platform/abi/ioctl.h"
#include "tests/harness/fsbox.h"

static struct fsbox box;
static char buf[200000];

static struct file *make(int fd, uint32_t flags)
{
	struct file *f;

	cr_assert_eq(hostfd_file_create(box.v, fd, flags, box.cred, &f), 0);
	return f;
}

static ssize_t get(struct file *f, size_t n)
{
	struct uio u;

	uio_init_kernel(&u, buf, n);
	return file_read(f, &u);
}

static ssize_t put(struct file *f, const char *text, size_t n)
{
	struct uio u;

	uio_init_kernel(&u, (void *)(uintptr_t)text, n);
	return file_write(f, &u);
}

struct sleeper {
	struct waiter w;
	uint32_t woken; /* [a] futex word */
};

static bool wake(struct waiter *w, uint32_t events)
{
	struct sleeper *s = container_of(w, struct sleeper, w);

	__atomic_store_n(&s->woken, events, __ATOMIC_RELEASE);
	futex_wake_word(&s->woken, 1);
	return true;
}

static uint32_t wait_for(struct sleeper *s)
{
	while (!__atomic_load_n(&s->woken, __ATOMIC_ACQUIRE))
		(void)futex_wait_word(&s->woken, 0, 0);
	return __atomic_exchange_n(&s->woken, 0, __ATOMIC_ACQ_REL);
}

Test(hostfd, a_pipe_wakes_its_reader, .timeout = 20)
{
	struct sleeper s = {.w = {.func = wake, .mask = EV_IN}};
	struct file *f;
	int p[2];

	fsbox_init(&box);
	cr_assert_eq(pipe(p), 0);
	f = make(p[0], LINUX_O_RDONLY);
	cr_assert(inode_is(f->inode, LINUX_S_IFIFO));
	waitq_add(f->wq, &s.w);
	for (int round = 0; round < 3; round++) {
		cr_assert_eq(get(f, 10), -EAGAIN);
		cr_assert_eq(write(p[1], "x", 1), 1);
		cr_assert(wait_for(&s) & EV_IN);
		cr_assert(file_ready(f) & EV_IN);
		cr_assert_eq(get(f, 10), 1);
		cr_assert_eq(file_ready(f) & EV_IN, 0);
		__atomic_store_n(&s.woken, 0, __ATOMIC_RELAXED);
	}
	close(p[1]);
	cr_assert(wait_for(&s) & (EV_HUP | EV_IN), "the last look armed it");
	cr_assert_eq(get(f, 10), 0, "end of file");
	waitq_del(f->wq, &s.w);
	file_put(f);
}

Test(hostfd, a_full_pipe_takes_what_it_can, .timeout = 20)
{
	struct sleeper s = {.w = {.func = wake, .mask = EV_OUT}};
	struct file *f;
	ssize_t n;
	int p[2];

	fsbox_init(&box);
	signal(SIGPIPE, SIG_IGN);
	cr_assert_eq(pipe(p), 0);
	f = make(p[1], LINUX_O_WRONLY);
	memset(buf, 'a', sizeof(buf));
	n = put(f, buf, sizeof(buf));
	cr_assert_eq(n, 65536);
	waitq_add(f->wq, &s.w);
	cr_assert_eq(put(f, "b", 1), -EAGAIN);
	cr_assert_eq(file_ready(f) & EV_OUT, 0);
	cr_assert_eq(fcntl(p[1], F_GETFL) & O_NONBLOCK, 0);
	cr_assert_eq(read(p[0], buf, 65536), 65536);
	cr_assert(wait_for(&s) & EV_OUT);
	cr_assert_eq(put(f, "b", 1), 1);
	close(p[0]);
	cr_assert_eq(put(f, "b", 1), -EPIPE);
	waitq_del(f->wq, &s.w);
	file_put(f);
}

Test(hostfd, sockets_work_as_streams, .timeout = 20)
{
	struct file *f;
	int s[2];

	fsbox_init(&box);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	f = make(s[0], LINUX_O_RDWR);
	cr_assert_eq(get(f, 4), -EAGAIN);
	cr_assert_eq(put(f, "ping", 4), 4);
	cr_assert_eq(read(s[1], buf, 10), 4);
	cr_assert_eq(write(s[1], "pong", 4), 4);
	cr_assert_eq(get(f, 10), 4);
	close(s[1]);
	cr_assert_eq(get(f, 10), 0);
	file_put(f);
}

Test(hostfd, a_file_shares_its_position_with_other_programs)
{
	char name[] = "/tmp/hostfd-test-XXXXXX";
	struct file *f;
	struct kstat st;
	int fd, other;

	fsbox_init(&box);
	fd = mkstemp(name);
	unlink(name);
	other = dup(fd);
	cr_assert_eq(write(fd, "0123456789", 10), 10);
	lseek(fd, 2, SEEK_SET);
	f = make(fd, LINUX_O_RDWR);
	cr_assert_eq(get(f, 3), 3);
	cr_assert(!memcmp(buf, "234", 3));
	cr_assert_eq(lseek(other, 0, SEEK_CUR), 5, "the host sees it move");
	cr_assert_eq(file_read_kernel(f, buf, 2, 0), 2);
	cr_assert(!memcmp(buf, "01", 2));
	cr_assert_eq(get(f, 2), 2);
	cr_assert(!memcmp(buf, "56", 2), "reading elsewhere doesn't count");
	cr_assert_eq(file_seek(f, 1, LINUX_SEEK_SET), 1);
	cr_assert_eq(put(f, "XY", 2), 2);
	cr_assert_eq(pread(other, buf, 10, 0), 10);
	cr_assert(!memcmp(buf, "0XY3456789", 10));
	cr_assert_eq(file_seek(f, 0, LINUX_SEEK_END), 10);
	cr_assert_eq(vfs_stat_path(&f->path, 0, &st), 0);
	cr_assert_eq(st.size, 10);
	cr_assert_eq(file_seek(f, 4, LINUX_SEEK_SET), 4);
	file_put(f);
	cr_assert_eq(lseek(other, 0, SEEK_CUR), 4, "the next program goes on there");
}

Test(hostfd, only_harmless_requests_reach_a_terminal)
{
	static const uint32_t bad[] = {0x5412 /* TIOCSTI */,  0x540e /* TIOCSCTTY */, 0x5410 /* TIOCSPGRP */,
				       0x541d /* TIOCCONS */, 0x5423 /* TIOCSETD */,  0x5422 /* TIOCNOTTY */};
	struct file *f;
	int master, slave;

	fsbox_init(&box);
	master = posix_openpt(O_RDWR | O_NOCTTY);
	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		cr_skip_test("no pseudo terminals here");
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	if (slave < 0)
		cr_skip_test("no pseudo terminals here");
	f = make(slave, LINUX_O_RDWR);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_assert_eq(f->ops->ioctl(f, bad[i], 0, NULL, box.cred), -ENOTTY, "%x", bad[i]);
	cr_assert_eq(get(f, 10), -EAGAIN);
	cr_assert_eq(write(master, "line\n", 5), 5);
	cr_assert(file_ready(f) & EV_IN);
	cr_assert_eq(get(f, 10), 5);
	cr_assert_eq(put(f, "out", 3), 3);
	file_put(f);
}
