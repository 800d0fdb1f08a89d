/* oci.h: what the commands of the OCI runtime share: the options that stand before the command, and messages
 * as engines read them (--log). */
#pragma once

#include <getopt.h>

#include "sentry/cmd/cmd.h"
#include "sentry/oci/container.h"

struct oci_globals {
	const char *root, *log, *log_format, *platform;
	bool debug, systemd_cgroup, given; /* given: any option that only the runtime has */
};
extern struct oci_globals oci_globals;

/* Reads the options before the command. The index of the command, or -1 after a message. */
int oci_parse_globals(int argc, char **argv);
/* Opens the log, finds the root folder. Every command calls it first. 0, or -1 after a message. */
MUST_CHECK int oci_begin(void);
/* Reports an error and returns the exit status for it: 1, as runc. */
PRINTF_LIKE(1, 2) int oci_fail(const char *fmt, ...);
/* getopt_long with messages; -1 at the end, '?' after a message. */
int oci_getopt(int argc, char **argv, const char *shorts, const struct option *longs);
/* The one argument left, or NULL after a message. */
const char *oci_one_id(int argc, char **argv);
/* A number; false after a message. */
bool oci_number(const char *option, const char *text, int64_t min, int64_t max, int64_t *out);
/* Number of a signal's name or number ("KILL", "SIGKILL", "9"); -1: there is none. */
int oci_signal(const char *text);

int cmd_create(int argc, char **argv);
int cmd_oci_run(int argc, char **argv);
/* Is `run ARGS` meant as the runtime's (a bundle and an id), not as `sbx run PROGRAM`? */
bool oci_run_wanted(int argc, char **argv);
int cmd_start(int argc, char **argv);
int cmd_state(int argc, char **argv);
int cmd_kill(int argc, char **argv);
int cmd_delete(int argc, char **argv);
int cmd_exec(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_update(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_spec(int argc, char **argv);
int cmd_features(int argc, char **argv);
int cmd_checkpoint(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_install(int argc, char **argv); /* uninstall, too: argv[0] */
