"""Commands inside of the clients' sandboxes, which allow no sockets: runcode's helper runs them on the workspace."""

import json
import os
import shutil
import subprocess

import models
import routed
from models import Say


def script(program):
    """Runs every verb and says in a line what was wrong; `ALL FINE` at the end."""
    return f"""
R='{program}'; T=${{TMPDIR:-/tmp}}; cd "$T" 2>/dev/null; W=.
touch "$T/may-write" 2>/dev/null && rm -f "$T/may-write" || W=
bad() {{ echo "WRONG: $*"; }}
cd "$P"
out=$("$R" exec -n -- 'echo out; echo err >&2; exit 7' 2>&1 >/dev/null); st=$?
[ "$st" = 7 ] && [ "$out" = err ] || bad "exec: $st $out"
[ "$("$R" exec -- cat < "$P/large" | cksum)" = "$(cksum < "$P/large")" ] || bad 'large stdin'
"$R" put large there >/dev/null || bad put
[ "$("$R" exec -n -- 'cksum < there')" = "$(cksum < large)" ] || bad 'what put sent'
echo written | "$R" write note >/dev/null || bad write
[ "$("$R" exec -n -- cat note)" = written ] || bad 'what write sent'
if [ -n "$W" ]; then
  rm -rf "$T/back"; "$R" get there --out "$T/back" >/dev/null || bad get
  cmp -s "$T/back" large || bad 'what get fetched'
  rm -rf "$T/back"
fi
"$R" context --json >/dev/null || bad context
all=$(for n in 1 2 3 4 5 6; do (out=$(echo "in $n" | "$R" exec -- "cat; exit $n"); echo "$n $? $out") & done; wait)
[ "$(echo "$all" | sort | tr '\\n' ';')" = '1 1 in 1;2 2 in 2;3 3 in 3;4 4 in 4;5 5 in 5;6 6 in 6;' ] || bad "six at once: $all"
"$R" exec --timeout 1 -- 'sleep 30' 2>/dev/null; [ $? = 255 ] || bad 'time limit'
echo ALL FINE
"""


def left(machine):
    """Processes and files of the helper."""
    cache = machine.home / ".cache/runcode"
    found = subprocess.run(["ps", "-eo", "pid=,args="], capture_output=True, text=True).stdout
    ours = [line for line in found.splitlines() if "runcode helper" in line and str(cache) in line]
    return ours + [str(path) for path in cache.glob("helper*")]


def prepare(machine):
    (machine.project / "large").write_bytes(os.urandom(3_000_000))
    (machine.project / "try.sh").write_text(f"P='{machine.project}'\n" + script(machine.binary))


def test_codex_sandboxes_reach_the_workspace(machine):
    prepare(machine)
    said = machine.run(machine.binary, "connect", "test-box", "--route", "--sandboxes").stdout
    assert "sandbox" in said and left(machine), said
    for mode in ("workspace-write", "read-only"):
        sandbox = ("codex", "sandbox", "-c", f'sandbox_mode="{mode}"', "--")
        forbidden = machine.run(*sandbox, "python3", "-c", "import socket; socket.create_connection(('127.0.0.1', 9))", check=False)
        assert "PermissionError" in forbidden.stderr, f"this sandbox is none: {forbidden.stderr}"
        done = machine.run(*sandbox, "sh", machine.project / "try.sh", check=False)
        assert done.stdout == "ALL FINE\n", f"{mode}: {done.stdout}{done.stderr}"
    machine.run(machine.binary, "route", "off")
    assert not left(machine), left(machine)


def test_codex_works_in_its_sandbox(machine):
    """The whole way: the model's command, Codex's own sandbox for it, and the helper."""
    prepare(machine)
    machine.run(machine.binary, "connect", "test-box", "--route", "--sandboxes")
    import __main__ as drive

    for mode in ("workspace-write", "read-only"):
        steps = [lambda results, shown: f"sh '{machine.project}/try.sh'", lambda results, shown: Say(results[0])]
        model = models.Model(steps)
        try:
            drive.codex(machine, model, "try it", sandbox=mode)
        finally:
            model.close()
        drive.has(json.dumps(model.requests), "ALL FINE")
        assert "WRONG" not in json.dumps(model.requests[-1]["input"]), mode
    machine.run(machine.binary, "disconnect")
    assert not left(machine), left(machine)


def test_claude_routes_in_its_sandbox(machine):
    if not shutil.which("socat") or not shutil.which("bwrap"):
        return print("SKIPPED: socat or bubblewrap is not here, which Claude Code's sandbox needs")
    it = routed.Session(machine, "--route", "--sandboxes")
    sandbox = {"enabled": True, "autoAllowBashIfSandboxed": True, "allowUnsandboxedCommands": False, "failIfUnavailable": True}
    it.settings(sandbox=sandbox)
    commands = [
        "pwd; echo out; echo err >&2; exit 3",
        "runcode write note <<'E'\nfrom the sandbox\nE",
        "head -c 3000000 /dev/zero | cksum",
        "runcode list --json",
    ]
    results = it.talk(*commands, options=("--allowedTools", "Read"))
    routed.has(results[0], "Exit code 3", str(machine.box), "out", "err")
    assert (machine.box / "note").read_text() == "from the sandbox\n", results
    routed.has(results[2], "3000000")
    routed.has(results[3], '"error"')  # the control plane cannot be reached from inside
    # The helper of a session that goes on is started again.
    (line,) = [line for line in left(machine) if "runcode helper" in line]
    subprocess.run(["kill", "-9", line.split()[0]], check=True)
    assert it.talk("pwd", options=("--allowedTools", "Read", "--continue")) == [str(machine.box)]
    it.is_clean()
    it.runcode("disconnect")
    assert not left(machine), left(machine)
