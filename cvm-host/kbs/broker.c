/* broker.c: opening, reloading, dispatch. */
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cvm-host/kbs/broker_internal.h"

/* ---- rules ------------------------------------------------------------------------------------------------
 */

struct rules *rules_get(struct broker *b)
{
	struct rules *r;

	pthread_mutex_lock(&b->lock);
	r = b->rules;
	r->refs++;
	pthread_mutex_unlock(&b->lock);
	return r;
}

void rules_put(struct broker *b, struct rules *r)
{
	bool last;

	if (!r)
		return;
	pthread_mutex_lock(&b->lock);
	last = --r->refs == 0;
	pthread_mutex_unlock(&b->lock);
	if (!last)
		return;
	policy_free(r->policy);
	tee_collateral_free(&r->collateral);
	free(r);
}

int broker_reload(struct broker *b, struct err *e)
{
	struct rules *r = xcalloc(1, sizeof(*r)), *old;
	int ret = policy_load_file(b->policy_path, &r->policy, e);

	if (!ret)
		ret = tee_collateral_load(b->collateral, &r->collateral, e);
	if (ret) {
		policy_free(r->policy);
		free(r);
		return ret;
	}
	r->refs = 1;
	pthread_mutex_lock(&b->lock);
	old = b->rules;
	b->rules = r;
	pthread_mutex_unlock(&b->lock);
	rules_put(b, old);
	return 0;
}

/* ---- opening -----------------------------------------------------------------------------------------------
 */

