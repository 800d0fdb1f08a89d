/* attest_parsers_fuzz.c: the parsers that sit behind signatures, where the whole verifier's fuzzing can't get:
 * event logs, manifests, TPM quotes, SPDM, COSE, extensions of certificates, firmware and kernel images. The
 * first byte picks one. */
#include <stdint.h>
#include <stdlib.h>

#include "cvm-host/attest/cose.h"
#include "cvm-host/attest/eventlog.h"
#include "cvm-host/attest/gpu.h"
#include "cvm-host/attest/intel.h"
#include "cvm-host/attest/snp.h"
#include "cvm-host/attest/tpm.h"
#include "cvm-host/measure/measure.h"
#include "cvm-host/measure/tdx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_rim(const struct attest_bytes *b)
{
	struct rim *rim = malloc(sizeof(*rim));
	struct xml_signed sig;

	if (rim && rim_parse(b, &sig, rim) == 0 && rim->version[0] == 0)
		abort();
	if (rim)
		rim_signed_free(&sig);
	free(rim);
}

static void fuzz_cert(const struct attest_bytes *b)
{
	struct certs set = {0};
	struct snp_leaf leaf;
	struct pck pck;

	if (certs_add(&set, b->data, b->size, NULL) == 0) {
		if (snp_leaf_parse(set.cert[0], SNP_VCEK, &leaf) == 0 && leaf.hwid_size != 8 &&
		    leaf.hwid_size != 64)
			abort();
		if (pck_parse(set.cert[0], &pck) == 0 && pck.pce_svn == 0xdead)
			return;
	}
	certs_free(&set);
}

static void fuzz_cose(const struct attest_bytes *b)
{
	struct cose_sign1 s;

	if (cose_parse(b, &s) == 0)
		cose_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct attest_bytes b;
	struct registers *regs;
	struct ovmf_info info;
	struct tpm_quote q;
	struct spdm s;
	uint8_t digest[48];
	EVP_PKEY *k;

	if (size < 2)
		return 0;
	b = (struct attest_bytes){data + 1, size - 1};
	switch (data[0] % 8) {
	case 0:
		regs = malloc(sizeof(*regs));
		if (regs && eventlog_replay(b.data, b.size, TPM_SHA384, regs) == -1)
			abort();
		free(regs);
		break;
	case 1:
		fuzz_rim(&b);
		break;
	case 2:
		if (tpm_quote_parse(&b, &q) == 0 && !q.digest.data)
			abort();
		break;
	case 3:
		if (spdm_parse(&b, &s) == 0 && s.signed_size + 96 > b.size)
			abort();
		break;
	case 4:
		fuzz_cose(&b);
		break;
	case 5:
		fuzz_cert(&b);
		break;
	case 6:
		if (tdx_mrtd(b.data, b.size, MRTD_TWO_PASS, digest) == 0 && digest[0] == 0 && digest[1] == 0 &&
		    digest[2] == 0)
			return 0;
		if (authenticode(b.data, b.size, 48, digest) == -1)
			abort();
		if (ovmf_parse(b.data, b.size, &info) == 0 && info.section_count > MEASURE_SECTIONS_MAX)
			abort();
		break;
	case 7:
		k = tpm_read_ak(&b);
		EVP_PKEY_free(k);
		break;
	}
	return 0;
}
