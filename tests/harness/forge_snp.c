/* forge_snp.c: SNP reports under a test ARK. */
#include <string.h>

#include "platform/base/bytes.h"
#include "tests/harness/forge.h"

#define OID_AMD "1.3.6.1.4.1.3704.1."

static void svn_extension(X509 *cert, const char *oid, uint8_t value)
{
	const uint8_t der[] = {0x02, 0x01, value};

	forge_extension(cert, oid, der, sizeof(der));
}

static struct forged forge_vcek(const struct forged *ask, const uint8_t chip_id[64])
{
	struct forged f = forge_cert_begin("SEV-VCEK", "P-384", ask, false);

	svn_extension(f.cert, OID_AMD "1", 0);
	forge_extension(f.cert, OID_AMD "2", "\x16\x05Genoa", 7);
	svn_extension(f.cert, OID_AMD "3.1", 10);
	svn_extension(f.cert, OID_AMD "3.2", 1);
	svn_extension(f.cert, OID_AMD "3.3", 23);
	svn_extension(f.cert, OID_AMD "3.8", 84);
	forge_extension(f.cert, OID_AMD "4", chip_id, 64);
	forge_sign(&f, ask);
	return f;
}

void forge_snp_sign(struct forged_snp *s)
{
	memset(s->report + 0x2a0, 0, 144);
	forge_sig_raw(s->vcek.key, "SHA384", s->report, 0x2a0, s->report + 0x2a0, 72, true);
}

void forge_snp(struct forged_snp *s, const uint8_t report_data[64])
{
	const uint64_t tcb = 0x541700000000010aull; /* microcode 84, snp 23, tee 1, bootloader 10 */
	uint8_t *r = s->report;

	memset(s, 0, sizeof(*s));
	put_le32(r, 3);
	put_le32(r + 4, 7);
	put_le64(r + 8, 0x30000);
	put_le32(r + 0x34, 1);
	put_le64(r + 0x38, tcb);
	put_le64(r + 0x40, 1);
	memcpy(r + 0x50, report_data, 64);
	memset(r + 0x90, 0xaa, 48);
	memset(r + 0xc0, 0xbb, 32);
	put_le64(r + 0x180, tcb);
	r[0x188] = 0x19;
	r[0x189] = 0x11;
	memset(r + 0x1a0, 0x5c, 64);
	put_le64(r + 0x1e0, tcb);
	put_le64(r + 0x1f0, tcb);
	s->ark = forge_cert("ARK-Genoa", "P-256", NULL, true);
	s->ask = forge_cert("SEV-Genoa", "P-256", &s->ark, true);
	s->vcek = forge_vcek(&s->ask, r + 0x1a0);
	s->ark_der = forge_cert_der(s->ark.cert);
	s->ask_der = forge_cert_der(s->ask.cert);
	s->vcek_der = forge_cert_der(s->vcek.cert);
	s->crl = forge_crl(&s->ark, FORGE_NOW - 1000, FORGE_NOW + 1000, NULL);
	forge_snp_sign(s);
}
