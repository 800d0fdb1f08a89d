/* program.c: makes a program from a configuration: finds it as execvp(3) would, inside the sandbox's own file
 * system, and gathers what it starts with. */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/abi/fcntl.h"
#include "platform/abi/fs.h"
#include "platform/base/bug.h"
#include "platform/host/hostcall.h"
#include "sentry/boot/program.h"
#include "sentry/boot/terminal.h"
#include "sentry/fs/host/hostfd.h"

#define EXIT_SBX      125
#define EXIT_NOEXEC   126
#define EXIT_NOTFOUND 127
#define FD_GUEST_MAX  1024

int reason_set(struct reason *r, int status, const char *fmt, ...)
{
	va_list ap;

	r->status = status;
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, ap);
	va_end(ap);
	return -1;
}

/* The list of values of a key, NULL-terminated, in the arena; NULL when out of memory. A later NAME= of an
 * environment replaces an earlier one. room: further entries that will be added. */
static const char **collect(const struct config *c, const char *key, bool is_env, size_t room)
{
	const char **list = kmalloc((config_count(c, key) + room + 1) * sizeof(*list));
	size_t pos = 0, n = 0;
	const char *v;

	while (list && (v = config_next(c, key, &pos))) {
		size_t name_len = strcspn(v, "=") + 1, i;

		for (i = 0; is_env && i < n; i++)
			if (strncmp(list[i], v, name_len) == 0)
				break;
		if (is_env && i < n)
			list[i] = v;
		else
			list[n++] = v;
	}
	return list;
}

static const char *env_value(const char **env, const char *name)
{
	size_t n = strlen(name);

	for (; *env; env++)
		if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
			return *env + n + 1;
	return NULL;
}

/* 0 when path names a file that may be executed. */
static int may_execute(struct boot *b, const struct program *pr, const char *path)
{
	struct vfs_at at = {.fs = pr->fs, .ns = b->mount_ns, .cred = pr->cred};
	struct path p;
	int ret = vfs_lookup(&at, path, LOOKUP_FOLLOW, &p);

	if (ret < 0)
		return ret;
	if (!inode_is(p.dentry->inode, LINUX_S_IFREG))
		ret = -EACCES;
	else
		ret = vfs_permission(&p, MAY_EXEC, pr->cred);
	path_put(&p);
	return ret;
}

/* Into buf: where name lies. 0, -ENOENT, -EACCES. */
static int search_path(struct boot *b, const struct program *pr, const char *name, const char *dirs, char *buf,
		       size_t size)
{
	int found = -ENOENT;

	while (dirs) {
		size_t n = strcspn(dirs, ":");
		int ret;

		if (n == 0)
			snprintf(buf, size, "./%s", name);
		else
			snprintf(buf, size, "%.*s/%s", (int)n, dirs, name);
		ret = may_execute(b, pr, buf);
		if (ret == 0)
			return 0;
		if (ret == -EACCES)
			found = ret;
		dirs = dirs[n] ? dirs + n + 1 : NULL;
	}
	return found;
}

static int explain_oci(struct program *p, int err)
{
	const char *name = p->argv[0];

	switch (err) {
	case -ENOENT:
	case -ENOTDIR:
		if (!strchr(name, '/'))
			return reason_set(
				p->why, EXIT_NOTFOUND,
				"unable to start container process: exec: \"%s\": executable file not "
				"found in $PATH",
				name);
		return reason_set(p->why, EXIT_NOTFOUND,
				  "unable to start container process: exec: \"%s\": stat %s: no such file or "
				  "directory",
				  name, name);
	case -EACCES:
		return reason_set(p->why, EXIT_NOEXEC,
				  "unable to start container process: exec: \"%s\": permission denied", name);
	case -ENOEXEC:
		return reason_set(p->why, EXIT_NOEXEC,
				  "unable to start container process: exec %s: exec format error", name);
	default:
		return reason_set(p->why, EXIT_NOEXEC, "unable to start container process: exec %s: %s", name,
				  strerror(-err));
	}
}

