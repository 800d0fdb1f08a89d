/* client.c: requests, attestation, resources. */
#include "cvm-host/kbs/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/kbs/http.h"

struct kbs_client {
	SSL *ssl;
	char *host;
	EVP_PKEY *key; /* the guest's; made here, never leaves */
	const char *alg;
	char *cookie; /* of the session, or NULL */
	char *token;
	bool closed; /* the broker ended the connection */
};

int kbs_client_open(int fd, const char *host, const struct tls_trust *t, bool rsa, struct kbs_client **out,
		    struct err *e)
{
	struct kbs_client *c = xcalloc(1, sizeof(*c));
	int ret = tls_client(fd, t, &c->ssl, e);

	c->host = xstrdup(host);
	c->alg = rsa ? JWE_RSA : JWE_ECDH;
	if (!ret) {
		c->key = rsa ? key_generate_rsa(3072) : key_generate_ec("P-256");
		ret = c->key ? 0 : tls_error(e, -EIO, "making a key");
	}
	if (ret) {
		kbs_client_close(c);
		return ret;
	}
	*out = c;
	return 0;
}

void kbs_client_close(struct kbs_client *c)
{
	if (c->ssl && !c->closed)
		SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	EVP_PKEY_free(c->key);
	free(c->host);
	free(c->cookie);
	free(c->token);
	free(c);
}

const char *kbs_client_token(const struct kbs_client *c)
{
	return c->token;
}

/* ---- HTTP
 * ------------------------------------------------------------------------------------------------------- */

static int send_all(struct kbs_client *c, const char *s, size_t n, struct err *e)
{
	while (n) {
		int w = SSL_write(c->ssl, s, (int)MIN(n, (size_t)1 << 20));

		if (w <= 0)
			return tls_error(e, -EPIPE, "sending to the broker");
		s += w;
		n -= (size_t)w;
	}
	return 0;
}

/* A head and a whole body in buf. */
static int receive(struct kbs_client *c, struct blob *buf, struct http_head *h, struct err *e)
{
	char part[16384];
	int ret, n;

	for (;;) {
		ret = http_parse((char *)buf->data, buf->size, true, KBS_BODY_MAX, h);
		if (ret < 0)
			return err_set(e, ret, "the broker's reply is not understood");
		if (ret && buf->size >= h->size + h->body)
			return buf->size == h->size + h->body
				       ? 0
				       : err_set(e, -EPROTO, "the broker says more than one reply");
		n = SSL_read(c->ssl, part, sizeof(part));
		if (n <= 0)
			return tls_error(e, -EPIPE, "reading from the broker");
		blob_add(buf, part, (size_t)n);
	}
}

static void take_cookie(struct kbs_client *c, const struct http_head *h)
{
	char *cookie = http_cookie(h, "set-cookie", KBS_COOKIE);

	if (cookie) {
		free(c->cookie);
		c->cookie = cookie;
	}
}

