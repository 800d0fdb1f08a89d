# nat.sh: --network nat. The outside is a network namespace of the test's own: everything below runs in it.
if [ -z "${NAT_INSIDE:-}" ]; then
	if ! unshare -Urn true 2>/dev/null; then
		echo "SKIP [$platform] nat: no network namespaces here"
		skip=$((skip + 1))
	else
		how=-n
		[ "$(id -u)" = 0 ] || how=-Urn
		res=$(NAT_INSIDE=1 PLATFORM=$platform timeout 500 unshare $how bash -c '. tests/integration/lib.sh; . tests/integration/nat.sh; echo "RESULT $pass $fail $skip"')
		grep -v '^RESULT' <<<"$res"
		read -r _ pass fail skip < <(grep '^RESULT' <<<"$res" || echo "RESULT 0 1 0")
	fi
	return 0
fi

# says STATUS PATTERN: of the last run; PATTERN is somewhere in what it printed
says() {
	if [ "$status" != "$1" ] || ! grep -qE "$2" <<<"$out$err"; then
		bad "line ${BASH_LINENO[0]}: status $status, expected $1; said: $out $err (expected: $2)"
	else
		ok
	fi
}

ip link set lo up
ip addr add 192.0.2.1/32 dev lo
ip addr add 192.0.2.2/32 dev lo
ip addr add 169.254.169.254/32 dev lo
ip addr add 2001:db8::1/128 dev lo nodad 2>/dev/null
chmod 755 "$tmp"
mkdir "$tmp/www"
python3 tests/integration/nat_outside.py 192.0.2.1 "$tmp/www" >"$tmp/ready" 2>"$tmp/outside.err" &
outside=$!
trap 'kill $outside; rm -rf "$tmp"' EXIT
head -c 3000000 /dev/urandom >"$tmp/www/file"
sum=$(sha256sum <"$tmp/www/file")
git init -q "$tmp/repo" && (cd "$tmp/repo" && cp "$tmp/www/file" f && git add f && git -c user.name=a -c user.email=a@b commit -qm x) &&
	git clone -q --bare "$tmp/repo" "$tmp/www/repo.git" && (cd "$tmp/www/repo.git" && git update-server-info)
for _ in $(seq 100); do grep -q ready "$tmp/ready" && break; sleep 0.1; done

nat() {
	run --network nat --dns 192.0.2.1 "$@"
}

# what the guest sees
nat -- sh -c 'ip -br addr; ip route; cat /etc/resolv.conf /etc/hosts'
says 0 'eth0 +UP +10.*fd00:5b78::15/64'
says 0 'default via 10\.[0-9.]+\.2 dev eth0'
says 0 'nameserver 10'
nat --read-only --add-host box.test:192.0.2.7 --hostname inside -- sh -c 'cat /etc/resolv.conf; getent hosts box.test inside'
says 0 'nameserver 10'
says 0 '192.0.2.7 +box.test'

# programs
nat -- sh -c 'curl -s http://192.0.2.1:8000/file | sha256sum'
expect_out "$sum"
nat -- sh -c 'curl -s http://good.test:8000/file | sha256sum'
expect_out "$sum"
if command -v wget >/dev/null; then
	nat -- sh -c 'wget -q -O - http://good.test:8000/file | sha256sum'
	expect_out "$sum"
fi
nat -- python3 -c 'import urllib.request, hashlib; print(hashlib.sha256(urllib.request.urlopen("http://good.test:8000/file").read()).hexdigest(), " -")'
expect_out "$sum"
nat -- sh -c 'cd /tmp && git clone -q http://good.test:8000/repo.git && sha256sum <repo/f'
expect_out "$sum"
nat -- sh -c 'curl -s "http://[2001:db8::1]:8000/" ; echo $?; curl -sg --connect-timeout 5 "http://[2001:db8::1]:7009/"; echo $?'
says 0 '^7'

# what sockets say
cat >"$tmp/sockets.py" <<'P'
import errno, select, socket, struct, sys
def result(f):
    try: return f()
    except OSError as e: return errno.errorcode[e.errno]
