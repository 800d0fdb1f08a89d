/* main.c: PID 1 of a confidential VM, the one program of its initrd beside the sandbox itself. It measures the
 * manifest that the launcher hands over, proves to the owner's broker what it is, gets the keys, opens the
 * encrypted disks, runs the workload under the sentry and powers off. Whatever fails, it powers off. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cvm-host/attest/evidence.h"
#include "cvm-host/guest/boot.h"
#include "cvm-host/guest/channel.h"
#include "cvm-host/guest/tpm2.h"
#include "cvm-host/guest/work.h"
#include "cvm-host/kbs/client.h"
#include "cvm-host/kbs/jose.h"
#include "cvm-host/kbs/manifest.h"
#include "cvm-host/kbs/tee.h"

#define QUOTED	  ((1u << 0) | (1u << 4) | (1u << 7) | (1u << 8) | (1u << 9))
#define PINS_MAX  8
#define CONFIGPCR 8

struct guest_tpm {
	int fd;
	struct tpm2_key ak;
};

/* The start configuration's digest goes into a register that nobody has touched yet. */
static int measure(struct guest_tpm *t, const char *init_data, struct err *e)
{
	static const uint8_t zero[32];
	uint8_t digest[32], have[32];
	int ret;

	t->fd = open("/dev/tpm0", O_RDWR | O_CLOEXEC);
	if (t->fd < 0)
		return err_set(e, -errno, "/dev/tpm0: %s", strerror(errno));
	ret = tpm2_pcr_read(t->fd, CONFIGPCR, have, e);
	if (!ret && memcmp(have, zero, sizeof(zero)) != 0)
		ret = err_set(e, -EKEYREJECTED, "PCR 8 is in use already");
	sha256_of(init_data, strlen(init_data), digest);
	if (!ret)
		ret = tpm2_extend(t->fd, CONFIGPCR, digest, e);
	return ret ? ret : tpm2_create_ak(t->fd, &t->ak, e);
}

static int quote(void *arg, const uint8_t report_data[64], size_t hash_size, json_t **out, struct err *e)
{
	struct guest_tpm *t = arg;
	struct blob attest = {0}, sig = {0}, pcrs = {0};
	struct attest_item items[3];
	uint8_t value[32];
	int ret = 0;

	for (unsigned i = 0; i < 24 && !ret; i++)
		if (QUOTED >> i & 1) {
			ret = tpm2_pcr_read(t->fd, i, value, e);
			blob_add(&pcrs, value, sizeof(value));
		}
	if (!ret)
		ret = tpm2_quote(t->fd, &t->ak, QUOTED, report_data, hash_size, &attest, &sig, e);
	if (!ret) {
		items[0] = (struct attest_item){ITEM_TPM_SIGNATURE, {sig.data, sig.size}};
		items[1] = (struct attest_item){ITEM_TPM_AK, {t->ak.public.data, t->ak.public.size}};
		items[2] = (struct attest_item){ITEM_TPM_PCRS, {pcrs.data, pcrs.size}};
		*out = tee_evidence_json(ATTEST_TPM, &attest, items, 3);
	}
	blob_free(&attest);
	blob_free(&sig);
	blob_free(&pcrs);
	return ret;
}

/* TLS to the broker of the manifest, known by its pinned keys alone: the clock is not to be believed yet. */
static int connect_broker(struct channel *ch, const json_t *m, struct kbs_client **out, struct err *e)
{
	const json_t *broker = json_object_get(m, "broker"), *list = json_object_get(broker, "pins");
	uint8_t pins[PINS_MAX][TLS_PIN_SIZE];
	struct tls_trust trust = {.pins = (const uint8_t(*)[TLS_PIN_SIZE])pins};

	if (!broker || !json_array_size(list) || json_array_size(list) > PINS_MAX)
		return err_set(e, -EINVAL, "the manifest names no broker with 1 to %d pins", PINS_MAX);
	for (size_t i = 0; i < json_array_size(list); i++) {
		int ret = bytes_from_hex(json_string_value(json_array_get(list, i)), pins[i], TLS_PIN_SIZE);

		if (ret)
			return err_set(e, ret, "a pin of the broker is malformed");
	}
	trust.pin_count = json_array_size(list);
	return kbs_client_open(ch->relay_far, "broker", &trust, false, out, e);
}

