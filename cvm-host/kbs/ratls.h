/* ratls.h: TLS certificates that say in which TEE their key lives (attested TLS), for connections between
 * guests and to services that hold no broker's token.
 *
 * A self-signed certificate has the extension 2.23.133.5.4.9 (TCG DICE tagged evidence): CBOR tag 60000 around
 * [evidence, claims]; claims is a CBOR map with "pubkey-hash" ([1, SHA-256 of the SubjectPublicKeyInfo]),
 * "nonce" and "tee". The evidence's report data is SHA-256(claims), zeros behind: it is bound to the key and to
 * the verifier's nonce.
 *
 * That binds a key, not a session: somebody who gets the key out, or relays the handshake, could still be in
 * the middle. So the peer also sends evidence over ratls_confirm_data() once the handshake is done, which holds
 * this connection's exporter. A verifier that wants to know whom it talks to checks both. */
#pragma once

#include <openssl/ssl.h>

#include "cvm-host/kbs/client.h"
#include "cvm-host/kbs/tee.h"

#define RATLS_OID	 "2.23.133.5.4.9"
#define RATLS_NONCE_SIZE 32

/* A certificate for key, good for a day. */
MUST_CHECK int ratls_make(EVP_PKEY *key, const char *tee, const uint8_t nonce[RATLS_NONCE_SIZE],
			  kbs_attester *attester, void *arg, X509 **out, struct err *e);
/* The evidence's verdict in *out (the policy still has to decide on its claims). -EKEYREJECTED when the
 * certificate, the nonce or the evidence is not right. tee[24] is what the claims name. */
MUST_CHECK int ratls_verify(X509 *cert, const uint8_t nonce[RATLS_NONCE_SIZE], const struct tee_collateral *c,
			    int64_t now, char tee[24], struct tee_verdict *out, struct err *e);
/* What the evidence after the handshake has to carry: a hash of the connection's exporter, the attested end's
 * key and the verifier's nonce. Both ends compute it. cert: that of the attested end. */
MUST_CHECK int ratls_confirm_data(SSL *s, X509 *cert, const uint8_t nonce[RATLS_NONCE_SIZE], uint8_t out[64]);
