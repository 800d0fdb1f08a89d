/* cmd_broker.c: `sbx broker`: the key broker as a program, and the folder that it works in. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cvm-host/cvm.h"
#include "cvm-host/kbs/jose.h"
#include "cvm-host/kbs/server.h"

static const char *const folders[] = {"", "resources", "collateral", "state"};

static const char usage_text[] =
	"usage: sbx broker --init [--name NAME] DIR\n"
	"       sbx broker [OPTION...] DIR\n\n"
	"DIR holds resources/REPOSITORY/TYPE/TAG, collateral/KIND[-NAME].EXT, policy.json, and the keys and "
	"certificates\n"
	"that --init makes. SIGHUP reads policy and collateral again.\n\n"
	"      --init                 make keys, certificates, folders and a policy that allows nothing\n"
	"      --name NAME            the broker's DNS name in its certificate (localhost, 127.0.0.1, ::1 are "
	"there too)\n"
	"  -l, --listen ADDRESS:PORT  default 127.0.0.1:8443; port 0 takes any free one\n"
	"      --policy FILE          instead of DIR/policy.json\n"
	"      --threads N            default 2\n"
	"      --per-second N         requests of one address; default 50, 0 for no limit\n"
	"      --session-seconds N    how long a challenge is good; default 300\n"
	"      --token-seconds N      how long a token is good; default 300\n"
	"      --require-binding      refuse guests that do not bind their evidence to the TLS connection\n";

/* ---- --init
 * ------------------------------------------------------------------------------------------------------- */

static int make_pair(const char *dir, const char *what, const char *cn, const char *san, X509 *ca,
		     EVP_PKEY *ca_key, struct err *e)
{
	char *key_path = xasprintf("%s/%s.key", dir, what), *cert_path = xasprintf("%s/%s.pem", dir, what);
	EVP_PKEY *key = key_generate_ec("P-256");
	X509 *cert = key ? x509_make(key, cn, san, false, 825, ca, ca_key) : NULL;
	X509 *chain[] = {cert, ca};
	int ret = cert ? key_save(key_path, key, e) : tls_error(e, -EIO, "making a certificate");

	if (!ret)
		ret = x509_save(cert_path, chain, 2, e);
	X509_free(cert);
	EVP_PKEY_free(key);
	free(key_path);
	free(cert_path);
	return ret;
}

static int make_folders(const char *dir, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		char *path = xasprintf("%s/%s", dir, folders[i]);
		int ret = mkdir(path, 0700) < 0 && errno != EEXIST
				  ? err_set(e, -errno, "%s: %s", path, strerror(errno))
				  : 0;

		free(path);
		if (ret)
			return ret;
	}
	return 0;
}

static int init(const char *dir, const char *name, struct err *e)
{
	static const char policy[] = "{\"version\":1,\"name\":\"nothing\",\"rules\":[]}\n";
	char *san = xasprintf("%s%s%sDNS:localhost,IP:127.0.0.1,IP:::1", name ? "DNS:" : "", name ? name : "",
			      name ? "," : "");
	char *ca_key_path = xasprintf("%s/ca.key", dir), *ca_path = xasprintf("%s/ca.pem", dir);
	char *policy_path = xasprintf("%s/policy.json", dir);
	EVP_PKEY *key = NULL;
	X509 *ca = NULL;
	int ret;

	if (access(ca_path, F_OK) == 0)
		ret = err_set(e, -EEXIST, "%s exists: this folder has been made before", ca_path);
	else
		ret = make_folders(dir, e);
	if (!ret) {
		key = key_generate_ec("P-256");
		ca = key ? x509_make(key, "sbx broker CA", NULL, true, 3650, NULL, NULL) : NULL;
		ret = ca ? make_pair(dir, "tls", name ? name : "localhost", san, ca, key, e)
			 : tls_error(e, -EIO, "making a CA");
	}
	if (!ret)
		ret = make_pair(dir, "token", "sbx attestation results", NULL, ca, key, e);
	if (!ret)
		ret = key_save(ca_key_path, key, e);
	if (!ret)
		ret = save_file(policy_path, policy, strlen(policy), 0600, e);
	if (!ret)
		ret = x509_save(ca_path, &ca, 1, e);
	X509_free(ca);
	EVP_PKEY_free(key);
	free(san);
	free(ca_key_path);
	free(ca_path);
	free(policy_path);
	return ret;
}

/* ---- serving
 * ------------------------------------------------------------------------------------------------------- */

