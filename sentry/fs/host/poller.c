/* poller.c: see poller.h. The epoll set names watches by slot and generation, never by address, because an
 * event may already be on its way while its watch is being removed. */
#include "sentry/fs/host/poller.h"

#include <sys/epoll.h>

#include "platform/abi/errno.h"
#include "platform/base/arena.h"
#include "platform/base/lock.h"
#include "platform/base/log.h"
#include "platform/base/thread.h"
#include "platform/base/waitq.h"
#include "platform/host/hostcall.h"

#define BATCH 16

struct slot {
	struct poll_watch *watch; /* NULL: free */
	uint32_t generation;
};

struct poller {
	struct mutex lock;  /* rank POLLER */
	int ep;		    /* [I] */
	struct slot *slots; /* [lock] */
	uint32_t count;	    /* [lock] */
	bool running;	    /* [a] the thread: from the first watch that is armed */
};

static void fire(struct poller *p, uint64_t key, uint32_t events)
{
	uint32_t i = (uint32_t)key;

	mutex_lock(&p->lock);
	if (i < p->count && p->slots[i].watch && p->slots[i].generation == (uint32_t)(key >> 32))
		p->slots[i].watch->fire(p->slots[i].watch, events);
	mutex_unlock(&p->lock);
}

static void poller_main(void *arg)
{
	struct poller *p = arg;
	struct epoll_event ev[BATCH];

	for (;;) {
		int n = hc_epoll_pwait(p->ep, ev, BATCH, -1);

		if (n < 0 && n != -EINTR) {
			log_error("cannot wait for host descriptors: error %d", -n);
			return;
		}
		for (int i = 0; i < n; i++) /* the low bits are poll's, and so are EV_* */
			fire(p, ev[i].data.u64, ev[i].events & EV_ALL);
	}
}

/* The sandbox's poller, made by whoever needs it first. */
static int poller_get(struct poller **out)
{
	struct poller *p = arena_root(ROOT_POLLER);
	int ret;

	if (p) {
		*out = p;
		return 0;
	}
	p = kmalloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	mutex_init(&p->lock, RANK_POLLER);
	p->ep = hc_epoll_create();
	if (p->ep < 0) {
		ret = p->ep;
		kfree(p);
		return ret;
	}
	arena_set_root(ROOT_POLLER, p);
	*out = p;
	return 0;
}

static int take_slot_locked(struct poller *p, struct poll_watch *w)
{
	struct slot *bigger;
	uint32_t i = 0, count;

	while (i < p->count && p->slots[i].watch)
		i++;
	if (i == p->count) {
		count = p->count ? 2 * p->count : 8;
		bigger = krealloc(p->slots, count * sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		p->slots = bigger;
		p->count = count;
	}
	p->slots[i].watch = w;
	p->slots[i].generation++;
	w->slot = i;
	return 0;
}

static struct epoll_event event_for(struct poller *p, const struct poll_watch *w, uint32_t events)
{
	return (struct epoll_event){.events = events | EPOLLONESHOT,
				    .data.u64 = ((uint64_t)p->slots[w->slot].generation << 32) | w->slot};
}

int poller_add(struct poll_watch *w, int fd, void (*func)(struct poll_watch *w, uint32_t events))
{
	struct epoll_event ev;
	struct poller *p;
	int ret = poller_get(&p);

	if (ret < 0)
		return ret;
	w->fire = func;
	w->fd = fd;
	mutex_lock(&p->lock);
	ret = take_slot_locked(p, w);
	if (ret == 0) {
		ev = event_for(p, w, 0);
		/* not armed: a hang-up that is there already fires at once, which is harmless */
		ret = hc_epoll_ctl(p->ep, EPOLL_CTL_ADD, fd, &ev);
		if (ret < 0)
			p->slots[w->slot].watch = NULL;
	}
	mutex_unlock(&p->lock);
	return ret;
}

static void start_thread(struct poller *p)
{
	int ret;

	if (__atomic_load_n(&p->running, __ATOMIC_RELAXED) ||
	    __atomic_exchange_n(&p->running, true, __ATOMIC_ACQ_REL))
		return;
	ret = thread_start(poller_main, p, "poller");
	if (ret == 0)
		return;
	/* the next watch tries again */
	log_error("no thread to wait for host descriptors: error %d", -ret);
	__atomic_store_n(&p->running, false, __ATOMIC_RELEASE);
}

void poller_arm(struct poll_watch *w, uint32_t events)
{
	struct poller *p = arena_root(ROOT_POLLER);
	struct epoll_event ev;

	start_thread(p);
	mutex_lock(&p->lock);
	ev = event_for(p, w, events & (EV_IN | EV_OUT | EV_PRI | EV_RDHUP));
	(void)hc_epoll_ctl(p->ep, EPOLL_CTL_MOD, w->fd, &ev);
	mutex_unlock(&p->lock);
}

void poller_remove(struct poll_watch *w)
{
	struct poller *p = arena_root(ROOT_POLLER);
	struct epoll_event ev = {0};

	mutex_lock(&p->lock);
	(void)hc_epoll_ctl(p->ep, EPOLL_CTL_DEL, w->fd, &ev);
	p->slots[w->slot].watch = NULL;
	mutex_unlock(&p->lock);
}
