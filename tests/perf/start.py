"""Starting up: against a static binary that does nothing, and in counts of what noise cannot change."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import time

from pairs import run, turns

# Instructions of what `dist/build` makes, and system calls: a little above what they are now. A change that raises one says why.
# They were 240,000 and 440,000 before folders had attachments and foreign text was quoted, and `exec` was 520,000 before it
# noticed connections that die in silence. The tables of the regex crate, for patterns of arguments, are 100,000 in each: their
# pointers are relocated at every start. `exec` copies pipes in two threads, so that a killed client holds none open.
MOST = {
    "--version": {"instructions": 265_000, "calls": 26},
    "statusline": {"instructions": 420_000, "calls": 54},
    "exec": {"instructions": 820_000, "calls": 170},
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


def gate(table, bench, rounds):
    """What Claude Code waits for before each tool call in a routed folder, compared with 5 ms."""
    subprocess.run(bench.ours("route", "on"), env=bench.box.env, cwd=bench.cwd, check=True, capture_output=True)
    call = {"hook_event_name": "PreToolUse", "session_id": "s", "cwd": str(bench.cwd), "tool_name": "Bash",
            "tool_input": {"command": "make test"}}
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        said = subprocess.run(bench.ours("hook"), env=bench.box.env, cwd=bench.cwd, input=json.dumps(call).encode(),
                              capture_output=True)
        took.append(time.perf_counter() - began)
        if said.returncode or b"updatedInput" not in said.stdout:
            sys.exit(f"the gate did not answer: {said}")
    subprocess.run(bench.ours("route", "off"), env=bench.box.env, cwd=bench.cwd, check=True, capture_output=True)
    table.add("hook: a tool call", "5 ms", took, [0.005] * rounds, target=1)


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
