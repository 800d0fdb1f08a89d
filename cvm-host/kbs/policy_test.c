/* policy_test.c: default deny, every operator, claims that no rule names, opt-ins, manifests, malformed
 * policies. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/kbs/manifest.h"
#include "cvm-host/kbs/policy.h"

static struct policy *load(const char *text)
{
	json_t *v = NULL;
	struct policy *p = NULL;
	struct err e = {""};

	cr_assert_eq(json_read(text, strlen(text), 65536, &v, &e), 0, "%s", e.text);
	cr_assert_eq(policy_load(v, &p, &e), 0, "%s", e.text);
	json_decref(v);
	return p;
}

/* Allowed? With one rule of these members; the refusing check in *check. */
static bool decide(const char *rule, const char *claims, const char *waived, char check[64])
{
	char *text = xasprintf("{\"version\":1,\"name\":\"p\",\"rules\":[{\"name\":\"r\",\"tee\":\"snp\","
			       "\"resources\":[\"a/b/c\",\"x/y/+\"],%s}]}",
			       rule);
	struct policy *p = load(text);
	json_t *c = json_loads(claims, 0, NULL), *w = waived ? json_loads(waived, 0, NULL) : NULL;
	struct policy_question q = {.tee = "snp", .claims = c, .waived = w, .resource = "a/b/c"};
	struct policy_answer a;
	bool allowed;

	cr_assert_not_null(c);
	policy_decide(p, &q, &a);
	allowed = a.allowed;
	if (check)
		memcpy(check, a.check, 64);
	cr_assert_eq(allowed, !a.reason[0]);
	policy_answer_free(&a);
	policy_free(p);
	json_decref(c);
	json_decref(w);
	free(text);
	return allowed;
}

