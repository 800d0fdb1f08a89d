/* proto.h: messages on the one socket (SOCK_SEQPACKET) between `sbx` and `sbx-sentry`. Each datagram is a
 * struct control_msg with `size` bytes of data behind the header. Both sides check sizes. */
#pragma once

#include "platform/base/attr.h"

#define CONTROL_DATA_MAX 32768
#define CONTROL_FDS_MAX	 128 /* descriptors that come with a message */

enum control_type {
	/* sentry -> sbx */
	CONTROL_STARTED = 1, /* the first program runs; with wait=1: it is ready for CONTROL_START.
			      * To a client: the program runs; value: its process id inside */
	CONTROL_EXITED,	     /* value: its wait status */
	CONTROL_ERROR,	     /* value: exit status for sbx (125, 126, 127); data: text */
	CONTROL_REPLY,	     /* data: text of a dump; value 1: more follows */
	CONTROL_DONE,	     /* to a client: it was done; value: the answer */
	/* sbx -> sentry */
	CONTROL_SIGNAL = 32, /* value: signal for the first process (its foreground group with -t) */
	CONTROL_WINSIZE,     /* value: rows << 16 | columns */
	CONTROL_STOP,	     /* kill everything and exit */
	CONTROL_DUMP,	     /* state of all tasks as text */
	CONTROL_STATS,	     /* counters as JSON */
	CONTROL_CLIENT,	     /* one descriptor: a connection to serve as this one */
	/* client -> sentry; answered by DONE, STARTED, REPLY or ERROR */
	CONTROL_START = 64, /* the first program, once. value: CONTROL_START_*; descriptors: for each link its
			     * configuration (net-*: oci/netdev.c) and its socket; that of the name server;
			     * others are only held until the end */
	CONTROL_EXEC,	  /* descriptors: a configuration (config.h), 0-2, further ones; EXITED follows when it
			   * ends. SIGNAL and WINSIZE of this client are then for it; it is killed when the
			   * client goes away */
	CONTROL_KILL,	  /* value: a signal for the first process */
	CONTROL_KILL_ALL, /* value: a signal for every process */
	CONTROL_PS,	  /* a table of the processes */
	CONTROL_SET_MEMORY, /* value: bytes, 0: no limit */
	CONTROL_SET_PIDS,   /* value: tasks, 0: no limit */
};

#define CONTROL_START_LINKS 0xff  /* how many */
#define CONTROL_START_DNS   0x100 /* a name server's socket follows */

struct control_msg {
	uint32_t type;
	uint32_t size; /* of data */
	int64_t value;
	char data[];
};
