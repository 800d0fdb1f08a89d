/* channel.h: the guest's end of the channel to its launcher (launch/verbs.h). The launcher is hostile: a breach
 * of the rules ends the guest. A thread of its own reads; any thread may send. */
#pragma once

#include <pthread.h>

#include "cvm-host/launch/verbs.h"

struct channel {
	int fd;	       /* [I] */
	int relay;     /* [I] our end of a pair: the other is what TLS runs over */
	int relay_far; /* [I] the other */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint32_t seq;		      /* [lock] of the next frame out */
	struct blob manifest;	      /* [lock] */
	bool have_manifest;	      /* [lock] */
	bool wants_input, have_input; /* [lock] a piece was asked for; it is here */
	struct blob input;	      /* [lock] that piece; empty: the end */
	bool allow_stdio, allow_stop; /* [lock] by the manifest */
	struct verb_reader reader;    /* of the reading thread */
};
/* Opens the port of that name and starts the threads. The channel lives as long as the guest. */
MUST_CHECK int channel_open(struct channel *c, struct err *e);
MUST_CHECK int channel_send(struct channel *c, enum verb v, const void *data, size_t size);
/* Asks for the manifest and waits for all of it. */
MUST_CHECK int channel_manifest(struct channel *c, struct blob *out, struct err *e);
PRINTF_LIKE(2, 3) void channel_progress(struct channel *c, const char *fmt, ...);
/* What the manifest lets the launcher say. */
void channel_allow(struct channel *c, bool stdio, bool stop);
/* What one frame of the launcher does (the reading thread calls it, and tests). -EPROTO: it had no business to
 * say that. Doesn't return from a shutdown that is allowed. */
MUST_CHECK int channel_hear(struct channel *c, const struct verb_frame *f);
/* Asks the launcher for its input, piece by piece as fd takes them, until its end or until nobody reads fd any
 * more. Closes fd. */
void channel_input(struct channel *c, int fd);
/* Everything from fd goes out as that stream until its end. */
void channel_pump(struct channel *c, int fd, uint8_t stream);
/* Ends the guest: the launcher learns status, then the power goes. Doesn't return. */
_Noreturn void guest_off(struct channel *c, uint8_t how, uint8_t status);
