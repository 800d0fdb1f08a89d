/* The timer thread: order, cancelling, re-arming from the function. */
#include "sentry/kernel/timer.h"

#include <criterion/criterion.h>

#include "sentry/kernel/internal.h"

struct probe {
	struct timer timer;
	uint32_t fired;	 /* [a] */
	uint32_t again;	 /* re-arm so many times */
	uint32_t *order; /* [a] shared counter */
	uint32_t place;
};

static void fire(struct timer *timer)
{
	struct probe *p = container_of(timer, struct probe, timer);

	if (p->order)
		p->place = __atomic_add_fetch(p->order, 1, __ATOMIC_SEQ_CST);
	if (p->again) {
		p->again--;
		timer_set(timer, kernel_now() + 1000);
	}
	__atomic_add_fetch(&p->fired, 1, __ATOMIC_SEQ_CST);
	futex_wake_word(&p->fired, 1);
}

static struct timer_queue *queue(void)
{
	struct timer_queue *q;

	cr_assert_eq(arena_init(), 0);
	cr_assert_eq(timer_queue_create(NULL, &q), 0);
	return q;
}

static void wait_fired(struct probe *p, uint32_t n)
{
	uint32_t v;

	while ((v = __atomic_load_n(&p->fired, __ATOMIC_SEQ_CST)) < n)
		(void)futex_wait_word(&p->fired, v, 0);
}

Test(timer, fires_in_order_of_deadlines)
{
	struct timer_queue *q = queue();
	uint64_t now = kernel_now();
	uint32_t order = 0;
	struct probe p[3] = {{.order = &order}, {.order = &order}, {.order = &order}};

	for (int i = 0; i < 3; i++)
		timer_init(&p[i].timer, q, fire);
	timer_set(&p[0].timer, now + 9000000);
	timer_set(&p[1].timer, now + 3000000);
	timer_set(&p[2].timer, now + 6000000);
	wait_fired(&p[0], 1);
	cr_assert(p[1].place == 1 && p[2].place == 2 && p[0].place == 3);
	cr_assert(kernel_now() >= now + 9000000);
}

Test(timer, an_earlier_deadline_wakes_the_sleeper)
{
	struct timer_queue *q = queue();
	struct probe late = {0}, early = {0};

	timer_init(&late.timer, q, fire);
	timer_init(&early.timer, q, fire);
	timer_set(&late.timer, kernel_now() + 3600 * NSEC_PER_SEC);
	timer_set(&early.timer, kernel_now() + 1000000);
	wait_fired(&early, 1);
	cr_assert(timer_cancel(&late.timer));
	cr_assert_not(timer_cancel(&late.timer));
	cr_assert_eq(late.fired, 0);
}

Test(timer, can_be_set_again_by_its_function)
{
	struct timer_queue *q = queue();
	struct probe p = {.again = 4};

	timer_init(&p.timer, q, fire);
	timer_set(&p.timer, 0); /* long past */
	wait_fired(&p, 5);
	timer_cancel_sync(&p.timer);
	cr_assert_eq(p.fired, 5);
}
