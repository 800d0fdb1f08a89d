/* nat.h: `--network nat` as options, and what sbx does for it: opens the published ports, tells the sentry its
 * addresses, and starts sbx-net (launch.c). */
#pragma once

#include "platform/base/attr.h"
#include "sentry/control/config.h"

struct nat_port {
	char *host; /* an address; NULL: all */
	uint16_t first, last, guest;
	bool udp;
};

struct nat_options {
	char **allow, **deny, **dns, **hosts; /* hosts: "ADDRESS NAME" */
	size_t allow_count, deny_count, dns_count, host_count;
	struct nat_port *ports;
	size_t port_count;
	uint64_t rate; /* bytes a second, each way; 0: no limit */
};

/* What launch.c starts sbx-net with. */
struct nat_launch {
	char **args; /* malloc */
	size_t arg_count;
	struct nat_socket {
		int fd; /* owned */
		bool udp;
		uint16_t guest;
	} * sockets; /* malloc */
	size_t socket_count;
	int control[2], datagrams[2]; /* [0]: the sentry's */
	int netns;		      /* where sbx-net is to be; -1: where we are */
};

/* Each takes the option's text. 0, or -1 after writing why into err. */
MUST_CHECK int nat_add_port(struct nat_options *o, const char *text, char *err, size_t err_size);
MUST_CHECK int nat_add_dns(struct nat_options *o, const char *text, char *err, size_t err_size);
MUST_CHECK int nat_add_host(struct nat_options *o, const char *text, char *err, size_t err_size);
MUST_CHECK int nat_add_rule(struct nat_options *o, bool allow, const char *text, char *err, size_t err_size);
MUST_CHECK int nat_set_rate(struct nat_options *o, const char *text, char *err, size_t err_size);
/* Does o hold anything? */
bool nat_options_given(const struct nat_options *o);
void nat_options_free(struct nat_options *o);

/* Binds the ports, writes the sentry's configuration. hostname: for /etc/hosts */
MUST_CHECK int nat_prepare(const struct nat_options *o, const char *hostname, struct config_writer *config,
			   struct nat_launch *out, char *err, size_t err_size);
/* As a container's annotations say, before its network namespace is entered. *out: malloc, NULL when they ask
 * for none */
struct oci_spec;
MUST_CHECK int nat_prepare_oci(const struct oci_spec *s, struct config_writer *config, struct nat_launch **out,
			       char *err, size_t err_size);
void nat_launch_free(struct nat_launch *n);
