"""Sends a message through each kind of forward to a server that answers once the sender is done."""
import os, socket, subprocess

from ending import end
from sockets import ask, connect, free_port, serve

CONFIG = os.environ["CONFIG"]

server = serve(socket.AF_INET, ("127.0.0.1", 0))
target = server.getsockname()[1]
ssh = ["ssh", "-F", CONFIG, "-o", "ExitOnForwardFailure=yes"]

done = subprocess.run(ssh + ["-W", f"127.0.0.1:{target}", "box"], input=b"hello", capture_output=True)
print("-W", done.returncode, done.stdout)
closed = free_port()
done = subprocess.run(ssh + ["-W", f"127.0.0.1:{closed}", "box"], input=b"", capture_output=True)
print("-W refused", done.returncode, done.stderr.replace(b"\r", b""))

for kind in "-L", "-R", "-D":
    port = free_port()
    forward = str(port) if kind == "-D" else f"127.0.0.1:{port}:127.0.0.1:{target}"
    child = subprocess.Popen(ssh + ["-N", kind, forward, "box"])
    try:
        for size in 0, 3_000_000:
            connection = connect(port)
            if kind == "-D":
                connection.sendall(b"\5\1\0")
                assert connection.recv(2) == b"\5\0"
                connection.sendall(b"\5\1\0\1\x7f\0\0\1" + target.to_bytes(2, "big"))
                assert connection.recv(10)[:2] == b"\5\0"
            print(kind, size, ask(connection, size))
    finally:
        end(child)
