/* addr.c: addresses as the guest has them and as the host has them. */
#include <string.h>

#include "netstack/nat/internal.h"
#include "platform/base/bytes.h"

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
static const uint8_t loopback4[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
static const uint8_t loopback6[16] = {[15] = 1};

bool addr_is4(const uint8_t a[16])
{
	return memcmp(a, mapped, 12) == 0;
}

bool addr_eq(const uint8_t a[16], const uint8_t b[16])
{
	return memcmp(a, b, 16) == 0;
}

bool addr_is_resolver(const struct broker *b, const uint8_t a[16])
{
	for (unsigned i = 0; i < b->resolver_count; i++)
		if (addr_eq(a, b->resolvers[i]))
			return true;
	return false;
}

void addr_outward(const struct broker *b, const uint8_t in[16], uint8_t out[16])
{
	memcpy(out, addr_eq(in, b->gateway4) ? loopback4 : addr_eq(in, b->gateway6) ? loopback6 : in, 16);
}

void addr_inward(const struct broker *b, const uint8_t in[16], uint8_t out[16])
{
	bool lo4 = addr_is4(in) && in[12] == 127;

	memcpy(out, lo4 ? b->gateway4 : addr_eq(in, loopback6) ? b->gateway6 : in, 16);
}

unsigned sockaddr_of(const uint8_t addr[16], uint16_t port, struct sockaddr_storage *out)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	memset(out, 0, sizeof(*out));
	if (addr_is4(addr)) {
		memcpy(&in.sin_addr, addr + 12, 4);
		memcpy(out, &in, sizeof(in));
		return sizeof(in);
	}
	memcpy(&in6.sin6_addr, addr, 16);
	memcpy(out, &in6, sizeof(in6));
	return sizeof(in6);
}

bool endpoint_of(const struct sockaddr_storage *sa, struct endpoint *out)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (sa->ss_family == AF_INET) {
		memcpy(&in, sa, sizeof(in));
		memcpy(out->addr, mapped, 12);
		memcpy(out->addr + 12, &in.sin_addr, 4);
		out->port = ntohs(in.sin_port);
		return true;
	}
	if (sa->ss_family != AF_INET6)
		return false;
	memcpy(&in6, sa, sizeof(in6));
	memcpy(out->addr, &in6.sin6_addr, 16);
	out->port = ntohs(in6.sin6_port);
	return true;
}
