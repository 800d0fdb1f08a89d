/* file.h: open file descriptions, descriptor tables, and the operations behind them. No operation waits for
 * guest events: it returns -EAGAIN, and the caller (kernel/block.c) waits on f->wq if the file is blocking. */
#pragma once

#include "platform/abi/fcntl.h"
#include "sentry/vfs/vfs.h"

struct strbuf;
struct socket;
struct tty;

/* Emits one entry; returns false when the caller's buffer is full (the entry isn't consumed). next: the
 * offset that continues behind it. type: DT_*. */
struct dir_context {
	bool (*emit)(struct dir_context *ctx, const char *name, size_t len, uint64_t ino, uint32_t type,
		     uint64_t next);
	uint64_t pos;
};

/* A NULL slot: the error named. Called without locks. */
struct file_ops {
	/* pos NULL: not seekable. Moves *pos. 0 at the end; -EAGAIN: would block. NULL: -EINVAL */
	ssize_t (*read)(struct file *f, struct uio *dst, uint64_t *pos);
	ssize_t (*write)(struct file *f, struct uio *src, uint64_t *pos);
	/* EV_* now. NULL: EV_IN | EV_OUT */
	uint32_t (*ready)(struct file *f);
	/* 0, or -EAGAIN while open(2) has to wait (a FIFO without its other end). NULL: 0 */
	int (*open_ready)(struct file *f);
	int64_t (*ioctl)(struct file *f, uint32_t cmd, uint64_t arg, const struct usermem *um,
			 const struct cred *cred); /* -ENOTTY */
	/* Directory entries from ctx->pos on, "." and ".." included; sets ctx->pos. 0 or -errno. -ENOTDIR */
	int (*iterate)(struct file *f, struct dir_context *ctx);
	int64_t (*seek)(struct file *f, int64_t off,
			int whence);		      /* NULL: by inode size; -ESPIPE if !seekable */
	int (*fsync)(struct file *f, bool data_only); /* 0 */
	int (*fallocate)(struct file *f, int mode, uint64_t off, uint64_t len); /* -EOPNOTSUPP */
	/* What to map; borrowed from f. NULL: &inode->map if it has ops, else -ENODEV */
	int (*mappable)(struct file *f, struct mappable **out);
	/* What can be read in f's place while its inode's word of changes.h stays: borrowed from f; its host
	 * descriptor is open read-only. -ENODEV when there is none at the moment. NULL: never */
	int (*window)(struct file *f, struct mappable **out);
	int (*set_flags)(struct file *f, uint32_t flags); /* F_SETFL's O_NONBLOCK, O_DIRECT, ... 0 */
	int (*flush)(struct file *f);			  /* each close(2) */
	void (*release)(struct file *f);		  /* the last reference went */
	/* Anonymous files: opened again through /proc/pid/fd and the like, as inode_ops.open (NULL: -ENXIO);
	 * and the inode goes, after every file of it (what inode->bound holds) */
	int (*reopen)(struct inode *inode, struct file *f);
	void (*inode_gone)(struct inode *inode);
	void (*show_fdinfo)(struct file *f, struct strbuf *out);
	/* Fast copies inside one file system; bytes, or -EOPNOTSUPP (then a loop copies) */
	ssize_t (*copy_range)(struct file *in, uint64_t in_off, struct file *out, uint64_t out_off, uint64_t n);
	/* Terminals only (kernel/tty.h): the terminal behind f, borrowed from f; a pty master gives its
	 * slave's. NULL slot: not a terminal. */
	struct tty *(*tty)(struct file *f);
	bool tty_master; /* the master side: no job control on read and write */
	/* /dev/tty only: becomes an open of the caller's controlling terminal (may replace f->ops, f->priv,
	 * f->wq; f isn't visible to others yet). Called by kernel/block.c: file_open_block. */
	int (*open_ctty)(struct file *f, struct tty *tty);
	/* SO_RCVTIMEO, SO_SNDTIMEO: how long a blocking read or write waits, ns; 0: for ever. NULL: for ever */
	uint64_t (*timeout)(struct file *f, bool write);
	bool timeout_ends; /* a read that timed out gives 0, not -EAGAIN (VTIME of terminals) */
	bool seekable;	   /* has a position */
	bool discards;	   /* writes take whatever there is, and nothing happens (/dev/null) */
	bool map_anon;	   /* mmap(2) of it is anonymous memory (/dev/zero) */
	bool is_socket;	   /* priv is a struct socket */
	const char *name;  /* "anon_inode:[eventfd]" for /proc/pid/fd; NULL: the path */
};

