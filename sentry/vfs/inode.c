/* inode.c: the life of an inode, and its defaults. */
#include "platform/base/clock.h"
#include "sentry/vfs/internal.h"

struct linux_timespec vfs_now(void)
{
	int64_t ns = clock_realtime_ns();
	struct linux_timespec ts = {ns / (int64_t)NSEC_PER_SEC, ns % (int64_t)NSEC_PER_SEC};

	if (ts.tv_nsec < 0) {
		ts.tv_sec--;
		ts.tv_nsec += (int64_t)NSEC_PER_SEC;
	}
	return ts;
}

int inode_create_extra(struct super *s, const struct inode_ops *ops, const struct file_ops *fops, uint64_t ino,
		       uint32_t mode, size_t extra, struct inode **out)
{
	size_t head = ROUND_UP(sizeof(struct inode), (size_t)16);
	struct inode *i = kmalloc(head + extra);

	if (!i)
		return -ENOMEM;
	refs_init(&i->refs);
	i->super = s;
	super_object_get(s);
	i->ops = ops;
	i->fops = fops;
	i->ino = ino;
	i->mode = mode;
	i->nlink = 1;
	mutex_init(&i->lock, s->below_overlay ? RANK_INODE_LOWER : RANK_INODE);
	list_init(&i->marks);
	i->atime = i->mtime = i->ctime = i->btime = vfs_now();
	if (extra)
		i->fs = (char *)i + head;
	*out = i;
	return 0;
}

int inode_create(struct super *s, const struct inode_ops *ops, const struct file_ops *fops, uint64_t ino,
		 uint32_t mode, struct inode **out)
{
	return inode_create_extra(s, ops, fops, ino, mode, 0, out);
}

void inode_put(struct inode *i)
{
	struct super *s = i->super;

	if (!refs_put(&i->refs))
		return;
	if (i->ops && i->ops->destroy)
		i->ops->destroy(i);
	if (i->flocks)
		flock_state_free(i->flocks);
	kfree(i);
	super_object_put(s);
}

void inode_init_owner(struct inode *inode, const struct inode *dir, const struct cred *cred)
{
	inode->uid = cred->fsuid;
	if (dir && (dir->mode & S_ISGID)) {
		inode->gid = dir->gid;
		if (inode_is_dir(inode))
			inode->mode |= S_ISGID;
		else if ((inode->mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
			 !cred_in_group(cred, dir->gid) && !inode_capable(dir, cred, LINUX_CAP_FSETID))
			inode->mode &= ~S_ISGID;
	} else {
		inode->gid = cred->fsgid;
	}
}

void inode_touch(struct inode *i, bool a, bool m, bool c)
{
	struct linux_timespec now = vfs_now();

	if (a)
		i->atime = now;
	if (m)
		i->mtime = now;
	if (c)
		i->ctime = now;
}

void inode_fill_kstat(struct inode *i, struct kstat *out)
{
	*out = (struct kstat){.dev = i->super->dev,
			      .ino = i->ino,
			      .rdev = i->rdev,
			      .blksize = PAGE_SIZE,
			      .mask = LINUX_STATX_BASIC_STATS | LINUX_STATX_BTIME};
	mutex_lock(&i->lock);
	out->nlink = __atomic_load_n(&i->nlink, __ATOMIC_RELAXED);
	out->mode = i->mode;
	out->uid = i->uid;
	out->gid = i->gid;
	out->size = i->size;
	out->blocks = (i->size + 511) / 512;
	out->atime = i->atime;
	out->mtime = i->mtime;
	out->ctime = i->ctime;
	out->btime = i->btime;
	mutex_unlock(&i->lock);
}

/* write_count as int: writers count up, those who deny writing count down; never both. */
static int count_toward(struct inode *i, int32_t step)
{
	uint32_t old = __atomic_load_n(&i->write_count, __ATOMIC_RELAXED);

	do {
		if ((step > 0 && (int32_t)old < 0) || (step < 0 && (int32_t)old > 0))
			return -ETXTBSY;
	} while (!__atomic_compare_exchange_n(&i->write_count, &old, old + (uint32_t)step, true,
					      __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	return 0;
}

int inode_get_write(struct inode *i)
{
	return count_toward(i, 1);
}

void inode_put_write(struct inode *i)
{
	__atomic_sub_fetch(&i->write_count, 1, __ATOMIC_ACQ_REL);
}

int inode_deny_write(struct inode *i)
{
	return count_toward(i, -1);
}

void inode_allow_write(struct inode *i)
{
	__atomic_add_fetch(&i->write_count, 1, __ATOMIC_ACQ_REL);
}

void inode_set_unstable(struct inode *i)
{
	if (__atomic_load_n(&i->unstable, __ATOMIC_RELAXED))
		return;
	__atomic_store_n(&i->unstable, true, __ATOMIC_SEQ_CST);
	change_mark(inode_change_word(i));
}

void vfs_basis_inode(struct vfs_basis *b, const struct inode *i)
{
	uint64_t *w = inode_change_word(i);

	b->inode_word = (uint32_t)(w - i->super->vfs->words);
	b->inode_value = change_read(w);
	/* devices, FIFOs and sockets change by being used */
	b->unstable |=
		!i->super->stable || inode_is_special(i) || __atomic_load_n(&i->unstable, __ATOMIC_SEQ_CST);
}
