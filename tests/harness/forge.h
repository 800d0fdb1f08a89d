/* forge.h: keys, certificates and revocation lists of the tests' own, and evidence signed by them. Nothing of
 * it leads to a vendor's root. */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "cvm-host/attest/evidence.h"

#define FORGE_NOW 1780000000 /* forged certificates are valid ten days around it */

struct forged {
	X509 *cert;
	EVP_PKEY *key;
};

EVP_PKEY *forge_key(const char *curve);
/* A certificate for a new key on `curve`, signed by `issuer` (NULL: by itself). Not signed yet when
 * `unsigned_out`: extensions can be added, then forge_sign(). */
struct forged forge_cert(const char *cn, const char *curve, const struct forged *issuer, bool ca);
struct forged forge_cert_begin(const char *cn, const char *curve, const struct forged *issuer, bool ca);
void forge_sign(struct forged *f, const struct forged *issuer);
/* Raw extension payload. */
void forge_extension(X509 *cert, const char *oid, const void *data, size_t size);
struct attest_bytes forge_cert_der(X509 *cert);
struct attest_bytes forge_cert_pem(X509 *const *certs, size_t count);
/* A list of the issuer's, valid from `last` to `next` (0: no nextUpdate), revoking `revoked` unless NULL. DER.
 */
struct attest_bytes forge_crl(const struct forged *issuer, int64_t last, int64_t next, X509 *revoked);
/* r || s, each `width` bytes. */
void forge_sig_raw(EVP_PKEY *key, const char *md, const void *msg, size_t size, uint8_t *out, size_t width,
		   bool little_endian);

/* A Genoa report (version 3) with its whole chain and a current CRL. */
struct forged_snp {
	struct forged ark, ask, vcek;
	uint8_t report[0x4a0];
	struct attest_bytes ark_der, ask_der, vcek_der, crl;
};
void forge_snp(struct forged_snp *s, const uint8_t report_data[64]);
/* After the report was changed. */
void forge_snp_sign(struct forged_snp *s);
