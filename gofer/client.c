/* client.c: see client.h. A request is one sendmsg and one recvmsg on a channel that the caller holds; the
 * waiting time is bounded by the socket's own timeouts, so a call costs no further system call. */
#include "gofer/client.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "platform/abi/errno.h"
#include "platform/base/arena.h"
#include "platform/base/clock.h"
#include "platform/base/log.h"
#include "platform/host/fdpass.h"
#include "platform/host/hostcall.h"

#define CHANNELS 4

struct gofer_channel {
	struct mutex lock;	  /* rank GOFER */
	int fd;			  /* [lock] -1: not made yet */
	uint32_t tag;		  /* [lock] */
	bool answered;		  /* [lock] reply is the one to the request under way */
	struct gofer_reply reply; /* [lock] */
	uint8_t *buf;		  /* [lock] GOFER_MSG_MAX */
};

struct gofer_client {
	void (*dead_func)(void *arg, const char *why); /* [I] */
	void *arg;				       /* [I] */
	uint32_t dead;				       /* [a] */
	uint32_t root_count;			       /* [I] */
	uint64_t next_id;			       /* [a] */
	uint32_t channel_count;			       /* [a] channels that exist */
	uint32_t turn;				       /* [a] */
	struct mutex forget_lock;		       /* rank GOFER_FS: never held across a call */
	uint32_t forget_count, forget_cap;	       /* [forget_lock] */
	uint64_t *forget;			       /* [forget_lock] */
	bool forget_soon;			       /* [a] an id among them keeps a removed file's space */
	struct gofer_channel ch[CHANNELS];
};

static void give_up(struct gofer_client *c, const char *why)
{
	if (__atomic_exchange_n(&c->dead, 1, __ATOMIC_ACQ_REL))
		return;
	log_error("gofer: %s: files of the host can no longer be reached", why);
	if (c->dead_func)
		c->dead_func(c->arg, why);
}

bool gofer_client_is_dead(const struct gofer_client *c)
{
	return __atomic_load_n(&c->dead, __ATOMIC_ACQUIRE);
}

uint32_t gofer_client_root_count(const struct gofer_client *c)
{
	return c->root_count;
}

uint64_t gofer_new_id(struct gofer_client *c)
{
	return __atomic_add_fetch(&c->next_id, 1, __ATOMIC_RELAXED);
}

static void close_fds(const int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		hc_close(fds[i]);
}

/* Sends what lies in ch->buf (n bytes) and receives the reply into it. */
static int exchange_locked(struct gofer_client *c, struct gofer_channel *ch, ssize_t n, uint32_t op, int *fd)
{
	int fds[1] = {-1};
	unsigned fd_count = 1;
	ssize_t got = fdpass_send(ch->fd, ch->buf, (size_t)n, NULL, 0, 0);

	if (got < 0) {
		give_up(c, got == -EAGAIN ? "it takes no requests" : "it has ended");
		return -EIO;
	}
	got = fdpass_recv(ch->fd, ch->buf, GOFER_MSG_MAX, fds, &fd_count, 0);
	if (got <= 0) {
		give_up(c, got == -EAGAIN ? "no answer within ten seconds"
			   : got == 0	  ? "it has ended"
					  : "its connection failed");
		return -EIO;
	}
	if (gofer_reply_decode(&ch->reply, ch->buf, (size_t)got) < 0 || ch->reply.op != op ||
	    ch->reply.tag != ch->tag || ch->reply.has_fd != (fd_count == 1)) {
		close_fds(fds, fd_count);
		give_up(c, "it doesn't keep to the protocol");
		return -EIO;
	}
	if (fd_count && !fd) {
		close_fds(fds, fd_count);
		fd_count = 0;
	}
	if (fd)
		*fd = fd_count ? fds[0] : -1;
	ch->answered = true;
	return ch->reply.error;
}

