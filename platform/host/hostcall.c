/* hostcall.c: see hostcall.h. Every function is one system call; what it adds is a close-on-exec flag or
 * MSG_NOSIGNAL. The HOSTCALL lines are the seccomp lists of the sentry and the gofer: see rules.h. */
#include "platform/host/hostcall.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "platform/host/rules.h"
#include "platform/host/x86_64/raw_syscall.h"

/* ---- files */

HOSTCALL(openat, GOFERS)
HOSTCALL(openat, SENTRY, IS(0, PROC_DIR_FD), IS(2, O_RDONLY | O_CLOEXEC))
HOSTCALL(openat, SENTRY, IS(0, PROC_DIR_FD), IS(2, O_RDWR | O_CLOEXEC))
HOSTCALL(openat, SENTRY, IS(0, PROC_FDS_FD), IS(2, O_RDONLY | O_CLOEXEC))
HOSTCALL_ERRNO_ABOVE(openat, SENTRY, ENOENT, PROC_FDS_FD)
int hc_openat(int dir, const char *path, int flags, unsigned mode)
{
	return (int)raw_syscall6(SYS_openat, dir, (long)path, flags | O_CLOEXEC, mode, 0, 0);
}

HOSTCALL(openat2, GOFERS)
int hc_openat2(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	struct open_how how = {.flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve};

	return (int)raw_syscall6(SYS_openat2, dir, (long)path, (long)&how, sizeof(how), 0, 0);
}

HOSTCALL(close, ALL)
int hc_close(int fd)
{
	return (int)raw_syscall3(SYS_close, fd, 0, 0);
}

HOSTCALL(close_range, NOBODY)
int hc_close_range(unsigned first, unsigned last, unsigned flags)
{
	return (int)raw_syscall3(SYS_close_range, first, last, flags);
}

HOSTCALL(read, SENTRY)
ssize_t hc_read(int fd, void *buf, size_t n)
{
	return raw_syscall3(SYS_read, fd, (long)buf, (long)n);
}

HOSTCALL(write, ALL)
ssize_t hc_write(int fd, const void *buf, size_t n)
{
	return raw_syscall3(SYS_write, fd, (long)buf, (long)n);
}

HOSTCALL(pread64, SENTRY)
ssize_t hc_pread(int fd, void *buf, size_t n, uint64_t off)
{
	return raw_syscall6(SYS_pread64, fd, (long)buf, (long)n, (long)off, 0, 0);
}

HOSTCALL(pwrite64, SENTRY)
ssize_t hc_pwrite(int fd, const void *buf, size_t n, uint64_t off)
{
	return raw_syscall6(SYS_pwrite64, fd, (long)buf, (long)n, (long)off, 0, 0);
}

HOSTCALL(readv, NOBODY)
ssize_t hc_readv(int fd, const struct iovec *iov, int count)
{
	return raw_syscall3(SYS_readv, fd, (long)iov, count);
}

HOSTCALL(writev, SENTRY)
ssize_t hc_writev(int fd, const struct iovec *iov, int count)
{
	return raw_syscall3(SYS_writev, fd, (long)iov, count);
}

HOSTCALL(preadv, NOBODY)
ssize_t hc_preadv(int fd, const struct iovec *iov, int count, uint64_t off)
{
	return raw_syscall6(SYS_preadv, fd, (long)iov, count, (long)off, 0, 0);
}

HOSTCALL(pwritev, NOBODY)
ssize_t hc_pwritev(int fd, const struct iovec *iov, int count, uint64_t off)
{
	return raw_syscall6(SYS_pwritev, fd, (long)iov, count, (long)off, 0, 0);
}

HOSTCALL(preadv2, SENTRY)
ssize_t hc_preadv2(int fd, const struct iovec *iov, int count, int64_t off, int flags)
{
	return raw_syscall6(SYS_preadv2, fd, (long)iov, count, off, 0, flags);
}

HOSTCALL(pwritev2, SENTRY)
ssize_t hc_pwritev2(int fd, const struct iovec *iov, int count, int64_t off, int flags)
{
	return raw_syscall6(SYS_pwritev2, fd, (long)iov, count, off, 0, flags);
}

HOSTCALL(fstat, SENTRY)
int hc_fstat(int fd, struct stat *st)
{
	return (int)raw_syscall3(SYS_fstat, fd, (long)st, 0);
}

HOSTCALL(newfstatat, SENTRY, IS(3, AT_EMPTY_PATH))
int hc_newfstatat(int dir, const char *path, struct stat *st, int flags)
{
	return (int)raw_syscall6(SYS_newfstatat, dir, (long)path, (long)st, flags, 0, 0);
}

