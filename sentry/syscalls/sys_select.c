/* sys_select.c: select(2) and pselect6(2): bitmaps around poll's engine. */
#include "sentry/kernel/task.h"
#include "sentry/syscalls/internal.h"
#include "sentry/syscalls/poll.h"

#define SELECT_IN  (EV_IN | EV_RDNORM | EV_RDBAND | EV_HUP | EV_ERR)
#define SELECT_OUT (EV_OUT | EV_WRNORM | EV_WRBAND | EV_ERR)
#define SELECT_EX  EV_PRI

#define SELECT_FAST 6

struct select_set {
	uaddr_t user[3];   /* in, out, ex; 0: not given */
	uint64_t *bits[3]; /* within one allocation of words each */
	uint32_t n, words, count;
	uint32_t *fd; /* of each item */
	struct poll_item *items;
	uint64_t fast_bits[3];
	uint32_t fast_fd[SELECT_FAST];
	struct poll_item fast_items[SELECT_FAST];
};

static void select_release(struct select_set *s)
{
	poll_put(s->items, s->count);
	if (s->items != s->fast_items) {
		kfree(s->items);
		kfree(s->fd);
	}
	if (s->bits[0] != s->fast_bits)
		kfree(s->bits[0]);
}

static int select_load_bits(struct task *t, struct select_set *s)
{
	uint32_t i;
	int ret;

	s->bits[0] = s->fast_bits;
	s->words = (s->n + 63) / 64;
	if (s->words > 1) {
		s->bits[0] = kmalloc(3UL * s->words * sizeof(uint64_t));
		if (!s->bits[0]) {
			s->bits[0] = s->fast_bits;
			return -ENOMEM;
		}
	} else {
		memset(s->fast_bits, 0, sizeof(s->fast_bits));
	}
	s->bits[1] = s->bits[0] + s->words;
	s->bits[2] = s->bits[1] + s->words;
	for (i = 0; i < 3 && s->words; i++) {
		if (!s->user[i])
			continue;
		ret = copy_from_user(t, s->bits[i], s->user[i], s->words * sizeof(uint64_t));
		if (ret < 0)
			return ret;
		if (s->n % 64)
			s->bits[i][s->words - 1] &= (1ULL << (s->n % 64)) - 1;
	}
	return 0;
}

static uint64_t any_bits(const struct select_set *s, uint32_t w)
{
	return s->bits[0][w] | s->bits[1][w] | s->bits[2][w];
}

static int select_load_items(struct task *t, struct select_set *s)
{
	uint32_t w, wanted = 0;
	uint64_t left;

	for (w = 0; w < s->words; w++)
		wanted += (uint32_t)__builtin_popcountll(any_bits(s, w));
	if (wanted > SELECT_FAST) {
		struct poll_item *items = kmalloc(wanted * sizeof(*items));

		s->fd = kmalloc(wanted * sizeof(*s->fd));
		if (!items || !s->fd) {
			kfree(items);
			kfree(s->fd);
			return -ENOMEM;
		}
		s->items = items;
	}
	for (w = 0; w < s->words; w++) {
		for (left = any_bits(s, w); left; left &= left - 1) {
			uint32_t bit = (uint32_t)__builtin_ctzll(left);
			struct poll_item *it = &s->items[s->count];

			it->f = sys_file(t, (int)(w * 64 + bit));
			if (!it->f)
				return -EBADF;
			it->got = 0;
			it->want = (s->bits[0][w] >> bit & 1 ? SELECT_IN : 0) |
				   (s->bits[1][w] >> bit & 1 ? SELECT_OUT : 0) |
				   (s->bits[2][w] >> bit & 1 ? SELECT_EX : 0);
			s->fd[s->count++] = w * 64 + bit;
		}
	}
	return 0;
}

