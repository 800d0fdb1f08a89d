/* process_test.c: what a started program has and has not, that it doesn't outlive its launcher, and that
 * nothing stays of its folder. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cvm-host/launch/process.h"

static const char *const sleeper[] = {"sleep", "30", NULL};

static void proc_text(pid_t pid, const char *name, char *text, size_t size)
{
	char *path = xasprintf("/proc/%d/%s", (int)pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	free(path);
}

/* The line of /proc/PID/status that begins with key, without what is before its first word. */
static void status_of(pid_t pid, const char *key, char out[256])
{
	char text[8192], *line;

	proc_text(pid, "status", text, sizeof(text));
	line = strstr(text, key);
	cr_assert(line, "%s", key);
	line += strlen(key);
	line += strspn(line, ": \t");
	snprintf(out, 256, "%.*s", (int)strcspn(line, "\n"), line);
}

static bool is_sleep(pid_t pid)
{
	char text[64];

	proc_text(pid, "comm", text, sizeof(text));
	return !strcmp(text, "sleep\n");
}

static bool alive(pid_t pid)
{
	char text[512], *end;

	proc_text(pid, "stat", text, sizeof(text));
	end = strrchr(text, ')');
	return end && end[2] != 'Z' && end[2] != 'X';
}

static bool soon(bool (*is)(pid_t), pid_t pid, bool want)
{
	for (int i = 0; i < 500; i++) {
		if (is(pid) == want)
			return true;
		usleep(10000);
	}
	return false;
}

Test(process, a_program_has_no_network_groups_privileges_or_cores)
{
	char text[4096], ours[128], theirs[128], *path;
	sigset_t none;
	ssize_t n;
	pid_t pid;

	sigemptyset(&none);
	pid = process_start(sleeper, "/tmp", &none);
	cr_assert(pid > 0 && soon(is_sleep, pid, true));
	if (geteuid() == 0) {
		status_of(pid, "\nUid", text);
		cr_expect_str_eq(text, "65534\t65534\t65534\t65534");
		status_of(pid, "\nGid", text);
		cr_expect_str_eq(text, "65534\t65534\t65534\t65534");
		status_of(pid, "\nGroups", text);
		cr_expect_eq(strspn(text, " "), strlen(text), "groups %s", text);
		path = xasprintf("/proc/%d/ns/net", (int)pid);
		n = readlink(path, theirs, sizeof(theirs) - 1);
		free(path);
		cr_assert(n > 0);
		theirs[n] = 0;
		n = readlink("/proc/self/ns/net", ours, sizeof(ours) - 1);
		cr_assert(n > 0);
		ours[n] = 0;
		cr_expect_str_neq(ours, theirs);
	}
	status_of(pid, "\nCapEff", text);
	cr_expect_str_eq(text, "0000000000000000");
	status_of(pid, "\nNoNewPrivs", text);
	cr_expect_str_eq(text, "1");
	status_of(pid, "\nSigBlk", text);
	cr_expect_str_eq(text, "0000000000000000");
	proc_text(pid, "limits", text, sizeof(text));
	path = strstr(text, "Max core file size");
	cr_assert(path);
	cr_expect(strspn(path + strlen("Max core file size"), " 0") > 20, "%.60s", path);
	process_end(pid);
	cr_expect(!alive(pid));
}

Test(process, a_program_ends_with_its_launcher)
{
	int fds[2], st;
	pid_t launcher, pid = -1;

	cr_assert_eq(pipe(fds), 0);
	launcher = fork();
	if (launcher == 0) {
		sigset_t none;

		sigemptyset(&none);
		pid = process_start(sleeper, "/tmp", &none);
		(void)!write(fds[1], &pid, sizeof(pid));
		for (;;)
			pause();
	}
	cr_assert_eq(read(fds[0], &pid, sizeof(pid)), sizeof(pid));
	cr_assert(pid > 0 && soon(is_sleep, pid, true));
	kill(launcher, SIGKILL);
	cr_assert_eq(waitpid(launcher, &st, 0), launcher);
	cr_expect(soon(alive, pid, false), "process %d outlived its launcher", (int)pid);
	if (alive(pid))
		kill(pid, SIGKILL);
}

Test(process, nothing_stays_of_a_folder_whatever_is_in_it)
{
	char dir[FOLDER_MAX] = "", outside[] = "/tmp/sbx-process-test-XXXXXX", *path;
	struct err e = {""};
	int fd = mkstemp(outside);

	cr_assert(fd >= 0);
	cr_assert_eq(folder_make(dir, &e), 0, "%s", e.text);
	path = xasprintf("%s/tpm/of/any/depth", dir);
	for (char *s = path + strlen(dir) + strlen("/tpm/"); (s = strchr(s, '/')); s++) {
		*s = 0;
		cr_assert_eq(mkdir(path, 0700), 0);
		*s = '/';
	}
	cr_assert_eq(mkfifo(path, 0600), 0);
	free(path);
	path = xasprintf("%s/link", dir);
	cr_assert_eq(symlink(outside, path), 0);
	free(path);
	folder_remove(dir);
	cr_expect(access(dir, F_OK) < 0 && errno == ENOENT);
	cr_expect_eq(access(outside, F_OK), 0, "a link was followed");
	unlink(outside);
	close(fd);
	folder_remove(""); /* no folder: nothing */
}
