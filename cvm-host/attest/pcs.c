/* pcs.c: what TCB info and QE identity say of a platform: the first level that it reaches, in the order given.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cvm-host/attest/intel.h"
#include "cvm-host/hex.h"
#include "platform/base/bytes.h"

void tcb_merge(struct tcb_state *into, const struct tcb_state *other)
{
	into->sw_hardening |= other->sw_hardening;
	into->configuration |= other->configuration;
	into->relaunch |= other->relaunch;
	into->out_of_date |= other->out_of_date;
	into->revoked |= other->revoked;
	into->unrecognized |= other->unrecognized;
	into->below_all |= other->below_all;
}

enum attest_tcb_status tcb_status(const struct tcb_state *s)
{
	if (s->unrecognized)
		return TCB_UNRECOGNIZED;
	if (s->revoked)
		return TCB_REVOKED;
	if (s->out_of_date)
		return s->configuration ? TCB_OUT_OF_DATE_CONFIGURATION_NEEDED : TCB_OUT_OF_DATE;
	if (s->relaunch)
		return s->configuration ? TCB_RELAUNCH_ADVISED_CONFIGURATION_NEEDED : TCB_RELAUNCH_ADVISED;
	if (s->configuration)
		return s->sw_hardening ? TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED : TCB_CONFIGURATION_NEEDED;
	return s->sw_hardening ? TCB_SW_HARDENING_NEEDED : TCB_UP_TO_DATE;
}

static void state_of(const json_t *level, struct tcb_state *out)
{
	static const struct {
		const char *name;
		struct tcb_state state;
	} known[] = {
		{"UpToDate", {0}},
		{"SWHardeningNeeded", {.sw_hardening = true}},
		{"ConfigurationNeeded", {.configuration = true}},
		{"ConfigurationAndSWHardeningNeeded", {.configuration = true, .sw_hardening = true}},
		{"OutOfDate", {.out_of_date = true}},
		{"OutOfDateConfigurationNeeded", {.out_of_date = true, .configuration = true}},
		{"Revoked", {.revoked = true}},
	};
	const char *name = json_string_value(json_object_get(level, "tcbStatus"));

	*out = (struct tcb_state){.unrecognized = true};
	for (size_t i = 0; name && i < ARRAY_SIZE(known); i++)
		if (strcmp(name, known[i].name) == 0)
			*out = known[i].state;
}

static void add_advisories(const json_t *level, struct advisories *adv)
{
	const json_t *ids = json_object_get(level, "advisoryIDs"), *id;
	size_t i;

	json_array_foreach(ids, i, id)
	{
		const char *text = json_string_value(id);
		size_t at = 0;

		while (text && at < adv->count && strcmp(adv->id[at], text) < 0)
			at++;
		if (!text || adv->count == ADVISORIES_MAX ||
		    (at < adv->count && strcmp(adv->id[at], text) == 0))
			continue;
		memmove(&adv->id[at + 1], &adv->id[at], (adv->count - at) * sizeof(adv->id[0]));
		adv->id[at] = text;
		adv->count++;
	}
}

static bool hex_is(const json_t *j, const uint8_t *want, size_t size)
{
	const char *text = json_string_value(j);
	uint8_t bytes[64];

	return text && size <= sizeof(bytes) && hex_decode(text, bytes, sizeof(bytes)) == (ssize_t)size &&
	       memcmp(bytes, want, size) == 0;
}

/* (value & mask) == expected, all little-endian byte strings in hexadecimal */
static bool masked_is(const json_t *obj, const char *value, const char *mask, const uint8_t *have, size_t size)
{
	const char *vt = json_string_value(json_object_get(obj, value)),
		   *mt = json_string_value(json_object_get(obj, mask));
	uint8_t vb[16], mb[16];

	if (!vt || !mt || hex_decode(vt, vb, sizeof(vb)) != (ssize_t)size ||
	    hex_decode(mt, mb, sizeof(mb)) != (ssize_t)size)
		return false;
	for (size_t i = 0; i < size; i++)
		if ((have[i] & mb[i]) != vb[i])
			return false;
	return true;
}

/* At least `components[i].svn` in each of the sixteen from `first` on. */
static bool reaches(const json_t *components, const uint8_t *have, size_t first)
{
	if (json_array_size(components) != TCB_COMPONENTS)
		return false;
	for (size_t i = first; i < TCB_COMPONENTS; i++) {
		const json_t *svn = json_object_get(json_array_get(components, i), "svn");

		if (!json_is_integer(svn) || json_integer_value(svn) < 0 || have[i] < json_integer_value(svn))
			return false;
	}
	return true;
}

static bool number_at_most(const json_t *j, json_int_t have)
{
	return json_is_integer(j) && json_integer_value(j) >= 0 && json_integer_value(j) <= have;
}

static int64_t level_date(const json_t *level)
{
	const char *text = json_string_value(json_object_get(level, "tcbDate"));
	struct tm tm = {0};

	return text && strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) ? (int64_t)timegm(&tm) : 0;
}