static int explain(struct program *p, int err)
{
	int status = err == -ENOENT || err == -ENOTDIR ? EXIT_NOTFOUND : EXIT_NOEXEC;
	const char *name = p->argv[0];

	if (p->oci)
		return explain_oci(p, err);
	switch (err) {
	case -ENOENT:
		return reason_set(p->why, status,
				  "cannot run %s: it, or the interpreter that it names, is not in the sandbox",
				  name);
	case -EACCES:
		return reason_set(p->why, status,
				  "cannot run %s: permission denied (is it an executable file?)", name);
	case -ENOEXEC:
		return reason_set(p->why, status,
				  "cannot run %s: not a program for x86-64 Linux, or a damaged one", name);
	case -ENOMEM:
		return reason_set(p->why, EXIT_SBX, "cannot run %s: out of memory", name);
	case -E2BIG:
		return reason_set(p->why, status, "cannot run %s: arguments and environment are too long",
				  name);
	default:
		return reason_set(p->why, status, "cannot run %s: %s", name, strerror(-err));
	}
}

void program_explain(struct program *p, int err)
{
	(void)!explain(p, err);
}

static int no_memory(struct program *p)
{
	return reason_set(p->why, EXIT_SBX, "out of memory");
}

static int find_program(struct boot *b, struct program *p)
{
	int ret;

	if (!p->argv[0] || !*p->argv[0])
		return reason_set(p->why, EXIT_SBX, "no program given");
	if (strchr(p->argv[0], '/')) {
		snprintf(p->path, VFS_PATH_MAX, "%s", p->argv[0]);
		/* sbx run leaves it to execve to refuse; a container is to fail before it is started */
		ret = p->oci ? may_execute(b, p, p->path) : 0;
	} else {
		ret = search_path(b, p, p->argv[0], env_value(p->envp, "PATH"), p->path, VFS_PATH_MAX);
		if (ret == -ENOENT && !p->oci)
			return reason_set(p->why, EXIT_NOTFOUND, "%s: not found in the sandbox's PATH",
					  p->argv[0]);
	}
	return ret < 0 ? explain(p, ret) : 0;
}

static int set_place(struct boot *b, const struct config *c, struct program *p)
{
	const char *cwd = config_get(c, "cwd", "/");
	struct vfs_at at;
	struct path root;
	int ret;

	mount_ns_root(b->mount_ns, &root);
	ret = fs_context_create(&root, &root, 0, &p->fs);
	path_put(&root);
	if (ret < 0)
		return no_memory(p);
	at = (struct vfs_at){.fs = p->fs, .ns = b->mount_ns, .cred = p->cred};
	if (p->oci) /* as the other runtimes: it is made when it isn't there */
		boot_make_dirs(b, cwd);
	ret = vfs_lookup(&at, cwd, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &root);
	if (ret < 0 && p->oci) /* and entered as the sandbox's root when the user may not look */
		at.cred = b->root_cred;
	if (ret < 0)
		ret = p->oci ? vfs_lookup(&at, cwd, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &root) : ret;
	if (ret < 0)
		return reason_set(p->why, EXIT_SBX, "working directory %s: %s", cwd, strerror(-ret));
	fs_context_set_cwd(p->fs, &root);
	path_put(&root);
	__atomic_store_n(&p->fs->umask, (uint32_t)config_get_u64(c, "umask", 022) & 0777, __ATOMIC_RELAXED);
	return 0;
}

static int install(struct program *p, struct file *f, int fd)
{
	return fdtable_install_at(p->fds, f, fd, FD_GUEST_MAX, false, NULL) == fd ? 0 : no_memory(p);
}

static int install_host(struct boot *b, struct program *p, int host, int guest, uint32_t flags)
{
	struct file *f;
	int ret = hostfd_file_create(b->vfs, host, flags, p->cred, &f);

	if (ret < 0)
		return reason_set(p->why, EXIT_SBX, "cannot use descriptor %d: %s", guest, strerror(-ret));
	ret = install(p, f, guest);
	file_put(f);
	return ret;
}

/* What the descriptor allows. */
static uint32_t mode_of(int fd)
{
	int flags = hc_fcntl(fd, LINUX_F_GETFL, 0);

	return flags < 0 ? LINUX_O_RDWR : (uint32_t)flags & LINUX_O_ACCMODE;
}

static int set_files(struct boot *b, const struct config *c, const struct program_files *files,
		     struct program *p)
{
	const char *tty = config_get(c, "tty", NULL), *v;
	size_t pos = 0;

