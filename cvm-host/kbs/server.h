/* server.h: the broker's HTTPS end: TLS 1.3, a fixed number of threads with an epoll each, bounded connections,
 * bodies, times and requests per peer. */
#pragma once

#include "cvm-host/kbs/broker.h"
#include "cvm-host/kbs/tls.h"

struct server;

struct server_config {
	const char *listen; /* ADDRESS:PORT; port 0: any free one */
	const char *cert, *key;
	struct broker *broker;
	unsigned threads;     /* 0: 2 */
	unsigned connections; /* at a time and thread; 0: 256 */
	unsigned per_second;  /* requests of one address; 0: no limit */
	unsigned idle_ms;     /* for a whole request, or between two; 0: 30000 */
};

/* Starts the threads; the broker is borrowed until server_stop(). */
MUST_CHECK int server_start(const struct server_config *c, struct server **out, struct err *e);
uint16_t server_port(const struct server *s);
/* Ends connections and threads. */
void server_stop(struct server *s);
