/* run_options.c: the command line of `sbx run`. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bug.h"
#include "platform/base/checked.h"
#include "sentry/cmd/cmd.h"
#include "sentry/cmd/run.h"

enum {
	OPT_ROOTFS = 256,
	OPT_PLATFORM,
	OPT_HOSTNAME,
	OPT_NETWORK,
	OPT_MEMORY,
	OPT_CPUS,
	OPT_PIDS,
	OPT_FILES,
	OPT_TIMEOUT,
	OPT_READ_ONLY,
	OPT_STRACE,
	OPT_LOG,
	OPT_DEBUG,
	OPT_STATS,
	OPT_PCAP,
	OPT_DNS,
	OPT_ADD_HOST,
	OPT_ALLOW,
	OPT_DENY,
	OPT_RATE,
	OPT_HELP,
};

static const struct option long_options[] = {
	{"rootfs", required_argument, NULL, OPT_ROOTFS},
	{"platform", required_argument, NULL, OPT_PLATFORM},
	{"volume", required_argument, NULL, 'v'},
	{"env", required_argument, NULL, 'e'},
	{"workdir", required_argument, NULL, 'w'},
	{"user", required_argument, NULL, 'u'},
	{"interactive", no_argument, NULL, 'i'},
	{"tty", no_argument, NULL, 't'},
	{"hostname", required_argument, NULL, OPT_HOSTNAME},
	{"network", required_argument, NULL, OPT_NETWORK},
	{"memory", required_argument, NULL, OPT_MEMORY},
	{"cpus", required_argument, NULL, OPT_CPUS},
	{"pids", required_argument, NULL, OPT_PIDS},
	{"files", required_argument, NULL, OPT_FILES},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"read-only", no_argument, NULL, OPT_READ_ONLY},
	{"strace", optional_argument, NULL, OPT_STRACE},
	{"log", required_argument, NULL, OPT_LOG},
	{"debug", no_argument, NULL, OPT_DEBUG},
	{"stats", optional_argument, NULL, OPT_STATS},
	{"pcap", required_argument, NULL, OPT_PCAP},
	{"publish", required_argument, NULL, 'p'},
	{"dns", required_argument, NULL, OPT_DNS},
	{"add-host", required_argument, NULL, OPT_ADD_HOST},
	{"allow", required_argument, NULL, OPT_ALLOW},
	{"deny", required_argument, NULL, OPT_DENY},
	{"rate", required_argument, NULL, OPT_RATE},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"usage: sbx run [OPTION...] [--] PROGRAM [ARG...]\n\n"
	"Runs PROGRAM on sbx's own kernel. Without --rootfs it sees the host's system folders and the current\n"
	"folder, read-only below an overlay in memory: what it writes stays inside and goes with it.\n\n"
	"  --confidential=TEE    first of all options: in a confidential VM (`sbx run --confidential --help`)\n"
	"  --rootfs DIR          use DIR as the root file system (changes stay in memory)\n"
	"  --platform NAME       how system calls are caught: systrap, ptrace\n"
	"  -v SRC:DST[:ro]       show the host's SRC at DST, writable unless :ro\n"
	"  -e K=V                set an environment variable\n"
	"  -w DIR                working directory\n"
	"  -u UID[:GID]          run as this user\n"
	"  -i                    keep standard input open even if it is a terminal\n"
	"  -t                    give the program a terminal\n"
	"  --hostname NAME       host name inside\n"
	"  --memory SIZE         limit of memory (bytes, or with K, M, G)\n"
	"  --cpus N              processors that the program sees and may use\n"
	"  --pids N              limit of threads and processes\n"
	"  --files N             limit of open files of each process\n"
	"  --network KIND        none, loopback (the default), nat: out through the host's own sockets, or\n"
	"                        host-veth:NAME: the interface NAME of the network namespace that sbx runs in\n"
	"                        becomes the sandbox's, addresses and all\n"
	"  -p [IP:]HOST:GUEST[/udp]   with nat: the host's port HOST leads to the program's GUEST (or ranges)\n"
	"  --dns IP              with nat: ask this name server, not the host's\n"
	"  --add-host NAME:IP    with nat: a line for /etc/hosts (IP host-gateway: this host)\n"
	"  --allow WHERE[:PORT]  with nat: only there; WHERE is a name, an address or NETWORK/BITS\n"
	"  --deny WHERE[:PORT]   with nat: not there\n"
	"  --rate BYTES          with nat: at most so many bytes a second, each way\n"
	"  --pcap FILE           write a copy of that interface's packets there\n"
	"  --timeout SECONDS     kill everything after that time; exit status 124\n"
	"  --read-only           no changes at all, not even in memory (but /tmp, /dev/shm, -v)\n"
	"  --strace[=FILE]       print the program's system calls\n"
	"  --log FILE            write sbx's own messages there\n"
	"  --debug               more of them\n"
	"  --stats[=FILE]        print counters as JSON at the end\n\n"
	"Exit status: the program's; 128+N when signal N killed it; 125 when sbx failed, 126 when PROGRAM "
	"can't be\n"
	"executed, 127 when it wasn't found, 124 on --timeout.\n";

static int parse_u64(const char *option, const char *text, uint64_t max, uint64_t *out)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || v == 0 || v > max) {
		complain("%s: '%s' is not a number from 1 to %llu", option, text, (unsigned long long)max);
		return -1;
	}
	*out = v;
	return 0;
}

static int parse_size(const char *option, const char *text, uint64_t *out)
{
	static const char units[] = "KMGT";
	char *end;
	unsigned long long v;
	const char *unit;
	uint64_t size;

	errno = 0;
	v = strtoull(text, &end, 10);
	size = v;
	if (errno || end == text || text[0] == '-')
		goto bad;
	if (*end) {
		unit = strchr(units, *end >= 'a' ? *end - 32 : *end);
		if (!unit || (end[1] && !((end[1] == 'B' || end[1] == 'b') && !end[2])))
			goto bad;
		if (mul_overflows(size, 1ULL << (10 * (unit - units + 1)), &size))
			goto bad;
	}
	if (size < 1 << 20) {
		complain("%s: %s is too little for any program: give at least 1M", option, text);
		return -1;
	}
	*out = size;
	return 0;
bad:
	complain("%s: '%s' is not a size (bytes, or a number with K, M or G)", option, text);
	return -1;
}

static int parse_volume(struct run_options *o, char *text)
{
	struct volume *v;
	char *colon = strchr(text, ':'), *flags;

	if (!colon || colon == text || colon[1] != '/') {
		complain("-v: '%s' is not SRC:DST[:ro] with an absolute DST", text);
		return -1;
	}
	*colon = 0;
	flags = strchr(colon + 1, ':');
	if (flags) {
		*flags++ = 0;
		if (strcmp(flags, "ro") != 0 && strcmp(flags, "rw") != 0) {
			complain("-v: unknown flag '%s' (ro or rw)", flags);
			return -1;
		}
	}
	o->volumes = realloc(o->volumes, (o->volume_count + 1) * sizeof(*o->volumes));
	BUG_ON(!o->volumes);
	v = &o->volumes[o->volume_count++];
	*v = (struct volume){text, colon + 1, flags && strcmp(flags, "ro") == 0};
	return 0;
}

static int parse_env(struct run_options *o, const char *text)
{
	const char *eq = strchr(text, '=');

	if (eq == text || !*text) {
		complain("-e: '%s' is not NAME=VALUE", text);
		return -1;
	}
	if (!eq) { /* -e NAME: the caller's value, as Docker does */
		const char *value = getenv(text);
		char *both;

		if (!value)
			return 0;
		BUG_ON(asprintf(&both, "%s=%s", text, value) < 0);
		text = both;
	}
	o->env = realloc(o->env, (o->env_count + 1) * sizeof(*o->env));
	BUG_ON(!o->env);
	o->env[o->env_count++] = text;
	return 0;
}

