# install.sh: `sbx install` and `uninstall` on a configuration of the test's own: nothing else in a file changes,
# twice is as once, and what was there comes back.
etc=$tmp/etc
mkdir -p "$etc/docker" "$etc/containerd"
install() {
	timeout 20 "$sbx" "$@" >"$tmp/out" 2>"$tmp/err"
	status=$? out=$(cat "$tmp/out") err=$(cat "$tmp/err")
}
holds() { # FILE PATTERN
	if grep -qE -- "$2" "$etc/$1"; then ok; else bad "$1 holds no $2: $(cat "$etc/$1")"; fi
}

printf '{"log-level": "warn", "runtimes": {"other": {"path": "/o"}}}' >"$etc/docker/daemon.json"
printf 'version = 2\n[plugins]\n  x = 1' >"$etc/containerd/config.toml"
cp -r "$etc" "$tmp/before"
install install --dry-run --etc "$etc" --program /usr/bin/sbx docker containerd podman
expect 0
grep -q 'would become' <<<"$out" && diff -r "$etc" "$tmp/before" && ok || bad "--dry-run wrote, or said nothing"
for round in 1 2; do
	install install --etc "$etc" --program /usr/bin/sbx docker containerd podman
	expect 0
	holds docker/daemon.json '"sbx"'
	holds docker/daemon.json '"/usr/bin/sbx"'
	holds docker/daemon.json '"other"'
	holds docker/daemon.json '"log-level": ?"warn"'
	holds containerd/config.toml 'BinaryName = "/usr/bin/sbx"'
	holds containers/containers.conf.d/sbx.conf 'sbx = \["/usr/bin/sbx"\]'
