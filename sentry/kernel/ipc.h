/* ipc.h: System V semaphores, shared memory and messages (svipc(7)) and POSIX message queues (mq_overview(7)).
 * All hang off an ipc namespace. Ids of processes in them are those of the initial pid namespace. */
#pragma once

#include "sentry/kernel/kernel.h"

struct strbuf;

enum ipc_kind {
	IPC_SEM,
	IPC_SHM,
	IPC_MSG,
	IPC_KINDS,
};

/* /proc/sysvipc: the objects of the initial namespace, ids as cred's user namespace shows them. */
void ipc_show(struct kernel *k, enum ipc_kind kind, const struct cred *cred, struct strbuf *out);

/* What *ctl calls carry back and forth: kernel ids are translated by the caller of these functions' structs. */
MUST_CHECK int64_t sem_get(struct task *t, int32_t key, int count, int flags);
MUST_CHECK int64_t sem_op(struct task *t, int id, const struct linux_sembuf *ops, uint32_t count,
			  uint64_t deadline);
/* arg: the guest's fourth argument, a value or an address by cmd */
MUST_CHECK int64_t sem_ctl(struct task *t, int id, int num, int cmd, uint64_t arg);
/* The last task of p ends, or it leaves its ipc namespace: undoes what SEM_UNDO asked for. */
void sem_exit(struct process *p);

MUST_CHECK int64_t shm_get(struct task *t, int32_t key, uint64_t size, int flags);
MUST_CHECK int64_t shm_attach(struct task *t, int id, uaddr_t addr, int flags);
MUST_CHECK int shm_detach(struct task *t, uaddr_t addr);
MUST_CHECK int64_t shm_ctl(struct task *t, int id, int cmd, uaddr_t buf);

MUST_CHECK int64_t msg_get(struct task *t, int32_t key, int flags);
MUST_CHECK int msg_send(struct task *t, int id, uaddr_t buf, uint64_t size, int flags);
MUST_CHECK int64_t msg_receive(struct task *t, int id, uaddr_t buf, uint64_t size, int64_t type, int flags);
MUST_CHECK int64_t msg_ctl(struct task *t, int id, int cmd, uaddr_t buf);

/* POSIX queues; name without the slash, a kernel copy. attr NULL: defaults. */
MUST_CHECK int mq_open_file(struct task *t, const char *name, uint32_t flags, uint32_t mode,
			    const struct linux_mq_attr *attr, struct file **out);
MUST_CHECK int mq_unlink_name(struct task *t, const char *name);
bool file_is_mq(const struct file *f);
/* One try each: -EAGAIN. data: kernel memory. */
MUST_CHECK int mq_send(struct task *t, struct file *f, const void *data, size_t size, uint32_t priority);
MUST_CHECK ssize_t mq_receive(struct file *f, void *data, size_t size, uint32_t *priority);
uint64_t mq_message_size(struct file *f);
MUST_CHECK int mq_notify_set(struct task *t, struct file *f, const struct linux_sigevent *ev);
void mq_get_attr(struct file *f, struct linux_mq_attr *attr);
