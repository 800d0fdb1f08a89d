/* internal.h: what the handlers share: descriptors, paths relative to a descriptor, vectors, times. */
#pragma once

#include "platform/abi/fcntl.h"
#include "platform/abi/fs.h"
#include "platform/abi/mman.h"
#include "platform/abi/misc.h"
#include "platform/abi/poll.h"
#include "platform/abi/prctl.h"
#include "platform/abi/signal.h"
#include "platform/abi/stat.h"
#include "platform/base/bytes.h"
#include "platform/base/checked.h"
#include "platform/base/clock.h"
#include "sentry/syscalls/sys.h"

/* The file behind fd with a reference, or NULL (-EBADF): not for O_PATH descriptors. */
struct file *sys_file(struct task *t, int fd);
/* O_PATH descriptors too. */
struct file *sys_file_any(struct task *t, int fd);
/* Installs f at the lowest free descriptor and drops the caller's reference (also on failure). */
int64_t sys_install(struct task *t, struct file *f, bool cloexec);
/* Same for two at once (pipe, socketpair): copied out to uaddr as two ints; nothing stays on failure. */
int64_t sys_install_pair(struct task *t, struct file *f[2], bool cloexec, uaddr_t out);
/* The flag bits of a file, changed atomically through set_flags. */
int sys_change_flags(struct file *f, uint32_t mask, uint32_t value);

/* A name relative to a directory descriptor, ready for the vfs. */
struct at_name {
	struct vfs_at at;
	struct file *dir; /* reference, or NULL */
	char *name;	  /* owned */
};
/* allow_null: a null pointer reads as "" (AT_EMPTY_PATH since Linux 6.11). */
MUST_CHECK int at_begin(struct task *t, int dirfd, uaddr_t name, struct at_name *n);
MUST_CHECK int at_begin_null(struct task *t, int dirfd, uaddr_t name, bool allow_null, struct at_name *n);
/* Starts at dirfd even though the name is absolute (RESOLVE_IN_ROOT). On failure n is ended. */
MUST_CHECK int at_use_dir(struct task *t, int dirfd, struct at_name *n);
void at_end(struct at_name *n);
/* LOOKUP_* from the AT_* flags of a call that follows links unless told otherwise. */
static inline uint32_t at_lookup(uint32_t flags)
{
	return (flags & LINUX_AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) |
	       (flags & LINUX_AT_EMPTY_PATH ? LOOKUP_EMPTY : 0);
}
/* AT_EMPTY_PATH and an empty (or null) name: the call is about the descriptor itself. */
MUST_CHECK int at_is_empty(struct task *t, uaddr_t name, uint32_t flags, bool *empty);

/* Vectors: readv(2) and friends. The copy lies in the struct when it is short. */
#define IOV_FAST 8
struct iov_buf {
	struct linux_iovec fast[IOV_FAST];
	struct linux_iovec *v;
	uint32_t count;
	uint64_t total;
};
MUST_CHECK int iov_import(struct task *t, uaddr_t vec, uint64_t count, struct iov_buf *b);
/* what a vector that is already here must satisfy; shortens it to UIO_MAX_RW */
MUST_CHECK int iov_check(struct iov_buf *b);
void iov_release(struct iov_buf *b);

/* May a guest pointer reach [addr, addr + n)? Only arithmetic, as access_ok. */
static inline bool access_ok(uaddr_t addr, uint64_t n)
{
	return n <= GUEST_VA_END && addr <= GUEST_VA_END - n;
}

/* RLIMIT_FSIZE for a write of u->resid bytes at pos (WRITE_APPEND: at the end, wherever that is): 0 (u->resid
 * may have become smaller), or -EFBIG after SIGXFSZ. */
#define WRITE_APPEND UINT64_MAX
MUST_CHECK int write_limit(struct task *t, struct file *f, struct uio *u, uint64_t pos);
MUST_CHECK int size_limit(struct task *t, uint64_t old_size, uint64_t new_size);
MUST_CHECK int size_limit_file(struct task *t, struct file *f, uint64_t new_size);
/* As stat(2) says; 0 when that fails. */
uint64_t sys_file_size(struct file *f);

/* Times. */
MUST_CHECK int timespec_check(const struct linux_timespec *ts);
MUST_CHECK int get_timespec(struct task *t, uaddr_t src, struct linux_timespec *ts); /* checked */
uint64_t timespec_ns(const struct linux_timespec *ts);				     /* saturates */
/* CLOCK_MONOTONIC from now; never 0 */
uint64_t deadline_after(uint64_t ns);
/* What is left until deadline, never negative. */
void deadline_left(uint64_t deadline, struct linux_timespec *left);

/* Ids as the caller's namespace shows them and back. */
static inline uint32_t show_uid(struct task *t, uint32_t kuid)
{
	return t->cred->user_ns->level ? user_ns_from_kuid(t->cred->user_ns, kuid) : kuid;
}
static inline uint32_t show_gid(struct task *t, uint32_t kgid)
{
	return t->cred->user_ns->level ? user_ns_from_kgid(t->cred->user_ns, kgid) : kgid;
}
static inline bool capable(struct task *t, int cap) /* in the initial namespace */
{
	return cred_has_cap_in(t->cred, cap, t->kernel->user_ns);
}

#define NEVER UINT64_MAX
