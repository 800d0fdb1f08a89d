#!/usr/bin/env python3
"""terminal.py: sbx run -t on a pseudo-terminal: echo, Ctrl-C, Ctrl-Z and job control, window size, exit status."""
import fcntl, os, pty, select, shutil, signal, struct, sys, termios, time

sbx, platform = sys.argv[1], sys.argv[2]
passed = failed = 0


class Session:
    def __init__(self, *argv):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execv(sbx, [sbx, "run", "--platform", platform, "-t", "-e", "PS1=READY> ", "--"] + list(argv))
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
        self.buf = b""

    def until(self, text, timeout=15):
        end = time.time() + timeout
        while text not in self.buf:
            left = end - time.time()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                return False
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                return False
            if not data:
                return False
            self.buf += data
        self.buf = self.buf[self.buf.index(text) + len(text):]
        return True

    def send(self, text):
        os.write(self.fd, text)

    def end(self):
        while True:
            try:
                if not os.read(self.fd, 4096):
                    break
            except OSError:
                break
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def check(what, ok):
    global passed, failed
    if ok:
        passed += 1
    else:
        failed += 1
        print(f"FAIL [{platform}] terminal: {what}")


s = Session("bash", "--norc", "--noprofile")
check("prompt", s.until(b"READY> "))
s.send(b"echo $((40+2))\r")
check("command runs", s.until(b"42"))
check("prompt again", s.until(b"READY> "))
s.send(b"stty size\r")
check("window size", s.until(b"33 101"))
fcntl.ioctl(s.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 55, 0, 0))
os.kill(s.pid, signal.SIGWINCH)
time.sleep(0.5)
s.send(b"stty size\r")
check("window size follows", s.until(b"44 55"))
s.send(b"sleep 100\r")
time.sleep(0.7)
s.send(b"\x03")
check("Ctrl-C comes back to the prompt", s.until(b"^C") and s.until(b"READY> "))
s.send(b"sleep 100\r")
time.sleep(0.7)
s.send(b"\x1a")
check("Ctrl-Z stops", s.until(b"Stopped"))
s.send(b"jobs\r")
check("jobs", s.until(b"sleep 100"))
s.send(b"kill %1; wait; echo over\r")
check("job killed", s.until(b"over"))
s.send(b"tty; test -t 0 && echo isatty\r")
check("tty", s.until(b"isatty"))
s.send(b"exit 7\r")
check("exit status", s.end() == 7)
# full-screen programs
os.environ["TERM"] = "xterm"
if shutil.which("less"):
    s = Session("less", "/etc/services")
    check("less shows its file", s.until(b"services"))
    s.send(b"G")
    check("less reaches the end", s.until(b"(END)"))
    s.send(b"g/tcp\r")
    time.sleep(0.5)
    s.send(b"q")
    check("less ends", s.end() == 0)
if shutil.which("vim"):
    s = Session("sh", "-c", "cd /tmp && vim -u NONE -N note && tr a-z A-Z <note")
    check("vim draws its screen", s.until(b"~"))
    s.send(b"ihello from vim\x1b")
    time.sleep(0.3)
    s.send(b"yyp:%s/from/out of/\r:wq\r")
    check("vim writes the file", s.until(b"HELLO OUT OF VIM"))
    check("vim ends", s.end() == 0)
print(f"{passed} {failed}")
