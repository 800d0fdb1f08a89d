/* cmd_verify.c: `sbx verify`: files in, verdict out. All the I/O of verification is here. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cvm-host/attest/evidence.h"
#include "cvm-host/cvm.h"
#include "cvm-host/hex.h"

#define LIST_MAX 64

struct verify_args {
	struct attest_input in;
	struct attest_item items[ATTEST_ITEMS_MAX];
	struct attest_bytes chip_ids[LIST_MAX], ppids[LIST_MAX];
	const char *advisories[LIST_MAX];
	bool explain, json;
};

/* Options from 256 on are items (256 + kind); these come after them. */
enum {
	OPT_CHALLENGE = 300,
	OPT_TIME,
	OPT_CHIP_ID,
	OPT_PPID,
	OPT_TCB_STATUS,
	OPT_MIN_TCB,
	OPT_MIN_EVAL,
	OPT_DENY,
	OPT_VMPL,
	OPT_ALLOW = 400
};

static const char *const allowable[] = {"debug",       "migration",	 "missing-crl", "milan-vcek",
					"provisional", "no-measurement", "unsecured"};

static const struct option options[] = {
	{"type", required_argument, NULL, 't'},
	{"explain", no_argument, NULL, 'e'},
	{"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{"certs", required_argument, NULL, 256 + ITEM_CERTS},
	{"crl", required_argument, NULL, 256 + ITEM_CRL},
	{"ocsp", required_argument, NULL, 256 + ITEM_OCSP},
	{"tcb-info", required_argument, NULL, 256 + ITEM_TCB_INFO},
	{"qe-identity", required_argument, NULL, 256 + ITEM_QE_IDENTITY},
	{"pcs-chain", required_argument, NULL, 256 + ITEM_PCS_CHAIN},
	{"cca-key", required_argument, NULL, 256 + ITEM_CCA_KEY},
	{"td-quote", required_argument, NULL, 256 + ITEM_TD_QUOTE},
	{"tpm-quote", required_argument, NULL, 256 + ITEM_TPM_QUOTE},
	{"tpm-signature", required_argument, NULL, 256 + ITEM_TPM_SIGNATURE},
	{"tpm-ak", required_argument, NULL, 256 + ITEM_TPM_AK},
	{"tpm-pcrs", required_argument, NULL, 256 + ITEM_TPM_PCRS},
	{"eventlog", required_argument, NULL, 256 + ITEM_EVENTLOG},
	{"ccel", required_argument, NULL, 256 + ITEM_CCEL},
	{"rim", required_argument, NULL, 256 + ITEM_RIM},
	{"root", required_argument, NULL, 256 + ITEM_ROOT},
	{"challenge", required_argument, NULL, OPT_CHALLENGE},
	{"time", required_argument, NULL, OPT_TIME},
	{"chip-id", required_argument, NULL, OPT_CHIP_ID},
	{"ppid", required_argument, NULL, OPT_PPID},
	{"tcb-status", required_argument, NULL, OPT_TCB_STATUS},
	{"min-tcb", required_argument, NULL, OPT_MIN_TCB},
	{"min-tcb-evaluation", required_argument, NULL, OPT_MIN_EVAL},
	{"deny-advisory", required_argument, NULL, OPT_DENY},
	{"max-vmpl", required_argument, NULL, OPT_VMPL},
	{"allow", required_argument, NULL, OPT_ALLOW},
	{NULL, 0, NULL, 0},
};

static void usage(FILE *out)
{
	fputs("usage: sbx verify [OPTION...] EVIDENCE\n\n"
	      "  -t, --type KIND            snp, tdx, sgx, cca, nitro, tpm, az-snp, az-tdx, gpu (default: by "
	      "its bytes)\n"
	      "  -e, --explain              every check with its reason, and every claim\n"
	      "      --json                 the same as JSON\n"
	      "      --challenge HEX        what the evidence must answer (report data, nonce)\n"
	      "      --time SECONDS         verify as of this time since 1970 instead of now\n"
	      "collateral, each from a file, repeatable:\n"
	      "      --certs --crl --ocsp --tcb-info --qe-identity --pcs-chain --cca-key --td-quote "
	      "--tpm-quote\n"
	      "      --tpm-signature --tpm-ak --tpm-pcrs --eventlog --ccel --rim\n"
	      "      --root FILE            a trust anchor beside the vendors' own\n"
	      "what is accepted:\n"
	      "      --allow WHAT           debug, migration, missing-crl, milan-vcek, provisional, "
	      "no-measurement, unsecured\n"
	      "      --max-vmpl N           SNP: highest VMPL (0)\n"
	      "      --min-tcb BL,TEE,SNP,UCODE[,FMC]   SNP: lowest security versions\n"
	      "      --min-tcb-evaluation N Intel: lowest tcbEvaluationDataNumber\n"
	      "      --tcb-status NAME      Intel: accept this state too (UpToDate is)\n"
	      "      --deny-advisory ID     Intel: refuse platforms with this advisory\n"
	      "      --chip-id HEX, --ppid HEX          only these processors\n",
	      out);
}

static int hex_arg(const char *text, size_t max, struct attest_bytes *out)
{
	uint8_t *bytes = malloc(max);
	ssize_t n = bytes ? hex_decode(text, bytes, max) : -ENOMEM;

	if (n <= 0) {
		cvm_complain("not hexadecimal, or too long: %s", text);
		free(bytes);
		return -EINVAL;
	}
	*out = (struct attest_bytes){bytes, (size_t)n};
	return 0;
}

static int number_arg(const char *text, uint64_t max, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 0);
	if (errno || end == text || *end || *text == '-' || *out > max) {
		cvm_complain("not a number up to %llu: %s", (unsigned long long)max, text);
		return -EINVAL;
	}
	return 0;
}

