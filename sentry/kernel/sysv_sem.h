/* sysv_sem.h: semaphore sets as sysv_sem.c (semget, semop, undo) and sysv_semctl.c (semctl) see them. */
#pragma once

#include "sentry/kernel/ipc_internal.h"

#define SEM_TOTAL_MAX 1024000UL /* differs from Linux (SEMMNS): what a sandbox's books may cost */

struct sem {
	int32_t value;	    /* [IPC] */
	int32_t pid;	    /* [IPC] of the last operation */
	uint32_t wait_up;   /* [IPC] callers waiting for it to grow */
	uint32_t wait_zero; /* [IPC] callers waiting for zero */
};

struct sem_set {
	struct ipc_object o;
	struct list undos;    /* [IPC] */
	int64_t otime, ctime; /* [IPC] */
	uint32_t count;	      /* [I] */
	struct sem sems[];
};

struct sem_undo {
	struct list of_set;	    /* [IPC] */
	struct list of_process;	    /* [IPC_UNDO] */
	struct sem_undo_list *list; /* [I] */
	struct sem_set *set;	    /* [I] reference */
	int16_t adjust[];	    /* [IPC] */
};

struct sem_undo_list {
	struct mutex lock;
	struct list undos; /* [lock] */
};

static inline struct sem_set *sem_set_of(struct ipc_object *o)
{
	return container_of(o, struct sem_set, o);
}

/* The set goes: nobody undoes anything any more. The caller has a reference to it. [IPC] */
void sem_undo_drop_locked(struct sem_set *set);
