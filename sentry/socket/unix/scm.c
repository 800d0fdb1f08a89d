/* scm.c: what travels with data: descriptors (SCM_RIGHTS) and credentials (SCM_CREDENTIALS). Descriptors in
 * flight are counted per user, and sockets among them are known to the collector (gc.c). Files are never
 * put while a socket's lock is held nor from inside another put of this room: a chain of sockets, each in
 * the queue of the next, would recurse as deep as a guest likes. */
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/prctl.h"
#include "platform/base/arena.h"
#include "sentry/socket/unix/internal.h"

static struct unix_user *user_find_locked(struct unix_state *st, uint32_t uid)
{
	struct unix_user *w;

	list_for_each (w, &st->users[uid % UNIX_USER_BUCKETS], node) {
		if (w->uid == uid)
			return w;
	}
	return NULL;
}

/* -ETOOMANYREFS beyond the user's limit. fresh: a spare record, used up if *fresh becomes NULL. */
static int count_user_locked(struct unix_state *st, uint32_t uid, uint32_t n, bool exempt,
			     struct unix_user **fresh)
{
	struct unix_user *w = user_find_locked(st, uid);

	if (!w) {
		w = *fresh;
		*fresh = NULL;
		w->uid = uid;
		list_add(&st->users[uid % UNIX_USER_BUCKETS], &w->node);
	}
	if (!exempt && w->inflight + n > UNIX_INFLIGHT_MAX)
		return -ETOOMANYREFS;
	w->inflight += n;
	return 0;
}

static void uncount_user_locked(struct unix_state *st, uint32_t uid, uint32_t n)
{
	struct unix_user *w = user_find_locked(st, uid);

	w->inflight -= n;
	if (w->inflight == 0) {
		list_del(&w->node);
		kfree(w);
	}
}

static struct unix_sock *file_unix(struct file *f)
{
	struct socket *s;

	if (file_socket(f, &s) < 0 || s->family != LINUX_AF_UNIX)
		return NULL;
	return unix_of(s);
}

static int count_files_once(struct unix_scm *scm, bool exempt)
{
	struct unix_state *st = unix_state();
	struct unix_user *fresh = kmalloc(sizeof(*fresh));
	int ret;

	if (!fresh)
		return -ENOMEM;
	mutex_lock(&st->gc_lock);
	ret = count_user_locked(st, scm->owner_uid, scm->file_count, exempt, &fresh);
	for (uint32_t i = 0; ret == 0 && i < scm->file_count; i++) {
		struct unix_sock *u = file_unix(scm->files[i]);

		if (u && u->inflight++ == 0) {
			list_add(&st->inflight, &u->inflight_node);
			st->inflight_socks++;
		}
	}
	mutex_unlock(&st->gc_lock);
	kfree(fresh);
	return ret;
}

static int count_files(struct unix_scm *scm, bool exempt)
{
	struct unix_state *st = unix_state();
	int ret;

	if (__atomic_load_n(&st->inflight_socks, __ATOMIC_RELAXED) >=
	    __atomic_load_n(&st->gc_at, __ATOMIC_RELAXED))
		unix_gc();
	ret = count_files_once(scm, exempt);
	if (ret == -ETOOMANYREFS) {
		unix_gc();
		ret = count_files_once(scm, exempt);
	}
	return ret;
}

static void uncount_files_locked(struct unix_state *st, struct unix_scm *scm)
{
	if (!scm->file_count)
		return;
	uncount_user_locked(st, scm->owner_uid, scm->file_count);
	for (uint32_t i = 0; i < scm->file_count; i++) {
		struct unix_sock *u = file_unix(scm->files[i]);

		if (u && --u->inflight == 0) {
			list_del(&u->inflight_node);
			st->inflight_socks--;
		}
	}
}

static void fill_cred(struct unix_scm *scm, const struct sock_caller *c, const struct sock_msg *m)
{
	const struct cred *cred = c->at ? c->at->cred : NULL;

	scm->have_cred = true;
	if (m->have_cred) {
		scm->pid = m->cred_pid;
		scm->uid = m->cred_uid;
		scm->gid = m->cred_gid;
	} else {
		scm->pid = c->pid;
		scm->uid = cred ? cred->uid : OVERFLOW_ID;
		scm->gid = cred ? cred->gid : OVERFLOW_ID;
	}
}