def dial(a, p): return result(lambda: socket.create_connection((a, p), 5) and "connected")
print("refused", dial("192.0.2.1", 9), "unreachable", dial("198.51.100.1", 9), "six", dial("2001:db8::1", 7001))
s = socket.create_connection(("192.0.2.1", 7001), 5)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 33)
print("names", s.getpeername(), s.getsockname()[0].startswith("10."), "idle", s.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE))
s.sendall(b"x" * 100000)
got = b""
while len(got) < 100000: got += s.recv(65536)
s.sendall(b"peek"); select.select([s], [], [], 5)
print("peek", s.recv(4, socket.MSG_PEEK), s.recv(2), s.recv(9))
s.shutdown(socket.SHUT_WR)
print("half", s.recv(1))
s = socket.create_connection(("192.0.2.1", 7005), 5); s.send(b"x")
p = select.poll(); p.register(s, select.POLLIN | select.POLLOUT)
while not p.poll(5000)[0][1] & select.POLLERR: pass
print("reset", bool(p.poll(0)[0][1] & select.POLLHUP), errno.errorcode[s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)], s.recv(1), result(lambda: s.send(b"y")))
s = socket.socket(); s.setblocking(False)
print("in progress", errno.errorcode[s.connect_ex(("192.0.2.1", 7001))], select.select([], [s], [], 5)[1] == [s], s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
e = select.epoll(); e.register(s, select.EPOLLIN | select.EPOLLET)
print("quiet", e.poll(0.05)); s.send(b"a"); print("edge", len(e.poll(5)), len(e.poll(0.05))); s.recv(9); s.send(b"b"); print("again", len(e.poll(5)))
s = socket.socket(); s.setblocking(False); s.connect_ex(("192.0.2.1", 9)); select.select([], [s], [], 5)
print("error", errno.errorcode[s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)])
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(5)
u.sendto(b"d" * 30000, ("192.0.2.1", 7002)); print("udp", len(u.recvfrom(65536)[0]))
u.connect(("192.0.2.1", 9)); u.send(b"x"); print("udp refused", result(lambda: u.recv(1)))
u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); u.settimeout(5)
u.sendto(b"six", ("2001:db8::1", 7002)); print("udp6", u.recvfrom(99)[0])
P
cp "$tmp/sockets.py" "$tmp/www/s.py"
chmod 644 "$tmp/sockets.py"
nat -v "$tmp:/t:ro" -- python3 /t/sockets.py
want="refused ECONNREFUSED unreachable ENETUNREACH six connected
names ('192.0.2.1', 7001) True idle 33
peek b'peek' b'pe' b'ek'
half b''
reset True ECONNRESET b'' EPIPE
in progress EINPROGRESS True 0
quiet []
edge 1 0
again 1
error ECONNREFUSED
udp 30000
udp refused ECONNREFUSED
udp6 b'six'"
expect_out "$want"
[ -z "$err" ] && ok || bad "sockets.py: $err"

# names
nat -- sh -c 'getent ahostsv4 good.test; getent ahosts six.test; getent hosts missing.test; echo $?'
says 0 '192.0.2.1 .*good.test'
says 0 '2001:db8::1 .*six.test'
says 0 '^2$'
cat >"$tmp/dns.py" <<'P'
import socket, struct, sys
def name(n): return b"".join(bytes([len(l)]) + l.encode() for l in n.split(".")) + b"\0"
def query(n, kind=1): return struct.pack("!HHHHHH", 0x1234, 0x100, 1, 0, 0, 0) + name(n) + struct.pack("!HH", kind, 1)
def udp(server, q):
    s = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(3); s.connect((server, 53)); s.send(q)
    try: a = s.recv(9000)
    except TimeoutError: return "silence"
    return "%s rcode %d answers %d tc %d" % (a[:2].hex(), a[3] & 15, struct.unpack("!H", a[6:8])[0], bool(a[2] & 2))
def tcp(server, q):
    s = socket.create_connection((server, 53), 5); s.sendall(struct.pack("!H", len(q)) + q); f = s.makefile("rb")
    a = f.read(struct.unpack("!H", f.read(2))[0]); return "rcode %d answers %d" % (a[3] & 15, struct.unpack("!H", a[6:8])[0])
