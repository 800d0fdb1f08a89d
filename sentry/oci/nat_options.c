/* nat_options.c: the options of `--network nat`, one text each. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netstack/nat/rule.h"
#include "platform/base/bug.h"
#include "platform/base/checked.h"
#include "sentry/oci/nat.h"

#define PORTS_MAX 128u /* each is a descriptor or two */
#define RULES_MAX 1000u

static void add_text(char ***list, size_t *count, char *text)
{
	BUG_ON(!text);
	*list = realloc(*list, (*count + 1) * sizeof(**list));
	BUG_ON(!*list);
	(*list)[(*count)++] = text;
}

static bool parse_range(const char *text, uint16_t *first, uint16_t *last)
{
	char *end;
	unsigned long a, b;

	if (!isdigit((unsigned char)*text))
		return false;
	a = b = strtoul(text, &end, 10);
	if (*end == '-' && isdigit((unsigned char)end[1]))
		b = strtoul(end + 1, &end, 10);
	if (*end || !a || b > 65535 || a > b)
		return false;
	*first = (uint16_t)a;
	*last = (uint16_t)b;
	return true;
}

/* [IP:]HOST[-HOST]:GUEST[-GUEST], without the protocol; an IPv6 address stands in brackets. */
static bool parse_port(char *text, struct nat_port *p)
{
	char *guest = strrchr(text, ':'), *host;
	uint16_t first, last;
	uint8_t addr[16];

	if (!guest)
		return false;
	*guest++ = 0;
	host = strrchr(text, ':');
	if (host && text[strlen(text) - 1] != ']') {
		*host++ = 0;
		if (*text == '[' && host[-2] == ']') {
			host[-2] = 0;
			text++;
		}
		if (nat_addr_parse(text, addr) < 0)
			return false;
		p->host = strdup(text);
		BUG_ON(!p->host);
	} else {
		host = text;
	}
	if (!parse_range(host, &p->first, &p->last) || !parse_range(guest, &first, &last))
		return false;
	p->guest = first;
	return last - first == p->last - p->first;
}

int nat_add_port(struct nat_options *o, const char *text, char *err, size_t err_size)
{
	struct nat_port p = {0};
	char *copy = strdup(text), *slash;
	bool ok;

	BUG_ON(!copy);
	slash = strrchr(copy, '/');
	if (slash)
		*slash++ = 0;
	p.udp = slash && strcmp(slash, "udp") == 0;
	ok = (!slash || p.udp || strcmp(slash, "tcp") == 0) && parse_port(copy, &p);
	free(copy);
	if (ok && (unsigned)(p.last - p.first) < PORTS_MAX && o->port_count < PORTS_MAX) {
		o->ports = realloc(o->ports, (o->port_count + 1) * sizeof(*o->ports));
		BUG_ON(!o->ports);
		o->ports[o->port_count++] = p;
		return 0;
	}
	free(p.host);
	if (ok)
		snprintf(err, err_size, "-p: '%s': no more than %u ports can be published", text, PORTS_MAX);
	else
		snprintf(err, err_size, "-p: '%s' is not [IP:]HOSTPORT:GUESTPORT[/udp] (or two ranges as long)",
			 text);
	return -1;
}

int nat_add_dns(struct nat_options *o, const char *text, char *err, size_t err_size)
{
	uint8_t addr[16];

	if (nat_addr_parse(text, addr) < 0) {
		snprintf(err, err_size, "--dns: '%s' is not an address", text);
		return -1;
	}
	if (o->dns_count == 3) {
		snprintf(err, err_size, "--dns: no more than three name servers");
		return -1;
	}
	add_text(&o->dns, &o->dns_count, strdup(text));
	return 0;
}

int nat_add_host(struct nat_options *o, const char *text, char *err, size_t err_size)
{
	const char *colon = strchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : 0;
	uint8_t addr[16];
	char *line;

	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr("-_.", text[i]))
			n = 0;
	if (!n || (nat_addr_parse(colon + 1, addr) < 0 && strcmp(colon + 1, "host-gateway") != 0)) {
		snprintf(err, err_size, "--add-host: '%s' is not NAME:IP or NAME:host-gateway", text);
		return -1;
	}
	BUG_ON(asprintf(&line, "%s\t%.*s", colon + 1, (int)n, text) < 0);
	add_text(&o->hosts, &o->host_count, line);
	return 0;
}

int nat_add_rule(struct nat_options *o, bool allow, const char *text, char *err, size_t err_size)
{
	size_t *count = allow ? &o->allow_count : &o->deny_count;
	struct nat_rule r;

	if (nat_rule_parse(text, &r) < 0 || *count >= RULES_MAX) {
		snprintf(err, err_size,
			 "--%s: '%s' is not NAME, ADDRESS or NETWORK/BITS, with or without :PORT[-PORT]",
			 allow ? "allow" : "deny", text);
		return -1;
	}
	add_text(allow ? &o->allow : &o->deny, count, strdup(text));
	return 0;
}

int nat_set_rate(struct nat_options *o, const char *text, char *err, size_t err_size)
{
	static const char units[] = "KMG";
	char *end;
	unsigned long long v;
	const char *unit;

	errno = 0;
	v = strtoull(text, &end, 10);
	o->rate = v;
	unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (unit && mul_overflows(o->rate, 1ULL << (10 * (unit - units + 1)), &o->rate))
		errno = ERANGE;
	if (unit)
		end++;
	if (errno || !isdigit((unsigned char)*text) || (*end && strcmp(end, "/s") != 0) || o->rate < 1024) {
		snprintf(err, err_size,
			 "--rate: '%s' is not a number of bytes a second (1K or more; with K, M or G)", text);
		return -1;
	}
	return 0;
}

bool nat_options_given(const struct nat_options *o)
{
	return o->allow_count || o->deny_count || o->dns_count || o->host_count || o->port_count || o->rate;
}

void nat_options_free(struct nat_options *o)
{
	char **lists[] = {o->allow, o->deny, o->dns, o->hosts};
	size_t counts[] = {o->allow_count, o->deny_count, o->dns_count, o->host_count};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		for (size_t k = 0; k < counts[i]; k++)
			free(lists[i][k]);
		free(lists[i]);
	}
	for (size_t i = 0; i < o->port_count; i++)
		free(o->ports[i].host);
	free(o->ports);
}