HOSTCALL(statx, GOFERS)
int hc_statx(int dir, const char *path, int flags, unsigned mask, struct statx *st)
{
	return (int)raw_syscall6(SYS_statx, dir, (long)path, flags, mask, (long)st, 0);
}

HOSTCALL(fstatfs, GOFERS)
int hc_fstatfs(int fd, struct statfs *st)
{
	return (int)raw_syscall3(SYS_fstatfs, fd, (long)st, 0);
}

HOSTCALL(ftruncate, BOTH)
int hc_ftruncate(int fd, uint64_t size)
{
	return (int)raw_syscall3(SYS_ftruncate, fd, (long)size, 0);
}

HOSTCALL(fallocate, BOTH)
int hc_fallocate(int fd, int mode, uint64_t off, uint64_t n)
{
	return (int)raw_syscall6(SYS_fallocate, fd, mode, (long)off, (long)n, 0, 0);
}

HOSTCALL(lseek, BOTH)
int64_t hc_lseek(int fd, int64_t off, int whence)
{
	return raw_syscall3(SYS_lseek, fd, off, whence);
}

HOSTCALL(fsync, BOTH)
int hc_fsync(int fd)
{
	return (int)raw_syscall3(SYS_fsync, fd, 0, 0);
}

HOSTCALL(fdatasync, BOTH)
int hc_fdatasync(int fd)
{
	return (int)raw_syscall3(SYS_fdatasync, fd, 0, 0);
}

HOSTCALL(sync_file_range, NOBODY)
int hc_sync_file_range(int fd, uint64_t off, uint64_t n, unsigned flags)
{
	return (int)raw_syscall6(SYS_sync_file_range, fd, (long)off, (long)n, flags, 0, 0);
}

HOSTCALL(syncfs, NOBODY)
int hc_syncfs(int fd)
{
	return (int)raw_syscall3(SYS_syncfs, fd, 0, 0);
}

HOSTCALL(fadvise64, NOBODY)
int hc_fadvise(int fd, uint64_t off, uint64_t n, int advice)
{
	return (int)raw_syscall6(SYS_fadvise64, fd, (long)off, (long)n, advice, 0, 0);
}

HOSTCALL(readahead, NOBODY)
int hc_readahead(int fd, uint64_t off, size_t n)
{
	return (int)raw_syscall3(SYS_readahead, fd, (long)off, (long)n);
}

HOSTCALL(flock, NOBODY)
int hc_flock(int fd, int op)
{
	return (int)raw_syscall3(SYS_flock, fd, op, 0);
}

HOSTCALL(getdents64, GOFERS)
ssize_t hc_getdents64(int fd, void *buf, size_t n)
{
	return raw_syscall3(SYS_getdents64, fd, (long)buf, (long)n);
}

HOSTCALL(copy_file_range, SENTRY)
ssize_t hc_copy_file_range(int in, int64_t *in_off, int out, int64_t *out_off, size_t n, unsigned flags)
{
	return raw_syscall6(SYS_copy_file_range, in, (long)in_off, out, (long)out_off, (long)n, flags);
}

HOSTCALL(splice, NOBODY)
ssize_t hc_splice(int in, int64_t *in_off, int out, int64_t *out_off, size_t n, unsigned flags)
{
	return raw_syscall6(SYS_splice, in, (long)in_off, out, (long)out_off, (long)n, flags);
}

HOSTCALL(sendfile, NOBODY)
ssize_t hc_sendfile(int out, int in, int64_t *off, size_t n)
{
	return raw_syscall6(SYS_sendfile, out, in, (long)off, (long)n, 0, 0);
}

HOSTCALL(fchmod, GOFERS)
int hc_fchmod(int fd, unsigned mode)
{
	return (int)raw_syscall3(SYS_fchmod, fd, mode, 0);
}

HOSTCALL(fchown, NOBODY)
int hc_fchown(int fd, unsigned uid, unsigned gid)
{
	return (int)raw_syscall3(SYS_fchown, fd, uid, gid);
}

HOSTCALL(ioctl, SENTRY, IS(1, TCGETS))
HOSTCALL(ioctl, SENTRY, IS(1, TCSETS))
HOSTCALL(ioctl, SENTRY, IS(1, TCSETSW))
HOSTCALL(ioctl, SENTRY, IS(1, TCSETSF))
HOSTCALL(ioctl, SENTRY, IS(1, TIOCGWINSZ))
HOSTCALL(ioctl, SENTRY, IS(1, TIOCSWINSZ))
HOSTCALL(ioctl, SENTRY, IS(1, FIONREAD))
HOSTCALL(ioctl, SENTRY_NAT, IS(1, SIOCOUTQ))
HOSTCALL(ioctl, SENTRY_NAT, IS(1, SIOCATMARK))
int hc_ioctl(int fd, unsigned long req, unsigned long arg)
{
	return (int)raw_syscall3(SYS_ioctl, fd, (long)req, (long)arg);
}

