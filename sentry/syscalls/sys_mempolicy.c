/* sys_mempolicy.c: NUMA calls on a machine with one node, 0: arguments are checked, nothing is kept. */
#include "sentry/syscalls/internal.h"

#define NODE_WORDS 16 /* 1024 nodes at most in a mask */

/* maxnode counts one more than the highest bit (mbind(2)). Only node 0 may be named. */
static int get_nodes(struct task *t, uaddr_t umask, uint64_t maxnode, uint64_t *out)
{
	uint64_t words[NODE_WORDS] = {0}, bits;
	uint32_t i, count;
	int ret;

	*out = 0;
	if (umask == 0 || maxnode <= 1)
		return 0;
	bits = maxnode - 1;
	if (bits > PAGE_SIZE * 8)
		return -EINVAL;
	count = (uint32_t)MIN((bits + 63) / 64, (uint64_t)NODE_WORDS);
	ret = copy_from_user(t, words, umask, count * sizeof(uint64_t));
	if (ret < 0)
		return ret;
	if (bits < 64UL * count)
		words[count - 1] &= bits % 64 ? (1ULL << (bits % 64)) - 1 : UINT64_MAX;
	for (i = 1; i < count; i++)
		if (words[i])
			return -EINVAL;
	*out = words[0];
	return 0;
}

static int check_policy(uint32_t mode, uint64_t nodes)
{
	uint32_t flags = mode & LINUX_MPOL_MODE_FLAGS;

	mode &= ~(uint32_t)LINUX_MPOL_MODE_FLAGS;
	if (mode > 6 /* MPOL_WEIGHTED_INTERLEAVE */)
		return -EINVAL;
	if ((flags & LINUX_MPOL_F_STATIC_NODES) && (flags & LINUX_MPOL_F_RELATIVE_NODES))
		return -EINVAL;
	switch (mode) {
	case LINUX_MPOL_DEFAULT:
	case LINUX_MPOL_LOCAL:
		return nodes ? -EINVAL : 0;
	case LINUX_MPOL_PREFERRED:
		return nodes & ~1ULL ? -EINVAL : 0;
	default:
		return nodes == 1 ? 0 : -EINVAL;
	}
}

int64_t sys_set_mempolicy(struct task *t, const struct sysargs *a)
{
	uint64_t nodes;
	int ret = get_nodes(t, arg_addr(a, 1), arg_u64(a, 2), &nodes);

	return ret < 0 ? ret : check_policy(arg_u32(a, 0), nodes);
}

int64_t sys_mbind(struct task *t, const struct sysargs *a)
{
	uaddr_t start = arg_addr(a, 0);
	uint64_t size = arg_u64(a, 1), nodes;
	uint32_t prot;
	enum vma_kind kind;
	int ret;

	if (arg_u32(a, 5) & ~(uint32_t)LINUX_MPOL_MF_VALID)
		return -EINVAL;
	if ((arg_u32(a, 5) & LINUX_MPOL_MF_MOVE_ALL) && !capable(t, LINUX_CAP_SYS_NICE))
		return -EPERM;
	if (!IS_ALIGNED(start, PAGE_SIZE) || !access_ok(start, size))
		return -EINVAL;
	ret = get_nodes(t, arg_addr(a, 3), arg_u64(a, 4), &nodes);
	if (ret == 0)
		ret = check_policy(arg_u32(a, 2), nodes);
	if (ret < 0 || size == 0)
		return ret;
	return mm_lookup(t->mm, start, &prot, &kind);
}

int64_t sys_get_mempolicy(struct task *t, const struct sysargs *a)
{
	uint64_t flags = arg_u64(a, 4), maxnode = arg_u64(a, 2), words[NODE_WORDS] = {0};
	int32_t mode = LINUX_MPOL_DEFAULT;
	uint32_t prot;
	enum vma_kind kind;
	int ret = 0;

	if (flags & ~(uint64_t)(LINUX_MPOL_F_NODE | LINUX_MPOL_F_ADDR | LINUX_MPOL_F_MEMS_ALLOWED))
		return -EINVAL;
	if (arg_addr(a, 1) && maxnode < 1)
		return -EINVAL;
	if ((flags & LINUX_MPOL_F_MEMS_ALLOWED) && (flags & (LINUX_MPOL_F_NODE | LINUX_MPOL_F_ADDR)))
		return -EINVAL;
	if (flags & LINUX_MPOL_F_ADDR)
		ret = mm_lookup(t->mm, arg_addr(a, 3), &prot, &kind);
	else if (arg_addr(a, 3))
		return -EINVAL;
	else if (flags & LINUX_MPOL_F_NODE)
		return -EINVAL; /* only for interleaving */
	if (ret == 0 && arg_addr(a, 0))
		ret = copy_to_user(t, arg_addr(a, 0), &mode, sizeof(mode)); /* node 0 reads the same */
	if (ret == 0 && arg_addr(a, 1)) {
		uint64_t bytes = MIN((maxnode + 63) / 64 * 8, (uint64_t)sizeof(words));

		words[0] = flags & LINUX_MPOL_F_MEMS_ALLOWED ? 1 : 0;
		ret = copy_to_user(t, arg_addr(a, 1), words, bytes);
	}
	return ret;
}

int64_t sys_set_mempolicy_home_node(struct task *t, const struct sysargs *a)
{
	(void)t;
	if (!IS_ALIGNED(arg_addr(a, 0), PAGE_SIZE) || arg_u64(a, 3) != 0 || arg_u64(a, 2) != 0)
		return -EINVAL;
	return 0;
}

int64_t sys_migrate_pages(struct task *t, const struct sysargs *a)
{
	uint64_t from, to;
	int ret = get_nodes(t, arg_addr(a, 2), arg_u64(a, 1), &from);

	if (ret == 0)
		ret = get_nodes(t, arg_addr(a, 3), arg_u64(a, 1), &to);
	if (ret == 0 && (to & ~1ULL))
		ret = -EINVAL;
	return ret;
}

/* Every page is on node 0 and can go nowhere else. */
int64_t sys_move_pages(struct task *t, const struct sysargs *a)
{
	uint64_t count = arg_u64(a, 1), i;
	uint32_t flags = arg_u32(a, 5), prot;
	enum vma_kind kind;
	int ret = 0;

	if (flags & ~(uint32_t)(LINUX_MPOL_MF_MOVE | LINUX_MPOL_MF_MOVE_ALL))
		return -EINVAL;
	if (arg_int(a, 0) != 0 && arg_int(a, 0) != task_tgid_in(t, t))
		return -EPERM;
	for (i = 0; ret == 0 && i < count; i++) {
		int32_t node, status;
		uaddr_t page;

		if (task_interrupted(t))
			return -EINTR;
		ret = copy_from_user(t, &page, arg_addr(a, 2) + i * sizeof(page), sizeof(page));
		if (ret < 0)
			break;
		status = mm_lookup(t->mm, page, &prot, &kind) < 0 ? -EFAULT : 0;
		if (arg_addr(a, 3)) {
			ret = copy_from_user(t, &node, arg_addr(a, 3) + i * sizeof(node), sizeof(node));
			if (ret == 0 && node != 0)
				ret = -ENODEV;
		}
		if (ret == 0)
			ret = copy_to_user(t, arg_addr(a, 4) + i * sizeof(status), &status, sizeof(status));
	}
	return ret;
}
