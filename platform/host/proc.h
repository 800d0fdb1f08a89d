/* proc.h: what sbx learns from the host's /proc. */
#pragma once

#include "platform/abi/types.h"
#include "platform/base/attr.h"
#include "platform/host/procfd.h"

/* The vDSO and its data pages in the calling process: mappings side by side, the vDSO last. */
struct proc_vdso {
	unsigned count;
	struct {
		uaddr_t start, end;
	} part[6];
};
/* -ENOENT when there is none or it looks otherwise, -errno when /proc can't be read. */
MUST_CHECK int proc_vdso_parts(struct proc_vdso *out);
/* A random place for such a run of mappings in [low, high) where the calling process has nothing, 0 when
 * none is found. */
uaddr_t proc_vdso_place(const struct proc_vdso *v, uaddr_t low, uaddr_t high);
/* Where the vDSO and its data pages lie in the calling process: one contiguous run of pages, data first.
 * -ENOENT when there is none or it looks otherwise, -errno when /proc can't be read. */
MUST_CHECK int proc_find_vdso(uaddr_t *vvar_start, uaddr_t *vdso_start, uaddr_t *vdso_end);
/* Finds the /proc that numbers processes as the caller does: PROC_DIR_FD if it is that, else the one at /proc.
 * Once, at set-up; without it, or when there is none, the two functions below answer 0. */
void proc_setup(void);
/* Resident memory of pid in bytes, or 0 when it can't be had. */
uint64_t proc_resident(int pid);
/* Writes to pid's memory past the write protection of private mappings; bytes written, 0 when it can't be
 * done. */
ssize_t proc_poke(int pid, uaddr_t dst, const void *src, size_t size);
/* Another descriptor of the file that fd is open on, for reading only. -errno. */
MUST_CHECK int proc_reopen_readonly(int fd);
