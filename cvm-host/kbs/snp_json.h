/* snp_json.h: the JSON form in which CoCo's guests send SEV-SNP evidence, back to the bytes that the processor
 * signed: the report's fields by name (virtee/sev's serialisation) and the certificate table. Pure. */
#pragma once

#include "cvm-host/kbs/json.h"

/* The 0x4A0 bytes of the report. -EINVAL names the field. */
MUST_CHECK int snp_json_report(const json_t *evidence, struct blob *out, struct err *e);
/* PEM of all certificates in cert_chain; empty when there are none. */
MUST_CHECK int snp_json_certs(const json_t *evidence, struct blob *out, struct err *e);
