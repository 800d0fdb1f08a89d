/* shared.c: shared anonymous memory: a memfile behind a mappable. */
#include <string.h>

#include "sentry/mem/mem.h"
#include "sentry/mm/internal.h"

struct anon_shared {
	struct mappable map;
	struct refs refs;
	struct memfile *file; /* [I] owned */
	uint64_t ino;	      /* [I] */
	char name[];	      /* [I] */
};

static struct anon_shared *anon_shared(struct mappable *m)
{
	return container_of(m, struct anon_shared, map);
}

static int anon_shared_host_fd(struct mappable *m, uint64_t off, uint64_t size, bool for_write, int *fd,
			       uint64_t *fd_off)
{
	(void)size;
	*fd_off = off;
	return memfile_host_fd(anon_shared(m)->file, for_write, fd);
}

static void anon_shared_get(struct mappable *m)
{
	refs_get(&anon_shared(m)->refs);
}

static void anon_shared_put(struct mappable *m)
{
	struct anon_shared *s = anon_shared(m);

	if (refs_put(&s->refs)) {
		memfile_destroy(s->file);
		kfree(s);
	}
}

static void anon_shared_describe(struct mappable *m, uint64_t *dev, uint64_t *ino, char *buf, size_t size)
{
	struct anon_shared *s = anon_shared(m);

	*dev = 1;
	*ino = s->ino;
	strncpy(buf, s->name, size - 1);
	buf[size - 1] = '\0';
}

static uint64_t anon_shared_identity(struct mappable *m)
{
	return (uint64_t)(uintptr_t)m;
}

static const struct mappable_ops anon_shared_ops = {
	.host_fd = anon_shared_host_fd,
	.get = anon_shared_get,
	.put = anon_shared_put,
	.describe = anon_shared_describe,
	.identity = anon_shared_identity,
};

int anon_shared_create(uint64_t size, const char *name, struct mappable **out)
{
	size_t len = strlen(name) + 1;
	struct anon_shared *s = kmalloc(sizeof(*s) + len);
	int ret;

	if (!s)
		return -ENOMEM;
	refs_init(&s->refs);
	s->map.ops = &anon_shared_ops;
	/* Any number that stays the same and differs from others will do. */
	s->ino = ((uint64_t)(uintptr_t)s >> 4) & 0xffffffff;
	memcpy(s->name, name, len);
	ret = memfile_create(&s->file);
	if (ret < 0) {
		kfree(s);
		return ret;
	}
	ret = memfile_truncate(s->file, size);
	if (ret < 0) {
		anon_shared_put(&s->map);
		return ret;
	}
	*out = &s->map;
	return 0;
}
