/* kbs_bench.c: the key broker over loopback, with evidence that costs nothing ("sample"), so that the figures
 * are those of the protocol: TLS handshake, auth, attest, resource. usage: kbs_bench DIR (made by `sbx broker
 * --init`), ROUNDS, THREADS. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cvm-host/kbs/client.h"
#include "cvm-host/kbs/server.h"
#include "cvm-host/kbs/tee.h"

static const char policy[] =
	"{\"version\":1,\"name\":\"bench\",\"rules\":[{\"name\":\"sim\",\"tee\":\"sample\",\"insecure\":true,"
	"\"resources\":[\"a/b/c\"],"
	"\"claims\":{\"sample.svn\":{\"is\":\"1\"},\"sample.debug\":{\"is\":false}},\"leases\":0}]}";

static char port[8], *ca;
static unsigned rounds;
static bool with_key, keep; /* also get the resource; attest again and again on one connection */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(int ret, const struct err *e)
{
	if (ret >= 0)
		return;
	fprintf(stderr, "kbs_bench: %s\n", e->text);
	exit(1);
}

static int sample(void *arg, const uint8_t report_data[64], size_t hash_size, json_t **out, struct err *e)
{
	(void)arg;
	(void)hash_size;
	(void)e;
	*out = tee_sample_json(report_data, NULL);
	return 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* arg: room for the time of each round */
static void *client(void *arg)
{
	struct tls_trust trust = {.ca = ca, .host = "127.0.0.1"};
	struct kbs_attest_how how = {.tee = "sample", .primary = sample};
	struct kbs_client *c = NULL;
	double *times = arg;
	struct err e;
	int fd = -1;

	for (unsigned i = 0; i < rounds; i++) {
		struct blob key = {0};

		times[i] = now();
		if (!c) {
			fd = tls_tcp_connect("127.0.0.1", port, 10000, &e);
			must(fd, &e);
			must(kbs_client_open(fd, "127.0.0.1", &trust, false, &c, &e), &e);
		}
		must(kbs_client_attest(c, &how, &e), &e);
		if (with_key)
			must(kbs_client_get(c, "a/b/c", &key, &e), &e);
		times[i] = now() - times[i];
		blob_free(&key);
		if (!keep) {
			kbs_client_close(c);
			close(fd);
			c = NULL;
		}
	}
	if (c) {
		kbs_client_close(c);
		close(fd);
	}
	return NULL;
}

static void run(const char *what, unsigned threads, bool key, bool one_connection)
{
	double *times = xcalloc(threads * rounds, sizeof(double)), start = now(), all;
	pthread_t t[64];
	unsigned n = threads * rounds;

	with_key = key;
	keep = one_connection;
	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&t[i], NULL, client, times + i * rounds) != 0)
			exit(1);
	for (unsigned i = 0; i < threads; i++)
		pthread_join(t[i], NULL);
	all = now() - start;
	qsort(times, n, sizeof(*times), by_value);
	printf("%-56s %u clients: %6.0f/s, median %.2f ms, 99%% %.2f ms\n", what, threads, n / all,
	       times[n / 2] * 1e3, times[n * 99 / 100] * 1e3);
	free(times);
}

int main(int argc, char **argv)
{
	struct broker_config bc = {0};
	struct server_config sc = {.listen = "127.0.0.1:0"};
	struct server *server = NULL;
	struct broker *broker = NULL;
	struct err e;

	if (argc != 4 || chdir(argv[1]) < 0) {
		fprintf(stderr, "usage: kbs_bench DIR ROUNDS THREADS\n");
		return 2;
	}
	rounds = (unsigned)strtoul(argv[2], NULL, 10);
	mkdir("resources/a", 0700);
	mkdir("resources/a/b", 0700);
	must(save_file("resources/a/b/c", "0123456789abcdef0123456789abcdef", 32, 0600, &e), &e);
	must(save_file("policy.json", policy, strlen(policy), 0600, &e), &e);
	bc.dir = ".";
	bc.policy = "policy.json";
	bc.token_key = "token.key";
	bc.token_cert = "token.pem";
	must(broker_open(&bc, &broker, &e), &e);
	sc.broker = broker;
	sc.cert = "tls.pem";
	sc.key = "tls.key";
	must(server_start(&sc, &server, &e), &e);
	snprintf(port, sizeof(port), "%u", server_port(server));
	ca = xstrdup("ca.pem");
	run("key release (connect, TLS, auth, attest, resource)", 1, true, false);
	run("attestation (connect, TLS, auth, attest)", (unsigned)strtoul(argv[3], NULL, 10), false, false);
	run("attestation on an open connection (auth, attest)", (unsigned)strtoul(argv[3], NULL, 10), false,
	    true);
	server_stop(server);
	broker_close(broker);
	free(ca);
	return 0;
}
