/* hostcall.h: the host system calls that sbx makes, one thin wrapper each. Results are the kernel's own: a
 * value or a negative errno, never -1 and errno. Nothing is retried on -EINTR unless it says so.
 * Descriptors are always made close-on-exec. The wrappers are async-signal-safe and touch no libc state.
 *
 * hostcall.c is the whole list of what the sentry can ask of its host; the seccomp filter of the sentry
 * process permits a part of it. Wrappers marked "set-up" are used before the filter is in place or by the
 * gofer and the launcher only. */
#pragma once

#include <sys/types.h>

#include "platform/abi/types.h"
#include "platform/base/attr.h"

struct epoll_event;
struct iovec;
struct mmsghdr;
struct msghdr;
struct pollfd;
struct rlimit64;
struct rusage;
struct sched_param;
struct sockaddr;
struct sock_fprog;
struct stat;
struct statfs;
struct statx;
struct timespec;

/* Files. */
MUST_CHECK int hc_openat(int dir, const char *path, int flags, unsigned mode); /* set-up, gofer */
MUST_CHECK int hc_openat2(int dir, const char *path, uint64_t flags, uint64_t mode,
			  uint64_t resolve); /* same */
int hc_close(int fd);
int hc_close_range(unsigned first, unsigned last, unsigned flags);
ssize_t hc_read(int fd, void *buf, size_t n);
ssize_t hc_write(int fd, const void *buf, size_t n);
ssize_t hc_pread(int fd, void *buf, size_t n, uint64_t off);
ssize_t hc_pwrite(int fd, const void *buf, size_t n, uint64_t off);
ssize_t hc_readv(int fd, const struct iovec *iov, int count);
ssize_t hc_writev(int fd, const struct iovec *iov, int count);
ssize_t hc_preadv(int fd, const struct iovec *iov, int count, uint64_t off);
ssize_t hc_pwritev(int fd, const struct iovec *iov, int count, uint64_t off);
/* off -1 is the file's own position; flags RWF_* */
ssize_t hc_preadv2(int fd, const struct iovec *iov, int count, int64_t off, int flags);
ssize_t hc_pwritev2(int fd, const struct iovec *iov, int count, int64_t off, int flags);
MUST_CHECK int hc_fstat(int fd, struct stat *st);
MUST_CHECK int hc_newfstatat(int dir, const char *path, struct stat *st, int flags);
MUST_CHECK int hc_statx(int dir, const char *path, int flags, unsigned mask, struct statx *st);
MUST_CHECK int hc_fstatfs(int fd, struct statfs *st);
MUST_CHECK int hc_ftruncate(int fd, uint64_t size);
MUST_CHECK int hc_fallocate(int fd, int mode, uint64_t off, uint64_t n);
int64_t hc_lseek(int fd, int64_t off, int whence);
int hc_fsync(int fd);
int hc_fdatasync(int fd);
int hc_sync_file_range(int fd, uint64_t off, uint64_t n, unsigned flags);
int hc_syncfs(int fd);
int hc_fadvise(int fd, uint64_t off, uint64_t n, int advice);
int hc_readahead(int fd, uint64_t off, size_t n);
int hc_flock(int fd, int op);
ssize_t hc_getdents64(int fd, void *buf, size_t n);
ssize_t hc_copy_file_range(int in, int64_t *in_off, int out, int64_t *out_off, size_t n, unsigned flags);
ssize_t hc_splice(int in, int64_t *in_off, int out, int64_t *out_off, size_t n, unsigned flags);
ssize_t hc_sendfile(int out, int in, int64_t *off, size_t n);
int hc_fchmod(int fd, unsigned mode);
int hc_fchown(int fd, unsigned uid, unsigned gid);
int hc_ioctl(int fd, unsigned long req, unsigned long arg);
int hc_fcntl(int fd, int cmd, unsigned long arg);
MUST_CHECK int hc_dup3(int fd, int to);
MUST_CHECK int hc_dup(int fd);
MUST_CHECK int hc_pipe(int fds[2], int flags); /* O_NONBLOCK, O_DIRECT */
MUST_CHECK int hc_eventfd(unsigned initial, int flags);
MUST_CHECK int hc_timerfd_create(int clock, int flags);

