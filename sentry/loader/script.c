/* script.c: the first line of an interpreter script, execve(2): "#!" path [argument], at most 255 bytes.
 * Pure but for the allocation of the new argument list. */
#include <string.h>

#include "sentry/loader/internal.h"

bool script_is(const char *prefix)
{
	return prefix[0] == '#' && prefix[1] == '!';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

int script_parse(const char *prefix, struct script_line *out)
{
	const char *p = prefix + 2, *limit = prefix + EXEC_PREFIX_SIZE, *end, *name_end;

	end = memchr(p, '\n', (size_t)(limit - p));
	if (!end) {
		/* A cut-off line will do as long as the path in it is whole. */
		end = limit - 1;
		while (p < end && is_blank(*p))
			p++;
		for (name_end = p; name_end < end && !is_blank(*name_end) && *name_end;)
			name_end++;
		if (p == end || name_end == end)
			return -ENOEXEC;
		end = p + strnlen(p, (size_t)(end - p));
	}
	while (end > p && is_blank(end[-1]))
		end--;
	while (p < end && is_blank(*p))
		p++;
	for (name_end = p; name_end < end && !is_blank(*name_end) && *name_end;)
		name_end++;
	if (name_end == p)
		return -ENOEXEC;
	memcpy(out->interp, p, (size_t)(name_end - p));
	out->interp[name_end - p] = '\0';
	for (p = name_end; p < end && is_blank(*p);)
		p++;
	out->has_arg = p < end && *p;
	if (out->has_arg) {
		size_t len = strnlen(p, (size_t)(end - p));

		memcpy(out->arg, p, len);
		out->arg[len] = '\0';
	}
	return 0;
}

int script_rewrite(struct exec_args *a, const struct script_line *line, const char *name)
{
	const char *head[3] = {line->interp, line->has_arg ? line->arg : NULL, name};
	size_t skip = 0, size = 0, at = 0;
	char *strings;

	if (a->argc)
		skip = strnlen(a->strings, a->strings_size) + 1;
	skip = MIN(skip, a->strings_size);
	for (size_t i = 0; i < ARRAY_SIZE(head); i++)
		size += head[i] ? strlen(head[i]) + 1 : 0;
	strings = kmalloc(size + a->strings_size - skip + 1);
	if (!strings)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(head); i++) {
		size_t len = head[i] ? strlen(head[i]) + 1 : 0;

		memcpy(strings + at, head[i] ? head[i] : "", len);
		at += len;
	}
	memcpy(strings + at, a->strings + skip, a->strings_size - skip);
	kfree(a->strings);
	a->strings = strings;
	a->strings_size = at + a->strings_size - skip;
	a->argc += 1 + line->has_arg + (a->argc == 0);
	return 0;
}
