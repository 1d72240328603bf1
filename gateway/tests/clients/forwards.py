"""Sends a message through each kind of forward to a server that answers once the sender is done."""
import os, socket, subprocess, threading, time

from ending import end

CONFIG = os.environ["CONFIG"]


def serve(listener):
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        data = b""
        while piece := connection.recv(65536):
            data += piece
        connection.sendall(b"%d %s" % (len(data), data[-5:]))
        connection.close()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ask(connection, size):
    connection.settimeout(20)
    connection.sendall(b"x" * size + b"hello")
    connection.shutdown(socket.SHUT_WR)
    answer = b""
    while piece := connection.recv(65536):
        answer += piece
    return answer


def connect(port):
    for _ in range(500):
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            time.sleep(0.02)
    raise SystemExit("nothing listens")


server = socket.create_server(("127.0.0.1", 0))
target = server.getsockname()[1]
threading.Thread(target=serve, args=(server,), daemon=True).start()
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