done
[ "$(grep -c 'as wanted' <<<"$out")" = 3 ] && ok || bad "twice is not as once: $out"
[ "$(grep -c runtimes.sbx] "$etc/containerd/config.toml")" = 1 ] && ok || bad "the block is there twice"
python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$etc/docker/daemon.json" && ok || bad "not JSON"
cmp -s "$etc/docker/daemon.json.before-sbx" "$tmp/before/docker/daemon.json" && ok || bad "no copy of daemon.json"
python3 -c 'import tomllib' 2>/dev/null && { python3 -c 'import sys, tomllib
c = tomllib.load(open(sys.argv[1], "rb"))
print(c["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]["runtimes"]["sbx"]["options"]["BinaryName"], c["plugins"]["x"])' \
	"$etc/containerd/config.toml" | grep -q '^/usr/bin/sbx 1$' && ok || bad "config.toml is not what it should be"; }
install install --etc "$etc" --program /opt/sbx docker containerd podman
holds docker/daemon.json '"/opt/sbx"'
holds containerd/config.toml '"/opt/sbx"'
install uninstall --etc "$etc" docker containerd podman
expect 0
python3 -c 'import json, sys
a, b = (json.load(open(f)) for f in sys.argv[1:])
sys.exit(a != b)' "$etc/docker/daemon.json" "$tmp/before/docker/daemon.json" && ok || bad "daemon.json is not as before"
grep -q sbx "$etc/containerd/config.toml" && bad "config.toml still names sbx" || ok
[ ! -e "$etc/containers/containers.conf.d/sbx.conf" ] && ok || bad "podman's file is left"
install uninstall --etc "$etc" docker containerd podman
expect 0
# nothing there yet
rm -rf "$etc"
install install --etc "$etc" docker containerd podman
expect 0
holds docker/daemon.json "\"$sbx\""
holds containerd/config.toml '^version = 2'
# what can't be read is left alone
echo '{"runtimes": ' >"$etc/docker/daemon.json"
install install --etc "$etc" docker
expect 1 'left as it is'
[ "$(cat "$etc/docker/daemon.json")" = '{"runtimes": ' ] && ok || bad "a broken daemon.json was changed"
echo '[plugins.cri]' >"$etc/containerd/config.toml"
install install --etc "$etc" containerd
expect 1 'left as it is'
install install --etc "$etc" nonsense
expect 1 'none of'
# what was private stays private, its owner its owner; the copy is of the file before the first time
fresh() { rm -rf "$etc" && mkdir -p "$etc/docker" "$etc/containerd"; }
rights() { stat -c '%a %u:%g' "$etc/$1"; }
fresh
echo '{"insecure-registries": ["first"]}' >"$etc/docker/daemon.json"
chmod 600 "$etc/docker/daemon.json"
[ "$(id -u)" != 0 ] || chown 12:34 "$etc/docker/daemon.json"
want=$(rights docker/daemon.json)
install install --etc "$etc" docker
expect 0
[ "$(rights docker/daemon.json)" = "$want" ] && ok || bad "daemon.json was $want, is $(rights docker/daemon.json)"
[ "$(rights docker/daemon.json.before-sbx)" = "$want" ] && ok || bad "the copy of a $want file is $(rights docker/daemon.json.before-sbx)"
install install --etc "$etc" --program /opt/sbx docker
expect 0
holds docker/daemon.json '"/opt/sbx"'
[ "$(cat "$etc/docker/daemon.json.before-sbx")" = '{"insecure-registries": ["first"]}' ] && ok || bad "the copy is no more the first: $(cat "$etc/docker/daemon.json.before-sbx")"
install uninstall --etc "$etc" docker
[ "$(rights docker/daemon.json)" = "$want" ] && ok || bad "daemon.json was $want, is $(rights docker/daemon.json) after uninstall"
[ "$(ls "$etc/docker" | wc -l)" = 2 ] && ok || bad "left in the folder: $(ls "$etc/docker")"
# a link stays one: what it leads to is changed
fresh
mkdir "$etc/elsewhere"
echo '{"debug": true}' >"$etc/elsewhere/real.json"
ln -s ../elsewhere/real.json "$etc/docker/daemon.json"
install install --etc "$etc" docker
expect 0
[ -L "$etc/docker/daemon.json" ] && ok || bad "the link became a plain file"
holds elsewhere/real.json '"sbx"'
holds elsewhere/real.json.before-sbx '^\{"debug": true\}$'
ln -sf ../elsewhere/none.json "$etc/docker/daemon.json"
install install --etc "$etc" docker
expect 1 'cannot read'
[ -L "$etc/docker/daemon.json" ] && ok || bad "a link that leads nowhere became a plain file"
# null, or of another type than it should be
fresh
for text in '{"runtimes": {"sbx": null}}' '{"runtimes": {"sbx": "x"}}' '{"runtimes": null}' '{"default-runtime": null}'; do
	echo "$text" >"$etc/docker/daemon.json"
	install install --etc "$etc" --program /opt/sbx docker
	expect 0
	python3 -c 'import json, sys; sys.exit(json.load(open(sys.argv[1]))["runtimes"]["sbx"] != {"path": "/opt/sbx"})' \
		"$etc/docker/daemon.json" && ok || bad "$text became: $(cat "$etc/docker/daemon.json")"
	install uninstall --etc "$etc" docker
	expect 0
	grep -q sbx "$etc/docker/daemon.json" && bad "$text, uninstalled: $(cat "$etc/docker/daemon.json")" || ok
done
echo '{"default-runtime": null, "debug": true}' >"$etc/docker/daemon.json"
install uninstall --etc "$etc" docker
expect 0
[ "$(cat "$etc/docker/daemon.json")" = '{"default-runtime": null, "debug": true}' ] && ok || bad "uninstall changed what isn't ours"
echo '{"runtimes": [1]}' >"$etc/docker/daemon.json"
install install --etc "$etc" docker
expect 1 'must be an object'
# a config.toml that never held our block stays; one that was ours alone goes
fresh
echo 'version = 2' >"$etc/containerd/config.toml"
install uninstall --etc "$etc" containerd
expect 0
[ "$(cat "$etc/containerd/config.toml" 2>&1)" = 'version = 2' ] && ok || bad "uninstall took a config.toml that was not ours"
for round in 1 2; do
	install install --etc "$etc" containerd
	expect 0
	install uninstall --etc "$etc" containerd
	[ "$(cat "$etc/containerd/config.toml" 2>&1)" = 'version = 2' ] && ok || bad "config.toml is not as before: $(cat "$etc/containerd/config.toml" 2>&1)"
done
fresh
install install --etc "$etc" containerd
install install --etc "$etc" containerd
expect 0
[ "$(grep -c '^version' "$etc/containerd/config.toml")" = 1 ] && ok || bad "version is there twice"
install uninstall --etc "$etc" containerd
[ -z "$(ls "$etc/containerd")" ] && ok || bad "left: $(ls "$etc/containerd")"
