/* broker_internal.h: shared by the broker's files. */
#pragma once

#include <pthread.h>

#include "cvm-host/kbs/broker.h"
#include "cvm-host/kbs/ear.h"
#include "cvm-host/kbs/ledger.h"
#include "cvm-host/kbs/manifest.h"
#include "cvm-host/kbs/policy.h"
#include "cvm-host/kbs/state.h"
#include "cvm-host/kbs/tee.h"

#define RESOURCE_MAX (512u << 10)

/* What a request is judged by; replaced as a whole on reload. */
struct rules {
	unsigned refs; /* [lock] */
	struct policy *policy;
	struct tee_collateral collateral;
};

struct broker {
	char *dir, *policy_path, *resources, *volumes, *svn_path, *collateral; /* [I] */
	int64_t session_seconds, token_seconds;				       /* [I] */
	bool require_binding;						       /* [I] */
	struct ear_signer signer;					       /* [I] */
	pthread_mutex_t lock;
	struct rules *rules;	   /* [lock] */
	struct sessions *sessions; /* [lock] */
	struct audit audit;	   /* [lock] */
	struct translog translog;  /* [lock] */
	struct leases leases;	   /* [lock] */
};

struct rules *rules_get(struct broker *b);
void rules_put(struct broker *b, struct rules *r);

/* Fills a reply; text is taken. */
void reply_json(struct broker_reply *r, char *text);
PRINTF_LIKE(4, 5) void reply_error(struct broker_reply *r, int status, const char *kind, const char *fmt, ...);
/* Takes the event; writes it under the lock. A line that cannot be written turns a success into an error:
 * nothing is released that isn't on record. */
MUST_CHECK int audit_event(struct broker *b, const struct broker_request *q, json_t *event, bool sync);

/* The attested guest behind a request: from the session's or the Authorization header's token. */
struct guest {
	json_t *payload; /* owned */
	EVP_PKEY *key;	 /* owned: tee-pubkey */
	const char *alg, *tee;
	char holder[65]; /* thumbprint of the key, hex: who holds leases */
	const json_t *manifest;
	bool insecure;
};
MUST_CHECK int guest_of(struct broker *b, const struct broker_request *q, struct guest *out, struct err *e);
void guest_free(struct guest *g);

void broker_auth(struct broker *b, const struct broker_request *q, struct broker_reply *out);
void broker_attest(struct broker *b, const struct broker_request *q, struct broker_reply *out);
/* path: what follows the verb */
void broker_resource(struct broker *b, const struct broker_request *q, const char *path,
		     struct broker_reply *out);
void broker_lease(struct broker *b, const struct broker_request *q, const char *path, struct broker_reply *out);
void broker_volume(struct broker *b, const struct broker_request *q, const char *path,
		   struct broker_reply *out);
void broker_log(struct broker *b, const char *path, struct broker_reply *out);
