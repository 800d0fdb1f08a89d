/* files.c: reads and writes of open files that the sentry lent: their bytes are mapped into this process, where
 * the guest could have mapped them itself, and their position is nobody else's. See answers.h. */
#include "platform/systrap/stub/answers.h"
#include "platform/systrap/stub/stub.h"

#define NR_read	   0
#define NR_write   1
#define NR_lseek   8
#define NR_pread64 17

#define READ_MAX  0x1000000UL /* larger ones go the long way */
#define WRITE_MAX 0x7ffff000UL
#define POS_MAX	  0x7fffffffffffffffUL

/* as platform.h */
#define LENT_DATA 1u
#define LENT_POS  2u
#define LENT_SINK 4u

static struct stub_file *find(struct stub_slot *s, uint64_t fd)
{
	struct stub_answers *all = (struct stub_answers *)((char *)s + SLOT_ANSWERS);
	struct stub_file *f = &all->files[(uint32_t)fd % LENT_FILES];

	if (f->epoch != s->epoch || f->fd != (uint32_t)fd)
		return 0;
	for (int i = 0; i < 3; i++)
		if (!stub_holds(f->word[i], f->value[i]))
			return 0;
	return f;
}

/* False when it has to go the long way: nothing has happened then, but for bytes that will be written again. */
static int read_at(struct stub_file *f, uint64_t to, uint64_t n, uint64_t pos, int64_t *result)
{
	if (!(f->flags & LENT_DATA) || n - 1 >= READ_MAX || pos > POS_MAX)
		return 0;
	if (pos >= f->size) {
		*result = 0;
		return 1;
	}
	if (n > f->size - pos)
		n = f->size - pos;
	if (pos < f->from || pos + n > f->end || !stub_is_guest(to, n))
		return 0;
	if (stub_copy((void *)to, (const void *)(f->at + (pos - f->from)), n) != n)
		return 0;
	*result = (int64_t)n;
	return 1;
}

static int seek(struct stub_file *f, uint64_t off, uint64_t whence, int64_t *result)
{
	uint64_t base = whence == 0 ? 0 : whence == 1 ? f->pos : f->size, to = base + off;

	/* off is signed: what isn't between 0 and POS_MAX is an error of some kind */
	if (whence > 2 || to > POS_MAX || base > POS_MAX)
		return 0;
	f->pos = to;
	f->moved = 1;
	*result = (int64_t)to;
	return 1;
}

int stub_file(struct stub_slot *s, int64_t nr, const uint64_t a[6], int64_t *result)
{
	struct stub_file *f;

	if (nr != NR_read && nr != NR_write && nr != NR_pread64 && nr != NR_lseek)
		return 0;
	f = find(s, a[0]);
	if (!f)
		return 0;
	if (nr == NR_pread64)
		return read_at(f, a[1], a[2], a[3], result);
	if (nr == NR_write) {
		if (!(f->flags & LENT_SINK) || a[2] > WRITE_MAX || a[1] + a[2] < a[1] ||
		    a[1] + a[2] > STUB_TEXT_ADDR)
			return 0;
		*result = (int64_t)a[2];
		return 1;
	}
	if (!(f->flags & LENT_POS))
		return 0;
	if (nr == NR_lseek)
		return seek(f, a[1], a[2] & 0xffffffff, result);
	if (!read_at(f, a[1], a[2], f->pos, result))
		return 0;
	if (*result) {
		f->pos += (uint64_t)*result;
		f->moved = 1;
	}
	return 1;
}