/* The token's time; the connection that it came over is the pinned broker's. */
static int take_time(const struct kbs_client *kbs, const json_t *m, struct err *e)
{
	const char *token = kbs_client_token(kbs);
	int64_t iat = 0, min_epoch = 0;
	json_t *payload = NULL;
	struct jws j = {0};
	int ret = jws_parse(token, strlen(token), &j, e);

	if (!ret)
		ret = json_read(j.payload.data, j.payload.size, 1u << 20, &payload, e);
	if (!ret)
		ret = json_opt_int(payload, "iat", 1, INT32_MAX * 4ll, 0, &iat, e);
	if (!ret && json_object_get(m, "time"))
		ret = json_opt_int(json_object_get(m, "time"), "min-epoch", 0, INT64_MAX, 0, &min_epoch, e);
	if (!ret)
		ret = boot_set_time(iat, min_epoch, e);
	json_decref(payload);
	jws_free(&j);
	return ret;
}

static int platform_named(const json_t *m, const char *tee)
{
	const json_t *list = json_object_get(m, "platforms");

	for (size_t i = 0; i < json_array_size(list); i++)
		if (!strcmp(json_string_value(json_array_get(list, i)), tee))
			return 1;
	return 0;
}

/* From the manifest to the keys. */
static int attest(struct channel *ch, const json_t *doc, struct kbs_client **kbs, struct err *e)
{
	static struct guest_tpm tpm;
	const json_t *m = json_object_get(doc, "manifest");
	char *init = manifest_initdata(doc);
	struct kbs_attest_how how = {.tee = "insecure-sim", .primary = quote, .arg = &tpm, .init_data = init};
	int ret = init ? 0 : err_set(e, -EINVAL, "the manifest has no canonical form");

	if (!ret && !platform_named(m, how.tee))
		ret = err_set(e, -EKEYREJECTED, "the manifest is not for %s", how.tee);
	if (!ret)
		ret = measure(&tpm, init, e);
	channel_progress(ch, "measured: manifest %s, svn %lld", manifest_name(doc),
			 (long long)manifest_svn(doc));
	if (!ret)
		ret = connect_broker(ch, m, kbs, e);
	if (!ret)
		ret = kbs_client_attest(*kbs, &how, e);
	if (!ret)
		ret = take_time(*kbs, m, e);
	if (!ret)
		channel_progress(ch, "attested as %s, confidential:false", how.tee);
	free(init);
	return ret;
}

static int start(struct channel *ch, uint8_t *how, uint8_t *status, struct err *e)
{
	struct kbs_client *kbs = NULL;
	struct blob text = {0};
	json_t *doc = NULL;
	int ret = channel_manifest(ch, &text, e);

	if (!ret)
		ret = json_read(text.data, text.size, MANIFEST_MAX, &doc, e);
	if (!ret)
		ret = manifest_check(doc, e);
	if (!ret)
		ret = attest(ch, doc, &kbs, e);
	if (!ret)
		ret = work_open(ch, kbs, doc, e);
	if (!ret)
		ret = work_run(ch, doc, how, status, e);
	if (kbs)
		work_release(kbs, doc);
	json_decref(doc);
	blob_free(&text);
	return ret;
}

int main(void)
{
	static struct channel ch = {.fd = -1};
	uint8_t how = 2, status = 1;
	struct err e = {"failed"};
	int ret;

	if (getpid() != 1) {
		fputs("sbx-guest: PID 1 of a confidential VM, nothing else\n", stderr);
		return 2;
	}
	ret = boot_setup(&e);
	if (!ret)
		ret = boot_check_random(&e);
	if (!ret)
		ret = channel_open(&ch, &e);
	if (!ret)
		ret = start(&ch, &how, &status, &e);
	if (ret) {
		if (ch.fd >= 0)
			channel_progress(&ch, "refused: %s", e.text);
		fprintf(stderr, "sbx-guest: %s\n", e.text);
		how = 2;
		status = 1;
	}
	guest_off(&ch, how, status);
}
