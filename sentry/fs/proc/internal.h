/* internal.h: shared by the files of /proc. A node's ctx is the struct pid it is about (a reference), NULL
 * outside /proc/<pid>. fs_arg is the struct proc_fs of the mount. */
#pragma once

#include "platform/abi/errno.h"
#include "platform/base/strbuf.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/fs/pseudo/pseudo.h"
#include "sentry/kernel/kernel.h"

#define R_FILE (PSEUDO_REG | 0444)
#define W_FILE (PSEUDO_REG | 0644)
#define R_DIR  (PSEUDO_DIR | 0555)
#define LINK   (PSEUDO_LINK | 0777)
#define END                                                                                                    \
	{                                                                                                      \
		.name = NULL                                                                                   \
	}

/* One mount of proc shows one pid namespace. */
struct proc_fs {
	struct kernel *kernel;
	struct pid_ns *ns; /* reference */
};

/* A node of /proc/<pid>/task/<tid>: about the thread alone. */
#define PROC_THREAD (1ULL << 40)

static inline struct proc_fs *proc_fs(const struct pseudo_node *n)
{
	return n->fs_arg;
}

static inline struct kernel *proc_kernel(const struct pseudo_node *n)
{
	return proc_fs(n)->kernel;
}

/* super.c */
/* The task behind a node with a reference, NULL once it is gone. A process's node gives its leader. */
struct task *proc_task(const struct pseudo_node *n);
/* may_open of files that tell secrets: ptrace_may_access. */
int proc_may_inspect(struct pseudo_node *n, const struct cred *cred);
/* Same with capabilities only. */
int proc_may_admin(struct pseudo_node *n, const struct cred *cred);
ssize_t procfs_put(const char *s, char *buf, size_t size);
bool proc_parse_number(const char *name, size_t len, uint64_t max, uint64_t *out);
/* An integer as people write it into /proc: surrounding blanks, an optional sign. */
bool proc_parse_int(const char *text, size_t size, int64_t *out);
/* Shows the entry's target as a line. */
int proc_show_text(struct pseudo_node *n, struct file *f, struct strbuf *out);
int proc_show_nothing(struct pseudo_node *n, struct file *f, struct strbuf *out);
/* store of settings that can't be changed from inside a sandbox: -EROFS, as where /proc/sys is read-only */
ssize_t proc_store_refuse(struct pseudo_node *n, struct file *f, char *buf, size_t size);

/* pid.c */
extern const struct pseudo_entry proc_pid_dir, proc_thread_dir;
/* stat.c */
int proc_show_stat(struct pseudo_node *n, struct file *f, struct strbuf *out);
int proc_show_statm(struct pseudo_node *n, struct file *f, struct strbuf *out);
/* status.c */
int proc_show_status(struct pseudo_node *n, struct file *f, struct strbuf *out);
int proc_show_sched(struct pseudo_node *n, struct file *f, struct strbuf *out);
void proc_show_mask(struct strbuf *out, const uint64_t *words, uint32_t bits);
void proc_show_mask_list(struct strbuf *out, const uint64_t *words, uint32_t bits);
/* mem.c */
int proc_show_cmdline(struct pseudo_node *n, struct file *f, struct strbuf *out);
int proc_show_environ(struct pseudo_node *n, struct file *f, struct strbuf *out);
int proc_show_auxv(struct pseudo_node *n, struct file *f, struct strbuf *out);
int proc_show_maps(struct pseudo_node *n, struct file *f, struct strbuf *out);
int proc_show_smaps(struct pseudo_node *n, struct file *f, struct strbuf *out);
int proc_show_smaps_rollup(struct pseudo_node *n, struct file *f, struct strbuf *out);
extern const struct file_ops proc_mem_fops;
/* fd.c */
int proc_fd_lookup(struct pseudo_node *n, const char *name, size_t len, struct pseudo_child *out);
int proc_fdinfo_lookup(struct pseudo_node *n, const char *name, size_t len, struct pseudo_child *out);
int proc_fd_iterate(struct pseudo_node *n, struct pseudo_iter *it, uint64_t from);
bool proc_fd_alive(struct pseudo_node *n); /* n is a descriptor's link: sets its mode */
bool proc_is_fd(const struct pseudo_node *n);
uint32_t proc_fd_count(const struct pseudo_node *n);
/* links.c */
int proc_exe_follow(struct pseudo_node *n, const struct cred *cred, struct path *out);
int proc_cwd_follow(struct pseudo_node *n, const struct cred *cred, struct path *out);
int proc_root_follow(struct pseudo_node *n, const struct cred *cred, struct path *out);
ssize_t proc_path_readlink(struct pseudo_node *n, const struct vfs_at *at, char *buf, size_t size);
ssize_t proc_describe_path(const struct path *p, const struct vfs_at *at, char *buf, size_t size);
extern const struct pseudo_entry proc_ns_entries[];
/* idmap.c */
extern const struct pseudo_entry proc_idmap_entries[];
int proc_show_idmap(struct pseudo_node *n, struct file *f, struct strbuf *out);
ssize_t proc_store_idmap(struct pseudo_node *n, struct file *f, char *buf, size_t size);
int proc_show_setgroups(struct pseudo_node *n, struct file *f, struct strbuf *out);
ssize_t proc_store_setgroups(struct pseudo_node *n, struct file *f, char *buf, size_t size);
/* net.c */
extern const struct pseudo_entry proc_net_entries[];
/* system.c, sysctl.c */
extern const struct pseudo_entry proc_sys_entries[], proc_sysvipc_entries[];
int proc_show_meminfo(struct pseudo_node *n, struct file *f, struct strbuf *out);
int proc_show_system_stat(struct pseudo_node *n, struct file *f, struct strbuf *out);
int proc_show_uptime(struct pseudo_node *n, struct file *f, struct strbuf *out);
int proc_show_loadavg(struct pseudo_node *n, struct file *f, struct strbuf *out);
int proc_show_version(struct pseudo_node *n, struct file *f, struct strbuf *out);
int proc_show_filesystems(struct pseudo_node *n, struct file *f, struct strbuf *out);
int proc_show_devices(struct pseudo_node *n, struct file *f, struct strbuf *out);
int proc_show_interrupts(struct pseudo_node *n, struct file *f, struct strbuf *out);
int proc_show_vmstat(struct pseudo_node *n, struct file *f, struct strbuf *out);
int proc_show_keys(struct pseudo_node *n, struct file *f, struct strbuf *out);
int proc_show_key_users(struct pseudo_node *n, struct file *f, struct strbuf *out);
/* x86_64/cpuinfo.c */
int proc_show_cpuinfo(struct pseudo_node *n, struct file *f, struct strbuf *out);
