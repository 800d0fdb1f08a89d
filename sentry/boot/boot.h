/* boot.h: sbx-sentry's main: assembles a kernel from the configuration, starts the first program, serves the
 * control socket until it ends. The only room that knows every other. */
#pragma once

#include "sentry/control/config.h"
#include "sentry/kernel/kernel.h"

struct gofer_client;

struct boot {
	struct config config;
	int control_fd; /* [I] */
	struct platform *platform;
	struct vfs *vfs;
	struct kernel *kernel;
	struct gofer_client *gofer; /* [I] NULL: no host files */
	struct mount_ns *mount_ns;
	struct cred *cred;	/* [I] the first program's */
	struct cred *root_cred; /* [I] the sandbox's root: as whom boot makes mounts */
	struct fs_context *fs;
	struct fdtable *fds;
	struct file *terminal; /* [I] slave side; NULL without -t */
	struct file *master;   /* [I] */
	uint32_t output_done;  /* [a] futex word: the terminal has nothing more to print */
	uint32_t exited;       /* [a] futex word: the first program has ended */
	int exit_status;       /* [I] once exited */
	int exit_event;	       /* [I] eventfd that wakes the control loop */
	uint64_t start_ns;     /* [I] for start-up phases */
	uint64_t phase_ns[8];  /* [I] after boot */
};

/* Sends a text to sbx, to be shown with that exit status, and ends the process. */
PRINTF_LIKE(3, 4) NORETURN void boot_fail(struct boot *b, int status, const char *fmt, ...);

/* mounts.c: the mount namespace, root and current directory. */
void boot_mounts(struct boot *b);
/* stdio.c: descriptors 0-2, or the terminal. */
void boot_stdio(struct boot *b);
/* terminal.c: copies between the host's terminal and the master side on two threads. */
void terminal_start(struct boot *b);
void terminal_resize(struct boot *b, uint32_t rows, uint32_t cols);
/* The first program's last output has been copied to the host (waits a moment). */
void terminal_drain(struct boot *b);
/* program.c: finds argv[0] in PATH and starts it. */
void boot_program(struct boot *b);
/* server.c: until the end; returns when the first program has ended or sbx is gone. */
void control_serve(struct boot *b);
/* stats.c: the counters as JSON; false: they weren't collected */
bool stats_text(struct boot *b, struct strbuf *out);
void stats_write(struct boot *b, int fd);
/* dump.c */
void dump_state(struct boot *b, struct strbuf *out);
/* main.c: a message to sbx */
void control_send(struct boot *b, uint32_t type, int64_t value, const char *data, size_t size);
