/* intel.c: is this quote by a genuine Intel quoting enclave, on a platform whose processor, firmware, TDX
 * module and quoting enclave are all at acceptable versions, for a guest or enclave that its host can't look
 * into? */
#include <stdio.h>
#include <string.h>

#include "cvm-host/attest/ecdsa.h"
#include "cvm-host/attest/eventlog.h"
#include "cvm-host/attest/intel.h"
#include "platform/base/bytes.h"

#define TD_ATTR_DEBUG_BYTE                                                                                     \
	0xffu /* the whole "TD under debug" byte: bit 0 is DEBUG, the others are reserved                      \
	       */
#define TD_ATTR_SEPT_VE_DISABLE (1ull << 28)
#define TD_ATTR_MIGRATABLE	(1ull << 29)
#define TD_ATTR_PERFMON		(1ull << 63)
#define SGX_ATTR_DEBUG		(1u << 1)

struct intel {
	struct quote q;
	struct pck pck;
	struct certs set;
	struct chain chain; /* PCK leaf, PCK CA, root */
	struct statement tcb, qe;
	struct advisories adv;
};

static void td_claims(struct verify *v, const struct quote *q)
{
	static const struct {
		const char *name;
		uint16_t at, size;
	} f[] = {
		{"tdx.mrtd", TD_MRTD, 48},
		{"tdx.rtmr0", TD_RTMR0, 48},
		{"tdx.rtmr1", TD_RTMR0 + 48, 48},
		{"tdx.rtmr2", TD_RTMR0 + 96, 48},
		{"tdx.rtmr3", TD_RTMR0 + 144, 48},
		{"tdx.mrconfigid", TD_MRCONFIGID, 48},
		{"tdx.mrowner", TD_MROWNER, 48},
		{"tdx.mrownerconfig", TD_MROWNERCONFIG, 48},
		{"tdx.mrseam", TD_MRSEAM, 48},
		{"tdx.mrsignerseam", TD_MRSIGNERSEAM, 48},
		{"tdx.report_data", TD_REPORT_DATA, 64},
		{"tdx.attributes", TD_ATTRIBUTES, 8},
		{"tdx.xfam", TD_XFAM, 8},
		{"tdx.tee_tcb_svn", TD_TEE_TCB_SVN, 16},
	};
	uint64_t attr = get_le64(q->body + TD_ATTRIBUTES);

	claim_uint(v, "tdx.version", q->version);
	for (size_t i = 0; i < ARRAY_SIZE(f); i++)
		claim_bytes(v, f[i].name, q->body + f[i].at, f[i].size);
	if (q->td15)
		claim_bytes(v, "tdx.mrservicetd", q->body + TD_MRSERVICETD, 48);
	claim_bool(v, "tdx.debug", attr & TD_ATTR_DEBUG_BYTE);
	claim_bool(v, "tdx.migratable", attr & TD_ATTR_MIGRATABLE);
	claim_bool(v, "tdx.sept_ve_disable", attr & TD_ATTR_SEPT_VE_DISABLE);
	claim_bool(v, "tdx.perfmon", attr & TD_ATTR_PERFMON);
}

static void sgx_claims(struct verify *v, const struct quote *q)
{
	claim_uint(v, "sgx.version", q->version);
	claim_bytes(v, "sgx.mrenclave", q->body + SGX_MRENCLAVE, 32);
	claim_bytes(v, "sgx.mrsigner", q->body + SGX_MRSIGNER, 32);
	claim_bytes(v, "sgx.report_data", q->body + SGX_REPORT_DATA, 64);
	claim_bytes(v, "sgx.attributes", q->body + SGX_ATTRIBUTES, 16);
	claim_uint(v, "sgx.isv_prod_id", get_le16(q->body + SGX_ISVPRODID));
	claim_uint(v, "sgx.isv_svn", get_le16(q->body + SGX_ISVSVN));
	claim_bool(v, "sgx.debug", q->body[SGX_ATTRIBUTES] & SGX_ATTR_DEBUG);
}

