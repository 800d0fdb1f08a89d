/* debug.c: `sbx debug PID`: what the sandbox of a running `sbx run` is doing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/host/filters.h"
#include "sentry/cmd/cmd.h"
#include "sentry/cmd/inspect.h"

static const char help[] =
	"usage: sbx debug [--stats] PID\n"
	"       sbx debug --filters\n\n"
	"Shows each task of the sandbox that process PID (a running `sbx run`) started, and what it\n"
	"is doing; with --stats its counters as JSON (if it was started with --stats).\n"
	"--filters prints the system calls that the sandbox's own programs may make on the host.\n";

int cmd_debug(int argc, char **argv)
{
	uint32_t request = CONTROL_DUMP;
	char *end;
	long pid;
	int i = 1;

	if (i < argc && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
		fputs(help, stdout);
		return 0;
	}
	if (argc == 2 && strcmp(argv[i], "--filters") == 0) {
		fputs(hostcall_filters_text, stdout);
		return 0;
	}
	if (i < argc && strcmp(argv[i], "--stats") == 0) {
		request = CONTROL_STATS;
		i++;
	}
	pid = i + 1 == argc ? strtol(argv[i], &end, 10) : -1;
	if (pid <= 0 || *end) {
		complain("debug: give the process id of a running `sbx run` (try `sbx debug --help`)");
		return EXIT_SBX;
	}
	return inspect_ask((int)pid, request);
}