Test(policy, each_operator_accepts_and_refuses)
{
	static const struct {
		const char *test, *yes, *no, *odd;
	} ops[] = {
		{"{\"is\":\"x\"}", "\"x\"", "\"X\"", "1"},
		{"{\"is\":false}", "false", "true", "0"},
		{"{\"in\":[\"a\",\"b\"]}", "\"b\"", "\"c\"", "[\"a\"]"},
		{"{\"min\":3}", "3", "2", "\"3\""},
		{"{\"max\":3}", "3", "4", "true"},
		{"{\"min\":2,\"max\":3}", "2", "4", "null"},
		{"{\"bits-within\":5}", "4", "2", "\"4\""},
		{"{\"bits-set\":5}", "7", "4", "5.0"},
		{"{\"each-in\":[\"a\",\"b\"]}", "[\"a\",\"b\"]", "[\"a\",\"c\"]", "\"a\""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		char *rule = xasprintf("\"claims\":{\"c\":%s}", ops[i].test), *claims;
		const char *values[] = {ops[i].yes, ops[i].no, ops[i].odd};

		for (size_t j = 0; j < 3; j++) {
			claims = xasprintf("{\"c\":%s}", values[j]);
			cr_assert_eq(decide(rule, claims, NULL, NULL), j == 0, "%s %s", rule, claims);
			free(claims);
		}
		cr_assert_not(decide(rule, "{}", NULL, NULL), "the claim is missing");
		free(rule);
	}
}

Test(policy, a_claim_that_the_rule_does_not_name_refuses)
{
	char check[64];

	cr_assert_not(decide("\"claims\":{\"a\":{\"is\":1}}", "{\"a\":1,\"new\":true}", NULL, check));
	cr_assert_str_eq(check, "new");
	cr_assert(decide("\"claims\":{\"a\":{\"is\":1}},\"ignore\":[\"new\"]", "{\"a\":1,\"new\":true}", NULL,
			 NULL));
	cr_assert(decide("\"claims\":{}", "{}", NULL, NULL));
}

Test(policy, a_waived_check_needs_its_opt_in)
{
	char check[64];

	cr_assert_not(decide("\"claims\":{}", "{}", "[\"snp.milan\"]", check));
	cr_assert_str_eq(check, "snp.milan");
	cr_assert(decide("\"claims\":{},\"opt-in\":[\"snp.milan\"]", "{}", "[\"snp.milan\"]", NULL));
	cr_assert_not(
		decide("\"claims\":{},\"opt-in\":[\"snp.milan\"]", "{}", "[\"snp.milan\",\"crl\"]", NULL));
}

static struct policy_answer ask(struct policy *p, const char *tee, bool insecure, const char *resource,
				const char *volume)
{
	json_t *claims = json_object();
	struct policy_question q = {
		.tee = tee, .insecure = insecure, .claims = claims, .resource = resource, .volume = volume};
	struct policy_answer a;

	policy_decide(p, &q, &a);
	json_decref(claims);
	json_decref(a.trace);
	a.trace = NULL;
	return a;
}

Test(policy, tee_resource_and_volume_have_to_be_the_rules)
{
	struct policy *p = load("{\"version\":1,\"name\":\"p\",\"rules\":["
				"{\"name\":\"one\",\"tee\":\"snp\",\"resources\":[\"a/b/"
				"+\"],\"volumes\":[\"v\"],\"claims\":{},\"leases\":2,\"lease-seconds\":9},"
				"{\"name\":\"sim\",\"tee\":\"sample\",\"insecure\":true,\"resources\":[\"a/b/"
				"c\"],\"claims\":{}},"
				"{\"name\":\"odd\",\"tee\":\"tpm\",\"resources\":[\"a/b/c\"],\"claims\":{}}]}");
	struct policy_answer a = ask(p, "snp", false, "a/b/zz", NULL);

	cr_assert(a.allowed && a.leases == 2 && a.lease_seconds == 9 && !a.insecure && !strcmp(a.rule, "one"));
	cr_assert_not(ask(p, "snp", false, "a/c/zz", NULL).allowed);
	cr_assert_not(ask(p, "snp", false, "a/b/z/z", NULL).allowed);
	cr_assert_not(ask(p, "tdx", false, "a/b/c", NULL).allowed);
	cr_assert(ask(p, "snp", false, NULL, "v").allowed);
	cr_assert_not(ask(p, "snp", false, NULL, "w").allowed);
	cr_assert_not(ask(p, "sample", true, NULL, "v").allowed);
	a = ask(p, "sample", true, "a/b/c", NULL);
	cr_assert(a.allowed && a.insecure);
	cr_assert_not(ask(p, "sample", false, "a/b/c", NULL).allowed, "real evidence under an insecure rule");
	cr_assert_not(ask(p, "snp", true, "a/b/c", NULL).allowed,
		      "evidence that proves nothing under a real rule");
	cr_assert_not(ask(p, "tpm", true, "a/b/c", NULL).allowed);
	policy_free(p);
	p = load("{\"version\":1,\"name\":\"p\",\"rules\":[]}");
	a = ask(p, "snp", false, NULL, NULL);
	cr_assert(!a.allowed && strstr(a.reason, "no rules"));
	policy_free(p);
}

Test(policy, the_explanation_names_every_check)
{
	struct policy *p = load("{\"version\":1,\"name\":\"p\",\"rules\":[{\"name\":\"r\",\"tee\":\"snp\","
				"\"resources\":[\"a/b/c\"],"
				"\"claims\":{\"m\":{\"is\":\"x\"},\"n\":{\"min\":2}},\"ignore\":[\"i\"]}]}");
	json_t *claims = json_loads("{\"m\":\"y\",\"n\":2,\"i\":0,\"u\":1}", 0, NULL);
	struct policy_question q = {.tee = "snp", .claims = claims, .resource = "a/b/c"};
	static const char *const want[] = {"ok     r: tee:",
					   "ok     r: resource: a/b/c",
					   "REFUSE r: m: \"y\", wanted: is \"x\"",
					   "ok     r: n: 2, wanted: min 2",
					   "ok     r: i: 0, ignored by name",
					   "REFUSE r: u: 1: the rule does not name",
					   "REFUSED: rule r: m:"};
	struct policy_answer a;
	char *s;

	policy_decide(p, &q, &a);
	s = policy_explain(&a);
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		cr_assert_not_null(strstr(s, want[i]), "%s in\n%s", want[i], s);
	free(s);
	policy_answer_free(&a);
	policy_free(p);
	json_decref(claims);
}

Test(policy, malformed_policies_are_refused_when_loaded)
{
	static const char *const bad[] = {
		"[]",
		"{}",
		"{\"version\":2,\"name\":\"p\",\"rules\":[]}",
		"{\"name\":\"p\",\"rules\":[]}",
		"{\"version\":1,\"name\":\"p\",\"rules\":{}}",
		"{\"version\":1,\"name\":\"p\",\"rules\":[],\"typo\":1}",
		"{\"version\":1,\"name\":\"p\",\"rules\":[5]}",
		"{\"version\":1,\"name\":\"p\",\"rules\":[{\"name\":\"r\",\"tee\":\"snp\"}]}",
		"{\"version\":1,\"name\":\"p\",\"rules\":[{\"name\":\"r\",\"tee\":\"snp\",\"claims\":{},"
		"\"resource\":[]}]}",
		"{\"version\":1,\"name\":\"p\",\"rules\":[{\"name\":\"r\",\"tee\":\"snp\",\"claims\":{\"a\":{}}"
		"}]}",
		"{\"version\":1,\"name\":\"p\",\"rules\":[{\"name\":\"r\",\"tee\":\"snp\",\"claims\":{\"a\":5}}"
		"]}",
		"{\"version\":1,\"name\":\"p\",\"rules\":[{\"name\":\"r\",\"tee\":\"snp\",\"claims\":{\"a\":{"
		"\"min\":\"5\"}}}]}",
		"{\"version\":1,\"name\":\"p\",\"rules\":[{\"name\":\"r\",\"tee\":\"snp\",\"claims\":{\"a\":{"
		"\"in\":[]}}}]}",
		"{\"version\":1,\"name\":\"p\",\"rules\":[{\"name\":\"r\",\"tee\":\"snp\",\"claims\":{\"a\":{"
		"\"in\":[{}]}}}]}",
		"{\"version\":1,\"name\":\"p\",\"rules\":[{\"name\":\"r\",\"tee\":\"snp\",\"claims\":{\"a\":{"
		"\"like\":\"x\"}}}]}",
		"{\"version\":1,\"name\":\"p\",\"rules\":[{\"name\":\"r\",\"tee\":\"snp\",\"claims\":{},"
		"\"ignore\":[1]}]}",
		"{\"version\":1,\"name\":\"p\",\"rules\":[{\"name\":\"r\",\"tee\":\"snp\",\"claims\":{},"
		"\"insecure\":\"yes\"}]}",
		"{\"version\":1,\"name\":\"p\",\"rules\":[{\"name\":\"r\",\"tee\":\"snp\",\"claims\":{},"
		"\"leases\":-1}]}",
		"{\"version\":1,\"name\":\"p\",\"rules\":[{\"name\":\"r\",\"tee\":\"snp\",\"claims\":{},"
		"\"manifest\":{\"name\":\"m\",\"signers\":[\"who\"]}}]}",
		"{\"version\":1,\"name\":\"p\",\"rules\":[{\"name\":\"r\",\"tee\":\"snp\",\"claims\":{},"
		"\"manifest\":{\"name\":\"m\",\"signers\":[]}}]}",
		"{\"version\":1,\"name\":\"p\",\"signers\":{\"a\":{\"kty\":\"oct\"}},\"rules\":[]}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		json_t *v = NULL;
		struct policy *p = NULL;

		cr_assert_eq(json_read(bad[i], strlen(bad[i]), 65536, &v, NULL), 0);
		cr_assert_lt(policy_load(v, &p, NULL), 0, "%s", bad[i]);
		json_decref(v);
	}
}
