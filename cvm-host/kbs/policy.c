/* policy.c: loading and deciding. A policy is kept as its checked JSON; a decision walks it once. */
#include "cvm-host/kbs/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/kbs/manifest.h"
#include "cvm-host/kbs/protocol.h"

#define POLICY_MAX (1u << 20)

struct policy {
	json_t *doc;
	json_t *signers; /* of doc */
};

/* ---- loading -------------------------------------------------------------------------------------------- */

static bool scalar(const json_t *v)
{
	return json_is_string(v) || json_is_integer(v) || json_is_boolean(v);
}

static int check_test(const char *claim, const json_t *test, struct err *e)
{
	const char *op;
	json_t *v;

	if (!json_is_object(test) || !json_object_size(test))
		return err_set(e, -EINVAL, "claim %.60s: no test", claim);
	json_object_foreach((json_t *)(uintptr_t)test, op, v)
	{
		bool ok = false;

		if (!strcmp(op, "is"))
			ok = scalar(v);
		else if (!strcmp(op, "min") || !strcmp(op, "max") || !strcmp(op, "bits-within") ||
			 !strcmp(op, "bits-set"))
			ok = json_is_integer(v);
		else if (!strcmp(op, "in") || !strcmp(op, "each-in"))
			ok = json_is_array(v) && json_array_size(v) > 0;
		for (size_t i = 0; ok && i < json_array_size(v); i++)
			ok = scalar(json_array_get(v, i));
		if (!ok)
			return err_set(e, -EINVAL, "claim %.60s: test %.20s is unknown or has the wrong type",
				       claim, op);
	}
	return 0;
}

static int check_strings(const json_t *rule, const char *name, struct err *e)
{
	json_t *list = json_object_get(rule, name), *v;
	size_t i;

	if (!list)
		return 0;
	if (!json_is_array(list))
		return err_set(e, -EINVAL, "%s is no array", name);
	json_array_foreach(list, i, v)
	{
		if (!json_is_string(v))
			return err_set(e, -EINVAL, "%s has an entry that is no string", name);
	}
	return 0;
}

static int check_manifest_rule(const struct policy *p, const json_t *m, struct err *e)
{
	static const char *const names[] = {"name", "signers", "threshold", "min-svn", NULL};
	json_t *list, *v;
	int64_t n;
	size_t i;
	int ret;

	if (!m)
		return 0;
	list = json_is_object(m) ? json_need_array(m, "signers", e) : NULL;
	if (!list || !json_need_string(m, "name", e))
		return -EINVAL;
	if (!json_array_size(list))
		return err_set(e, -EINVAL, "manifest: nobody is to sign");
	ret = json_only(m, names, e);
	if (!ret)
		ret = json_opt_int(m, "threshold", 1, (int64_t)json_array_size(list), 1, &n, e);
	if (!ret)
		ret = json_opt_int(m, "min-svn", 0, UINT32_MAX, 0, &n, e);
	json_array_foreach(list, i, v)
	{
		if (!ret && (!json_is_string(v) || !json_object_get(p->signers, json_string_value(v))))
			ret = err_set(e, -EINVAL, "manifest signer %zu has no key under signers", i);
	}
	return ret;
}

static int check_rule(const struct policy *p, const json_t *rule, struct err *e)
{
	static const char *const names[] = {"name",	     "tee",    "insecure", "resources", "volumes",
					    "claims",	     "ignore", "opt-in",   "manifest",	"leases",
					    "lease-seconds", "about",  NULL};
	const json_t *insecure = json_object_get(rule, "insecure");
	const char *claim;
	json_t *claims, *test;
	int64_t n;
	int ret;

	claims = json_need_object(rule, "claims", e);
	if (!claims || !json_need_string(rule, "name", e) || !json_need_string(rule, "tee", e))
		return -EINVAL;
	if (insecure && !json_is_boolean(insecure))
		return err_set(e, -EINVAL, "insecure is neither true nor false");
	ret = json_only(rule, names, e);
	if (!ret)
		ret = check_strings(rule, "resources", e);
	if (!ret)
		ret = check_strings(rule, "volumes", e);
	if (!ret)
		ret = check_strings(rule, "ignore", e);
	if (!ret)
		ret = check_strings(rule, "opt-in", e);
	if (!ret)
		ret = json_opt_int(rule, "leases", 0, 1000000, 1, &n, e);
	if (!ret)
		ret = json_opt_int(rule, "lease-seconds", 1, 86400, 300, &n, e);
	if (!ret)
		ret = check_manifest_rule(p, json_object_get(rule, "manifest"), e);
	json_object_foreach(claims, claim, test)
	{
		if (!ret)
			ret = check_test(claim, test, e);
	}
	return ret;
}