/* Certificates: the quote's own, then the collateral's; PCK chain up to Intel's root, nothing of it revoked. */
static bool check_pck(struct verify *v, struct intel *x)
{
	size_t leaf = 0;

	if (!certs_load(v, &x->set))
		return false;
	if (certs_add(&x->set, x->q.pem, x->q.pem_size, &leaf) < 0 ||
	    certs_add_anchor(&x->set, ROOT(intel_sgx)) < 0)
		return check_fail(v, "intel.pck", "the quote's certificates are not strictly encoded PEM");
	for (size_t i = 0; i < v->in->item_count; i++)
		if (v->in->items[i].kind == ITEM_PCS_CHAIN &&
		    certs_add(&x->set, v->in->items[i].bytes.data, v->in->items[i].bytes.size, NULL) < 0)
			return check_fail(v, "intel.pcs", "item %zu: not certificates in strict encoding", i);
	if (!chain_verify(v, "intel.pck", &x->set, x->set.cert[leaf], &x->chain))
		return false;
	if (x->chain.count != 3 || !cert_cn_is(x->chain.cert[0], "Intel SGX PCK Certificate") ||
	    pck_parse(x->chain.cert[0], &x->pck) < 0)
		return check_fail(v, "intel.pck", "not a PCK certificate");
	chain_claim_root(v, &x->set, &x->chain);
	return chain_check_crl(v, "intel.pck.crl", &x->set, &x->chain, 0, 1);
}

/* Quote by the attestation key, which the quoting enclave's report names, which the PCK signed. */
static bool check_signatures(struct verify *v, const struct intel *x)
{
	const struct quote *q = &x->q;
	EVP_PKEY *key = ecdsa_key_raw(CURVE_P256, q->key);
	uint8_t named[64 + UINT16_MAX], hash[32];
	bool ok;

	ok = ecdsa_verify_raw(key, CURVE_P256, q->signature, 32, false, q->start, q->signed_size);
	EVP_PKEY_free(key);
	if (!check_that(v, "intel.signature", ok, ok ? "by the attestation key" : "not by the attestation key"))
		return false;
	memcpy(named, q->key, 64);
	memcpy(named + 64, q->auth, q->auth_size);
	ok = sha256(named, 64 + q->auth_size, hash) && memcmp(q->qe_report + SGX_REPORT_DATA, hash, 32) == 0 &&
	     bytes_zero(q->qe_report + SGX_REPORT_DATA + 32, 32);
	if (!check_that(v, "intel.qe.key", ok, "the quoting enclave's report names the attestation key"))
		return false;
	ok = ecdsa_verify_raw(X509_get0_pubkey(x->chain.cert[0]), CURVE_P256, q->qe_signature, 32, false,
			      q->qe_report, QE_REPORT_SIZE);
	return check_that(v, "intel.qe.signature", ok, "the quoting enclave's report is signed by the PCK");
}

/* TCB info and QE identity, signed by a certificate under Intel's root. */
static bool read_statements(struct verify *v, struct intel *x)
{
	const struct attest_bytes *tcb = item_find(v->in, ITEM_TCB_INFO, 0),
				  *qe = item_find(v->in, ITEM_QE_IDENTITY, 0);
	int i = certs_find_cn(&x->set, "Intel SGX TCB Signing", 0);
	struct chain chain;
	EVP_PKEY *key;

	if (item_find(v->in, ITEM_TCB_INFO, 1) || item_find(v->in, ITEM_QE_IDENTITY, 1))
		return check_fail(v, "intel.pcs", "more than one TCB info or QE identity");
	if (!tcb || !qe || i < 0)
		return check_fail(v, "intel.pcs", "%s was not given",
				  !tcb	? "TCB info"
				  : !qe ? "the QE identity"
					: "the TCB signing certificate");
	if (!chain_verify(v, "intel.pcs", &x->set, x->set.cert[i], &chain) ||
	    !chain_check_crl(v, "intel.pcs.crl", &x->set, &chain, 0, 0))
		return false;
	key = X509_get0_pubkey(chain.cert[0]);
	return statement_read(v, "intel.tcb_info", tcb, "tcbInfo", key, &x->tcb) &&
	       statement_read(v, "intel.qe_identity", qe, "enclaveIdentity", key, &x->qe);
}