/* Head of what signal-driven I/O hangs off a file: taken out before the file goes. */
struct file_async {
	void (*release)(struct file *f);
};

/* An open file description. */
struct file {
	struct refs refs;
	const struct file_ops *ops; /* [I] */
	struct path path;	    /* [I] references; anonymous files have a dentry of their own */
	struct inode *inode;	    /* [I] reference */
	struct cred *cred;	    /* [I] the opener's; reference */
	uint32_t flags;		    /* [a] LINUX_O_*: access mode and status */
	uint64_t pos;		    /* [pos_lock] */
	struct mutex pos_lock;	    /* rank FILE_POS */
	struct waitq *wq;	    /* [I] borrowed from the object behind; NULL: always ready */
	void *priv;		    /* [I] after open; the object behind */
	struct list epolls;	    /* [EPOLL] epoll items that watch it */
	/* F_SETOWN: kernel delivers the signal; kept opaque here */
	uint32_t uses;				 /* [a] kernel/lent.c's */
	int32_t owner_type, owner_id, owner_sig; /* [a] */
	struct file_async *fasync; /* [a] F_SETOWN, O_ASYNC: the kernel's registration; set once */
	struct mount *write_mount; /* [I] holds a write claim on this mount; NULL: none */
	bool claims_inode;	   /* [I] counts in inode->write_count */
};

/* Access mode 3 can do neither (only ioctl), and O_PATH files nothing at all. */
#define FILE_CAN_READ(f)  (!((f)->flags & (LINUX_O_PATH | 1)))
#define FILE_CAN_WRITE(f) (!((f)->flags & LINUX_O_PATH) && (((f)->flags & 3) == 1 || ((f)->flags & 3) == 2))

static inline struct file *file_get(struct file *f)
{
	refs_get(&f->refs);
	return f;
}
void file_put(struct file *f);
/* An anonymous file: an inode of the anon super (mode: type and bits), ops, priv. ino_out may be NULL.
 * cred borrowed. */
MUST_CHECK int file_create_anon(struct vfs *v, const struct file_ops *ops, void *priv, uint32_t flags,
				uint32_t mode, const struct cred *cred, struct waitq *wq, struct file **out);

/* One try, position handling and access-mode checks included; -EAGAIN as the operation gave it. */
ssize_t file_read(struct file *f, struct uio *dst);
ssize_t file_write(struct file *f, struct uio *src);
ssize_t file_pread(struct file *f, struct uio *dst, uint64_t pos);
ssize_t file_pwrite(struct file *f, struct uio *src, uint64_t pos);
/* Whole reads into kernel memory, for the loader; short only at the end. */
ssize_t file_read_kernel(struct file *f, void *dst, size_t n, uint64_t pos);
int64_t file_seek(struct file *f, int64_t off, int whence);
/* What a NULL seek slot does, for those that only differ in some whence: by inode size; f->pos_lock held. */
int64_t file_default_seek(struct file *f, int64_t off, int whence);
static inline uint32_t file_ready(struct file *f)
{
	return f->ops->ready ? f->ops->ready(f) : EV_IN | EV_OUT | EV_RDNORM | EV_WRNORM;
}
MUST_CHECK int file_mappable(struct file *f, struct mappable **out);
/* cred: the caller's, for set-id bits; NULL: the opener's. */
MUST_CHECK int file_truncate(struct file *f, uint64_t size);
MUST_CHECK int file_truncate_as(struct file *f, uint64_t size, const struct cred *cred);
/* The operation and what it entails; access and arguments were checked. */
MUST_CHECK int vfs_fallocate(struct file *f, int mode, uint64_t off, uint64_t len, const struct cred *cred);
/* ops->iterate of a directory, with the marks that reading it leaves. */
MUST_CHECK int vfs_iterate(struct file *f, struct dir_context *ctx);
/* The limit RLIMIT_FSIZE is the caller's business. Bytes copied, or -errno. */
ssize_t file_copy_range(struct file *in, uint64_t *in_off, struct file *out, uint64_t *out_off, uint64_t n);

