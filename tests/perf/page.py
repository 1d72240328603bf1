#!/usr/bin/env python3
"""Measures everything, and writes docs/performance.md and its chart from what it measured.

    tests/perf/page.py [--binary PATH] [--rows FILE --bulk FILE]

With --rows and --bulk it measures nothing: they are what `tests/perf/run --json` and `tests/perf/bulk.py` printed.
"""

import argparse
import html
import json
import math
import pathlib
import platform
import os
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

# The chart, in pixels. Ratios stand on a logarithmic scale from LOW to HIGH.
LOW, HIGH = 0.02, 5.0
NAMES, BARS, NUMBERS, LINE, TOP = 440, 400, 70, 20, 46


def at(ratio):
    """Where a ratio stands, in pixels from the left edge of the bars."""
    part = math.log(min(max(ratio, LOW), HIGH) / LOW) / math.log(HIGH / LOW)
    return NAMES + part * BARS


def chart(rows):
    """A bar for each row, from 1 to its median, and a thin line from its 10th to its 90th percentile."""
    width, height = NAMES + BARS + NUMBERS, TOP + LINE * len(rows) + 14
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        'aria-label="Time of runcode divided by the time of its peer, for each row of the table">',
        "<style>text{font:12px system-ui,sans-serif;fill:#333}.t{fill:#666}.f{fill:#2a7f5f}.s{fill:#b4552d}.g{stroke:#ccc}"
        ".o{stroke:#666}.w{stroke:#333}.b{fill:#fff}@media(prefers-color-scheme:dark){text{fill:#ddd}.t{fill:#aaa}"
        ".f{fill:#4fb58d}.s{fill:#e08a5f}.g{stroke:#444}.o{stroke:#aaa}.w{stroke:#eee}.b{fill:#161b22}}</style>",
        f'<rect class="b" width="{width}" height="{height}"/>',
        f'<text class="t" x="8" y="18">runcode, and what it is measured against</text>',
        f'<text class="t" x="{at(1) - 8:.0f}" y="18" text-anchor="end">runcode is faster</text>',
        f'<text class="t" x="{at(1) + 8:.0f}" y="18">slower</text>',
    ]
    for tick in (0.05, 0.1, 0.2, 0.5, 1, 2, 4):
        kind = "o" if tick == 1 else "g"
        lines.append(f'<line class="{kind}" x1="{at(tick):.1f}" x2="{at(tick):.1f}" y1="{TOP - 6}" y2="{height - 10}"/>')
        lines.append(f'<text class="t" x="{at(tick):.1f}" y="{TOP - 10}" text-anchor="middle">{tick:g}</text>')
    for number, row in enumerate(rows):
        y, median = TOP + LINE * number, row["median"]
        left, right = sorted((at(1), at(median)))
        name = html.escape(f"{row['name']} · {row['peer']}")
        lines.append(f'<text x="{NAMES - 10}" y="{y + 14}" text-anchor="end">{name}</text>')
        kind = "f" if median <= 1 else "s"
        lines.append(f'<rect class="{kind}" x="{left:.1f}" y="{y + 4}" width="{max(right - left, 1):.1f}" height="12"/>')
        lines.append(f'<line class="w" x1="{at(row["p10"]):.1f}" x2="{at(row["p90"]):.1f}" y1="{y + 10}" y2="{y + 10}"/>')
        lines.append(f'<text x="{NAMES + BARS + 10}" y="{y + 14}">{median:.2f}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def is_ratio(row):
    """Whether a row compares two times: the others count instructions, bytes or round trips."""
    return row.get("ours_ms") is not None


def table(rows):
    """Every row, as Markdown."""
    lines = ["| runcode | against | ratio | 10th–90th percentile | runs | goal |", "|---|---|---|---|---|---|"]
    for row in rows:
        target = row.get("target")
        sign = "≥" if row.get("at_least") else "≤"
        goal = "" if target is None else f"{sign} {target:g}" + ("" if row["met"] else ", missed")
        span = f"{row['p10']:.2f}–{row['p90']:.2f}"
        lines.append(f"| {row['name']} | {row['peer']} | {row['median']:.2f} | {span} | {row['n']} | {goal} |")
    return "\n".join(lines)


def judge(rows):
    """Fills in whether each row met its target."""
    for row in rows:
        target = row.get("target")
        met = target is None or (row["median"] >= target if row.get("at_least") else row["median"] <= target)
        row.setdefault("met", met)
    return rows


def page(text, rows, bulk, machine):
    """The page with what stands between its two marks replaced."""
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        sys.exit(f"docs/performance.md has no `{BEGIN}` and `{END}`")
    times, counts = [row for row in rows if is_ratio(row)], [row for row in rows if not is_ratio(row)]
    parts = [
        BEGIN, machine, "![Each ratio as a bar](performance.svg)", "## Times", table(times), "## Counts", table(counts),
        "## Where the processor time of a large transfer goes", bulk.strip(), END,
    ]
    return before + "\n\n".join(parts) + after


def output(command):
    """What a program prints; ends the measurement if it fails."""
    said = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    if said.returncode:
        sys.exit(f"{command[0]}: ended with {said.returncode}")
    return said.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path)
    parser.add_argument("--rows", type=pathlib.Path)
    parser.add_argument("--bulk", type=pathlib.Path)
    options = parser.parse_args()
    binary = ["--binary", options.binary] if options.binary else []
    rows = options.rows.read_text() if options.rows else output([HERE / "run", "--json", *binary])
    bulk = options.bulk.read_text() if options.bulk else output([sys.executable, HERE / "bulk.py", *binary])
    ssh = subprocess.run(["ssh", "-V"], capture_output=True, text=True).stderr.split(",")[0].split(" ")[0].replace("_", " ")
    machine = f"Measured with {os.cpu_count()} cores, {platform.system()} {platform.release().split('-')[0]} and {ssh}."
    rows = judge(json.loads(rows))
    target = DOCS / "performance.md"
    target.write_text(page(target.read_text(), rows, bulk, machine))
    (DOCS / "performance.svg").write_text(chart([row for row in rows if is_ratio(row)]))


if __name__ == "__main__":
    main()
