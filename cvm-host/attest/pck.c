/* pck.c: the extension of Intel's PCK certificates. */
#include <errno.h>
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/objects.h>

#include "cvm-host/attest/intel.h"

#define OID_SGX "1.2.840.113741.1.13.1"

enum { F_PPID = 1, F_TCB = 2, F_PCEID = 4, F_FMSPC = 8, F_PIID = 16, F_CPUSVN = 32, F_PCESVN = 64 };

static ASN1_SEQUENCE_ANY *sequence(const uint8_t *p, size_t size)
{
	const uint8_t *end = p + size;
	ASN1_SEQUENCE_ANY *s = d2i_ASN1_SEQUENCE_ANY(NULL, &p, (long)size);

	if (s && p != end) {
		sk_ASN1_TYPE_pop_free(s, ASN1_TYPE_free);
		s = NULL;
	}
	ERR_clear_error();
	return s;
}

static ASN1_SEQUENCE_ANY *type_sequence(const ASN1_TYPE *t)
{
	if (!t || t->type != V_ASN1_SEQUENCE)
		return NULL;
	return sequence(t->value.sequence->data, (size_t)t->value.sequence->length);
}

static bool octets(const ASN1_TYPE *t, uint8_t *out, int size)
{
	if (t->type != V_ASN1_OCTET_STRING || t->value.octet_string->length != size)
		return false;
	memcpy(out, t->value.octet_string->data, (size_t)size);
	return true;
}

static bool small(const ASN1_TYPE *t, int64_t max, int64_t *out)
{
	bool ok = t->type == V_ASN1_INTEGER && ASN1_INTEGER_get_int64(out, t->value.integer) == 1 &&
		  *out >= 0 && *out <= max;

	ERR_clear_error();
	return ok;
}

/* A sequence of { OID, value } pairs, each given to `one` with the OID's part after `prefix`. */
static bool pairs(ASN1_SEQUENCE_ANY *seq, const char *prefix, struct pck *out, unsigned int *seen,
		  bool (*one)(struct pck *, unsigned int *, const char *, const ASN1_TYPE *))
{
	bool ok = seq != NULL;

	for (int i = 0; ok && i < sk_ASN1_TYPE_num(seq); i++) {
		ASN1_SEQUENCE_ANY *pair = type_sequence(sk_ASN1_TYPE_value(seq, i));
		char oid[80];

		ok = pair && sk_ASN1_TYPE_num(pair) == 2 &&
		     sk_ASN1_TYPE_value(pair, 0)->type == V_ASN1_OBJECT &&
		     OBJ_obj2txt(oid, sizeof(oid), sk_ASN1_TYPE_value(pair, 0)->value.object, 1) <
			     (int)sizeof(oid) &&
		     strncmp(oid, prefix, strlen(prefix)) == 0 &&
		     one(out, seen, oid + strlen(prefix), sk_ASN1_TYPE_value(pair, 1));
		sk_ASN1_TYPE_pop_free(pair, ASN1_TYPE_free);
	}
	sk_ASN1_TYPE_pop_free(seq, ASN1_TYPE_free);
	return ok;
}

static bool once(unsigned int *seen, unsigned int bit)
{
	bool first = !(*seen & bit);

	*seen |= bit;
	return first;
}

/* .1 to .16 component versions, .17 PCESVN, .18 CPUSVN */
static bool tcb_field(struct pck *out, unsigned int *seen, const char *oid, const ASN1_TYPE *value)
{
	int64_t n;

	if (strcmp(oid, "18") == 0)
		return once(seen, F_CPUSVN) && octets(value, out->cpu_svn, 16);
	if (strcmp(oid, "17") == 0) {
		if (!once(seen, F_PCESVN) || !small(value, UINT16_MAX, &n))
			return false;
		out->pce_svn = (uint16_t)n;
		return true;
	}
	for (unsigned int i = 1; i <= TCB_COMPONENTS; i++) {
		char want[3] = {(char)('0' + i), 0, 0};

		if (i >= 10) {
			want[0] = '1';
			want[1] = (char)('0' + i - 10);
		}
		if (strcmp(oid, want) != 0)
			continue;
		if (!once(seen, 1u << (8 + i)) || !small(value, UINT8_MAX, &n))
			return false;
		out->svn[i - 1] = (uint8_t)n;
		return true;
	}
	return false;
}

static bool field(struct pck *out, unsigned int *seen, const char *oid, const ASN1_TYPE *value)
{
	if (strcmp(oid, "1") == 0)
		return once(seen, F_PPID) && octets(value, out->ppid, 16);
	if (strcmp(oid, "2") == 0)
		return once(seen, F_TCB) && pairs(type_sequence(value), OID_SGX ".2.", out, seen, tcb_field);
	if (strcmp(oid, "3") == 0)
		return once(seen, F_PCEID) && octets(value, out->pceid, 2);
	if (strcmp(oid, "4") == 0)
		return once(seen, F_FMSPC) && octets(value, out->fmspc, 6);
	if (strcmp(oid, "6") == 0) {
		out->has_piid = true;
		return once(seen, F_PIID) && octets(value, out->piid, 16);
	}
	return true; /* SGX type, configuration: nothing that decides here */
}

int pck_parse(X509 *cert, struct pck *out)
{
	const unsigned int all = F_PPID | F_TCB | F_PCEID | F_FMSPC | F_CPUSVN | F_PCESVN | 0xffffu << 9;
	unsigned int seen = 0;
	size_t size = 0;
	const uint8_t *ext = cert_extension(cert, OID_SGX, &size);

	memset(out, 0, sizeof(*out));
	if (!ext || !pairs(sequence(ext, size), OID_SGX ".", out, &seen, field) || (seen & all) != all)
		return -EINVAL;
	return 0;
}
