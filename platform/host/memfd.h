/* memfd.h: anonymous host files. */
#pragma once

#include "platform/base/attr.h"

/* A memfd of size bytes (sparse); the descriptor or -errno. It can be sealed later; it is never executable
 * by exec (MFD_NOEXEC_SEAL) where the host knows that. */
MUST_CHECK int memfd_create_sized(const char *name, uint64_t size);
/* Forbids for good to change contents or size. Every shared writable mapping must be gone. */
MUST_CHECK int memfd_seal(int fd);
/* Bytes the host holds for it, or -errno. */
MUST_CHECK int64_t memfd_allocated(int fd);
