/* snp_report.c: the report's bytes: format, reserved fields, claims. No cryptography. */
#include <stdio.h>

#include "cvm-host/attest/snp.h"
#include "platform/base/bytes.h"

/* Bytes that must be zero, by version of the report. Between 2A0 and the end there is only the signature. */
static const struct {
	uint32_t from_version, to_version;
	size_t begin, end;
} reserved[] = {
	{2, 5, 0x4c, 0x50},
	{2, 2, 0x188, 0x1a0},
	{3, 5, 0x18b, 0x1a0},
	{2, 5, 0x1eb, 0x1ec},
	{2, 5, 0x1ef, 0x1f0},
	{2, 4, 0x1f8, 0x2a0},
	{5, 5, 0x208, 0x2a0},
	{2, 5, 0x330, 0x4a0},
	{2, 5, 0x2a0 + 48, 0x2a0 + 72},
	{2, 5, 0x2e8 + 48, 0x2e8 + 72}, /* the high bytes of R and S of a P-384 signature */
};

static bool reserved_zero(struct verify *v, const uint8_t *p, uint32_t version)
{
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (version >= reserved[i].from_version && version <= reserved[i].to_version &&
		    !bytes_zero(p + reserved[i].begin, reserved[i].end - reserved[i].begin))
			return check_fail(v, "snp.format", "reserved bytes 0x%zx to 0x%zx are not zero",
					  reserved[i].begin, reserved[i].end - 1);
	return true;
}

bool snp_parse(struct verify *v, const struct attest_bytes *b, struct snp_report *out)
{
	const uint8_t *p = b->data;
	uint32_t flags;

	if (b->size != SNP_REPORT_SIZE)
		return check_fail(v, "snp.format", "%zu bytes are no report (%u)", b->size, SNP_REPORT_SIZE);
	*out = (struct snp_report){.bytes = p, .version = get_le32(p)};
	if (out->version < 2 || out->version > 5)
		return check_fail(v, "snp.format", "version %u is not known", out->version);
	if (!reserved_zero(v, p, out->version))
		return false;
	out->policy = get_le64(p + 0x08);
	if ((out->policy & ~SNP_POLICY_KNOWN) || !(out->policy & SNP_POLICY_ONE))
		return check_fail(v, "snp.format", "guest policy 0x%llx has reserved bits wrong",
				  (unsigned long long)out->policy);
	out->vmpl = get_le32(p + 0x30);
	if (get_le32(p + 0x34) != 1)
		return check_fail(v, "snp.format", "signature algorithm %u is not ECDSA P-384 with SHA-384",
				  get_le32(p + 0x34));
	flags = get_le32(p + 0x48);
	if (flags >> 5 || (flags >> 2 & 7) > SNP_VLEK)
		return check_fail(v, "snp.format", "signed by no key that is known (flags 0x%x)", flags);
	out->author_key = flags & 1;
	out->chip_key_masked = flags & 2;
	out->signer = (enum snp_signer)(flags >> 2 & 7);
	out->has_cpuid = out->version >= 3;
	out->family = p[0x188];
	out->model = p[0x189];
	out->current = get_le64(p + 0x38);
	out->reported = get_le64(p + 0x180);
	out->committed = get_le64(p + 0x1e0);
	out->launch = get_le64(p + 0x1f0);
	return check_that(v, "snp.format", true, "version %u, reserved bytes zero", out->version);
}

struct attest_snp_tcb snp_tcb_split(uint64_t tcb, enum snp_product product)
{
	uint8_t b[8];

	put_le64(b, tcb);
	if (product == SNP_TURIN)
		return (struct attest_snp_tcb){
			.fmc = b[0], .bootloader = b[1], .tee = b[2], .snp = b[3], .microcode = b[7]};
	return (struct attest_snp_tcb){.bootloader = b[0], .tee = b[1], .snp = b[6], .microcode = b[7]};
}

const char *snp_product_name(enum snp_product product)
{
	static const char *const names[SNP_PRODUCT_COUNT] = {"Milan", "Genoa", "Turin"};

	return product < SNP_PRODUCT_COUNT ? names[product] : "unknown";
}

