/* vectors_pcs.c: Intel collateral out of recorded JSON. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/hex.h"
#include "tests/harness/vectors.h"

static const char *member(const json_t *j, const char *name)
{
	const char *s = json_string_value(json_object_get(j, name));

	if (!s)
		abort();
	return s;
}

static struct attest_bytes from_hex(const char *text)
{
	size_t size = strlen(text) / 2;
	uint8_t *p = malloc(size);

	if (!p || hex_decode(text, p, size) != (ssize_t)size)
		abort();
	return (struct attest_bytes){p, size};
}

static struct attest_bytes wrapped(const char *name, const char *object, const char *signature)
{
	size_t room = strlen(name) + strlen(object) + strlen(signature) + 32;
	char *p = malloc(room);

	if (!p)
		abort();
	return (struct attest_bytes){
		p, (size_t)snprintf(p, room, "{\"%s\":%s,\"signature\":\"%s\"}", name, object, signature)};
}

void input_add_pcs(struct vector_input *vi, const char *path)
{
	struct attest_bytes text = vector(path);
	json_t *j = json_loadb(text.data, text.size, 0, NULL);
	const char *chain = member(j, "pck_crl_issuer_chain"), *pcs = member(j, "tcb_info_issuer_chain");

	input_add(vi, ITEM_CERTS, (struct attest_bytes){chain, strlen(chain)});
	input_add(vi, ITEM_PCS_CHAIN, (struct attest_bytes){pcs, strlen(pcs)});
	input_add(vi, ITEM_CRL, from_hex(member(j, "root_ca_crl")));
	input_add(vi, ITEM_CRL, from_hex(member(j, "pck_crl")));
	input_add(vi, ITEM_TCB_INFO,
		  wrapped("tcbInfo", member(j, "tcb_info"), member(j, "tcb_info_signature")));
	input_add(vi, ITEM_QE_IDENTITY,
		  wrapped("enclaveIdentity", member(j, "qe_identity"), member(j, "qe_identity_signature")));
}