HOSTCALL(fcntl, SENTRY, IS(1, F_GETFL))
HOSTCALL(fcntl, SENTRY, IS(1, F_ADD_SEALS))
int hc_fcntl(int fd, int cmd, unsigned long arg)
{
	return (int)raw_syscall3(SYS_fcntl, fd, cmd, (long)arg);
}

HOSTCALL(dup3, NOBODY)
int hc_dup3(int fd, int to)
{
	return (int)raw_syscall3(SYS_dup3, fd, to, O_CLOEXEC);
}

HOSTCALL(fcntl, GOFERS, IS(1, F_DUPFD_CLOEXEC))
int hc_dup(int fd)
{
	return (int)raw_syscall3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0);
}

HOSTCALL(pipe2, NOBODY)
int hc_pipe(int fds[2], int flags)
{
	return (int)raw_syscall3(SYS_pipe2, (long)fds, flags | O_CLOEXEC, 0);
}

HOSTCALL(eventfd2, SENTRY)
int hc_eventfd(unsigned initial, int flags)
{
	return (int)raw_syscall3(SYS_eventfd2, initial, flags | O_CLOEXEC, 0);
}

HOSTCALL(timerfd_create, NOBODY)
int hc_timerfd_create(int clock, int flags)
{
	return (int)raw_syscall3(SYS_timerfd_create, clock, flags | O_CLOEXEC, 0);
}

/* ---- files by name: set-up and gofer */

HOSTCALL(mkdirat, GOFERS)
int hc_mkdirat(int dir, const char *name, unsigned mode)
{
	return (int)raw_syscall3(SYS_mkdirat, dir, (long)name, mode);
}

HOSTCALL(mknodat, GOFERS, MASKED(2, S_IFMT, S_IFREG))
HOSTCALL(mknodat, GOFERS, MASKED(2, S_IFMT, S_IFIFO))
HOSTCALL(mknodat, GOFERS, MASKED(2, S_IFMT, S_IFSOCK))
HOSTCALL(mknodat, GOFERS, MASKED(2, S_IFMT, S_IFCHR), IS(3, 0))
int hc_mknodat(int dir, const char *name, unsigned mode, uint64_t dev)
{
	return (int)raw_syscall6(SYS_mknodat, dir, (long)name, mode, (long)dev, 0, 0);
}

HOSTCALL(unlinkat, GOFERS)
int hc_unlinkat(int dir, const char *name, int flags)
{
	return (int)raw_syscall3(SYS_unlinkat, dir, (long)name, flags);
}

HOSTCALL(renameat2, GOFERS)
int hc_renameat2(int dir, const char *name, int to_dir, const char *to_name, unsigned flags)
{
	return (int)raw_syscall6(SYS_renameat2, dir, (long)name, to_dir, (long)to_name, flags, 0);
}

HOSTCALL(linkat, GOFERS)
int hc_linkat(int dir, const char *name, int to_dir, const char *to_name, int flags)
{
	return (int)raw_syscall6(SYS_linkat, dir, (long)name, to_dir, (long)to_name, flags, 0);
}

HOSTCALL(symlinkat, GOFERS)
int hc_symlinkat(const char *target, int dir, const char *name)
{
	return (int)raw_syscall3(SYS_symlinkat, (long)target, dir, (long)name);
}

HOSTCALL(readlinkat, GOFERS)
ssize_t hc_readlinkat(int dir, const char *name, char *buf, size_t n)
{
	return raw_syscall6(SYS_readlinkat, dir, (long)name, (long)buf, (long)n, 0, 0);
}

HOSTCALL(fchmodat, GOFERS)
int hc_fchmodat(int dir, const char *name, unsigned mode)
{
	return (int)raw_syscall3(SYS_fchmodat, dir, (long)name, mode);
}

HOSTCALL(fchownat, GOFERS)
int hc_fchownat(int dir, const char *name, unsigned uid, unsigned gid, int flags)
{
	return (int)raw_syscall6(SYS_fchownat, dir, (long)name, uid, gid, flags, 0);
}

