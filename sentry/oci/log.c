/* log.c: see log.h. One line a message; opened for appending, so that several processes may write. */
#include "sentry/oci/log.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "platform/base/bug.h"

static struct {
	int fd;
	bool json, debug, quiet;
} log_state = {.fd = -1};

int oci_log_open(const struct oci_log *l)
{
	log_state.json = l->json;
	log_state.debug = l->debug;
	if (!l->path)
		return 0;
	log_state.fd = open(l->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	return log_state.fd < 0 ? -1 : 0;
}

void oci_log_quiet(void)
{
	log_state.quiet = true;
}

int oci_log_fd(void)
{
	return log_state.fd;
}

static char *line_of(const char *level, const char *text)
{
	struct json_object *o, *msg = json_object_new_string(text);
	time_t now = time(NULL);
	char when[40], *line;
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (!log_state.json) {
		BUG_ON(asprintf(&line, "time=\"%s\" level=%s msg=%s\n", when, level,
				json_object_to_json_string_ext(msg, JSON_C_TO_STRING_NOSLASHESCAPE)) < 0);
		json_object_put(msg);
		return line;
	}
	o = json_object_new_object();
	json_object_object_add(o, "level", json_object_new_string(level));
	json_object_object_add(o, "msg", msg);
	json_object_object_add(o, "time", json_object_new_string(when));
	BUG_ON(asprintf(&line, "%s\n",
			json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
								  JSON_C_TO_STRING_NOSLASHESCAPE)) < 0);
	json_object_put(o);
	return line;
}

void oci_log(const char *level, const char *fmt, ...)
{
	bool is_error = strcmp(level, "error") == 0;
	char text[4096], *line;
	va_list ap;

	if (strcmp(level, "debug") == 0 && !log_state.debug)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (log_state.fd >= 0) {
		line = line_of(level, text);
		(void)!write(log_state.fd, line, strlen(line));
		free(line);
	}
	if (!log_state.quiet && (is_error || log_state.fd < 0))
		fprintf(stderr, "sbx: %s%s\n",
			is_error		      ? ""
			: strcmp(level, "debug") == 0 ? "debug: "
						      : "warning: ",
			text);
}
