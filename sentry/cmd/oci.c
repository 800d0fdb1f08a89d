/* oci.c: see oci.h. */
#include "sentry/cmd/oci.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sentry/oci/log.h"

struct oci_globals oci_globals;

int oci_parse_globals(int argc, char **argv)
{
	static const struct option longs[] = {
		{"root", required_argument, NULL, 'r'},
		{"log", required_argument, NULL, 'l'},
		{"log-format", required_argument, NULL, 'f'},
		{"debug", no_argument, NULL, 'd'},
		{"systemd-cgroup", no_argument, NULL, 's'},
		{"rootless", required_argument, NULL, 'R'},
		{"criu", required_argument, NULL, 'R'},
		{"platform", required_argument, NULL, 'p'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	struct oci_globals *g = &oci_globals;
	int c;

	while ((c = oci_getopt(argc, argv, "hv", longs)) != -1) {
		g->given |= c == 'r' || c == 'l' || c == 'f' || c == 's';
		switch (c) {
		case 'r':
			g->root = optarg;
			break;
		case 'l':
			g->log = optarg;
			break;
		case 'f':
			g->log_format = optarg;
			break;
		case 'd':
			g->debug = true;
			break;
		case 's':
			g->systemd_cgroup = true;
			break;
		case 'p':
			g->platform = optarg;
			break;
		case 'R': /* how runc does what sbx does anyway */
			break;
		case 'h':
			argv[optind - 1] = (char *)(uintptr_t) "--help";
			return optind - 1;
		case 'v':
			argv[optind - 1] = (char *)(uintptr_t) "--version";
			return optind - 1;
		default:
			return -1;
		}
	}
	return optind;
}

int oci_begin(void)
{
	struct oci_globals *g = &oci_globals;
	struct oci_log l = {.path = g->log, .debug = g->debug};

	if (g->log_format && strcmp(g->log_format, "json") != 0 && strcmp(g->log_format, "text") != 0) {
		complain("--log-format: '%s' is neither text nor json", g->log_format);
		return -1;
	}
	l.json = g->log_format && strcmp(g->log_format, "json") == 0;
	if (!g->root || !*g->root)
		g->root = state_default_root();
	if (oci_log_open(&l) == 0)
		return 0;
	complain("--log %s: %s", g->log, strerror(errno));
	return -1;
}

int oci_fail(const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	oci_log("error", "%s", text);
	return 1;
}

int oci_getopt(int argc, char **argv, const char *shorts, const struct option *longs)
{
	char with_plus[64];
	int c;

	opterr = 0;
	snprintf(with_plus, sizeof(with_plus), "+:%s", shorts);
	c = getopt_long(argc, argv, with_plus, longs, NULL);
	if (c == ':') {
		complain("%s needs a value", argv[optind - 1]);
		return '?';
	}
	if (c == '?')
		complain("unknown option %s", argv[optind - 1]);
	return c;
}

const char *oci_one_id(int argc, char **argv)
{
	if (optind + 1 == argc && argv[optind][0])
		return argv[optind];
	oci_fail("%s: give exactly one container id", argv[0]);
	return NULL;
}

bool oci_number(const char *option, const char *text, int64_t min, int64_t max, int64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 10);
	if (!errno && end != text && !*end && *out >= min && *out <= max)
		return true;
	oci_fail("%s: '%s' is not a number from %lld to %lld", option, text, (long long)min, (long long)max);
	return false;
}

int oci_signal(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (end != text && !*end)
		return n >= 0 && n <= 64 ? (int)n : -1;
	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	for (int i = 1; i < 32; i++) {
		const char *name = sigabbrev_np(i);

		if (name && strcasecmp(text, name) == 0)
			return i;
	}
	if (strcasecmp(text, "IOT") == 0)
		return SIGABRT;
	if (strncasecmp(text, "RTMIN", 5) == 0 && (text[5] == 0 || text[5] == '+')) {
		n = 34 + (text[5] ? strtol(text + 6, NULL, 10) : 0);
		return n >= 34 && n <= 64 ? (int)n : -1;
	}
	if (strncasecmp(text, "RTMAX", 5) == 0 && (text[5] == 0 || text[5] == '-')) {
		n = 64 - (text[5] ? strtol(text + 6, NULL, 10) : 0);
		return n >= 34 && n <= 64 ? (int)n : -1;
	}
	return -1;
}
