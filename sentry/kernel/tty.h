/* tty.h: the seam between terminals (fs/devpts) and job control (kernel/tty.c). A terminal embeds a struct
 * tty; the kernel owns the fields that tie it to a session and a foreground process group, and serves the
 * calls that need to know who calls: TIOCSCTTY, TIOCNOTTY, TIOCGPGRP, TIOCSPGRP, TIOCGSID, and the checks
 * of background reads and writes (SIGTTIN, SIGTTOU), which file_ioctl, file_read_block and file_write_block
 * make before they call the file's operations. The devpts side never sees a task; it asks for signals.
 *
 * Locks: the fields below are under kernel->tasklist_lock, which ranks low: all functions here may be
 * called with the terminal's own lock held, but tty_hangup, which calls back. */
#pragma once

#include "platform/base/attr.h"
#include "platform/base/refs.h"

struct kernel;
struct pid;
struct session;
struct tty;

struct tty_ops {
	/* Reference counting of the object that embeds the tty. put: without locks. */
	void (*get)(struct tty *tty);
	void (*put)(struct tty *tty);
	/* The session it controlled has lost it: waiting readers and writers see the end (-EIO). Without
	 * locks. May be NULL. */
	void (*hangup)(struct tty *tty);
};

struct tty {
	const struct tty_ops *ops; /* [I] */
	uint64_t rdev;		   /* [I] for /proc/pid/stat */
	uint32_t tostop;	   /* [a] kept equal to TOSTOP in c_lflag by the terminal */
	struct session *session;   /* [tasklist_lock] whose controlling terminal it is; reference */
	struct pid *pgrp;	   /* [tasklist_lock] foreground group; reference */
};

void tty_init(struct tty *tty, const struct tty_ops *ops, uint64_t rdev);
/* The object goes away; no session holds it any more (a session holds a reference). */
void tty_fini(struct tty *tty);
/* Sends sig to the foreground group, if there is one: ^C, ^Z, ^\, SIGWINCH, TIOCSIG. */
void tty_signal_foreground(struct tty *tty, int sig);
/* The other end is gone (master closed) or vhangup: SIGHUP and SIGCONT to the session leader and the
 * foreground group, and the session loses its terminal. */
void tty_hangup(struct tty *tty);