	if (fdtable_create(&p->fds) < 0)
		return no_memory(p);
	if (tty) {
		if (terminal_create(b, tty, files->stdio[0], files->stdio[1], p->cred, &p->terminal, p->why) <
		    0)
			return -1;
		for (int fd = 0; fd < 3; fd++)
			if (install(p, p->terminal->slave, fd) < 0)
				return -1;
	}
	for (int fd = 0; fd < 3 && !tty; fd++)
		if (install_host(b, p, files->stdio[fd], fd, fd == 0 ? LINUX_O_RDONLY : LINUX_O_WRONLY) < 0)
			return -1;
	while ((v = config_next(c, "fd", &pos))) {
		char *end;
		unsigned long guest = strtoul(v, &end, 10),
			      host = *end == ':' ? strtoul(end + 1, NULL, 10) : ULONG_MAX;

		if (files->fds)
			host = host < files->count ? (unsigned long)files->fds[host] : ULONG_MAX;
		if (guest < 3 || guest >= FD_GUEST_MAX || host > INT32_MAX)
			return reason_set(p->why, EXIT_SBX, "bad configuration: fd=%s", v);
		if (install_host(b, p, (int)host, (int)guest, mode_of((int)host)) < 0)
			return -1;
	}
	return 0;
}

static int set_limits(const struct config *c, struct program *p)
{
	struct rlimits *defaults = kmalloc(sizeof(*defaults));

	p->limits = kmalloc(LINUX_RLIM_NLIMITS * sizeof(*p->limits));
	if (!defaults || !p->limits) {
		kfree(defaults);
		return no_memory(p);
	}
	rlimits_init(defaults);
	memcpy(p->limits, defaults->r, LINUX_RLIM_NLIMITS * sizeof(*p->limits));
	kfree(defaults);
	identity_limits(c, p->limits);
	return 0;
}

static int set_strings(struct boot *b, const struct config *c, struct program *p)
{
	size_t n = 0;

	p->argv = collect(c, "arg", false, 0);
	p->envp = collect(c, "env", true, 1);
	p->path = kmalloc(VFS_PATH_MAX);
	if (!p->argv || !p->envp || !p->path)
		return no_memory(p);
	if (p->oci && !env_value(p->envp, "HOME")) {
		p->home = identity_home(b, p->cred->uid);
		while (p->envp[n])
			n++;
		p->envp[n] = p->home;
	}
	return 0;
}

int program_prepare(struct boot *b, const struct config *c, const struct program_files *files,
		    struct program *p)
{
	int ret;

	p->oci = config_get_u64(c, "oci", 0) != 0;
	if (identity_cred(b, c, &p->cred) < 0)
		return no_memory(p);
	ret = identity_filter(c, &p->filter);
	if (ret < 0)
		return reason_set(p->why, EXIT_SBX, "the seccomp profile is refused: %s", strerror(-ret));
	p->oom_score_adj = (int32_t)strtol(config_get(c, "oom-score-adj", "0"), NULL, 10);
	if (set_strings(b, c, p) < 0 || set_limits(c, p) < 0 || set_place(b, c, p) < 0 ||
	    find_program(b, p) < 0)
		return -1;
	return set_files(b, c, files, p);
}

void program_args(struct boot *b, struct program *p, struct init_args *a)
{
	*a = (struct init_args){
		.fs = p->fs,
		.fds = p->fds,
		.cred = p->cred,
		.mount_ns = b->mount_ns,
		.limits = p->limits,
		.path = p->path,
		.argv = p->argv,
		.envp = p->envp,
		.terminal = p->terminal ? p->terminal->slave : NULL,
		.filter = p->filter,
		.oom_score_adj = p->oom_score_adj,
	};
	mount_ns_get(b->mount_ns);
	p->fs = NULL;
	p->fds = NULL;
	p->cred = NULL;
	p->filter = NULL;
}

void program_free(struct program *p)
{
	if (p->fds)
		fdtable_put(p->fds, p->fds);
	if (p->fs)
		fs_context_put(p->fs);
	if (p->cred)
		cred_put(p->cred);
	if (p->terminal && p->terminal->slave) { /* so that its end is seen once the guest has closed it */
		file_put(p->terminal->slave);
		p->terminal->slave = NULL;
	}
	kfree(p->limits);
	kfree(p->path);
	kfree(p->home);
	kfree(p->argv);
	kfree(p->envp);
	kfree(p->filter);
	p->limits = NULL;
	p->path = p->home = NULL;
	p->argv = p->envp = NULL;
	p->filter = NULL;
}
