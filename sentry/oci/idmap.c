/* idmap.c: see idmap.h and user_namespaces(7). */
#include "sentry/oci/idmap.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAP_MAX 4096 /* the kernel takes less than a page at once */

static bool write_map(pid_t pid, const char *file, const char *text)
{
	char path[64];
	bool ok;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok;
}

/* Each id that we can name ourselves, as itself. In the initial namespace that is one line, in a container
 * what the container was given. */
static bool write_all(pid_t pid, const char *file, unsigned *can)
{
	char path[64], own[MAP_MAX], text[MAP_MAX];
	unsigned inside, outside, count;
	size_t used = 0;
	ssize_t n;
	int fd, eaten;

	snprintf(path, sizeof(path), "/proc/self/%s", file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	*can = 0;
	n = read(fd, own, sizeof(own) - 1);
	close(fd);
	if (n <= 0)
		return false;
	own[n] = 0;
	for (const char *p = own; sscanf(p, "%u %u %u%n", &inside, &outside, &count, &eaten) == 3; p += eaten) {
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%u %u %u\n", inside, inside, count);
		if (used >= sizeof(text) - 1)
			return false;
		if (IDMAP_NOBODY_ID >= inside && IDMAP_NOBODY_ID - inside < count)
			*can |= IDMAP_CAN_BE_NOBODY;
		if (inside == 0 && count == UINT32_MAX)
			*can |= IDMAP_NAMES_ALL;
	}
	return used && write_map(pid, file, text);
}

static void write_own(pid_t pid, const char *file, unsigned id)
{
	char text[64];

	snprintf(text, sizeof(text), "%u %u 1", id, id);
	(void)write_map(pid, file, text);
}

static bool write_nobody(pid_t pid, const char *file, unsigned id)
{
	char text[64];

	snprintf(text, sizeof(text), "%u %u 1\n%u %u 1\n", id, id, IDMAP_NOBODY_ID, IDMAP_NOBODY_ID);
	return write_map(pid, file, text);
}

unsigned idmap_write(pid_t pid, enum idmap which)
{
	unsigned users = 0, groups = 0;
	bool done = false;

	if (which == IDMAP_ALL) {
		done = write_all(pid, "uid_map", &users);
		if (done && write_all(pid, "gid_map", &groups))
			return users & groups;
	} else if (which == IDMAP_NOBODY) {
		done = write_nobody(pid, "uid_map", geteuid());
		if (done && write_nobody(pid, "gid_map", getegid()))
			return IDMAP_CAN_BE_NOBODY;
	}
	if (!done)
		write_own(pid, "uid_map", geteuid());
	/* without privilege a map of groups is taken only from who can't change its own any more */
	(void)write_map(pid, "setgroups", "deny");
	write_own(pid, "gid_map", getegid());
	return 0;
}
