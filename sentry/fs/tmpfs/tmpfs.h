/* tmpfs.h: the file system in memory ("tmpfs", "ramfs") and memfd_create(2). File contents are memfiles;
 * names, links, attributes and extended attributes are arena objects. */
#pragma once

#include "sentry/vfs/file.h"

/* Registers "tmpfs" and "ramfs" and makes the internal instance behind memfd_create. Once at boot. */
MUST_CHECK int tmpfs_register(struct vfs *v);

/* A fresh instance, for boot (rootfs, upper layers). options as of mount(8), may be NULL; below_overlay: its
 * inodes' locks rank below an overlay's. One reference. */
MUST_CHECK int tmpfs_super_create(struct vfs *v, const char *source, const char *options, bool below_overlay,
				  struct super **out);

/* memfd_create(2): flags are LINUX_MFD_* (all but CLOEXEC matter here): -EINVAL for unknown ones, and for
 * MFD_HUGETLB. The name is shown as "/memfd:name (deleted)". */
MUST_CHECK int memfd_create_file(struct vfs *v, const char *name, uint32_t flags, const struct cred *cred,
				 struct file **out);
/* F_ADD_SEALS, F_GET_SEALS: -EINVAL when f is no sealable file, -EPERM, -EBUSY. */
MUST_CHECK int memfd_add_seals(struct file *f, uint32_t seals);
int memfd_get_seals(struct file *f);
