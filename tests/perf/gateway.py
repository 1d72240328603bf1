#!/usr/bin/env python3
"""The gateway of `runcode dev` against a real sshd: latency of a command, and throughput both ways.

    tests/perf/gateway.py [--binary PATH] [--rounds N] [--size MIB] [--only cold,warm,up,down] [--json]

The same stock ssh speaks to both, in turns, so that a busy machine is busy for both. A ratio is the median of the rounds'
own ratios: time for a command (below 1, ours is faster), throughput for bytes (above 1, ours is faster).
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

from pairs import Table  # noqa: E402

SSHD = "/usr/sbin/sshd"
CIPHERS = {"chacha20": "chacha20-poly1305@openssh.com", "aes-gcm": "aes256-gcm@openssh.com"}


class Server:
    """Somewhere to log in with a stock ssh, by a config of its own."""

    def __init__(self, folder, host_key, port, user, key):
        self.folder, self.env = folder, {"HOME": str(folder), "PATH": os.environ["PATH"]}
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
        (folder / "config").write_text(
            f"Host box\nHostName 127.0.0.1\nPort {port}\nUser {user}\nIdentityFile {key}\nIdentitiesOnly yes\n"
            f"IdentityAgent none\nUserKnownHostsFile {folder}/known_hosts\nGlobalKnownHostsFile /dev/null\n"
            "StrictHostKeyChecking yes\nUpdateHostKeys no\nBatchMode yes\nLogLevel ERROR\n"
        )
        self.control = folder / "control"

    def ssh(self, *arguments):
        return ["ssh", "-F", str(self.folder / "config"), *arguments]

    def run(self, *arguments, **streams):
        """Runs ssh to its end; how long it took, in seconds."""
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL} | streams
        began = time.perf_counter()
        subprocess.run(self.ssh(*arguments), env=self.env, check=True, **streams)
        return time.perf_counter() - began

    @contextlib.contextmanager
    def master(self, *options):
        """A connection that stands, so that no login is measured."""
        leader = subprocess.Popen(self.ssh("-S", str(self.control), *options, "-N", "-M", "box"), env=self.env)
        try:
            while not self.control.exists():
                if leader.poll() is not None:
                    sys.exit("a master did not come up")
                time.sleep(0.01)
            yield
        finally:
            leader.terminate()
            leader.wait()
            self.control.unlink(missing_ok=True)


@contextlib.contextmanager
def ended(process):
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def key_at(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


@contextlib.contextmanager
def real_sshd(root):
    folder = root / "sshd"
    folder.mkdir()
    host_key = key_at(folder / "host")
    key_at(folder / "id")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/id.pub\nPidFile none\n"
        "StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nPrintMotd no\nPrintLastLog no\nLogLevel ERROR\n"
        f"SetEnv HOME={folder}\n"  # the login shell reads no start-up file of the real home
    )
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    with ended(subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"], stderr=subprocess.DEVNULL)) as process:
        while process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.01)
        yield Server(folder, host_key, port, user, folder / "id")


@contextlib.contextmanager
def gateway(root, binary):
    folder = root / "gateway"
    (folder / "box").mkdir(parents=True)
    public = key_at(folder / "id")
    command = [binary, "dev", "--workspace", f"box={folder}/box"]
    env = {"HOME": str(folder), "PATH": os.environ["PATH"]}
    with ended(subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)) as process:
        said = {}
        while not {"API_BASE", "TOKEN"} <= said.keys():
            line = process.stdout.readline()
            if not line:
                sys.exit(f"`{binary} dev` ended with {process.wait()}")
            said |= dict(re.findall(r"RUNCODE_(API_BASE|TOKEN)=['\"]?([^\s'\"]+)", line))
        request = urllib.request.Request(
            f"{said['API_BASE']}/api/rc/workspace/1/ssh-session",
            json.dumps({"public_key": public, "ttl": 1800, "client": "perf"}).encode(),
            {"Authorization": f"Token {said['TOKEN']}", "Content-Type": "application/json"},
        )
        bundle = json.load(urllib.request.urlopen(request))["bundle"]
        host_key = " ".join(bundle["known_hosts"].split()[1:3])
        yield Server(folder, host_key, bundle["port"], bundle["user"], folder / "id")


def measure(table, ours, theirs, options):
    def row(name, measured, of, target, at_least=False):
        measured(ours), measured(theirs)  # not counted
        pairs = [(measured(ours), measured(theirs)) for _ in range(options.rounds)]
        ratios = sorted(of(one, other) for one, other in pairs)
        at = lambda part: ratios[min(len(ratios) - 1, int(part * len(ratios)))]
        table.put({"name": name, "peer": "sshd", "n": len(ratios), "median": at(0.5), "p10": at(0.1), "p90": at(0.9),
                   "target": target, "at_least": at_least,
                   "ours_ms": sorted(one for one, _ in pairs)[len(pairs) // 2] * 1000})

    only = options.only.split(",")
    latency, throughput = lambda one, other: one / other, lambda one, other: other / one
    table.title("gateway against sshd, with a stock ssh")
    if "cold" in only:
        row("gateway: a command, cold", lambda server: server.run("box", "true"), latency, 1)
    if "warm" in only:
        with ours.master(), theirs.master():
            def warm(server):
                return sum(server.run("-S", str(server.control), "box", "true") for _ in range(5)) / 5
            row("gateway: a command, warm", warm, latency, 1)
    zeros = options.size << 20

    def up(server):
        with open(server.folder / "zeros", "w+b") as file:
            file.truncate(zeros)
            return server.run("-S", str(server.control), "box", "cat >/dev/null", stdin=file)

    def down(server):
        return server.run("-S", str(server.control), "box", f"head -c {zeros} /dev/zero")

    for name, cipher in CIPHERS.items():
        with ours.master("-c", cipher), theirs.master("-c", cipher):
            for direction, measured in ("up", up), ("down", down):
                if direction in only:
                    row(f"gateway: {options.size} MiB {direction}, {name}", measured, throughput, 0.7, True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = HERE.parents[1] / "target"
    built = [*root.glob("*-linux-*/release/runcode"), root / "release/runcode"]
    default = max(built, key=lambda path: path.stat().st_mtime if path.exists() else 0)
    parser.add_argument("--binary", type=pathlib.Path, default=default, help="a release build")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--size", type=int, default=256, help="of what is sent and fetched, in MiB")
    parser.add_argument("--only", default="cold,warm,up,down")
    parser.add_argument("--json", action="store_true", help="the rows to stdout")
    options = parser.parse_args()
    for needed in options.binary, pathlib.Path(SSHD):
        if not needed.exists():
            sys.exit(f"there is no `{needed}`")
    table = Table()
    with tempfile.TemporaryDirectory(prefix="rc-perf-") as folder:
        root = pathlib.Path(folder)
        with gateway(root, options.binary.resolve()) as ours, real_sshd(root) as theirs:
            measure(table, ours, theirs, options)
    if options.json:
        print(table.json())


if __name__ == "__main__":
    main()
