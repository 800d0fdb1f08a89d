# death.sh: whoever dies, nothing is left.
start() {
	"$sbx" run --platform "$platform" -- sh -c 'sleep 1000 & sleep 1000 & wait' >/dev/null 2>"$tmp/err" </dev/null &
	launcher=$!
	sleep 0.7
}
for victim in launcher sentry gofer; do
	start
	case $victim in
	launcher) kill -9 $launcher ;;
	sentry) kill -9 "$(pgrep -P $launcher -f sbx-sentry)" ;;
	gofer) kill -9 "$(pgrep -P $launcher -f sbx-gofer)" ;;
	esac
	if [ $victim = gofer ]; then
		sleep 0.2
		# noticed at the next call at the latest: end it
		kill -TERM $launcher 2>/dev/null
		sleep 0.3
		kill -9 $launcher 2>/dev/null
	fi
	wait $launcher 2>/dev/null
	no_leftovers "$victim killed"
done
start
kill -TERM $launcher
wait $launcher
status=$?
[ $status = 143 ] && ok || bad "TERM to sbx gave status $status"
no_leftovers TERM
