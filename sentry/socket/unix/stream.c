/* stream.c: SOCK_STREAM: the sender copies into the receiver's ring, the receiver copies out of it; one
 * lock, the receiver's. Records of descriptors and credentials lie beside the ring, by byte position. */
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/base/arena.h"
#include "sentry/socket/unix/internal.h"

#define RING_MIN 4096u

static int ring_grow_locked(struct unix_sock *u, size_t n)
{
	uint32_t size = u->size ? u->size : RING_MIN, first;
	uint8_t *ring;

	if (LIKELY(u->used + n <= u->size))
		return 0;
	while (size < u->used + n)
		size *= 2;
	ring = kmalloc(size);
	if (!ring)
		return -ENOMEM;
	if (u->used) {
		first = MIN(u->used, u->size - u->head);
		memcpy(ring, u->ring + u->head, first);
		memcpy(ring + first, u->ring, u->used - first);
	}
	kfree(u->ring);
	u->ring = ring;
	u->size = size;
	u->head = 0;
	return 0;
}

static ssize_t ring_put_locked(struct unix_sock *u, struct uio *src, size_t n)
{
	uint32_t tail = (u->head + u->used) & (u->size - 1);
	size_t first = MIN(n, (size_t)(u->size - tail));
	ssize_t got = uio_get(src, u->ring + tail, first), more;

	if (got < 0)
		return got;
	if ((size_t)got == first && n > first) {
		more = uio_get(src, u->ring, n - first);
		if (more > 0)
			got += more;
	}
	__atomic_store_n(&u->used, u->used + (uint32_t)got, __ATOMIC_RELEASE);
	return got;
}

static ssize_t ring_copy_locked(struct unix_sock *u, struct uio *dst, size_t n)
{
	size_t first = MIN(n, (size_t)(u->size - u->head));
	ssize_t put = uio_put(dst, u->ring + u->head, first), more;

	if (put < 0)
		return put;
	if ((size_t)put == first && n > first) {
		more = uio_put(dst, u->ring, n - first);
		if (more > 0)
			put += more;
	}
	return put;
}

static void ring_consume_locked(struct unix_sock *u, size_t n)
{
	uint32_t left = u->used - (uint32_t)n;

	u->head = left ? (u->head + (uint32_t)n) & (u->size - 1) : 0;
	u->read_pos += n;
	__atomic_store_n(&u->used, left, __ATOMIC_RELEASE);
}

/* Puts scm (may be NULL) behind what is queued, for the n bytes that follow at pos. Credentials that go on
 * unchanged extend the last record; then scm is left to the caller. */
static bool record_locked(struct unix_sock *u, struct unix_scm *scm, uint64_t pos, size_t n)
{
	struct unix_scm *last = list_last(&u->records, struct unix_scm, node);

	if (!scm->file_count && last && !last->file_count && last->end == pos && last->have_cred &&
	    last->pid == scm->pid && last->uid == scm->uid && last->gid == scm->gid) {
		last->end += n;
		return false;
	}
	scm->start = pos;
	scm->end = pos + n;
	list_add_tail(&u->records, &scm->node);
	u->rec_charge += UNIX_OVERHEAD;
	return true;
}

static ssize_t send_locked(struct unix_sock *u, struct unix_sock *peer, struct uio *src, struct unix_scm **scm)
{
	uint64_t limit = (uint32_t)u->s.sndbuf, queued = (uint64_t)peer->used + peer->rec_charge;
	uint64_t pos = peer->read_pos + peer->used;
	size_t n = src->resid;
	ssize_t ret;

	if (peer->dead || (peer->shut & UNIX_RCV_SHUT))
		return -EPIPE;
	if (n == 0)
		return 0;
	if (queued >= limit)
		return -EAGAIN;
	n = MIN(n, limit - queued);
	ret = ring_grow_locked(peer, n);
	if (ret < 0)
		return ret;
	ret = ring_put_locked(peer, src, n);
	if (ret > 0 && UNLIKELY(*scm != NULL) && record_locked(peer, *scm, pos, (size_t)ret))
		*scm = NULL;
	return ret;
}

ssize_t unix_stream_send(struct socket *s, const struct sock_caller *c, struct sock_msg *m)
{
	struct unix_sock *u = unix_of(s), *peer = unix_peer_of(u);
	struct unix_scm *scm = NULL;
	ssize_t ret;

	if (UNLIKELY(m->flags & LINUX_MSG_OOB))
		return -EOPNOTSUPP;
	if (UNLIKELY(m->name && m->name->len))
		return u->state == UNIX_CONNECTED ? -EISCONN : -EOPNOTSUPP;
	if (UNLIKELY(!peer))
		return -ENOTCONN;
	if (unix_shut(u) & UNIX_SND_SHUT)
		return -EPIPE;
	if (UNLIKELY(m->file_count || m->have_cred || socket_option(s, LINUX_SO_PASSCRED) ||
		     socket_option(&peer->s, LINUX_SO_PASSCRED))) {
		uint64_t used = __atomic_load_n(&peer->used, __ATOMIC_RELAXED);

		/* not for each try of a sender that waits */
		if (used + peer->rec_charge >= (uint32_t)s->sndbuf && !(unix_shut(peer) & UNIX_RCV_SHUT))
			return -EAGAIN;
		ret = unix_scm_take(u, peer, c, m, &scm);
		if (ret < 0)
			return ret;
	}
	mutex_lock(&peer->lock);
	ret = send_locked(u, peer, m->uio, &scm);
	mutex_unlock(&peer->lock);
	if (ret > 0)
		waitq_wake(&peer->s.wq, IN_EVENTS);
	if (UNLIKELY(scm != NULL)) {
		/* The caller still has its files and will send them with the next try. */
		if (ret == -EAGAIN)
			m->file_count = scm->file_count;
		unix_scm_free(scm);
	}
	return ret;
}

