/* cmd_policy.c: `sbx policy test`: what a policy says to a set of claims, check by check. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/cvm.h"
#include "cvm-host/kbs/ear.h"
#include "cvm-host/kbs/manifest.h"
#include "cvm-host/kbs/policy.h"

#define CLAIMS_MAX (4u << 20)

static const char usage_text[] =
	"usage: sbx policy check POLICY\n"
	"       sbx policy test [OPTION...] POLICY CLAIMS\n\n"
	"CLAIMS is JSON: {\"tee\":...,\"claims\":{...}[,\"insecure\":true][,\"waived\":[...]]}, what `sbx "
	"verify --json` prints,\n"
	"or an attestation token. Exit status 0: allowed, 1: refused.\n\n"
	"  -r, --resource R      REPOSITORY/TYPE/TAG that is asked for (default: any: is there a rule for this "
	"guest?)\n"
	"      --volume NAME     a volume that is asked for\n"
	"  -m, --manifest FILE   the signed manifest that the evidence is bound to\n"
	"      --json            the decision as JSON\n";

struct args {
	const char *resource, *volume, *manifest;
	bool json;
};

/* The three forms of CLAIMS. */
static int read_claims(const char *path, json_t **doc, struct policy_question *q, struct err *e)
{
	struct blob text = {0};
	int ret = load_file(path, CLAIMS_MAX, &text, e);
	const json_t *checks;

	if (ret)
		return ret;
	while (text.size && (text.data[text.size - 1] == '\n' || text.data[text.size - 1] == ' '))
		text.size--;
	if (text.size && text.data[0] == 'e') { /* a token: its claims, whoever signed it */
		struct jws j;

		ret = jws_parse((char *)text.data, text.size, &j, e);
		if (!ret) {
			ret = json_read(j.payload.data, j.payload.size, CLAIMS_MAX, doc, e);
			jws_free(&j);
		}
		if (!ret) {
			q->tee = json_string_value(ear_member(*doc, "tee"));
			q->claims = ear_claims(*doc);
			q->waived = ear_member(*doc, "waived");
			q->manifest = ear_member(*doc, "sbx-manifest");
			q->insecure = !json_is_true(ear_member(*doc, "confidential"));
		}
	} else {
		ret = json_read(text.data, text.size, CLAIMS_MAX, doc, e);
		q->tee = json_string_value(json_object_get(*doc, "tee") ?: json_object_get(*doc, "kind"));
		q->claims = json_object_get(*doc, "claims");
		q->insecure = json_is_true(json_object_get(*doc, "insecure"));
		q->waived = json_object_get(*doc, "waived");
		checks = json_object_get(*doc, "checks");
		if (!ret && checks && !json_is_true(json_object_get(*doc, "ok")))
			ret = err_set(e, -EINVAL, "%s: this evidence was refused", path);
		if (checks && !q->waived) {
			json_t *waived = json_array();

			for (size_t i = 0; i < json_array_size(checks); i++) {
				const json_t *c = json_array_get(checks, i);
				const char *o = json_string_value(json_object_get(c, "outcome"));

				if (o && !strcmp(o, "waived"))
					json_array_append(waived, json_object_get(c, "name"));
			}
			json_object_set_new(*doc, "waived", waived);
			q->waived = waived;
		}
	}
	blob_free(&text);
	if (!ret && (!q->tee || !json_is_object(q->claims)))
		ret = err_set(e, -EINVAL, "%s: neither claims nor a token", path);
	return ret;
}

static int test(const struct args *a, const char *policy, const char *claims, struct err *e)
{
	struct policy_question q = {.resource = a->resource, .volume = a->volume};
	json_t *doc = NULL, *manifest = NULL;
	struct policy_answer answer;
	struct policy *p = NULL;
	int ret = policy_load_file(policy, &p, e);

	if (!ret)
		ret = read_claims(claims, &doc, &q, e);
	if (!ret && a->manifest) {
		ret = json_read_file(a->manifest, MANIFEST_MAX, &manifest, e);
		if (!ret)
			ret = manifest_check(manifest, e);
		q.manifest = manifest;
	}
	if (!ret) {
		policy_decide(p, &q, &answer);
		if (a->json) {
			json_t *v = json_pack("{sb sO ss}", "allowed", answer.allowed, "checks", answer.trace,
					      "reason", answer.reason);

			json_dumpf(v, stdout, JSON_INDENT(1));
			putchar('\n');
			json_decref(v);
		} else {
			char *s = policy_explain(&answer);

			fputs(s, stdout);
			free(s);
		}
		ret = !answer.allowed;
		policy_answer_free(&answer);
	}
	policy_free(p);
	json_decref(doc);
	json_decref(manifest);
	return ret;
}

static const struct option options[] = {
	{"resource", required_argument, NULL, 'r'}, {"volume", required_argument, NULL, 'v'},
	{"manifest", required_argument, NULL, 'm'}, {"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},	    {0}};

int cvm_policy(int argc, char **argv)
{
	struct args a = {0};
	struct policy *p = NULL;
	struct err e = {"failed"};
	int c, ret;

	while ((c = getopt_long(argc, argv, "r:m:h", options, NULL)) != -1) {
		switch (c) {
		case 'r':
			a.resource = optarg;
			break;
		case 'v':
			a.volume = optarg;
			break;
		case 'm':
			a.manifest = optarg;
			break;
		case 'j':
			a.json = true;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return 0;
		default:
			optind = argc + 1;
		}
	}
	argv += optind;
	argc -= optind;
	if (argc == 2 && !strcmp(argv[0], "check")) {
		ret = policy_load_file(argv[1], &p, &e);
		policy_free(p);
	} else if (argc == 3 && !strcmp(argv[0], "test")) {
		ret = test(&a, argv[1], argv[2], &e);
	} else {
		fputs(usage_text, stderr);
		return EXIT_USAGE;
	}
	if (ret < 0)
		cvm_complain("%s", e.text);
	return ret < 0 ? EXIT_OWN : ret;
}
