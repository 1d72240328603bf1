#!/usr/bin/env python3
"""Transfers against scp, sftp, rsync and tar over ssh, all over the same master of one real sshd on loopback.

    tests/perf/files.py [--binary PATH] [--rounds N] [--only put-1k,get-200m,…]

The rounds are interleaved, so that a busy machine is busy for all; what counts is the ratio of the medians.
"""

import argparse
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

SSHD = "/usr/sbin/sshd"
USER = os.environ.get("USER") or "root"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Sshd:
    """A real sshd below a temporary folder, and the control plane that grants sessions on it."""

    def __init__(self, root):
        self.root, self.port = root, free_port()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", root / "host_key"], check=True)
        (root / "keys").write_text("")
        (root / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {root}/host_key\nAuthorizedKeysFile {root}/keys\n"
            f"SetEnv HOME={root}\n"  # the login shell reads no start-up file of the real home
            "PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nMaxSessions 100\n"
            "Subsystem sftp internal-sftp\nLogLevel ERROR\n"
        )
        self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", root / "config"])
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            time.sleep(0.01)
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.base = f"http://127.0.0.1:{self.http.server_port}"

    def handler(plane):
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
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with open(plane.root / "keys", "a") as keys:
                    keys.write(request["public_key"].strip() + "\n")
                key = " ".join((plane.root / "host_key.pub").read_text().split()[:2])
                until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1800))
                self.answer({"error": False, "bundle": {
                    "host": "127.0.0.1", "port": plane.port, "user": USER, "expires_at": until,
                    "known_hosts": f"[127.0.0.1]:{plane.port} {key}", "workdir": str(plane.root / "box"),
                    "credential": {"type": "key", "certificate": None},
                }})

            def log_message(self, *_):
                pass

        return Handler

    def end(self):
        self.http.shutdown()
        self.process.terminate()
        self.process.wait()


class Bench:
    def __init__(self, binary, root):
        self.root, self.box, self.here = root, root / "box", root / "here"
        self.box.mkdir()
        self.here.mkdir()
        self.sshd = Sshd(root)
        self.env = {"HOME": str(root), "PATH": os.environ["PATH"], "RUNCODE_API_BASE": self.sshd.base,
                    "RUNCODE_TOKEN": "token"}
        self.binary = binary
        said = subprocess.run([binary, "connect", "box", "--wait", "--json"], env=self.env, check=True,
                              capture_output=True, cwd=self.here)
        session = json.loads(said.stdout)
        self.config, self.alias = session["config"], session["alias"]

    def end(self):
        subprocess.run([self.binary, "clean", "--all"], env=self.env, capture_output=True)
        self.sshd.end()

    def timed(self, command):
        """Seconds that a shell line or an argument list takes."""
        began = time.perf_counter()
        said = subprocess.run(command, env=self.env, cwd=self.here, shell=isinstance(command, str),
                              stdin=subprocess.DEVNULL, capture_output=True)
        took = time.perf_counter() - began
        if said.returncode != 0:
            sys.exit(f"{command}: {said.stderr.decode()}{said.stdout.decode()}")
        return took

    def contenders(self, kind, name):
        """Name → (what to remove before, the command)."""
        config, alias, box = self.config, self.alias, self.box
        ours, ssh = str(self.binary), f"ssh -F '{config}'"
        to, back = box / "to", self.here / "back"
        scp = ["scp", "-q", "-F", config]
        sftp = lambda line: f"printf '%s\\n' '{line}' | sftp -q -b - -F '{config}' {alias} >/dev/null"
        rsync = ["rsync", "-a", "-W", "-e", f"ssh -F {config}"]
        if kind == "put":
            return to, {
                "runcode": [ours, "put", name, "to"],
                "scp": scp + [name, f"{alias}:{to}"],
                "sftp": sftp(f"put {name} {to}"),
                "rsync": rsync + [name, f"{alias}:{to}"],
            }
        if kind == "get":
            return back, {
                "runcode": [ours, "get", name, "--out", "back"],
                "scp": scp + [f"{alias}:{box}/{name}", "back"],
                "sftp": sftp(f"get {box}/{name} back"),
                "rsync": rsync + [f"{alias}:{box}/{name}", "back"],
            }
        if kind == "put-tree":
            return to, {
                "runcode": [ours, "put", name, "to"],
                "scp -r": scp + ["-r", name, f"{alias}:{to}"],
                "rsync": rsync + [f"{name}/", f"{alias}:{to}/"],
                "tar | ssh": f"tar -cf - -C {name} . | {ssh} {alias} 'mkdir {to} && tar -xf - -C {to}'",
            }
        if kind == "put-again":
            return None, {
                "runcode": [ours, "put", name, "again"],
                "rsync": rsync + [f"{name}/", f"{alias}:{box}/again/"],
            }
        if kind == "get-tree":
            return back, {
                "runcode": [ours, "get", name, "--out", "back"],
                "scp -r": scp + ["-r", f"{alias}:{box}/{name}", "back"],
                "rsync": rsync + [f"{alias}:{box}/{name}/", "back/"],
                "tar | ssh": f"mkdir back && {ssh} {alias} 'tar -cf - -C {box}/{name} .' | tar -xf - -C back",
            }
        raise ValueError(kind)

    def row(self, title, kind, name, rounds):
        result, contenders = self.contenders(kind, name)
        times = {contender: [] for contender in contenders}
        for round_ in range(rounds + 1):
            for contender, command in contenders.items():
                if result is not None:
                    shutil.rmtree(result, ignore_errors=True)
                    result.unlink(missing_ok=True)
                took = self.timed(command)
                if round_:  # the first one warms the caches
                    times[contender].append(took)
        medians = {contender: statistics.median(took) for contender, took in times.items()}
        ours = medians.pop("runcode")
        fastest = min(medians, key=medians.get)
        ratios = "  ".join(f"{name} {ours / took:.2f}" for name, took in medians.items())
        print(f"{title:<22} {ours * 1000:8.1f} ms   against {ratios}   (fastest: {fastest})", flush=True)


def fill(folder):
    for name, size in [("1k", 1 << 10), ("10m", 10 << 20), ("200m", 200 << 20)]:
        (folder / name).write_bytes(os.urandom(size))
    for number in range(2000):
        path = folder / "tree" / f"d{number % 50}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(2048))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = pathlib.Path(__file__).resolve().parents[2] / "target/release/runcode"
    parser.add_argument("--binary", type=pathlib.Path, default=default)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    missing = [tool for tool in [SSHD, "scp", "sftp", "rsync", "tar"] if not shutil.which(tool)]
    if missing:
        sys.exit(f"SKIPPED: there is no {', '.join(missing)}")
    with tempfile.TemporaryDirectory(prefix="rc-perf-") as folder:
        bench = Bench(options.binary.resolve(), pathlib.Path(folder))
        try:
            fill(bench.here)
            fill(bench.box)
            bench.timed([str(bench.binary), "put", "tree", "again"])
            only = [row for row in options.only.split(",") if row]
            for title, kind, name in [
                ("put-1k", "put", "1k"), ("get-1k", "get", "1k"), ("put-10m", "put", "10m"), ("get-10m", "get", "10m"),
                ("put-200m", "put", "200m"), ("get-200m", "get", "200m"), ("put-tree", "put-tree", "tree"),
                ("put-tree-unchanged", "put-again", "tree"), ("get-tree", "get-tree", "tree"),
            ]:
                if not only or title in only:
                    bench.row(title, kind, name, options.rounds)
        finally:
            bench.end()


if __name__ == "__main__":
    main()
