/* rim.c: reference integrity manifests: SWID tags in XML with an enveloped XML signature (W3C XML
 * Signature 1.1). Only the one form that NVIDIA publishes is taken: the whole document, Canonical XML 1.1,
 * SHA-384, ECDSA P-384. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libxml/c14n.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <openssl/evp.h>

#include "cvm-host/attest/ecdsa.h"
#include "cvm-host/attest/gpu.h"
#include "cvm-host/hex.h"

#define NS_DSIG "http://www.w3.org/2000/09/xmldsig#"
#define C14N11	"http://www.w3.org/2006/12/xml-c14n11"

static bool is(const xmlNode *n, const char *ns, const char *name)
{
	return n->type == XML_ELEMENT_NODE && xmlStrcmp(n->name, (const xmlChar *)name) == 0 &&
	       (!ns || (n->ns && xmlStrcmp(n->ns->href, (const xmlChar *)ns) == 0));
}

/* The only child element of that name; NULL when there is none or more than one. */
static xmlNode *only(const xmlNode *parent, const char *ns, const char *name)
{
	xmlNode *found = NULL;

	for (xmlNode *n = parent ? parent->children : NULL; n; n = n->next)
		if (is(n, ns, name)) {
			if (found)
				return NULL;
			found = n;
		}
	return found;
}

static bool attribute_is(const xmlNode *n, const char *name, const char *want)
{
	xmlChar *value = n ? xmlGetNoNsProp(n, (const xmlChar *)name) : NULL;
	bool same = value && strcmp((const char *)value, want) == 0;

	xmlFree(value);
	return same;
}

/* Base64 in lines. malloc'ed; NULL when it is anything else. */
static uint8_t *base64_node(const xmlNode *n, size_t *size)
{
	xmlChar *text = n ? xmlNodeGetContent(n) : NULL;
	uint8_t *out = NULL;
	size_t len = 0;
	int got;

	if (!text)
		return NULL;
	for (const xmlChar *p = text; *p; p++)
		if (*p != '\n')
			text[len++] = *p;
	text[len] = 0;
	if (len && len % 4 == 0 && len < 65536 && (out = malloc(len))) {
		char *again = malloc(len + 1);

		got = EVP_DecodeBlock(out, text, (int)len);
		if (got > 0)
			got -= (text[len - 1] == '=') + (text[len - 2] == '=');
		/* the same text when encoded again: no free bits, no odd characters */
		if (got <= 0 || !again || EVP_EncodeBlock((uint8_t *)again, out, got) != (int)len ||
		    memcmp(again, text, len) != 0) {
			free(out);
			out = NULL;
		}
		free(again);
		*size = got > 0 ? (size_t)got : 0;
	}
	xmlFree(text);
	return out;
}

static bool fixed_base64(const xmlNode *n, uint8_t *out, size_t want)
{
	size_t size = 0;
	uint8_t *p = base64_node(n, &size);
	bool ok = p && size == want;

	if (ok)
		memcpy(out, p, want);
	free(p);
	return ok;
}

static int visible_below(void *top, xmlNode *node, xmlNode *parent)
{
	const xmlNode *n = node->type == XML_NAMESPACE_DECL ? parent : node;

	if (node->type == XML_ATTRIBUTE_NODE)
		n = parent;
	for (; n; n = n->parent)
		if (n == top)
			return 1;
	return 0;
}

static int canonical(xmlDoc *doc, xmlNode *top, unsigned char **out)
{
	xmlOutputBuffer *buf = xmlAllocOutputBuffer(NULL);
	int n = -1;

	*out = NULL;
	if (buf && xmlC14NExecute(doc, top ? visible_below : NULL, top, XML_C14N_1_1, NULL, 0, buf) >= 0) {
		n = (int)xmlOutputBufferGetSize(buf);
		*out = xmlStrndup(xmlOutputBufferGetContent(buf), n);
	}
	if (buf)
		xmlOutputBufferClose(buf);
	return *out ? n : -1;
}