/* Descriptor table: shared by CLONE_FILES. Lock: rank FDTABLE. */
struct fdtable {
	struct refs refs;
	struct mutex lock;
	struct file **files; /* [lock] */
	uint64_t *cloexec;   /* [lock] bitmap */
	uint64_t *used;	     /* [lock] bitmap */
	uint32_t size;	     /* [lock] slots; a multiple of 64 */
	uint32_t hint;	     /* [lock] no free slot below it */
	uint32_t count;	     /* [lock] */
};
MUST_CHECK int fdtable_create(struct fdtable **out);
/* A copy (fork, unshare); from: only descriptors below it. */
MUST_CHECK int fdtable_copy(struct fdtable *t, struct fdtable **out);
static inline struct fdtable *fdtable_get_ref(struct fdtable *t)
{
	refs_get(&t->refs);
	return t;
}
/* The last put closes all. owner: see file_close. */
void fdtable_put(struct fdtable *t, void *owner);
/* A reference to the file, or NULL. */
struct file *fdtable_get(struct fdtable *t, int fd);
/* Lowest free descriptor >= min and < limit; takes its own reference. -EMFILE. */
MUST_CHECK int fdtable_install(struct fdtable *t, struct file *f, int min, uint64_t limit, bool cloexec);
/* dup2: closes what was there. -EBADF when fd >= limit. */
MUST_CHECK int fdtable_install_at(struct fdtable *t, struct file *f, int fd, uint64_t limit, bool cloexec,
				  void *owner);
/* close(2): flush's result or -EBADF. owner: whose POSIX locks go (a struct of the caller's, by address). */
MUST_CHECK int fdtable_close(struct fdtable *t, int fd, void *owner);
MUST_CHECK int fdtable_close_range(struct fdtable *t, uint32_t first, uint32_t last, bool set_cloexec,
				   void *owner);
void fdtable_close_on_exec(struct fdtable *t, void *owner);
MUST_CHECK int fdtable_get_cloexec(struct fdtable *t, int fd);
MUST_CHECK int fdtable_set_cloexec(struct fdtable *t, int fd, bool on);
/* The lowest used descriptor >= fd, or -1; for /proc/pid/fd. */
int fdtable_next(struct fdtable *t, int fd);

/* Record locks (fcntl), open-file-description locks, flock(2). 0, -EAGAIN (conflict: wait on flock_waitq if
 * the caller blocks), or an error. owner: by address. */
MUST_CHECK int vfs_posix_lock(struct file *f, void *owner, int32_t pid, bool ofd, const struct linux_flock *fl);
MUST_CHECK int vfs_posix_getlk(struct file *f, void *owner, bool ofd, struct linux_flock *fl);
MUST_CHECK int vfs_flock(struct file *f, int operation); /* LOCK_SH, EX, UN; LOCK_NB is the caller's */
MUST_CHECK int vfs_flock_waitq(struct file *f, struct waitq **out); /* lives as long as f */
void vfs_locks_release(struct file *f, void *owner); /* all of owner's record locks on the inode */
/* F_SETLKW: after vfs_posix_lock (not OFD) said -EAGAIN and before sleeping, note that owner waits for those
 * in its way: 0, or -EDEADLK when they wait for owner. Undone by vfs_posix_wait_end (once per success; w is
 * the caller's memory, one per sleeping thread). */
struct lock_wait {
	struct list node;
	void *owner;
	struct inode *inode;
	struct linux_flock fl; /* l_start, l_len resolved */
	bool queued;
};
MUST_CHECK int vfs_posix_wait_begin(struct file *f, void *owner, const struct linux_flock *fl,
				    struct lock_wait *w);
void vfs_posix_wait_end(struct file *f, struct lock_wait *w);

/* poll/select/epoll support */
struct epoll;
MUST_CHECK int epoll_create_file(struct vfs *v, const struct cred *cred, uint32_t flags, struct file **out);
bool file_is_epoll(const struct file *f);
MUST_CHECK int epoll_control(struct file *ep, int op, int fd, struct file *target,
			     const struct linux_epoll_event *ev);
/* Ready events into ev; 0 when none: wait on ep->wq. */
int epoll_collect(struct file *ep, struct linux_epoll_event *ev, int max);
void epoll_forget_file(struct file *f); /* from file_put */

MUST_CHECK int inotify_create_file(struct vfs *v, const struct cred *cred, uint32_t flags, struct file **out);
bool file_is_inotify(const struct file *f);
int inotify_add(struct file *in, struct inode *inode, uint32_t mask); /* watch descriptor */
MUST_CHECK int inotify_remove(struct file *in, int wd);
/* Before the first watch: events aren't kept, each wakes f->wq with EV_MSG (dnotify). */
void inotify_wakes_only(struct file *f);
#define INOTIFY_RENAME 0x00020000u /* only for those: a name changed inside the directory */