print(udp("127.0.0.11", query("good.test")))
print(udp("fd00:5b78::3", query("GOOD.test")))
print("tcp", tcp("127.0.0.11", query("many.test")), udp("127.0.0.11", query("many.test")))
print("two questions", udp("127.0.0.11", query("good.test")[:4] + b"\0\2" + query("good.test")[6:] + name("a.b") + b"\0\1\0\1"))
print("rubbish behind", udp("127.0.0.11", query("good.test") + b"x"))
print("endless name", udp("127.0.0.11", query("good.test")[:12] + b"\xc0\x0c" + b"\0\1\0\1"))
print("an answer", udp("127.0.0.11", b"\x12\x34\x81\x80" + query("good.test")[4:]))
print("short", udp("127.0.0.11", b"\x12\x34"))
P
nat -v "$tmp:/t:ro" -- python3 /t/dns.py
expect_out "1234 rcode 0 answers 1 tc 0
1234 rcode 0 answers 1 tc 0
tcp rcode 0 answers 199 1234 rcode 0 answers 0 tc 1
two questions 1234 rcode 1 answers 0 tc 0
rubbish behind 1234 rcode 1 answers 0 tc 0
endless name 1234 rcode 1 answers 0 tc 0
an answer silence
short silence"

# policy
dial='import socket, sys, errno
for w in sys.argv[1:]:
    h, p = w.rsplit(":", 1)
    try: socket.create_connection((h, int(p)), 5); print(w, "open")
    except socket.gaierror: print(w, "unknown")
    except OSError as e: print(w, errno.errorcode[e.errno])'
gateway=$("$sbx" run --network nat -- sh -c 'ip route' 2>/dev/null | sed -n 's/^default via \([0-9.]*\).*/\1/p')
nat -- python3 -c "$dial" "$gateway:7001" 169.254.169.254:7009 meta.test:7009 [fe80::1]:80 192.0.2.1:7001 0.0.0.0:7009 ::ffff:169.254.169.254:7009 64:ff9b::a9fe:a9fe:80
expect_out "$gateway:7001 EACCES
169.254.169.254:7009 EACCES
meta.test:7009 EACCES
[fe80::1]:80 unknown
192.0.2.1:7001 open
0.0.0.0:7009 ECONNREFUSED
::ffff:169.254.169.254:7009 EACCES
64:ff9b::a9fe:a9fe:80 EACCES"
nat --allow 127.0.0.1:7001 --allow good.test:7001 -- python3 -c "$dial" "$gateway:7001" "$gateway:7009" 192.0.2.1:7001 good.test:7001 good.test:7009 192.0.2.1:7001 other.test:7009
expect_out "$gateway:7001 open
$gateway:7009 EACCES
192.0.2.1:7001 EACCES
good.test:7001 open
good.test:7009 EACCES
192.0.2.1:7001 open
other.test:7009 unknown"
nat --allow 192.0.2.0/24 --deny 192.0.2.2 --deny 192.0.2.1:7009-7010 -- python3 -c "$dial" 192.0.2.1:7001 192.0.2.1:7009 192.0.2.2:7009
expect_out "192.0.2.1:7001 open
192.0.2.1:7009 EACCES
192.0.2.2:7009 EACCES"
nat --deny '*.test' -- python3 -c "$dial" good.test:7001 192.0.2.1:7001
expect_out "good.test:7001 unknown
192.0.2.1:7001 open"
nat --allow 0.0.0.0/0 -- python3 -c "$dial" 169.254.169.254:7009 192.0.2.1:7001
expect_out "169.254.169.254:7009 EACCES
192.0.2.1:7001 open"
nat --deny 192.0.2.1 -- python3 -c 'import socket; u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(2); u.connect(("192.0.2.1", 7002)); u.send(b"x"); u.recv(9)'
says 1 'No route to host'

# echoes: as the host allows
ping='import os, socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP); s.settimeout(2)
s.connect(("192.0.2.1", 0)); s.send(struct.pack("!BBHHH", 8, 0, 0, 0, 7) + b"hello"); a = s.recv(99); print(a[0], a[6:])'
echo '1 0' >/proc/sys/net/ipv4/ping_group_range
nat -- python3 -c "$ping"
says 1 'No route to host'
echo '0 4294967294' >/proc/sys/net/ipv4/ping_group_range 2>/dev/null || echo '0 0' >/proc/sys/net/ipv4/ping_group_range
nat -- python3 -c "$ping"
expect_out "0 b'\\x00\\x07hello'"

