"""Names of files, completed with Tab in a shell on a terminal: SHELL BINARY. Each must arrive as the one word that it is.

Ends with 0 when all do, with 1 and a line for each that does not. Nothing of a name may run: each would make a file `ran`.
"""

import fcntl
import os
import pathlib
import pty
import select
import shutil
import signal
import struct
import sys
import tempfile
import termios
import time

SHELL, BINARY = sys.argv[1:3]
PATIENCE = 20
NAMES = [
    "aa b", "aa'q", 'aa"q', "aa$(touch${IFS}ran)", "aa$(touch ran)", "aa`touch ran`", "aa;touch ran", "aa&touch ran", "aa|touch ran",
    "aa>ran", "aa*", "aa?[b]", "aa{b,c}", "aa~", "aa!b", "aa!!", "aa#b", "aa(b)", "aa\\b", "aa\\", "aa=b:c", "aaé日本", "aa$HOME",
    "aa^b%s,@+", "aa$'x'", 'aa"; touch ran; "', "aa'; touch ran; '",
]  # fmt: skip
# Names that no shell has to offer: what counts is that nothing of them runs.
UNSEEN = ["aa\ntouch ran\n", "aa\tb;touch ran", "aa\x1b[31m\x07", b"aa\xff;touch ran"]
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source <(runcode completions bash)"),
    "zsh": (["zsh", "-f", "-i"], "autoload -Uz compinit; compinit -u -D; source <(runcode completions zsh)"),
    "fish": (["fish", "--no-config", "-i"], "runcode completions fish | source"),
}
FAKE = """#!/bin/sh
[ -z "${RUNCODE_COMPLETE-}" ] && [ "$1" != completions ] || exec "$BINARY" "$@"
printf '%s\\0' "$@" >"$HOME/seen.new"
mv "$HOME/seen.new" "$HOME/seen"
"""


class Terminal:
    """The shell, in the folder `here`, with its completions read."""

    def __init__(self, top, here):
        program, setup = SHELLS[SHELL]
        self.seen = top / "seen"
        env = {"PATH": f"{top}/bin:/usr/bin:/bin", "HOME": str(top), "TERM": "xterm", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "BINARY": BINARY}
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.chdir(here)
            os.execvpe(program[0], program, env)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        self.output = b""
        self.words(setup.encode() + b"; runcode ready\r")

    def words(self, keys, patience=PATIENCE):
        """What `runcode` is given when these keys are pressed; None when it is not called."""
        self.seen.unlink(missing_ok=True)
        self.output = b""
        os.write(self.fd, keys)
        end = time.monotonic() + patience
        while not self.seen.exists() and time.monotonic() < end:
            if select.select([self.fd], [], [], 0.02)[0]:
                piece = os.read(self.fd, 65536)
                self.output += piece
                if b"\x1b[6n" in piece:  # where is the cursor?
                    os.write(self.fd, b"\x1b[1;1R")
        return self.seen.read_bytes().split(b"\0")[:-1] if self.seen.exists() else None

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def main():
    top = pathlib.Path(tempfile.mkdtemp(prefix="typed-"))
    here = top / "p"
    (top / "bin").mkdir(), here.mkdir()
    (top / "bin/runcode").write_text(FAKE)
    (top / "bin/runcode").chmod(0o755)
    home = os.fsencode(here) + b"/"
    # The keys before Tab, and what stands before the name in the word that arrives.
    places = {
        b"put aa": b"", b'put "aa': b"", b"put 'aa": b"", b"put a\\a": b"", b'put a"a': b"", b"put ./aa": b"./", b"put ~/p/aa": home,
        b"get r --out aa": b"", b"get r --out=aa": b"--out=",
    }  # fmt: skip
    if SHELL == "fish":
        del places[b"put a\\a"]  # a bell there
    failed = []
    terminal = Terminal(top, here)

    def create(name):
        for path in here.iterdir():
            path.unlink()
        (here / os.fsdecode(name)).write_text("")

    def type_in(keys, name, wanted):
        nonlocal terminal
        words = terminal.words(b"runcode " + keys + b"\t\r", 2 if wanted is None else PATIENCE)
        ran = [path for path in (here / "ran", top / "ran") if path.exists()]
        if ran or (wanted is not None and words != wanted):
            failed.append((keys, name))
            print(f"{SHELL}: {keys!r} and {name!r}: {words!r}{', and it ran' if ran else ''}, after {terminal.output[-200:]!r}")
        if ran or words is None:
            terminal.close()
            terminal = Terminal(top, here)

    try:
        for keys, before in places.items():
            for name in NAMES:
                if SHELL == "zsh" and b"'" in keys and "'" in name:
                    continue  # zsh leaves these quotes open
                create(name)
                type_in(keys, name, [*keys.split()[:-1], before + name.encode()])
        for name in UNSEEN:
            create(name)
            type_in(b"put aa", name, None)
        for name in ["-rf", "--token=x", "~root", "!!", "=ls", "#x", "$(touch ran)"]:
            create(name)
            is_odd = name[0] == "-"  # zsh first offers `./`, fish offers nothing
            keys = b"put ./" if is_odd and SHELL == "fish" else b"put \t" if is_odd and SHELL == "zsh" else b"put "
            type_in(keys, name, [b"put", (b"./" if is_odd else b"") + name.encode()])
        if SHELL == "fish":
            create("--token=x")
            type_in(b"put ", "--token=x", [b"put"])
    finally:
        terminal.close()
        shutil.rmtree(top)
    return 1 if failed else 0


sys.exit(main())
