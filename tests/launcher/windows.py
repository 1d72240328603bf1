"""The cmd.exe launcher under wine: which program starts, arguments, status. PowerShell exists nowhere this can run, so
runcode.ps1 is not executed: wine's powershell.exe does nothing and succeeds, which here stands for "verified"."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
SOURCE = """
#include <stdio.h>
#include <stdlib.h>
int main(int count, char **words) {
    for (int i = 1; i < count; i++) printf("[%s]", words[i]);
    printf("%s", getenv("rc_bin") || getenv("rc_cache") ? "leaked" : "");
    return 37;
}
"""
# As a batch file spells them, and as the program must see them.
GIVEN = '"a b" "" "%%PATH%%" "!x!" "^" "(x)" ) -n "a&b" "x|y" "C:\\dir\\\\" /home/x "q\\"r"'
SEEN = ["a b", "", "%PATH%", "!x!", "^", "(x)", ")", "-n", "a&b", "x|y", "C:\\dir\\", "/home/x", 'q"r']
TAG = (REPOSITORY / "launcher/RUNCODE_VERSION").read_text().strip()


def main():
    compiler = shutil.which("x86_64-w64-mingw32-gcc-posix") or shutil.which("x86_64-w64-mingw32-gcc")
    if not shutil.which("wine") or not compiler:
        print("launcher on Windows: skipped, wine or mingw is not here")
        return 0
    with tempfile.TemporaryDirectory() as name:
        top = pathlib.Path(name)
        plugin, cache = top / "plug in", top / "ca che"
        for part in ("launcher", "bin"):
            shutil.copytree(REPOSITORY / part, plugin / part)
        (plugin / "checksums.txt").write_text(f"# none\n{'0' * 64}  runcode_windows_amd64.zip\n")
        (top / "show.c").write_text(SOURCE)
        show = top / "show.exe"
        subprocess.run([compiler, "-o", show, top / "show.c"], check=True)
        home = {"WINEPREFIX": str(top / "wine"), "WINEDEBUG": "-all", "HOME": name, "PATH": os.environ["PATH"]}
        subprocess.run(["wineboot", "-i"], env=home, check=True, capture_output=True, timeout=180)
        failed, ran = [], []

        def check(title, status, words=(), seen=None, via="bin", **changes):
            shim = f"Z:{plugin / via / 'runcode.cmd'}".replace("/", "\\")
            (top / "try.cmd").write_text(f'@"{shim}" {GIVEN}\r\n')
            ran.append(title)
            changes = {
                key: value if isinstance(value, str) else f"Z:{value}".replace("/", "\\") for key, value in changes.items()
            }
            done = subprocess.run(
                ["wine", "cmd", "/c", "try.cmd"], cwd=top, env={**home, **changes}, capture_output=True, timeout=90
            )
            # wine's cmd.exe fills %VARIABLE% in twice; Windows' does so once.
            out = [word for word in done.stdout.decode()[1:-1].split("][")]
            expected = [word for word in SEEN] if seen else [""]
            same = [pair for pair in zip(out, expected) if "%" not in pair[1]]
            ok = done.returncode == status and len(out) == len(expected) and all(a == b for a, b in same)
            if not ok or not all(word in done.stderr.decode() for word in words):
                failed.append(title)
                print(f"FAILED {title}: {done.returncode} {done.stdout} {done.stderr}")

        back, none = ["leads back to this launcher", "unset it"], ["is not a program"]
        check("RUNCODE_BIN", 37, seen=True, RUNCODE_BIN=show)
        check("RUNCODE_BIN, the launcher itself", 37, seen=True, RUNCODE_BIN=show, via="launcher")
        check("RUNCODE_BIN that is the shim", 2, back, RUNCODE_BIN=plugin / "bin/runcode.cmd")
        check("RUNCODE_BIN that is the launcher", 2, back, RUNCODE_BIN=plugin / "launcher/runcode.cmd")
        check("RUNCODE_BIN that is a folder", 2, none, RUNCODE_BIN=top)
        check("RUNCODE_BIN that is missing", 2, none, RUNCODE_BIN=top / "nothing.exe")
        check("nothing here and nothing fetched", 1, RUNCODE_CACHE=cache)
        cached = cache / f"bin/runcode-{TAG}-windows-amd64.exe"
        cached.parent.mkdir(parents=True)
        shutil.copy(show, cached)
        check("cached, verified by PowerShell", 37, seen=True, RUNCODE_CACHE=cache)
        noted = cached.with_name(cached.name + ".quick").read_text()
        check("cached, the quick way", 37, seen=True, RUNCODE_CACHE=cache)
        cached.with_name(cached.name + ".quick").write_text('x" & echo EVIL & "\r\n')
        check("cached, with a hostile note", 37, seen=True, RUNCODE_CACHE=cache)
        if cached.with_name(cached.name + ".quick").read_text() != noted:
            failed.append("the note is written anew")
        bad = ["..\\..\\evil", "v1/../../evil", 'v1" & echo EVIL & "', "v1 & echo EVIL", "; echo EVIL", "A/x", "%PATH%", "v1!PATH!", '"', "vé"]
        bad += ["v1\n& echo EVIL", "v1\nA & echo EVIL", "v1\r\nx", "v1:stream", "v1*", "v1=2", "v1~", "v1^", " v1", "v1 ", "..", "-v1", "!", "v1!rc_rest!"]
        for tag in bad:
            check(f"RUNCODE_PIN_VERSION {tag!r}", 2, ["is not a release tag"], RUNCODE_CACHE=cache, RUNCODE_PIN_VERSION=tag)
        # wine before 9 knows no `!VARIABLE:…!`, so that no tag passes there.
        (top / "knows.cmd").write_text("@setlocal EnableDelayedExpansion\r\n@set v=ab\r\n@echo !v:~0,1!\r\n")
        knows = subprocess.run(["wine", "cmd", "/c", "knows.cmd"], cwd=top, env=home, capture_output=True, timeout=90).stdout
        good = ["v9.8.7-rc.1", "1", "V_2+b.Z", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz0123456789", TAG]
        for tag in good if knows.strip() == b"a" else []:
            shutil.copy(show, cache / f"bin/runcode-{tag}-windows-amd64.exe")
            check(f"RUNCODE_PIN_VERSION {tag}", 37, seen=True, RUNCODE_CACHE=cache, RUNCODE_PIN_VERSION=tag)
        (plugin / "checksums.txt").write_text(f"{'0' * 64}  runcode_windows_amd64.zip.sig\n")
        cached.unlink()
        check("nothing is cached, and no hash is pinned", 1, RUNCODE_CACHE=cache)
        (top / "path").mkdir()
        shutil.copy(show, top / "path/runcode.exe")
        check("on PATH", 37, seen=True, RUNCODE_CACHE=top / "empty", WINEPATH=top / "path")
        subprocess.run(["wineserver", "-k"], env=home, check=False)
        print(f"launcher on Windows, cmd.exe under wine: {len(ran) - len(failed)} passed, {len(failed)} failed")
        return 1 if failed else 0


sys.exit(main())
