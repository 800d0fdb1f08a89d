/* proc.c: see proc.h. */
#include "platform/host/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/base/random.h"
#include "platform/host/hostcall.h"

/* Which /proc to ask: the process's, set once before other threads exist. */
static int proc_dir = -1;

/* A process in a pid namespace of its own may still see the /proc of the one outside, where its numbers name
 * other processes: those must never be touched. */
static bool proc_is_ours(int dir)
{
	char buf[16];
	ssize_t n = hc_readlinkat(dir, "self", buf, sizeof(buf) - 1);
	int pid = 0;

	for (ssize_t i = 0; i < n && buf[i] >= '0' && buf[i] <= '9'; i++)
		pid = pid * 10 + (buf[i] - '0');
	return pid == hc_getpid();
}

static int proc_open(int pid, const char *file, int flags)
{
	char path[32];

	if (proc_dir < 0)
		return -ENOENT;
	snprintf(path, sizeof(path), "%d/%s", pid, file);
	return hc_openat(proc_dir, path, flags, 0);
}

/* One line of /proc/self/maps without its newline. */
static bool proc_parse_line(const char *line, size_t n, uaddr_t *start, uaddr_t *end)
{
	uaddr_t v[2] = {0, 0};
	size_t i = 0;

	for (int k = 0; k < 2; k++) {
		for (; i < n; i++) {
			char c = line[i];

			if (c >= '0' && c <= '9')
				v[k] = v[k] * 16 + (uaddr_t)(c - '0');
			else if (c >= 'a' && c <= 'f')
				v[k] = v[k] * 16 + (uaddr_t)(c - 'a' + 10);
			else
				break;
		}
		if (i == n || line[i] != (k ? ' ' : '-'))
			return false;
		i++;
	}
	*start = v[0];
	*end = v[1];
	return true;
}

static bool proc_line_is(const char *line, size_t n, const char *name)
{
	const char *p = memrchr(line, ' ', n);

	return p && (size_t)(line + n - p - 1) >= strlen(name) && !memcmp(p + 1, name, strlen(name));
}

/* Keeps the run of such mappings that ends in the vDSO. */
static void proc_vdso_line(struct proc_vdso *v, bool *found, const char *line, size_t n)
{
	bool vdso = proc_line_is(line, n, "[vdso]");
	uaddr_t start, end;

	/* "[vvar]", and since Linux 6.13 "[vvar_vclock]" too */
	if (*found || (!vdso && !proc_line_is(line, n, "[vvar")))
		return;
	if (!proc_parse_line(line, n, &start, &end))
		return;
	if (v->count == ARRAY_SIZE(v->part) || (v->count && v->part[v->count - 1].end != start))
		v->count = 0;
	v->part[v->count].start = start;
	v->part[v->count++].end = end;
	*found = vdso;
}

int proc_vdso_parts(struct proc_vdso *v)
{
	bool found = false;
	char buf[4096];
	size_t have = 0;
	ssize_t n;
	int fd;

	v->count = 0;
	fd = proc_open(hc_getpid(), "maps", O_RDONLY);
	if (fd < 0)
		fd = hc_openat(PROC_DIR_FD, "maps", O_RDONLY, 0);
	if (fd < 0)
		fd = hc_openat(AT_FDCWD, "/proc/self/maps", O_RDONLY, 0);
	if (fd < 0)
		return fd;
	while ((n = hc_read(fd, buf + have, sizeof(buf) - have)) > 0) {
		char *line = buf, *nl;

		have += (size_t)n;
		while ((nl = memchr(line, '\n', (size_t)(buf + have - line)))) {
			proc_vdso_line(v, &found, line, (size_t)(nl - line));
			line = nl + 1;
		}
		have -= (size_t)(line - buf);
		memmove(buf, line, have);
		if (have == sizeof(buf)) /* a line that long isn't ours */
			have = 0;
	}
	hc_close(fd);
	return found ? 0 : -ENOENT;
}

uaddr_t proc_vdso_place(const struct proc_vdso *v, uaddr_t low, uaddr_t high)
{
	uint64_t size = v->part[v->count - 1].end - v->part[0].start;

	for (int i = 0; i < 16; i++) {
		uaddr_t at = low + random_u64() % ((high - low - size) / PAGE_SIZE) * PAGE_SIZE;
		uint64_t got =
			hc_mmap(at, size, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

		if (hc_is_error(got))
			continue;
		hc_munmap(got, size);
		if (got == at)
			return at;
	}
	return 0;
}

int proc_find_vdso(uaddr_t *vvar_start, uaddr_t *vdso_start, uaddr_t *vdso_end)
{
	struct proc_vdso v;
	int ret = proc_vdso_parts(&v);

	if (ret < 0)
		return ret;
	*vvar_start = v.part[0].start;
	*vdso_start = v.part[v.count - 1].start;
	*vdso_end = v.part[v.count - 1].end;
	return 0;
}

void proc_setup(void)
{
	int dir = PROC_DIR_FD;

	if (!proc_is_ours(dir))
		dir = hc_openat(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY, 0);
	if (dir >= 0 && !proc_is_ours(dir)) {
		hc_close(dir);
		dir = -1;
	}
	proc_dir = dir;
}

uint64_t proc_resident(int pid)
{
	int fd = proc_open(pid, "statm", O_RDONLY);
	uint64_t pages = 0;
	char buf[128];
	char *p;
	ssize_t n;

	if (fd < 0)
		return 0;
	n = hc_read(fd, buf, sizeof(buf) - 1);
	hc_close(fd);
	if (n <= 0)
		return 0;
	buf[n] = 0;
	p = strchr(buf, ' ');
	for (p = p ? p + 1 : buf + n; *p >= '0' && *p <= '9'; p++)
		pages = pages * 10 + (uint64_t)(*p - '0');
	return pages * PAGE_SIZE;
}

ssize_t proc_poke(int pid, uaddr_t dst, const void *src, size_t size)
{
	int fd = proc_open(pid, "mem", O_RDWR);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = hc_pwrite(fd, src, size, dst);
	hc_close(fd);
	return MAX(n, (ssize_t)0);
}

int proc_reopen_readonly(int fd)
{
	char name[32];
	int ret;

	snprintf(name, sizeof(name), "%d", fd);
	ret = hc_openat(PROC_FDS_FD, name, O_RDONLY, 0);
	if (ret != -EBADF)
		return ret;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return hc_openat(AT_FDCWD, name, O_RDONLY, 0);
}
