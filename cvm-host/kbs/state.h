/* state.h: what the broker remembers: sessions (in memory), leases of keys and the counters of volumes (on
 * disk, replaced in one step). Nothing here locks; the broker's lock is held by the caller. */
#pragma once

#include "cvm-host/kbs/protocol.h"

/* ---- sessions: a fixed number, found by their id -------------------------------------------------------- */
enum session_state {
	SESSION_FREE,
	SESSION_CHALLENGED, /* its nonce has been given and not been used */
	SESSION_CHECKING,   /* its nonce is used up; evidence is being verified */
	SESSION_ATTESTED,
};

struct session {
	char id[33]; /* 32 hex digits */
	enum session_state state;
	int64_t expires; /* mono_ms */
	struct kbs_request request;
	struct kbs_challenge challenge;
	char *token; /* ATTESTED */
};

struct sessions;
struct sessions *sessions_new(void);
void sessions_free(struct sessions *t);
/* A new one in state CHALLENGED. When its place is taken by others, the oldest that isn't attested goes; NULL
 * when all of them are. The pointer is good until the next call. */
struct session *session_new(struct sessions *t, int64_t now, int64_t lifetime_ms);
struct session *session_find(struct sessions *t, const char *id, int64_t now);
void session_drop(struct session *s);

/* ---- leases ---------------------------------------------------------------------------------------------- */
struct leases {
	char *path;
	json_t *all; /* {"what":{"holder":expires}} */
};

MUST_CHECK int leases_open(const char *path, struct leases *l, struct err *e);
void leases_close(struct leases *l);
/* Gives or renews holder's lease of `what` until now + seconds; at most `limit` holders at a time, 0: any
 * number. -EBUSY when others hold it. On disk when it returns 0. */
MUST_CHECK int lease_take(struct leases *l, const char *what, const char *holder, int64_t limit, int64_t now,
			  int64_t seconds, struct err *e);
MUST_CHECK int lease_drop(struct leases *l, const char *what, const char *holder, struct err *e); /* -ENOENT */
bool lease_held(const struct leases *l, const char *what, const char *holder, int64_t now);

/* ---- counters of volumes ----------------------------------------------------------------------------------
 */
struct counter {
	uint64_t epoch; /* 0: never written */
	char root[65];	/* hex, "" at epoch 0 */
};

bool volume_name_ok(const char *name);
MUST_CHECK int counter_get(const char *dir, const char *volume, struct counter *out, struct err *e);
/* Only from epoch next->epoch - 1 with root `previous`; -ESTALE otherwise. On disk when it returns 0. */
MUST_CHECK int counter_advance(const char *dir, const char *volume, const char *previous,
			       const struct counter *next, struct err *e);

/* ---- the highest svn seen of each manifest -----------------------------------------------------------------
 */
/* -ESTALE when svn is lower than one accepted before, or another manifest (digest) was accepted with that svn;
 * 1 when it is new (and now on disk), 0 when it is the one accepted before. */
MUST_CHECK int svn_accept(const char *path, const char *name, int64_t svn, const char *digest, struct err *e);