HOSTCALL(utimensat, GOFERS)
int hc_utimensat(int dir, const char *name, const struct timespec ts[2], int flags)
{
	return (int)raw_syscall6(SYS_utimensat, dir, (long)name, (long)ts, flags, 0, 0);
}

HOSTCALL(faccessat2, NOBODY)
int hc_faccessat2(int dir, const char *name, int mode, int flags)
{
	return (int)raw_syscall6(SYS_faccessat2, dir, (long)name, mode, flags, 0, 0);
}

HOSTCALL(fgetxattr, GOFERS)
ssize_t hc_fgetxattr(int fd, const char *name, void *value, size_t n)
{
	return raw_syscall6(SYS_fgetxattr, fd, (long)name, (long)value, (long)n, 0, 0);
}

HOSTCALL(fsetxattr, GOFERS)
int hc_fsetxattr(int fd, const char *name, const void *value, size_t n, int flags)
{
	return (int)raw_syscall6(SYS_fsetxattr, fd, (long)name, (long)value, (long)n, flags, 0);
}

HOSTCALL(flistxattr, GOFERS)
ssize_t hc_flistxattr(int fd, char *list, size_t n)
{
	return raw_syscall3(SYS_flistxattr, fd, (long)list, (long)n);
}

HOSTCALL(fremovexattr, GOFERS)
int hc_fremovexattr(int fd, const char *name)
{
	return (int)raw_syscall3(SYS_fremovexattr, fd, (long)name, 0);
}

/* ---- memory */

HOSTCALL(mmap, ALL, WITHOUT(2, PROT_EXEC))
uint64_t hc_mmap(uint64_t addr, size_t n, int prot, int flags, int fd, uint64_t off)
{
	return (uint64_t)raw_syscall6(SYS_mmap, (long)addr, (long)n, prot, flags, fd, (long)off);
}

HOSTCALL(munmap, ALL)
int hc_munmap(uint64_t addr, size_t n)
{
	return (int)raw_syscall3(SYS_munmap, (long)addr, (long)n, 0);
}

HOSTCALL(mprotect, ALL, WITHOUT(2, PROT_EXEC))
int hc_mprotect(uint64_t addr, size_t n, int prot)
{
	return (int)raw_syscall3(SYS_mprotect, (long)addr, (long)n, prot);
}

HOSTCALL(mremap, ALL)
uint64_t hc_mremap(uint64_t addr, size_t n, size_t to_n, int flags, uint64_t to)
{
	return (uint64_t)raw_syscall6(SYS_mremap, (long)addr, (long)n, (long)to_n, flags, (long)to, 0);
}

HOSTCALL(madvise, ALL)
int hc_madvise(uint64_t addr, size_t n, int advice)
{
	return (int)raw_syscall3(SYS_madvise, (long)addr, (long)n, advice);
}

HOSTCALL(msync, NOBODY)
int hc_msync(uint64_t addr, size_t n, int flags)
{
	return (int)raw_syscall3(SYS_msync, (long)addr, (long)n, flags);
}

HOSTCALL(memfd_create, SENTRY)
int hc_memfd_create(const char *name, unsigned flags)
{
	return (int)raw_syscall3(SYS_memfd_create, (long)name, flags | MFD_CLOEXEC, 0);
}

HOSTCALL(process_vm_readv, SENTRY)
ssize_t hc_process_vm_readv(int pid, const struct iovec *local, unsigned count, const struct iovec *remote,
			    unsigned remote_count)
{
	return raw_syscall6(SYS_process_vm_readv, pid, (long)local, count, (long)remote, remote_count, 0);
}

HOSTCALL(process_vm_writev, SENTRY)
ssize_t hc_process_vm_writev(int pid, const struct iovec *local, unsigned count, const struct iovec *remote,
			     unsigned remote_count)
{
	return raw_syscall6(SYS_process_vm_writev, pid, (long)local, count, (long)remote, remote_count, 0);
}

/* ---- sockets */

HOSTCALL(sendmsg, SENTRY_ALONE | GOFERS)
/* MSG_FASTOPEN connects: a socket whose connection is over must not go elsewhere */
HOSTCALL(sendmsg, SENTRY_NAT | NET, WITHOUT(2, MSG_FASTOPEN))
ssize_t hc_sendmsg(int fd, const struct msghdr *m, int flags)
{
	return raw_syscall3(SYS_sendmsg, fd, (long)m, flags | MSG_NOSIGNAL);
}

HOSTCALL(recvmsg, ALL)
ssize_t hc_recvmsg(int fd, struct msghdr *m, int flags)
{
	return raw_syscall3(SYS_recvmsg, fd, (long)m, flags | MSG_CMSG_CLOEXEC);
}