static int allow_arg(struct attest_knobs *k, const char *what)
{
	bool *const knobs[] = {&k->allow_debug,	     &k->allow_migration,   &k->allow_missing_crl,
			       &k->allow_milan_vcek, &k->allow_provisional, &k->allow_no_measurement,
			       &k->allow_unsecured};

	for (size_t i = 0; i < ARRAY_SIZE(knobs); i++)
		if (strcmp(what, allowable[i]) == 0) {
			*knobs[i] = true;
			return 0;
		}
	cvm_complain("--allow: no such thing: %s", what);
	return -EINVAL;
}

static int min_tcb_arg(struct attest_knobs *k, const char *text)
{
	unsigned int v[5] = {0};
	int end = 0, n;

	n = sscanf(text, "%u,%u,%u,%u%n,%u%n", &v[0], &v[1], &v[2], &v[3], &end, &v[4], &end);
	for (int i = 0; i < 5; i++)
		if (v[i] > 255)
			n = 0;
	if (n < 4 || text[end]) {
		cvm_complain("--min-tcb: expected BL,TEE,SNP,UCODE[,FMC]: %s", text);
		return -EINVAL;
	}
	k->has_min_tcb = true;
	k->min_tcb = (struct attest_snp_tcb){(uint8_t)v[0], (uint8_t)v[1], (uint8_t)v[2], (uint8_t)v[3],
					     (uint8_t)v[4]};
	return 0;
}

static int status_arg(struct attest_knobs *k, const char *name)
{
	for (int i = 0; i < TCB_REVOKED; i++)
		if (strcmp(name, attest_tcb_status_name((enum attest_tcb_status)i)) == 0) {
			k->tcb_status |= 1u << i | 1u << TCB_UP_TO_DATE;
			return 0;
		}
	cvm_complain("--tcb-status: no such state, or none to accept: %s", name);
	return -EINVAL;
}

static int item_arg(struct verify_args *a, enum attest_item_kind kind, const char *path)
{
	void *data;
	size_t size;

	if (a->in.item_count == ATTEST_ITEMS_MAX) {
		cvm_complain("more than %d files of collateral", ATTEST_ITEMS_MAX);
		return -E2BIG;
	}
	if (cvm_read_file(path, ATTEST_INPUT_MAX, &data, &size) < 0)
		return -EIO;
	a->items[a->in.item_count++] = (struct attest_item){kind, {data, size}};
	return 0;
}

static int list_arg(struct attest_bytes *list, size_t *count, const char *text)
{
	if (*count == LIST_MAX) {
		cvm_complain("more than %d on one list", LIST_MAX);
		return -E2BIG;
	}
	return hex_arg(text, 64, &list[(*count)++]);
}

