/* cmsg.c: control messages (cmsg(3)) between the guest's form and struct sock_msg: SCM_RIGHTS becomes files,
 * SCM_CREDENTIALS becomes kernel ids; all else is handed to the protocol as it is. */
#include "sentry/syscalls/sock.h"

#define CONTROL_MAX    20480 /* net.core.optmem_max */
#define HDR	       sizeof(struct linux_cmsghdr)
#define ALIGNED_LEN(n) ROUND_UP((uint64_t)(n), 8)

/* Does the family take descriptors and credentials? */
static bool passes_scm(const struct socket *s)
{
	return s->family == LINUX_AF_UNIX || s->family == LINUX_AF_NETLINK;
}

static int import_rights(struct task *t, const uint8_t *data, uint64_t len, struct sock_msg *m,
			 struct cmsg_in *in)
{
	uint64_t i, count = len / sizeof(int32_t);

	if (count == 0)
		return 0;
	if (count > SCM_MAX_FDS || m->file_count + count > SCM_MAX_FDS)
		return -EINVAL;
	if (!in->files) {
		in->files = kmalloc(SCM_MAX_FDS * sizeof(*in->files));
		if (!in->files)
			return -ENOMEM;
		m->files = in->files;
		m->file_max = SCM_MAX_FDS;
	}
	for (i = 0; i < count; i++) {
		struct file *f = sys_file_any(t, (int32_t)get_le32(data + i * 4));

		if (!f)
			return -EBADF;
		in->files[m->file_count++] = f;
	}
	return 0;
}

static int import_cred(struct task *t, const uint8_t *data, uint64_t len, struct sock_msg *m)
{
	const struct cred *c = t->cred;
	struct linux_ucred u;
	struct process *p;
	uint32_t uid, gid;

	if (len != sizeof(u))
		return -EINVAL;
	memcpy(&u, data, sizeof(u));
	uid = user_ns_to_kuid(c->user_ns, u.uid);
	gid = user_ns_to_kgid(c->user_ns, u.gid);
	if (uid == ID_INVALID || gid == ID_INVALID)
		return -EINVAL;
	if (u.pid != task_tgid_in(t, t) && !cred_has_cap_in(c, LINUX_CAP_SYS_ADMIN, task_pid_ns(t)->owner))
		return -EPERM;
	if (uid != c->uid && uid != c->euid && uid != c->suid && !cred_has_cap(c, LINUX_CAP_SETUID))
		return -EPERM;
	if (gid != c->gid && gid != c->egid && gid != c->sgid && !cred_has_cap(c, LINUX_CAP_SETGID))
		return -EPERM;
	p = process_find_in(task_pid_ns(t), u.pid);
	if (!p)
		return -ESRCH;
	m->cred_pid = p->tgid;
	process_put(p);
	m->have_cred = true;
	m->cred_uid = uid;
	m->cred_gid = gid;
	return 0;
}

static int import_one(struct sock_ctx *c, const struct linux_cmsghdr *h, const uint8_t *data,
		      struct sock_msg *m, struct cmsg_in *in)
{
	uint64_t len = h->cmsg_len - HDR;

	if (h->cmsg_level != LINUX_SOL_SOCKET)
		return 0;
	switch (h->cmsg_type) {
	case LINUX_SCM_RIGHTS:
		if (c->s->family != LINUX_AF_UNIX)
			return -EINVAL;
		return import_rights(c->t, data, len, m, in);
	case LINUX_SCM_CREDENTIALS:
		return import_cred(c->t, data, len, m);
	default:
		return -EINVAL;
	}
}

int cmsg_import(struct sock_ctx *c, uaddr_t control, uint64_t len, struct sock_msg *m, struct cmsg_in *in)
{
	uint8_t *raw;
	uint64_t off;
	int ret;

	*in = (struct cmsg_in){NULL, NULL};
	if (len == 0 || control == 0)
		return 0;
	if (len > CONTROL_MAX)
		return -ENOBUFS;
	raw = in->raw = kmalloc(len);
	if (!raw)
		return -ENOMEM;
	ret = copy_from_user(c->t, raw, control, len);
	if (ret < 0)
		goto fail;
	m->control = raw;
	m->control_len = len;
	for (off = 0; passes_scm(c->s) && off + HDR <= len;) {
		struct linux_cmsghdr h;

		memcpy(&h, raw + off, HDR);
		ret = -EINVAL;
		if (h.cmsg_len < HDR || h.cmsg_len > len - off)
			goto fail;
		ret = import_one(c, &h, raw + off + HDR, m, in);
		if (ret < 0)
			goto fail;
		off += ALIGNED_LEN(h.cmsg_len);
	}
	return 0;
fail:
	cmsg_import_done(m, in);
	return ret;
}

void cmsg_import_done(struct sock_msg *m, struct cmsg_in *in)
{
	uint32_t i;

	/* the family may have set file_count to 0: the array is ours, NULL marks its end */
	for (i = 0; in->files && i < SCM_MAX_FDS && in->files[i]; i++)
		file_put(in->files[i]);
	kfree(in->files);
	kfree(in->raw);
	*in = (struct cmsg_in){NULL, NULL};
	m->files = NULL;
	m->file_count = 0;
	m->control = NULL;
	m->control_len = 0;
}

