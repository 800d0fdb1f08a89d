/* boot.h: sbx-sentry's main: assembles a kernel from the configuration, starts the first program, serves the
 * control socket until it ends. The only room that knows every other. */
#pragma once

#include "sentry/control/config.h"
#include "sentry/kernel/kernel.h"

struct clients;
struct gofer_client;
struct net_links;
struct net_stack;
struct program;

struct boot {
	struct config config;
	int control_fd; /* [I] */
	struct platform *platform;
	struct vfs *vfs;
	struct kernel *kernel;
	struct gofer_client *gofer; /* [I] NULL: no host files */
	struct mount_ns *mount_ns;
	struct cred *root_cred;	 /* [I] the sandbox's root: as whom boot makes mounts */
	struct fs_context *fs;	 /* [I] of the root, for boot's own lookups */
	struct program *program; /* [I] the first program */
	bool program_started;	 /* only the control loop's */
	struct clients *clients; /* [I] clients.c */
	struct net_stack *net;	 /* [I] of the first network namespace, a reference of its own */
	struct net_links *links; /* [I] net.c; NULL: no way out. Only the control loop sets it */
	uint32_t exited;	 /* [a] futex word: the first program has ended */
	int exit_status;	 /* [I] once exited */
	int exit_event;		 /* [I] eventfd that wakes the control loop */
	uint64_t host_memory;	 /* [I] bytes that the host has */
	uint64_t start_ns;	 /* [I] for start-up phases */
	uint64_t phase_ns[8];	 /* [I] after boot */
};

/* Sends a text to sbx, to be shown with that exit status, and ends the process. */
PRINTF_LIKE(3, 4) NORETURN void boot_fail(struct boot *b, int status, const char *fmt, ...);

/* mounts.c: the mount namespace, root and current directory. */
void boot_mounts(struct boot *b);
/* net.c: the link to the world outside, if sbx gave one */
void boot_net(struct boot *b, struct net_stack *st);
/* A stack that boot_net gave no thread: the kernel's timers run it until stopped. False: no memory */
struct kernel;
bool boot_net_runner(struct kernel *k, struct net_stack *st);
void boot_net_runner_stop(struct net_stack *st);
/* What comes with CONTROL_START; takes the descriptors. what: CONTROL_START_*. 0, or -1 with *why. */
struct reason;
MUST_CHECK int boot_net_add(struct boot *b, const int *fds, size_t count, uint64_t what, struct reason *why);
/* dns.c: the engine's name server, reached through the connected datagram socket fd. kick(arg): call dns_run
 * again. NULL: out of memory, or of ports */
struct dns_relay;
struct dns_relay *dns_create(struct net_stack *st, int fd, void (*kick)(void *arg), void *arg);
/* Moves what there is to move, both ways. */
void dns_run(struct dns_relay *d);
int dns_fd(const struct dns_relay *d);
/* net_files.c: the files that go with it */
void boot_net_files(struct boot *b, const struct vfs_at *at);
/* A super of the gofer's root `index` (decimal), for dst. */
struct super *boot_gofer_super(struct boot *b, const char *index, const char *dst, bool shared,
			       bool below_overlay);
/* mkdir -p as the sandbox's root; existing ones are left as they are. */
void boot_make_dirs(struct boot *b, const char *path);
/* The place where s is to be mounted: a directory, or an empty file, made when it isn't there. */
void boot_make_mountpoint(const struct vfs_at *at, const char *path, const struct super *s);
/* oci_mounts.c: what an OCI bundle's configuration says. */
void oci_mounts(struct boot *b, const struct vfs_at *at);
/* first.c: the first program: made ready, then started. */
void boot_program_prepare(struct boot *b);
/* 0, or -1 with *why. */
struct reason;
MUST_CHECK int boot_program_start(struct boot *b, struct reason *why);
/* clients.c: connections of commands, each served as the control socket is. */
MUST_CHECK int clients_create(struct boot *b);
/* server.c: until the end; returns when the first program has ended or sbx is gone. */
void control_serve(struct boot *b);
/* stats.c: the counters as JSON; false: they weren't collected */
bool stats_text(struct boot *b, struct strbuf *out);
void stats_write(struct boot *b, int fd);
/* dump.c */
void dump_state(struct boot *b, struct strbuf *out);
/* main.c: a message to sbx */
void control_send(struct boot *b, uint32_t type, int64_t value, const char *data, size_t size);
