/* program.c: finds the program as execvp(3) would, inside the sandbox's own file system, and starts it. */
#include <stdio.h>
#include <string.h>

#include "platform/abi/fs.h"
#include "platform/base/bug.h"
#include "sentry/boot/boot.h"

#define EXIT_SBX      125
#define EXIT_NOEXEC   126
#define EXIT_NOTFOUND 127

/* The list of values of a key, NULL-terminated, in the arena. A later NAME= of an environment replaces an
 * earlier one. */
static const char **collect(struct boot *b, const char *key, bool is_env)
{
	const char **list = kmalloc((config_count(&b->config, key) + 1) * sizeof(*list));
	size_t pos = 0, n = 0;
	const char *v;

	BUG_ON(!list);
	while ((v = config_next(&b->config, key, &pos))) {
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
static int may_execute(struct boot *b, const char *path)
{
	struct vfs_at at = {.fs = b->fs, .ns = b->mount_ns, .cred = b->cred};
	struct path p;
	int ret = vfs_lookup(&at, path, LOOKUP_FOLLOW, &p);

	if (ret < 0)
		return ret;
	if (!inode_is(p.dentry->inode, LINUX_S_IFREG))
		ret = -EACCES;
	else
		ret = vfs_permission(&p, MAY_EXEC, b->cred);
	path_put(&p);
	return ret;
}

/* Into buf: where name lies. 0, -ENOENT, -EACCES. */
static int search_path(struct boot *b, const char *name, const char *dirs, char *buf, size_t size)
{
	int found = -ENOENT;

	while (dirs) {
		size_t n = strcspn(dirs, ":");
		int ret;

		if (n == 0)
			snprintf(buf, size, "./%s", name);
		else
			snprintf(buf, size, "%.*s/%s", (int)n, dirs, name);
		ret = may_execute(b, buf);
		if (ret == 0)
			return 0;
		if (ret == -EACCES)
			found = ret;
		dirs = dirs[n] ? dirs + n + 1 : NULL;
	}
	return found;
}

static NORETURN void fail_exec(struct boot *b, const char *name, int err)
{
	int status = err == -ENOENT || err == -ENOTDIR ? EXIT_NOTFOUND : EXIT_NOEXEC;

	switch (err) {
	case -ENOENT:
		boot_fail(b, status,
			  "cannot run %s: it, or the interpreter that it names, is not in the sandbox", name);
	case -EACCES:
		boot_fail(b, status, "cannot run %s: permission denied (is it an executable file?)", name);
	case -ENOEXEC:
		boot_fail(b, status, "cannot run %s: not a program for x86-64 Linux, or a damaged one", name);
	case -ENOMEM:
		boot_fail(b, EXIT_SBX, "cannot run %s: out of memory", name);
	case -E2BIG:
		boot_fail(b, status, "cannot run %s: arguments and environment are too long", name);
	default:
		boot_fail(b, status, "cannot run %s: %s", name, strerror(-err));
	}
}

void boot_program(struct boot *b)
{
	const char **argv = collect(b, "arg", false), **envp = collect(b, "env", true);
	struct linux_rlimit *limits = kmalloc(LINUX_RLIM_NLIMITS * sizeof(*limits));
	uint64_t files = config_get_u64(&b->config, "files", 0);
	struct rlimits *defaults = kmalloc(sizeof(*defaults));
	char *path = kmalloc(VFS_PATH_MAX);
	struct init_args a;
	int ret;

	BUG_ON(!limits || !path || !defaults);
	if (!argv[0])
		boot_fail(b, EXIT_SBX, "no program given");
	rlimits_init(defaults);
	memcpy(limits, defaults->r, LINUX_RLIM_NLIMITS * sizeof(*limits));
	if (files)
		limits[LINUX_RLIMIT_NOFILE] = (struct linux_rlimit){files, files};
	if (strchr(argv[0], '/')) {
		snprintf(path, VFS_PATH_MAX, "%s", argv[0]);
	} else {
		ret = search_path(b, argv[0], env_value(envp, "PATH"), path, VFS_PATH_MAX);
		if (ret == -ENOENT)
			boot_fail(b, EXIT_NOTFOUND, "%s: not found in the sandbox's PATH", argv[0]);
		if (ret < 0)
			fail_exec(b, argv[0], ret);
	}
	a = (struct init_args){
		.fs = b->fs,
		.fds = b->fds,
		.cred = cred_get(b->cred),
		.mount_ns = b->mount_ns,
		.limits = limits,
		.path = path,
		.argv = argv,
		.envp = envp,
		.terminal = b->terminal,
	};
	b->fs = NULL; /* the task's alone: it may answer umask by itself */
	mount_ns_get(b->mount_ns);
	ret = kernel_start_init(b->kernel, &a);
	if (ret < 0)
		fail_exec(b, argv[0], ret);
	kfree(limits);
	kfree(defaults);
	kfree(path);
}