/* Set-up and gofer only: calls that name files. */
MUST_CHECK int hc_mkdirat(int dir, const char *name, unsigned mode);
MUST_CHECK int hc_mknodat(int dir, const char *name, unsigned mode, uint64_t dev);
MUST_CHECK int hc_unlinkat(int dir, const char *name, int flags);
MUST_CHECK int hc_renameat2(int dir, const char *name, int to_dir, const char *to_name, unsigned flags);
MUST_CHECK int hc_linkat(int dir, const char *name, int to_dir, const char *to_name, int flags);
MUST_CHECK int hc_symlinkat(const char *target, int dir, const char *name);
ssize_t hc_readlinkat(int dir, const char *name, char *buf, size_t n);
MUST_CHECK int hc_fchmodat(int dir, const char *name, unsigned mode);
MUST_CHECK int hc_fchownat(int dir, const char *name, unsigned uid, unsigned gid, int flags);
MUST_CHECK int hc_utimensat(int dir, const char *name, const struct timespec ts[2], int flags);
MUST_CHECK int hc_faccessat2(int dir, const char *name, int mode, int flags);
ssize_t hc_fgetxattr(int fd, const char *name, void *value, size_t n);
int hc_fsetxattr(int fd, const char *name, const void *value, size_t n, int flags);
ssize_t hc_flistxattr(int fd, char *list, size_t n);
int hc_fremovexattr(int fd, const char *name);

/* Memory. hc_mmap: an address or, in the last page of the range, a negative errno: see hc_is_error. */
MUST_CHECK uint64_t hc_mmap(uint64_t addr, size_t n, int prot, int flags, int fd, uint64_t off);
static inline bool hc_is_error(uint64_t v)
{
	return v >= (uint64_t)-4095L;
}
int hc_munmap(uint64_t addr, size_t n);
MUST_CHECK int hc_mprotect(uint64_t addr, size_t n, int prot);
MUST_CHECK uint64_t hc_mremap(uint64_t addr, size_t n, size_t to_n, int flags, uint64_t to);
int hc_madvise(uint64_t addr, size_t n, int advice);
int hc_msync(uint64_t addr, size_t n, int flags);
MUST_CHECK int hc_memfd_create(const char *name, unsigned flags);
ssize_t hc_process_vm_readv(int pid, const struct iovec *local, unsigned count, const struct iovec *remote,
			    unsigned remote_count);
ssize_t hc_process_vm_writev(int pid, const struct iovec *local, unsigned count, const struct iovec *remote,
			     unsigned remote_count);

/* Sockets. Descriptors that arrive by recvmsg need MSG_CMSG_CLOEXEC, which the wrapper adds. */
ssize_t hc_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t hc_recvmsg(int fd, struct msghdr *m, int flags);
ssize_t hc_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *to, unsigned to_size);
ssize_t hc_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *from, unsigned *from_size);
int hc_sendmmsg(int fd, struct mmsghdr *v, unsigned count, int flags);
int hc_recvmmsg(int fd, struct mmsghdr *v, unsigned count, int flags);
MUST_CHECK int hc_socketpair(int domain, int type, int protocol, int fds[2]);
MUST_CHECK int hc_socket(int domain, int type, int protocol);		     /* set-up, net link */
MUST_CHECK int hc_bind(int fd, const struct sockaddr *sa, unsigned size);    /* same */
MUST_CHECK int hc_connect(int fd, const struct sockaddr *sa, unsigned size); /* same */
MUST_CHECK int hc_listen(int fd, int backlog);
MUST_CHECK int hc_accept4(int fd, struct sockaddr *sa, unsigned *size, int flags);
int hc_shutdown(int fd, int how);
int hc_getsockopt(int fd, int level, int name, void *value, unsigned *size);
int hc_setsockopt(int fd, int level, int name, const void *value, unsigned size);
int hc_getsockname(int fd, struct sockaddr *sa, unsigned *size);
int hc_getpeername(int fd, struct sockaddr *sa, unsigned *size);

