/* sum.c: checksums (core/checksum.h) for the protocols that sockets speak themselves: addresses as sockets hold
 * them, results in host order. */
#include "netstack/core/checksum.h"
#include "netstack/internal.h"

/* RFC 768, RFC 8200 section 8.1; to be given to net_checksum. */
uint32_t net_pseudo_sum(const struct net_addr *src, const struct net_addr *dst, uint8_t protocol, uint32_t len)
{
	bool v4 = net_addr_is4(src);

	return v4 ? csum_pseudo(src->b + 12, dst->b + 12, 4, protocol, len)
		  : csum_pseudo(src->b, dst->b, 16, protocol, len);
}

/* What is to be stored, big-endian; 0 over data that includes a right checksum. */
uint16_t net_checksum(uint32_t sum, const void *data, size_t n)
{
	return (uint16_t)~__builtin_bswap16(csum_fold(csum_add(sum, data, n)));
}
