/* gpu.c: is this measurement report by a genuine NVIDIA device, of the firmware that its certificate names, and
 * do the measurements equal the reference values? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/attest/ecdsa.h"
#include "cvm-host/attest/gpu.h"
#include "platform/base/bytes.h"

enum { OPAQUE_DRIVER = 3, OPAQUE_VBIOS = 6, OPAQUE_NVDEC0 = 11, OPAQUE_FWID = 20 };
#define NVDEC0_INDEX   36u  /* block that is not comparable while the decoder is off */
#define NVDEC0_ENABLED 0xaa /* 0x55: disabled */
/* TCG DICE TcbInfo; Blackwell's certificates have it one arc further down. */
#define OID_TCB_INFO	 "2.23.133.5.4.1"
#define OID_TCB_INFO_NEW "2.23.133.5.4.1.1"

struct gpu {
	struct spdm s;
	struct certs set;
	struct chain chain;
	char driver[64], vbios[64];
};

static const char *architecture(X509 *leaf)
{
	char cn[128];
	int n = X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName, cn, sizeof(cn));

	if (n < 5)
		return "unknown";
	return strncmp(cn, "GH1", 3) == 0   ? "HOPPER"
	       : strncmp(cn, "GB", 2) == 0  ? "BLACKWELL"
	       : strncmp(cn, "LS_", 3) == 0 ? "NVSWITCH"
					    : "unknown";
}

static bool check_chain(struct verify *v, struct gpu *g)
{
	int leaf = -1;

	if (!certs_load(v, &g->set))
		return false;
	/* the leaf is the one that issued none of the others */
	for (size_t i = 0; i < g->set.cert_count; i++) {
		bool issuer = false;

		for (size_t k = 0; k < g->set.cert_count; k++)
			if (X509_NAME_cmp(X509_get_subject_name(g->set.cert[i]),
					  X509_get_issuer_name(g->set.cert[k])) == 0)
				issuer = true;
		if (!issuer && leaf >= 0)
			return check_fail(v, "gpu.chain", "certificates of more than one device were given");
		if (!issuer)
			leaf = (int)i;
	}
	if (leaf < 0 || certs_add_anchor(&g->set, ROOT(nvidia_device)) < 0)
		return check_fail(v, "gpu.chain", "no device certificate was given");
	if (!chain_verify(v, "gpu.chain", &g->set, g->set.cert[leaf], &g->chain))
		return false;
	if (g->chain.count != 5)
		return check_fail(v, "gpu.chain", "a device's chain has 5 certificates, not %zu",
				  g->chain.count);
	chain_claim_root(v, &g->set, &g->chain);
	if (!chain_check_ocsp(v, "gpu.ocsp", &g->set, &g->chain, 0, g->chain.count - 2))
		return false;
	return certs_all_good(v, &g->set);
}

/* The n-th FWID of DICE TCB info: SEQUENCE { SHA-384, OCTET STRING }. */
static const uint8_t *fwid_at(const uint8_t *p, size_t size, size_t n)
{
	static const uint8_t head[] = {0x06, 0x09, 0x60, 0x86, 0x48, 0x01,	 0x65,
				       0x03, 0x04, 0x02, 0x02, 0x04, SHA384_SIZE};

	for (size_t i = 0; i + sizeof(head) + SHA384_SIZE <= size; i++)
		if (memcmp(p + i, head, sizeof(head)) == 0 && n-- == 0)
			return p + i + sizeof(head);
	return NULL;
}

/* The leaf names its firmware (Blackwell's also what follows it); newer reports repeat the identity. */
static bool check_fwid(struct verify *v, const struct gpu *g)
{
	size_t size = 0, said = 0;
	const uint8_t *ext = cert_extension(g->chain.cert[0], OID_TCB_INFO, &size), *opaque, *fwid;

	if (!ext)
		ext = cert_extension(g->chain.cert[0], OID_TCB_INFO_NEW, &size);
	fwid = ext ? fwid_at(ext, size, 0) : NULL;
	if (!fwid)
		return check_fail(v, "gpu.fwid", "the device certificate names no firmware");
	opaque = spdm_opaque(&g->s, OPAQUE_FWID, &said);
	if (!opaque) {
		claim_bytes(v, "gpu.fwid", fwid, SHA384_SIZE);
		check_skip(v, "gpu.fwid", "the report names no firmware identity");
		return true;
	}
	for (size_t n = 1; fwid && (said != SHA384_SIZE || memcmp(opaque, fwid, SHA384_SIZE) != 0); n++)
		fwid = fwid_at(ext, size, n);
	claim_bytes(v, "gpu.fwid", opaque, said);
	return check_that(v, "gpu.fwid", fwid && !bytes_zero(fwid, SHA384_SIZE),
			  "the report's firmware identity is one that the certificate names");
}

