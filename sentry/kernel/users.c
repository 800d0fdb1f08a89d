/* users.c: how many tasks and queued signals each real user has, for RLIMIT_NPROC and RLIMIT_SIGPENDING.
 * Lock: user_table->lock, a leaf. */
#include "sentry/kernel/internal.h"

struct user_table *user_table_create(void)
{
	struct user_table *t = kmalloc(sizeof(*t));

	if (t)
		mutex_init(&t->lock, RANK_CRED);
	return t;
}

int user_get(struct kernel *k, uint32_t uid, struct user **out)
{
	struct user_table *table = k->users;
	struct rbnode **link, *parent = NULL;
	struct user *u;
	int ret = 0;

	mutex_lock(&table->lock);
	link = &table->users.root;
	while (*link) {
		parent = *link;
		u = rb_entry(parent, struct user, node);
		if (u->uid == uid)
			goto found;
		link = uid < u->uid ? &parent->left : &parent->right;
	}
	u = kmalloc(sizeof(*u));
	if (!u) {
		ret = -ENOMEM;
		goto out;
	}
	u->uid = uid;
	rb_insert(&table->users, &u->node, parent, link);
found:
	u->refs++;
	*out = u;
out:
	mutex_unlock(&table->lock);
	return ret;
}

void user_put(struct kernel *k, struct user *u)
{
	struct user_table *table = k->users;

	mutex_lock(&table->lock);
	if (--u->refs == 0)
		rb_remove(&table->users, &u->node);
	else
		u = NULL;
	mutex_unlock(&table->lock);
	kfree(u);
}

uint32_t user_tasks(struct user *u)
{
	return __atomic_load_n(&u->tasks, __ATOMIC_RELAXED);
}
