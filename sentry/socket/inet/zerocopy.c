/* zerocopy.c: MSG_ZEROCOPY (Documentation/networking/msg_zerocopy.rst): data is always copied before send
 * returns, and the notices say so. What was sent since the last notice is told as one range, as Linux joins
 * notices that follow each other. */
#include "platform/abi/fcntl.h"
#include "sentry/socket/inet/internal.h"

#define ORIGIN_ZEROCOPY 5 /* SO_EE_ORIGIN_ZEROCOPY */
#define CODE_COPIED	1 /* SO_EE_CODE_ZEROCOPY_COPIED */

void inet_zerocopy_sent(struct inet_sock *i, const struct sock_msg *m, ssize_t n)
{
	bool nonblock =
		(m->flags & LINUX_MSG_DONTWAIT) ||
		(i->s.file && (__atomic_load_n(&i->s.file->flags, __ATOMIC_RELAXED) & LINUX_O_NONBLOCK));

	/* a call that waits for room comes again with the rest: it is one send */
	if (n <= 0 || !socket_option(&i->s, LINUX_SO_ZEROCOPY) || (m->uio->resid && !nonblock))
		return;
	__atomic_add_fetch(&i->zc_sent, 1, __ATOMIC_ACQ_REL);
	waitq_wake(net_sock_waitq(i->sk), EV_ERR);
}

bool inet_zerocopy_take(struct inet_sock *i, struct net_rx *rx)
{
	uint32_t to = __atomic_load_n(&i->zc_sent, __ATOMIC_ACQUIRE);
	uint32_t from = __atomic_exchange_n(&i->zc_told, to, __ATOMIC_ACQ_REL);

	if (from == to)
		return false;
	rx->is_datagram = rx->error = true;
	rx->ee_errno = 0;
	rx->ee_origin = ORIGIN_ZEROCOPY;
	rx->ee_code = CODE_COPIED;
	rx->ee_info = from;
	rx->ee_data = to - 1;
	if (i->s.family == LINUX_AF_INET)
		rx->dst.addr = rx->src.addr = rx->offender.addr = net_addr4(0);
	return true;
}