static int one_option(struct verify_args *a, int c, const char *arg)
{
	struct attest_knobs *k = &a->in.knobs;
	uint64_t n = 0;
	int ret;

	switch (c) {
	case 't':
		ret = attest_kind_of(arg, &a->in.kind);
		if (ret < 0)
			cvm_complain("--type: no such kind: %s", arg);
		return ret;
	case 'e':
		a->explain = true;
		return 0;
	case 'j':
		a->json = true;
		return 0;
	case OPT_CHALLENGE:
		return hex_arg(arg, 4096, &a->in.challenge);
	case OPT_TIME:
		ret = number_arg(arg, INT64_MAX, &n);
		a->in.now = (int64_t)n;
		return ret;
	case OPT_CHIP_ID:
		return list_arg(a->chip_ids, &k->chip_id_count, arg);
	case OPT_PPID:
		return list_arg(a->ppids, &k->ppid_count, arg);
	case OPT_TCB_STATUS:
		return status_arg(k, arg);
	case OPT_MIN_TCB:
		return min_tcb_arg(k, arg);
	case OPT_MIN_EVAL:
		ret = number_arg(arg, UINT32_MAX, &n);
		k->min_tcb_evaluation = (uint32_t)n;
		return ret;
	case OPT_VMPL:
		ret = number_arg(arg, 3, &n);
		k->max_vmpl = (uint8_t)n;
		return ret;
	case OPT_DENY:
		if (k->denied_advisory_count == LIST_MAX)
			return -E2BIG;
		a->advisories[k->denied_advisory_count++] = arg;
		return 0;
	case OPT_ALLOW:
		return allow_arg(k, arg);
	}
	if (c >= 256 && c < 256 + ITEM_KIND_COUNT)
		return item_arg(a, (enum attest_item_kind)(c - 256), arg);
	return -EINVAL; /* getopt has complained */
}

static void print_claim(const struct attest_claim *c)
{
	printf("  %-32s ", c->name);
	switch (c->type) {
	case CLAIM_BOOL:
		puts(c->flag ? "true" : "false");
		break;
	case CLAIM_UINT:
		printf("%llu\n", (unsigned long long)c->number);
		break;
	case CLAIM_TIME: {
		time_t t = (time_t)c->time;
		struct tm tm;
		char text[64] = "?";

		if (gmtime_r(&t, &tm))
			strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
		puts(text);
		break;
	}
	case CLAIM_TEXT:
		printf("\"%s\"\n", (const char *)c->bytes.data);
		break;
	case CLAIM_BYTES:
		for (size_t i = 0; i < c->bytes.size; i++)
			printf("%02x", c->bytes.data[i]);
		putchar('\n');
		break;
	}
}

static void print_result(const struct attest_result *r, bool explain)
{
	const struct attest_check *bad = attest_first_failure(r);

	if (explain) {
		for (size_t i = 0; i < r->check_count; i++)
			printf("%-8s %-24s %s\n", attest_outcome_name(r->checks[i].outcome), r->checks[i].name,
			       r->checks[i].reason);
		puts("claims:");
		for (size_t i = 0; i < r->claim_count; i++)
			print_claim(&r->claims[i]);
	}
	if (r->ok)
		printf("%s evidence: accepted\n", attest_kind_name(r->kind));
	else
		printf("%s evidence: REFUSED: %s: %s\n", attest_kind_name(r->kind), bad ? bad->name : "?",
		       bad ? bad->reason : "?");
}

static int verify_and_print(struct verify_args *a)
{
	struct attest_result *r;
	int status;

	if (attest_verify(&a->in, &r) < 0) {
		cvm_complain("out of memory");
		return EXIT_OWN;
	}
	if (a->json) {
		char *text = attest_result_json(r);

		puts(text ? text : "");
		free(text);
	} else {
		print_result(r, a->explain);
	}
	status = r->ok ? 0 : EXIT_REFUSED;
	attest_result_free(r);
	return status;
}

int cvm_verify(int argc, char **argv)
{
	static struct verify_args a;
	void *data;
	int c;

	a.in.items = a.items;
	a.in.knobs.chip_ids = a.chip_ids;
	a.in.knobs.ppids = a.ppids;
	a.in.knobs.denied_advisories = a.advisories;
	a.in.now = (int64_t)time(NULL);
	while ((c = getopt_long(argc, argv, "t:eh", options, NULL)) != -1) {
		if (c == 'h') {
			usage(stdout);
			return 0;
		}
		if (one_option(&a, c, optarg) < 0)
			return EXIT_USAGE;
	}
	if (optind + 1 != argc) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (cvm_read_file(argv[optind], ATTEST_INPUT_MAX, &data, &a.in.evidence.size) < 0)
		return EXIT_OWN;
	a.in.evidence.data = data;
	return verify_and_print(&a);
}
