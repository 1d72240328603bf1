"""Runs the cases of cases_*.py under every shell that is here, several at a time, and prints one closing line."""

import concurrent.futures
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

from stage import Skip, Stage

SHELLS = {
    "dash": ["dash"],
    "bash": ["bash", "-p"],
    "busybox ash": ["busybox", "ash"],
    "ksh93": ["ksh93"],
    "mksh": ["mksh"],
    "yash": ["yash"],
    "zsh as sh": ["zsh", "--emulate", "sh"],
}
# A busybox that prefers its own applets to what PATH names (Debian's busybox-static) cannot be given other programs.
KEEPS_TO_PATH = "PATH=/nonexistent; ! ls / >/dev/null 2>&1"
MODULES = ["cases_cache", "cases_transport", "cases_trust", "cases_archive", "cases_start", "cases_environment"]


def cases(part):
    for module in map(importlib.import_module, MODULES):
        for name, case in vars(module).items():
            if name.startswith("case_") and part in name:
                yield name.removeprefix("case_").replace("_", " "), case


def attempt(case, shell, base):
    """None when it held, a reason when it was skipped, an exception when it failed."""
    stage = Stage(shell, tempfile.mkdtemp(dir=base))
    try:
        case(stage)
    except Skip as reason:
        return str(reason)
    except Exception as error:  # a failed case is a result of this program
        return error
    finally:
        stage.close()


def main():
    part = "_".join(sys.argv[1:])
    shells = {name: [shutil.which(argv[0]), *argv[1:]] for name, argv in SHELLS.items() if shutil.which(argv[0])}
    deaf = {name for name, argv in shells.items() if subprocess.run([*argv, "-c", KEEPS_TO_PATH]).returncode}
    for name in deaf:
        print(f"skipped everything under {name}: it runs its own programs, whatever PATH says")
        del shells[name]
    jobs, passed, failed, skipped, began = [], 0, 0, {}, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="launcher ü ") as base, concurrent.futures.ThreadPoolExecutor(6) as pool:
        os.chmod(base, 0o755)
        for title, case in cases(part):
            once = getattr(case, "once", False)
            for name, shell in list(shells.items())[: 1 if once else None]:
                jobs.append((f"{title} ({name})", pool.submit(attempt, case, shell, base)))
        for title, job in jobs:
            result = job.result()
            if isinstance(result, str):
                skipped.setdefault(result, []).append(title)
            elif result is None:
                passed += 1
            else:
                failed += 1
                print(f"FAILED {title}")
                traceback.print_exception(result, file=sys.stdout)
    for reason, titles in skipped.items():
        print(f"skipped {len(titles)}: {reason}")
    for name in SHELLS.keys() - shells.keys() - deaf:
        print(f"skipped everything under {name}: it is not here")
    print(f"launcher, {len(shells)} shells, {time.monotonic() - began:.0f} s: {passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


main()
