/* setting.h: entries of tables for numbers of sentry/kernel/settings.h. */
#pragma once

#include "sentry/fs/pseudo/pseudo.h"
#include "sentry/kernel/settings.h"

int proc_show_setting(struct pseudo_node *n, struct file *f, struct strbuf *out);
ssize_t proc_store_setting(struct pseudo_node *n, struct file *f, char *buf, size_t size);
ssize_t proc_store_request(struct pseudo_node *n, struct file *f, char *buf, size_t size);

#define NUMBERS(n, s, c)                                                                                       \
	{                                                                                                      \
		n, W_FILE, .show = proc_show_setting, .store = proc_store_setting,                             \
			   .arg = (uint64_t)SET_##s | (uint64_t)(c) << 32                                      \
	}
#define NUMBER(n, s) NUMBERS(n, s, 1)
