/* work.h: the disks and the workload. */
#pragma once

#include "cvm-host/guest/channel.h"
#include "cvm-host/kbs/client.h"
#include "cvm-host/kbs/json.h"

/* Every mount of the manifest: its key from the broker, its disk opened against the broker's counter, its files
 * in memory. What is mounted at / must be the image that the manifest names. */
MUST_CHECK int work_open(struct channel *ch, struct kbs_client *kbs, const json_t *doc, struct err *e);
/* The manifest's program under the sentry. how, status: as VERB_EXIT has them. */
MUST_CHECK int work_run(struct channel *ch, const json_t *doc, uint8_t *how, uint8_t *status, struct err *e);
/* Leases back. */
void work_release(struct kbs_client *kbs, const json_t *doc);
