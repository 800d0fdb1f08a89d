/* snp.c: is this report signed by a genuine AMD processor, at an acceptable security version, for a guest that
 * its host can't look into? */
#include <stdio.h>
#include <string.h>

#include "cvm-host/attest/ecdsa.h"
#include "cvm-host/attest/snp.h"

static const struct {
	const char *ark, *ask, *asvk;
	struct root roots[3];
} products[SNP_PRODUCT_COUNT] = {
	{"ARK-Milan",
	 "SEV-Milan",
	 "SEV-VLEK-Milan",
	 {ROOT(amd_ark_milan), ROOT(amd_ask_milan), ROOT(amd_asvk_milan)}},
	{"ARK-Genoa",
	 "SEV-Genoa",
	 "SEV-VLEK-Genoa",
	 {ROOT(amd_ark_genoa), ROOT(amd_ask_genoa), ROOT(amd_asvk_genoa)}},
	{"ARK-Turin",
	 "SEV-Turin",
	 "SEV-VLEK-Turin",
	 {ROOT(amd_ark_turin), ROOT(amd_ask_turin), ROOT(amd_asvk_turin)}},
};

/* By CPUID when the report has it (Bergamo and Siena are Genoa to the key hierarchy), else by the leaf. */
static bool find_product(struct verify *v, const struct snp_report *r, const struct snp_leaf *leaf,
			 enum snp_product *out)
{
	int by_leaf = -1, by_cpuid = -1;

	for (int i = 0; i < SNP_PRODUCT_COUNT; i++)
		if (strncmp(leaf->product, snp_product_name((enum snp_product)i), 5) == 0 &&
		    (leaf->product[5] == 0 || leaf->product[5] == '-'))
			by_leaf = i;
	if (r->has_cpuid) {
		if (r->family == 0x19)
			by_cpuid = r->model <= 0x0f						? SNP_MILAN
				   : r->model <= 0x1f || (r->model >= 0xa0 && r->model <= 0xaf) ? SNP_GENOA
												: -1;
		else if (r->family == 0x1a)
			by_cpuid = r->model <= 0x11 ? SNP_TURIN : -1;
	} else if (by_leaf == SNP_TURIN) {
		by_leaf = -1; /* no Turin makes reports without CPUID: its TCB would be read wrongly */
	}
	if (by_leaf < 0 || (r->has_cpuid && by_cpuid != by_leaf))
		return check_fail(
			v, "snp.product",
			"the report's processor (family 0x%x model 0x%x) and the certificate's (%s) differ",
			r->family, r->model, leaf->product);
	*out = (enum snp_product)by_leaf;
	return check_that(v, "snp.product", true, "%s", leaf->product);
}

/* Among several leaves the one whose chip and TCB are the report's, else the first. */
static bool find_leaf(struct verify *v, const struct certs *set, const struct snp_report *r,
		      struct snp_leaf *out)
{
	const char *cn = r->signer == SNP_VCEK ? "SEV-VCEK" : "SEV-VLEK";
	struct snp_leaf leaf;
	bool found = false;

	for (int i = certs_find_cn(set, cn, 0); i >= 0; i = certs_find_cn(set, cn, (size_t)i + 1)) {
		if (snp_leaf_parse(set->cert[i], r->signer, &leaf) < 0)
			return check_fail(v, "snp.leaf", "the %s's extensions are malformed", cn);
		if (!found || (leaf.hwid && bytes_equal(leaf.hwid, r->bytes + 0x1a0, leaf.hwid_size)))
			*out = leaf;
		found = true;
	}
	if (!found)
		return check_fail(v, "snp.leaf", "no %s certificate was given", cn);
	return true;
}

static bool tcb_equal(const struct attest_snp_tcb *a, const struct attest_snp_tcb *b)
{
	return a->bootloader == b->bootloader && a->tee == b->tee && a->snp == b->snp &&
	       a->microcode == b->microcode && a->fmc == b->fmc;
}

