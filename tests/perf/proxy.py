#!/usr/bin/env python3
"""What runs unseen: the status line's start, the proxy's, and how fast the proxy's relay is.

    tests/perf/proxy.py [--binary PATH] [--rounds N] [--only statusline,cold,warm,up,down] [--size MIB] [--json]

The rounds are interleaved, so that a busy machine is busy for all; a ratio is the median of the rounds' own ratios.
"""

import argparse
import contextlib
import datetime
import http.server
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

CHUNK = 256 * 1024
TARGETS = {"statusline": ("at most", 1.6), "up": ("at least", 0.95), "down": ("at least", 0.95)}


class Gateway:
    """A listener that says it speaks SSH, then swallows or sends; and the control plane that grants sessions on it."""

    def __init__(self, key):
        self.key, self.listener = key, socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        gateway = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self, document):
                body = json.dumps(document).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                row = {"id": 1, "title": "box", "provider": "aws", "current_state": "running"}
                self.answer({"error": False, "data": {"workspaces": [row]}})

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=30)
                self.answer({"error": False, "bundle": {
                    "host": "127.0.0.1", "port": gateway.port, "user": "box", "workdir": "/",
                    "known_hosts": f"[127.0.0.1]:{gateway.port} {gateway.key}",
                    "expires_at": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "credential": {"type": "key", "certificate": None},
                }})

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.base = f"http://127.0.0.1:{self.http.server_port}"

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

    def empty_program(self):
        """The least a process costs: a static binary that does nothing."""
        source, program = self.folder / "empty.c", self.folder / "empty"
        source.write_text("int main(void) { return 0; }\n")
        subprocess.run(["cc", "-O2", "-static", "-o", program, source], check=True)
        return str(program)

    def spawn(self, words, stdin=None, stdout=None, env=None):
        actions = [(os.POSIX_SPAWN_DUP2, stdin if stdin is not None else self.null, 0)]
        actions += [(os.POSIX_SPAWN_DUP2, stdout if stdout is not None else self.null, 1)]
        return os.posix_spawn(words[0], words, env or self.env, file_actions=actions)

    def seconds(self, words, stdin=None, env=None):
        """From the start of a program to its end."""
        if stdin is not None:
            os.lseek(stdin, 0, os.SEEK_SET)
        began = time.perf_counter()
        pid = self.spawn(words, stdin, env=env)
        status = os.waitpid(pid, 0)[1]
        took = time.perf_counter() - began
        assert status == 0, words
        return took

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

    def attach(self, plane):
        """An environment with a live attached session, from a plane of its own; and what a status line is told."""
        lines = [plane.stdout.readline().removeprefix("export ").strip().split("=", 1) for _ in range(3)]
        env = {**self.env, **{name: value.strip("'") for name, value in lines}, "HOME": str(self.folder / "home")}
        done = subprocess.run([self.binary, "connect", "box"], env=env, cwd=self.folder, capture_output=True)
        assert done.returncode == 0, done.stderr
        asked = {"session_id": "x", "cwd": str(self.folder), "version": "2.1.329", "model": {"id": "m"},
                 "workspace": {"current_dir": str(self.folder), "project_dir": str(self.folder), "added_dirs": []}}
        (self.folder / "asked").write_text(json.dumps(asked))
        shown = subprocess.run([self.binary, "statusline"], env=env, stdin=open(self.folder / "asked"), capture_output=True)
        assert b"working-on" in shown.stdout, shown
        return env


def measure(bench, wanted, rounds):
    """Per name: what was measured, and against what, in milliseconds or MiB/s."""
    found = {name: ([], []) for name in wanted}
    with contextlib.ExitStack() as stack:
        if "statusline" in wanted:
            for name in ("home", "box"):
                (bench.folder / name).mkdir()
            serve = [bench.binary, "dev", "--workspace", f"box={bench.folder / 'box'}"]
            home = {**bench.env, "HOME": str(bench.folder / "home")}
            plane = subprocess.Popen(serve, env=home, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            stack.callback(plane.wait), stack.callback(plane.terminate)
            env, empty = bench.attach(plane), bench.empty_program()
            asked = os.open(bench.folder / "asked", os.O_RDONLY)
        rate = bench.size / 2**20
        for number in range(-1, rounds):  # the first one warms up
            for name, (ours, theirs) in found.items():
                if name == "statusline":
                    pairs = [(bench.seconds([bench.binary, "statusline"], asked, env), bench.seconds([empty])) for _ in range(20)]
                    pair = [1e3 * statistics.median(side) for side in zip(*pairs)]
                elif name in ("cold", "warm"):
                    if name == "cold":
                        shutil.rmtree(bench.folder / ".cache", ignore_errors=True)
                    pair = [1e3 * bench.first_byte(), None]
                else:
                    pair = [rate / bench.relayed(name == "up"), rate / bench.direct()]
                if number >= 0:
                    ours.append(pair[0])
                    theirs.append(pair[1])
    return found


def quantiles(values):
    parts = statistics.quantiles(values, n=10, method="inclusive") if len(values) > 1 else values * 9
    return {"n": len(values), "median": statistics.median(values), "p10": parts[0], "p90": parts[-1]}


def rows(found):
    names = {"statusline": ("statusline", "ms", "an empty static binary"), "cold": ("proxy, cold, to the first byte", "ms", None),
             "warm": ("proxy, session there, to the first byte", "ms", None),
             "up": ("proxy, stdin to the gateway", "MiB/s", "a TCP connection alone"),
             "down": ("proxy, the gateway to stdout", "MiB/s", "a TCP connection alone")}
    for name, (ours, theirs) in found.items():
        title, unit, against = names[name]
        row = {"name": name, "title": title, "unit": unit, **quantiles(ours)}
        if against:
            ratios = [own / other for own, other in zip(ours, theirs)]
            sense, target = TARGETS[name]
            row |= {"against": against, "reference": quantiles(theirs), "ratio": quantiles(ratios), "target": target, "sense": sense}
            median = row["ratio"]["median"]
            row["holds"] = median <= target if sense == "at most" else median >= target
        yield row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/runcode")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="statusline,cold,warm,up,down")
    parser.add_argument("--size", type=int, default=200, help="MiB that are relayed")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rc-") as folder:
        bench = Bench(str(pathlib.Path(args.binary).resolve()), pathlib.Path(folder), args.size << 20)
        found = list(rows(measure(bench, args.only.split(","), args.rounds)))
        subprocess.run([bench.binary, "clean", "--all"], env={**bench.env, "HOME": f"{folder}/home"}, capture_output=True)
    if args.json:
        return print(json.dumps(found))
    for row in found:
        line = f"{row['title']:42} n {row['n']:3}  median {row['median']:8.2f}  p10 {row['p10']:8.2f}  p90 {row['p90']:8.2f} {row['unit']}"
        if "ratio" in row:
            ratio = row["ratio"]
            line += f"  {ratio['median']:.2f} x {row['against']} (p10 {ratio['p10']:.2f}, p90 {ratio['p90']:.2f}; {row['sense']} {row['target']})"
        print(line)


sys.exit(main())
