/* terminal.h: a terminal of the guest that is shown on one of the host. */
#pragma once

#include "platform/base/refs.h"
#include "sentry/boot/boot.h"

struct reason;

struct terminal {
	struct refs refs;
	struct file *master, *slave; /* [I] references */
	int in, out;		     /* [I] the host's terminal */
	int stop;		     /* [I] eventfd: nothing more is to be read */
	uint32_t stopping;	     /* [a] */
	uint32_t output_done;	     /* [a] futex word: the guest has nothing more to print */
};

/* size: ROWSxCOLS. in and out are taken over, also on failure. 0, or -1 with *why. */
MUST_CHECK int terminal_create(struct boot *b, const char *size, int in, int out, const struct cred *cred,
			       struct terminal **t, struct reason *why);
/* Copies between the two on two threads from here on. -errno. */
MUST_CHECK int terminal_start(struct terminal *t);
void terminal_resize(struct terminal *t, uint32_t rows, uint32_t cols);
/* The last output has been copied to the host (waits a moment). */
void terminal_drain(struct terminal *t);
/* Ends the threads and drops the caller's reference. */
void terminal_end(struct terminal *t);
