/* proto.h: messages on the one socket (SOCK_SEQPACKET) between `sbx` and `sbx-sentry`. Each datagram is a
 * struct control_msg with `size` bytes of data behind the header. Both sides check sizes. */
#pragma once

#include "platform/base/attr.h"

#define CONTROL_DATA_MAX 32768

enum control_type {
	/* sentry -> sbx */
	CONTROL_STARTED = 1, /* the first program runs */
	CONTROL_EXITED,	     /* value: its wait status */
	CONTROL_ERROR,	     /* value: exit status for sbx (125, 126, 127); data: text */
	CONTROL_REPLY,	     /* data: text of a dump; value 1: more follows */
	/* sbx -> sentry */
	CONTROL_SIGNAL = 32, /* value: signal for the first process (its foreground group with -t) */
	CONTROL_WINSIZE,     /* value: rows << 16 | columns */
	CONTROL_STOP,	     /* kill everything and exit */
	CONTROL_DUMP,	     /* state of all tasks as text */
	CONTROL_STATS,	     /* counters as JSON */
};

struct control_msg {
	uint32_t type;
	uint32_t size; /* of data */
	int64_t value;
	char data[];
};
