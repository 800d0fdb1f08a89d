/* cvm.h: the verbs of sbx-cvm, the host-side program for confidential VMs. Each returns the exit status: 0, 1
 * when the answer is no (evidence refused, policy says no), 2 for a wrong command line, 125 for a failure of
 * its own. */
#pragma once

#include "platform/base/attr.h"

#define EXIT_REFUSED 1
#define EXIT_USAGE   2
#define EXIT_TIMEOUT 124
#define EXIT_OWN     125

int cvm_verify(int argc, char **argv);
int cvm_measure(int argc, char **argv);
int cvm_policy(int argc, char **argv);
int cvm_manifest(int argc, char **argv);
int cvm_volume(int argc, char **argv);
int cvm_log(int argc, char **argv);
int cvm_image(int argc, char **argv);
int cvm_run(int argc, char **argv);
int cvm_broker(int argc, char **argv);
int cvm_get_key(int argc, char **argv);

/* "sbx: text" on stderr */
PRINTF_LIKE(1, 2) void cvm_complain(const char *fmt, ...);

/* A whole file into malloc'ed memory, at most `max` bytes; "-" is standard input. -errno; says why on stderr.
 */
MUST_CHECK int cvm_read_file(const char *path, size_t max, void **data, size_t *size);
