/* lent.c: open files that a stub reads from. Their bytes are mapped where the guest itself could map them, from
 * a descriptor that is open read-only; everything else lies in the slot, and is the guest's word: a position is
 * one that it could have set with lseek(2). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "platform/base/changes.h"
#include "platform/host/hostcall.h"
#include "platform/systrap/internal.h"
#include "platform/systrap/stub/answers.h"

_Static_assert(CONTEXT_FILES == LENT_FILES, "platform.h");
_Static_assert(STUB_WINDOWS_ADDR + (uint64_t)SLOT_COUNT * LENT_FILES * WINDOW_SIZE <= SBX_HOLE_END,
	       "platform.h");

static struct stub_file *file_of(struct sys_context *c, unsigned i)
{
	return &((struct stub_answers *)((char *)c->slot + SLOT_ANSWERS))->files[i % LENT_FILES];
}

/* A guest keeps what it maps, and may map it as it likes: only what it may read anyway, and nobody can write
 * to. */
static int check_fd(int fd)
{
	int flags = hc_fcntl(fd, F_GETFL, 0);
	struct stat st;
	int ret = hc_fstat(fd, &st);

	if (flags < 0 || ret < 0)
		return flags < 0 ? flags : ret;
	return (flags & O_ACCMODE) == O_RDONLY && S_ISREG(st.st_mode) ? 0 : -EACCES;
}

/* Where the window begins: a small file's is all of it. */
static uint64_t window_start(const struct context_file *f)
{
	const uint64_t back = WINDOW_SIZE / 4;

	return f->size <= WINDOW_SIZE || f->from <= back ? 0 : (MIN(f->from, f->size) - back) & PAGE_MASK;
}

/* Maps the part of the file around from. */
static int open_window(struct sys_context *c, unsigned i, const struct context_file *f, struct stub_file *out)
{
	const struct platform *p = c->base.platform;
	uint64_t at = STUB_WINDOWS_ADDR + ((uint64_t)c->index * LENT_FILES + i) * WINDOW_SIZE;
	uint64_t from = window_start(f), n = MIN(f->size - from, (uint64_t)WINDOW_SIZE);
	int64_t ret = check_fd(f->host_fd);

	if (ret < 0)
		return (int)ret;
	if (f->host_off & ~PAGE_MASK || (at < p->vdso_end && at + WINDOW_SIZE > p->vvar_start))
		return -EINVAL;
	LOCK(&c->proc->fd_lock);
	ret = stub_send_fds(c->proc, &f->host_fd, 1);
	if (ret == 0)
		ret = stub_command(c, CMD_MAP_FD, 0, at, ROUND_UP(n, PAGE_SIZE), PROT_READ,
				   MAP_SHARED | MAP_FIXED, f->host_off + from, 0);
	mutex_unlock(&c->proc->fd_lock);
	if (ret != (int64_t)at)
		return ret < 0 && ret >= -4095 ? (int)ret : -EFAULT;
	out->at = at;
	out->from = from;
	out->end = from + n;
	return 0;
}

int systrap_lend(struct context *ctx, const struct context_file *f, uint64_t *end)
{
	struct sys_context *c = sys_context(ctx);
	unsigned i = (unsigned)f->fd % LENT_FILES;
	struct stub_file *s = file_of(c, i), new = {.fd = (uint32_t)f->fd, .flags = f->flags};
	int ret = 0;

	systrap_take_back(ctx, i);
	if (c->facts.no_fast || ((f->value[0] | f->value[1] | f->value[2]) & CHANGE_BUSY))
		return -EAGAIN;
	if (f->flags & LENT_DATA && f->host_fd >= 0) {
		ret = open_window(c, i, f, &new);
		if (ret < 0)
			return ret;
	}
	new.epoch = c->slot->epoch;
	new.size = f->size;
	new.pos = f->pos;
	for (int k = 0; k < 3; k++) {
		new.word[k] = f->word[k];
		new.value[k] = f->value[k];
	}
	*s = new;
	*end = new.end;
	if (f->flags & LENT_POS)
		c->lent |= 1u << i;
	return 0;
}

void systrap_take_back(struct context *ctx, unsigned i)
{
	struct sys_context *c = sys_context(ctx);

	file_of(c, i)->epoch = 0;
	c->lent &= ~(1u << i);
}

void systrap_set_position(struct context *ctx, unsigned i, uint64_t pos)
{
	file_of(sys_context(ctx), i)->pos = pos;
}

void lent_positions(struct sys_context *c, struct run_event *ev)
{
	for (unsigned i = 0; i < LENT_FILES; i++) {
		struct stub_file *s = file_of(c, i);

		if (!(c->lent >> i & 1) || !__atomic_load_n(&s->moved, __ATOMIC_RELAXED))
			continue;
		s->moved = 0;
		ev->moved |= 1u << i;
		ev->moved_to[i] = __atomic_load_n(&s->pos, __ATOMIC_RELAXED) & INT64_MAX;
	}
}
