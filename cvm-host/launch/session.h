/* session.h: the launcher's half of a conversation with its guest. The guest is hostile: what it says out of
 * turn ends the conversation, what it says faster than anybody reads stays with it. */
#pragma once

#include "cvm-host/launch/host.h"
#include "cvm-host/launch/verbs.h"

/* Bytes on their way out. */
struct queue {
	struct blob b;
	size_t at;
};

struct session {
	const struct launch *l;
	const struct blob *manifest;
	int guest;	/* the channel, a socket */
	int in, out[2]; /* what the workload reads, and its streams 1 and 2: files of any kind */
	int signals;	/* a signalfd, or -1 */
	/* the rest begins as zero */
	int broker;
	int64_t deadline;
	struct queue to_guest, to_broker, to_out[2];
	uint32_t seq;
	struct verb_reader reader;
	bool had_ready, had_relay, broker_open, broker_leaving, wants_input, input_ended, exited;
	int status;
};
/* Until the guest's exit, a signal, or l->timeout. The exit status of `sbx run`: host.h. Descriptors stay open,
 * but for the broker's. */
int session_run(struct session *s);