int kbs_client_request(struct kbs_client *c, const char *path, const char *body, struct blob *reply,
		       struct err *e)
{
	char *cookie = c->cookie ? xasprintf("Cookie: " KBS_COOKIE "=%s\r\n", c->cookie) : xstrdup("");
	char *length =
		body ? xasprintf("Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body))
		     : xstrdup("");
	char *text = xasprintf("%s " KBS_BASE "%s HTTP/1.1\r\nHost: %s\r\nAccept: */*\r\n%s%s\r\n%s",
			       body ? "POST" : "GET", path, c->host, cookie, length, body ? body : "");
	struct blob buf = {0};
	struct http_head h;
	int ret = c->closed ? err_set(e, -EPIPE, "the broker has ended the connection")
			    : send_all(c, text, strlen(text), e);

	if (!ret)
		ret = receive(c, &buf, &h, e);
	if (!ret) {
		take_cookie(c, &h);
		c->closed = !h.keep_alive;
		blob_set(reply, buf.data + h.size, h.body);
		ret = h.status;
	}
	blob_free(&buf);
	free(cookie);
	free(length);
	free(text);
	return ret;
}

/* The same, where anything but 200 is a refusal. */
static int ask(struct kbs_client *c, const char *path, const char *body, struct blob *reply, struct err *e)
{
	int ret = kbs_client_request(c, path, body, reply, e);

	if (ret < 0)
		return ret;
	if (ret == 200)
		return 0;
	kbs_error_parse(reply->data, reply->size, e);
	return ret == 404 ? -ENOENT : ret == 403 || ret == 401 ? -EACCES : -EPROTO;
}

/* ---- attestation
 * ------------------------------------------------------------------------------------------------- */

static int make_device(const struct kbs_attest_how *how, const struct kbs_challenge *ch, const json_t *jwk,
		       const char *binding, char **text, struct err *e)
{
	json_t *evidence = NULL, *map;
	uint8_t report[64];
	int ret;

	if (!how->device) {
		*text = xstrdup("");
		return 0;
	}
	ret = kbs_report_data(ch->hash, ch->nonce, jwk, NULL, binding, report, e);
	if (!ret)
		ret = how->device(how->arg, report, 32, &evidence, e);
	if (ret)
		return ret;
	map = json_pack("{so}", "gpu", evidence);
	*text = json_dumps(map, JSON_COMPACT);
	json_decref(map);
	return 0;
}

static int bind_channel(struct kbs_client *c, const struct kbs_challenge *ch, char **out, struct err *e)
{
	uint8_t exported[32];

	if (!ch->binding)
		return 0;
	if (tls_export(c->ssl, KBS_EXPORTER, ch->nonce, exported) < 0)
		return tls_error(e, -EIO, "TLS exporter");
	*out = b64_encode(exported, sizeof(exported));
	return 0;
}

static int challenge(struct kbs_client *c, const char *tee, struct kbs_challenge *ch, struct err *e)
{
	char *text = kbs_request_text(tee);
	struct blob reply = {0};
	int ret;

	free(c->cookie);
	c->cookie = NULL;
	ret = ask(c, "auth", text, &reply, e);
	if (!ret)
		ret = kbs_challenge_parse(reply.data, reply.size, ch, e);
	if (!ret && !c->cookie)
		ret = err_set(e, -EPROTO, "the broker gave no session");
	free(text);
	blob_free(&reply);
	return ret;
}

static int take_token(struct kbs_client *c, const struct blob *reply, struct err *e)
{
	json_t *v = NULL;
	const char *s;
	int ret = json_read(reply->data, reply->size, KBS_BODY_MAX, &v, e);

	if (ret)
		return ret;
	s = json_need_string(v, "token", e);
	if (s) {
		free(c->token);
		c->token = xstrdup(s);
	}
	json_decref(v);
	return s ? 0 : -EPROTO;
}

int kbs_client_attest(struct kbs_client *c, const struct kbs_attest_how *how, struct err *e)
{
	static const size_t sizes[] = {[KBS_SHA384] = 48, [KBS_SHA512] = 64, [KBS_SHA256] = 32};
	json_t *jwk = jwk_export(c->key, c->alg), *primary = NULL;
	char *binding = NULL, *additional = NULL, *text = NULL;
	struct kbs_challenge ch;
	struct blob reply = {0};
	uint8_t report[64];
	int ret = challenge(c, how->tee, &ch, e);

	if (!ret)
		ret = bind_channel(c, &ch, &binding, e);
	if (!ret)
		ret = make_device(how, &ch, jwk, binding, &additional, e);
	if (!ret)
		ret = kbs_report_data(ch.hash, ch.nonce, jwk, additional, binding, report, e);
	if (!ret)
		ret = how->primary(how->arg, report, sizes[ch.hash], &primary, e);
	if (!ret) {
		text = kbs_attestation_text(ch.nonce, jwk, binding, primary, additional, "toml",
					    how->init_data);
		ret = ask(c, "attest", text, &reply, e);
	}
	if (!ret)
		ret = take_token(c, &reply, e);
	json_decref(jwk);
	json_decref(primary);
	free(binding);
	free(additional);
	free(text);
	blob_free(&reply);
	return ret;
}

/* ---- what it is for
 * ------------------------------------------------------------------------------------------------ */

int kbs_client_get(struct kbs_client *c, const char *resource, struct blob *out, struct err *e)
{
	char *path = xasprintf("resource/%s", resource);
	struct blob reply = {0};
	json_t *jwe = NULL;
	int ret = kbs_resource_ok(resource) ? ask(c, path, NULL, &reply, e)
					    : err_set(e, -EINVAL, "a resource is REPOSITORY/TYPE/TAG");

	if (!ret)
		ret = json_read(reply.data, reply.size, KBS_BODY_MAX, &jwe, e);
	if (!ret)
		ret = jwe_decrypt(c->key, jwe, out, e);
	json_decref(jwe);
	blob_free(&reply);
	free(path);
	return ret;
}

int kbs_client_lease(struct kbs_client *c, const char *what, bool release, struct err *e)
{
	char *path = xasprintf("sbx-lease/%s", what);
	struct blob reply = {0};
	int ret = ask(c, path, release ? "{\"action\":\"release\"}" : "{\"action\":\"renew\"}", &reply, e);

	blob_free(&reply);
	free(path);
	return ret;
}

static int parse_counter(const struct blob *reply, uint64_t *epoch, char *root, struct err *e)
{
	json_t *v = NULL;
	const char *s;
	int64_t n = 0;
	int ret = json_read(reply->data, reply->size, 4096, &v, e);

	if (ret)
		return ret;
	s = json_need_string(v, "root", e);
	ret = s ? json_opt_int(v, "epoch", 0, INT64_MAX, -1, &n, e) : -EPROTO;
	if (!ret && (n < 0 || strlen(s) != (n ? 64u : 0u)))
		ret = err_set(e, -EPROTO, "the broker's counter is malformed");
	if (!ret) {
		*epoch = (uint64_t)n;
		memcpy(root, s, strlen(s) + 1);
	}
	json_decref(v);
	return ret;
}

int kbs_client_volume(struct kbs_client *c, const char *name, uint64_t *epoch, char *root, struct err *e)
{
	char *path = xasprintf("sbx-volume/%s", name);
	struct blob reply = {0};
	int ret = ask(c, path, NULL, &reply, e);

	if (!ret)
		ret = parse_counter(&reply, epoch, root, e);
	blob_free(&reply);
	free(path);
	return ret;
}

int kbs_client_volume_advance(struct kbs_client *c, const char *name, uint64_t epoch, const char *root,
			      const char *previous, struct err *e)
{
	char *path = xasprintf("sbx-volume/%s", name);
	char *body = xasprintf("{\"epoch\":%llu,\"root\":\"%s\",\"previous\":\"%s\"}",
			       (unsigned long long)epoch, root, previous);
	struct blob reply = {0};
	char now[65];
	uint64_t n;
	int ret = ask(c, path, body, &reply, e);

	if (!ret)
		ret = parse_counter(&reply, &n, now, e);
	if (!ret && (n != epoch || strcmp(now, root) != 0))
		ret = err_set(e, -EPROTO, "the broker kept another state");
	blob_free(&reply);
	free(body);
	free(path);
	return ret;
}
