#!/usr/bin/env python3
"""The proxy: how soon it is there, and how fast its relay is against a TCP connection alone.

    tests/perf/proxy.py [--binary PATH] [--rounds N] [--only cold,warm,up,down] [--size MIB] [--json]

The rounds are interleaved, so that a busy machine is busy for all; each ratio is one of times, below 1 is faster.
"""

import argparse
import contextlib
import http.server
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

import plane  # noqa: E402
from pairs import Table  # noqa: E402

CHUNK = 256 * 1024
ROWS = {
    "cold": ("proxy, cold, to the first byte", "a second", 0.2),
    "warm": ("proxy, session there, first byte", "a second", 0.05),
    "up": ("proxy, stdin to the gateway", "TCP alone", 1.05),
    "down": ("proxy, the gateway to stdout", "TCP alone", 1.05),
}


class Gateway:
    """A listener that says it speaks SSH, then swallows or sends; and the control plane that grants sessions on it."""

    def __init__(self, key):
        self.key, self.listener = key, socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.http = plane.serve(self.bundle)
        self.base = f"http://127.0.0.1:{self.http.server_port}"

    def bundle(self, _):
        return {"port": self.port, "user": "box", "workdir": "/",
                "known_hosts": f"[127.0.0.1]:{self.port} {self.key}"}

    def accept(self):
        stream = self.listener.accept()[0]
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return stream


class Bench:
    def __init__(self, binary, folder, size):
        self.binary, self.folder, self.size = binary, folder, size
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
        self.gateway = Gateway(" ".join((folder / "key.pub").read_text().split()[:2]))
        self.env = {"HOME": str(folder), "PATH": os.environ["PATH"], "RUNCODE_TOKEN": "token"}
        self.env["RUNCODE_API_BASE"] = self.gateway.base
        self.null = os.open(os.devnull, os.O_RDWR)
        self.chunk = bytearray(CHUNK)

    def spawn(self, words, stdin=None, stdout=None, env=None):
        actions = [(os.POSIX_SPAWN_DUP2, stdin if stdin is not None else self.null, 0)]
        actions += [(os.POSIX_SPAWN_DUP2, stdout if stdout is not None else self.null, 1)]
        return os.posix_spawn(words[0], words, env or self.env, file_actions=actions)

    @contextlib.contextmanager
    def proxy(self):
        """The proxy, and the gateway's end of its connection: (write to it, read from it, gateway)."""
        (to_read, to_write), (from_read, from_write) = os.pipe(), os.pipe()
        pid = self.spawn([self.binary, "proxy", "1"], to_read, from_write)
        os.close(to_read), os.close(from_write)
        stream = self.gateway.accept()
        with contextlib.ExitStack() as stack:
            stack.callback(os.waitpid, pid, 0)
            to, back = (stack.enter_context(os.fdopen(*end)) for end in ((to_write, "wb", 0), (from_read, "rb", 0)))
            yield to, back, stack.enter_context(stream)

    def first_byte(self):
        """From the start of the proxy to the first byte that ssh would see."""
        began = time.perf_counter()
        with self.proxy() as (_, back, stream):
            stream.sendall(b"SSH-2.0-x\r\n")
            assert back.read(1) == b"S"
            return time.perf_counter() - began

    def move(self, write, read):
        """Seconds for the whole size from one end to the other."""
        def send():
            left = self.size
            while left:
                left -= write(memoryview(self.chunk)[:min(CHUNK, left)])

        sender, left, into = threading.Thread(target=send), self.size, bytearray(CHUNK)
        began = time.perf_counter()
        sender.start()
        while left:
            left -= read(into)
        took = time.perf_counter() - began
        sender.join()
        return took

    def relayed(self, is_up):
        with self.proxy() as (to, back, stream):
            return self.move(to.write, stream.recv_into) if is_up else self.move(stream.send, back.readinto)

    def direct(self):
        ours = socket.create_connection(("127.0.0.1", self.gateway.port))
        ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with ours, self.gateway.accept() as theirs:
            return self.move(ours.send, theirs.recv_into)


def measure(bench, wanted, rounds):
    """Per name the runs: seconds of ours, and of what it is measured against."""
    found = {name: ([], []) for name in wanted}
    for number in range(-1, rounds):  # the first one warms up
        for name, (ours, theirs) in found.items():
            if name in ("cold", "warm"):
                if name == "cold":
                    shutil.rmtree(bench.folder / ".cache", ignore_errors=True)
                pair = bench.first_byte(), 1
            else:
                pair = bench.relayed(name == "up"), bench.direct()
            if number >= 0:
                ours.append(pair[0])
                theirs.append(pair[1])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/runcode")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="cold,warm,up,down")
    parser.add_argument("--size", type=int, default=200, help="MiB that are relayed")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rc-") as folder:
        bench = Bench(str(pathlib.Path(args.binary).resolve()), pathlib.Path(folder), args.size << 20)
        found = measure(bench, args.only.split(","), args.rounds)
        subprocess.run([bench.binary, "clean", "--all"], env=bench.env, capture_output=True)
    table = Table()
    for name, (ours, theirs) in found.items():
        title, peer, target = ROWS[name]
        table.add(title, peer, ours, theirs, target=target)
    if args.json:
        print(table.json())


main()
