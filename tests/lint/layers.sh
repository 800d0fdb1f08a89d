#!/bin/bash
# layers.sh: each #include "room/..." against layers.txt. Prints violations; exit 1 if there are any.
cd "$(dirname "$0")/../.." || exit 2
git ls-files -co --exclude-standard '*.c' '*.h' '*.S' | xargs grep -Hn '^#include "' | awk -F: '
BEGIN {
	while ((getline line < "tests/lint/layers.txt") > 0) {
		if (line ~ /^#/ || line == "") continue
		i = index(line, ":")
		room[++n] = substr(line, 1, i - 1)
		allowed[n] = substr(line, i + 1) " "
	}
}
{
	file = $1; text = $0
	sub(/^[^"]*"/, "", text); sub(/".*/, "", text)
	best = 0
	for (i = 1; i <= n; i++)
		if (index(file, room[i]) == 1 && (!best || length(room[i]) > length(room[best]))) best = i
	if (!best) next
	if (allowed[best] ~ / \* /) next
	if (index(text, "platform/base/") == 1 || index(text, room[best]) == 1) next
	dir = file; sub(/\/[^\/]*$/, "", dir)
	if (index(text, dir "/") == 1) next
	if (file ~ /_test\.c$/ && index(text, "tests/harness/") == 1) next
	if (file ~ /_test\.c$/) next
	m = split(allowed[best], a, " "); ok = 0
	for (i = 1; i <= m; i++) if (a[i] != "" && index(text, a[i]) == 1) ok = 1
	if (!ok) { print "layers: " file ":" $2 ": " room[best] " may not include " text; bad = 1 }
}
END { exit bad }'
