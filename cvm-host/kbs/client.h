/* client.h: a guest's side of the key broker protocol, over any connected stream (TCP, vsock, a serial port
 * that the host relays): TLS ends in the guest. Blocking; one thread at a time per client. */
#pragma once

#include "cvm-host/kbs/protocol.h"
#include "cvm-host/kbs/tls.h"

struct kbs_client;

/* Makes the evidence for a session: primary_evidence in *out (owned by the caller then) whose report data is
 * report_data. hash_size of its bytes are the hash, the rest zero. */
typedef int kbs_attester(void *arg, const uint8_t report_data[64], size_t hash_size, json_t **out,
			 struct err *e);

struct kbs_attest_how {
	const char *tee;
	kbs_attester *primary;
	kbs_attester *device; /* or NULL: what becomes {"gpu":...} */
	void *arg;
	const char *init_data; /* TOML text that the platform measured, or NULL */
};

/* TLS handshake on fd (borrowed). host is for the Host header; rsa: an RSA key instead of P-256. */
MUST_CHECK int kbs_client_open(int fd, const char *host, const struct tls_trust *t, bool rsa,
			       struct kbs_client **out, struct err *e);
void kbs_client_close(struct kbs_client *c);

/* auth and attest. The broker's reason is in e when it refuses (-EACCES). */
MUST_CHECK int kbs_client_attest(struct kbs_client *c, const struct kbs_attest_how *how, struct err *e);
const char *kbs_client_token(const struct kbs_client *c); /* NULL before */
/* repository/type/tag. -ENOENT when there is no such resource. */
MUST_CHECK int kbs_client_get(struct kbs_client *c, const char *resource, struct blob *out, struct err *e);
/* what: a resource or "volume:NAME". */
MUST_CHECK int kbs_client_lease(struct kbs_client *c, const char *what, bool release, struct err *e);
/* root has room for 65. */
MUST_CHECK int kbs_client_volume(struct kbs_client *c, const char *name, uint64_t *epoch, char *root,
				 struct err *e);
MUST_CHECK int kbs_client_volume_advance(struct kbs_client *c, const char *name, uint64_t epoch,
					 const char *root, const char *previous, struct err *e);
/* Any request; body NULL: GET. The reply's status, or -errno. */
MUST_CHECK int kbs_client_request(struct kbs_client *c, const char *path, const char *body, struct blob *reply,
				  struct err *e);
