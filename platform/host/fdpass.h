/* fdpass.h: messages with descriptors over a unix socket. */
#pragma once

#include "platform/base/attr.h"

#define FDPASS_MAX 8

/* Sends n bytes (at least 1) and count descriptors as one message; the descriptors stay the caller's.
 * Retries on -EINTR. Bytes sent or -errno; -EINVAL when count is above FDPASS_MAX. flags: MSG_DONTWAIT or
 * 0. */
ssize_t fdpass_send(int sock, const void *buf, size_t n, const int *fds, unsigned count, int flags);

/* Receives one message: at most n bytes and *count descriptors (close-on-exec, now the caller's). On return
 * *count says how many came; surplus ones are closed. 0 is the end of the stream. -EPROTO when bytes or
 * descriptors did not fit: nothing is kept then. flags: MSG_DONTWAIT or 0. Retries on -EINTR. */
ssize_t fdpass_recv(int sock, void *buf, size_t n, int *fds, unsigned *count, int flags);