HOSTCALL(sendto, SENTRY_ALONE)
HOSTCALL(sendto, SENTRY_NAT, WITHOUT(3, MSG_FASTOPEN), IS64(4, 0))
HOSTCALL(sendto, NET, WITHOUT(3, MSG_FASTOPEN))
ssize_t hc_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *to, unsigned to_size)
{
	return raw_syscall6(SYS_sendto, fd, (long)buf, (long)n, flags | MSG_NOSIGNAL, (long)to, to_size);
}

HOSTCALL(recvfrom, SENTRY | NET)
ssize_t hc_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *from, unsigned *from_size)
{
	return raw_syscall6(SYS_recvfrom, fd, (long)buf, (long)n, flags, (long)from, (long)from_size);
}

HOSTCALL(sendmmsg, NOBODY)
int hc_sendmmsg(int fd, struct mmsghdr *v, unsigned count, int flags)
{
	return (int)raw_syscall6(SYS_sendmmsg, fd, (long)v, count, flags | MSG_NOSIGNAL, 0, 0);
}

HOSTCALL(recvmmsg, NOBODY)
int hc_recvmmsg(int fd, struct mmsghdr *v, unsigned count, int flags)
{
	return (int)raw_syscall6(SYS_recvmmsg, fd, (long)v, count, flags | MSG_CMSG_CLOEXEC, 0, 0);
}

HOSTCALL(socketpair, ALL, IS(0, AF_UNIX))
int hc_socketpair(int domain, int type, int protocol, int fds[2])
{
	return (int)raw_syscall6(SYS_socketpair, domain, type | SOCK_CLOEXEC, protocol, (long)fds, 0, 0);
}

HOSTCALL(socket, GOFER_UDS, IS(0, AF_UNIX))
HOSTCALL(socket, NET, IS(0, AF_INET), MASKED(1, 0xf, SOCK_STREAM), IS(2, 0))
HOSTCALL(socket, NET, IS(0, AF_INET6), MASKED(1, 0xf, SOCK_STREAM), IS(2, 0))
HOSTCALL(socket, NET, IS(0, AF_INET), MASKED(1, 0xf, SOCK_DGRAM), IS(2, 0))
HOSTCALL(socket, NET, IS(0, AF_INET6), MASKED(1, 0xf, SOCK_DGRAM), IS(2, 0))
HOSTCALL(socket, NET, IS(0, AF_INET), MASKED(1, 0xf, SOCK_DGRAM), IS(2, IPPROTO_ICMP))
HOSTCALL(socket, NET, IS(0, AF_INET6), MASKED(1, 0xf, SOCK_DGRAM), IS(2, IPPROTO_ICMPV6))
int hc_socket(int domain, int type, int protocol)
{
	return (int)raw_syscall3(SYS_socket, domain, type | SOCK_CLOEXEC, protocol);
}

HOSTCALL(bind, NOBODY)
int hc_bind(int fd, const struct sockaddr *sa, unsigned size)
{
	return (int)raw_syscall3(SYS_bind, fd, (long)sa, size);
}

HOSTCALL(connect, GOFER_UDS | NET)
int hc_connect(int fd, const struct sockaddr *sa, unsigned size)
{
	return (int)raw_syscall3(SYS_connect, fd, (long)sa, size);
}

HOSTCALL(listen, NOBODY)
int hc_listen(int fd, int backlog)
{
	return (int)raw_syscall3(SYS_listen, fd, backlog, 0);
}

HOSTCALL(accept4, NET)
int hc_accept4(int fd, struct sockaddr *sa, unsigned *size, int flags)
{
	return (int)raw_syscall6(SYS_accept4, fd, (long)sa, (long)size, flags | SOCK_CLOEXEC, 0, 0);
}

HOSTCALL(shutdown, SENTRY_NAT)
int hc_shutdown(int fd, int how)
{
	return (int)raw_syscall3(SYS_shutdown, fd, how, 0);
}

HOSTCALL(getsockopt, SENTRY_NAT | NET, IS(1, SOL_SOCKET), IS(2, SO_ERROR))
HOSTCALL(getsockopt, SENTRY_NAT, IS(1, IPPROTO_TCP), IS(2, TCP_INFO))
int hc_getsockopt(int fd, int level, int name, void *value, unsigned *size)
{
	return (int)raw_syscall6(SYS_getsockopt, fd, level, name, (long)value, (long)size, 0);
}