static void claim_status(struct verify *v, const char *name, const struct tcb_state *s)
{
	const char *text = attest_tcb_status_name(tcb_status(s));

	claim_text(v, name, text, strlen(text));
}

static void platform_claims(struct verify *v, const struct intel *x, int64_t date)
{
	char list[2048] = "";
	size_t at = 0;

	claim_bytes(v, "intel.fmspc", x->pck.fmspc, 6);
	claim_bytes(v, "intel.ppid", x->pck.ppid, 16);
	claim_bytes(v, "intel.pceid", x->pck.pceid, 2);
	claim_bytes(v, "intel.cpu_svn", x->pck.cpu_svn, 16);
	claim_uint(v, "intel.pce_svn", x->pck.pce_svn);
	if (x->pck.has_piid)
		claim_bytes(v, "intel.piid", x->pck.piid, 16);
	claim_time(v, "intel.tcb_date", date);
	for (size_t i = 0; i < x->adv.count && at < sizeof(list) - 64; i++)
		at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%.40s", i ? "," : "", x->adv.id[i]);
	claim_text(v, "intel.advisories", list, at);
	claim_uint(v, "intel.tcb_evaluation", MIN(x->tcb.evaluation, x->qe.evaluation));
	claim_time(v, "intel.collateral_expires", MIN(x->tcb.next_update, x->qe.next_update));
}

/* Platform and module at the versions `svn` (NULL: SGX). */
static bool status_at(struct verify *v, struct intel *x, const uint8_t *svn, struct tcb_state *platform,
		      struct tcb_state *module, int64_t *date)
{
	*module = (struct tcb_state){0};
	return tcb_info_platform(v, &x->tcb, &x->pck, svn, platform, &x->adv, date) &&
	       (!svn || tcb_info_module(v, &x->tcb, x->q.body, svn, module, &x->adv));
}

/* TDX 1.5: out of date when launched, but the module has been updated since: a relaunch would do. */
static void consider_relaunch(struct verify *v, struct intel *x, struct tcb_state *all)
{
	struct tcb_state platform, module;
	const uint8_t *now = x->q.body + TD_TEE_TCB_SVN2;
	int64_t date;

	if (!x->q.td15 || !all->out_of_date || all->revoked || all->unrecognized || all->below_all ||
	    memcmp(now, x->q.body + TD_TEE_TCB_SVN, 16) == 0 ||
	    !status_at(v, x, now, &platform, &module, &date))
		return;
	tcb_merge(&platform, &module);
	if (platform.out_of_date || platform.revoked || platform.unrecognized)
		return;
	all->out_of_date = false;
	all->relaunch = true;
	all->configuration |= platform.configuration;
}

static bool check_status(struct verify *v, struct intel *x)
{
	const uint32_t accepted = v->in->knobs.tcb_status ? v->in->knobs.tcb_status : 1u << TCB_UP_TO_DATE;
	struct tcb_state platform, module, qe, all;
	enum attest_tcb_status status;
	int64_t date = 0;
	bool ok;

	if (!status_at(v, x, x->q.td ? x->q.body + TD_TEE_TCB_SVN : NULL, &platform, &module, &date) ||
	    !qe_identity_check(v, &x->qe, x->q.qe_report, x->q.td, &qe, &x->adv))
		return false;
	all = platform;
	tcb_merge(&all, &module);
	if (x->q.td)
		consider_relaunch(v, x, &all);
	tcb_merge(&all, &qe);
	claim_status(v, "intel.tcb_status", &all);
	claim_status(v, "intel.tcb_status.platform", &platform);
	if (x->q.td)
		claim_status(v, "intel.tcb_status.module", &module);
	claim_status(v, "intel.tcb_status.qe", &qe);
	platform_claims(v, x, date);
	if (all.below_all)
		check_fail(v, "intel.tcb.level", "below every level that Intel lists");
	status = tcb_status(&all);
	ok = status < TCB_REVOKED && (accepted >> status & 1);
	return check_knob(v, "intel.tcb", ok && (status == TCB_UP_TO_DATE), ok ? "tcb_status" : NULL,
			  "%s: the worst of platform, module and quoting enclave",
			  attest_tcb_status_name(status));
}