/* Waiting. A NULL timeout waits for ever; mask NULL leaves the signal mask. */
int hc_ppoll(struct pollfd *fds, unsigned count, const struct timespec *timeout, const uint64_t *mask);
MUST_CHECK int hc_epoll_create(void);
int hc_epoll_ctl(int ep, int op, int fd, struct epoll_event *ev);
int hc_epoll_pwait(int ep, struct epoll_event *ev, int count, int timeout_ms);
/* flags: op with FUTEX_PRIVATE_FLAG where wanted; timeout is relative for FUTEX_WAIT */
int hc_futex(uint32_t *word, int op, uint32_t val, const struct timespec *timeout, uint32_t *word2,
	     uint32_t val3);
int hc_clock_nanosleep(int clock, int flags, const struct timespec *ts, struct timespec *left);
int hc_clock_gettime(int clock, struct timespec *ts);
int hc_sched_yield(void);

/* Processes. */
long hc_ptrace(long req, int pid, uint64_t addr, uint64_t data);
int hc_wait4(int pid, int *status, int options, struct rusage *ru);
/* idtype P_PID, P_PGID; info (siginfo_t) may be NULL */
int hc_waitid(int idtype, int id, void *info, int options);
MUST_CHECK int hc_getpgid(int pid);
int hc_setpgid(int pid, int pgid); /* set-up */
int hc_tgkill(int tgid, int tid, int sig);
int hc_kill(int pid, int sig);
int hc_getpid(void);
int hc_gettid(void);
int hc_getppid(void);
unsigned hc_getuid(void);
unsigned hc_getgid(void);
int hc_prctl(int op, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
int hc_arch_prctl(int op, uint64_t addr);
int hc_prlimit(int pid, int resource, const struct rlimit64 *set, struct rlimit64 *old);
int hc_sigprocmask(int how, const uint64_t *set, uint64_t *old);
/* act, old: the kernel's struct sigaction: struct hc_sigaction */
struct hc_sigaction {
	uint64_t handler, flags, restorer, mask;
};
int hc_sigaction(int sig, const struct hc_sigaction *act, struct hc_sigaction *old);
/* clone(2) without a new stack or shared memory: a fork with flags (CLONE_FILES, CLONE_PARENT, ...; the low
 * byte is the exit signal). Returns twice. The child may use raw wrappers only. Set-up. */
int hc_fork(uint64_t flags);
int hc_rseq(uint64_t area, unsigned size, int flags, uint32_t sig);
int hc_seccomp(unsigned op, unsigned flags, void *arg);
int hc_setpriority(int which, int who, int prio);
int hc_sched_getaffinity(int pid, size_t n, void *mask);
int hc_sched_setaffinity(int pid, size_t n, const void *mask);
int hc_membarrier(int cmd, unsigned flags);
MUST_CHECK int hc_pidfd_open(int pid, unsigned flags);
MUST_CHECK int hc_pidfd_getfd(int pidfd, int fd);
int hc_pidfd_send_signal(int pidfd, int sig);
/* The calling thread's effective and permitted set; the inheritable one is empty. */
int hc_set_capabilities(uint64_t caps);
int hc_unshare(int flags);	/* set-up */
int hc_setns(int fd, int type); /* set-up */
/* A new mount that is attached nowhere, of a file system without a source. Set-up. */
ssize_t hc_getrandom(void *buf, size_t n, unsigned flags);
NORETURN void hc_exit_group(int code);
NORETURN void hc_exit_thread(int code);
