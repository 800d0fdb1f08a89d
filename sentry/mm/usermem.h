/* usermem.h: the only way to touch guest memory. A usermem names one address space and, where the caller
 * is in it, the context that may copy for it. Rooms below mm's users (vfs, fs, socket) are handed one; they
 * never keep it beyond the call. Tests hand in a fake.
 *
 * Copy once to a local, check the copy, use the copy: guest memory can change while you read it. */
#pragma once

#include "platform/abi/types.h"
#include "platform/base/attr.h"

struct usermem;

struct usermem_ops {
	/* bytes copied before the first bad address; never an errno */
	size_t (*in)(const struct usermem *u, void *dst, uaddr_t src, size_t n);
	size_t (*out)(const struct usermem *u, uaddr_t dst, const void *src, size_t n);
	/* optional: the same with zeros */
	size_t (*zero)(const struct usermem *u, uaddr_t dst, size_t n);
};

struct usermem {
	const struct usermem_ops *ops;
	void *mm;  /* struct mm, or the fake's memory */
	void *ctx; /* struct context or NULL */
};

/* 0 or -EFAULT: all or nothing as far as the caller may tell */
static inline MUST_CHECK int usermem_in(const struct usermem *u, void *dst, uaddr_t src, size_t n)
{
	return u->ops->in(u, dst, src, n) == n ? 0 : -14;
}

static inline MUST_CHECK int usermem_out(const struct usermem *u, uaddr_t dst, const void *src, size_t n)
{
	return u->ops->out(u, dst, src, n) == n ? 0 : -14;
}

/* Length without the terminator, -EFAULT, or -ENAMETOOLONG when none was found in size bytes. dst is always
 * terminated on success. */
MUST_CHECK ssize_t usermem_strncpy(const struct usermem *u, char *dst, uaddr_t src, size_t size);
