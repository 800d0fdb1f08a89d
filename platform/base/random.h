/* random.h: cryptographic random bytes from the host kernel; never fails, may wait at boot only. */
#pragma once

#include "platform/base/attr.h"

void random_bytes(void *dst, size_t n);
uint64_t random_u64(void);