static int call_locked(struct gofer_client *c, struct gofer_channel *ch, struct gofer_req *req, int *fd)
{
	ssize_t n;

	req->tag = ++ch->tag;
	ch->answered = false;
	n = gofer_req_encode(req, ch->buf, GOFER_MSG_MAX);
	if (n < 0)
		return (int)n;
	return exchange_locked(c, ch, n, req->op, fd);
}

static void set_timeouts(int fd)
{
	struct timeval tv = {.tv_sec = GOFER_DEADLINE_NS / NSEC_PER_SEC};

	hc_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	hc_setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

/* One more connection, asked for through from (held). A failure is no harm: there are others. */
static void add_channel(struct gofer_client *c, struct gofer_channel *from)
{
	struct gofer_req req = {.op = GOFER_CHANNEL};
	uint32_t count = __atomic_load_n(&c->channel_count, __ATOMIC_ACQUIRE);
	struct gofer_channel *ch = &c->ch[count];
	int fd = -1;

	if (count >= CHANNELS || from != &c->ch[0])
		return; /* only the first makes others: no race */
	if (call_locked(c, from, &req, &fd) < 0 || fd < 0)
		return;
	ch->buf = kalloc_pages(GOFER_MSG_MAX / PAGE_SIZE);
	if (!ch->buf) {
		hc_close(fd);
		return;
	}
	ch->fd = fd; /* the gofer has set its timeouts */
	__atomic_store_n(&c->channel_count, count + 1, __ATOMIC_RELEASE);
}

/* A channel, held. When all are busy the caller queues at one; whoever gets the first one then makes another.
 */
static struct gofer_channel *acquire(struct gofer_client *c)
{
	uint32_t count = __atomic_load_n(&c->channel_count, __ATOMIC_ACQUIRE);
	struct gofer_channel *ch;

	for (uint32_t i = 0; i < count; i++)
		if (mutex_trylock(&c->ch[i].lock))
			return &c->ch[i];
	ch = &c->ch[count < CHANNELS ? 0 : __atomic_fetch_add(&c->turn, 1, __ATOMIC_RELAXED) % count];
	mutex_lock(&ch->lock);
	if (count < CHANNELS && count == __atomic_load_n(&c->channel_count, __ATOMIC_RELAXED))
		add_channel(c, ch);
	return ch;
}

/* Sends the ids collected; the channel is held. */
static void flush_forgets(struct gofer_client *c, struct gofer_channel *ch)
{
	struct gofer_req req = {.op = GOFER_FORGET};
	ssize_t n;

	mutex_lock(&c->forget_lock);
	req.id_count = MIN(c->forget_count, (uint32_t)GOFER_FORGET_MAX);
	__atomic_store_n(&c->forget_count, c->forget_count - req.id_count, __ATOMIC_RELAXED);
	req.ids = c->forget + c->forget_count;
	n = gofer_req_encode(&req, ch->buf, GOFER_MSG_MAX);
	mutex_unlock(&c->forget_lock);
	if (n < 0)
		return;
	if (fdpass_send(ch->fd, ch->buf, (size_t)n, NULL, 0, 0) < 0)
		give_up(c, "it has ended");
}

int gofer_call(struct gofer_client *c, struct gofer_req *req, struct gofer_channel **out,
	       const struct gofer_reply **reply, int *fd)
{
	struct gofer_channel *ch;
	int ret;

	*out = NULL;
	*reply = NULL;
	if (fd)
		*fd = -1;
	if (gofer_client_is_dead(c))
		return -EIO;
	ch = acquire(c);
	/* a batch goes out with the next request, so that forgetting itself never waits */
	if (__atomic_load_n(&c->forget_count, __ATOMIC_RELAXED) >= GOFER_FORGET_MAX / 2 ||
	    (__atomic_load_n(&c->forget_soon, __ATOMIC_RELAXED) &&
	     __atomic_exchange_n(&c->forget_soon, false, __ATOMIC_ACQ_REL)))
		flush_forgets(c, ch);
	if (gofer_client_is_dead(c)) {
		mutex_unlock(&ch->lock);
		return -EIO;
	}
	ret = call_locked(c, ch, req, fd);
	if (!ch->answered) {
		mutex_unlock(&ch->lock);
		return ret;
	}
	*out = ch;
	*reply = &ch->reply;
	return ret;
}

void gofer_done(struct gofer_channel *ch)
{
	if (ch)
		mutex_unlock(&ch->lock);
}

int gofer_call_simple(struct gofer_client *c, struct gofer_req *req, struct gofer_attr *attr, int *fd)
{
	const struct gofer_reply *reply;
	struct gofer_channel *ch;
	int ret = gofer_call(c, req, &ch, &reply, fd);

	if (ret == 0 && attr) {
		if (reply->attr_count)
			*attr = reply->attrs[0];
		else
			ret = -EIO;
	}
	gofer_done(ch);
	return ret;
}

void gofer_forget_removed(struct gofer_client *c, uint64_t id)
{
	gofer_forget(c, id);
	__atomic_store_n(&c->forget_soon, true, __ATOMIC_RELEASE);
}

void gofer_forget(struct gofer_client *c, uint64_t id)
{
	mutex_lock(&c->forget_lock);
	if (c->forget_count == c->forget_cap) {
		uint32_t cap = MAX(2 * c->forget_cap, 256u);
		uint64_t *bigger = krealloc(c->forget, cap * sizeof(*bigger));

		if (bigger) {
			c->forget = bigger;
			c->forget_cap = cap;
		}
	}
	/* else the gofer keeps it: a leak there is better than waiting here */
	if (c->forget_count < c->forget_cap) {
		c->forget[c->forget_count] = id;
		__atomic_store_n(&c->forget_count, c->forget_count + 1,
				 __ATOMIC_RELAXED); /* read without the lock */
	}
	mutex_unlock(&c->forget_lock);
}

static int hello(struct gofer_client *c)
{
	struct gofer_req req = {.op = GOFER_HELLO, .flags = GOFER_VERSION};
	const struct gofer_reply *reply;
	struct gofer_channel *ch;
	int ret = gofer_call(c, &req, &ch, &reply, NULL);

	if (ret == 0 && reply->flags != GOFER_VERSION)
		ret = -EPROTO;
	if (ret == 0)
		c->root_count = (uint32_t)reply->size;
	gofer_done(ch);
	return ret;
}

int gofer_client_create(int fd, void (*dead)(void *arg, const char *why), void *arg, struct gofer_client **out)
{
	struct gofer_client *c = kmalloc(sizeof(*c));
	int ret = -ENOMEM;

	if (!c) {
		hc_close(fd);
		return -ENOMEM;
	}
	mutex_init(&c->forget_lock, RANK_GOFER_FS);
	for (int i = 0; i < CHANNELS; i++) {
		mutex_init(&c->ch[i].lock, RANK_GOFER);
		c->ch[i].fd = -1;
	}
	c->arg = arg;
	c->channel_count = 1;
	c->ch[0].fd = fd;
	c->ch[0].buf = kalloc_pages(GOFER_MSG_MAX / PAGE_SIZE);
	if (!c->ch[0].buf)
		goto fail;
	set_timeouts(fd);
	ret = hello(c);
	if (ret < 0)
		goto fail;
	c->dead_func = dead; /* from here on a death is news */
	*out = c;
	return 0;
fail:
	gofer_client_destroy(c);
	return ret;
}

void gofer_client_destroy(struct gofer_client *c)
{
	for (int i = 0; i < CHANNELS; i++) {
		if (c->ch[i].fd >= 0)
			hc_close(c->ch[i].fd);
		kfree(c->ch[i].buf);
	}
	kfree(c->forget);
	kfree(c);
}
