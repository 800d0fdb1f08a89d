/* fdpass_test.c: messages with descriptors, and what happens to those that don't fit. */
#include "platform/host/fdpass.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "platform/host/hostcall.h"
#include "platform/host/memfd.h"

static int pair[2];

static void setup(void)
{
	cr_assert_eq(hc_socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
}

TestSuite(fdpass, .init = setup);

/* The lowest free descriptor: tells whether one leaked. */
static int next_fd(void)
{
	int fd = hc_dup(pair[0]);

	hc_close(fd);
	return fd;
}

Test(fdpass, bytes_and_descriptors_arrive_together)
{
	int fds[FDPASS_MAX], got[FDPASS_MAX];
	unsigned count = FDPASS_MAX;
	char buf[8], c;

	for (int i = 0; i < FDPASS_MAX; i++) {
		fds[i] = memfd_create_sized("t", 4096);
		cr_assert_geq(fds[i], 0);
		hc_pwrite(fds[i], &(char){(char)('a' + i)}, 1, 0);
	}
	cr_assert_eq(fdpass_send(pair[0], "hello", 5, fds, FDPASS_MAX, 0), 5);
	cr_assert_eq(fdpass_recv(pair[1], buf, sizeof(buf), got, &count, 0), 5);
	cr_assert_eq(count, FDPASS_MAX);
	for (int i = 0; i < FDPASS_MAX; i++) {
		cr_assert_eq(hc_pread(got[i], &c, 1, 0), 1);
		cr_assert_eq(c, 'a' + i);
		cr_assert(hc_fcntl(got[i], F_GETFD, 0) & FD_CLOEXEC);
	}
}

Test(fdpass, what_does_not_fit_is_closed)
{
	int fds[2] = {pair[0], pair[0]}, got[2], before;
	unsigned count;
	char buf[4];

	before = next_fd();
	/* fewer descriptors wanted than came */
	cr_assert_eq(fdpass_send(pair[0], "x", 1, fds, 2, 0), 1);
	count = 1;
	cr_assert_eq(fdpass_recv(pair[1], buf, sizeof(buf), got, &count, 0), 1);
	cr_assert_eq(count, 1);
	hc_close(got[0]);
	cr_assert_eq(next_fd(), before);
	/* more bytes than room: nothing is kept */
	cr_assert_eq(fdpass_send(pair[0], "12345678", 8, fds, 2, 0), 8);
	count = 2;
	cr_assert_eq(fdpass_recv(pair[1], buf, sizeof(buf), got, &count, 0), -EPROTO);
	cr_assert_eq(count, 0);
	cr_assert_eq(next_fd(), before);
}

Test(fdpass, limits_and_end)
{
	int fds[FDPASS_MAX + 1] = {0};
	unsigned count = 0;
	char buf[4];

	cr_assert_eq(fdpass_send(pair[0], "x", 1, fds, FDPASS_MAX + 1, 0), -EINVAL);
	cr_assert_eq(fdpass_send(pair[0], "x", 0, NULL, 0, 0), -EINVAL);
	cr_assert_eq(fdpass_recv(pair[1], buf, sizeof(buf), NULL, &count, MSG_DONTWAIT), -EAGAIN);
	hc_close(pair[0]);
	cr_assert_eq(fdpass_recv(pair[1], buf, sizeof(buf), NULL, &count, 0), 0);
	cr_assert_eq(fdpass_send(pair[1], "x", 1, NULL, 0, 0), -EPIPE);
}

Test(fdpass, sealed_memfd_stays_as_it_is)
{
	int fd = memfd_create_sized("t", 4096);

	cr_assert_eq(hc_pwrite(fd, "x", 1, 0), 1);
	cr_assert_eq(memfd_seal(fd), 0);
	cr_assert_eq(hc_pwrite(fd, "y", 1, 0), -EPERM);
	cr_assert_eq(hc_ftruncate(fd, 0), -EPERM);
}
