/* config.h: what `sbx` tells `sbx-sentry` at start: a list of "key=value" strings, each terminated by a zero
 * byte, in a sealed memfd. Keys may repeat; order matters for mounts. Plain text, so that it can be read in a
 * debugger and needs no parser in the sentry. Written and read with no allocation of the reader's.
 *
 *   platform=NAME hostname=NAME cwd=DIR uid=N gid=N group=N...
 *   arg=STRING...  env=K=V...
 *   memory=BYTES cpus=N pids=N files=N
 *   root=tmpfs | root=gofer:INDEX          the root file system; gofer: below an overlay
 *   root-flags=ro
 *   mount=KIND:INDEX:DST                   KIND overlay | rw | ro; INDEX of the gofer's root
 *   symlink=TARGET:PATH  dir=PATH          in the fresh root (tmpfs roots only)
 *   network=none|loopback|host-veth|nat    and net-*: sentry/oci/netdev.c, sentry/oci/nat.c
 *   tty=ROWSxCOLS  ttyfd=N
 *   logfd=N loglevel=N stracefd=N statsfd=N gofer-fd=N control-fd=N */
#pragma once

#include "platform/base/attr.h"

struct config_writer {
	char *data; /* malloc */
	size_t size, cap;
};

/* Host programs only (allocates with malloc; dies when out of memory). */
PRINTF_LIKE(3, 4) void config_add(struct config_writer *w, const char *key, const char *fmt, ...);
/* A sealed memfd of the contents, or -errno. */
MUST_CHECK int config_seal(struct config_writer *w);

struct config {
	const char *data; /* [I] mapped read-only */
	size_t size;
};
MUST_CHECK int config_open(struct config *c, int fd);
/* The value of the first key, or dflt. */
const char *config_get(const struct config *c, const char *key, const char *dflt);
uint64_t config_get_u64(const struct config *c, const char *key, uint64_t dflt);
/* Iterates values of a key: *pos starts at 0; NULL at the end. */
const char *config_next(const struct config *c, const char *key, size_t *pos);
size_t config_count(const struct config *c, const char *key);
