/* inet.h: what the guest programs about IP sockets share. */
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "tests/guest/guest.h"

static inline struct sockaddr *sa(void *a)
{
	return a;
}

static inline struct sockaddr_in lo(uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

/* Of either family: the port lies at the same place. */
static inline uint16_t port_of(int s)
{
	struct sockaddr_in6 a;
	socklen_t n = sizeof(a);

	MUST(getsockname(s, sa(&a), &n) == 0);
	return ntohs(a.sin6_port);
}

/* What is ready, of all that there is to ask for. */
static inline int events(int fd)
{
	struct pollfd p = {.fd = fd,
			   .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM |
				     POLLRDBAND | POLLWRBAND};

	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

/* An option's value, or -errno. */
static inline int get(int s, int level, int name)
{
	int v = 0;
	socklen_t n = sizeof(v);

	return getsockopt(s, level, name, &v, &n) < 0 ? -errno : v;
}

static inline int set(int s, int level, int name, int v)
{
	return setsockopt(s, level, name, &v, sizeof(v));
}
