"""dns.py ADDRESS: a name server that knows one name, outside.test, and answers it with 192.0.2.7 (RFC 1035)."""
import socket
import sys

NAME = b"\7outside\4test\0"
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 53))
while True:
    q, who = s.recvfrom(4096)
    end = q.index(b"\0", 12) + 5
    question = q[12:end]
    known = question[:-4].lower() == NAME
    a = known and question[-4:-2] == b"\0\1"
    answer = q[:2] + (b"\x81\x80" if known else b"\x81\x83") + b"\0\1" + (b"\0\1" if a else b"\0\0") + b"\0\0\0\0" + question
    if a:
        answer += b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes([192, 0, 2, 7])
    s.sendto(answer, who)