static bool tcb_at_least(const struct attest_snp_tcb *a, const struct attest_snp_tcb *min)
{
	return a->bootloader >= min->bootloader && a->tee >= min->tee && a->snp >= min->snp &&
	       a->microcode >= min->microcode && a->fmc >= min->fmc;
}

/* The certificate is for this chip at this TCB. */
static void check_leaf(struct verify *v, const struct snp_report *r, const struct snp_leaf *leaf,
		       enum snp_product product)
{
	struct attest_snp_tcb reported = snp_tcb_split(r->reported, product);
	const uint8_t *chip = r->bytes + 0x1a0;

	check_that(v, "snp.leaf.tcb",
		   leaf->has_fmc == (product == SNP_TURIN) && tcb_equal(&leaf->tcb, &reported),
		   "the certificate's security versions against the reported ones");
	if (r->signer == SNP_VCEK && bytes_zero(chip, 64))
		check_skip(v, "snp.leaf.chip_id",
			   "the report's chip id is masked; only the key says which chip it was");
	else if (r->signer == SNP_VCEK)
		check_that(v, "snp.leaf.chip_id",
			   leaf->hwid_size == (product == SNP_TURIN ? 8 : 64) &&
				   bytes_equal(leaf->hwid, chip, leaf->hwid_size) &&
				   bytes_zero(chip + leaf->hwid_size, 64 - leaf->hwid_size),
			   "the certificate's hardware id against the report's chip id");
	if (leaf->csp)
		claim_text(v, "snp.csp", (const char *)leaf->csp, leaf->csp_size);
}

static void check_signature(struct verify *v, const struct snp_report *r, X509 *leaf)
{
	uint8_t sig[96];
	bool ok;

	memcpy(sig, r->bytes + SNP_R_AT, 48);
	memcpy(sig + 48, r->bytes + SNP_R_AT + SNP_COMPONENT, 48);
	ok = ecdsa_verify_raw(X509_get0_pubkey(leaf), CURVE_P384, sig, 48, true, r->bytes, SNP_SIGNED_SIZE);
	check_that(v, "snp.signature", ok, ok ? "by the certificate's key" : "not by the certificate's key");
}

static void check_keys(struct verify *v, struct certs *set, const struct snp_report *r,
		       const struct snp_leaf *leaf, enum snp_product product)
{
	const char *issuer = r->signer == SNP_VCEK ? products[product].ask : products[product].asvk;
	struct chain chain;

	if (!chain_verify(v, "snp.chain", set, leaf->cert, &chain))
		return;
	if (chain.count != 3 || !cert_issuer_cn_is(leaf->cert, issuer) || !cert_cn_is(chain.cert[1], issuer) ||
	    !cert_cn_is(chain.cert[2], products[product].ark)) {
		check_fail(v, "snp.chain", "the path is not leaf, %s, %s", issuer, products[product].ark);
		return;
	}
	chain_claim_root(v, set, &chain);
	/* AMD's lists are signed by the ARK and name intermediates; there is none for single processors. */
	if (chain_check_crl(v, "snp.crl", set, &chain, 1, 1) && certs_all_good(v, set))
		check_signature(v, r, leaf->cert);
}

static void check_tcb(struct verify *v, const struct snp_report *r, enum snp_product product)
{
	const struct attest_knobs *k = &v->in->knobs;
	struct attest_snp_tcb cur = snp_tcb_split(r->current, product),
			      com = snp_tcb_split(r->committed, product),
			      lau = snp_tcb_split(r->launch, product),
			      rep = snp_tcb_split(r->reported, product);

	check_that(v, "snp.tcb.order",
		   tcb_at_least(&cur, &com) && tcb_at_least(&cur, &lau) && tcb_at_least(&cur, &rep),
		   "committed, launch and reported TCB do not exceed the current one");
	check_knob(v, "snp.tcb.provisional", tcb_equal(&cur, &com),
		   k->allow_provisional ? "allow_provisional" : NULL,
		   tcb_equal(&cur, &com) ? "the running firmware is committed"
					 : "the running firmware is provisional: its host may roll it back");
	if (!k->has_min_tcb)
		check_skip(v, "snp.tcb.minimum", "no minimum was asked for");
	else
		check_that(v, "snp.tcb.minimum",
			   tcb_at_least(&com, &k->min_tcb) && tcb_at_least(&lau, &k->min_tcb) &&
				   tcb_at_least(&rep, &k->min_tcb),
			   "committed, launch and reported TCB against the minimum, component by component");
}

