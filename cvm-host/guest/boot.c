/* boot.c: modules, mounts, entropy, time. */
#include "cvm-host/guest/boot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ROOT "/new"

static int load_modules(struct err *e)
{
	struct dirent **list;
	int n = scandir("/modules", &list, NULL, alphasort), ret = 0;

	for (int i = 0; i < n; i++) {
		char *path = xasprintf("/modules/%s", list[i]->d_name);
		int fd = list[i]->d_name[0] == '.' ? -1 : open(path, O_RDONLY | O_CLOEXEC);

		if (fd >= 0 && !ret && syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST)
			ret = err_set(e, -errno, "%s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		free(path);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return ret;
}

static int put(const char *path, const char *text, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	int ret = ok ? 0 : err_set(e, -errno, "%s: %s", path, strerror(errno));

	if (fd >= 0)
		close(fd);
	return ret;
}

static int move_program(const char *name, struct err *e)
{
	char *from = xasprintf("/sbx/%s", name), *to = xasprintf(ROOT "/sbx/%s", name);
	struct blob b = {0};
	int ret = load_file(from, 64u << 20, &b, e);

	if (!ret)
		ret = save_file(to, b.data, b.size, 0755, e);
	if (!ret)
		unlink(from);
	blob_free(&b);
	free(from);
	free(to);
	return ret;
}

static const struct {
	const char *type, *target, *options;
	unsigned long flags;
} mounts[] = {
	{"proc", ROOT "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
	{"sysfs", ROOT "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
	{"devtmpfs", ROOT "/dev", "mode=0755", MS_NOSUID},
};

static int make_root(struct err *e)
{
	static const char *const folders[] = {"/proc", "/sys", "/dev", "/sbx", "/root", "/tmp", NULL};
	static const char *const programs[] = {"sbx", "sbx-sentry", "sbx-gofer", NULL};
	int ret = 0;

	mkdir(ROOT, 0755);
	if (mount("tmpfs", ROOT, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=75%") < 0)
		return err_set(e, -errno, "tmpfs: %s", strerror(errno));
	for (const char *const *f = folders; *f; f++) {
		char *path = xasprintf(ROOT "%s", *f);

		mkdir(path, strcmp(*f, "/tmp") ? 0755 : 01777);
		free(path);
	}
	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++)
		if (mount(mounts[i].type, mounts[i].target, mounts[i].type, mounts[i].flags,
			  mounts[i].options) < 0)
			return err_set(e, -errno, "%s: %s", mounts[i].target, strerror(errno));
	for (const char *const *p = programs; *p && !ret; p++)
		ret = move_program(*p, e);
	if (!ret &&
	    (chdir(ROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0))
		ret = err_set(e, -errno, "the new root: %s", strerror(errno));
	return ret;
}

int boot_setup(struct err *e)
{
	const struct rlimit none = {0, 0};
	int ret = load_modules(e);

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	if (!ret)
		ret = make_root(e);
	if (!ret)
		ret = put("/proc/sys/kernel/modules_disabled", "1", e);
	if (!ret)
		ret = put("/proc/sys/kernel/kexec_load_disabled", "1", e);
	/* nobody traces PID 1; the sandbox's own tracing of its children stays */
	if (!ret && put("/proc/sys/kernel/yama/ptrace_scope", "1", NULL) < 0)
		ret = 0;
	return ret;
}

static bool rdrand(uint64_t *out)
{
	uint8_t ok;

	__asm__ volatile("rdrand %0; setc %1" : "=r"(*out), "=qm"(ok) : : "cc");
	return ok;
}

int boot_check_random(struct err *e)
{
	uint64_t seen[64];
	uint8_t kernel[2][32];

	for (size_t i = 0; i < ARRAY_SIZE(seen); i++) {
		if (!rdrand(&seen[i]))
			return err_set(e, -EIO, "the processor's random number generator does not answer");
		for (size_t k = 0; k < i; k++)
			if (seen[k] == seen[i])
				return err_set(e, -EIO,
					       "the processor's random number generator repeats itself");
	}
	for (int i = 0; i < 2; i++)
		if (getrandom(kernel[i], 32, GRND_NONBLOCK) != 32)
			return err_set(e, -EIO, "the kernel's random number generator is not seeded");
	return memcmp(kernel[0], kernel[1], 32) ? 0 : err_set(e, -EIO, "the kernel's generator repeats itself");
}

int boot_set_time(int64_t iat, int64_t min_epoch, struct err *e)
{
	struct timespec t = {.tv_sec = (time_t)iat};

	if (iat < min_epoch)
		return err_set(e, -EKEYREJECTED, "the broker's time %lld is before the manifest's %lld",
			       (long long)iat, (long long)min_epoch);
	return clock_settime(CLOCK_REALTIME, &t) == 0 ? 0 : err_set(e, -errno, "clock: %s", strerror(errno));
}

bool sysfs_is(const char *path, const char *want)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[256];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n < 0)
		return false;
	text[n] = 0;
	return strcspn(text, "\n") == strlen(want) && !strncmp(text, want, strlen(want));
}
