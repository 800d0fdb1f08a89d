/* ipc_internal.h: the tables of an ipc namespace. One lock for all of it, rank IPC: held for short books only;
 * data is copied from and to guests outside of it. */
#pragma once

#include <string.h>

#include "platform/abi/misc.h"
#include "platform/abi/prctl.h"
#include "platform/base/clock.h"
#include "platform/base/strbuf.h"
#include "sentry/kernel/ipc.h"

#define IPC_MAX_IDS 32768

/* Head of every System V object. Referenced by its table and by those who wait on it. */
struct ipc_object {
	struct refs refs;
	struct ipc_state
		*ipc;	    /* [I] borrowed: an object in use has a task in the namespace; see ipc_state.refs */
	enum ipc_kind kind; /* [I] */
	int32_t id;	    /* [I] */
	int32_t key;	    /* [IPC] */
	uint32_t uid, gid;  /* [IPC] kernel ids */
	uint32_t cuid, cgid; /* [I] */
	uint32_t mode;	     /* [IPC] */
	bool dead;	     /* [IPC] removed: waiters get EIDRM */
	struct waitq wq;     /* something about it changed */
	void (*destroy)(struct ipc_object *o);
	/* the object's line of /proc/sysvipc, ids as ns shows them. [IPC] */
	void (*show)(struct ipc_object *o, struct user_ns *ns, struct strbuf *out);
};

struct ipc_table {
	struct ipc_object **slots; /* [IPC] size of them */
	uint32_t size, used, seq;  /* [IPC] */
	int32_t max_index;	   /* [IPC] highest in use, for *_INFO */
};

/* Survives its namespace while objects (attached segments) need it. */
struct ipc_state {
	struct refs refs;
	struct user_ns *owner;		    /* [I] reference */
	struct mutex lock;		    /* rank IPC */
	struct ipc_table tables[IPC_KINDS]; /* [lock] */
	uint64_t shm_pages;		    /* [lock] in segments */
	uint64_t sem_count;		    /* [lock] semaphores in sets */
	uint64_t msg_bytes;		    /* [lock] in messages of all queues */
	struct list mqs;		    /* [lock] POSIX queues that have a name */
	uint32_t mq_count;		    /* [lock] */
	uint64_t mq_bytes;		    /* [lock] reserved by their attributes */
};

/* mqueue.c: the names go; open queues live on. */
void mq_namespace_ends(struct ipc_state *s);

/* The state of t's namespace, created on first use. Borrowed: t holds the namespace. */
MUST_CHECK int ipc_state_of(struct task *t, struct ipc_state **out);
void ipc_state_put(struct ipc_state *s);

/* *get: finds by key or says that one is to be made. Locked. 1: make it; 0: *out; or -errno. */
MUST_CHECK int ipc_find_key_locked(struct task *t, struct ipc_state *s, enum ipc_kind kind, int32_t key,
				   int flags, struct ipc_object **out);
/* Enters o with a new id and the caller as its maker; the table takes the reference. -ENOSPC, -ENOMEM */
MUST_CHECK int ipc_add_locked(struct task *t, struct ipc_state *s, struct ipc_object *o, enum ipc_kind kind,
			      int32_t key, int flags);
/* By id, borrowed: NULL when there is none. */
struct ipc_object *ipc_find_locked(struct ipc_state *s, enum ipc_kind kind, int32_t id);
/* *_STAT takes an index in the table; *id is the object's. */
struct ipc_object *ipc_find_index_locked(struct ipc_state *s, enum ipc_kind kind, int32_t index);
/* Out of the table, dead; drops the table's reference later: give it to ipc_put after unlocking. */
void ipc_remove_locked(struct ipc_object *o);
void ipc_put(struct ipc_object *o);

/* want: permission bits 4 (read), 2 (write) as in a mode's lowest three. */
MUST_CHECK int ipc_may(struct task *t, const struct ipc_object *o, uint32_t want);
/* IPC_SET and IPC_RMID: owner, maker or privileged. */
MUST_CHECK int ipc_may_change(struct task *t, const struct ipc_object *o);
void ipc_fill_perm(struct task *t, const struct ipc_object *o, struct linux_ipc_perm *p);
MUST_CHECK int ipc_set_perm(struct task *t, struct ipc_object *o, const struct linux_ipc_perm *p);
static inline int64_t ipc_now(void)
{
	int64_t ns = clock_realtime_ns();

	return ns / (int64_t)NSEC_PER_SEC;
}
/* The four ids of a line of /proc/sysvipc. */
void ipc_show_owner(const struct ipc_object *o, struct user_ns *ns, struct strbuf *out);
/* Pids are kept as the initial namespace numbers them. */
int32_t ipc_show_pid(struct task *t, int32_t pid);
