"""Timing of whole processes, in turns, and the ratio of each pair of runs: a machine that is busy is busy for both."""

import json
import os
import statistics
import sys
import time


class Took:
    """What some processes took: seconds on the clock, and seconds of processor time of theirs."""

    def __init__(self, wall, cpu):
        self.wall, self.cpu = wall, cpu


def run(*commands, env, cwd, together=False):
    """Runs the commands one after the other, or all at once; ends the measurement if one fails."""
    null = os.open("/dev/null", os.O_RDWR)
    streams = [(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)]
    os.chdir(cwd)
    began, cpu, running = time.perf_counter(), 0.0, []

    def wait():
        nonlocal cpu
        for pid, command in running:
            _, status, usage = os.wait4(pid, 0)
            if status:
                sys.exit(f"{' '.join(map(str, command))}: ended with {os.waitstatus_to_exitcode(status)}")
            cpu += usage.ru_utime + usage.ru_stime
        running.clear()

    for command in commands:
        running.append((os.posix_spawnp(command[0], [str(part) for part in command], env, file_actions=streams), command))
        if not together:
            wait()
    wait()
    took = Took(time.perf_counter() - began, cpu)
    os.close(null)
    return took


class Table:
    """The rows, printed as they come."""

    def __init__(self):
        self.rows = []

    def title(self, text):
        print(f"\n{text}", file=sys.stderr)
        print(f"  {'':<34}{'against':<20}{'ratio':>7}{'p10':>7}{'p90':>7}{'n':>5}{'target':>8}   ours",
              file=sys.stderr, flush=True)

    def add(self, name, peer, ours, theirs, target=None, unit="ms"):
        """`ours` and `theirs`: seconds, or another quantity, run by run."""
        ratios = sorted(one / other for one, other in zip(ours, theirs))
        at = lambda part: ratios[min(len(ratios) - 1, int(part * len(ratios)))]
        row = {"name": name, "peer": peer, "n": len(ratios), "median": statistics.median(ratios), "p10": at(0.1),
               "p90": at(0.9), "target": target, "ours_ms": statistics.median(ours) * 1000}
        self.put(row)

    def put(self, row):
        """A row measured elsewhere."""
        self.rows.append(row)
        target = row.get("target")
        is_met = target is None or (row["median"] >= target if row.get("at_least") else row["median"] <= target)
        row["met"] = is_met
        sign = "≥" if row.get("at_least") else "≤"
        wanted = f"{sign}{target:g}" if target is not None else ""
        ours = f"{row['ours_ms']:.2f} ms" if row.get("ours_ms") is not None else ""
        print(f"  {row['name']:<34}{row['peer']:<20}{row['median']:>7.2f}{row['p10']:>7.2f}{row['p90']:>7.2f}"
              f"{row['n']:>5}{wanted:>8} {' ' if is_met else '!'} {ours}", file=sys.stderr, flush=True)

    def missed(self):
        return [row for row in self.rows if not row["met"]]

    def json(self):
        return json.dumps(self.rows, indent=1)


def turns(rounds, **contenders):
    """Lets each contender (name=function) run in turn, so many times; the runs of each. The first round is not counted."""
    runs = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, contender in contenders.items():
            took = contender()
            if number:
                runs[name].append(took)
    return runs