static int parse_timeout(struct run_options *o, const char *text)
{
	char *end;

	o->timeout = strtod(text, &end);
	if (end == text || *end || !(o->timeout > 0) || o->timeout > 1e9) {
		complain("--timeout: '%s' is not a positive number of seconds", text);
		return -1;
	}
	return 0;
}

static int parse_network(struct run_options *o, const char *text)
{
	if (strcmp(text, "none") != 0 && strcmp(text, "loopback") != 0 && strcmp(text, "nat") != 0 &&
	    (strncmp(text, "host-veth:", 10) != 0 || !text[10])) {
		complain("--network: '%s' is none of none, loopback, nat, host-veth:NAME", text);
		return -1;
	}
	o->network = text;
	return 0;
}

/* What only `--network nat` has. 1: c is none of these */
static int parse_nat(struct run_options *o, int c)
{
	char err[512];
	int ret;

	switch (c) {
	case 'p':
		ret = nat_add_port(&o->nat, optarg, err, sizeof(err));
		break;
	case OPT_DNS:
		ret = nat_add_dns(&o->nat, optarg, err, sizeof(err));
		break;
	case OPT_ADD_HOST:
		ret = nat_add_host(&o->nat, optarg, err, sizeof(err));
		break;
	case OPT_ALLOW:
	case OPT_DENY:
		ret = nat_add_rule(&o->nat, c == OPT_ALLOW, optarg, err, sizeof(err));
		break;
	case OPT_RATE:
		ret = nat_set_rate(&o->nat, optarg, err, sizeof(err));
		break;
	default:
		return 1;
	}
	if (ret < 0)
		complain("%s", err);
	return ret;
}

