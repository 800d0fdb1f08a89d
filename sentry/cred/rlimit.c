/* rlimit.c: resource limits of a thread group, with the values a Linux machine starts its services with. */
#include <string.h>

#include "platform/abi/errno.h"
#include "sentry/cred/internal.h"

#define NOFILE_HARD 1048576u /* fs.nr_open */
#define INF	    LINUX_RLIM_INFINITY

static const struct linux_rlimit defaults[LINUX_RLIM_NLIMITS] = {
	[LINUX_RLIMIT_CPU] = {INF, INF},
	[LINUX_RLIMIT_FSIZE] = {INF, INF},
	[LINUX_RLIMIT_DATA] = {INF, INF},
	[LINUX_RLIMIT_STACK] = {8u << 20, INF},
	[LINUX_RLIMIT_CORE] = {0, INF},
	[LINUX_RLIMIT_RSS] = {INF, INF},
	[LINUX_RLIMIT_NPROC] = {INF, INF},
	[LINUX_RLIMIT_NOFILE] = {1024, NOFILE_HARD},
	[LINUX_RLIMIT_MEMLOCK] = {8u << 20, 8u << 20},
	[LINUX_RLIMIT_AS] = {INF, INF},
	[LINUX_RLIMIT_LOCKS] = {INF, INF},
	[LINUX_RLIMIT_SIGPENDING] = {32768, 32768},
	[LINUX_RLIMIT_MSGQUEUE] = {819200, 819200},
	[LINUX_RLIMIT_NICE] = {0, 0},
	[LINUX_RLIMIT_RTPRIO] = {0, 0},
	[LINUX_RLIMIT_RTTIME] = {INF, INF},
};

void rlimits_init(struct rlimits *l)
{
	mutex_init(&l->lock, RANK_CRED);
	memcpy(l->r, defaults, sizeof(defaults));
}

void rlimits_copy(struct rlimits *dst, struct rlimits *src)
{
	mutex_init(&dst->lock, RANK_CRED);
	mutex_lock(&src->lock);
	memcpy(dst->r, src->r, sizeof(dst->r));
	mutex_unlock(&src->lock);
}

uint64_t rlimit_cur(struct rlimits *l, int resource)
{
	/* One aligned word: a reader sees the old or the new value, and needs no lock for that. */
	return __atomic_load_n(&l->r[resource].rlim_cur, __ATOMIC_RELAXED);
}

int rlimit_change(struct rlimits *l, int resource, const struct linux_rlimit *new_limit,
		  struct linux_rlimit *old, bool cap_sys_resource)
{
	int ret = 0;

	if (resource < 0 || resource >= LINUX_RLIM_NLIMITS)
		return -EINVAL;
	if (new_limit && new_limit->rlim_cur > new_limit->rlim_max)
		return -EINVAL;
	if (new_limit && resource == LINUX_RLIMIT_NOFILE && new_limit->rlim_max > NOFILE_HARD)
		return -EPERM;
	mutex_lock(&l->lock);
	if (new_limit && new_limit->rlim_max > l->r[resource].rlim_max && !cap_sys_resource) {
		ret = -EPERM;
	} else {
		if (old)
			*old = l->r[resource];
		if (new_limit) {
			__atomic_store_n(&l->r[resource].rlim_cur, new_limit->rlim_cur, __ATOMIC_RELAXED);
			l->r[resource].rlim_max = new_limit->rlim_max;
		}
	}
	mutex_unlock(&l->lock);
	return ret;
}