static int check_all(struct policy *p, struct err *e)
{
	static const char *const names[] = {"version", "name", "signers", "rules", "about", NULL};
	json_t *rules = json_need_array(p->doc, "rules", e), *rule, *key;
	const char *who;
	int64_t version;
	size_t i;
	int ret;

	if (!rules || !json_need_string(p->doc, "name", e))
		return -EINVAL;
	ret = json_opt_int(p->doc, "version", 1, 1, 0, &version, e);
	if (!ret && version != 1)
		ret = err_set(e, -EINVAL, "version is missing");
	if (!ret)
		ret = json_only(p->doc, names, e);
	p->signers = json_object_get(p->doc, "signers");
	if (!ret && p->signers && !json_is_object(p->signers))
		ret = err_set(e, -EINVAL, "signers is no object");
	json_object_foreach(p->signers, who, key)
	{
		if (!ret && manifest_key_check(key, e) < 0)
			ret = err_in(e, -EINVAL, who);
	}
	json_array_foreach(rules, i, rule)
	{
		if (!ret && check_rule(p, rule, e) < 0) {
			char what[80];

			snprintf(what, sizeof(what), "rule %zu (%.40s)", i,
				 json_string_value(json_object_get(rule, "name")) ?: "no name");
			ret = err_in(e, -EINVAL, what);
		}
	}
	return ret;
}

int policy_load(const json_t *doc, struct policy **out, struct err *e)
{
	struct policy *p = xcalloc(1, sizeof(*p));
	int ret;

	p->doc = json_deep_copy(doc);
	ret = json_is_object(doc) ? check_all(p, e) : err_set(e, -EINVAL, "a policy is a JSON object");
	if (ret) {
		policy_free(p);
		return err_in(e, ret, "policy");
	}
	*out = p;
	return 0;
}

int policy_load_file(const char *path, struct policy **out, struct err *e)
{
	json_t *doc = NULL;
	int ret = json_read_file(path, POLICY_MAX, &doc, e);

	if (!ret)
		ret = policy_load(doc, out, e);
	json_decref(doc);
	return ret;
}

void policy_free(struct policy *p)
{
	if (!p)
		return;
	json_decref(p->doc);
	free(p);
}

const char *policy_name(const struct policy *p)
{
	return json_string_value(json_object_get(p->doc, "name"));
}

/* ---- deciding ------------------------------------------------------------------------------------------- */

struct walk {
	const struct policy_question *q;
	const struct policy *p;
	const char *rule;
	struct policy_answer *a;
	size_t best; /* checks that the best refused rule passed: its failure is the reason we tell */
	size_t passed;
	bool failed; /* the first check that refuses is a rule's reason */
};

PRINTF_LIKE(4, 5) static bool note(struct walk *w, const char *check, bool ok, const char *fmt, ...)
{
	char reason[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	json_array_append_new(w->a->trace, json_pack("{ss ss sb ss%}", "rule", w->rule, "check", check, "ok",
						     ok, "reason", reason, strlen(reason)));
	if (ok) {
		w->passed++;
	} else if (!w->failed && (!w->a->reason[0] || w->passed > w->best)) {
		w->best = w->passed;
		snprintf(w->a->check, sizeof(w->a->check), "%.60s", check);
		snprintf(w->a->reason, sizeof(w->a->reason), "rule %.40s: %.60s: %.120s", w->rule, check,
			 reason);
	}
	w->failed |= !ok;
	return ok;
}

static void show(const json_t *v, char *buf, size_t size)
{
	char *s = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);

	snprintf(buf, size, "%.60s%s", s ? s : "?", s && strlen(s) > 60 ? "..." : "");
	free(s);
}

