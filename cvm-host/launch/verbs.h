/* verbs.h: what a guest and its launcher say to each other, over one byte stream (a virtio-serial port). Pure
 * parsing, no I/O; both ends take the other for hostile.
 *
 * A frame is le32 size of what follows, u8 verb, le32 sequence number, payload. Numbers count each direction's
 * frames from 0; a frame out of order ends the conversation, as does any other breach. There is no verb that
 * runs, copies, sets a time, seeds a generator or changes an environment. */
#pragma once

#include "cvm-host/kbs/util.h"

#define VERB_PAYLOAD_MAX (64u << 10)
#define VERB_HEAD	 9u

/* The names in manifests' "host-verbs". resize, evidence, metric and signal have no use on this channel: the
 * launcher does not speak them and the guest refuses them. */
enum verb {
	VERB_PING = 1,	   /* both ways; answered by the same payload (at most 32 bytes) */
	VERB_SHUTDOWN = 2, /* host: stop. No payload */
	VERB_READY = 3, /* guest: I am there (version, 1 byte). host: the signed manifest (JSON), in parts; an
			   empty part ends it */
	VERB_EXIT = 4,	/* guest: u8 0 exited / 1 killed by a signal / 2 refused or failed, u8 status */
	VERB_RELAY = 5, /* u8 enum relay_op, then TLS bytes that the host passes on and cannot read */
	VERB_LOG = 6,	/* guest: bytes of a sealed log */
	VERB_PROGRESS = 7, /* guest: one line of text about how far the start is */
	/* guest: u8 stream 1 (out) or 2 (err), then data; or 0 alone: it wants a piece of its input. host: 0,
	   then that piece (0 alone: the input's end), once for each time that it was asked and never otherwise
	 */
	VERB_STDIO = 8,
	VERB_LAST = VERB_STDIO,
};
enum relay_op { RELAY_OPEN = 0, RELAY_DATA = 1, RELAY_CLOSE = 2 };
enum verb_from { FROM_GUEST, FROM_HOST };

const char *verb_name(enum verb v);

/* One direction's reader: bytes in, frames out. */
struct verb_reader {
	enum verb_from from;
	uint32_t seq; /* of the next frame */
	size_t have;
	uint8_t buf[4 + 5 + VERB_PAYLOAD_MAX];
};
struct verb_frame {
	enum verb verb;
	const uint8_t *data; /* in the reader; good until its next call */
	size_t size;
};
/* Takes bytes from *p, *size (both move on). 1: a whole frame in *out; 0: more bytes are needed; -EPROTO: the
 * peer broke the rules, nothing more may be read. A peer may say only what is its to say, in the sizes that the
 * verbs have. */
MUST_CHECK int verb_take(struct verb_reader *r, const uint8_t **p, size_t *size, struct verb_frame *out);
/* The frame's bytes into out (room for VERB_HEAD + size); size is at most VERB_PAYLOAD_MAX. Moves *seq on. */
size_t verb_put(uint8_t *out, enum verb v, uint32_t *seq, const void *data, size_t size);
