/* eventlog.c: reading and replaying event logs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cvm-host/attest/cursor.h"
#include "cvm-host/attest/eventlog.h"

#define EV_NO_ACTION 3u
#define ALGS_MAX     8

struct reader {
	struct cursor c;
	uint16_t alg[ALGS_MAX], size[ALGS_MAX];
	size_t alg_count; /* 0: the old format, SHA-1 only */
};

size_t tpm_alg_size(uint16_t alg)
{
	switch (alg) {
	case TPM_SHA1:
		return 20;
	case TPM_SHA256:
		return 32;
	case TPM_SHA384:
		return 48;
	case TPM_SHA512:
		return 64;
	}
	return 0;
}

const EVP_MD *tpm_alg_md(uint16_t alg)
{
	switch (alg) {
	case TPM_SHA1:
		return EVP_sha1();
	case TPM_SHA256:
		return EVP_sha256();
	case TPM_SHA384:
		return EVP_sha384();
	case TPM_SHA512:
		return EVP_sha512();
	}
	return NULL;
}

const char *tpm_alg_name(uint16_t alg)
{
	switch (alg) {
	case TPM_SHA1:
		return "sha1";
	case TPM_SHA256:
		return "sha256";
	case TPM_SHA384:
		return "sha384";
	case TPM_SHA512:
		return "sha512";
	}
	return "unknown";
}

/* The "Spec ID Event03" header's list of algorithms; another first event means the old format. */
static void read_header(struct reader *r)
{
	struct cursor spec;
	const uint8_t *data;
	uint32_t type, size, count;

	take_le32(&r->c);
	type = take_le32(&r->c);
	take(&r->c, 20);
	size = take_le32(&r->c);
	data = take(&r->c, size);
	if (r->c.bad || type != EV_NO_ACTION || size < 28 || memcmp(data, "Spec ID Event03", 16) != 0)
		return;
	spec = (struct cursor){data + 24, data + size, false};
	count = take_le32(&spec);
	if (count == 0 || count > ALGS_MAX) {
		r->c.bad = true;
		return;
	}
	for (uint32_t i = 0; !r->c.bad && i < count; i++) {
		r->alg[i] = take_le16(&spec);
		r->size[i] = take_le16(&spec);
		if (spec.bad || r->size[i] > 64 ||
		    (tpm_alg_size(r->alg[i]) && tpm_alg_size(r->alg[i]) != r->size[i]))
			r->c.bad = true;
	}
	r->alg_count = count;
}

/* The table that firmware hands over is larger than the log: what is left is all ones or all zeros. */
static bool only_filler(const uint8_t *p, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (p[i] != p[0])
			return false;
	return n == 0 || p[0] == 0 || p[0] == 0xff;
}

/* The digest of the wanted algorithm; NULL when the event has none. */
static const uint8_t *read_digests(struct reader *r, uint16_t alg)
{
	const uint8_t *found = NULL;
	uint32_t count;

	if (!r->alg_count)
		return take(&r->c, 20);
	count = take_le32(&r->c);
	if (count > ALGS_MAX)
		r->c.bad = true;
	for (uint32_t i = 0; !r->c.bad && i < count; i++) {
		uint16_t id = take_le16(&r->c);
		size_t n;

		for (n = 0; n < r->alg_count && r->alg[n] != id; n++)
			;
		if (n == r->alg_count) {
			r->c.bad = true;
			break;
		}
		const uint8_t *d = take(&r->c, r->size[n]);

		if (id == alg)
			found = d;
	}
	return found;
}

static int extend(struct registers *out, uint32_t reg, const uint8_t *digest, uint16_t alg)
{
	size_t n = tpm_alg_size(alg);
	uint8_t both[128];

	memcpy(both, out->value[reg], n);
	memcpy(both + n, digest, n);
	out->extended[reg] = true;
	return EVP_Digest(both, 2 * n, out->value[reg], NULL, tpm_alg_md(alg), NULL) == 1 ? 0 : -ENOMEM;
}

