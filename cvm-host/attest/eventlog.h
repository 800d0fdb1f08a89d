/* eventlog.h: TCG event logs (TCG PC Client Platform Firmware Profile, section 10; TCG2 and its SHA-1
 * predecessor; CCEL of TDs), replayed into registers. A log proves nothing by itself: it explains registers
 * that a quote proves. */
#pragma once

#include "cvm-host/attest/internal.h"

enum tpm_alg { TPM_SHA1 = 0x0004, TPM_SHA256 = 0x000b, TPM_SHA384 = 0x000c, TPM_SHA512 = 0x000d };
/* 0 for an algorithm that isn't known. */
size_t tpm_alg_size(uint16_t alg);
const EVP_MD *tpm_alg_md(uint16_t alg);
const char *tpm_alg_name(uint16_t alg);

#define REGISTERS 24u /* PCR 0..23; in a CCEL log index 0 is MRTD and 1..4 are RTMR 0..3 */

struct registers {
	uint8_t value[REGISTERS][64];
	bool extended[REGISTERS];
	size_t events;
};
/* Replays the bank of `alg`. -EINVAL: malformed; -ENOENT: the log has no such bank; -ENOMEM. */
MUST_CHECK int eventlog_replay(const void *log, size_t size, uint16_t alg, struct registers *out);

/* Checks "eventlog.format" and "eventlog.replay", claims "eventlog.*". `rtmr`: four registers of 48 bytes. */
void eventlog_check_rtmr(struct verify *v, const struct attest_bytes *log, const uint8_t *rtmr);
/* `values`: of each selected PCR (bit in `selected`), `alg` its bank. PCRs that the log doesn't extend are not
 * compared. */
void eventlog_check_pcr(struct verify *v, const struct attest_bytes *log, uint16_t alg, uint32_t selected,
			const uint8_t *const values[REGISTERS]);
