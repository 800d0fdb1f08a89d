/* types.h: structures of the Linux x86-64 ABI that several rooms share. A guest address is an integer:
 * never cast it to a pointer. */
#pragma once

#include <stdint.h>

typedef uint64_t uaddr_t;

struct linux_timespec {
	int64_t tv_sec, tv_nsec;
};

struct linux_timeval {
	int64_t tv_sec, tv_usec;
};

struct linux_itimerspec {
	struct linux_timespec it_interval, it_value;
};

struct linux_itimerval {
	struct linux_timeval it_interval, it_value;
};

struct linux_iovec {
	uaddr_t iov_base;
	uint64_t iov_len;
};

struct linux_stat {
	uint64_t st_dev, st_ino, st_nlink;
	uint32_t st_mode, st_uid, st_gid, pad0;
	uint64_t st_rdev;
	int64_t st_size, st_blksize, st_blocks;
	struct linux_timespec st_atim, st_mtim, st_ctim;
	int64_t unused[3];
};

struct linux_statx_timestamp {
	int64_t tv_sec;
	uint32_t tv_nsec;
	int32_t reserved;
};

struct linux_statx {
	uint32_t stx_mask, stx_blksize;
	uint64_t stx_attributes;
	uint32_t stx_nlink, stx_uid, stx_gid;
	uint16_t stx_mode, spare0;
	uint64_t stx_ino, stx_size, stx_blocks, stx_attributes_mask;
	struct linux_statx_timestamp stx_atime, stx_btime, stx_ctime, stx_mtime;
	uint32_t stx_rdev_major, stx_rdev_minor, stx_dev_major, stx_dev_minor;
	uint64_t stx_mnt_id;
	uint32_t stx_dio_mem_align, stx_dio_offset_align;
	uint64_t spare3[12];
};

struct linux_statfs {
	int64_t f_type, f_bsize, f_blocks, f_bfree, f_bavail, f_files, f_ffree;
	int32_t f_fsid[2];
	int64_t f_namelen, f_frsize, f_flags, f_spare[4];
};

struct linux_dirent64 {
	uint64_t d_ino;
	int64_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[];
};

struct linux_flock {
	int16_t l_type, l_whence;
	int32_t pad0;
	int64_t l_start, l_len;
	int32_t l_pid, pad1;
};

struct linux_open_how {
	uint64_t flags, mode, resolve;
};

struct linux_pollfd {
	int32_t fd;
	int16_t events, revents;
};

struct linux_epoll_event {
	uint32_t events;
	uint64_t data;
} __attribute__((packed));

/* one bit a signal, bit 0 is signal 1 */
typedef uint64_t linux_sigset_t;

struct linux_sigaction {
	uaddr_t sa_handler;
	uint64_t sa_flags;
	uaddr_t sa_restorer;
	linux_sigset_t sa_mask;
};

struct linux_sigaltstack {
	uaddr_t ss_sp;
	int32_t ss_flags, pad;
	uint64_t ss_size;
};

union linux_sigval {
	int32_t sival_int;
	uaddr_t sival_ptr;
};

struct linux_siginfo {
	int32_t si_signo, si_errno, si_code, pad0;
	union {
		struct {
			int32_t si_pid;
			uint32_t si_uid;
			union linux_sigval si_value;
		} kill; /* also sigqueue */
		struct {
			int32_t si_tid, si_overrun;
			union linux_sigval si_value;
			int32_t si_sys_private;
		} timer;
		struct {
			int32_t si_pid;
			uint32_t si_uid;
			int32_t si_status, pad;
			int64_t si_utime, si_stime;
		} chld;
		struct {
			uaddr_t si_addr;
			int16_t si_addr_lsb;
			uint16_t pad[3];
			uaddr_t si_lower, si_upper;
		} fault;
		struct {
			int64_t si_band;
			int32_t si_fd;
		} poll;
		struct {
			uaddr_t si_call_addr;
			int32_t si_syscall;
			uint32_t si_arch;
		} sys;
		uint8_t bytes[112];
	};
};

struct linux_sigevent {
	union linux_sigval sigev_value;
	int32_t sigev_signo, sigev_notify, sigev_tid, pad[11];
};

struct linux_signalfd_siginfo {
	uint32_t ssi_signo;
	int32_t ssi_errno, ssi_code;
	uint32_t ssi_pid, ssi_uid;
	int32_t ssi_fd;
	uint32_t ssi_tid, ssi_band, ssi_overrun, ssi_trapno;
	int32_t ssi_status, ssi_int;
	uint64_t ssi_ptr, ssi_utime, ssi_stime, ssi_addr;
	uint16_t ssi_addr_lsb, pad2;
	int32_t ssi_syscall;
	uint64_t ssi_call_addr;
	uint32_t ssi_arch;
	uint8_t pad[28];
};

struct linux_rlimit {
	uint64_t rlim_cur, rlim_max;
};

