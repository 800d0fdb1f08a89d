/* tls.h: TLS 1.3 on OpenSSL as the broker's two ends use it: nothing older, no tickets and no resumption (a
 * session is one connection), the peer known by a certificate authority, by pins on its public key, or both. */
#pragma once

#include <openssl/ssl.h>

#include "cvm-host/kbs/util.h"

#define TLS_PIN_SIZE 32 /* SHA-256 of the SubjectPublicKeyInfo */

/* Server: PEM files with the chain (leaf first) and its key. The caller frees with SSL_CTX_free. */
MUST_CHECK int tls_server(const char *cert, const char *key, SSL_CTX **out, struct err *e);

struct tls_trust {
	const char *ca;	  /* PEM file, or NULL */
	const char *host; /* name or address that the certificate has to bear when ca is given */
	const uint8_t (*pins)[TLS_PIN_SIZE]; /* one of them, if there are any */
	size_t pin_count;
};

/* Handshake as a client over a connected, blocking descriptor, which stays the caller's. Refuses a trust that
 * trusts everybody. */
MUST_CHECK int tls_client(int fd, const struct tls_trust *t, SSL **out, struct err *e);
/* 32 bytes that both ends of this connection, and nobody else, compute for a label and context (RFC 8446, 7.5).
 */
MUST_CHECK int tls_export(SSL *s, const char *label, const char *context, uint8_t out[32]);
void tls_pin_of(X509 *cert, uint8_t out[TLS_PIN_SIZE]);
/* OpenSSL's last error as text. */
int tls_error(struct err *e, int ret, const char *what);

/* A connected TCP socket, reads and writes limited to timeout_ms. */
MUST_CHECK int tls_tcp_connect(const char *host, const char *port, int timeout_ms, struct err *e);
/* A listening socket for "ADDRESS:PORT" or "[V6]:PORT"; close-on-exec, non-blocking. The port in *port. */
MUST_CHECK int tls_tcp_listen(const char *address, uint16_t *port, struct err *e);

/* A self-signed or CA-signed X.509 certificate (P-256 keys), for tests and `sbx broker --init`. issuer NULL:
 * self-signed. san: "DNS:x,IP:y" or NULL. The caller frees. */
X509 *x509_make(EVP_PKEY *key, const char *cn, const char *san, bool ca, int days, X509 *issuer,
		EVP_PKEY *issuer_key);
MUST_CHECK int x509_save(const char *path, X509 *const *certs, size_t count, struct err *e);