/* Results into the bitmaps; the number of bits set. */
static int64_t select_collect(struct select_set *s)
{
	static const uint32_t masks[3] = {SELECT_IN, SELECT_OUT, SELECT_EX};
	int64_t total = 0;
	uint32_t i, j;

	for (i = 0; i < s->count; i++) {
		uint32_t w = s->fd[i] / 64, bit = s->fd[i] % 64;

		for (j = 0; j < 3; j++) {
			if (!(s->bits[j][w] >> bit & 1))
				continue;
			if (s->items[i].got & masks[j])
				total++;
			else
				s->bits[j][w] &= ~(1ULL << bit);
		}
	}
	return total;
}

static int64_t select_run(struct task *t, struct select_set *s, const struct poll_limit *limit)
{
	int64_t ret = poll_wait(t, s->items, s->count, limit);
	uint32_t i;

	if (ret < 0)
		return ret;
	ret = select_collect(s);
	for (i = 0; i < 3 && s->words; i++) {
		if (s->user[i] && copy_to_user(t, s->user[i], s->bits[i], s->words * sizeof(uint64_t)) < 0)
			return -EFAULT;
	}
	return ret;
}

static int64_t do_select(struct task *t, const struct sysargs *a, const struct poll_limit *limit)
{
	struct select_set s = {.user = {arg_addr(a, 1), arg_addr(a, 2), arg_addr(a, 3)}};
	int64_t ret;

	if (arg_int(a, 0) < 0)
		return -EINVAL;
	/* as Linux: descriptors beyond the table are not looked at */
	s.n = MIN(arg_u32(a, 0), __atomic_load_n(&t->fds->size, __ATOMIC_RELAXED));
	s.items = s.fast_items;
	s.fd = s.fast_fd;
	ret = select_load_bits(t, &s);
	if (ret == 0)
		ret = select_load_items(t, &s);
	if (ret == 0)
		ret = select_run(t, &s, limit);
	select_release(&s);
	return ret;
}

int64_t sys_select(struct task *t, const struct sysargs *a)
{
	struct poll_limit limit = {.now = false};
	struct linux_timespec left = {0, 0};
	struct linux_timeval tv;
	int64_t ret;

	if (arg_addr(a, 4)) {
		ret = copy_from_user(t, &tv, arg_addr(a, 4), sizeof(tv));
		if (ret < 0)
			return ret;
		/* microseconds may exceed a second here, as on Linux */
		if (tv.tv_sec < 0 || tv.tv_usec < 0 ||
		    add_overflows(tv.tv_sec, tv.tv_usec / 1000000, &tv.tv_sec))
			return -EINVAL;
		left.tv_sec = tv.tv_sec;
		left.tv_nsec = tv.tv_usec % 1000000 * 1000;
		limit.now = left.tv_sec == 0 && left.tv_nsec == 0;
		limit.deadline = deadline_after(timespec_ns(&left));
	}
	ret = do_select(t, a, &limit);
	if (arg_addr(a, 4) && (limit.now || limit.deadline)) {
		if (!limit.now)
			deadline_left(limit.deadline, &left);
		tv.tv_sec = left.tv_sec;
		tv.tv_usec = left.tv_nsec / 1000;
		if (((task_personality(t) & LINUX_STICKY_TIMEOUTS) ||
		     copy_to_user(t, arg_addr(a, 4), &tv, sizeof(tv)) < 0) &&
		    ret == -ERESTARTNOHAND)
			ret = -EINTR;
	}
	return ret;
}

int64_t sys_pselect6(struct task *t, const struct sysargs *a)
{
	struct {
		uaddr_t mask;
		uint64_t size;
	} sig = {0, 0};
	struct poll_limit limit;
	bool swapped = false;
	int64_t ret = 0;

	if (arg_addr(a, 5))
		ret = copy_from_user(t, &sig, arg_addr(a, 5), sizeof(sig));
	if (ret == 0)
		ret = poll_limit_user(t, arg_addr(a, 4), &limit);
	if (ret == 0)
		ret = poll_sigmask(t, sig.mask, sig.size, &swapped);
	if (ret < 0)
		return ret;
	ret = do_select(t, a, &limit);
	return poll_finish(t, ret, arg_addr(a, 4), &limit, swapped);
}
