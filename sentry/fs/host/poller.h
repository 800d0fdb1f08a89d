/* poller.h: waits for host descriptors on behalf of guests. One thread and one epoll set for the sandbox,
 * started with the first wait. A watch fires once for each time it was armed, so a sandbox whose guests
 * wait for nothing of the host uses no processor. */
#pragma once

#include "platform/base/attr.h"

struct poll_watch {
	/* EV_*; called with the poller's lock held (rank POLLER): may wake a waitq, nothing else */
	void (*fire)(struct poll_watch *w, uint32_t events);
	int fd;	       /* [I] borrowed */
	uint32_t slot; /* [poller lock] */
};

/* Not armed yet. -EPERM: the descriptor is always ready (a regular file). */
MUST_CHECK int poller_add(struct poll_watch *w, int fd, void (*fire)(struct poll_watch *w, uint32_t events));
/* Fires once when one of events (EV_IN, EV_OUT, EV_PRI; errors always) is there, maybe at once. */
void poller_arm(struct poll_watch *w, uint32_t events);
/* When it returns nothing is firing. */
void poller_remove(struct poll_watch *w);