static bool contains(const json_t *list, const json_t *v)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (json_equal(json_array_get(list, i), v))
			return true;
	return false;
}

static bool passes(const char *op, const json_t *want, const json_t *have)
{
	json_int_t n = json_integer_value(have), m = json_integer_value(want);

	if (!strcmp(op, "is"))
		return json_equal(want, have);
	if (!strcmp(op, "in"))
		return contains(want, have);
	if (!strcmp(op, "each-in")) {
		if (!json_is_array(have))
			return false;
		for (size_t i = 0; i < json_array_size(have); i++)
			if (!contains(want, json_array_get(have, i)))
				return false;
		return true;
	}
	if (!json_is_integer(have))
		return false;
	if (!strcmp(op, "min"))
		return n >= m;
	if (!strcmp(op, "max"))
		return n <= m;
	return !strcmp(op, "bits-within") ? !(n & ~m) : (n & m) == m;
}

static bool decide_claims(struct walk *w, const json_t *rule)
{
	const json_t *claims = json_object_get(rule, "claims"), *ignore = json_object_get(rule, "ignore");
	const char *name, *op;
	json_t *test, *want;
	char have_text[80], want_text[80];
	bool ok = true;

	json_object_foreach((json_t *)(uintptr_t)claims, name, test)
	{
		const json_t *have = json_object_get(w->q->claims, name);

		if (!have) {
			ok &= note(w, name, false, "the evidence makes no such claim");
			continue;
		}
		show(have, have_text, sizeof(have_text));
		json_object_foreach(test, op, want)
		{
			show(want, want_text, sizeof(want_text));
			ok &= note(w, name, passes(op, want, have), "%s, wanted: %s %s", have_text, op,
				   want_text);
		}
	}
	json_object_foreach((json_t *)(uintptr_t)w->q->claims, name, test)
	{
		json_t *n = json_string(name);

		if (json_object_get(claims, name)) {
			json_decref(n);
			continue;
		}
		show(test, have_text, sizeof(have_text));
		if (contains(ignore, n))
			note(w, name, true, "%s, ignored by name", have_text);
		else
			ok &= note(w, name, false, "%s: the rule does not name this claim", have_text);
		json_decref(n);
	}
	return ok;
}

static bool decide_manifest(struct walk *w, const json_t *rule)
{
	const json_t *want = json_object_get(rule, "manifest"), *list = json_object_get(want, "signers");
	const char *name = json_string_value(json_object_get(want, "name")), *is;
	int64_t min, threshold, svn;
	json_t *keys;
	struct err e;
	int ret;

	if (!want)
		return true;
	if (!w->q->manifest)
		return note(w, "manifest", false, "the evidence is bound to no manifest");
	if (json_opt_int(want, "min-svn", 0, UINT32_MAX, 0, &min, &e) < 0 ||
	    json_opt_int(want, "threshold", 1, 64, 1, &threshold, &e) < 0)
		return note(w, "manifest", false, "%s", e.text);
	keys = json_object();
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *who = json_string_value(json_array_get(list, i));

		json_object_set(keys, who, json_object_get(w->p->signers, who));
	}
	ret = manifest_verify(w->q->manifest, keys, (unsigned)threshold, &e);
	json_decref(keys);
	if (!note(w, "manifest.signatures", !ret, "%s", ret ? e.text : "enough of the owners signed it"))
		return false;
	is = manifest_name(w->q->manifest);
	svn = manifest_svn(w->q->manifest);
	return (int)note(w, "manifest.name", !strcmp(is, name), "%.60s, wanted %.60s", is, name) &
	       (int)note(w, "manifest.svn", svn >= min, "%lld, at least %lld", (long long)svn, (long long)min);
}

/* "a/b/+" stands for every a/b/x */
static bool resource_fits(const char *pattern, const char *resource)
{
	size_t n = strlen(pattern);

	if (n > 2 && !strcmp(pattern + n - 2, "/+"))
		return !strncmp(pattern, resource, n - 1) && !strchr(resource + n - 1, '/');
	return !strcmp(pattern, resource);
}

static bool names(const json_t *list, const char *what)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (resource_fits(json_string_value(json_array_get(list, i)), what))
			return true;
	return false;
}

