/* sockhints.c: SOL_SOCKET options that a kernel remembers and shows: their defaults, what may be set, errors.
 */
#include "tests/guest/inet.h"

static const struct {
	int type, protocol;
	const char *name;
} kinds[] = {{SOCK_STREAM, 0, "tcp"}, {SOCK_DGRAM, 0, "udp"}, {SOCK_RAW, IPPROTO_ICMP, "raw"}};

static const struct {
	int option;
	const char *name;
} options[] = {{SO_INCOMING_CPU, "incoming cpu"},
	       {SO_BUSY_POLL, "busy poll"},
	       {72, "buf lock"},
	       {73, "reserve mem"},
	       {74, "txrehash"},
	       {75, "rcvmark"},
	       {SO_NOFCS, "nofcs"},
	       {SO_WIFI_STATUS, "wifi status"},
	       {SO_PRIORITY, "priority"}};

static void each(int s, const char *kind, int option, const char *name)
{
	printf("%s %s: %d", kind, name, get(s, SOL_SOCKET, option));
	for (int v = -1; v < 5; v += 2) {
		int ret = set(s, SOL_SOCKET, option, v);

		printf(" set %d %s, %d", v, ret ? strerrorname_np(errno) : "ok", get(s, SOL_SOCKET, option));
	}
	puts("");
}

int main(void)
{
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		int s = socket(AF_INET, kinds[k].type, kinds[k].protocol), t;

		if (s < 0) {
			puts("no right to raw sockets");
			return 77;
		}
		for (size_t n = 0; n < sizeof(options) / sizeof(options[0]); n++)
			each(s, kinds[k].name, options[n].option, options[n].name);
		close(s);
		t = socket(AF_INET, kinds[k].type, kinds[k].protocol);
		SHOW(set(t, SOL_SOCKET, SO_SNDBUF, 20000));
		printf("locked %d\n", get(t, SOL_SOCKET, 72));
		SHOW(set(t, SOL_SOCKET, SO_RCVBUF, 20000));
		printf("locked %d\n", get(t, SOL_SOCKET, 72));
		close(t);
	}
	return 0;
}