bool tcb_info_platform(struct verify *v, const struct statement *info, const struct pck *pck,
		       const uint8_t *tee_tcb_svn, struct tcb_state *state, struct advisories *adv,
		       int64_t *date)
{
	const char *id = json_string_value(json_object_get(info->json, "id"));
	const json_t *levels = json_object_get(info->json, "tcbLevels"), *level;
	size_t i;

	if (!id || strcmp(id, tee_tcb_svn ? "TDX" : "SGX") != 0 ||
	    json_integer_value(json_object_get(info->json, "version")) != 3)
		return check_fail(v, "intel.tcb_info", "TCB info of another kind or version");
	if (!hex_is(json_object_get(info->json, "fmspc"), pck->fmspc, 6) ||
	    !hex_is(json_object_get(info->json, "pceId"), pck->pceid, 2))
		return check_fail(v, "intel.tcb_info",
				  "TCB info of another platform family than the certificate's");
	json_array_foreach(levels, i, level)
	{
		const json_t *tcb = json_object_get(level, "tcb");

		if (!reaches(json_object_get(tcb, "sgxtcbcomponents"), pck->svn, 0) ||
		    !number_at_most(json_object_get(tcb, "pcesvn"), pck->pce_svn))
			continue;
		/* components 0 and 1 are the module's, which has an identity of its own when its major version
		 * is not 0 */
		if (tee_tcb_svn &&
		    !reaches(json_object_get(tcb, "tdxtcbcomponents"), tee_tcb_svn, tee_tcb_svn[1] ? 2 : 0))
			continue;
		state_of(level, state);
		add_advisories(level, adv);
		*date = level_date(level);
		return true;
	}
	*state = (struct tcb_state){.out_of_date = true, .below_all = true};
	return true;
}

bool tcb_info_module(struct verify *v, const struct statement *info, const uint8_t *body,
		     const uint8_t *tee_tcb_svn, struct tcb_state *state, struct advisories *adv)
{
	const json_t *ids = json_object_get(info->json, "tdxModuleIdentities"), *module = NULL, *entry, *level;
	char want[8];
	size_t i;

	if (tee_tcb_svn[1] == 0) {
		module = json_object_get(info->json, "tdxModule");
	} else {
		snprintf(want, sizeof(want), "TDX_%02X", tee_tcb_svn[1]);
		json_array_foreach(ids, i, entry)
		{
			const char *id = json_string_value(json_object_get(entry, "id"));

			if (id && strcmp(id, want) == 0)
				module = entry;
		}
	}
	if (!module)
		return check_fail(v, "tdx.module", "TCB info knows no TDX module of major version %u",
				  tee_tcb_svn[1]);
	if (!hex_is(json_object_get(module, "mrsigner"), body + TD_MRSIGNERSEAM, 48) ||
	    !masked_is(module, "attributes", "attributesMask", body + TD_SEAM_ATTRIBUTES, 8))
		return check_fail(v, "tdx.module", "the TDX module's signer or attributes are not Intel's");
	*state = (struct tcb_state){0};
	if (tee_tcb_svn[1] == 0) /* its version counts among the platform's components */
		return check_that(v, "tdx.module", true, "signed by Intel");
	*state = (struct tcb_state){.out_of_date = true, .below_all = true};
	json_array_foreach(json_object_get(module, "tcbLevels"), i,
			   level) if (number_at_most(json_object_get(json_object_get(level, "tcb"), "isvsvn"),
						     tee_tcb_svn[0]))
	{
		state_of(level, state);
		add_advisories(level, adv);
		break;
	}
	return check_that(v, "tdx.module", true, "signed by Intel, version %u.%u", tee_tcb_svn[1],
			  tee_tcb_svn[0]);
}

bool qe_identity_check(struct verify *v, const struct statement *id, const uint8_t *qe, bool td,
		       struct tcb_state *state, struct advisories *adv)
{
	const char *name = json_string_value(json_object_get(id->json, "id"));
	const json_t *levels = json_object_get(id->json, "tcbLevels"), *level;
	const json_t *prod = json_object_get(id->json, "isvprodid");
	size_t i;

	if (!name || strcmp(name, td ? "TD_QE" : "QE") != 0 ||
	    json_integer_value(json_object_get(id->json, "version")) != 2)
		return check_fail(v, "intel.qe", "identity of another enclave or version");
	if (!masked_is(id->json, "miscselect", "miscselectMask", qe + SGX_MISCSELECT, 4) ||
	    !masked_is(id->json, "attributes", "attributesMask", qe + SGX_ATTRIBUTES, 16) ||
	    !hex_is(json_object_get(id->json, "mrsigner"), qe + SGX_MRSIGNER, 32) || !json_is_integer(prod) ||
	    json_integer_value(prod) != get_le16(qe + SGX_ISVPRODID))
		return check_fail(v, "intel.qe", "the quoting enclave is not Intel's");
	*state = (struct tcb_state){.out_of_date = true, .below_all = true};
	json_array_foreach(levels, i,
			   level) if (number_at_most(json_object_get(json_object_get(level, "tcb"), "isvsvn"),
						     get_le16(qe + SGX_ISVSVN)))
	{
		state_of(level, state);
		add_advisories(level, adv);
		break;
	}
	return check_that(v, "intel.qe", true, "Intel's quoting enclave, version %u",
			  get_le16(qe + SGX_ISVSVN));
}
