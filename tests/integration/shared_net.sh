# shared_net.sh: of two containers in one network namespace the second is refused, also when both start at once.
if [ "$(id -u)" != 0 ] || [ -z "$(command -v busybox)" ] ||
	! unshare -n ip link add d0 type veth peer name d1 2>/dev/null; then
	skip=$((skip + 1))
	echo "SKIP [$platform] shared_net: needs root, busybox and a kernel with veth"
	return 0
fi
state=$tmp/state b=$tmp/bundle
mkdir -p "$b/rootfs"/{bin,proc,sys,dev,tmp,etc}
cp "$(command -v busybox)" "$b/rootfs/bin/busybox"
for a in sh sleep ip; do ln -sf busybox "$b/rootfs/bin/$a"; done
unshare -n sh -c 'ip link add d0 type veth peer name d1 && ip addr add 192.0.2.9/24 dev d0 && ip link set d0 up && echo up && exec sleep 300' >"$tmp/ready" &
holder=$!
trap 'kill $holder; rm -rf "$tmp"' EXIT
for _ in $(seq 100); do grep -q up "$tmp/ready" && break; sleep 0.05; done
(cd "$b" && "$sbx" spec) && NS=/proc/$holder/ns/net python3 - "$b/config.json" <<'P'
import json, os, sys
c = json.load(open(sys.argv[1]))
c["process"].update(terminal=False, args=["/bin/sleep", "100"])
for n in c["linux"]["namespaces"]:
    if n["type"] == "network":
        n["path"] = os.environ["NS"]
json.dump(c, open(sys.argv[1], "w"))
P
oci() { # of the runtime; status in $status, what it said in $err
	timeout 30 "$sbx" --root "$state" --platform "$platform" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	status=$? out=$(cat "$tmp/out") err=$(cat "$tmp/err")
}
oci run -d -b "$b" first
expect 0
oci exec first /bin/ip -o -4 addr show d0
grep -q 192.0.2.9 <<<"$out" && ok || bad "the interface is not the first one's: $out $err"
oci run -d -b "$b" second
expect 1 "d0 is another sandbox's"
oci exec first /bin/ip -o -4 addr show d0
grep -q 192.0.2.9 <<<"$out" && ok || bad "the second took the interface: $out $err"
oci delete -f first
expect 0
# whoever reads every packet of it counts; another interface's reader, or one of some packets, doesn't
reader() { # PROTOCOL INTERFACE
	nsenter -t $holder -n python3 -c "import socket, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
s.bind(('$2', $1))
print('bound', flush=True)
time.sleep(60)" >"$tmp/bound" &
	reader=$!
	for _ in $(seq 100); do grep -q bound "$tmp/bound" && break; sleep 0.05; done
}
for what in '3 d0 1' '3 lo 0' '0x806 d0 0'; do
	read -r proto interface want <<<"$what"
	reader "$proto" "$interface"
	oci run -d -b "$b" third
	kill $reader
	wait $reader 2>/dev/null
	expect "$want" "$([ "$want" = 0 ] || echo 'reads all its packets')"
	oci delete -f third
done
# at once
for i in 1 2 3 4 5 6; do
	oci create -b "$b" "a$i"
	oci create -b "$b" "b$i"
	"$sbx" --root "$state" start "a$i" 2>/dev/null & a=$!
	"$sbx" --root "$state" start "b$i" 2>/dev/null & z=$!
	wait $a; a=$?
	wait $z; z=$?
	[ $a = 0 ] && [ $z = 0 ] && bad "both have got the interface" || ok
	oci delete -f "a$i"
	oci delete -f "b$i"
done
no_leftovers shared_net
