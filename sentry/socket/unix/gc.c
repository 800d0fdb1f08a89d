/* gc.c: sockets that keep each other alive only through descriptors in each other's queues can never be
 * closed by anybody; this collector finds them, by the method of counting: a socket in flight whose file
 * has no other references than those in flight is a candidate; references from candidates' queues don't
 * count; what is then still referenced, and all that its queue leads to, is alive; the queues of the rest
 * are emptied, and their files go the usual way.
 *
 * It runs when a socket is released while others are in flight, and, since cycles need no release to be
 * made, when a send finds twice as many in flight as the last collection left.
 *
 * gc_lock makes the counts stand still: references enter a queue after they are counted in flight and are
 * counted out after they left it, both under gc_lock, and a peek copies references under it; so a socket
 * that moves during a collection has more counts than the queues show, and is taken for alive. */
#include "platform/abi/errno.h"
#include "sentry/socket/unix/internal.h"

typedef void (*visit_fn)(struct unix_sock *u, void *arg);

static void visit_scm(const struct unix_scm *scm, visit_fn fn, void *arg)
{
	for (uint32_t i = 0; i < scm->file_count; i++) {
		struct socket *s;

		if (file_socket(scm->files[i], &s) == 0 && s->family == LINUX_AF_UNIX)
			fn(unix_of(s), arg);
	}
}

static void visit_own_queue(struct unix_sock *u, visit_fn fn, void *arg, bool nested)
{
	struct unix_scm *scm;
	struct unix_msg *m;

	if (nested)
		mutex_lock_nested(&u->lock);
	else
		mutex_lock(&u->lock);
	list_for_each (scm, &u->records, node)
		visit_scm(scm, fn, arg);
	list_for_each (m, &u->msgs, node) {
		if (m->scm)
			visit_scm(m->scm, fn, arg);
	}
	if (!nested) {
		struct unix_sock *e;

		/* what was sent to connections that nobody has accepted */
		list_for_each (e, &u->accept_queue, accept_node)
			visit_own_queue(e, fn, arg, true);
	}
	mutex_unlock(&u->lock);
}

static void subtract(struct unix_sock *u, void *arg)
{
	(void)arg;
	if (u->gc_candidate)
		u->gc_external--;
}

/* A socket that is reached goes to the list of those whose queues are to be followed. */
static void reach(struct unix_sock *u, void *arg)
{
	struct list *todo = arg;

	if (!u->gc_candidate || u->gc_reached)
		return;
	u->gc_reached = true;
	list_del(&u->inflight_node);
	list_add_tail(todo, &u->inflight_node);
}

/* Leaves the dead ones in st->inflight's place: candidates that aren't reached. */
static bool mark_locked(struct unix_state *st)
{
	struct list todo, alive;
	struct unix_sock *u, *tmp;
	bool dead;

	list_init(&todo);
	list_init(&alive);
	list_for_each_safe (u, tmp, &st->inflight, inflight_node) {
		u->gc_reached = false;
		u->gc_external = u->inflight;
		u->gc_candidate = u->s.file && refs_read(&u->s.file->refs) == u->inflight;
	}
	list_for_each (u, &st->inflight, inflight_node) {
		if (u->gc_candidate)
			visit_own_queue(u, subtract, NULL, false);
	}
	list_for_each_safe (u, tmp, &st->inflight, inflight_node) {
		if (!u->gc_candidate) {
			list_del(&u->inflight_node);
			list_add_tail(&alive, &u->inflight_node);
		} else if (u->gc_external > 0) {
			reach(u, &todo);
		}
	}
	while ((u = list_first(&todo, struct unix_sock, inflight_node)) != NULL) {
		list_del(&u->inflight_node);
		list_add_tail(&alive, &u->inflight_node);
		visit_own_queue(u, reach, &todo, false);
	}
	dead = !list_empty(&st->inflight);
	/* dead ones first, alive behind them */
	list_splice_tail(&st->inflight, &alive);
	return dead;
}

static void take_queue(struct unix_sock *u, struct list *scms, bool nested)
{
	struct unix_scm *scm, *tmp;
	struct unix_sock *e;
	struct unix_msg *m;

	if (nested)
		mutex_lock_nested(&u->lock);
	else
		mutex_lock(&u->lock);
	list_for_each_safe (scm, tmp, &u->records, node) {
		if (!scm->file_count)
			continue;
		list_del(&scm->node);
		u->rec_charge -= UNIX_OVERHEAD;
		list_add_tail(scms, &scm->node);
	}
	list_for_each (m, &u->msgs, node) {
		if (m->scm && m->scm->file_count) {
			list_add_tail(scms, &m->scm->node);
			m->scm = NULL;
		}
	}
	if (!nested) {
		list_for_each (e, &u->accept_queue, accept_node)
			take_queue(e, scms, true);
	}
	mutex_unlock(&u->lock);
}

void unix_gc(void)
{
	struct unix_state *st = unix_state();
	struct unix_sock *u;
	struct list scms;

	list_init(&scms);
	mutex_lock(&st->gc_lock);
	if (st->collecting) {
		mutex_unlock(&st->gc_lock);
		return; /* the puts of a collection end here */
	}
	st->collecting = true;
	if (mark_locked(st)) {
		list_for_each (u, &st->inflight, inflight_node) {
			if (!u->gc_candidate || u->gc_reached)
				break;
			take_queue(u, &scms, false);
		}
	}
	mutex_unlock(&st->gc_lock);
	unix_scm_free_list(&scms);
	mutex_lock(&st->gc_lock);
	st->collecting = false;
	__atomic_store_n(&st->gc_at, MAX(2 * st->inflight_socks, UNIX_GC_MIN), __ATOMIC_RELAXED);
	mutex_unlock(&st->gc_lock);
}
