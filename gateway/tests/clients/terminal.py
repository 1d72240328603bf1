"""Drives `ssh -tt` from a terminal of our own."""
import fcntl, os, pty, re, select, shutil, signal, struct, subprocess, sys, termios, time

CONFIG = os.environ["CONFIG"]


class Terminal:
    def __init__(self, command, rows=30, columns=100):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            self.size(rows, columns, 0)
            os.environ["TERM"] = "screen"
            os.execvp("ssh", ["ssh", "-F", CONFIG, "-tt", "box"] + command)
        self.seen = b""

    def size(self, rows, columns, fd):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, rows, columns):
        self.size(rows, columns, self.fd)

    def until(self, pattern, seconds=20):
        end = time.time() + seconds
        while not (found := re.search(pattern, self.seen)):
            if not select.select([self.fd], [], [], max(0, end - time.time()))[0]:
                raise SystemExit(f"no {pattern} in {self.seen}")
            try:
                piece = os.read(self.fd, 65536)
            except OSError:
                piece = b""
            if not piece:
                raise SystemExit(f"no {pattern} before the end of {self.seen}")
            self.seen += piece
        self.seen = self.seen[found.end():]
        return found.group()

    def type(self, text):
        os.write(self.fd, text)

    def end(self):
        seen = self.seen
        while True:
            try:
                piece = os.read(self.fd, 65536)
            except OSError:
                break
            if not piece:
                break
            seen += piece
        return seen, os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


t = Terminal(["stty size; echo $TERM; tty | cut -c1-9; test -t 0 -a -t 1 -a -t 2 && echo terminal; exit 9"])
print(t.end())
t = Terminal(["stty -a | tr ';' '\n' | grep -v -e speed -e line"])
print(t.end())
t = Terminal(["trap 'stty size; exit 3' WINCH; echo ready; while :; do sleep 0.1; done"])
t.until(b"ready")
t.resize(41, 123)
print(t.until(rb"\d+ \d+\r\n"), t.end())
# Keys that make signals.
t = Terminal(["trap 'echo interrupted; exit 4' INT; echo ready; while :; do sleep 0.1; done"])
t.until(b"ready\r\n")
t.type(b"\x03")
print(t.until(b"interrupted"), t.end()[1])
# End of file on an empty line ends cat.
t = Terminal(["echo ready; cat; echo done"])
t.until(b"ready\r\n")
t.type(b"text\n")
t.until(b"text\r\ntext\r\n")
t.type(b"\x04")
print(t.end())
# A login shell with job control; what runs in it hangs up with the client.
t = Terminal([])
t.type(b"PS1='> '; echo \"mark\"-$0-$-\n")
print(re.sub(rb"\x1b\[\?2004[hl]\r?", b"", t.until(rb"mark-[^\"\r]*\r\n")))
t.type(b"sleep 50 & echo child=$!\n")
child = int(t.until(rb"child=\d+\r").split(b"=")[1])
os.kill(t.pid, signal.SIGTERM)
t.end()
for _ in range(500):
    try:
        state = open(f"/proc/{child}/stat").read().rsplit(") ", 1)[1][0]
    except (FileNotFoundError, ProcessLookupError):  # the second if it ends between opening and reading
        state = "gone"
    if state in ("gone", "Z"):
        break
    time.sleep(0.02)
print("background job", state in ("gone", "Z"))
if shutil.which("top"):
    t = Terminal(["top -d 100"])
    # The last column has no room in the smaller window.
    t.until(rb"load average[^\0]*COMMAND")
    t.resize(20, 60)
    t.until(rb"load average[^\0]*PID")
    t.type(b"q")
    rest, status = t.end()
    print("top", b"COMMAND" in rest, status)
if shutil.which("tmux"):
    socket = os.environ["WORK"] + "/tmux"
    t = Terminal([f"tmux -S {socket} -f /dev/null new-session 'stty size; echo in-tmux-$((40+2)); read x; exit 0'"])
    print(t.until(rb"in-tmux-42"))
    t.type(b"\n")
    print("tmux", t.end()[1])
    # Inside a shell, and in another size than it began with.
    t = Terminal([])
    t.type(f"tmux -S {socket} -f /dev/null\n".encode())
    t.until(rb"\[0\]")
    t.type(b"stty size\n")
    print("tmux", t.until(rb"29 100"))
    t.resize(20, 60)
    t.type(b"until [ \"`stty size`\" = '19 60' ]; do sleep 0.1; done; echo small-$((40+2))\n")
    print("tmux", t.until(rb"small-42"))
    t.type(b"exit\n")
    t.until(rb"\[exited\]")
    t.type(b"exit 6\n")
    print("tmux in a shell", t.end()[1])
    subprocess.run(["tmux", "-S", socket, "kill-server"], stderr=subprocess.DEVNULL)
sys.stdout.flush()
