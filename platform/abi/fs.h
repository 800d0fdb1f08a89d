/* fs.h: constants of the file calls that are not in fcntl.h: file types, lseek, flock, renameat2, preadv2,
 * utimensat, splice, eventfd, advice: the values of the Linux x86-64 ABI. */
#pragma once

#ifndef LINUX_S_IFMT
#define LINUX_S_IFMT   0170000
#define LINUX_S_IFSOCK 0140000
#define LINUX_S_IFLNK  0120000
#define LINUX_S_IFREG  0100000
#define LINUX_S_IFBLK  0060000
#define LINUX_S_IFDIR  0040000
#define LINUX_S_IFCHR  0020000
#define LINUX_S_IFIFO  0010000
#endif

#define LINUX_SEEK_SET	0
#define LINUX_SEEK_CUR	1
#define LINUX_SEEK_END	2
#define LINUX_SEEK_DATA 3
#define LINUX_SEEK_HOLE 4

#define LINUX_LOCK_SH 1
#define LINUX_LOCK_EX 2
#define LINUX_LOCK_NB 4
#define LINUX_LOCK_UN 8

#define LINUX_RENAME_NOREPLACE 1
#define LINUX_RENAME_EXCHANGE  2
#define LINUX_RENAME_WHITEOUT  4

#define LINUX_RWF_HIPRI	   0x1
#define LINUX_RWF_DSYNC	   0x2
#define LINUX_RWF_SYNC	   0x4
#define LINUX_RWF_NOWAIT   0x8
#define LINUX_RWF_APPEND   0x10
#define LINUX_RWF_NOAPPEND 0x20

#define LINUX_UTIME_NOW	 0x3fffffff
#define LINUX_UTIME_OMIT 0x3ffffffe

#define LINUX_SPLICE_F_MOVE	1
#define LINUX_SPLICE_F_NONBLOCK 2
#define LINUX_SPLICE_F_MORE	4
#define LINUX_SPLICE_F_GIFT	8

#define LINUX_EFD_SEMAPHORE 1
#define LINUX_EFD_NONBLOCK  04000
#define LINUX_EFD_CLOEXEC   02000000

#define LINUX_POSIX_FADV_DONTNEED 4
#define LINUX_POSIX_FADV_NOREUSE  5

#define LINUX_SYNC_FILE_RANGE_WAIT_BEFORE 1
#define LINUX_SYNC_FILE_RANGE_WRITE	  2
#define LINUX_SYNC_FILE_RANGE_WAIT_AFTER  4

#define LINUX_FIGETBSZ 2

#define LINUX_O_ASYNC 020000

#define LINUX_F_DUPFD_QUERY   0x403
#define LINUX_F_CREATED_QUERY 0x404
