#!/usr/bin/env python3
"""Where the processor time of a large transfer goes: seconds in this program, in the connection's two ends, and in what ran on
the workspace. Unlike the time on the clock, they hardly depend on what else the machine does.

    tests/perf/bulk.py [--binary PATH] [--mib 10,200] [--rounds N]
"""

import argparse
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

from commands import Bench  # noqa: E402
from workspace import box  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")


def spent(pid):
    """Seconds of a process, and of its children that have ended."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own, children = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    return own / TICK, children / TICK


def below(pid):
    """A process and its descendants."""
    listed = [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [pid, *(one for child in listed for one in below(child))]


def settled(server):
    """What the workspace's processes have spent: sshd's own, and what they ran. Waits for the last of those."""
    until = time.time() + 5
    while len(below(server)) > settled.idle and time.time() < until:
        time.sleep(0.02)
    both = [spent(pid) for pid in below(server)]
    return sum(own for own, _ in both), sum(children for _, children in both)


def measure(command, bench, master, server):
    before, (sshd, ran) = spent(master)[0], settled(server)
    began = time.perf_counter()
    child = subprocess.Popen(command, env=bench.box.env, cwd=bench.cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - began
    child.returncode = status
    if status:
        sys.exit(f"{command}: {status}")
    sshd_now, ran_now = settled(server)
    return [wall, usage.ru_utime + usage.ru_stime, spent(master)[0] - before, sshd_now - sshd, ran_now - ran]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = pathlib.Path(__file__).resolve().parents[2] / "target/release/runcode"
    parser.add_argument("--binary", type=pathlib.Path, default=default)
    parser.add_argument("--mib", default="10,200")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with box() as made:
        bench = Bench(made, options.binary.resolve())
        try:
            said = subprocess.run(bench.ssh("-O", "check", bench.alias), env=made.env, capture_output=True, text=True)
            master, server = int(re.search(r"pid=(\d+)", said.stderr)[1]), made.started[0].pid
            settled.idle = len(below(server))
            print("| | on the clock | program | ssh | sshd | run there |\n|---|---|---|---|---|---|")
            scp = ["scp", "-q", *bench.ssh_options]
            for mib in options.mib.split(","):
                with open(bench.cwd / "f", "wb") as file:  # in pieces: a child's peak begins with what its parent had
                    for _ in range(int(mib)):
                        file.write(os.urandom(1 << 20))
                there = f"{bench.alias}:{made.folder}/f"
                for name, command in [
                    (f"put {mib} MiB", bench.ours("put", "f", "f")), (f"scp, {mib} MiB there", [*scp, "f", there]),
                    (f"get {mib} MiB", bench.ours("get", "f", "--out", "back")), (f"scp, {mib} MiB back", [*scp, there, "back"]),
                ]:
                    runs = [measure(command, bench, master, server) for _ in range(options.rounds + 1)][1:]
                    seconds = [statistics.median(column) for column in zip(*runs)]
                    print(f"| {name} | {' | '.join(f'{one:.2f} s' for one in seconds)} |", flush=True)
        finally:
            bench.end()


if __name__ == "__main__":
    main()
