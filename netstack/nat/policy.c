/* policy.c: where the guest may go. In this order: --deny; what is denied unless an --allow names it, or a part
 * of it, by address; then, if there is any --allow, one of them must fit; else everything is allowed. A name
 * stands for the addresses that our resolver answered for it, as long as it said. */
#include <string.h>

#include "netstack/nat/internal.h"
#include "platform/base/clock.h"

#define TTL_LEAST 60u /* programs keep addresses longer than they should */
#define TTL_MOST  3600u

/* Never by default: this host's own loopback, links, and the addresses where clouds keep credentials. */
static const struct {
	uint8_t addr[16];
	uint8_t prefix;
} closed[] = {
	{{[10] = 0xff, [11] = 0xff, [12] = 127}, 96 + 8},
	{{[10] = 0xff, [11] = 0xff, [12] = 0}, 96 + 8}, /* "this host": connects to it */
	{{[10] = 0xff, [11] = 0xff, [12] = 169, [13] = 254}, 96 + 16},
	{{[10] = 0xff, [11] = 0xff, [12] = 100, [13] = 100, [14] = 100, [15] = 200}, 128},
	{{[10] = 0xff, [11] = 0xff, [12] = 224}, 96 + 4},
	{{[10] = 0xff, [11] = 0xff, [12] = 255, [13] = 255, [14] = 255, [15] = 255}, 128},
	{{0}, 96}, /* ::, ::1, and IPv4 addresses in an old dress */
	{{[0] = 0xfe, [1] = 0x80}, 10},
	{{[0] = 0xfd, [1] = 0x00, [2] = 0x0e, [3] = 0xc2, [14] = 0x02, [15] = 0x54}, 128},
	{{[0] = 0xff}, 8},
};

static bool name_of(const struct broker *b, const struct nat_rule *r, const uint8_t addr[16])
{
	for (unsigned i = 0; i < NAMES_MAX; i++) {
		const struct known_name *k = &b->names[i];

		if (k->expires >= b->now && addr_eq(k->addr, addr) && nat_name_matches(r->name, k->name))
			return true;
	}
	return false;
}

static bool fits(const struct broker *b, const struct nat_rule *r, const uint8_t addr[16], uint16_t port)
{
	if (port < r->first || port > r->last)
		return false;
	return r->is_name ? name_of(b, r, addr) : nat_prefix_matches(addr, r->addr, r->prefix);
}

/* An --allow of all addresses doesn't mean these. */
static bool opened(const struct broker *b, const uint8_t addr[16], uint16_t port, unsigned prefix)
{
	for (unsigned i = 0; i < b->allow_count; i++) {
		const struct nat_rule *r = &b->allow[i];

		if (!r->is_name && r->prefix >= prefix && fits(b, r, addr, port))
			return true;
	}
	return false;
}

static bool allows(struct broker *b, const uint8_t addr[16], uint16_t port)
{
	for (unsigned i = 0; i < b->deny_count; i++)
		if (fits(b, &b->deny[i], addr, port))
			return false;
	for (size_t i = 0; i < ARRAY_SIZE(closed); i++)
		if (nat_prefix_matches(addr, closed[i].addr, closed[i].prefix) &&
		    !opened(b, addr, port, closed[i].prefix))
			return false;
	for (unsigned i = 0; i < b->allow_count; i++)
		if (fits(b, &b->allow[i], addr, port))
			return true;
	return !b->allow_count;
}

/* The IPv4 address that a translator on the way would make of it: 64:ff9b::/96 (RFC 6052), 2002::/16 (RFC
 * 3056). */
static bool inner4(const uint8_t addr[16], uint8_t out[16])
{
	static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
	const uint8_t *v4 = memcmp(addr, nat64, 12) == 0	 ? addr + 12
			    : addr[0] == 0x20 && addr[1] == 0x02 ? addr + 2
								 : NULL;

	if (!v4)
		return false;
	memset(out, 0, 16);
	out[10] = out[11] = 0xff;
	memcpy(out + 12, v4, 4);
	return true;
}

bool policy_allows(struct broker *b, const uint8_t addr[16], uint16_t port)
{
	uint8_t v4[16];

	b->now = clock_monotonic_ns();
	if (!allows(b, addr, port))
		return false;
	return !inner4(addr, v4) || allows(b, v4, port);
}

bool policy_allows_name(const struct broker *b, const char *name)
{
	for (unsigned i = 0; i < b->deny_count; i++)
		if (b->deny[i].is_name && b->deny[i].first == 0 && nat_name_matches(b->deny[i].name, name))
			return false;
	for (unsigned i = 0; i < b->allow_count; i++)
		if (b->allow[i].is_name && nat_name_matches(b->allow[i].name, name))
			return true;
	return !b->allow_count;
}

void policy_learn(struct broker *b, const char *name, const uint8_t addr[16], uint32_t ttl)
{
	struct known_name *k = NULL;

	for (unsigned i = 0; i < NAMES_MAX && !k; i++)
		if (b->names[i].expires && addr_eq(b->names[i].addr, addr) &&
		    strcmp(b->names[i].name, name) == 0)
			k = &b->names[i];
	if (!k) { /* the oldest goes */
		k = &b->names[b->next_name];
		b->next_name = (b->next_name + 1) % NAMES_MAX;
		memcpy(k->addr, addr, 16);
		strncpy(k->name, name, NAT_NAME_MAX - 1);
		k->expires = 0;
	}
	ttl = MIN(MAX(ttl, TTL_LEAST), TTL_MOST);
	k->expires = MAX(k->expires, clock_monotonic_ns() + ttl * NSEC_PER_SEC);
}