int cmsg_prepare(uint64_t controllen, struct sock_msg *m)
{
	if (controllen < HDR)
		return 0;
	m->files = kmalloc(SCM_MAX_FDS * sizeof(*m->files));
	m->control_max = MIN(controllen, (uint64_t)CONTROL_MAX);
	m->control = kmalloc(m->control_max);
	if (!m->files || !m->control) {
		cmsg_drop(m);
		return -ENOMEM;
	}
	m->file_max = SCM_MAX_FDS;
	return 0;
}

void cmsg_drop(struct sock_msg *m)
{
	uint32_t i;

	for (i = 0; i < m->file_count; i++)
		file_put(m->files[i]);
	kfree(m->files);
	kfree(m->control);
	m->files = NULL;
	m->file_count = m->file_max = 0;
	m->control = NULL;
	m->control_len = m->control_max = 0;
}

/* Where the next message goes. */
struct cmsg_out {
	struct task *t;
	uaddr_t at;
	uint64_t left, used;
	bool truncated;
};

static int put_cmsg(struct cmsg_out *o, int32_t type, const void *data, uint64_t len)
{
	struct linux_cmsghdr h = {.cmsg_len = HDR + len, .cmsg_level = LINUX_SOL_SOCKET, .cmsg_type = type};
	uint64_t space;
	int ret;

	if (o->left < HDR) {
		o->truncated = true;
		return 0;
	}
	if (o->left < h.cmsg_len) {
		o->truncated = true;
		h.cmsg_len = o->left;
	}
	ret = copy_to_user(o->t, o->at, &h, HDR);
	if (ret == 0 && h.cmsg_len > HDR)
		ret = copy_to_user(o->t, o->at + HDR, data, h.cmsg_len - HDR);
	if (ret < 0)
		return ret;
	space = MIN(ALIGNED_LEN(HDR + len), o->left);
	o->at += space;
	o->left -= space;
	o->used += space;
	return 0;
}

static int32_t show_pid(struct task *t, int32_t pid)
{
	struct process *p;
	int32_t nr;

	if (task_pid_ns(t) == t->kernel->pid_ns || pid == 0)
		return pid;
	p = process_find_in(t->kernel->pid_ns, pid);
	if (!p)
		return 0;
	nr = pid_nr_in(p->pid, task_pid_ns(t));
	process_put(p);
	return nr;
}

static int put_cred(struct cmsg_out *o, const struct sock_msg *m)
{
	struct linux_ucred u = {
		.pid = show_pid(o->t, m->cred_pid),
		.uid = show_uid(o->t, m->cred_uid),
		.gid = show_gid(o->t, m->cred_gid),
	};

	return put_cmsg(o, LINUX_SCM_CREDENTIALS, &u, sizeof(u));
}

static int put_rights(struct cmsg_out *o, struct sock_msg *m, bool cloexec)
{
	uint64_t limit = task_rlimit(o->t, LINUX_RLIMIT_NOFILE);
	uint32_t fit =
		o->left > HDR ? (uint32_t)MIN((o->left - HDR) / sizeof(int32_t), (uint64_t)SCM_MAX_FDS) : 0;
	int32_t fds[SCM_MAX_FDS];
	uint32_t i, n = 0;

	for (i = 0; i < m->file_count && i < fit; i++) {
		int fd = fdtable_install(o->t->fds, m->files[i], 0, limit, cloexec);

		if (fd < 0)
			break;
		fds[n++] = fd;
	}
	if (n < m->file_count)
		o->truncated = true;
	return n ? put_cmsg(o, LINUX_SCM_RIGHTS, fds, n * sizeof(fds[0])) : 0;
}

/* What the protocol left in control is in the guest's form already. */
static int put_raw(struct cmsg_out *o, const struct sock_msg *m)
{
	const uint8_t *raw = m->control;
	uint64_t n = MIN((uint64_t)m->control_len, o->left);
	int ret;

	if (m->control_len == 0)
		return 0;
	if (n < m->control_len)
		o->truncated = true;
	ret = copy_to_user(o->t, o->at, raw, n);
	if (ret == 0) {
		o->at += n;
		o->left -= n;
		o->used += n;
	}
	return ret;
}

int cmsg_export(struct sock_ctx *c, struct sock_msg *m, uaddr_t control, uint64_t size, bool cloexec,
		uint64_t *used)
{
	struct cmsg_out o = {.t = c->t, .at = control, .left = control ? size : 0};
	int ret = put_raw(&o, m);

	if (ret == 0 && m->have_cred)
		ret = put_cred(&o, m);
	if (ret == 0 && m->file_count)
		ret = put_rights(&o, m, cloexec);
	if (o.truncated)
		m->flags |= LINUX_MSG_CTRUNC;
	*used = o.used;
	cmsg_drop(m);
	return ret;
}