int unix_scm_take(struct unix_sock *from, struct unix_sock *to, const struct sock_caller *c, struct sock_msg *m,
		  struct unix_scm **out)
{
	const struct cred *cred = c->at ? c->at->cred : NULL;
	struct unix_scm *scm;
	int ret;

	(void)from;
	(void)to;
	if (m->file_count > UNIX_SCM_MAX_FD)
		return -EINVAL;
	scm = kmalloc(sizeof(*scm) + m->file_count * sizeof(scm->files[0]));
	if (!scm)
		return -ENOMEM;
	list_init(&scm->node);
	fill_cred(scm, c, m);
	if (m->file_count) {
		scm->owner_uid = cred ? cred->uid : OVERFLOW_ID;
		scm->file_count = m->file_count;
		memcpy(scm->files, m->files, m->file_count * sizeof(scm->files[0]));
		for (uint32_t i = 0; i < scm->file_count; i++)
			file_get(scm->files[i]);
		ret = count_files(scm, cred && cred_has_cap(cred, LINUX_CAP_SYS_RESOURCE));
		if (ret < 0) {
			for (uint32_t i = 0; i < scm->file_count; i++)
				file_put(scm->files[i]); /* the caller has references too */
			kfree(scm);
			return ret;
		}
		m->file_count = 0;
	}
	*out = scm;
	return 0;
}

/* Runs under the receiver's lock: moved files stay counted as in flight by scm, which is freed later; the
 * receiver gets references of its own, so no count reaches zero here. */
static void give_files(struct unix_scm *scm, struct sock_msg *m)
{
	uint32_t n = 0;

	if (m->files)
		n = MIN(scm->file_count, m->file_max - m->file_count);
	for (uint32_t i = 0; i < n; i++)
		m->files[m->file_count++] = file_get(scm->files[i]);
	if (n < scm->file_count)
		m->flags |= LINUX_MSG_CTRUNC;
}

void unix_scm_give(struct unix_sock *to, struct unix_scm *scm, struct sock_msg *m, bool keep)
{
	(void)keep;
	if (socket_option(&to->s, LINUX_SO_PASSCRED) && !m->have_cred) {
		bool known = scm && scm->have_cred;

		m->have_cred = true;
		m->cred_pid = known ? scm->pid : 0;
		m->cred_uid = known ? scm->uid : OVERFLOW_ID;
		m->cred_gid = known ? scm->gid : OVERFLOW_ID;
	}
	if (scm && scm->file_count)
		give_files(scm, m);
}

/* Puts what is doomed, one by one without locks; a put that dooms more only adds to the list. */
static void drain_doomed(struct unix_state *st)
{
	mutex_lock(&st->gc_lock);
	if (!st->draining) {
		struct unix_scm *scm;

		st->draining = true;
		while ((scm = list_first(&st->doomed, struct unix_scm, node)) != NULL) {
			list_del(&scm->node);
			mutex_unlock(&st->gc_lock);
			for (uint32_t i = 0; i < scm->file_count; i++)
				file_put(scm->files[i]);
			kfree(scm);
			mutex_lock(&st->gc_lock);
		}
		st->draining = false;
	}
	mutex_unlock(&st->gc_lock);
}

void unix_scm_free_list(struct list *scms)
{
	struct unix_state *st = unix_state();
	struct unix_scm *scm, *tmp;
	bool doomed = false;

	list_for_each_safe (scm, tmp, scms, node) {
		list_del(&scm->node);
		if (!scm->file_count) {
			kfree(scm);
			continue;
		}
		mutex_lock(&st->gc_lock);
		uncount_files_locked(st, scm);
		list_add_tail(&st->doomed, &scm->node);
		mutex_unlock(&st->gc_lock);
		doomed = true;
	}
	if (doomed)
		drain_doomed(st);
}

void unix_scm_free(struct unix_scm *scm)
{
	struct list one;

	if (!scm)
		return;
	list_init(&one);
	list_add(&one, &scm->node);
	unix_scm_free_list(&one);
}
