/* cmsg.c: control messages that protocols add to what recvmsg gives. */
#include <string.h>

#include "platform/abi/socket.h"
#include "platform/abi/time.h"
#include "platform/base/clock.h"
#include "sentry/socket/socket.h"

#define HDR sizeof(struct linux_cmsghdr)

void socket_cmsg_put(struct sock_msg *m, int level, int type, const void *data, uint64_t len)
{
	struct linux_cmsghdr h = {.cmsg_len = HDR + len, .cmsg_level = level, .cmsg_type = type};
	uint64_t left = m->control_max - m->control_len;
	uint8_t *at = (uint8_t *)m->control + m->control_len;

	if (!m->control || left < HDR) {
		m->flags |= LINUX_MSG_CTRUNC;
		return;
	}
	if (left < h.cmsg_len) {
		m->flags |= LINUX_MSG_CTRUNC;
		h.cmsg_len = left;
	}
	memcpy(at, &h, HDR);
	memcpy(at + HDR, data, h.cmsg_len - HDR);
	m->control_len += MIN(ROUND_UP((uint64_t)h.cmsg_len, 8), left);
}

void socket_cmsg_stamp(struct socket *s, uint64_t ns, struct sock_msg *m)
{
	struct linux_timespec ts = {(int64_t)(ns / NSEC_PER_SEC), (int64_t)(ns % NSEC_PER_SEC)};
	struct linux_timeval tv = {ts.tv_sec, ts.tv_nsec / 1000};

	if (socket_option(s, LINUX_SO_TIMESTAMPNS))
		socket_cmsg_put(m, LINUX_SOL_SOCKET, LINUX_SO_TIMESTAMPNS, &ts, sizeof(ts));
	else if (socket_option(s, LINUX_SO_TIMESTAMP))
		socket_cmsg_put(m, LINUX_SOL_SOCKET, LINUX_SO_TIMESTAMP, &tv, sizeof(tv));
}
