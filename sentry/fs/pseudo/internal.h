/* internal.h: shared by the files of this room. */
#pragma once

#include "sentry/fs/pseudo/pseudo.h"

uint64_t pseudo_ino(uint64_t dir_ino, const char *name, size_t len);
int pseudo_dir_lookup(struct inode *dir, const char *name, size_t len, struct inode **out);
int pseudo_reg_open(struct inode *inode, struct file *f);

extern const struct inode_ops pseudo_dir_ops, pseudo_dir_ops_checked, pseudo_reg_ops, pseudo_link_ops,
	pseudo_link_at_ops, pseudo_magic_ops;
extern const struct file_ops pseudo_dir_fops, pseudo_reg_fops;