static void check_lists(struct verify *v, const struct intel *x)
{
	const struct attest_knobs *k = &v->in->knobs;
	bool found = false;

	for (size_t i = 0; i < k->denied_advisory_count; i++)
		for (size_t n = 0; n < x->adv.count; n++)
			if (strcmp(k->denied_advisories[i], x->adv.id[n]) == 0)
				check_fail(v, "intel.advisories", "the platform has the denied advisory %s",
					   x->adv.id[n]);
	if (!k->ppid_count) {
		check_skip(v, "intel.ppid.allowed", "no list of platforms was given");
		return;
	}
	for (size_t i = 0; i < k->ppid_count; i++)
		if (k->ppids[i].size == 16 && memcmp(k->ppids[i].data, x->pck.ppid, 16) == 0)
			found = true;
	check_that(v, "intel.ppid.allowed", found, "the PPID against the list of allowed ones");
}

static void check_guest(struct verify *v, const struct quote *q)
{
	const struct attest_knobs *k = &v->in->knobs;
	bool debug, moves;

	if (!q->td) {
		debug = q->body[SGX_ATTRIBUTES] & SGX_ATTR_DEBUG;
		check_knob(v, "sgx.debug", !debug, k->allow_debug ? "allow_debug" : NULL,
			   debug ? "the enclave is debuggable" : "not debuggable");
		return;
	}
	debug = get_le64(q->body + TD_ATTRIBUTES) & TD_ATTR_DEBUG_BYTE;
	check_knob(v, "tdx.debug", !debug, k->allow_debug ? "allow_debug" : NULL,
		   debug ? "the TD's host can debug it" : "not debuggable");
	moves = (get_le64(q->body + TD_ATTRIBUTES) & TD_ATTR_MIGRATABLE) ||
		(q->td15 && !bytes_zero(q->body + TD_MRSERVICETD, 48));
	check_knob(v, "tdx.migration", !moves, k->allow_migration ? "allow_migration" : NULL,
		   moves ? "the TD is migratable, or bound to a service TD" : "not migratable, no service TD");
}

static void verify_with(struct verify *v, struct intel *x, const struct attest_bytes *evidence,
			bool check_report_data)
{
	if (!quote_parse(v, evidence, &x->q))
		return;
	if (check_report_data) /* else the caller has said what this is */
		v->r->kind = x->q.td ? ATTEST_TDX : ATTEST_SGX;
	if (!check_that(v, "intel.kind", v->in->kind == ATTEST_AUTO || (v->in->kind == ATTEST_SGX) == !x->q.td,
			"the quote is of a %s", x->q.td ? "TD" : "SGX enclave"))
		return;
	if (x->q.td)
		td_claims(v, &x->q);
	else
		sgx_claims(v, &x->q);
	check_guest(v, &x->q);
	if (x->q.td && item_find(v->in, ITEM_CCEL, 0))
		eventlog_check_rtmr(v, item_find(v->in, ITEM_CCEL, 0), x->q.body + TD_RTMR0);
	if (check_report_data)
		check_challenge(v, x->q.body + (x->q.td ? TD_REPORT_DATA : SGX_REPORT_DATA), 64, true);
	if (!check_pck(v, x) || !check_signatures(v, x) || !read_statements(v, x) ||
	    !certs_all_good(v, &x->set) || !check_status(v, x))
		return;
	check_lists(v, x);
}

void intel_verify_quote(struct verify *v, const struct attest_bytes *evidence, bool check_report_data)
{
	struct intel x = {0};

	verify_with(v, &x, evidence, check_report_data);
	statement_free(&x.tcb);
	statement_free(&x.qe);
	certs_free(&x.set);
}

void intel_verify(struct verify *v, const struct attest_bytes *evidence)
{
	intel_verify_quote(v, evidence, true);
}
