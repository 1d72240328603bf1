"""Sends a message through each kind of forward that has a Unix socket at an end."""
import os, socket, stat, subprocess, time

from ending import end
from sockets import ask, connect, free_port, serve

CONFIG, BOX, WORK = os.environ["CONFIG"], os.environ["BOX"], os.environ["WORK"]
ssh = ["ssh", "-F", CONFIG, "-o", "ExitOnForwardFailure=yes"]

target = f"{BOX}/target"
server, tcp = serve(socket.AF_UNIX, target), serve(socket.AF_INET, ("127.0.0.1", 0))
port = tcp.getsockname()[1]

for number, (kind, to) in enumerate([("-L", target), ("-R", target), ("-L", f"127.0.0.1:{port}"), ("-R", f"127.0.0.1:{port}")]):
    path = f"{BOX if kind == '-R' else WORK}/s{number}"
    child = subprocess.Popen(ssh + ["-N", kind, f"{path}:{to}", "box"])
    print(kind, to == target, [ask(connect(path), size) for size in (0, 3_000_000)], oct(stat.S_IMODE(os.stat(path).st_mode)))
    if kind == "-R":
        second = subprocess.run(ssh + ["-N", kind, f"{path}:{to}", "box"], capture_output=True)
        print("taken", second.returncode, second.stderr.replace(BOX.encode(), b"BOX"))
    end(child)

for kind in "-L", "-R":
    number = free_port()
    child = subprocess.Popen(ssh + ["-N", kind, f"127.0.0.1:{number}:{target}", "box"])
    print(kind, "port to socket", ask(connect(number), 100_000))
    end(child)

# A target that is not there ends the connection at its other end, and nothing else.
path = f"{WORK}/none"
child = subprocess.Popen(ssh + ["-N", "-L", f"{path}:{BOX}/nobody", "box"], stderr=subprocess.DEVNULL)
for _ in range(2):
    with connect(path) as connection:
        print("nobody", connection.recv(10))
print("goes on", child.poll())
end(child)

done = subprocess.run(ssh + ["-N", "-R", f"{BOX}/no/folder:{target}", "box"], capture_output=True)
print("no folder", done.returncode, done.stderr.replace(BOX.encode(), b"BOX"))

# A master to which forwards are added, and from which they are taken.
control = f"{WORK}/control"
master = subprocess.Popen(ssh + ["-S", control, "-N", "-M", "box"])
while not os.path.exists(control):
    time.sleep(0.02)
path = f"{BOX}/added"
for round in range(2):
    for command in "forward", "cancel":
        done = subprocess.run(ssh + ["-S", control, "-O", command, "-R", f"{path}:{target}", "box"], capture_output=True)
        print(command, done.returncode, done.stderr)
        if command == "forward":
            print(ask(connect(path), 1))
        # sshd(8) leaves the dead file where it is and refuses the name from then on; the gateway takes it away.
        elif os.path.lexists(path):
            os.unlink(path)
end(master)
