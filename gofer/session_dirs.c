/* session_dirs.c: READDIRS: several directories in one reply, for a client that walks a tree. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gofer/internal.h"
#include "platform/abi/errno.h"

#define SECTIONS_MAX 128 /* directories in one reply */

/* Directories of a READDIRS reply that are in it so far, with their paths below the node. */
struct sections {
	struct call *c;
	uint32_t used, count;
	bool full;
	struct {
		char *path;
		uint32_t at; /* where the section lies */
	} v[SECTIONS_MAX];
};

/* 0 when it is in. */
static int add_section(struct sections *s, const char *path, uint64_t above)
{
	struct session *ss = s->c->ss;
	uint32_t at = s->used;
	int ret;

	if (s->count == SECTIONS_MAX)
		return -EMSGSIZE;
	ret = host_readdir_child(ss, s->c->n, path, above, ss->scratch, sizeof(ss->scratch), ss->data,
				 &s->used);
	if (ret < 0)
		return ret;
	s->v[s->count].path = strdup(path);
	s->v[s->count++].at = at;
	return 0;
}

/* The directories in section i, as far as there is room. */
static void add_children(struct sections *s, uint32_t i)
{
	const uint8_t *data = s->c->ss->data;
	struct gofer_section dir;
	struct gofer_entry e;
	char path[4096];

	if (!s->v[i].path || gofer_section_get(data + s->v[i].at, s->used - s->v[i].at, &dir) < 0)
		return;
	for (uint32_t off = 0; off < dir.size;) {
		ssize_t n = gofer_entry_get((const uint8_t *)dir.entries + off, dir.size - off, &e);

		if (n < 0)
			return;
		off += (uint32_t)n;
		if (!S_ISDIR(e.attr.mode) || snprintf(path, sizeof(path), "%s/%.*s", s->v[i].path,
						      (int)e.name.len, e.name.s) >= (int)sizeof(path))
			continue;
		if (add_section(s, path, dir.attr.dev) == -EMSGSIZE) {
			s->full = true;
			return;
		}
	}
}

/* The first directory is the one that is waited for; what goes wrong with the others doesn't matter. */
int session_readdirs(struct call *c)
{
	struct sections s = {.c = c};
	int ret = host_check_dir(c->n, false);

	for (uint32_t i = 0; ret == 0 && i < c->q->walk_count; i++) {
		name_copy(c->name, &c->q->walk[i].name);
		ret = add_section(&s, c->name, c->n->dev);
		if (ret < 0 && i == 0)
			return ret;
		s.full = ret == -EMSGSIZE;
		if (!s.full)
			ret = 0;
	}
	if (ret < 0 && !s.count)
		return ret;
	for (uint32_t i = 0; i < s.count && !s.full; i++)
		add_children(&s, i);
	for (uint32_t i = 0; i < s.count; i++)
		free(s.v[i].path);
	c->p->size = s.count;
	c->p->data = c->ss->data;
	c->p->data_size = s.used;
	return 0;
}
