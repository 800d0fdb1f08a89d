/* zerocopy.c: MSG_ZEROCOPY's notices on the error queue of TCP and UDP sockets; the error queue of a stream
 * without any. */
#include <time.h>

#include <linux/errqueue.h>

#include "tests/guest/inet.h"

static void notices(int s, const char *what)
{
	char control[256], byte;
	struct iovec iov = {&byte, 1};
	struct msghdr h = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(s, &h, MSG_ERRQUEUE | MSG_DONTWAIT);

	if (n < 0) {
		printf("%s: %s\n", what, strerrorname_np(errno));
		return;
	}
	printf("%s: %zd flags %x\n", what, n, h.msg_flags & MSG_ERRQUEUE);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
		struct sock_extended_err *e = (void *)CMSG_DATA(c);

		printf("level %d type %d: errno %u origin %u code %u from %u to %u\n", c->cmsg_level,
		       c->cmsg_type, e->ee_errno, e->ee_origin, e->ee_code, e->ee_info, e->ee_data);
	}
}

static int wait_err(int s)
{
	struct pollfd p = {.fd = s};

	return poll(&p, 1, 1000) == 1 ? p.revents : 0;
}

int main(void)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), a,
	    u = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in to = lo(0);
	char buf[64];

	MUST(bind(l, sa(&to), sizeof(to)) == 0 && listen(l, 1) == 0);
	to = lo(port_of(l));
	MUST(connect(c, sa(&to), sizeof(to)) == 0);
	a = accept(l, NULL, NULL);
	MUST(write(a, "unread", 6) == 6);
	notices(c, "nothing");
	printf("%d\n", get(c, SOL_SOCKET, SO_ZEROCOPY));
	SHOW(set(c, SOL_SOCKET, SO_ZEROCOPY, 2));
	SHOW(send(c, "plain", 5, MSG_ZEROCOPY));
	SHOW(read(a, buf, sizeof(buf)));
	notices(c, "not asked for");
	SHOW(set(c, SOL_SOCKET, SO_ZEROCOPY, 1));
	printf("%d\n", get(c, SOL_SOCKET, SO_ZEROCOPY));
	SHOW(send(c, "one", 3, MSG_ZEROCOPY));
	SHOW(read(a, buf, sizeof(buf)));
	printf("error event %d\n", wait_err(c) == POLLERR);
	notices(c, "one");
	notices(c, "no more");
	SHOW(send(c, "two", 3, MSG_ZEROCOPY));
	SHOW(send(c, "3", 1, 0));
	SHOW(send(c, "four", 4, MSG_ZEROCOPY));
	SHOW(recv(a, buf, 8, MSG_WAITALL));
	wait_err(c);
	notices(c, "two and four");
	SHOW(recv(c, buf, sizeof(buf), 0));
	to = lo(9);
	SHOW(set(u, SOL_SOCKET, SO_ZEROCOPY, 1));
	MUST(bind(u, sa(&to), 0) < 0);
	to = lo(port_of(l));
	SHOW(sendto(u, "udp", 3, MSG_ZEROCOPY, sa(&to), sizeof(to)));
	wait_err(u);
	notices(u, "udp");
	return 0;
}
