/* main.c of sbx-net: the sockets of the host for one sandbox's sentry.
 *
 *   sbx-net --control=FD --datagrams=FD --guest=IP... --gateway=IP... --resolver=IP... [--server=IP]...
 *	     [--allow=RULE]... [--deny=RULE]... [--tcp=FD:PORT]... [--udp=FD:PORT]...
 *
 * Started by `sbx` with exactly these descriptors: --tcp and --udp are sockets that sbx bound for the guest's
 * ports. It ends when the sentry does. */
#include "netstack/nat/main.h"

/* before <signal.h>, whose macros are names of members there */
#include "netstack/nat/internal.h"
#include "platform/base/log.h"
#include "platform/host/filters.h"
#include "platform/host/hostcall.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static NORETURN void usage(const char *what)
{
	log_error("bad argument %s (started by sbx; not meant to be run by hand)", what);
	exit(2);
}

static int parse_fd(const char *s, char **end)
{
	long fd = strtol(s, end, 10);

	if (*end == s || fd < 0 || fd > 1 << 20)
		usage(s);
	return (int)fd;
}

static void add_addr(struct broker *b, uint8_t four[16], uint8_t six[16], const char *text)
{
	uint8_t a[16];

	(void)b;
	if (nat_addr_parse(text, a) < 0)
		usage(text);
	memcpy(addr_is4(a) ? four : six, a, 16);
}

static void add_rule(struct nat_rule **rules, unsigned *count, const char *text)
{
	*rules = realloc(*rules, (*count + 1) * sizeof(**rules));
	if (!*rules || nat_rule_parse(text, &(*rules)[(*count)++]) < 0)
		usage(text);
}

static void add_server(struct broker *b, const char *text)
{
	struct endpoint *e = &b->servers[b->server_count];

	if (b->server_count == SERVERS_MAX)
		return;
	if (nat_addr_parse(text, e->addr) < 0)
		usage(text);
	e->port = DNS_PORT;
	b->server_count++;
}

static void add_port(struct broker *b, bool tcp, const char *text)
{
	char *end;
	int fd = parse_fd(text, &end);
	unsigned long port = *end == ':' ? strtoul(end + 1, &end, 10) : 0;

	if (*end || !port || port > 65535 ||
	    (tcp ? tcp_publish(b, fd, (uint16_t)port) : dgram_publish(b, fd, (uint16_t)port)) < 0)
		usage(text);
}

/* The value of --name=VALUE, or NULL. */
static const char *value_of(const char *arg, const char *name)
{
	size_t n = strlen(name);

	return strncmp(arg, name, n) == 0 && arg[n] == '=' ? arg + n + 1 : NULL;
}

static void parse(struct broker *b, int argc, char **argv)
{
	char *end;
	const char *v;

	b->ctl_fd = b->dgram_fd = -1;
	for (int i = 1; i < argc; i++) {
		if ((v = value_of(argv[i], "--control")))
			b->ctl_fd = parse_fd(v, &end);
		else if ((v = value_of(argv[i], "--datagrams")))
			b->dgram_fd = parse_fd(v, &end);
		else if ((v = value_of(argv[i], "--guest")))
			add_addr(b, b->guest4, b->guest6, v);
		else if ((v = value_of(argv[i], "--gateway")))
			add_addr(b, b->gateway4, b->gateway6, v);
		else if ((v = value_of(argv[i], "--server")))
			add_server(b, v);
		else if ((v = value_of(argv[i], "--allow")))
			add_rule(&b->allow, &b->allow_count, v);
		else if ((v = value_of(argv[i], "--deny")))
			add_rule(&b->deny, &b->deny_count, v);
		else if ((v = value_of(argv[i], "--resolver")) && b->resolver_count < RESOLVERS_MAX &&
			 nat_addr_parse(v, b->resolvers[b->resolver_count]) == 0)
			b->resolver_count++;
		else if (!value_of(argv[i], "--tcp") && !value_of(argv[i], "--udp"))
			usage(argv[i]);
	}
	if (b->ctl_fd < 0 || b->dgram_fd < 0)
		usage("--control");
}

static void publish(struct broker *b, int argc, char **argv)
{
	const char *v;

	for (int i = 1; i < argc; i++) {
		if ((v = value_of(argv[i], "--tcp")))
			add_port(b, true, v);
		else if ((v = value_of(argv[i], "--udp")))
			add_port(b, false, v);
	}
}

int net_confine(void)
{
	struct rlimit rl;
	int ret;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < rl.rlim_max) {
		rl.rlim_cur = MIN(rl.rlim_max, (rlim_t)8192);
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
	signal(SIGPIPE, SIG_IGN);
	ret = hc_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (ret == 0)
		ret = hc_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (ret == 0)
		ret = hc_set_capabilities(0);
	if (ret == 0)
		ret = hc_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return ret == 0 ? hostcall_confine(&hostcall_filter_net) : ret;
}

int main(int argc, char **argv)
{
	struct broker *b = calloc(1, sizeof(*b));

	log_setup(2, LOG_WARN, "sbx-net");
	if (!b) {
		log_error("out of memory");
		return 1;
	}
	parse(b, argc, argv);
	if (broker_init(b) < 0) {
		log_error("cannot wait for descriptors");
		return 1;
	}
	publish(b, argc, argv);
	if (net_confine() < 0) {
		log_error("cannot confine itself");
		return 1;
	}
	broker_run(b);
	return 0;
}
