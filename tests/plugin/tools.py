"""Work on the workspace with only the tools of `mcp`, in both clients: what a scripted model does, and the result."""

import __main__ as drive  # the clients, as they are started there
import http.server
import json
import re
import subprocess
import threading
import time
import urllib.request

import models
from models import Call, Say

ADD = "def add(a, b):\n    return a - b\n\n\ndef other():\n    pass\n"
TEST = "from sums import add\nassert add(2, 2) == 4, add(2, 2)\nprint('all passed')\n"


def until(what, condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"waited in vain until {what}")


def is_running(pid):
    said = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return bool(said) and not said.startswith("Z")


class Page(http.server.BaseHTTPRequestHandler):
    """A server on the workspace."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"served on the workspace")

    def log_message(self, *_):
        pass


def work(server, port):
    """The steps of a model that finds a bug, corrects and tests it, reads a long output, and looks at a page."""
    call = lambda tool, **given: Call(f"{server}__{tool}", **given)
    has, answer = drive.has, drive.answer

    def page(result):
        """The id and the offset of the next page, which the line in square brackets names."""
        return json.loads(re.search(r"read them: output ({.*?})\]", result)[1])

    def left_out(results):
        has(results[6], "[exit 1 ", "AssertionError: 0")
        return call("edit", path="code/sums.py", old="a - b", new="a + b")

    def tested(results):
        has(results[8], "all passed", "[exit 0 ")
        return call("exec", command="seq 60000")

    def first_page(results):
        has(results[9], "1\n2\n3\n", "\n60000\n[exit 0 ", " bytes left out; read them: output {")
        return call("output", **page(results[9]))

    def second_page(results):
        before = results[9].split("[", 1)[0].rstrip("\n")
        first = results[10].splitlines()
        assert int(first[0]) == int(before.splitlines()[-1]) + 1, "a page begins where the last one ended"
        offset = int(re.search(r"next offset (\d+)\]", results[10])[1])
        return call("output", id=page(results[9])["id"], offset=offset)

    def forward(results):
        assert int(results[11].splitlines()[0]) == int(results[10].splitlines()[-2]) + 1
        return call("forward", port=port, local=0)

    def look(results):
        url = answer(results[12])["url"]
        assert urllib.request.urlopen(url, timeout=20).read() == b"served on the workspace"
        return call("forward", port=port, cancel=True)

    def done(results):
        assert f"{port}" in results[13], results[13]
        return Say("done")

    steps = [
        lambda results: call("list"),
        lambda results: has(results[0], '"attached":null', "test-box") or call("connect", workspace="test-box"),
        lambda results: has(results[1], '"workdir"') or call("context"),
        lambda results: has(results[2], '"workdir"') or call("glob", pattern="**/*.py"),
        lambda results: has(results[3], "code/sums.py", "[2 files") or call("grep", pattern="def add", glob="*.py"),
        lambda results: has(results[4], "code/sums.py:1:def add(a, b):") or call("read", path="code/sums.py", limit=2),
        lambda results: has(results[5], "2\t    return a - b\n[lines 1-2 of 6; ") or call("exec", command="python3 test.py", cwd="code"),
        left_out,
        lambda results: has(results[7], '"replaced":1', "2\t    return a + b") or call("exec", argv=["python3", "test.py"], cwd="code"),
        tested,
        first_page,
        second_page,
        forward,
        look,
        done,
    ]
    # Codex begins with the result of its own script.
    own = lambda results: [result.split("Output:\n\n", 1)[-1] for result in results]
    return [lambda results, shown, step=step: step(own(results)) for step in steps]


def works(machine, server, run):
    # The first start fetches the program; a client does not wait that long in its first turn.
    machine.run(machine.installed_plugin() / "bin/runcode", "--version")
    code = machine.box / "code"
    code.mkdir()
    (code / "sums.py").write_text(ADD)
    (code / "test.py").write_text(TEST)
    page = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=page.serve_forever, daemon=True).start()
    model = models.Model(work(server, page.server_port))
    try:
        run(model)
    finally:
        model.close()
        page.shutdown()
        page.server_close()
    assert (code / "sums.py").read_text() == ADD.replace("a - b", "a + b")
    assert not list(machine.project.glob("code")), "it worked here"


def test_claude_does_its_work_with_the_tools(machine):
    drive.install_in_claude(machine)
    server = "mcp__plugin_runcode_runcode"
    works(machine, server, lambda model: finished(drive.claude(machine, model, "fix it there", "--allowedTools", server)))
    # When a client gives up because its time limit for a call is up, the command ends there.
    machine.env["MCP_TOOL_TIMEOUT"] = "6000"
    sleep = lambda results, shown: Call(f"{server}__exec", command="echo $$ > pid; exec sleep 600", timeout=600)
    model = models.Model([sleep, lambda results, shown: Say("done")])
    try:
        drive.claude(machine, model, "wait there", "--allowedTools", server)
    finally:
        model.close()
    pid = int((machine.box / "pid").read_text())
    until("the command is gone", lambda: not is_running(pid))


def finished(events):
    assert events[-1]["result"] == "done" and not events[-1]["permission_denials"], events[-1]


# The tools that change something ask the user, who has allowed all of them.
APPROVED = ["-c", 'plugins.runcode@runcode.mcp_servers.runcode.default_tools_approval_mode="approve"']


def codex_works(machine, sandbox):
    drive.install_in_codex(machine)
    run = lambda model: drive.codex(machine, model, "fix it there", *APPROVED, sandbox=sandbox)
    works(machine, "mcp__runcode", lambda model: drive.has(json.dumps(run(model)), "done"))
    # When a client ends, what runs for it there ends, too.
    sleep = lambda results, shown: Call("mcp__runcode__exec", command="echo $$ > pid; exec sleep 600", timeout=600)
    model = models.Model([sleep, lambda results, shown: Say("done")])
    command = drive.codex_command(model, "wait there", *APPROVED, sandbox=sandbox)
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    client = subprocess.Popen(command, cwd=machine.project, env=machine.environment(), **quiet)
    try:
        until("it runs", (machine.box / "pid").exists)
        until("it runs", (machine.box / "pid").read_text)
        pid = int((machine.box / "pid").read_text())
        assert is_running(pid)
        client.terminate()
        client.wait(timeout=20)
        until("the command is gone", lambda: not is_running(pid))
    finally:
        client.kill()
        client.wait()
        model.close()


def test_codex_does_its_work_where_it_may_read(machine):
    codex_works(machine, "read-only")


def test_codex_does_its_work_where_it_may_write(machine):
    codex_works(machine, "workspace-write")


def test_codex_asks_before_a_tool_changes_anything(machine):
    drive.install_in_codex(machine)
    machine.run(machine.installed_plugin() / "bin/runcode", "connect", "test-box")
    steps = [lambda results, shown: Call("mcp__runcode__exec", command="touch made"), lambda results, shown: Say("done")]
    model = models.Model(steps)
    try:
        drive.codex(machine, model, "make it", sandbox="read-only")
    finally:
        model.close()
    assert not (machine.box / "made").exists(), "nobody was there to be asked"