static int one_event(struct reader *r, uint16_t alg, struct registers *out)
{
	uint32_t reg = take_le32(&r->c), type = take_le32(&r->c), size;
	const uint8_t *digest = read_digests(r, alg), *data;

	size = take_le32(&r->c);
	data = take(&r->c, size);
	if (r->c.bad || (type != EV_NO_ACTION && reg >= REGISTERS))
		return -EINVAL;
	out->events++;
	if (type == EV_NO_ACTION) { /* not extended; one of them tells where PCR 0 started */
		if (reg == 0 && size == 17 && memcmp(data, "StartupLocality", 16) == 0 && !out->extended[0])
			out->value[0][tpm_alg_size(alg) - 1] = data[16];
		return 0;
	}
	return digest ? extend(out, reg, digest, alg) : -ENOENT;
}

int eventlog_replay(const void *log, size_t size, uint16_t alg, struct registers *out)
{
	struct reader r = {.c = {log, (const uint8_t *)log + size, false}};
	bool has = false;
	int ret = 0;

	memset(out, 0, sizeof(*out));
	if (!tpm_alg_size(alg) || size < 32)
		return -EINVAL;
	read_header(&r);
	if (!r.alg_count) {
		r.c.p = log; /* the first event is one like the others */
		has = alg == TPM_SHA1;
	}
	for (size_t i = 0; i < r.alg_count; i++)
		has |= r.alg[i] == alg;
	if (r.c.bad || !has)
		return r.c.bad ? -EINVAL : -ENOENT;
	while (ret == 0 && r.c.p < r.c.end && !only_filler(r.c.p, (size_t)(r.c.end - r.c.p)))
		ret = one_event(&r, alg, out);
	return ret;
}

static bool replay(struct verify *v, const struct attest_bytes *log, uint16_t alg, struct registers *out)
{
	int ret = eventlog_replay(log->data, log->size, alg, out);

	claim_uint(v, "eventlog.events", out->events);
	return check_that(v, "eventlog.format", ret == 0, "%s",
			  ret == 0	   ? "an event log"
			  : ret == -ENOENT ? "the log lacks the quoted bank"
					   : "malformed");
}

static void compare(struct verify *v, const char *kind, const char *names, size_t matched, const char *wrong)
{
	claim_text(v, "eventlog.matched", names, strlen(names));
	if (wrong[0])
		check_fail(v, "eventlog.replay", "the log does not replay to %s", wrong);
	else
		check_that(v, "eventlog.replay", matched > 0, "replays to %zu quoted %s", matched, kind);
}

static void add_name(char *list, size_t room, const char *kind, unsigned int n)
{
	size_t at = strlen(list);

	snprintf(list + at, room - at, "%s%s%u", at ? "," : "", kind, n);
}

void eventlog_check_rtmr(struct verify *v, const struct attest_bytes *log, const uint8_t *rtmr)
{
	struct registers r;
	char names[64] = "", wrong[64] = "";
	size_t matched = 0;

	if (!replay(v, log, TPM_SHA384, &r))
		return;
	for (unsigned int i = 0; i < 4; i++) {
		bool same = memcmp(r.value[i + 1], rtmr + i * 48, 48) == 0;

		matched += same;
		add_name(same ? names : wrong, sizeof(names), "rtmr", i);
	}
	compare(v, "RTMRs", names, matched, wrong);
}

void eventlog_check_pcr(struct verify *v, const struct attest_bytes *log, uint16_t alg, uint32_t selected,
			const uint8_t *const values[REGISTERS])
{
	struct registers r;
	char names[160] = "", wrong[160] = "";
	size_t matched = 0;

	if (!replay(v, log, alg, &r))
		return;
	for (unsigned int i = 0; i < REGISTERS; i++) {
		bool same;

		if (!(selected >> i & 1) || !r.extended[i] || !values[i])
			continue;
		same = memcmp(r.value[i], values[i], tpm_alg_size(alg)) == 0;
		matched += same;
		add_name(same ? names : wrong, sizeof(names), "pcr", i);
	}
	compare(v, "PCRs", names, matched, wrong);
}
