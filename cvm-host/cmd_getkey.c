/* cmd_getkey.c: `sbx get-key`: the client as a program: attest, then print a resource. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cvm-host/cvm.h"
#include "cvm-host/kbs/client.h"
#include "cvm-host/kbs/manifest.h"
#include "cvm-host/kbs/tee.h"

#define PINS_MAX 8

static const char usage_text[] =
	"usage: sbx get-key [OPTION...] RESOURCE...\n\n"
	"Attests to a key broker and writes each RESOURCE (REPOSITORY/TYPE/TAG) to standard output.\n\n"
	"  -b, --broker HOST:PORT   default 127.0.0.1:8443\n"
	"      --ca FILE            the broker's certificate authority (PEM)\n"
	"      --pin HEX            SHA-256 of the broker's public key (SubjectPublicKeyInfo); may be "
	"repeated\n"
	"  -t, --tee TEE            what evidence is made: sample (proves nothing; confidential:false)\n"
	"      --evidence COMMAND   makes primary_evidence instead: run by /bin/sh with REPORT_DATA (hex) in "
	"its\n"
	"                           environment, prints JSON\n"
	"      --init-data FILE     what the platform has measured of the start configuration (TOML)\n"
	"      --rsa                RSA-OAEP-256 instead of ECDH-ES+A256KW\n"
	"      --token              print the token, too (first line)\n"
	"      --release            give the leases of the resources back at the end\n";

struct args {
	const char *broker, *ca, *tee, *init_path, *command;
	uint8_t pins[PINS_MAX][TLS_PIN_SIZE];
	size_t pin_count;
	bool rsa, token, release;
	struct blob init;
};

static int sample(void *arg, const uint8_t report_data[64], size_t hash_size, json_t **out, struct err *e)
{
	struct args *a = arg;
	struct blob digest = {0};
	uint8_t d[48];

	(void)hash_size;
	(void)e;
	if (a->init.size) {
		sha384_of(a->init.data, a->init.size, d);
		blob_set(&digest, d, sizeof(d));
	}
	*out = tee_sample_json(report_data, a->init.size ? &digest : NULL);
	blob_free(&digest);
	return 0;
}

static int run_command(void *arg, const uint8_t report_data[64], size_t hash_size, json_t **out, struct err *e)
{
	struct args *a = arg;
	struct blob text = {0};
	char hex[129], part[4096];
	size_t n;
	FILE *f;
	int ret;

	bytes_to_hex(hex, report_data, 64);
	(void)hash_size;
	if (setenv("REPORT_DATA", hex, 1) < 0 || !(f = popen(a->command, "re")))
		return err_set(e, -errno, "%s: %s", a->command, strerror(errno));
	while ((n = fread(part, 1, sizeof(part), f)) > 0 && text.size < KBS_BODY_MAX)
		blob_add(&text, part, n);
	ret = pclose(f) == 0 ? json_read(text.data, text.size, KBS_BODY_MAX, out, e)
			     : err_set(e, -EIO, "%s failed", a->command);
	blob_free(&text);
	return ret;
}

static int get_all(struct kbs_client *c, struct args *a, char **resources, struct err *e)
{
	struct kbs_attest_how how = {.tee = a->tee,
				     .primary = a->command ? run_command : sample,
				     .arg = a,
				     .init_data = a->init.size ? (char *)a->init.data : NULL};
	int ret = kbs_client_attest(c, &how, e);

	if (!ret && a->token)
		printf("%s\n", kbs_client_token(c));
	for (char **r = resources; *r && !ret; r++) {
		struct blob key = {0};

		ret = kbs_client_get(c, *r, &key, e);
		if (ret)
			err_in(e, ret, *r);
		else if (fwrite(key.data, 1, key.size, stdout) != key.size)
			ret = err_set(e, -errno, "standard output: %s", strerror(errno));
		blob_free(&key);
	}
	for (char **r = resources; *r && !ret && a->release; r++)
		ret = kbs_client_lease(c, *r, true, e);
	if (!ret && fflush(stdout) < 0)
		ret = err_set(e, -errno, "standard output: %s", strerror(errno));
	return ret;
}

static int run(struct args *a, char **resources, struct err *e)
{
	const char *colon = strrchr(a->broker, ':');
	struct tls_trust trust = {
		.ca = a->ca, .pins = (const uint8_t(*)[TLS_PIN_SIZE])a->pins, .pin_count = a->pin_count};
	struct kbs_client *c = NULL;
	char *host;
	int fd, ret;

	if (!colon)
		return err_set(e, -EINVAL, "%s: HOST:PORT is wanted", a->broker);
	if (a->init_path && (ret = load_file(a->init_path, MANIFEST_MAX, &a->init, e)) < 0)
		return ret;
	host = *a->broker == '[' ? strndup(a->broker + 1, (size_t)(colon - a->broker) - 2)
				 : strndup(a->broker, (size_t)(colon - a->broker));
	trust.host = host;
	fd = host ? tls_tcp_connect(host, colon + 1, 10000, e) : -ENOMEM;
	ret = MIN(fd, 0);
	if (!ret)
		ret = kbs_client_open(fd, a->broker, &trust, a->rsa, &c, e);
	if (!ret) {
		ret = get_all(c, a, resources, e);
		kbs_client_close(c);
	}
	if (fd >= 0)
		close(fd);
	free(host);
	blob_free(&a->init);
	return ret;
}

enum { OPT_CA = 256, OPT_PIN, OPT_EVIDENCE, OPT_INIT, OPT_RSA, OPT_TOKEN, OPT_RELEASE };

static const struct option options[] = {{"broker", required_argument, NULL, 'b'},
					{"ca", required_argument, NULL, OPT_CA},
					{"pin", required_argument, NULL, OPT_PIN},
					{"tee", required_argument, NULL, 't'},
					{"evidence", required_argument, NULL, OPT_EVIDENCE},
					{"init-data", required_argument, NULL, OPT_INIT},
					{"rsa", no_argument, NULL, OPT_RSA},
					{"token", no_argument, NULL, OPT_TOKEN},
					{"release", no_argument, NULL, OPT_RELEASE},
					{"help", no_argument, NULL, 'h'},
					{0}};

static bool take_option(int c, const char *arg, struct args *a)
{
	switch (c) {
	case 'b':
		a->broker = arg;
		return true;
	case OPT_CA:
		a->ca = arg;
		return true;
	case OPT_PIN:
		return a->pin_count < PINS_MAX &&
		       bytes_from_hex(arg, a->pins[a->pin_count++], TLS_PIN_SIZE) == 0;
	case 't':
		a->tee = arg;
		return true;
	case OPT_EVIDENCE:
		a->command = arg;
		return true;
	case OPT_INIT:
		a->init_path = arg;
		return true;
	case OPT_RSA:
		return a->rsa = true;
	case OPT_TOKEN:
		return a->token = true;
	case OPT_RELEASE:
		return a->release = true;
	default:
		return false;
	}
}

int cvm_get_key(int argc, char **argv)
{
	struct args a = {.broker = "127.0.0.1:8443"};
	struct err e = {"failed"};
	int c, ret;

	while ((c = getopt_long(argc, argv, "b:t:h", options, NULL)) != -1) {
		if (c == 'h') {
			fputs(usage_text, stdout);
			return 0;
		}
		if (!take_option(c, optarg, &a)) {
			fputs(usage_text, stderr);
			return EXIT_USAGE;
		}
	}
	if (!a.tee || (strcmp(a.tee, "sample") != 0 && !a.command)) {
		cvm_complain("%s", a.tee ? "this TEE's evidence needs --evidence"
					 : "--tee says what evidence is to be made");
		return EXIT_USAGE;
	}
	ret = run(&a, argv + optind, &e);
	if (ret)
		cvm_complain("%s", e.text);
	return ret == -EACCES || ret == -EKEYREJECTED ? EXIT_REFUSED : ret ? EXIT_OWN : 0;
}
