/* snp_leaf.c: AMD's extensions in VCEK and VLEK certificates. */
#include <errno.h>
#include <string.h>

#include "cvm-host/attest/snp.h"

#define OID_AMD "1.3.6.1.4.1.3704.1."

/* DER INTEGER or IA5String of short form: its content. */
static const uint8_t *content(const uint8_t *p, size_t size, uint8_t tag, size_t *len)
{
	if (!p || size < 2 || p[0] != tag || p[1] >= 0x80 || size != 2u + p[1])
		return NULL;
	*len = p[1];
	return p + 2;
}

/* A security version: INTEGER of 0..255. */
static bool svn(X509 *cert, const char *oid, uint8_t *out)
{
	size_t size = 0, len = 0;
	const uint8_t *ext = cert_extension(cert, oid, &size), *p = content(ext, size, 0x02, &len);

	if (!p || len == 0 || len > 2 || (len == 2 && (p[0] != 0 || p[1] < 0x80)) || (len == 1 && p[0] >= 0x80))
		return false;
	*out = p[len - 1];
	return true;
}

static bool product_name(struct snp_leaf *leaf)
{
	size_t size = 0, len = 0;
	const uint8_t *ext = cert_extension(leaf->cert, OID_AMD "2", &size),
		      *p = content(ext, size, 0x16, &len);

	if (!p || len == 0 || len >= sizeof(leaf->product))
		return false;
	memcpy(leaf->product, p, len);
	leaf->product[len] = 0;
	return true;
}

/* The hardware id: raw bytes in older certificates, a DER OCTET STRING in newer ones. */
static bool hwid(struct snp_leaf *leaf)
{
	size_t size = 0, len = 0;
	const uint8_t *ext = cert_extension(leaf->cert, OID_AMD "4", &size), *p;

	if (!ext)
		return false;
	p = content(ext, size, 0x04, &len);
	if (p && (len == 8 || len == 64)) {
		leaf->hwid = p;
		leaf->hwid_size = len;
		return true;
	}
	leaf->hwid = ext;
	leaf->hwid_size = size;
	return size == 8 || size == 64;
}

int snp_leaf_parse(X509 *cert, enum snp_signer signer, struct snp_leaf *out)
{
	uint8_t version, unused;
	size_t size = 0;

	*out = (struct snp_leaf){.cert = cert};
	if (!svn(cert, OID_AMD "1", &version) || version > 1 || !product_name(out))
		return -EINVAL;
	if (!svn(cert, OID_AMD "3.1", &out->tcb.bootloader) || !svn(cert, OID_AMD "3.2", &out->tcb.tee) ||
	    !svn(cert, OID_AMD "3.3", &out->tcb.snp) || !svn(cert, OID_AMD "3.8", &out->tcb.microcode))
		return -EINVAL;
	if (cert_extension(cert, OID_AMD "3.9", &size)) {
		out->has_fmc = true;
		if (!svn(cert, OID_AMD "3.9", &out->tcb.fmc))
			return -EINVAL;
	}
	for (char n = '4'; n <= '7'; n++) { /* components without a meaning yet: zero */
		char oid[] = OID_AMD "3.?";

		oid[sizeof(oid) - 2] = n;
		if (cert_extension(cert, oid, &size) && (!svn(cert, oid, &unused) || unused != 0))
			return -EINVAL;
	}
	if (signer == SNP_VCEK)
		return hwid(out) ? 0 : -EINVAL;
	out->csp = cert_extension(cert, OID_AMD "5", &size);
	out->csp = content(out->csp, size, 0x16, &out->csp_size);
	return out->csp && out->csp_size ? 0 : -EINVAL;
}
