/* tls.c: contexts, handshakes, pins, sockets. */
#include "cvm-host/kbs/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int tls_error(struct err *e, int ret, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *why = code ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return err_set(e, ret, "%s: %s", what, why ? why : "the connection ended");
}

static SSL_CTX *context(const SSL_METHOD *method)
{
	SSL_CTX *c = SSL_CTX_new(method);

	signal(SIGPIPE, SIG_IGN); /* OpenSSL writes with write(2) */
	if (!c || SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) != 1) {
		SSL_CTX_free(c);
		return NULL;
	}
	SSL_CTX_set_options(c, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_num_tickets(c, 0);
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				    SSL_MODE_RELEASE_BUFFERS);
	return c;
}

int tls_server(const char *cert, const char *key, SSL_CTX **out, struct err *e)
{
	SSL_CTX *c = context(TLS_server_method());

	if (!c)
		return tls_error(e, -ENOMEM, "TLS");
	if (SSL_CTX_use_certificate_chain_file(c, cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(c, key, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(c) != 1) {
		SSL_CTX_free(c);
		return tls_error(e, -EINVAL, cert);
	}
	*out = c;
	return 0;
}

void tls_pin_of(X509 *cert, uint8_t out[TLS_PIN_SIZE])
{
	uint8_t *der = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);

	memset(out, 0, TLS_PIN_SIZE);
	if (n > 0)
		sha256_of(der, (size_t)n, out);
	OPENSSL_free(der);
}

static int check_pins(SSL *s, const struct tls_trust *t, struct err *e)
{
	X509 *cert = SSL_get1_peer_certificate(s);
	uint8_t pin[TLS_PIN_SIZE];
	bool ok = false;

	if (!cert)
		return err_set(e, -EKEYREJECTED, "the broker shows no certificate");
	tls_pin_of(cert, pin);
	X509_free(cert);
	for (size_t i = 0; i < t->pin_count; i++)
		ok |= !memcmp(t->pins[i], pin, sizeof(pin));
	return ok ? 0 : err_set(e, -EKEYREJECTED, "the broker's key is none of the pinned ones");
}

static int set_trust(SSL_CTX *c, SSL *s, const struct tls_trust *t, struct err *e)
{
	struct in6_addr a;
	int ok;

	if (!t->ca && !t->pin_count)
		return err_set(e, -EINVAL, "neither a certificate authority nor a pin says whom to trust");
	if (!t->ca)
		return 0;
	if (SSL_CTX_load_verify_locations(c, t->ca, NULL) != 1)
		return tls_error(e, -EINVAL, t->ca);
	if (!t->host)
		return err_set(e, -EINVAL, "no name to check the certificate for");
	if (inet_pton(AF_INET, t->host, &a) == 1 || inet_pton(AF_INET6, t->host, &a) == 1)
		ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s), t->host);
	else
		ok = SSL_set1_host(s, t->host);
	SSL_set_verify(s, SSL_VERIFY_PEER, NULL);
	return ok == 1 ? 0 : tls_error(e, -EINVAL, t->host);
}

int tls_client(int fd, const struct tls_trust *t, SSL **out, struct err *e)
{
	SSL_CTX *c = context(TLS_client_method());
	SSL *s = c ? SSL_new(c) : NULL;
	long verified;
	int ret;

	if (!s) {
		SSL_CTX_free(c);
		return tls_error(e, -ENOMEM, "TLS");
	}
	ret = set_trust(c, s, t, e);
	SSL_CTX_free(c); /* s holds it */
	if (!ret && (SSL_set_fd(s, fd) != 1 || (t->host && SSL_set_tlsext_host_name(s, t->host) != 1)))
		ret = tls_error(e, -ENOMEM, "TLS");
	if (!ret && SSL_connect(s) != 1) {
		verified = SSL_get_verify_result(s);
		ret = verified != X509_V_OK && t->ca ? err_set(e, -EKEYREJECTED, "the broker's certificate: %s",
							       X509_verify_cert_error_string(verified))
						     : tls_error(e, -EPROTO, "TLS handshake");
	}
	if (!ret && t->pin_count)
		ret = check_pins(s, t, e);
	if (ret)
		SSL_free(s);
	else
		*out = s;
	return ret;
}