struct args {
	const char *dir, *listen, *policy, *name;
	bool init, require_binding;
	long threads, per_second, session_seconds, token_seconds;
};

static int serve(const struct args *a, struct err *e)
{
	char *tls_cert = xasprintf("%s/tls.pem", a->dir), *tls_key = xasprintf("%s/tls.key", a->dir);
	char *token_cert = xasprintf("%s/token.pem", a->dir), *token_key = xasprintf("%s/token.key", a->dir);
	char *policy = a->policy ? xstrdup(a->policy) : xasprintf("%s/policy.json", a->dir);
	struct broker_config bc = {.dir = a->dir,
				   .policy = policy,
				   .token_key = token_key,
				   .token_cert = token_cert,
				   .session_seconds = a->session_seconds,
				   .token_seconds = a->token_seconds,
				   .require_binding = a->require_binding};
	struct server_config sc = {.listen = a->listen,
				   .cert = tls_cert,
				   .key = tls_key,
				   .threads = (unsigned)a->threads,
				   .per_second = (unsigned)a->per_second};
	struct server *server = NULL;
	struct broker *broker = NULL;
	sigset_t set;
	int ret, sig = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	ret = broker_open(&bc, &broker, e);
	sc.broker = broker;
	if (!ret)
		ret = server_start(&sc, &server, e);
	if (!ret) {
		printf("listening on port %u\n", server_port(server));
		fflush(stdout);
	}
	while (!ret && sigwait(&set, &sig) == 0 && sig == SIGHUP) {
		struct err why;

		if (broker_reload(broker, &why) < 0)
			cvm_complain("what was in force stays: %s", why.text);
	}
	if (server)
		server_stop(server);
	if (broker)
		broker_close(broker);
	free(tls_cert);
	free(tls_key);
	free(token_cert);
	free(token_key);
	free(policy);
	return ret;
}

enum { OPT_INIT = 256, OPT_NAME, OPT_POLICY, OPT_THREADS, OPT_RATE, OPT_SESSION, OPT_TOKEN, OPT_BINDING };

static const struct option options[] = {{"init", no_argument, NULL, OPT_INIT},
					{"name", required_argument, NULL, OPT_NAME},
					{"listen", required_argument, NULL, 'l'},
					{"policy", required_argument, NULL, OPT_POLICY},
					{"threads", required_argument, NULL, OPT_THREADS},
					{"per-second", required_argument, NULL, OPT_RATE},
					{"session-seconds", required_argument, NULL, OPT_SESSION},
					{"token-seconds", required_argument, NULL, OPT_TOKEN},
					{"require-binding", no_argument, NULL, OPT_BINDING},
					{"help", no_argument, NULL, 'h'},
					{0}};

static bool number(const char *s, long lo, long hi, long *out)
{
	char *end;

	errno = 0;
	*out = strtol(s, &end, 10);
	return !errno && end != s && !*end && *out >= lo && *out <= hi;
}

static bool take_option(int c, const char *arg, struct args *a)
{
	switch (c) {
	case OPT_INIT:
		return a->init = true;
	case OPT_NAME:
		a->name = arg;
		return arg[strspn(arg, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")] ==
		       0;
	case 'l':
		a->listen = arg;
		return true;
	case OPT_POLICY:
		a->policy = arg;
		return true;
	case OPT_THREADS:
		return number(arg, 1, 64, &a->threads);
	case OPT_RATE:
		return number(arg, 0, 1000000, &a->per_second);
	case OPT_SESSION:
		return number(arg, 1, 86400, &a->session_seconds);
	case OPT_TOKEN:
		return number(arg, 1, 86400, &a->token_seconds);
	case OPT_BINDING:
		return a->require_binding = true;
	default:
		return false;
	}
}

int cvm_broker(int argc, char **argv)
{
	struct args a = {.listen = "127.0.0.1:8443", .threads = 2, .per_second = 50};
	struct err e = {"failed"};
	int c, ret;

	while ((c = getopt_long(argc, argv, "l:h", options, NULL)) != -1) {
		if (c == 'h') {
			fputs(usage_text, stdout);
			return 0;
		}
		if (!take_option(c, optarg, &a)) {
			fputs(usage_text, stderr);
			return EXIT_USAGE;
		}
	}
	if (optind != argc - 1) {
		fputs(usage_text, stderr);
		return EXIT_USAGE;
	}
	a.dir = argv[optind];
	ret = a.init ? init(a.dir, a.name, &e) : serve(&a, &e);
	if (ret)
		cvm_complain("%s", e.text);
	return ret ? EXIT_OWN : 0;
}
