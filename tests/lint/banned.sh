#!/bin/bash
# banned.sh: functions and markers that have no place here.
cd "$(dirname "$0")/../.." || exit 2
bad=0
files=$(git ls-files -co --exclude-standard '*.c' '*.h' | grep -v -E '^tests/(guest|bench)/|_test\.c$')
# word-bounded calls
if grep -Hn -E '\b(strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|strtok|alloca)\(' $files; then
	echo "banned: use the bounded forms"
	bad=1
fi
if grep -Hn -E '\b(TODO|FIXME|XXX)\b' $files; then
	echo "banned: markers of unfinished work"
	bad=1
fi
exit $bad
