#!/bin/bash
# headers.sh: each header compiles alone.
cd "$(dirname "$0")/../.." || exit 2
bad=0
tmp=$(mktemp -d)
for h in $(git ls-files -co --exclude-standard '*.h' | grep -v -E '^tests/guest/|stub/'); do
	echo "#include \"$h\"" >"$tmp/t.c"
	gcc -std=gnu11 -D_GNU_SOURCE -I. -fsyntax-only "$tmp/t.c" 2>"$tmp/err" || { echo "headers: $h does not stand alone:"; head -3 "$tmp/err"; bad=1; }
done
rm -rf "$tmp"
exit $bad
