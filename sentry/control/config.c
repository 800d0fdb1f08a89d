/* config.c: see config.h. */
#include "sentry/control/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define CONFIG_MAX (64UL << 20)

int config_open(struct config *c, int fd)
{
	struct stat st;
	void *p;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size <= 0 || (uint64_t)st.st_size > CONFIG_MAX)
		return -EINVAL;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	c->data = p;
	c->size = (size_t)st.st_size;
	return c->data[c->size - 1] == 0 ? 0 : -EINVAL;
}

const char *config_next(const struct config *c, const char *key, size_t *pos)
{
	size_t klen = strlen(key);

	while (*pos < c->size) {
		const char *entry = c->data + *pos;

		*pos += strlen(entry) + 1;
		if (strncmp(entry, key, klen) == 0 && entry[klen] == '=')
			return entry + klen + 1;
	}
	return NULL;
}

const char *config_get(const struct config *c, const char *key, const char *dflt)
{
	size_t pos = 0;
	const char *v = config_next(c, key, &pos);

	return v ? v : dflt;
}

uint64_t config_get_u64(const struct config *c, const char *key, uint64_t dflt)
{
	const char *v = config_get(c, key, NULL);

	return v ? strtoull(v, NULL, 10) : dflt;
}

size_t config_count(const struct config *c, const char *key)
{
	size_t pos = 0, n = 0;

	while (config_next(c, key, &pos))
		n++;
	return n;
}
