/* verbs.c: frames of the channel between guest and launcher. */
#include "cvm-host/launch/verbs.h"

#include <errno.h>
#include <string.h>

#include "platform/base/bytes.h"

static const struct {
	const char *name;
	struct {
		bool may;
		size_t min, max;
	} from[2]; /* by enum verb_from */
} verbs[VERB_LAST + 1] = {
	[VERB_PING] = {"ping", {{true, 0, 32}, {true, 0, 32}}},
	[VERB_SHUTDOWN] = {"shutdown", {{false, 0, 0}, {true, 0, 0}}},
	[VERB_READY] = {"ready", {{true, 1, 1}, {true, 0, VERB_PAYLOAD_MAX}}},
	[VERB_EXIT] = {"exit", {{true, 2, 2}, {false, 0, 0}}},
	[VERB_RELAY] = {"relay", {{true, 1, VERB_PAYLOAD_MAX}, {true, 1, VERB_PAYLOAD_MAX}}},
	[VERB_LOG] = {"log", {{true, 1, VERB_PAYLOAD_MAX}, {false, 0, 0}}},
	[VERB_PROGRESS] = {"progress", {{true, 1, 512}, {false, 0, 0}}},
	[VERB_STDIO] = {"stdio", {{true, 1, VERB_PAYLOAD_MAX}, {true, 1, VERB_PAYLOAD_MAX}}},
};

const char *verb_name(enum verb v)
{
	return v >= VERB_PING && v <= VERB_LAST ? verbs[v].name : "unknown";
}

/* The first byte of a payload says what the rest is. */
static bool sub_ok(const struct verb_frame *f, enum verb_from from)
{
	if (f->verb == VERB_RELAY)
		return f->data[0] <= RELAY_CLOSE && (f->data[0] == RELAY_DATA ? f->size > 1 : f->size == 1);
	if (f->verb == VERB_STDIO)
		return from == FROM_HOST || (f->data[0] == 0 && f->size == 1)
			       ? f->data[0] == 0
			       : f->data[0] == 1 || f->data[0] == 2;
	if (f->verb == VERB_EXIT)
		return f->data[0] <= 2;
	return true;
}

/* Up to `want` bytes in the buffer; whether they are there. */
static bool fill(struct verb_reader *r, const uint8_t **p, size_t *size, size_t want)
{
	size_t n = r->have < want ? MIN(want - r->have, *size) : 0;

	memcpy(r->buf + r->have, *p, n);
	r->have += n;
	*p += n;
	*size -= n;
	return r->have >= want;
}

int verb_take(struct verb_reader *r, const uint8_t **p, size_t *size, struct verb_frame *out)
{
	uint32_t len;
	uint8_t v;

	if (!fill(r, p, size, VERB_HEAD))
		return 0;
	len = get_le32(r->buf);
	v = r->buf[4];
	if (len < 5 || len > 5 + VERB_PAYLOAD_MAX || v < VERB_PING || v > VERB_LAST ||
	    !verbs[v].from[r->from].may || len - 5 < verbs[v].from[r->from].min ||
	    len - 5 > verbs[v].from[r->from].max || get_le32(r->buf + 5) != r->seq)
		return -EPROTO;
	if (!fill(r, p, size, 4 + len))
		return 0;
	*out = (struct verb_frame){(enum verb)v, r->buf + VERB_HEAD, len - 5};
	r->have = 0;
	r->seq++;
	return sub_ok(out, r->from) ? 1 : -EPROTO;
}

size_t verb_put(uint8_t *out, enum verb v, uint32_t *seq, const void *data, size_t size)
{
	put_le32(out, (uint32_t)size + 5);
	out[4] = (uint8_t)v;
	put_le32(out + 5, (*seq)++);
	if (size)
		memcpy(out + VERB_HEAD, data, size);
	return VERB_HEAD + size;
}
