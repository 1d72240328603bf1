#!/usr/bin/env python3
"""Transfers against scp, sftp, rsync and tar over ssh, all over the same master of one real sshd on loopback.

    tests/perf/files.py [--binary PATH] [--rounds N] [--only put-1k,get-200m,…] [--json]

The rounds are interleaved, so that a busy machine is busy for all; what counts are the ratios, round by round: below 1,
runcode took less time. `scp own` goes over a master of its own, which a plain `ssh` made with its own ciphers. With --json
there is one row for each peer: {name, peer, n, median, p10, p90}, ratios all three. The row `memory` is what runcode had
resident at most in the 200 MiB rows, in MiB.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

from workspace import box  # noqa: E402

# Ratios that are aimed at. The tar row is of a pipe through ssh.
TARGETS = {
    ("put-1k", "scp"): 0.6, ("get-1k", "scp"): 0.6, ("put-10m", "scp"): 1, ("get-10m", "scp"): 1,
    ("put-200m", "scp"): 0.8, ("get-200m", "scp"): 0.8, ("put-tree", "scp -r"): 0.3, ("get-tree", "scp -r"): 0.3,
    ("put-tree", "rsync"): 0.7, ("get-tree", "rsync"): 0.7, ("put-tree", "tar | ssh"): 1, ("get-tree", "tar | ssh"): 1,
}


class Bench:
    def __init__(self, binary, made):
        self.root, self.box, self.here, self.env = made.root, made.folder, made.root / "here", made.env
        self.here.mkdir()
        self.binary = binary
        said = subprocess.run([binary, "connect", "box", "--wait", "--json"], env=self.env, check=True,
                              capture_output=True, cwd=self.here)
        session = json.loads(said.stdout)
        self.config, self.alias = session["config"], session["alias"]
        self.plain_config()
        self.rows, self.memory = [], []

    def plain_config(self):
        """The same workspace as a plain `ssh` reaches it: over a master of its own, with its own ciphers."""
        ours = pathlib.Path(self.config).read_text().splitlines()
        kept = [line for line in ours if not line.strip().startswith(("Ciphers", "Control"))]
        control = f'    ControlMaster auto\n    ControlPath "{self.root}/plain"\n    ControlPersist 300\n'
        self.plain = str(self.root / "plain.config")
        pathlib.Path(self.plain).write_text("\n".join(kept) + "\n" + control)
        subprocess.run(["ssh", "-F", self.plain, self.alias, "true"], env=self.env, check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def end(self):
        subprocess.run(["ssh", "-F", self.plain, "-O", "exit", self.alias], env=self.env, capture_output=True)
        subprocess.run([self.binary, "clean", "--all"], env=self.env, capture_output=True)

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
        plain = ["scp", "-q", "-F", self.plain]
        if kind == "put":
            return to, {
                "runcode": [ours, "put", name, "to"],
                "scp": scp + [name, f"{alias}:{to}"],
                "scp own": plain + [name, f"{alias}:{to}"],
                "sftp": sftp(f"put {name} {to}"),
                "rsync": rsync + [name, f"{alias}:{to}"],
            }
        if kind == "get":
            return back, {
                "runcode": [ours, "get", name, "--out", "back"],
                "scp": scp + [f"{alias}:{box}/{name}", "back"],
                "scp own": plain + [f"{alias}:{box}/{name}", "back"],
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
        if kind == "context":
            return None, {"runcode": [ours, "context", "--json"], "ssh": ["ssh", "-F", config, alias, "true"]}
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
        ours = times.pop("runcode")
        shown = []
        for peer, took in times.items():
            ratios = sorted(mine / theirs for mine, theirs in zip(ours, took))
            at = lambda part: ratios[round(part * (len(ratios) - 1))]
            row = {"name": title, "peer": peer, "n": len(ratios), "median": statistics.median(ratios),
                   "p10": at(0.1), "p90": at(0.9), "target": TARGETS.get((title, peer)),
                   "ours_ms": statistics.median(ours) * 1000}
            self.rows.append({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()})
            shown.append(f"{peer} {row['median']:.2f} ({row['p10']:.2f}-{row['p90']:.2f})")
        median = statistics.median(ours)
        print(f"{title:<20} {median * 1000:8.1f} ms   against {'  '.join(shown)}", file=sys.stderr, flush=True)
        if "200m" in title:
            self.memory.append(self.peak(contenders["runcode"]))

    def peak(self, command):
        """What a command has resident at most, in MiB."""
        child = subprocess.Popen(command, env=self.env, cwd=self.here, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, _, usage = os.wait4(child.pid, 0)
        child.returncode = 0
        return usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def fill(folder):
    for name, size in [("1k", 1 << 10), ("10m", 10 << 20), ("200m", 200 << 20)]:
        with open(folder / name, "wb") as file:  # in pieces: a child's peak begins with what its parent had
            for _ in range(max(1, size >> 20)):
                file.write(os.urandom(min(size, 1 << 20)))
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
    parser.add_argument("--json", action="store_true", help="print the rows as one JSON document")
    options = parser.parse_args()
    missing = [tool for tool in ["scp", "sftp", "rsync", "tar"] if not shutil.which(tool)]
    if missing:
        sys.exit(f"SKIPPED: there is no {', '.join(missing)}")
    with box() as made:
        bench = Bench(options.binary.resolve(), made)
        try:
            fill(bench.here)
            fill(bench.box)
            bench.timed([str(bench.binary), "put", "tree", "again"])
            only = [row for row in options.only.split(",") if row]
            for title, kind, name in [
                ("put-1k", "put", "1k"), ("get-1k", "get", "1k"), ("put-10m", "put", "10m"), ("get-10m", "get", "10m"),
                ("put-200m", "put", "200m"), ("get-200m", "get", "200m"), ("put-tree", "put-tree", "tree"),
                ("put-tree-unchanged", "put-again", "tree"), ("get-tree", "get-tree", "tree"),
                ("context", "context", None),
            ]:
                if not only or title in only:
                    bench.row(title, kind, name, options.rounds)
            if bench.memory:
                peak = round(max(bench.memory), 1)
                print(f"{'memory':<20} {peak:8.1f} MiB resident at most", file=sys.stderr)
                bench.rows.append({"name": "memory", "peer": "MiB resident", "n": len(bench.memory), "median": peak,
                                   "p10": peak, "p90": peak, "target": 32})
            if options.json:
                print(json.dumps(bench.rows))
        finally:
            bench.end()


if __name__ == "__main__":
    main()
