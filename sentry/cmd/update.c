/* update.c: `sbx update`: new limits for a running container, in the host's control groups and in the sentry.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sentry/cmd/oci.h"
#include "sentry/oci/client.h"
#include "sentry/oci/log.h"

enum {
	OPT_BLKIO = 256,
	OPT_PERIOD,
	OPT_QUOTA,
	OPT_BURST,
	OPT_SHARE,
	OPT_CPUS,
	OPT_MEMS,
	OPT_RESERVATION,
	OPT_SWAP,
	OPT_PIDS,
	OPT_IDLE,
	OPT_REFUSED,
};

static const struct option longs[] = {
	{"resources", required_argument, NULL, 'r'},
	{"memory", required_argument, NULL, 'm'},
	{"memory-reservation", required_argument, NULL, OPT_RESERVATION},
	{"memory-swap", required_argument, NULL, OPT_SWAP},
	{"pids-limit", required_argument, NULL, OPT_PIDS},
	{"cpu-period", required_argument, NULL, OPT_PERIOD},
	{"cpu-quota", required_argument, NULL, OPT_QUOTA},
	{"cpu-burst", required_argument, NULL, OPT_BURST},
	{"cpu-share", required_argument, NULL, OPT_SHARE},
	{"cpu-idle", required_argument, NULL, OPT_IDLE},
	{"cpuset-cpus", required_argument, NULL, OPT_CPUS},
	{"cpuset-mems", required_argument, NULL, OPT_MEMS},
	{"blkio-weight", required_argument, NULL, OPT_BLKIO},
	{"cpu-rt-period", required_argument, NULL, OPT_REFUSED},
	{"cpu-rt-runtime", required_argument, NULL, OPT_REFUSED},
	{"l3-cache-schema", required_argument, NULL, OPT_REFUSED},
	{"mem-bw-schema", required_argument, NULL, OPT_REFUSED},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"usage: sbx update [-r FILE] [--memory N] [--memory-swap N] [--memory-reservation N]\n"
	"                  [--pids-limit N] [--cpu-period N] [--cpu-quota N] [--cpu-burst N]\n"
	"                  [--cpu-share N] [--cpu-idle 0|1] [--cpuset-cpus LIST]\n"
	"                  [--cpuset-mems LIST] [--blkio-weight N] ID\n\n"
	"Changes the limits of a container; -r takes them from FILE (-: standard input), a\n"
	"resources object as in config.json.\n";

static bool set_number(struct oci_resources *r, int c)
{
	int64_t n = 0;
	bool ok = oci_number("update", optarg, -1, INT64_MAX, &n);

	switch (c) {
	case 'm':
		r->memory_limit = n;
		return ok;
	case OPT_RESERVATION:
		r->memory_reservation = n;
		return ok;
	case OPT_SWAP:
		r->memory_swap = n;
		return ok;
	case OPT_PIDS:
		r->pids_limit = n;
		return ok;
	case OPT_QUOTA:
		r->cpu_quota = n;
		return ok;
	case OPT_IDLE:
		r->cpu_idle = n;
		return ok;
	case OPT_PERIOD:
		r->cpu_period = (uint64_t)n;
		break;
	case OPT_BURST:
		r->cpu_burst = (uint64_t)n;
		break;
	case OPT_SHARE:
		r->cpu_shares = (uint64_t)n;
		break;
	default:
		r->blkio_weight = (uint32_t)MIN(n, (int64_t)UINT32_MAX);
		break;
	}
	return ok && n >= 0;
}

static int parse_one(struct oci_resources *r, const char **file, int c)
{
	switch (c) {
	case 'r':
		*file = optarg;
		return 0;
	case OPT_CPUS:
		r->cpus = optarg;
		return 0;
	case OPT_MEMS:
		r->mems = optarg;
		return 0;
	case OPT_REFUSED:
		oci_fail("update: real-time scheduling and cache allocation are not supported");
		return -1;
	case '?':
		return -1;
	default:
		return set_number(r, c) ? 0 : -1;
	}
}

/* What the sentry keeps itself. */
static int tell_sentry(const struct oci_state *s, const struct oci_resources *r, char *err, size_t err_size)
{
	int64_t done;
	int fd = client_connect(s, err, err_size), ret = 0;

	if (fd < 0)
		return -1;
	if (r->memory_limit)
		ret = client_ask(fd, CONTROL_SET_MEMORY, MAX(r->memory_limit, 0), &done, err, err_size);
	if (ret == 0 && r->pids_limit)
		ret = client_ask(fd, CONTROL_SET_PIDS, MAX(r->pids_limit, 0), &done, err, err_size);
	close(fd);
	return ret;
}

static int update(struct oci_state *s, const struct oci_resources *r)
{
	enum oci_status status = state_status(s);
	char err[1024], missing[512];

	if (status == OCI_STOPPED)
		return oci_fail("container not running");
	if (cgroup_limit(&s->cgroup, r, missing, sizeof(missing), err, sizeof(err)) < 0)
		return oci_fail("%s", err);
	if (missing[0])
		oci_log("warning", "no control group for: %s", missing);
	if (status != OCI_PAUSED && (r->memory_limit || r->pids_limit) &&
	    tell_sentry(s, r, err, sizeof(err)) < 0)
		return oci_fail("%s", err);
	return 0;
}

int cmd_update(int argc, char **argv)
{
	struct oci_resources r = {.memory_swappiness = -1, .cpu_idle = -1};
	struct json_object *doc = NULL;
	const char *file = NULL, *id;
	struct oci_state s;
	char err[1024];
	int c, ret;

	optind = 0;
	if (oci_begin() < 0)
		return 1;
	while ((c = oci_getopt(argc, argv, "r:h", longs)) != -1) {
		if (c == 'h') {
			fputs(help, stdout);
			return 0;
		}
		if (parse_one(&r, &file, c) < 0)
			return 1;
	}
	id = oci_one_id(argc, argv);
	if (!id)
		return 1;
	if (file && spec_load_resources(&r, &doc, file, err, sizeof(err)) < 0)
		return oci_fail("%s", err);
	if (state_load(&s, oci_globals.root, id, true, err, sizeof(err)) < 0)
		ret = oci_fail("%s", err);
	else
		ret = update(&s, &r);
	state_free(&s);
	json_object_put(doc);
	return ret;
}