/* The records at the head decide how far one read may go and what comes with it: it stops behind bytes that
 * carry descriptors, and where credentials change if they are shown. Records used up go to done. */
static size_t limit_by_records(struct unix_sock *u, struct sock_msg *m, size_t n, struct unix_scm **first,
			       struct unix_scm **files)
{
	bool creds = socket_option(&u->s, LINUX_SO_PASSCRED);
	uint64_t pos = u->read_pos, end = pos + n;
	struct unix_scm *r;

	(void)m;
	*first = *files = NULL;
	list_for_each (r, &u->records, node) {
		if (r->start >= end)
			break;
		if (r->start <= pos)
			*first = r;
		else if (creds && (!*first || (*first)->pid != r->pid || (*first)->uid != r->uid ||
				   (*first)->gid != r->gid)) {
			end = r->start;
			break;
		}
		if (r->file_count) {
			*files = r;
			end = MIN(end, r->end);
			break;
		}
		if (creds && r->end < end && r->node.next == &u->records)
			end = r->end; /* unknown senders follow */
	}
	return end - pos;
}

static void drop_records_locked(struct unix_sock *u, struct list *done)
{
	struct unix_scm *r, *tmp;

	list_for_each_safe (r, tmp, &u->records, node) {
		if (r->end > u->read_pos)
			break;
		list_del(&r->node);
		list_add_tail(done, &r->node);
		u->rec_charge -= UNIX_OVERHEAD;
	}
}

/* The descriptors of a range whose rest stays queued have been handed over: the record goes, and its rest
 * keeps only the credentials. */
static void split_record_locked(struct unix_sock *u, struct unix_scm *r, struct list *done)
{
	struct unix_scm *rest = kmalloc(sizeof(*rest));

	if (rest) {
		*rest = *r;
		rest->file_count = 0;
		rest->start = u->read_pos;
		list_add(&r->node, &rest->node);
	} else {
		u->rec_charge -= UNIX_OVERHEAD; /* unknown senders, then */
	}
	list_del(&r->node);
	list_add_tail(done, &r->node);
}

static ssize_t recv_records_locked(struct unix_sock *u, struct sock_msg *m, size_t n, struct list *done)
{
	bool peek = (m->flags & LINUX_MSG_PEEK) != 0;
	struct unix_scm *first, *files;
	ssize_t ret;

	n = limit_by_records(u, m, n, &first, &files);
	ret = ring_copy_locked(u, m->uio, n);
	if (ret <= 0)
		return ret;
	if (!files || first != files) /* else credentials and descriptors come together */
		unix_scm_give(u, first, m, peek);
	if (files && u->read_pos + (uint64_t)ret > files->start)
		unix_scm_give(u, files, m, peek);
	if (!peek) {
		ring_consume_locked(u, (size_t)ret);
		if (files && files->start < u->read_pos && files->end > u->read_pos)
			split_record_locked(u, files, done);
		drop_records_locked(u, done);
	}
	return ret;
}

static ssize_t nothing_there(struct unix_sock *u)
{
	int err;

	if (u->state != UNIX_CONNECTED)
		return -EINVAL;
	err = socket_take_error(&u->s);
	if (err)
		return -err;
	if (u->shut & UNIX_RCV_SHUT)
		return 0;
	return -EAGAIN;
}

static ssize_t recv_locked(struct unix_sock *u, struct sock_msg *m, struct list *done)
{
	size_t n = MIN((uint64_t)u->used, m->uio->resid);
	ssize_t ret;

	if (u->used == 0)
		return nothing_there(u);
	if (n == 0)
		return 0;
	if (UNLIKELY(!list_empty(&u->records)))
		return recv_records_locked(u, m, n, done);
	if (UNLIKELY(socket_option(&u->s, LINUX_SO_PASSCRED)))
		unix_scm_give(u, NULL, m, false);
	ret = ring_copy_locked(u, m->uio, n);
	if (ret > 0 && LIKELY(!(m->flags & LINUX_MSG_PEEK)))
		ring_consume_locked(u, (size_t)ret);
	return ret;
}

ssize_t unix_stream_recv(struct socket *s, const struct sock_caller *c, struct sock_msg *m)
{
	struct unix_sock *u = unix_of(s), *peer;
	/* see gc.c: copies of references are made under its lock */
	bool peek = (m->flags & LINUX_MSG_PEEK) && m->files;
	uint64_t before, after;
	struct list done;
	ssize_t ret;

	(void)c;
	if (UNLIKELY(m->flags & LINUX_MSG_OOB))
		return -EOPNOTSUPP;
	list_init(&done);
	m->file_count = 0;
	m->have_cred = false;
	if (UNLIKELY(peek))
		mutex_lock(&unix_state()->gc_lock);
	mutex_lock(&u->lock);
	before = (uint64_t)u->used + u->rec_charge;
	ret = recv_locked(u, m, &done);
	after = (uint64_t)u->used + u->rec_charge;
	mutex_unlock(&u->lock);
	if (UNLIKELY(peek))
		mutex_unlock(&unix_state()->gc_lock);
	peer = unix_peer_of(u); /* stays until our own release */
	if (peer && after < before && unix_writable(after, peer->s.sndbuf) &&
	    (!unix_writable(before, peer->s.sndbuf) || before >= (uint32_t)peer->s.sndbuf))
		waitq_wake(&peer->s.wq, OUT_EVENTS);
	if (UNLIKELY(m->name != NULL)) {
		m->name->len = 0;
		if (ret > 0 && peer && peer->addr)
			unix_addr_fill(peer, m->name);
	}
	if (UNLIKELY(!list_empty(&done)))
		unix_scm_free_list(&done);
	return ret;
}