HOSTCALL(setsockopt, BOTH, IS(1, SOL_SOCKET), IS(2, SO_RCVTIMEO))
HOSTCALL(setsockopt, BOTH, IS(1, SOL_SOCKET), IS(2, SO_SNDTIMEO))
HOSTCALL(setsockopt, SENTRY_NAT, IS(1, IPPROTO_TCP), IS(2, TCP_NODELAY))
HOSTCALL(setsockopt, SENTRY_NAT, IS(1, IPPROTO_TCP), IS(2, TCP_CORK))
HOSTCALL(setsockopt, SENTRY_NAT, IS(1, IPPROTO_TCP), IS(2, TCP_QUICKACK))
HOSTCALL(setsockopt, SENTRY_NAT, IS(1, IPPROTO_TCP), IS(2, TCP_KEEPIDLE))
HOSTCALL(setsockopt, SENTRY_NAT, IS(1, IPPROTO_TCP), IS(2, TCP_KEEPINTVL))
HOSTCALL(setsockopt, SENTRY_NAT, IS(1, IPPROTO_TCP), IS(2, TCP_KEEPCNT))
HOSTCALL(setsockopt, SENTRY_NAT, IS(1, IPPROTO_TCP), IS(2, TCP_USER_TIMEOUT))
HOSTCALL(setsockopt, SENTRY_NAT, IS(1, IPPROTO_TCP), IS(2, TCP_NOTSENT_LOWAT))
HOSTCALL(setsockopt, SENTRY_NAT, IS(1, SOL_SOCKET), IS(2, SO_KEEPALIVE))
HOSTCALL(setsockopt, SENTRY_NAT, IS(1, SOL_SOCKET), IS(2, SO_OOBINLINE))
HOSTCALL(setsockopt, SENTRY_NAT, IS(1, SOL_SOCKET), IS(2, SO_RCVLOWAT))
HOSTCALL(setsockopt, SENTRY_NAT, IS(1, SOL_SOCKET), IS(2, SO_SNDBUF))
HOSTCALL(setsockopt, SENTRY_NAT, IS(1, SOL_SOCKET), IS(2, SO_RCVBUF))
HOSTCALL(setsockopt, SENTRY_NAT | NET, IS(1, SOL_SOCKET), IS(2, SO_LINGER))
HOSTCALL(setsockopt, NET, IS(1, IPPROTO_IP), IS(2, IP_RECVERR))
HOSTCALL(setsockopt, NET, IS(1, IPPROTO_IPV6), IS(2, IPV6_RECVERR))
HOSTCALL(setsockopt, NET, IS(1, IPPROTO_IP), IS(2, IP_TTL))
HOSTCALL(setsockopt, NET, IS(1, IPPROTO_IPV6), IS(2, IPV6_UNICAST_HOPS))
HOSTCALL(setsockopt, NET, IS(1, IPPROTO_IPV6), IS(2, IPV6_V6ONLY))
int hc_setsockopt(int fd, int level, int name, const void *value, unsigned size)
{
	return (int)raw_syscall6(SYS_setsockopt, fd, level, name, (long)value, size, 0);
}

HOSTCALL(getsockname, NOBODY)
int hc_getsockname(int fd, struct sockaddr *sa, unsigned *size)
{
	return (int)raw_syscall3(SYS_getsockname, fd, (long)sa, (long)size);
}

HOSTCALL(getpeername, NOBODY)
int hc_getpeername(int fd, struct sockaddr *sa, unsigned *size)
{
	return (int)raw_syscall3(SYS_getpeername, fd, (long)sa, (long)size);
}

/* ---- waiting */

HOSTCALL(ppoll, SENTRY)
int hc_ppoll(struct pollfd *fds, unsigned count, const struct timespec *timeout, const uint64_t *mask)
{
	struct timespec ts; /* the call writes the rest of the time back */

	if (timeout)
		ts = *timeout;
	return (int)raw_syscall6(SYS_ppoll, (long)fds, count, timeout ? (long)&ts : 0, (long)mask,
				 sizeof(*mask), 0);
}

HOSTCALL(epoll_create1, SENTRY | NET)
int hc_epoll_create(void)
{
	return (int)raw_syscall3(SYS_epoll_create1, EPOLL_CLOEXEC, 0, 0);
}

HOSTCALL(epoll_ctl, SENTRY | NET)
int hc_epoll_ctl(int ep, int op, int fd, struct epoll_event *ev)
{
	return (int)raw_syscall6(SYS_epoll_ctl, ep, op, fd, (long)ev, 0, 0);
}

