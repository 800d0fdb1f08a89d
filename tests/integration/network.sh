# network.sh: the loopback, its absence, and what tools say about it.

# says STATUS PATTERN: of the last run; PATTERN is somewhere in what it printed
says() {
	if [ "$status" != "$1" ] || ! grep -qE "$2" <<<"$out$err"; then
		bad "status $status, expected $1; said: $out $err (expected: $2)"
	else
		ok
	fi
}

hello='import socket, threading
l = socket.create_server(("127.0.0.1", 0))
c = socket.create_connection(l.getsockname())
a, peer = l.accept()
a.sendall(b"hello")
print(c.recv(5).decode(), peer == c.getsockname())'
run -- python3 -c "$hello"
says 0 'hello True'
run --network loopback -- python3 -c "$hello"
says 0 'hello True'
run --network none -- python3 -c "$hello"
says 1 'unreachable|Cannot assign'
run --network nonsense -- true
expect 125 'network'
run -- python3 -c 'import socket; print(socket.if_nameindex(), socket.getaddrinfo("localhost", 80)[0][4][0])'
says 0 "\[\(1, 'lo'\)\] (127.0.0.1|::1)"
run -- sh -c 'ip -br addr'
says 0 'lo +UNKNOWN +127.0.0.1/8 ::1/128'
run --network none -- sh -c 'ip -br link'
says 0 'lo +DOWN'
# an address of the outside is nowhere
run -- python3 -c 'import socket; socket.create_connection(("192.0.2.1", 9), 2)'
says 1 'unreachable'
run -- sh -c 'python3 -m http.server -b 127.0.0.1 8123 >/dev/null 2>&1 & sleep 1; curl -s http://localhost:8123/etc/hostname | wc -c; ss -Hltn; kill $!'
says 0 '127.0.0.1:8123'
# a namespace of its own begins with its loopback down
run -- unshare -n sh -c 'ip -br link; ip link set lo up; ip -br addr'
says 0 'lo +DOWN'