static bool methods_known(const xmlNode *info)
{
	const xmlNode *ref = only(info, NS_DSIG, "Reference"), *list = only(ref, NS_DSIG, "Transforms"),
		      *first = NULL, *second = NULL;
	size_t count = 0;

	for (const xmlNode *n = list ? list->children : NULL; n; n = n->next) {
		if (n->type != XML_ELEMENT_NODE)
			continue;
		if (count == 0)
			first = n;
		else if (count == 1)
			second = n;
		count++;
	}
	return count == 2 && attribute_is(ref, "URI", "") &&
	       attribute_is(first, "Algorithm", NS_DSIG "enveloped-signature") &&
	       attribute_is(second, "Algorithm", C14N11) &&
	       attribute_is(only(info, NS_DSIG, "CanonicalizationMethod"), "Algorithm", C14N11) &&
	       attribute_is(only(info, NS_DSIG, "SignatureMethod"), "Algorithm",
			    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384") &&
	       attribute_is(only(ref, NS_DSIG, "DigestMethod"), "Algorithm",
			    "http://www.w3.org/2001/04/xmldsig-more#sha384");
}

static bool read_certs(const xmlNode *sig, struct xml_signed *out)
{
	const xmlNode *data = only(only(sig, NS_DSIG, "KeyInfo"), NS_DSIG, "X509Data");

	for (const xmlNode *n = data ? data->children : NULL; n; n = n->next) {
		size_t size = 0;
		uint8_t *der;

		if (!is(n, NS_DSIG, "X509Certificate"))
			continue;
		der = out->cert_count < CHAIN_MAX ? base64_node(n, &size) : NULL;
		if (!der)
			return false;
		out->cert[out->cert_count++] = (struct attest_bytes){der, size};
	}
	return out->cert_count > 0;
}

static bool read_signature(xmlDoc *doc, xmlNode *root, struct xml_signed *out)
{
	xmlNode *sig = only(root, NS_DSIG, "Signature"), *info = only(sig, NS_DSIG, "SignedInfo");
	unsigned char *text;
	int n;
	bool ok;

	if (!info || !methods_known(info) ||
	    !fixed_base64(only(only(info, NS_DSIG, "Reference"), NS_DSIG, "DigestValue"), out->said_digest,
			  SHA384_SIZE) ||
	    !fixed_base64(only(sig, NS_DSIG, "SignatureValue"), out->signature, 96) || !read_certs(sig, out))
		return false;
	out->signed_info_size = canonical(doc, info, &out->signed_info);
	if (out->signed_info_size <= 0)
		return false;
	xmlUnlinkNode(
		sig); /* the enveloped-signature transform; what is read from here on is what was signed */
	xmlFreeNode(sig);
	n = canonical(doc, NULL, &text);
	ok = n > 0 && sha384(text, (size_t)n, out->digest);
	xmlFree(text);
	return ok;
}

static bool read_resource(const xmlNode *n, struct rim *out)
{
	xmlChar *index = xmlGetNoNsProp(n, (const xmlChar *)"index");
	char *end = NULL;
	unsigned long i = index ? strtoul((const char *)index, &end, 10) : SPDM_BLOCKS_MAX;
	bool ok = index && *index && *end == 0 && i < SPDM_BLOCKS_MAX && out->entry[i].count == 0;

	xmlFree(index);
	if (!ok)
		return false;
	out->entry[i].active = attribute_is(n, "active", "True");
	for (const xmlAttr *a = n->properties; a; a = a->next) {
		xmlChar *value;

		if (xmlStrncmp(a->name, (const xmlChar *)"Hash", 4) != 0)
			continue;
		value = xmlNodeListGetString(n->doc, a->children, 1);
		ok = value && out->entry[i].count < RIM_ALTERNATIVES &&
		     hex_decode((const char *)value, out->entry[i].value[out->entry[i].count], SHA384_SIZE) ==
			     (ssize_t)SHA384_SIZE;
		xmlFree(value);
		if (!ok)
			return false;
		out->entry[i].count++;
	}
	return out->entry[i].count > 0;
}

static bool read_payload(const xmlNode *root, struct rim *out)
{
	const xmlNode *meta = only(root, NULL, "Meta"), *payload = only(root, NULL, "Payload");
	xmlChar *version = meta ? xmlGetNoNsProp(meta, (const xmlChar *)"colloquialVersion") : NULL;
	size_t len = version ? strlen((const char *)version) : 0;
	bool ok = len > 0 && len < sizeof(out->version) && payload;

	if (ok)
		memcpy(out->version, version, len + 1);
	xmlFree(version);
	for (const xmlNode *n = ok ? payload->children : NULL; ok && n; n = n->next)
		if (is(n, NULL, "Resource") && attribute_is(n, "type", "Measurement"))
			ok = read_resource(n, out);
	return ok;
}

/* What is wrong is in the result; libxml2 must not write it anywhere. */
static void silent(void *ctx, xmlError *error)
{
	(void)ctx, (void)error;
}

int rim_parse(const struct attest_bytes *b, struct xml_signed *sig, struct rim *out)
{
	const int options = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING;
	xmlStructuredErrorFunc before = xmlStructuredError; /* the thread's */
	void *before_ctx = xmlStructuredErrorContext;
	xmlNode *root;
	xmlDoc *doc;
	int ret = -EINVAL;

	xmlSetStructuredErrorFunc(NULL, silent);
	doc = b->size <= 1u << 20 ? xmlReadMemory(b->data, (int)b->size, NULL, NULL, options) : NULL;
	root = doc ? xmlDocGetRootElement(doc) : NULL;
	memset(sig, 0, sizeof(*sig));
	memset(out, 0, sizeof(*out));
	/* no document type: nothing to expand, no attributes by default */
	if (root && !doc->intSubset && !doc->extSubset && is(root, NULL, "SoftwareIdentity") &&
	    read_signature(doc, root, sig) && read_payload(root, out))
		ret = 0;
	xmlFreeDoc(doc);
	xmlSetStructuredErrorFunc(before_ctx, before);
	return ret;
}

void rim_signed_free(struct xml_signed *sig)
{
	for (size_t i = 0; i < sig->cert_count; i++)
		free((void *)sig->cert[i].data);
	xmlFree(sig->signed_info);
	memset(sig, 0, sizeof(*sig));
}

static bool check_signed(struct verify *v, const struct xml_signed *sig, struct certs *set)
{
	struct chain chain;
	size_t leaf = 0;
	bool ok;

	for (size_t i = 0; i < sig->cert_count; i++) {
		size_t at = 0;

		if (certs_add(set, sig->cert[i].data, sig->cert[i].size, &at) < 0)
			return check_fail(v, "rim.chain", "a certificate of the manifest is malformed");
		if (i == 0)
			leaf = at;
	}
	if (certs_add_anchor(set, ROOT(nvidia_rim)) < 0 ||
	    !chain_verify(v, "rim.chain", set, set->cert[leaf], &chain) || !certs_all_good(v, set))
		return false;
	if (!chain_check_ocsp(v, "rim.ocsp", set, &chain, 0, chain.count - 2))
		return false;
	ok = memcmp(sig->digest, sig->said_digest, SHA384_SIZE) == 0 &&
	     ecdsa_verify_raw(X509_get0_pubkey(chain.cert[0]), CURVE_P384, sig->signature, 48, false,
			      sig->signed_info, (size_t)sig->signed_info_size);
	return check_that(v, "rim.signature", ok, "%s",
			  ok ? "the manifest is signed by NVIDIA" : "not the signature of this manifest");
}

bool rim_read(struct verify *v, const struct attest_bytes *b, struct rim *out)
{
	struct certs set = {0};
	struct xml_signed sig;
	bool ok = rim_parse(b, &sig, out) == 0;

	if (check_that(v, "rim.format", ok, "a signed SWID tag"))
		ok = check_signed(v, &sig, &set);
	rim_signed_free(&sig);
	certs_free(&set);
	return ok;
}
