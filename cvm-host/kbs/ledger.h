/* ledger.h: append-only files of JSON lines that show when somebody changed them.
 *
 * The audit log is a hash chain: every line has "seq" and "prev", the SHA-256 of the line before (64 zeros at
 * first). The transparency log's lines are the leaves of a Merkle tree (merkle.h), so that anybody can check
 * that a line is in it and that it only ever grew. Neither locks: the broker's lock is held by the caller. */
#pragma once

#include "cvm-host/kbs/json.h"
#include "cvm-host/kbs/merkle.h"

struct audit {
	int fd;
	uint64_t seq;	  /* of the next line */
	uint8_t head[32]; /* hash of the last line */
};

/* Reads and checks the whole chain; -EBADMSG names the first wrong line. A torn last line (no newline: a crash
 * while writing) is cut off. */
MUST_CHECK int audit_open(const char *path, struct audit *a, struct err *e);
/* Takes the object; adds "seq", "prev" and "time". sync: on disk before it returns. */
MUST_CHECK int audit_add(struct audit *a, json_t *event, bool sync, struct err *e);
void audit_close(struct audit *a);
/* Checks a chain's text: 0 and the count and head, or -EBADMSG. */
MUST_CHECK int audit_check(const char *text, size_t size, uint64_t *count, uint8_t head[32], struct err *e);

struct translog {
	int fd;
	char **lines; /* without newline */
	struct merkle_hash *leaves;
	uint64_t count, room;
};

MUST_CHECK int translog_open(const char *path, struct translog *t, struct err *e);
/* Takes the object. The line's index in *index. On disk when it returns. */
MUST_CHECK int translog_add(struct translog *t, json_t *entry, uint64_t *index, struct err *e);
void translog_close(struct translog *t);