int tls_export(SSL *s, const char *label, const char *ctx, uint8_t out[32])
{
	if (SSL_version(s) != TLS1_3_VERSION)
		return -EPROTO;
	return SSL_export_keying_material(s, out, 32, label, strlen(label), (const uint8_t *)ctx, strlen(ctx),
					  1) == 1
		       ? 0
		       : -EIO;
}

/* ---- sockets -----------------------------------------------------------------------------------------------
 */

static int connect_one(const struct addrinfo *a, int timeout_ms)
{
	int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol), one = 1, ret;
	struct timeval tv = {timeout_ms / 1000, timeout_ms % 1000 * 1000};

	if (fd < 0)
		return -errno;
	/* Linux limits connect() by the send timeout */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

int tls_tcp_connect(const char *host, const char *port, int timeout_ms, struct err *e)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *list = NULL;
	int ret = getaddrinfo(host, port, &hints, &list), fd = -ENOENT;

	if (ret)
		return err_set(e, -ENOENT, "%s: %s", host, gai_strerror(ret));
	for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
		fd = connect_one(a, timeout_ms);
	freeaddrinfo(list);
	return fd < 0 ? err_set(e, fd, "%s port %s: %s", host, port, strerror(-fd)) : fd;
}

int tls_tcp_listen(const char *address, uint16_t *port, struct err *e)
{
	const char *colon = strrchr(address, ':');
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV},
			*a;
	struct sockaddr_in6 bound;
	socklen_t len = sizeof(bound);
	char *host;
	int fd, one = 1, ret;

	if (!colon)
		return err_set(e, -EINVAL, "%s: ADDRESS:PORT is wanted", address);
	host = *address == '[' ? strndup(address + 1, (size_t)(colon - address) - 2)
			       : strndup(address, (size_t)(colon - address));
	ret = host ? getaddrinfo(host, colon + 1, &hints, &a) : EAI_MEMORY;
	free(host);
	if (ret)
		return err_set(e, -EINVAL, "%s: %s", address, gai_strerror(ret));
	fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, 256) < 0 ||
	    getsockname(fd, (struct sockaddr *)&bound, &len) < 0) {
		ret = err_set(e, -errno, "%s: %s", address, strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = ret;
	} else {
		*port = ntohs(bound.sin6_port); /* the same place as in sockaddr_in */
	}
	freeaddrinfo(a);
	return fd;
}

/* ---- certificates of our own
 * ---------------------------------------------------------------------------------- */

static bool add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX c;
	bool ok;

	X509V3_set_ctx_nodb(&c);
	X509V3_set_ctx(&c, issuer, x, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &c, nid, value);
	ok = ext && X509_add_ext(x, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok;
}

X509 *x509_make(EVP_PKEY *key, const char *cn, const char *san, bool ca, int days, X509 *issuer,
		EVP_PKEY *issuer_key)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_NAME_new();
	BIGNUM *serial = BN_new();
	bool ok;

	ok = x && name && serial && X509_set_version(x, 2) == 1 &&
	     BN_rand(serial, 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
	     BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(x)) &&
	     X509_gmtime_adj(X509_getm_notBefore(x), -3600) &&
	     X509_gmtime_adj(X509_getm_notAfter(x), 86400L * days) &&
	     X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)cn, -1, -1, 0) == 1 &&
	     X509_set_subject_name(x, name) == 1 && X509_set_pubkey(x, key) == 1 &&
	     X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : name) == 1 &&
	     add_ext(x, issuer ? issuer : x, NID_basic_constraints,
		     ca ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
	     add_ext(x, issuer ? issuer : x, NID_key_usage,
		     ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature") &&
	     add_ext(x, issuer ? issuer : x, NID_subject_key_identifier, "hash") &&
	     (!san || add_ext(x, issuer ? issuer : x, NID_subject_alt_name, san)) &&
	     X509_sign(x, issuer ? issuer_key : key, EVP_sha256()) > 0;
	X509_NAME_free(name);
	BN_free(serial);
	if (ok)
		return x;
	X509_free(x);
	return NULL;
}

int x509_save(const char *path, X509 *const *certs, size_t count, struct err *e)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p;
	long n;
	int ret = 0;

	for (size_t i = 0; i < count && !ret; i++)
		if (PEM_write_bio_X509(bio, certs[i]) != 1)
			ret = tls_error(e, -EIO, path);
	n = BIO_get_mem_data(bio, &p);
	if (!ret)
		ret = save_file(path, p, (size_t)n, 0644, e);
	BIO_free(bio);
	return ret;
}
