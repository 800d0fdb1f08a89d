/* sealedlog.h: a log that the guest writes, the host keeps and only its owner reads.
 *
 * A file is a header with a fresh key wrapped for the owner's public key (JWE, jose.h), then records: le32 size
 * of what follows, AES-256-GCM of the padded text, tag. The key of record n + 1 is a hash of that of record n,
 * so a guest that is taken over later cannot read or rewrite what it wrote before; the tag of each record is in
 * the next one's additional data, so none can be dropped, moved or taken from another log. The last record of a
 * log that was closed says so; an end without it is reported (a crash, or a host that cut it off). The host
 * sees sizes, in steps of LOG_PAD. */
#pragma once

#include <openssl/evp.h>

#include "cvm-host/kbs/json.h"

#define LOG_PAD	   256u
#define LOG_RECORD (64u << 10) /* at most, of one text */

struct sealed_log;

/* Starts a log in fd (empty, append-only is enough); recipient is the owner's public key: EC (ECDH-ES+A256KW)
 * or RSA. */
MUST_CHECK int sealed_log_create(int fd, EVP_PKEY *recipient, struct sealed_log **out, struct err *e);
/* Longer texts take several records. */
MUST_CHECK int sealed_log_write(struct sealed_log *l, const void *text, size_t size, struct err *e);
/* How many records there are and a hash over all of them: for an anchor (volume.h) that shows a cut-off end. */
void sealed_log_state(const struct sealed_log *l, uint64_t *count, uint8_t hash[32]);
/* With the record that says that it ends here. Closes nothing of the file. */
MUST_CHECK int sealed_log_finish(struct sealed_log *l, struct err *e);

/* Reads a whole log with the owner's private key; line() gets each record's text. *closed: it ended as it
 * should. -EBADMSG at the first record that is not the one that was written there; what line() got before is
 * genuine. */
MUST_CHECK int sealed_log_read(const void *data, size_t size, EVP_PKEY *owner,
			       void (*line)(void *arg, const void *text, size_t size), void *arg, bool *closed,
			       struct err *e);
