# lib.sh: for the integration tests. Each test file defines functions test_*; a failing check says so and goes on.
sbx=${SBX:-$PWD/build/bin/sbx}
platform=${PLATFORM:-ptrace}
pass=0 fail=0 skip=0
tmp=$(mktemp -d /tmp/sbx-int.XXXXXX)
trap 'rm -rf "$tmp"' EXIT

ok() {
	pass=$((pass + 1))
}

bad() {
	fail=$((fail + 1))
	echo "FAIL [$platform] $*"
}

# run NAME ARGS...: sbx run with the platform; output in $out, stderr in $err, status in $status
run() {
	timeout 120 "$sbx" run --platform "$platform" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	status=$?
	out=$(cat "$tmp/out")
	err=$(cat "$tmp/err")
}

# same COMMAND...: same output and status inside as on the host
same() {
	local want wstatus
	want=$(timeout 120 "$@" 2>/dev/null </dev/null)
	wstatus=$?
	run -- "$@"
	if [ "$status" = "$wstatus" ] && [ "$out" = "$want" ]; then
		ok
	else
		bad "differs from the host: $* (status $status, host $wstatus)"
		diff <(echo "$want") <(echo "$out") | head -5
		tail -3 "$tmp/err"
	fi
}

# expect STATUS TEXT: of the last run; TEXT a pattern that stderr must match (one line)
expect() {
	if [ "$status" != "$1" ]; then
		bad "status $status, expected $1: $err"
	elif [ -n "${2:-}" ] && ! grep -qE "$2" <<<"$err"; then
		bad "message was: $err (expected: $2)"
	elif [ "$(wc -l <"$tmp/err")" -gt 1 ]; then
		bad "more than one line: $err"
	else
		ok
	fi
}

expect_out() {
	if [ "$out" = "$1" ]; then ok; else bad "output was: $out (expected: $1)"; fi
}

# nothing of a sandbox is left: no process runs a program of this build
no_leftovers() {
	sleep 0.3
	local left=0 exe
	for exe in /proc/[0-9]*/exe; do
		case $(readlink "$exe" 2>/dev/null) in
		"${sbx%/*}"/sbx-*) left=$((left + 1)) ;;
		esac
	done
	if [ $left = 0 ]; then ok; else bad "$left processes left behind by: $*"; fi
}
