/* cert.h: certificates and revocation lists of one verification. */
#pragma once

#include <openssl/x509.h>

#include "cvm-host/attest/internal.h"

#define CERTS_MAX 48
#define CRLS_MAX  16
#define CHAIN_MAX 8

/* A certificate or list that arrived with the evidence or as collateral, and whether a verified path uses it.
 */
struct certs {
	X509 *cert[CERTS_MAX];
	bool used[CERTS_MAX];
	size_t cert_count;
	X509_CRL *crl[CRLS_MAX];
	bool crl_used[CRLS_MAX];
	size_t crl_count;
	X509 *anchor[CHAIN_MAX]; /* trusted: compiled in, or of ITEM_ROOT */
	bool pinned[CHAIN_MAX];	 /* compiled in */
	size_t anchor_count;
};

/* Leaf first; all borrowed from struct certs. */
struct chain {
	X509 *cert[CHAIN_MAX];
	size_t count;
};

/* A compiled-in certificate. */
struct root {
	const uint8_t *der, *end;
};
#define ROOT_DECLARE(name) extern const uint8_t root_##name[], root_##name##_end[]
#define ROOT(name)	   ((struct root){root_##name, root_##name##_end})
ROOT_DECLARE(amd_ark_milan);
ROOT_DECLARE(amd_ark_genoa);
ROOT_DECLARE(amd_ark_turin);
ROOT_DECLARE(amd_ask_milan);
ROOT_DECLARE(amd_ask_genoa);
ROOT_DECLARE(amd_ask_turin);
ROOT_DECLARE(amd_asvk_milan);
ROOT_DECLARE(amd_asvk_genoa);
ROOT_DECLARE(amd_asvk_turin);
ROOT_DECLARE(intel_sgx);
ROOT_DECLARE(aws_nitro);
ROOT_DECLARE(nvidia_device);
ROOT_DECLARE(nvidia_rim);

/* Reads ITEM_CERTS, ITEM_CRL and ITEM_ROOT of the input; adds check "collateral.certs". False when something is
 * malformed. certs_free() is due either way. */
MUST_CHECK bool certs_load(struct verify *v, struct certs *set);
void certs_free(struct certs *set);

/* Adds one DER certificate, or PEM ones: text that is exactly what encoding them again gives (line ends may be
 * CRLF, and line ends or NULs may trail), so that no bit of it is free. A certificate that is there already is
 * not added. -EINVAL, -ENOSPC. `first` (may be NULL): index of the first of them. */
MUST_CHECK int certs_add(struct certs *set, const void *data, size_t size, size_t *first);
/* Adds a compiled-in certificate as anchor, or as an intermediate. */
MUST_CHECK int certs_add_anchor(struct certs *set, struct root root);
MUST_CHECK int certs_add_root(struct certs *set, struct root root);

/* The index of the first certificate with this subject CN, from `from` on; -1 when there is none. */
int certs_find_cn(const struct certs *set, const char *cn, size_t from);
bool cert_cn_is(X509 *cert, const char *cn);
bool cert_issuer_cn_is(X509 *cert, const char *cn);

/* Builds and verifies the path from `leaf` to an anchor at time v->in->now; adds the check `name`. On success
 * the path's members count as used. */
MUST_CHECK bool chain_verify(struct verify *v, const char *name, struct certs *set, X509 *leaf,
			     struct chain *out);

/* Revocation of chain->cert[first..last] (each by a list of its issuer, which is the next in the chain): a list
 * must be there, signed by the issuer, current, without critical extensions, and not name the certificate. Adds
 * the check `name`. */
bool chain_check_crl(struct verify *v, const char *name, struct certs *set, const struct chain *chain,
		     size_t first, size_t last);

/* Whatever was given must be good: every certificate has a path to an anchor (validity periods aside), every
 * list is signed by one of them. Adds "collateral.unused" when something isn't. */
bool certs_all_good(struct verify *v, struct certs *set);

/* "root.pinned": the chain's last is a compiled-in anchor. */
void chain_claim_root(struct verify *v, const struct certs *set, const struct chain *chain);

/* Seconds since 1970; 0 for a time that can't be read. */
int64_t asn1_time(const ASN1_TIME *t);

/* The payload of an extension by dotted OID, or NULL: borrowed, inside the OCTET STRING. */
const uint8_t *cert_extension(X509 *cert, const char *oid, size_t *size);
