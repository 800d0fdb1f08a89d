/* internal.h: a pseudo-terminal's state, for the files of this room.
 *
 * Two byte queues: `in` holds what the line discipline made of the master's writes, for the slave to read;
 * `out` holds what the slave wrote (after output processing) and the echo, for the master to read. Lock:
 * one per terminal, rank TTY; both directions are small copies. Counted by: master file, slave files, the
 * inode, the session it controls. */
#pragma once

#include "platform/abi/termios.h"
#include "platform/base/refs.h"
#include "sentry/fs/devpts/devpts.h"
#include "sentry/kernel/tty.h"

#define TTY_IN_SIZE   4096u  /* Linux's N_TTY_BUF_SIZE: a line holds one less */
#define TTY_OUT_SIZE  16384u /* of the slave's writes; echo may use TTY_ECHO_ROOM more */
#define TTY_ECHO_ROOM 4096u
#define TTY_OUT_RING  (TTY_OUT_SIZE * 2)
#define PTS_MAJOR     136u
#define PTS_MAX	      4096u

#define IN_EVENTS  (EV_IN | EV_RDNORM)
#define OUT_EVENTS (EV_OUT | EV_WRNORM)

struct devpts {
	struct mutex lock;	       /* rank INODE */
	struct super *super;	       /* [I] borrowed: it owns this */
	struct pty **ptys;	       /* [lock] by index; borrowed from their masters */
	uint32_t size, count;	       /* [lock] */
	uint32_t uid, gid;	       /* [I] of slaves; ID_INVALID: the opener's */
	uint32_t mode, ptmx_mode, max; /* [I] */
	struct inode *ptmx;	       /* [I] reference */
};

struct pty {
	struct refs refs;
	struct tty tty;
	struct mutex lock;		     /* rank TTY */
	struct devpts *fs;		     /* [I] valid while the master is open */
	struct inode *inode;		     /* [fs lock] reference while the master is open */
	uint32_t index;			     /* [I] */
	bool master_open, locked, exclusive; /* [lock] */
	bool slave_closed;		     /* [lock] was open, isn't any more: the master reads -EIO */
	uint32_t slave_files;		     /* [lock] */
	uint64_t generation;		     /* [lock] hang-ups so far: a slave file of an older one is dead */
	struct linux_termios2 t;	     /* [lock] */
	struct linux_winsize size;	     /* [lock] */
	bool packet;			     /* [lock] TIOCPKT */
	uint8_t packet_status;		     /* [lock] */
	/* input */
	uint8_t in[TTY_IN_SIZE];	     /* [lock] ring */
	uint64_t line_end[TTY_IN_SIZE / 64]; /* [lock] the byte there ends a line */
	uint64_t is_eof[TTY_IN_SIZE / 64];   /* [lock] ... and is a ^D, not data */
	uint32_t in_tail, in_canon, in_head; /* [lock] free-running: read from, lines end, written to */
	bool literal;			     /* [lock] the character after LNEXT */
	bool erasing;			     /* [lock] inside an ECHOPRT erase */
	bool throttled;			     /* [lock] IXOFF: STOP was sent */
	/* output */
	bool stopped;		       /* [lock] by ^S or TCOOFF */
	uint32_t column, canon_column; /* [lock] */
	uint8_t *out;		       /* [I] ring of TTY_OUT_RING bytes */
	uint32_t out_tail, out_head;   /* [lock] free-running */
	uint32_t out_batch; /* [lock] out_head before the write of the master that is being taken in */
	struct waitq master_wq, slave_wq;
};

/* What happened under the lock, for the waits and signals that follow it. */
struct pty_events {
	uint32_t master, slave; /* EV_* to wake */
	uint64_t signals;	/* bit n: signal n to the foreground */
};

static inline uint32_t pty_in_used(const struct pty *p)
{
	return p->in_head - p->in_tail;
}

static inline uint32_t pty_out_used(const struct pty *p)
{
	return p->out_head - p->out_tail;
}

static inline bool pty_l(const struct pty *p, uint32_t flag)
{
	return (p->t.c_lflag & flag) != 0;
}

static inline bool pty_i(const struct pty *p, uint32_t flag)
{
	return (p->t.c_iflag & flag) != 0;
}

static inline bool pty_o(const struct pty *p, uint32_t flag)
{
	return (p->t.c_oflag & flag) != 0;
}

/* c is the special character cc, which isn't disabled. */
static inline bool pty_is(const struct pty *p, int cc, uint8_t c)
{
	return p->t.c_cc[cc] == c && c != 0;
}

/* ldisc.c; all with the lock held */
/* One byte from the master. */
void pty_input_locked(struct pty *p, uint8_t c, struct pty_events *ev);
/* Bytes from the master; returns how many were taken (0: no room). */
size_t pty_input_bytes_locked(struct pty *p, const uint8_t *buf, size_t n, struct pty_events *ev);
/* The slave's read: bytes, 0 (an end-of-file), -EAGAIN, -EFAULT. nonblocking: VMIN isn't waited for. */
ssize_t pty_read_locked(struct pty *p, struct uio *dst, bool nonblocking, struct pty_events *ev);
bool pty_input_available(const struct pty *p, bool poll);
/* What FIONREAD tells. */
uint32_t pty_input_count(const struct pty *p);
void pty_flush_input_locked(struct pty *p, struct pty_events *ev);
void pty_flush_output_locked(struct pty *p, struct pty_events *ev);
void pty_stop_locked(struct pty *p, struct pty_events *ev);
void pty_start_locked(struct pty *p, struct pty_events *ev);
void pty_set_termios_locked(struct pty *p, const struct linux_termios2 *t, struct pty_events *ev);

/* output.c; all with the lock held */
void pty_out_byte(struct pty *p, uint8_t c); /* raw; dropped when not even echo has room */
static inline uint32_t pty_out_room(const struct pty *p)
{
	uint32_t used = pty_out_used(p);

	return used >= TTY_OUT_SIZE ? 0 : TTY_OUT_SIZE - used;
}
/* One byte through OPOST; false: no room now. */
bool pty_out_processed(struct pty *p, uint8_t c);
/* The slave's write: bytes taken, or -EAGAIN, -EFAULT. */
ssize_t pty_write_locked(struct pty *p, struct uio *src);
/* Echo of one input byte: as it is, through OPOST; or with control characters shown as ^X. */
void pty_echo_raw(struct pty *p, uint8_t c);
void pty_echo(struct pty *p, uint8_t c);

/* pty.c */
void pty_init_tty(struct pty *p); /* once the index is known */
void pty_put(struct pty *p);
void pty_fire(struct pty *p, const struct pty_events *ev); /* without the lock */
int pty_open_master(struct devpts *fs, struct file *f);
int pty_open_slave(struct pty *p, struct file *f);
bool pty_file_hung(const struct pty *p, const struct file *f); /* lock held */
extern const struct file_ops pty_master_ops, pty_slave_ops;
static inline struct pty *file_pty(const struct file *f)
{
	return f->priv;
}

/* ioctl.c */
int64_t pty_ioctl(struct file *f, uint32_t cmd, uint64_t arg, const struct usermem *um,
		  const struct cred *cred);
void pty_set_winsize(struct pty *p, const struct linux_winsize *ws);

/* devpts.c */
MUST_CHECK int devpts_add(struct devpts *fs, struct pty *p, const struct cred *cred);
void devpts_remove(struct devpts *fs, struct pty *p);
extern const struct inode_ops pts_inode_ops;
