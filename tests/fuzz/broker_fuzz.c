/* broker_fuzz.c: the whole broker behind its HTTP end, fed with sequences of requests. No
 * request that a stranger makes up gets a resource. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cvm-host/kbs/broker.h"
#include "cvm-host/kbs/jose.h"
#include "cvm-host/kbs/protocol.h"
#include "cvm-host/kbs/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char secret[] = "THE SECRET OF THE BROKER";

static struct broker *make(void)
{
	/* real evidence only: a made-up one has to be signed by a vendor */
	static const char policy[] = "{\"version\":1,\"name\":\"p\",\"rules\":[{\"name\":\"r\",\"tee\":\"snp\","
				     "\"resources\":[\"a/b/+\"],\"claims\":{}}]}";
	char dir[] = "/tmp/sbx-broker-fuzz-XXXXXX", path[200];
	struct broker_config c = {.dir = dir};
	EVP_PKEY *key = key_generate_ec("P-256");
	X509 *cert = x509_make(key, "token", NULL, false, 10, NULL, NULL);
	struct broker *b = NULL;
	struct err e;

	if (!mkdtemp(dir) || chdir(dir) < 0 || mkdir("resources", 0700) < 0 || mkdir("resources/a", 0700) < 0 ||
	    mkdir("resources/a/b", 0700) < 0)
		abort();
	snprintf(path, sizeof(path), "%s", "policy.json");
	if (save_file("resources/a/b/c", secret, strlen(secret), 0600, &e) < 0 ||
	    save_file(path, policy, strlen(policy), 0600, &e) < 0 || key_save("k.pem", key, &e) < 0 ||
	    x509_save("c.pem", &cert, 1, &e) < 0)
		abort();
	c.policy = path;
	c.token_key = "k.pem";
	c.token_cert = "c.pem";
	if (broker_open(&c, &b, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		abort();
	}
	/* the log would grow without end */
	if (unlink("state/audit.jsonl") < 0)
		abort();
	X509_free(cert);
	EVP_PKEY_free(key);
	return b;
}

static int export(void *connection, const char *context, uint8_t out[32])
{
	(void)connection;
	(void)context;
	memset(out, 1, 32);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct broker *b;
	char session[33] = "00000000000000000000000000000000";
	char *text = xcalloc(1, size + 1);

	if (!b)
		b = make();
	memcpy(text, data, size);
	/* requests one after the other; "@" stands for the last session's id */
	for (size_t at = 0; at < size;) {
		struct broker_request q = {.export_channel = export, .peer = "fuzz"};
		struct broker_reply r;
		struct http_head h;

		for (char *p = text + at; (p = strstr(p, "=@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@")); p++)
			memcpy(p + 1, session, 32);
		if (http_parse(text + at, size - at, false, KBS_BODY_MAX, &h) != 1 ||
		    size - at < h.size + h.body)
			break;
		q.head = &h;
		q.body = text + at + h.size;
		q.body_size = h.body;
		broker_handle(b, &q, &r);
		if (!r.body || r.status < 200 || r.status > 599 || strstr(r.body, secret) ||
		    (r.status == 200 && !strcmp(r.type, "application/jwe")))
			abort();
		if (r.cookie)
			memcpy(session, r.cookie, 32);
		broker_reply_free(&r);
		at += h.size + h.body;
	}
	free(text);
	return 0;
}
