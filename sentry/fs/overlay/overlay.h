/* overlay.h: one tree out of several: an upper one that takes all changes and lower ones that are only read.
 * Whiteouts and opaque directories have the form that Linux's own overlay gives them. Layers are any file
 * systems; they must not be changed behind the overlay's back. */
#pragma once

#include "sentry/vfs/vfs.h"

#define OVERLAY_LOWERS_MAX 64

/* upper NULL: read-only. The directories are borrowed; references are taken. cred: as whom the layers are
 * changed (the mounter). options: shown in /proc/mounts behind the usual ones, may be NULL. */
MUST_CHECK int overlay_create(struct vfs *v, struct inode *upper, struct inode *const *lowers,
			      uint32_t lower_count, const struct cred *cred, const char *source,
			      const char *options, struct super **out);
/* The usual case, for boot: a whole super over another. The layers are changed as the initial root.
 * upper is fresh: its root takes the lower root's attributes. */
MUST_CHECK int overlay_over_super(struct vfs *v, struct super *upper, struct super *lower, struct super **out);
/* Registers "overlay" for mount(2): lowerdir=, upperdir=, workdir=. */
void overlay_register(struct vfs *v);