struct linux_rusage {
	struct linux_timeval ru_utime, ru_stime;
	int64_t ru_maxrss, ru_ixrss, ru_idrss, ru_isrss, ru_minflt, ru_majflt, ru_nswap, ru_inblock, ru_oublock,
		ru_msgsnd, ru_msgrcv, ru_nsignals, ru_nvcsw, ru_nivcsw;
};

struct linux_tms {
	int64_t tms_utime, tms_stime, tms_cutime, tms_cstime;
};

struct linux_utsname {
	char sysname[65], nodename[65], release[65], version[65], machine[65], domainname[65];
};

struct linux_sysinfo {
	int64_t uptime;
	uint64_t loads[3], totalram, freeram, sharedram, bufferram, totalswap, freeswap;
	uint16_t procs, pad[3];
	uint64_t totalhigh, freehigh;
	uint32_t mem_unit;
	char f[4];
};

struct linux_winsize {
	uint16_t ws_row, ws_col, ws_xpixel, ws_ypixel;
};

struct linux_termios {
	uint32_t c_iflag, c_oflag, c_cflag, c_lflag;
	uint8_t c_line, c_cc[19];
};

struct linux_termios2 {
	uint32_t c_iflag, c_oflag, c_cflag, c_lflag;
	uint8_t c_line, c_cc[19];
	uint32_t c_ispeed, c_ospeed;
};

struct linux_clone_args {
	uint64_t flags;
	uaddr_t pidfd, child_tid, parent_tid;
	uint64_t exit_signal;
	uaddr_t stack;
	uint64_t stack_size;
	uaddr_t tls, set_tid;
	uint64_t set_tid_size, cgroup;
};

struct linux_robust_list_head {
	uaddr_t list;
	int64_t futex_offset;
	uaddr_t list_op_pending;
};

struct linux_msghdr {
	uaddr_t msg_name;
	int32_t msg_namelen, pad0;
	uaddr_t msg_iov;
	uint64_t msg_iovlen;
	uaddr_t msg_control;
	uint64_t msg_controllen;
	int32_t msg_flags, pad1;
};

struct linux_mmsghdr {
	struct linux_msghdr msg_hdr;
	uint32_t msg_len, pad;
};

struct linux_cmsghdr {
	uint64_t cmsg_len;
	int32_t cmsg_level, cmsg_type;
};

struct linux_ucred {
	int32_t pid;
	uint32_t uid, gid;
};

struct linux_sockaddr_un {
	uint16_t sun_family;
	char sun_path[108];
};

struct linux_sched_param {
	int32_t sched_priority;
};

struct linux_f_owner_ex {
	int32_t type, pid;
};

struct linux_file_clone_range {
	int64_t src_fd;
	uint64_t src_offset, src_length, dest_offset;
};

struct linux_inotify_event {
	int32_t wd;
	uint32_t mask, cookie, len;
	char name[];
};

struct linux_cap_header {
	uint32_t version;
	int32_t pid;
};

struct linux_cap_data {
	uint32_t effective, permitted, inheritable;
};

/* System V IPC: the 64-bit forms, the only ones on x86-64 */
struct linux_ipc_perm {
	int32_t key;
	uint32_t uid, gid, cuid, cgid, mode;
	uint16_t seq, pad2, pad3[2];
	uint64_t unused1, unused2;
};

struct linux_shmid_ds {
	struct linux_ipc_perm shm_perm;
	uint64_t shm_segsz;
	int64_t shm_atime, shm_dtime, shm_ctime;
	int32_t shm_cpid, shm_lpid;
	uint64_t shm_nattch, unused4, unused5;
};

struct linux_shminfo {
	uint64_t shmmax, shmmin, shmmni, shmseg, shmall, unused[4];
};

struct linux_shm_info {
	int32_t used_ids, pad;
	uint64_t shm_tot, shm_rss, shm_swp, swap_attempts, swap_successes;
};

struct linux_semid_ds {
	struct linux_ipc_perm sem_perm;
	int64_t sem_otime;
	uint64_t unused1;
	int64_t sem_ctime;
	uint64_t unused2, sem_nsems, unused3, unused4;
};

struct linux_seminfo {
	int32_t semmap, semmni, semmns, semmnu, semmsl, semopm, semume, semusz, semvmx, semaem;
};

struct linux_sembuf {
	uint16_t sem_num;
	int16_t sem_op, sem_flg;
};

struct linux_msqid_ds {
	struct linux_ipc_perm msg_perm;
	int64_t msg_stime, msg_rtime, msg_ctime;
	uint64_t msg_cbytes, msg_qnum, msg_qbytes;
	int32_t msg_lspid, msg_lrpid;
	uint64_t unused4, unused5;
};

struct linux_msginfo {
	int32_t msgpool, msgmap, msgmax, msgmnb, msgmni, msgssz, msgtql;
	uint16_t msgseg, pad;
};

struct linux_mq_attr {
	int64_t mq_flags, mq_maxmsg, mq_msgsize, mq_curmsgs, reserved[4];
};
