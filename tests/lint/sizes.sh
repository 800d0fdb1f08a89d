#!/bin/bash
# sizes.sh: files above 1,000 lines fail unless their header says why ("Size:"); above 600 is only said.
cd "$(dirname "$0")/../.." || exit 2
bad=0
for f in $(git ls-files -co --exclude-standard '*.c' '*.h' '*.S' | grep -v '^platform/abi/'); do
	n=$(wc -l <"$f")
	if [ "$n" -gt 1000 ] && ! head -30 "$f" | grep -q 'Size:'; then
		echo "sizes: $f has $n lines: look for the seam"
		bad=1
	elif [ "$n" -gt 600 ]; then
		echo "sizes: note: $f has $n lines"
	fi
done
exit $bad
