"""Starting up: against a static binary that does nothing, and in counts of what noise cannot change."""

import pathlib
import re
import shutil
import subprocess
import sys

from pairs import run, turns

# Instructions of what `dist/build` makes, and system calls: a little above what they are now. A change that raises one says why.
# They were 240,000 and 440,000 before folders had attachments and foreign text was quoted, and `exec` was 520,000 before it
# noticed connections that die in silence.
MOST = {
    "--version": {"instructions": 160_000, "calls": 26},
    "statusline": {"instructions": 290_000, "calls": 48},
    "exec": {"instructions": 560_000, "calls": 126},
}


def empty_binary(folder):
    """A static program that does nothing; `None` where there is no compiler for one."""
    source, binary = folder / "empty.c", folder / "empty"
    source.write_text("int main(void) { return 0; }\n")
    made = shutil.which("cc") and subprocess.run(["cc", "-O2", "-static", "-o", binary, source], capture_output=True)
    return binary if made and made.returncode == 0 else None


def times(table, bench, rounds):
    empty = empty_binary(bench.cwd)
    if not empty:
        print("  SKIPPED start-up times: no C compiler that links statically", file=sys.stderr)
        return
    for name in ("--version", "statusline"):
        ours, theirs = bench.in_turns(rounds, [bench.ours(name)], [[empty]])
        table.add(name, "an empty binary", [took.wall for took in ours], [took.wall for took in theirs], target=1.6)


def commands(bench):
    return {"--version": bench.ours("--version"), "statusline": bench.ours("statusline"),
            "exec": bench.ours("exec", "-n", "--", "true")}


def counts(table, bench):
    """Instructions by callgrind and system calls by strace, each against its budget."""
    for name, command in commands(bench).items():
        for what, count in (("instructions", instructions), ("calls", calls)):
            counted = count(bench, command)
            if counted is None:
                print(f"  SKIPPED {what} of {name}: the tool for it is not here", file=sys.stderr)
                continue
            most = MOST[name][what]
            table.put({"name": f"{name}: {counted:,} {what}", "peer": f"budget {most:,}", "n": 1, "median": counted / most,
                       "p10": counted / most, "p90": counted / most, "target": 1})


def instructions(bench, command):
    if not shutil.which("valgrind"):
        return None
    said = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command], env=bench.box.env,
                          cwd=bench.cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", said.stderr)
    return int(found[1]) if found else None


def calls(bench, command):
    if not shutil.which("strace"):
        return None
    log = pathlib.Path(bench.cwd) / "strace.log"
    subprocess.run(["strace", "-f", "-o", log, *command], env=bench.box.env, cwd=bench.cwd, stdin=subprocess.DEVNULL,
                   capture_output=True)
    return sum("(" in line for line in log.read_text().splitlines())
