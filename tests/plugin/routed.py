"""Routing in the real Claude Code: a command runs on the workspace or not at all, whatever is broken."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import models
from models import Call, Say
from stage import IDENTITY, MARKETPLACE

TOOLS = "Bash,Read,Edit,Write,Task,Agent,Monitor,TaskStop,ToolSearch"


class Scripted(models.Model):
    """A main conversation, and one for each subagent, whose prompt starts with `SUB`."""

    def __init__(self, script, sub=()):
        super().__init__(list(script) + [lambda results, shown: Say("done")])
        self.sub = list(sub) + [lambda results, shown: Say("sub done")]

    def answer(self, request, results):
        first = json.dumps(request["messages"][0])
        if "SUB:" not in first:
            return super().answer(request, results)
        self.requests.append(request)
        try:
            return self.sub[min(len(results), len(self.sub) - 1)](results, "")
        except Exception as problem:
            self.problems.append(f"subagent: {type(problem).__name__}: {problem}")
            return Say("failed")


class Session:
    """A machine with the plugin, whose project is routed to its box, and what the last conversation showed."""

    def __init__(self, machine, *words):
        self.machine, self.id, self.told = machine, None, 0
        machine.run("claude", "plugin", "marketplace", "add", MARKETPLACE)
        machine.run("claude", "plugin", "install", "runcode@runcode")
        self.plugin = machine.installed_plugin()
        (machine.project / "tracked").write_text("as it was\n")
        for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "start"]):
            machine.run("git", *IDENTITY, *command)
        self.runcode("connect", "test-box", *(words or ("--route",)))

    def runcode(self, *words, **how):
        return self.machine.run(self.plugin / "bin/runcode", *words, **how)

    def settings(self, **content):
        (self.machine.home / ".claude").mkdir(exist_ok=True)
        (self.machine.home / ".claude/settings.json").write_text(json.dumps(self.kept_settings() | content))

    def kept_settings(self):
        file = self.machine.home / ".claude/settings.json"
        return json.loads(file.read_text()) if file.exists() else {}

    def talk(self, *script, sub=(), options=("--allowedTools", TOOLS), prompt="go", cwd=None, **changes):
        """Runs the steps, each a command, a Call, or a function of the results so far. Returns the results."""
        seen = {}

        def step(one):
            def run(results, shown):
                seen["results"] = results
                return one(results) if callable(one) else one

            return run

        # A resumed conversation has its earlier results.
        told = self.told if {"--continue", "--resume"} & set(options) else 0
        earlier = [Say("too early")] * told
        model = Scripted([step(one) for one in [*earlier, *script]] + [step(Say("done"))], [step(one) for one in sub])
        try:
            done = self.machine.run(
                *("claude", "-p", prompt, "--output-format", "stream-json", "--verbose", *options),
                cwd=cwd,
                check=False,
                ANTHROPIC_BASE_URL=model.base,
                **changes,
            )
        finally:
            model.close()
        assert not model.problems, f"{model.problems}\n{done.stdout[-3000:]}"
        self.events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        self.shown = json.dumps(model.requests, ensure_ascii=False)
        assert model.requests, f"no conversation began: {done.stdout[-2000:]}{done.stderr}"
        self.id = self.events[-1]["session_id"]
        last = [part for message in model.requests[-1]["messages"] for part in message["content"] if isinstance(part, dict)]
        results = [models.text_of(part.get("content")) for part in last if part.get("type") == "tool_result"]
        self.told = len(results)
        return results[told:]

    def is_clean(self):
        """Nothing has changed in the project, and nothing was left in it."""
        status = self.machine.run("git", "status", "--porcelain", "--ignored").stdout
        assert status == "", f"the local folder changed: {status}"

    def ran_there(self, name="ran"):
        assert (self.machine.box / name).exists(), f"{name} did not run on the workspace"
        self.is_clean()

    def ran_nowhere(self, name="ran"):
        assert not (self.machine.box / name).exists(), f"{name} ran on the workspace"
        self.is_clean()


def has(text, *parts):
    for part in parts:
        assert part in text, f"{part!r} was not shown: {text[:1500]}"


def until(what, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)


def test_claude_routes_commands(machine):
    it = Session(machine)
    box = str(machine.box)
    results = it.talk(
        "pwd; echo 1 > ran; printf 'a  b|%s' \"$HOME\"; exit 3",
        "cat <<'E' | tr a-z A-Z\nhere $X `y`\nE",
        "mkdir -p deep && cd deep && pwd",
        "pwd; if true; then echo yes; fi",
        f"cd '{machine.project}' && pwd",  # without quotes, this client takes it off itself
        "runcode exec -- pwd",
        "runcode list --json",
        "runcode write copied <<'E'\nfrom here\nE",
        "cd '" + str(machine.project) + "/deep' && pwd",
    )
    has(results[0], "Exit code 3", box, "a  b|")
    assert results[1].strip() == "HERE $X `Y`", results[1]
    assert [results[at].split() for at in (2, 3, 4, 5, 8)] == [[box + "/deep"], [box + "/deep", "yes"], [box], [box], [box + "/deep"]], results
    assert json.loads(results[6])[0]["name"] == "test-box"
    assert (machine.box / "copied").read_text() == "from here\n"
    has(it.shown, "this project is routed to the remote workspace #1")
    has(json.dumps(it.events, ensure_ascii=False), "→ test-box (#1)")
    it.ran_there()
    # A resumed session starts where it ended, and has its road once.
    assert it.talk("pwd", options=("--allowedTools", TOOLS, "--continue")) == [box + "/deep"]
    options = ("--allowedTools", TOOLS, "--resume", it.id, "--fork-session")
    assert it.talk("pwd; echo 1 > forked", options=options) == [box]
    it.ran_there("forked")
    lines = [file.read_text().count("\n") for file in machine.home.glob(".claude/session-env/*/*")]
    assert lines and set(lines) == {1}, lines


def test_claude_routes_after_clear(machine):
    it = Session(machine)
    model = Scripted([lambda results, shown: "pwd; echo 1 >> ran"])
    words = ["claude", "-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose", "--allowedTools", "Bash"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    client = subprocess.Popen(words, env=machine.environment(ANTHROPIC_BASE_URL=model.base), cwd=machine.project, **pipes)
    said = []
    try:
        for text in ("first", "/clear", "second"):
            prompt = {"type": "user", "message": {"role": "user", "content": text}}
            client.stdin.write(json.dumps(prompt) + "\n")
            client.stdin.flush()
            for line in client.stdout:
                said.append(line)
                if json.loads(line)["type"] == "result":
                    break
        client.stdin.close()
        client.wait(timeout=20)
    finally:
        client.kill()
        client.wait()
        model.close()
    starts = re.findall(r'"hook_name":"SessionStart:(\w+)"', "".join(said))
    assert "clear" in starts, f"it was not cleared: {starts}"
    assert (machine.box / "ran").read_text() == "1\n1\n"
    it.is_clean()


def test_claude_routes_in_the_background(machine):
    it = Session(machine)
    pids = {}

    def stop(results):
        until(lambda: (machine.box / "pid").exists() and (machine.box / "pid").read_text().strip())
        pids["own"] = int((machine.box / "pid").read_text())
        task = re.search(r"ID: (\w+)", results[0])[1]
        return Call("TaskStop", task_id=task)

    it.talk(
        Call("Bash", command="cd /; echo $$ > '" + str(machine.box) + "/pid'; sleep 1000 & sleep 2000", run_in_background=True, description="x"),
        stop,
        "pwd",
    )

    def is_gone():
        try:
            os.kill(pids["own"], 0)
        except ProcessLookupError:
            return True
        return False

    until(is_gone)
    it.is_clean()


def test_claude_routes_monitors_and_subagents(machine):
    it = Session(machine)
    box = str(machine.box)
    results = it.talk(
        "mkdir -p deep && cd deep",
        Call("Task", description="x", prompt="SUB: do it", subagent_type="general-purpose", run_in_background=False),
        "pwd",
        Call("Monitor", description="x", command="pwd > monitored; echo line", timeout_ms=5000),
        lambda results: until((machine.box / "monitored").exists) or "true",
        sub=["pwd > sub-ran", "mkdir -p other && cd other", "pwd > sub-second"],
    )
    assert (machine.box / "sub-ran").read_text().strip() == box, "a subagent starts in the workdir"
    assert (machine.box / "sub-second").read_text().strip() == box
    assert results[2] == box + "/deep", "a subagent moves nobody"
    assert (machine.box / "monitored").read_text().strip() == box
    it.is_clean()


def test_claude_routes_without_its_environment_file(machine):
    it = Session(machine)

    def lose(results):
        shutil.rmtree(machine.home / ".claude/session-env")
        return "echo 1 > ran"

    # One that disappears before the first command, and one that never existed.
    it.talk(lose)
    it.is_clean()
    (machine.box / "ran").unlink(missing_ok=True)
    (it.plugin / "plugin/session-start").write_text("#!/bin/sh\n")
    results = it.talk("echo 1 > ran", "true\nfi\necho 1 > ran\nif true; then")
    has(results[0], "this session is not routed; nothing was run")
    has(results[1], "a shell does not read this as complete commands")
    it.ran_nowhere()


def test_claude_routes_when_the_gate_fails(machine):
    it = Session(machine)
    gate, hooks = it.plugin / "plugin/gate", it.plugin / "plugin/hooks.json"
    whole = gate.read_text()
    hooks.write_text(hooks.read_text().replace('"timeout": 10,\n            "onFailure"', '"timeout": 1,\n            "onFailure"'))
    for number, broken in enumerate(["kill -9 $$", "exec sleep 20", "exit 1", "exit 127", 'echo \'{"hookSpecificOutput":7}\'']):
        gate.write_text("#!/bin/sh\n" + broken + "\n")
        it.talk(f"echo 1 > ran{number}")
        it.ran_nowhere(f"ran{number}")
    # What cannot be read as an answer counts as none; then the road alone leads there.
    for number, broken in enumerate(["echo garbage", 'printf \'{"hookSpecificOutput":{"hookEv\'', "exit 0"]):
        gate.write_text("#!/bin/sh\n" + broken + "\n")
        it.talk(f"echo 1 > went{number}")
        it.ran_there(f"went{number}")
    gate.write_text(whole)


def test_claude_routes_when_the_program_fails(machine):
    it = Session(machine)
    cached = machine.home / ".cache/runcode/bin"
    kept = cached.with_name("kept")
    cached.rename(kept)
    read = Call("Read", file_path=str(machine.project / "tracked"))
    results = it.talk("echo 1 > ran", read, RUNCODE_DOWNLOAD_BASE="file:///nowhere/")
    has(results[0], "runcode cannot be started", "nothing was run")
    has(results[1], "nothing was run")
    it.ran_nowhere()
    kept.rename(cached)
    (attachment,) = (machine.home / ".cache/runcode/attachments").iterdir()
    text = attachment.read_text()
    for garbage in ("{", "", text.replace("true", "7")):
        attachment.write_text(garbage)
        has(it.talk("echo 1 > ran")[0], "no attachment that this version understands")
        it.ran_nowhere()
    attachment.write_text(text)
    it.talk("echo 1 > ran")
    it.ran_there()


def test_claude_routes_when_the_workspace_is_gone(machine):
    it = Session(machine)
    # Somebody else powers it down.
    elsewhere = machine.dir / "elsewhere"
    elsewhere.mkdir()
    it.runcode("stop", "test-box", cwd=elsewhere, XDG_CACHE_HOME=elsewhere)
    has(it.talk("echo 1 > ran")[0], "Exit code 255", "runcode: ", "hint: ")
    it.ran_nowhere()
    it.runcode("connect", "test-box", "--start", "--wait", cwd=machine.project)
    # The session is revoked, and no other is granted.
    (meta,) = (machine.home / ".cache/runcode").glob("ws-1*/meta.json")
    content = json.loads(meta.read_text())
    meta.write_text(json.dumps(content | {"expires_at": "2020-01-01T00:00:00Z"}))
    has(it.talk("echo 1 > ran", RUNCODE_TOKEN="revoked")[0], "Exit code 255", "runcode: ")
    it.ran_nowhere()
    machine.plane.send_signal(signal.SIGKILL)
    machine.plane.wait()
    has(it.talk("echo 1 > ran")[0], "Exit code 255", "runcode: ")
    it.ran_nowhere()


def test_claude_routes_beside_other_hooks_and_rules(machine):
    it = Session(machine)
    rewrite = 'sleep 0.3; echo \'{"hookSpecificOutput":{"hookEventName":"PreToolUse","permissionDecision":"allow","updatedInput":{"command":"pwd > other"}}}\''
    it.settings(hooks={"PreToolUse": [{"matcher": "Bash", "hooks": [{"type": "command", "command": rewrite}]}]})
    it.talk("echo 1 > ran")
    assert (machine.box / "other").read_text().strip() == str(machine.box)
    it.is_clean()
    it.settings(hooks={}, permissions={"deny": ["Bash(rm:*)"], "allow": ["Bash(touch:*)"]})
    (machine.box / "kept").write_text("")
    results = it.talk(
        *("touch allowed", "touch also && touch this", "mkdir unasked", "rm kept", "true && rm kept", "runcode exec -- rm kept"),
        options=(),
    )
    assert (machine.box / "allowed").exists() and (machine.box / "this").exists(), results
    assert (machine.box / "kept").exists() and not (machine.box / "unasked").exists(), results
    denied = [denial["tool_input"]["command"] for denial in it.events[-1]["permission_denials"]]
    assert len(denied) == 4, denied
    it.is_clean()


def test_claude_routes_only_its_project(machine):
    it = Session(machine)
    other = machine.dir / "other"
    other.mkdir()
    results = it.talk("pwd > ran", Call("Read", file_path=str(other / "ran")), cwd=other)
    assert (other / "ran").read_text().strip() == str(other)
    has(results[1], str(other))
    # The project through a link is the project.
    link = machine.dir / "link"
    link.symlink_to(machine.project)
    (machine.project / "tracked").write_text("as it was\n")
    results = it.talk("pwd > linked", Call("Read", file_path=str(link / "tracked")), cwd=link)
    has(results[1], "nothing was read")
    it.ran_there("linked")
    # The project's settings choose no program, and turn nothing off.
    (machine.project / ".claude").mkdir()
    evil = machine.project / "evil/runcode"
    evil.parent.mkdir()
    evil.write_text("#!/bin/sh\ntouch '" + str(machine.dir) + "/owned'\n")
    evil.chmod(0o755)
    variables = {"RUNCODE_BIN": str(evil), "XDG_CACHE_HOME": str(machine.project / "cache")}
    (machine.project / ".claude/settings.json").write_text(json.dumps({"env": variables}))
    it.talk("pwd > settled", "cd /tmp", "pwd > settled2")
    assert not (machine.dir / "owned").exists(), "a program of the project was run"
    assert not (machine.project / "settled").exists() and not (machine.project / "settled2").exists()


def test_claude_routes_until_it_is_switched_off(machine):
    it = Session(machine, "--force")
    steps = ["runcode connect test-box --route --json", "pwd > ran", "runcode route off --json", "runcode disconnect --json"]
    results = it.talk(*steps)
    assert json.loads(results[0])["routing"] is True
    assert (machine.box / "ran").read_text().strip() == str(machine.box), "the session that turns it on has the road already"
    assert '"routing"' not in results[2] and '"disconnected"' not in results[3], "that is for the user"
    it.runcode("disconnect")
    has(it.talk("cat tracked")[0], "as it was")
    it.is_clean()
    assert not list((machine.home / ".cache/runcode").glob("heard*")), "with nothing routed, nothing is left"
    # The status line knows a session whose gate is silent.
    it.runcode("connect", "test-box", "--route")
    asking = {"session_id": "never-heard", "workspace": {"project_dir": str(machine.project)}}
    line = subprocess.run(
        [it.plugin / "bin/runcode", "statusline"],
        input=json.dumps(asking),
        env=machine.environment(),
        capture_output=True,
        text=True,
        cwd=machine.project,
    ).stdout
    has(line, "NOT ROUTED to test-box", "[1;30;41m")


TESTS = [value for name, value in globals().items() if name.startswith("test_")]