HOSTCALL(epoll_pwait, SENTRY | NET)
int hc_epoll_pwait(int ep, struct epoll_event *ev, int count, int timeout_ms)
{
	return (int)raw_syscall6(SYS_epoll_pwait, ep, (long)ev, count, timeout_ms, 0, 8);
}

HOSTCALL(futex, ALL)
int hc_futex(uint32_t *word, int op, uint32_t val, const struct timespec *timeout, uint32_t *word2,
	     uint32_t val3)
{
	return (int)raw_syscall6(SYS_futex, (long)word, op, val, (long)timeout, (long)word2, val3);
}

HOSTCALL(clock_nanosleep, SENTRY)
int hc_clock_nanosleep(int clock, int flags, const struct timespec *ts, struct timespec *left)
{
	return (int)raw_syscall6(SYS_clock_nanosleep, clock, flags, (long)ts, (long)left, 0, 0);
}

HOSTCALL(clock_gettime, ALL)
int hc_clock_gettime(int clock, struct timespec *ts)
{
	return (int)raw_syscall3(SYS_clock_gettime, clock, (long)ts, 0);
}

HOSTCALL(sched_yield, ALL)
int hc_sched_yield(void)
{
	return (int)raw_syscall3(SYS_sched_yield, 0, 0, 0);
}

/* ---- processes */

HOSTCALL(ptrace, PTRACE)
long hc_ptrace(long req, int pid, uint64_t addr, uint64_t data)
{
	return raw_syscall6(SYS_ptrace, req, pid, (long)addr, (long)data, 0, 0);
}

HOSTCALL(wait4, SENTRY)
int hc_wait4(int pid, int *status, int options, struct rusage *ru)
{
	return (int)raw_syscall6(SYS_wait4, pid, (long)status, options, (long)ru, 0, 0);
}

HOSTCALL(waitid, SYSTRAP)
int hc_waitid(int idtype, int id, void *info, int options)
{
	return (int)raw_syscall6(SYS_waitid, idtype, id, (long)info, options, 0, 0);
}

HOSTCALL(getpgid, SYSTRAP)
int hc_getpgid(int pid)
{
	return (int)raw_syscall3(SYS_getpgid, pid, 0, 0);
}

HOSTCALL(setpgid, NOBODY)
int hc_setpgid(int pid, int pgid)
{
	return (int)raw_syscall3(SYS_setpgid, pid, pgid, 0);
}

HOSTCALL(tgkill, ALL)
int hc_tgkill(int tgid, int tid, int sig)
{
	return (int)raw_syscall3(SYS_tgkill, tgid, tid, sig);
}

HOSTCALL(kill, SENTRY)
int hc_kill(int pid, int sig)
{
	return (int)raw_syscall3(SYS_kill, pid, sig, 0);
}

HOSTCALL(getpid, ALL)
int hc_getpid(void)
{
	return (int)raw_syscall3(SYS_getpid, 0, 0, 0);
}

HOSTCALL(gettid, ALL)
int hc_gettid(void)
{
	return (int)raw_syscall3(SYS_gettid, 0, 0, 0);
}

HOSTCALL(getppid, NOBODY)
int hc_getppid(void)
{
	return (int)raw_syscall3(SYS_getppid, 0, 0, 0);
}

HOSTCALL(getuid, GOFERS)
unsigned hc_getuid(void)
{
	return (unsigned)raw_syscall3(SYS_getuid, 0, 0, 0);
}

HOSTCALL(getgid, GOFERS)
unsigned hc_getgid(void)
{
	return (unsigned)raw_syscall3(SYS_getgid, 0, 0, 0);
}

HOSTCALL(prctl, BOTH, IS(0, PR_SET_NAME))
int hc_prctl(int op, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	return (int)raw_syscall6(SYS_prctl, op, (long)a, (long)b, (long)c, (long)d, 0);
}

HOSTCALL(arch_prctl, NOBODY)
int hc_arch_prctl(int op, uint64_t addr)
{
	return (int)raw_syscall3(SYS_arch_prctl, op, (long)addr, 0);
}

HOSTCALL(prlimit64, NOBODY)
int hc_prlimit(int pid, int resource, const struct rlimit64 *set, struct rlimit64 *old)
{
	return (int)raw_syscall6(SYS_prlimit64, pid, resource, (long)set, (long)old, 0, 0);
}

HOSTCALL(rt_sigprocmask, ALL)
int hc_sigprocmask(int how, const uint64_t *set, uint64_t *old)
{
	return (int)raw_syscall6(SYS_rt_sigprocmask, how, (long)set, (long)old, 8, 0, 0);
}

