# bundles.sh: OCI bundles that are wrong, absurd or hostile: refused with one line, or without effect on the host.
# Attempts of known attacks on container runtimes are named by their CVE.
if [ -z "$(command -v busybox)" ]; then
	skip=$((skip + 1))
	echo "SKIP bundles: no busybox"
	return 0
fi
state=$tmp/state b=$tmp/bundle n=0
mkdir -p "$b/rootfs"/{bin,proc,sys,dev,tmp,etc} "$tmp/secret"
echo host-secret >"$tmp/secret/file"
cp "$(command -v busybox)" "$b/rootfs/bin/busybox"
for a in sh cat ls ln mkdir touch echo sleep id readlink chmod; do ln -sf busybox "$b/rootfs/bin/$a"; done

# bundle CHANGE...: a fresh config.json, changed by Python statements on c; the program is sh -c "$script"
bundle() {
	(cd "$b" && rm -f config.json && "$sbx" spec) && SCRIPT=${script:-true} T=$tmp python3 - "$b/config.json" "$@" <<-'P'
		import json, os, sys
		c = json.load(open(sys.argv[1]))
		T = os.environ["T"]
		c["process"]["terminal"] = False
		c["process"]["args"] = ["/bin/sh", "-c", os.environ["SCRIPT"]]
		bind = lambda s, d, *o: c["mounts"].append({"destination": d, "source": s, "type": "bind", "options": ["rbind", *o]})
		for change in sys.argv[2:]:
		    exec(change)
		json.dump(c, open(sys.argv[1], "w"))
	P
}

# container: runs the bundle; as `run` of lib.sh
container() {
	n=$((n + 1))
	timeout 60 "$sbx" --root "$state" --platform "$platform" run -b "$b" "c$n" >"$tmp/out" 2>"$tmp/err" </dev/null
	status=$?
	out=$(cat "$tmp/out") err=$(cat "$tmp/err")
}

# refused PATTERN CHANGE...: the bundle isn't run, one line says why, nothing stays
refused() {
	local pattern=$1
	shift
	bundle "$@" || bad "no bundle: $*"
	container
	if [ "$status" = 0 ] || ! grep -qE -- "$pattern" <<<"$err" || [ "$(wc -l <"$tmp/err")" -gt 1 ]; then
		bad "bundle $*: status $status, said: $out $err (expected: $pattern)"
	elif [ -n "$(ls "$state" 2>/dev/null)" ]; then
		bad "bundle $*: $(ls "$state") is left"
	else
		ok
	fi
}

# gives TEXT CHANGE...: the bundle runs and prints TEXT
gives() {
	local want=$1
	shift
	bundle "$@" || bad "no bundle: $*"
	container
	if [ "$out" = "$want" ]; then ok; else bad "bundle $*: printed '$out' ($err), expected '$want'"; fi
}

script='echo runs' gives runs 'pass'

# ---- missing, wrong, absurd ----
refused 'root: is missing' 'del c["root"]'
refused 'root.path' 'c["root"]["path"] = "nosuch"'
refused "host's own root" 'c["root"]["path"] = "../../../../../../.."'
refused 'process: is missing' 'del c["process"]'
refused 'args' 'c["process"]["args"] = []'
refused 'cwd' 'c["process"]["cwd"] = "tmp"'
refused 'uid' 'c["process"]["user"]["uid"] = -5'
refused 'ociVersion' 'c["ociVersion"] = 1'
refused 'mounts' 'c["mounts"] = {"a": 1}'
refused 'destination' 'c["mounts"].append({"type": "proc"})'
refused 'file system type' 'c["mounts"].append({"type": "ext4", "source": "/dev/vda", "destination": "/m"})'
refused 'cannot open' 'bind(T + "/nosuch", "/m")'
refused 'id-mapped' 'bind(T, "/m", "idmap")'
refused 'bind mounts' 'for i in range(500): bind(T, "/m%d" % i)'
refused 'namespaces|network' 'c["linux"]["namespaces"] = [x for x in c["linux"]["namespaces"] if x["type"] != "network"]'
refused "network" 'c["linux"]["namespaces"] = [{"type": "network", "path": "/proc/1/ns/net"}, {"type": "uts"}]'
refused 'pid namespace' 'c["linux"]["namespaces"] = [{"type": "pid", "path": "/proc/1/ns/pid"}, {"type": "network"}, {"type": "uts"}]'
refused 'network namespace' 'c["linux"]["namespaces"] = [{"type": "network", "path": "/proc/version"}, {"type": "uts"}]'
refused 'sysctl' 'c["linux"]["sysctl"] = {"../../../etc/passwd": "x"}'
refused 'unified' 'c["linux"].setdefault("resources", {})["unified"] = {"../../cgroup.procs": "1"}'
refused 'hooks' 'c["hooks"] = {"prestart": [{"path": "relative"}]}'
refused 'hook' 'c["hooks"] = {"createRuntime": [{"path": "/bin/false"}]}'
refused 'hook' 'c["hooks"] = {"prestart": [{"path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1}]}'
refused 'rlimits' 'c["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": -1, "hard": 0}]'
refused 'zero byte' 'c["process"]["args"] = ["a\0b"]'
printf 'x' >"$tmp/junk"
script=true bundle pass
head -c 20000000 /dev/zero | tr '\0' '[' >"$b/config.json"
container
expect 1 'config.json'
(printf '{"ociVersion":"1.0.0","a":'; head -c 5000 /dev/zero | tr '\0' '['; ) >"$b/config.json"
container
expect 1 'config.json'
for id in .. . a/b ../x '' "$(printf 'a%.0s' $(seq 2000))"; do
	timeout 20 "$sbx" --root "$state" create -b "$b" "$id" >"$tmp/out" 2>"$tmp/err" </dev/null
	status=$? err=$(cat "$tmp/err")
	expect 1
