/* broker_log.c: the transparency log for anybody who asks: a signed head, entries, proofs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/kbs/broker_internal.h"

static char *signed_head(struct broker *b)
{
	json_t *v, *head = json_pack("{ss ss}", "alg", "ES256", "typ", "sbx-log-head");
	char root[65], audit[65], *text, *jws;
	struct merkle_hash h;

	pthread_mutex_lock(&b->lock);
	merkle_root(b->translog.leaves, b->translog.count, &h);
	bytes_to_hex(root, h.b, 32);
	bytes_to_hex(audit, b->audit.head, 32);
	v = json_pack("{sI ss sI s{sI ss}}", "size", (json_int_t)b->translog.count, "root", root, "time",
		      (json_int_t)wall_now(), "audit", "seq", (json_int_t)b->audit.seq, "head", audit);
	pthread_mutex_unlock(&b->lock);
	text = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS);
	jws = jws_sign(b->signer.key, head, text, strlen(text), NULL);
	if (jws)
		json_object_set_new(v, "signed", json_string(jws));
	free(text);
	free(jws);
	text = json_dumps(v, JSON_COMPACT);
	json_decref(v);
	json_decref(head);
	return text;
}

static char *proof_text(const struct merkle_proof *p)
{
	json_t *list = json_array(), *v;
	char hex[65], *s;

	for (size_t i = 0; i < p->count; i++) {
		bytes_to_hex(hex, p->hash[i].b, 32);
		json_array_append_new(list, json_string(hex));
	}
	v = json_pack("{so}", "proof", list);
	s = json_dumps(v, JSON_COMPACT);
	json_decref(v);
	return s;
}

/* "A" or "A/B" in decimal */
static int numbers(const char *s, int want, uint64_t out[2])
{
	for (int i = 0; i < want; i++) {
		char *end;

		if (*s < '0' || *s > '9' || strlen(s) > 40)
			return -EINVAL;
		errno = 0;
		out[i] = strtoull(s, &end, 10);
		if (errno || *end != (i + 1 < want ? '/' : 0))
			return -EINVAL;
		s = end + 1;
	}
	return 0;
}

void broker_log(struct broker *b, const char *path, struct broker_reply *out)
{
	const struct translog *t = &b->translog;
	struct merkle_proof p;
	char *text = NULL;
	uint64_t n[2];

	if (!strcmp(path, "head")) {
		reply_json(out, signed_head(b));
		return;
	}
	pthread_mutex_lock(&b->lock);
	if (!strncmp(path, "entry/", 6) && !numbers(path + 6, 1, n) && n[0] < t->count) {
		text = xstrdup(t->lines[n[0]]);
	} else if (!strncmp(path, "proof/", 6) && !numbers(path + 6, 2, n) && n[1] <= t->count && n[0] < n[1]) {
		merkle_path(t->leaves, n[1], n[0], &p);
		text = proof_text(&p);
	} else if (!strncmp(path, "consistency/", 12) && !numbers(path + 12, 2, n) && n[0] && n[0] <= n[1] &&
		   n[1] <= t->count) {
		merkle_consistency(t->leaves, n[0], n[1], &p);
		text = proof_text(&p);
	}
	pthread_mutex_unlock(&b->lock);
	if (text)
		reply_json(out, text);
	else
		reply_error(out, 404, "InvalidRequestPath", "the log has no such thing");
}
