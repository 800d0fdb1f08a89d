/* proc.h: what sbx learns from the host's /proc, at set-up only. */
#pragma once

#include "platform/abi/types.h"
#include "platform/base/attr.h"

/* Where the vDSO and its data pages lie in the calling process: one contiguous run of pages, data first.
 * -ENOENT when there is none or it looks otherwise, -errno when /proc can't be read. */
MUST_CHECK int proc_find_vdso(uaddr_t *vvar_start, uaddr_t *vdso_start, uaddr_t *vdso_end);
/* Resident memory of pid in bytes, or 0 when it can't be had. */
uint64_t proc_resident(int pid);
/* Writes to pid's memory past the write protection of private mappings; bytes written, 0 when it can't be
 * done. */
ssize_t proc_poke(int pid, uaddr_t dst, const void *src, size_t size);