static bool decide_what(struct walk *w, const json_t *rule)
{
	const struct policy_question *q = w->q;
	bool ok = true;

	if (q->resource) {
		ok &= note(w, "resource", names(json_object_get(rule, "resources"), q->resource), "%.100s",
			   q->resource);
		if (q->manifest && !manifest_has_key(q->manifest, q->resource))
			ok &= note(w, "manifest.keys", false, "the manifest does not ask for %.80s",
				   q->resource);
	}
	if (q->volume)
		ok &= note(w, "volume", names(json_object_get(rule, "volumes"), q->volume), "%.100s",
			   q->volume);
	return ok;
}

static bool decide_waived(struct walk *w, const json_t *rule)
{
	const json_t *opt_in = json_object_get(rule, "opt-in");
	bool ok = true;

	for (size_t i = 0; i < json_array_size(w->q->waived); i++) {
		const json_t *check = json_array_get(w->q->waived, i);
		bool named = contains(opt_in, check);

		ok &= note(w, json_string_value(check), named,
			   named ? "failed, accepted because opt-in names it"
				 : "failed, and opt-in does not name it");
	}
	return ok;
}

static bool decide_rule(struct walk *w, const json_t *rule)
{
	const char *tee = json_string_value(json_object_get(rule, "tee"));
	bool insecure = json_is_true(json_object_get(rule, "insecure"));

	w->passed = 0;
	w->failed = false;
	if (!note(w, "tee", !strcmp(tee, w->q->tee), "%.40s, wanted %.40s", w->q->tee, tee))
		return false;
	if (w->q->insecure != insecure)
		return note(
			w, "insecure", false,
			insecure ? "an insecure rule takes no real evidence"
				 : "this evidence proves nothing and the rule does not say \"insecure\":true");
	if (!decide_what(w, rule))
		return false;
	return (int)decide_waived(w, rule) & (int)decide_claims(w, rule) & (int)decide_manifest(w, rule);
}

void policy_decide(const struct policy *p, const struct policy_question *q, struct policy_answer *out)
{
	const json_t *rules = json_object_get(p->doc, "rules");
	struct walk w = {.q = q, .p = p, .a = out};

	*out = (struct policy_answer){.trace = json_array()};
	for (size_t i = 0; i < json_array_size(rules) && !out->allowed; i++) {
		const json_t *rule = json_array_get(rules, i);

		w.rule = json_string_value(json_object_get(rule, "name"));
		if (!decide_rule(&w, rule))
			continue;
		out->allowed = true;
		out->rule = w.rule;
		out->insecure = q->insecure;
		out->manifest = json_object_get(rule, "manifest") != NULL;
		if (json_opt_int(rule, "leases", 0, 1000000, 1, &out->leases, NULL) < 0 ||
		    json_opt_int(rule, "lease-seconds", 1, 86400, 300, &out->lease_seconds, NULL) < 0)
			out->allowed = false; /* loading has checked them */
	}
	if (out->allowed)
		out->reason[0] = 0;
	else if (!out->reason[0])
		snprintf(out->reason, sizeof(out->reason), "the policy has no rules");
}

void policy_answer_free(struct policy_answer *a)
{
	json_decref(a->trace);
	*a = (struct policy_answer){0};
}

char *policy_explain(const struct policy_answer *a)
{
	struct blob b = {0};
	json_t *v;
	size_t i;
	char *s;

	json_array_foreach(a->trace, i, v)
	{
		s = xasprintf("%-6s %s: %s: %s\n", json_is_true(json_object_get(v, "ok")) ? "ok" : "REFUSE",
			      json_string_value(json_object_get(v, "rule")),
			      json_string_value(json_object_get(v, "check")),
			      json_string_value(json_object_get(v, "reason")));
		blob_add(&b, s, strlen(s));
		free(s);
	}
	if (a->allowed)
		s = xasprintf("ALLOWED by rule %s%s\n", a->rule,
			      a->insecure ? " (insecure: confidential:false)" : "");
	else
		s = xasprintf("REFUSED: %s\n", a->reason);
	blob_add(&b, s, strlen(s));
	free(s);
	return (char *)b.data;
}