static void versions(struct verify *v, struct gpu *g)
{
	size_t n = 0;
	const uint8_t *p = spdm_opaque(&g->s, OPAQUE_DRIVER, &n);

	if (p && n < sizeof(g->driver)) {
		memcpy(g->driver, p, n);
		claim_text(v, "gpu.driver_version", g->driver, strlen(g->driver));
	}
	p = spdm_opaque(&g->s, OPAQUE_VBIOS, &n);
	if (p && n == 8) { /* GPUs: four bytes little-endian and one; switches: text */
		snprintf(g->vbios, sizeof(g->vbios), "%02X.%02X.%02X.%02X.%02X", p[3], p[2], p[1], p[0], p[4]);
	} else if (p && n < sizeof(g->vbios)) {
		memcpy(g->vbios, p, n);
	}
	if (p)
		claim_text(v, "gpu.vbios_version", g->vbios, strlen(g->vbios));
}

static bool matches(const struct rim *rim, size_t i, const uint8_t *value)
{
	for (size_t n = 0; n < rim->entry[i].count; n++)
		if (memcmp(rim->entry[i].value[n], value, SHA384_SIZE) == 0)
			return true;
	return false;
}

/* Every active reference value must be met; two manifests may not both claim an index. */
static void compare(struct verify *v, const struct gpu *g, const struct rim *const rims[2], size_t count)
{
	size_t compared = 0, matched = 0, n = 0, first_bad = 0;
	const uint8_t *nvdec = spdm_opaque(&g->s, OPAQUE_NVDEC0, &n);
	bool decoder = nvdec && n == 1 && *nvdec == NVDEC0_ENABLED, twice = false;

	for (size_t i = 0; i < SPDM_BLOCKS_MAX; i++) {
		bool seen = false;

		for (size_t k = 0; k < count; k++) {
			const uint8_t *value = g->s.measurement[i + 1];

			if (!rims[k]->entry[i].active || (i + 1 == NVDEC0_INDEX && !decoder))
				continue;
			twice |= seen;
			seen = true;
			compared++;
			if (value && matches(rims[k], i, value))
				matched++;
			else if (!first_bad)
				first_bad = i + 1;
		}
	}
	claim_uint(v, "gpu.measurements_compared", compared);
	claim_uint(v, "gpu.measurements_matched", matched);
	if (twice)
		check_fail(v, "gpu.measurements", "driver and VBIOS manifest claim the same measurement");
	else if (first_bad)
		check_fail(v, "gpu.measurements",
			   "%zu of %zu match; measurement %zu is the first that does not", matched, compared,
			   first_bad);
	else
		check_that(v, "gpu.measurements", compared > 0, "all %zu active reference values are met",
			   compared);
}

/* One manifest must be the driver's, one the VBIOS's, by their versions; a switch has only the latter. */
static void check_rims(struct verify *v, const struct gpu *g)
{
	struct rim *rim = calloc(2, sizeof(*rim));
	const struct rim *both[2] = {rim, rim + 1};
	bool driver = g->driver[0] == 0, vbios = false;
	size_t count = 0;

	if (!rim) {
		v->oom = true;
		return;
	}
	for (; item_find(v->in, ITEM_RIM, count); count++) {
		if (count == 2) {
			check_fail(v, "gpu.rim", "more than two manifests");
			goto out;
		}
		if (!rim_read(v, item_find(v->in, ITEM_RIM, count), &rim[count]))
			goto out;
		if (strcmp(rim[count].version, g->vbios) == 0) {
			vbios = true;
		} else if (strcmp(rim[count].version, g->driver) == 0) {
			driver = true;
		} else {
			check_fail(v, "gpu.rim",
				   "a manifest of version %s is neither the driver's (%s) nor the VBIOS's (%s)",
				   rim[count].version, g->driver, g->vbios);
			goto out;
		}
	}
	if (count == 0)
		check_knob(v, "gpu.rim", false,
			   v->in->knobs.allow_no_measurement ? "allow_no_measurement" : NULL,
			   "no reference manifests were given");
	else if (check_that(v, "gpu.rim", driver && vbios, "manifests of driver and VBIOS"))
		compare(v, g, both, count);
out:
	free(rim);
}

static void verify_with(struct verify *v, struct gpu *g, const struct attest_bytes *evidence)
{
	const char *arch;
	const ASN1_INTEGER *serial;
	bool ok;

	if (!check_that(v, "gpu.format", spdm_parse(evidence, &g->s) == 0, "SPDM 1.1 measurements") ||
	    !check_chain(v, g))
		return;
	arch = architecture(g->chain.cert[0]);
	claim_text(v, "gpu.arch", arch, strlen(arch));
	serial = X509_get0_serialNumber(g->chain.cert[0]);
	claim_bytes(v, "gpu.serial", ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial));
	claim_bytes(v, "gpu.nonce", g->s.nonce, 32);
	versions(v, g);
	ok = ecdsa_verify_raw(X509_get0_pubkey(g->chain.cert[0]), CURVE_P384, g->s.signature, 48, false,
			      g->s.start, g->s.signed_size);
	if (!check_that(v, "gpu.signature", ok, "%s", ok ? "by the device's key" : "not by the device's key"))
		return;
	check_fwid(v, g);
	check_challenge(v, g->s.nonce, 32, false);
	check_rims(v, g);
}

void gpu_verify(struct verify *v, const struct attest_bytes *evidence)
{
	struct gpu g = {0};

	verify_with(v, &g, evidence);
	certs_free(&g.set);
}