HOSTCALL(rt_sigaction, BOTH, IS(0, 32))
HOSTCALL(rt_sigaction, BOTH, IS(0, 33))
int hc_sigaction(int sig, const struct hc_sigaction *act, struct hc_sigaction *old)
{
	return (int)raw_syscall6(SYS_rt_sigaction, sig, (long)act, (long)old, 8, 0, 0);
}

HOSTCALL(clone, NOBODY)
int hc_fork(uint64_t flags)
{
	return (int)raw_syscall6(SYS_clone, (long)flags, 0, 0, 0, 0, 0);
}

HOSTCALL(rseq, ALL)
int hc_rseq(uint64_t area, unsigned size, int flags, uint32_t sig)
{
	return (int)raw_syscall6(SYS_rseq, (long)area, size, flags, sig, 0, 0);
}

HOSTCALL(seccomp, NOBODY)
int hc_seccomp(unsigned op, unsigned flags, void *arg)
{
	return (int)raw_syscall3(SYS_seccomp, op, flags, (long)arg);
}

HOSTCALL(setpriority, NOBODY)
int hc_setpriority(int which, int who, int prio)
{
	return (int)raw_syscall3(SYS_setpriority, which, who, prio);
}

HOSTCALL(sched_getaffinity, BOTH)
int hc_sched_getaffinity(int pid, size_t n, void *mask)
{
	return (int)raw_syscall3(SYS_sched_getaffinity, pid, (long)n, (long)mask);
}

HOSTCALL(sched_setaffinity, NOBODY)
int hc_sched_setaffinity(int pid, size_t n, const void *mask)
{
	return (int)raw_syscall3(SYS_sched_setaffinity, pid, (long)n, (long)mask);
}

HOSTCALL(membarrier, SENTRY, IS(0, MEMBARRIER_CMD_GLOBAL))
int hc_membarrier(int cmd, unsigned flags)
{
	return (int)raw_syscall3(SYS_membarrier, cmd, flags, 0);
}

HOSTCALL(pidfd_open, NOBODY)
int hc_pidfd_open(int pid, unsigned flags)
{
	return (int)raw_syscall3(SYS_pidfd_open, pid, flags, 0);
}

HOSTCALL(pidfd_getfd, NOBODY)
int hc_pidfd_getfd(int pidfd, int fd)
{
	return (int)raw_syscall3(SYS_pidfd_getfd, pidfd, fd, 0);
}

HOSTCALL(pidfd_send_signal, NOBODY)
int hc_pidfd_send_signal(int pidfd, int sig)
{
	return (int)raw_syscall6(SYS_pidfd_send_signal, pidfd, sig, 0, 0, 0, 0);
}

HOSTCALL(capset, NOBODY)
int hc_set_capabilities(uint64_t caps)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{.effective = (uint32_t)caps, .permitted = (uint32_t)caps},
		{.effective = (uint32_t)(caps >> 32), .permitted = (uint32_t)(caps >> 32)}};

	return (int)raw_syscall3(SYS_capset, (long)&head, (long)data, 0);
}

HOSTCALL(unshare, NOBODY)
int hc_unshare(int flags)
{
	return (int)raw_syscall3(SYS_unshare, flags, 0, 0);
}

HOSTCALL(setns, NOBODY)
int hc_setns(int fd, int type)
{
	return (int)raw_syscall3(SYS_setns, fd, type, 0);
}

HOSTCALL(getrandom, ALL)
ssize_t hc_getrandom(void *buf, size_t n, unsigned flags)
{
	return raw_syscall3(SYS_getrandom, (long)buf, (long)n, flags);
}

HOSTCALL(exit_group, ALL)
NORETURN void hc_exit_group(int code)
{
	for (;;)
		raw_syscall3(SYS_exit_group, code, 0, 0);
}

HOSTCALL(exit, ALL)
NORETURN void hc_exit_thread(int code)
{
	for (;;)
		raw_syscall3(SYS_exit, code, 0, 0);
}

/* ---- what the C library calls by itself */

HOSTCALL(poll, SENTRY)
HOSTCALL(brk, ALL)
HOSTCALL(set_robust_list, ALL)
HOSTCALL(rt_sigreturn, ALL)
HOSTCALL(restart_syscall, ALL)
/* Threads, and nothing else that can be cloned. clone3 hides its flags in memory; without it the C library
 * uses clone. */
HOSTCALL(clone, BOTH,
	 IS64(0, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
			 CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID))
HOSTCALL(clone, BOTH, /* musl's also says what is long the case */
	 IS64(0, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
			 CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | CLONE_DETACHED))
HOSTCALL_ERRNO(clone3, BOTH, ENOSYS)