# published ports
serve='import socket, sys
l = socket.create_server(("0.0.0.0", 80)); print("up", flush=True)
c, peer = l.accept(); c.sendall(("%s %s" % (peer[0], c.recv(9).decode())).encode()); c.close()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("0.0.0.0", 81)); print("udp", flush=True)
d, peer = u.recvfrom(99); u.sendto(b"re " + d, peer)'
timeout 60 "$sbx" run --platform "$platform" -u 0 --network nat -p 192.0.2.1:8080-8081:80-81 -p 8081:81/udp -- python3 -c "$serve" >"$tmp/serve" 2>&1 </dev/null &
server=$!
for _ in $(seq 100); do grep -q up "$tmp/serve" && break; sleep 0.1; done
out=$(python3 -c 'import socket; s = socket.create_connection(("192.0.2.1", 8080), 5); s.send(b"hello"); print(s.recv(99).decode())' 2>&1)
[[ $out = '192.0.2.1 hello' ]] && ok || bad "published port: $out"
for _ in $(seq 100); do grep -q udp "$tmp/serve" && break; sleep 0.1; done
out=$(python3 -c 'import socket; u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(5); u.sendto(b"ping", ("192.0.2.1", 8081)); print(u.recv(99).decode())' 2>&1)
[ "$out" = 're ping' ] && ok || bad "published UDP port: $out $(cat "$tmp/serve")"
wait $server
run --network nat -p 7009:80 -- true
expect 125 'cannot publish the host.s port 7009/tcp: Address already in use'

# bad options
for o in '-p nonsense' '-p 1:2:3:4' '-p 80-81:80' '--dns here' '--add-host x' '--allow 1.2.3' '--deny 10.0.0.0/33' '--allow a:0' '--rate 7' '--rate x'; do
	run --network nat $o -- true
	expect 125 "^sbx: ${o%% *}: '"
done
run -p 80:80 -- true
expect 125 'need --network nat'

# rate: 400 KB at 200 KB/s, less the first tenth of a second's worth
nat --rate 200K -- python3 -c 'import socket, time
s = socket.create_connection(("192.0.2.1", 7003)); s.sendall(b"400000\n"); t = time.time(); n = 0
while d := s.recv(65536): n += len(d)
print(n, 1.2 < time.time() - t < 4)
s = socket.create_connection(("192.0.2.1", 7004)); t = time.time(); s.sendall(bytes(400000)); s.shutdown(socket.SHUT_WR); print(s.recv(99), 1.2 < time.time() - t < 4)'
expect_out "400000 True
b'400000\\n' True"

# much, and whole
truncate -s 1G "$tmp/www/big"
nat -- sh -c 'curl -s http://192.0.2.1:8000/big | sha256sum'
expect_out "$(sha256sum <"$tmp/www/big")"

# counters, a copy of datagrams
run --network nat --dns 192.0.2.1 --stats="$tmp/stats" --pcap "$tmp/pcap" --deny 192.0.2.2 -- sh -c 'curl -s -o /dev/null http://good.test:8000/file; curl -s http://192.0.2.2:7009/'
grep -qE '"nat_connects": 2, "nat_accepted": 0, "nat_refused": 1,.* "nat_tcp_in": 30[0-9]{5}' "$tmp/stats" && ok || bad "stats: $(grep nat_ "$tmp/stats")"
grep -q good "$tmp/pcap" && ok || bad "nothing in the pcap file"

# as an ordinary user
if [ "$(id -u)" = 0 ] && setpriv --reuid 65533 --regid 65533 --clear-groups true 2>/dev/null; then
	out=$(cd / && timeout 60 setpriv --reuid 65533 --regid 65533 --clear-groups "$sbx" run --platform "$platform" --network nat --dns 192.0.2.1 -- sh -c 'curl -s http://good.test:8000/file | sha256sum' 2>&1 </dev/null)
	expect_out "$sum"
	cat >"$tmp/out" <<<"$out"
fi

# whoever dies, nothing stays
"$sbx" run --platform "$platform" --network nat -- sleep 60 >/dev/null 2>&1 </dev/null &
victim=$!
sleep 1.5
net=$(ps -o pid= -o comm= --ppid $victim | awk '/sbx-net/ {print $1}')
kill -9 $victim
wait $victim 2>/dev/null
no_leftovers "a killed sbx"
"$sbx" run --platform "$platform" --network nat -- sh -c 'sleep 3; python3 -c "import socket; socket.create_connection((\"192.0.2.1\", 7001))"' >"$tmp/out" 2>&1 </dev/null &
victim=$!
sleep 1.5
net=$(ps -o pid= -o comm= --ppid $victim | awk '/sbx-net/ {print $1}')
kill -9 "$net"
wait $victim
grep -q 'Network is down' "$tmp/out" && ok || bad "after the death of sbx-net: $(cat "$tmp/out")"
no_leftovers "a killed sbx-net"
