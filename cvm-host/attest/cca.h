/* cca.h: Arm CCA attestation tokens. */
#pragma once

#include "cvm-host/attest/internal.h"

void cca_verify(struct verify *v, const struct attest_bytes *evidence);