static void tcb_claims(struct verify *v, const char *which, uint64_t tcb, enum snp_product product)
{
	struct attest_snp_tcb t = snp_tcb_split(tcb, product);
	const struct {
		const char *name;
		uint8_t value;
	} parts[] = {
		{"bootloader", t.bootloader}, {"tee", t.tee}, {"snp", t.snp},
		{"microcode", t.microcode},   {"fmc", t.fmc},
	};
	char name[48];

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (i == 4 && product != SNP_TURIN)
			continue;
		snprintf(name, sizeof(name), "snp.tcb.%s.%s", which, parts[i].name);
		claim_uint(v, name, parts[i].value);
	}
}

static void bit_claims(struct verify *v, uint64_t policy, uint64_t platform)
{
	static const struct {
		const char *name;
		int bit;
	} p[] = {{"snp.policy.debug", 19},
		 {"snp.policy.migrate_ma", 18},
		 {"snp.policy.smt", 16},
		 {"snp.policy.single_socket", 20},
		 {"snp.policy.cxl", 21},
		 {"snp.policy.aes256_xts", 22},
		 {"snp.policy.rapl_disabled", 23},
		 {"snp.policy.ciphertext_hiding", 24},
		 {"snp.policy.page_swap_disabled", 25}},
	  info[] = {{"snp.platform.smt", 0},
		    {"snp.platform.tsme", 1},
		    {"snp.platform.ecc", 2},
		    {"snp.platform.rapl_disabled", 3},
		    {"snp.platform.ciphertext_hiding", 4},
		    {"snp.platform.alias_check", 5},
		    {"snp.platform.tio", 7}};

	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		claim_bool(v, p[i].name, policy >> p[i].bit & 1);
	for (size_t i = 0; i < ARRAY_SIZE(info); i++)
		claim_bool(v, info[i].name, platform >> info[i].bit & 1);
}

static void firmware_claim(struct verify *v, const char *name, const uint8_t *p)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%u.%u.%u", p[2], p[1],
			 p[0]); /* build, minor, major in the report */

	claim_text(v, name, text, (size_t)n);
}

void snp_claims(struct verify *v, const struct snp_report *r, enum snp_product product)
{
	static const struct {
		const char *name;
		uint16_t at, size;
	} fields[] = {
		{"snp.measurement", 0x90, 48},	      {"snp.host_data", 0xc0, 32},
		{"snp.report_data", 0x50, 64},	      {"snp.family_id", 0x10, 16},
		{"snp.image_id", 0x20, 16},	      {"snp.id_key_digest", 0xe0, 48},
		{"snp.author_key_digest", 0x110, 48}, {"snp.report_id", 0x140, 32},
		{"snp.report_id_ma", 0x160, 32},      {"snp.chip_id", 0x1a0, 64},
	};
	const char *product_name = snp_product_name(product);

	claim_uint(v, "snp.version", r->version);
	claim_text(v, "snp.product", product_name, 5);
	claim_text(v, "snp.signer", r->signer == SNP_VCEK ? "VCEK" : "VLEK", 4);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		claim_bytes(v, fields[i].name, r->bytes + fields[i].at, fields[i].size);
	claim_uint(v, "snp.guest_svn", get_le32(r->bytes + 4));
	claim_uint(v, "snp.vmpl", r->vmpl);
	claim_bool(v, "snp.author_key_enabled", r->author_key);
	claim_bool(v, "snp.chip_key_masked", r->chip_key_masked);
	claim_uint(v, "snp.policy", r->policy);
	claim_uint(v, "snp.platform_info", get_le64(r->bytes + 0x40));
	bit_claims(v, r->policy, get_le64(r->bytes + 0x40));
	tcb_claims(v, "current", r->current, product);
	tcb_claims(v, "committed", r->committed, product);
	tcb_claims(v, "launch", r->launch, product);
	tcb_claims(v, "reported", r->reported, product);
	firmware_claim(v, "snp.firmware.current", r->bytes + 0x1e8);
	firmware_claim(v, "snp.firmware.committed", r->bytes + 0x1ec);
	if (r->version >= 5) {
		claim_uint(v, "snp.mitigations.launch", get_le64(r->bytes + 0x1f8));
		claim_uint(v, "snp.mitigations.current", get_le64(r->bytes + 0x200));
	}
}
