# nat_outside.py: the world outside for nat.sh, in a network namespace of its own: nat_outside.py ADDRESS DIR
# HTTP over DIR on port 8000, TCP echo 7001, UDP echo 7002, a source of zeros 7003 and a sink 7004, somebody who
# resets 7005, DNS on 53 (UDP and TCP). Prints "ready".
import functools, http.server, os, socket, struct, sys, threading

address, folder = sys.argv[1:3]
names = {"good.test": ["192.0.2.1"], "other.test": ["192.0.2.2"], "meta.test": ["169.254.169.254"],
         "six.test": ["2001:db8::1"], "many.test": ["192.0.3.%d" % i for i in range(1, 200)]}


def each(server, handle):
    def loop():
        while True:
            c, _ = server.accept()
            threading.Thread(target=handle, args=(c,), daemon=True).start()
    threading.Thread(target=loop, daemon=True).start()


def echo(c):
    while d := c.recv(65536):
        c.sendall(d)
    c.close()


def source(c):
    n = int(c.makefile().readline())
    zeros = bytes(1 << 20)
    while n > 0:
        n -= c.send(zeros[:n])
    c.close()


def sink(c):
    n = 0
    while d := c.recv(1 << 20):
        n += len(d)
    c.sendall(b"%d\n" % n)
    c.close()


def reset(c):
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.recv(1)
    c.close()


def answer(q, tcp):
    labels, at = [], 12
    while q[at]:
        labels.append(q[at + 1:at + 1 + q[at]].decode().lower())
        at += q[at] + 1
    kind = struct.unpack("!H", q[at + 1:at + 3])[0]
    found = [a for a in names.get(".".join(labels), []) if (kind == 28) == (":" in a) and kind in (1, 28)]
    known = ".".join(labels) in names
    records = b"".join(struct.pack("!HHHIH", 0xc00c, kind, 1, 300, len(b)) + b
                       for b in (socket.inet_pton(socket.AF_INET6 if kind == 28 else socket.AF_INET, a) for a in found))
    flags = 0x8180 | (0 if known else 3)
    if not tcp and len(records) > 450:
        flags, records, found = flags | 0x200, b"", []
    return q[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0) + q[12:at + 5] + records


def dns_udp(s):
    while True:
        q, who = s.recvfrom(4096)
        s.sendto(answer(q, False), who)


def dns_tcp(c):
    while h := c.recv(2):
        a = answer(c.recv(struct.unpack("!H", h)[0]), True)
        c.sendall(struct.pack("!H", len(a)) + a)
    c.close()


def udp_echo(s):
    while True:
        d, who = s.recvfrom(65536)
        s.sendto(d, who)


for a in (address, "2001:db8::1"):
    family = socket.AF_INET6 if ":" in a else socket.AF_INET
    for port, handle in ((7001, echo), (7003, source), (7004, sink), (7005, reset), (53, dns_tcp)):
        each(socket.create_server((a, port), family=family, backlog=100), handle)
    for port, handle in ((7002, udp_echo), (53, dns_udp)):
        s = socket.socket(family, socket.SOCK_DGRAM)
        s.bind((a, port))
        threading.Thread(target=handle, args=(s,), daemon=True).start()
each(socket.create_server(("127.0.0.1", 7001)), echo)
each(socket.create_server(("0.0.0.0", 7009)), echo)


class quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *a):
        pass


web = http.server.ThreadingHTTPServer((address, 8000), functools.partial(quiet, directory=folder))
print("ready", flush=True)
web.serve_forever()