static int load_chain(const char *path, json_t **out, EVP_PKEY *key, struct err *e)
{
	struct blob pem = {0};
	int ret = load_file(path, 1u << 20, &pem, e);
	BIO *bio;
	X509 *x;

	if (ret)
		return ret;
	*out = json_array();
	bio = BIO_new_mem_buf(pem.data, (int)pem.size);
	while ((x = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		uint8_t *der = NULL;
		int n = i2d_X509(x, &der);

		if (n > 0) {
			char *s = b64_encode(der, (size_t)n);

			json_array_append_new(*out, json_string(s));
			free(s);
		}
		if (json_array_size(*out) == 1 && X509_check_private_key(x, key) != 1)
			ret = err_set(e, -EINVAL, "%s: the first certificate is not of the token key", path);
		OPENSSL_free(der);
		X509_free(x);
	}
	if (!ret && !json_array_size(*out))
		ret = err_set(e, -EINVAL, "%s: no certificate", path);
	BIO_free(bio);
	blob_free(&pem);
	return ret;
}

static int make_dir(const char *path, struct err *e)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

static int open_state(struct broker *b, struct err *e)
{
	char *state = xasprintf("%s/state", b->dir), *audit = xasprintf("%s/audit.jsonl", state);
	char *log = xasprintf("%s/manifests.jsonl", state), *leases = xasprintf("%s/leases.json", state);
	int ret = make_dir(state, e);

	b->volumes = xasprintf("%s/volumes", state);
	b->svn_path = xasprintf("%s/svn.json", state);
	if (!ret)
		ret = make_dir(b->volumes, e);
	if (!ret)
		ret = audit_open(audit, &b->audit, e);
	if (!ret)
		ret = translog_open(log, &b->translog, e);
	if (!ret)
		ret = leases_open(leases, &b->leases, e);
	free(state);
	free(audit);
	free(log);
	free(leases);
	return ret;
}

int broker_open(const struct broker_config *c, struct broker **out, struct err *e)
{
	struct broker *b = xcalloc(1, sizeof(*b));
	int ret;

	pthread_mutex_init(&b->lock, NULL);
	b->audit.fd = b->translog.fd = -1;
	b->dir = xstrdup(c->dir);
	b->policy_path = xstrdup(c->policy);
	b->resources = xasprintf("%s/resources", c->dir);
	b->collateral = xasprintf("%s/collateral", c->dir);
	b->session_seconds = c->session_seconds ? c->session_seconds : 300;
	b->token_seconds = c->token_seconds ? c->token_seconds : 300;
	b->require_binding = c->require_binding;
	b->sessions = sessions_new();
	ret = key_load(c->token_key, &b->signer.key, e);
	if (!ret)
		ret = load_chain(c->token_cert, &b->signer.x5c, b->signer.key, e);
	if (!ret)
		ret = broker_reload(b, e);
	if (!ret)
		ret = open_state(b, e);
	if (ret) {
		broker_close(b);
		return ret;
	}
	*out = b;
	return 0;
}

void broker_close(struct broker *b)
{
	rules_put(b, b->rules);
	sessions_free(b->sessions);
	audit_close(&b->audit);
	translog_close(&b->translog);
	leases_close(&b->leases);
	EVP_PKEY_free(b->signer.key);
	json_decref(b->signer.x5c);
	free(b->dir);
	free(b->policy_path);
	free(b->resources);
	free(b->volumes);
	free(b->svn_path);
	free(b->collateral);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

/* ---- replies ------------------------------------------------------------------------------------------------
 */

void reply_json(struct broker_reply *r, char *text)
{
	r->status = 200;
	r->type = "application/json";
	r->body = text;
}

void reply_error(struct broker_reply *r, int status, const char *kind, const char *fmt, ...)
{
	char detail[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	free(r->body);
	free(r->cookie);
	*r = (struct broker_reply){
		.status = status, .type = "application/json", .body = kbs_error_text(kind, detail)};
}

void broker_reply_free(struct broker_reply *r)
{
	if (r->body)
		OPENSSL_cleanse(r->body, strlen(r->body));
	free(r->body);
	free(r->cookie);
	*r = (struct broker_reply){0};
}

int audit_event(struct broker *b, const struct broker_request *q, json_t *event, bool sync)
{
	int ret;

	json_object_set_new(event, "peer", json_string(q->peer ? q->peer : ""));
	pthread_mutex_lock(&b->lock);
	ret = audit_add(&b->audit, event, sync, NULL);
	pthread_mutex_unlock(&b->lock);
	return ret;
}

/* ---- dispatch -----------------------------------------------------------------------------------------------
 */

static const char *after(const char *path, const char *verb)
{
	size_t n = strlen(verb);

	return !strncmp(path, verb, n) ? path + n : NULL;
}

void broker_handle(struct broker *b, const struct broker_request *q, struct broker_reply *out)
{
	bool post = http_is(&q->head->method, "POST"), get = http_is(&q->head->method, "GET");
	char target[512], *path = target + strlen(KBS_BASE);
	const char *rest;

	*out = (struct broker_reply){0};
	if (q->head->target.len >= sizeof(target) || q->head->target.len < strlen(KBS_BASE)) {
		reply_error(out, 404, "InvalidRequestPath", "Request path is invalid");
		return;
	}
	memcpy(target, q->head->target.s, q->head->target.len);
	target[q->head->target.len] = 0;
	if (strncmp(target, KBS_BASE, strlen(KBS_BASE)) != 0)
		reply_error(out, 404, "InvalidRequestPath", "Request path %.200s is invalid", target);
	else if (!post && !get)
		reply_error(out, 405, "InvalidRequestPath", "GET and POST are served");
	else if (post && !strcmp(path, "auth"))
		broker_auth(b, q, out);
	else if (post && !strcmp(path, "attest"))
		broker_attest(b, q, out);
	else if (get && (rest = after(path, "resource/")))
		broker_resource(b, q, rest, out);
	else if (post && (rest = after(path, "sbx-lease/")))
		broker_lease(b, q, rest, out);
	else if ((rest = after(path, "sbx-volume/")))
		broker_volume(b, q, rest, out);
	else if (get && (rest = after(path, "sbx-log/")))
		broker_log(b, rest, out);
	else
		reply_error(out, 404, "PluginNotFound", "nothing is served at %.200s", target);
}