static void check_guest(struct verify *v, const struct snp_report *r)
{
	const struct attest_knobs *k = &v->in->knobs;

	check_knob(v, "snp.debug", !(r->policy & SNP_POLICY_DEBUG), k->allow_debug ? "allow_debug" : NULL,
		   r->policy & SNP_POLICY_DEBUG ? "the guest's policy lets its host debug it"
						: "not debuggable");
	check_knob(v, "snp.migration", !(r->policy & SNP_POLICY_MIGRATE_MA),
		   k->allow_migration ? "allow_migration" : NULL,
		   r->policy & SNP_POLICY_MIGRATE_MA ? "the guest's policy admits a migration agent"
						     : "not migratable");
	check_that(v, "snp.vmpl", r->vmpl <= k->max_vmpl, "asked for at VMPL %u, at most %u", r->vmpl,
		   k->max_vmpl);
}

static void check_allowed_chip(struct verify *v, const struct snp_report *r)
{
	const struct attest_knobs *k = &v->in->knobs;
	const uint8_t *chip = r->bytes + 0x1a0;
	bool found = false;

	if (!k->chip_id_count) {
		check_skip(v, "snp.chip_id.allowed", "no list of chips was given");
		return;
	}
	for (size_t i = 0; i < k->chip_id_count; i++)
		if (k->chip_ids[i].size == 64 && bytes_equal(k->chip_ids[i].data, chip, 64))
			found = true;
	check_that(v, "snp.chip_id.allowed", found && !bytes_zero(chip, 64),
		   "the chip id against the list of allowed ones");
}

static void check_product(struct verify *v, const struct snp_report *r, enum snp_product product)
{
	const struct attest_knobs *k = &v->in->knobs;
	bool milan = product == SNP_MILAN && r->signer == SNP_VCEK;

	check_knob(v, "snp.product.trusted", !milan, k->allow_milan_vcek ? "allow_milan_vcek" : NULL, "%s",
		   milan ? "Milan's VCEK root seed has been extracted: anyone who has it can sign reports"
			 : "no break of this product's keys is known");
}

static void verify_with(struct verify *v, struct certs *set, const struct attest_bytes *evidence,
			bool check_report_data)
{
	struct snp_report r;
	struct snp_leaf leaf;
	enum snp_product product = SNP_MILAN;

	if (!snp_parse(v, evidence, &r) || !certs_load(v, set) || !find_leaf(v, set, &r, &leaf) ||
	    !find_product(v, &r, &leaf, &product))
		return;
	snp_claims(v, &r, product);
	if (certs_add_anchor(set, products[product].roots[0]) < 0 ||
	    certs_add_root(set, products[product].roots[r.signer == SNP_VCEK ? 1 : 2]) < 0) {
		check_fail(v, "snp.chain", "too many certificates");
		return;
	}
	check_keys(v, set, &r, &leaf, product);
	check_leaf(v, &r, &leaf, product);
	check_product(v, &r, product);
	check_tcb(v, &r, product);
	check_guest(v, &r);
	check_allowed_chip(v, &r);
	if (check_report_data)
		check_challenge(v, r.bytes + 0x50, 64, true);
}

void snp_verify_report(struct verify *v, const struct attest_bytes *evidence, bool check_report_data)
{
	struct certs set = {0};

	verify_with(v, &set, evidence, check_report_data);
	certs_free(&set);
}

void snp_verify(struct verify *v, const struct attest_bytes *evidence)
{
	snp_verify_report(v, evidence, true);
}