static int parse_one(struct run_options *o, int c)
{
	int ret = parse_nat(o, c);

	if (ret <= 0)
		return ret;
	switch (c) {
	case OPT_ROOTFS:
		o->rootfs = optarg;
		return 0;
	case OPT_PLATFORM:
		o->platform = optarg;
		return 0;
	case 'v':
		return parse_volume(o, optarg);
	case 'e':
		return parse_env(o, optarg);
	case 'w':
		o->workdir = optarg;
		return 0;
	case 'u':
		o->user = optarg;
		return 0;
	case 'i':
		o->interactive = true;
		return 0;
	case 't':
		o->tty = true;
		return 0;
	case OPT_HOSTNAME:
		o->hostname = optarg;
		return 0;
	case OPT_MEMORY:
		return parse_size("--memory", optarg, &o->memory);
	case OPT_CPUS:
		return parse_u64("--cpus", optarg, 1024, &o->cpus);
	case OPT_PIDS:
		return parse_u64("--pids", optarg, 4194304, &o->pids);
	case OPT_FILES:
		return parse_u64("--files", optarg, 1048576, &o->files);
	case OPT_TIMEOUT:
		return parse_timeout(o, optarg);
	case OPT_READ_ONLY:
		o->read_only = true;
		return 0;
	case OPT_STRACE:
		o->strace = true;
		o->strace_file = optarg;
		return 0;
	case OPT_LOG:
		o->log_file = optarg;
		return 0;
	case OPT_DEBUG:
		o->debug = true;
		return 0;
	case OPT_STATS:
		o->stats = true;
		o->stats_file = optarg;
		return 0;
	case OPT_NETWORK:
		return parse_network(o, optarg);
	case OPT_PCAP:
		o->pcap_file = optarg;
		return 0;
	case OPT_HELP:
		fputs(help, stdout);
		return 1;
	default:
		return -1;
	}
}

int run_options_parse(struct run_options *o, int argc, char **argv)
{
	int c, ret;

	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, "+:v:e:w:u:p:ith", long_options, NULL)) != -1) {
		if (c == ':') {
			complain("%s needs a value (try `sbx run --help`)", argv[optind - 1]);
			return -1;
		}
		if (c == '?') {
			complain("unknown option %s (try `sbx run --help`)", argv[optind - 1]);
			return -1;
		}
		ret = parse_one(o, c == 'h' ? OPT_HELP : c);
		if (ret)
			return ret;
	}
	if (nat_options_given(&o->nat) && (!o->network || strcmp(o->network, "nat") != 0)) {
		complain("-p, --dns, --add-host, --allow, --deny and --rate need --network nat");
		return -1;
	}
	if (optind == argc) {
		complain("no program given (try `sbx run --help`)");
		return -1;
	}
	o->argv = argv + optind;
	return 0;
}
