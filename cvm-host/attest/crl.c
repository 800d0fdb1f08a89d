/* crl.c: revocation. A list counts only when its issuer signed it, it is current, and it has no critical
 * extension (a delta or partial list would have one). */
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "cvm-host/attest/cert.h"

static bool has_critical(X509_CRL *crl)
{
	for (int i = 0; i < X509_CRL_get_ext_count(crl); i++)
		if (X509_EXTENSION_get_critical(X509_CRL_get_ext(crl, i)))
			return true;
	return false;
}

/* NULL when the list is good for the issuer at that time, else what is wrong. */
static const char *crl_fault(X509_CRL *crl, X509 *issuer, int64_t now)
{
	const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
	int good = X509_CRL_verify(crl, X509_get0_pubkey(issuer));

	ERR_clear_error();
	if (good != 1)
		return "the revocation list's signature is not the issuer's";
	if (has_critical(crl))
		return "the revocation list has a critical extension";
	if (asn1_time(X509_CRL_get0_lastUpdate(crl)) > now)
		return "the revocation list is from the future";
	if (!next || asn1_time(next) <= now)
		return "the revocation list has expired, or says nothing of its next update";
	return NULL;
}

bool chain_check_crl(struct verify *v, const char *name, struct certs *set, const struct chain *chain,
		     size_t first, size_t last)
{
	for (size_t i = first; i <= last; i++) {
		X509 *cert = chain->cert[i], *issuer = chain->cert[i + 1 < chain->count ? i + 1 : i];
		const char *fault = "no revocation list of its issuer was given";
		bool current = false;

		for (size_t n = 0; n < set->crl_count; n++) {
			X509_REVOKED *entry;
			const char *bad;

			if (X509_NAME_cmp(X509_CRL_get_issuer(set->crl[n]), X509_get_subject_name(issuer)) != 0)
				continue;
			bad = crl_fault(set->crl[n], issuer, v->in->now);
			if (bad)
				return check_fail(v, name, "certificate %zu of the chain: %s", i, bad);
			set->crl_used[n] = true;
			/* 2: "remove from list" entries only occur in delta lists, which have a critical
			 * extension */
			if (X509_CRL_get0_by_cert(set->crl[n], &entry, cert) != 0)
				return check_fail(v, name, "certificate %zu of the chain has been revoked", i);
			current = true;
		}
		if (!current) {
			const char *knob = v->in->knobs.allow_missing_crl ? "allow_missing_crl" : NULL;

			if (!check_knob(v, name, false, knob, "certificate %zu of the chain: %s", i, fault))
				return false;
			return true;
		}
	}
	return check_that(v, name, true, "current lists revoke nothing of the chain");
}
