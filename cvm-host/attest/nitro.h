/* nitro.h: AWS Nitro attestation documents. */
#pragma once

#include "cvm-host/attest/internal.h"

void nitro_verify(struct verify *v, const struct attest_bytes *evidence);