done
[ ! -e "$tmp/x" ] && [ -z "$(ls "$state" 2>/dev/null)" ] && ok || bad "an id made a folder elsewhere"

# ---- many and long things that are allowed ----
script='echo ${#LONG}' gives 100000 'c["process"]["env"].append("LONG=" + "x" * 100000)'
script='ls /m | wc -l' gives 0 'bind(T + "/bundle/rootfs/tmp", "/m")' 'c["annotations"] = {"k%d" % i: "v" * 1000 for i in range(2000)}'

# ---- links in an image where a mount goes (CVE-2021-30465, CVE-2019-19921) ----
ln -s "$tmp/secret" "$b/rootfs/link"
ln -s ../../../../../../../../.."$tmp/secret" "$b/rootfs/up"
mkdir -p "$tmp/shown"
echo shown >"$tmp/shown/f"
refused 'cannot mount' 'bind(T + "/shown", "/link")'
refused 'cannot mount' 'bind(T + "/shown", "/up/sub")'
mkdir -p "$b/rootfs$tmp/secret" # the image has the same path: it is that which is meant
script='cat /link/f; ls /link' gives $'shown\nf' 'bind(T + "/shown", "/link")'
script='cat /up/f; ls /up' gives $'shown\nf' 'bind(T + "/shown", "/up")'
script='cat /link/sub/f; ls /link' gives $'shown\nsub' 'bind(T + "/shown", "/link/sub")'
script='cat /../../../m/f' gives shown 'bind(T + "/shown", "/../../../../m")'
[ "$(ls -A "$tmp/secret")" = file ] && ok || bad "a mount point was made on the host: $(ls "$tmp/secret")"
# (CVE-2023-27561, CVE-2019-19921: /proc a link)
mv "$b/rootfs/proc" "$b/rootfs/proc-away" && ln -s "$tmp/secret" "$b/rootfs/proc"
refused 'cannot mount proc' pass
rm "$b/rootfs/proc" && mv "$b/rootfs/proc-away" "$b/rootfs/proc"
# (CVE-2025-31133, -52565, -52881: /dev/null and the console as links, masks that lead to /proc's files)
mkdir -p "$b/rootfs/d" && ln -sf /proc/sys/kernel/core_pattern "$b/rootfs/dev/null"
before=$(cat /proc/sys/kernel/core_pattern)
script='cat /proc/kcore 2>/dev/null | head -c 1 | wc -c; echo owned >/proc/sys/kernel/core_pattern; echo end' \
	gives $'0\nend' 'c["linux"]["maskedPaths"] = ["/proc/kcore", "/proc/sys/kernel/core_pattern"]'
[ "$(cat /proc/sys/kernel/core_pattern)" = "$before" ] && ok || bad "core_pattern was written"
rm -f "$b/rootfs/dev/null"
ln -sf "$tmp/secret/file" "$b/rootfs/d/masked"
script='cat /d/masked 2>/dev/null | wc -c' gives 0 'c["linux"]["maskedPaths"] = ["/d/masked"]'
script='cat /link/file 2>/dev/null || echo nothing' gives nothing pass

# ---- the runtime's own program and descriptors (CVE-2019-5736, CVE-2024-21626, CVE-2016-9962) ----
sum=$(md5sum <"$sbx")
script='readlink /proc/1/exe; for i in 0 1 2 3 4 5 6 7 8 9 10; do ls /proc/self/fd/$i/.. >/dev/null 2>&1 && readlink /proc/self/fd/$i; done; echo x >/proc/1/exe; echo end' \
	gives $'/bin/busybox\nend' 'c["process"]["args"][0] = "/bin/sh"'
[ "$(md5sum <"$sbx")" = "$sum" ] && ok || bad "the runtime was written to"
for fd in 3 5 7 8 9; do
	bundle "c['process']['cwd'] = '/proc/self/fd/$fd'"
	exec 7<"$tmp/secret"
	container
	exec 7<&-
	grep -q host-secret <<<"$out$err" && bad "cwd /proc/self/fd/$fd leads to the host" || ok
done
ln -s /proc/self/exe "$b/rootfs/d/busybox"
script='/d/busybox sh -c "echo inside"' gives inside pass
# folders given as descriptors don't reach the container, neither at its start nor with exec
script='echo up; sleep 30'
bundle pass
exec 3<"$tmp/secret"
timeout 60 "$sbx" --root "$state" --platform "$platform" run -d --preserve-fds 1 -b "$b" given <"$tmp/secret" >"$tmp/out" 2>"$tmp/err"
for how in "--preserve-fds 1 given /bin/ls /proc/self/fd/3/" "given /bin/ls /proc/self/fd/0/" "--cwd /proc/self/fd/3 --preserve-fds 1 given /bin/ls" "--cwd /proc/self/fd/0 given /bin/cat file"; do
	timeout 20 "$sbx" --root "$state" exec $how <"$tmp/secret" >"$tmp/out" 2>&1
	grep -qE '^file|host-secret' "$tmp/out" && bad "exec $how shows the host's folder" || ok
done
exec 3<&-
timeout 20 "$sbx" --root "$state" exec given /bin/cat /proc/self/fd/3/file >"$tmp/out" 2>&1
grep -q host-secret "$tmp/out" && bad "a folder was passed at create" || ok
timeout 20 "$sbx" --root "$state" delete -f given || bad "delete failed"
no_leftovers bundles
