/* identity.c: who a program is and what it may: user, groups, capabilities, limits, its seccomp filter. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/abi/fcntl.h"
#include "platform/abi/fs.h"
#include "platform/base/bug.h"
#include "sentry/boot/program.h"
#include "sentry/kernel/bpf.h"

#define PASSWD_MAX (256UL << 10)

static void set_caps(const char *text, struct cred *c)
{
	capset_t set[5] = {0};
	char *end;

	for (size_t i = 0; i < ARRAY_SIZE(set) && text; i++) {
		set[i] = strtoull(text, &end, 16) & CAPSET_ALL;
		text = *end == ':' ? end + 1 : NULL;
	}
	c->bounding = set[0];
	c->effective = set[1] & set[3];
	c->inheritable = set[2];
	c->permitted = set[3];
	c->ambient = set[4] & set[2] & set[3]; /* capabilities(7): never without the other two */
}

int identity_cred(struct boot *b, const struct config *c, struct cred **out)
{
	uint32_t uid = (uint32_t)config_get_u64(c, "uid", 0), gid = (uint32_t)config_get_u64(c, "gid", 0),
		 n = 0;
	const char *caps = config_get(c, "caps", NULL), *v;
	size_t pos = 0, count = config_count(c, "group");
	uint32_t *groups = kmalloc((count + 1) * sizeof(*groups));
	struct cred *cred;
	int ret;

	if (!groups)
		return -ENOMEM;
	ret = cred_create(b->kernel->user_ns, uid, gid, uid == 0 ? CAPSET_ALL : 0, &cred);
	if (ret < 0) {
		kfree(groups);
		return ret;
	}
	while ((v = config_next(c, "group", &pos)) && n < count)
		groups[n++] = (uint32_t)strtoul(v, NULL, 10);
	if (n)
		ret = cred_set_groups(cred, groups, n);
	kfree(groups);
	if (ret < 0) {
		cred_put(cred);
		return ret;
	}
	if (caps)
		set_caps(caps, cred);
	cred->no_new_privs = config_get_u64(c, "no-new-privs", 0) != 0;
	*out = cred;
	return 0;
}

void identity_limits(const struct config *c, struct linux_rlimit *limits)
{
	uint64_t files = config_get_u64(c, "files", 0);
	size_t pos = 0;
	const char *v;

	if (files)
		limits[LINUX_RLIMIT_NOFILE] = (struct linux_rlimit){files, files};
	while ((v = config_next(c, "rlimit", &pos))) {
		char *end;
		unsigned long type = strtoul(v, &end, 10);
		uint64_t soft = *end == ':' ? strtoull(end + 1, &end, 10) : 0;
		uint64_t hard = *end == ':' ? strtoull(end + 1, &end, 10) : soft;

		if (type < LINUX_RLIM_NLIMITS)
			limits[type] = (struct linux_rlimit){soft, hard};
	}
}

/* Field n (from 0) of a line whose fields end in a colon: its start and length. */
static const char *passwd_field(const char *line, const char *end, int n, size_t *len)
{
	for (; n > 0; n--) {
		line = memchr(line, ':', (size_t)(end - line));
		if (!line)
			return NULL;
		line++;
	}
	*len = (size_t)(end - line);
	end = memchr(line, ':', *len);
	if (end)
		*len = (size_t)(end - line);
	return line;
}

static char *home_in(const char *text, size_t size, uint32_t uid)
{
	char want[16];
	size_t want_len = (size_t)snprintf(want, sizeof(want), "%u", uid), len;
	const char *end, *f;

	for (const char *line = text; line < text + size; line = end + 1) {
		end = memchr(line, '\n', (size_t)(text + size - line));
		if (!end)
			end = text + size;
		f = passwd_field(line, end, 2, &len);
		if (!f || len != want_len || memcmp(f, want, len) != 0)
			continue;
		f = passwd_field(line, end, 5, &len);
		if (f && len && f[0] == '/') {
			char *home = kmalloc(len + 6);

			if (home) {
				memcpy(home, "HOME=", 5);
				memcpy(home + 5, f, len);
			}
			return home;
		}
	}
	return NULL;
}

char *identity_home(struct boot *b, uint32_t uid)
{
	struct vfs_at at = {.fs = b->fs, .ns = b->mount_ns, .cred = b->root_cred};
	char *text, *home = NULL;
	struct file *f;
	ssize_t n;

	if (vfs_open(&at, "/etc/passwd", LINUX_O_RDONLY | LINUX_O_NONBLOCK, 0, 0, &f) == 0) {
		text = inode_is(f->inode, LINUX_S_IFREG) ? kmalloc(PASSWD_MAX) : NULL;
		n = text ? file_read_kernel(f, text, PASSWD_MAX, 0) : 0;
		if (n > 0)
			home = home_in(text, (size_t)n, uid);
		kfree(text);
		file_put(f);
	}
	return home ? home : kstrdup(uid == 0 ? "HOME=/root" : "HOME=/");
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int identity_filter(const struct config *c, struct bpf_prog **out)
{
	const char *hex = config_get(c, "seccomp", NULL);
	size_t n = hex ? strlen(hex) / 2 : 0;
	uint32_t count = (uint32_t)(n / sizeof(struct bpf_insn));
	uint8_t *bytes;
	int ret = 0;

	*out = NULL;
	if (!hex)
		return 0;
	if (n % sizeof(struct bpf_insn) || !count || count > BPF_INSNS_MAX)
		return -EINVAL;
	bytes = kmalloc(n);
	if (!bytes)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int hi = hex_digit(hex[2 * i]), lo = hex_digit(hex[2 * i + 1]);

		if (hi < 0 || lo < 0)
			ret = -EINVAL;
		bytes[i] = (uint8_t)(hi << 4 | lo);
	}
	if (ret == 0)
		ret = bpf_check((struct bpf_insn *)bytes, count);
	if (ret == 0)
		ret = bpf_create((struct bpf_insn *)bytes, count, out);
	kfree(bytes);
	return ret;
}
