"""Drives the real clients through the plugin: what the scripted model is shown, and what then happens on the workspace."""

import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time
import traceback

import models
import protocol
import routed
import sandboxed
import tools
from models import Call, Plain, Say
from stage import MARKETPLACE, ROOT, Machine, Release


# Today's Codex may be newer than the versions that runcode accepts by itself: the daily run shows whether it still works.
OURS = ("codex", "--any-version") if os.environ.get("RUNCODE_TEST_CLIENTS") == "newest" else ("codex",)


def answer(result):
    """The JSON document in what a shell tool shows."""
    return json.loads(result[result.index("{") : result.rindex("}") + 1])


def has(text, *parts):
    for part in parts:
        assert part in text, f"{part!r} was not shown: {text[:1500]}"


def test_the_manifests_are_valid(machine):
    for what in (ROOT, ROOT / ".claude-plugin/plugin.json"):
        machine.run("claude", "plugin", "validate", "--strict", what)
    version = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    manifests = [json.loads((ROOT / name).read_text()) for name in (".claude-plugin/plugin.json", ".codex-plugin/plugin.json")]
    assert [manifest["version"] for manifest in manifests] == [version] * 2, "the manifests follow Cargo.toml"
    prompts = manifests[1]["interface"]["defaultPrompt"]
    assert len(prompts) <= 3 and all(len(prompt) <= 128 for prompt in prompts)
    links = [path for path in ROOT.glob("[!t.]*/**/*") if path.is_symlink()]
    assert not links, f"links break on Windows: {links}"


def claude(machine, model, prompt, *options):
    """A `claude -p` in the project folder; the events it prints."""
    done = machine.run(
        *("claude", "-p", prompt, "--output-format", "stream-json", "--verbose", *options), ANTHROPIC_BASE_URL=model.base
    )
    assert not model.problems, f"{model.problems}\n{done.stdout[-3000:]}"
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def install_in_claude(machine):
    machine.run("claude", "plugin", "marketplace", "add", MARKETPLACE)
    machine.run("claude", "plugin", "install", "runcode@runcode")
    (plugin,) = json.loads(machine.run("claude", "plugin", "list", "--json").stdout)
    assert plugin["id"] == "runcode@runcode" and plugin["enabled"] and not plugin.get("errors"), plugin


def test_claude_connects_works_and_leaves(machine):
    install_in_claude(machine)
    (machine.project / "local.bin").write_bytes(bytes(range(256)) * 40)

    def connect(results, shown):
        has(shown, "The user's words: `test-box", "runcode connect <workspace> --route --json")
        return "runcode connect test-box --json"

    def orient(results, shown):
        connected = answer(results[0])
        assert connected["workdir"] and connected["reused"] is False and connected["statusline_installed"] is False
        return "runcode context --json"

    def execute(results, shown):
        assert answer(results[1])["workspace_id"] == answer(results[0])["workspace_id"]
        return "runcode exec -- printf '%s|' 'a  b' '*' '' && runcode exec -- 'echo x | tr x y; exit 3'"

    def write(results, shown):
        has(results[2], "a  b|*||y", "Exit code 3")
        return "runcode write deep/copy.bin < local.bin && runcode get deep/copy.bin --out back.bin && cmp local.bin back.bin && echo SAME"

    def missing(results, shown):
        has(results[3], "SAME")
        return "runcode get no/such/file --json"

    def leave(results, shown):
        assert answer(results[4])["error"] == "not_found"
        return "runcode disconnect --json && runcode exec -- true"

    def end(results, shown):
        has(results[5], "Exit code 255", "runcode:")
        return Say("done")

    model = models.Model([connect, orient, execute, write, missing, leave, end])
    try:
        events = claude(machine, model, "/runcode:connect test-box", "--allowedTools", "Bash(runcode:*),Bash(cmp:*),Bash(echo:*)")
    finally:
        model.close()
    assert events[-1]["result"] == "done" and not events[-1]["permission_denials"], events[-1]
    assert (machine.box / "deep/copy.bin").read_bytes() == (machine.project / "local.bin").read_bytes()
    assert not (machine.home / ".ssh").exists()


def test_claude_frontmatter_alone_permits_the_command(machine):
    install_in_claude(machine)
    (machine.box / "seen").write_text("on the workspace\n")
    steps = [
        lambda results, shown: "runcode connect test-box --json",
        lambda results, shown: answer(results[0]) and "runcode exec -- cat seen",
        lambda results, shown: has(results[1], "on the workspace") or "runcode stop --json",
        lambda results, shown: Say("done"),
    ]
    model = models.Model(steps)
    try:
        events = claude(machine, model, "/runcode:connect test-box cat seen")
    finally:
        model.close()
    denied = [denial["tool_input"]["command"] for denial in events[-1]["permission_denials"]]
    assert denied == ["runcode stop --json"], "stop is not among what connect permits"


def test_claude_learns_at_the_start_what_is_attached(machine):
    install_in_claude(machine)
    told = "this project is attached to the remote workspace #"
    for steps, prompt, expected in (
        ([lambda results, shown: Say("hello")], "hello", False),
        ([lambda r, s: "runcode connect test-box --json", lambda r, s: answer(r[0]) and Say("ok")], "/runcode:connect test-box", False),
        ([lambda results, shown: Say("hello")], "hello", True),
    ):
        model = models.Model(steps)
        try:
            claude(machine, model, prompt)
        finally:
            model.close()
        assert (told in json.dumps(model.requests)) is expected, prompt
    elsewhere = machine.dir / "elsewhere"
    elsewhere.mkdir()
    hook = machine.installed_plugin() / "plugin/session-start"
    assert machine.run("sh", hook, cwd=elsewhere).stdout == ""
    inside = machine.project / "sub"
    inside.mkdir()
    assert told in machine.run("sh", hook, cwd=inside).stdout
    beside = machine.dir / "project-2"
    beside.mkdir()
    assert machine.run("sh", hook, cwd=beside).stdout == ""


def test_claude_works_with_the_tools(machine):
    install_in_claude(machine)
    machine.run(machine.installed_plugin() / "bin/runcode", "connect", "test-box")
    server = "mcp__plugin_runcode_runcode"

    def look(results, shown):
        has(shown, f"{server}__exec", f"{server}__list", "runcode: a remote workspace over SSH")
        return Call(f"{server}__list")

    def execute(results, shown):
        assert answer(results[0])["attached"]["name"] == "test-box"
        return Call(f"{server}__exec", argv=["sh", "-c", "echo \"$1\" | tee made; exit 3", "sh", "a  'b' $HOME"])

    def end(results, shown):
        has(results[1], "a  'b' $HOME", "[exit 3")
        return Say("done")

    model = models.Model([look, execute, end])
    try:
        events = claude(machine, model, "run it there", "--allowedTools", server)
    finally:
        model.close()
    assert events[-1]["result"] == "done" and not events[-1]["permission_denials"], events[-1]
    assert (machine.box / "made").read_text() == "a  'b' $HOME\n"
    assert not list(machine.project.glob("made")), "it ran here"


def test_claude_every_command_reaches_the_model(machine):
    install_in_claude(machine)
    for file in sorted((ROOT / "commands").glob("*.md")):
        seen = file.read_text().split("---\n", 2)[2].strip().splitlines()[0].split("`")[0][:60]
        model = models.Model([lambda results, shown: Say("read")])
        try:
            claude(machine, model, f"/runcode:{file.stem} the-argument")
        finally:
            model.close()
        shown = json.dumps(model.requests, ensure_ascii=False)
        has(shown, json.dumps(seen, ensure_ascii=False)[1:-1])
        assert "$ARGUMENTS" not in shown and ("the-argument" in shown), file.name


def codex_command(model, prompt, *more, sandbox="danger-full-access", start=("codex",)):
    provider = {"name": '"fake"', "base_url": f'"{model.base}/v1"', "wire_api": '"responses"', "env_key": '"FAKE_KEY"'}
    provider |= {"supports_websockets": "false", "request_max_retries": "0", "stream_max_retries": "0"}
    table = "{" + ",".join(f"{key}={value}" for key, value in provider.items()) + "}"
    settings = ["model_provider=fake", f"model_providers.fake={table}", "check_for_update_on_startup=false"]
    settings += ["analytics.enabled=false"]
    options = [word for setting in settings for word in ("-c", setting)]
    return [*start, "exec", "--skip-git-repo-check", "--json", "-s", sandbox, *more, *options, prompt]


def codex(machine, model, prompt, *more, sandbox="danger-full-access", start=("codex",), check=True, **changes):
    done = machine.run(*codex_command(model, prompt, *more, sandbox=sandbox, start=start), check=check, **changes)
    assert not model.problems, f"{model.problems}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def install_in_codex(machine):
    machine.run("codex", "plugin", "marketplace", "add", MARKETPLACE)
    machine.run("codex", "plugin", "add", "runcode@runcode")
    has(machine.run("codex", "plugin", "list").stdout, "runcode")
    # Otherwise the first session upgrades in the background, and its hooks find no plugin while it is being replaced.
    machine.run("codex", "plugin", "marketplace", "upgrade")


def test_codex_connects_works_and_leaves(machine):
    install_in_codex(machine)
    path = {}

    def read_the_skill(results, shown):
        has(shown, "Work on another machine over SSH")
        path["skill"] = re.search(r"<path>([^<]*/skills/ssh/SKILL\.md)</path>", shown)[1]
        return f"cat '{path['skill']}'"

    def connect(results, shown):
        has(results[0], "two folders above the folder", "# Work on a remote workspace")
        path["runcode"] = str(pathlib.Path(path["skill"]).parents[2] / "bin/runcode")
        return f"'{path['runcode']}' connect test-box --json"

    def execute(results, shown):
        assert answer(results[1])["reused"] is False
        return f"'{path['runcode']}' exec -- 'echo here; pwd'; printf 'one\\n' | '{path['runcode']}' write notes.txt"

    def read(results, shown):
        has(results[2], "here")
        return f"'{path['runcode']}' get notes.txt --out fetched.txt && cat fetched.txt"

    def leave(results, shown):
        has(results[3], "one")
        return f"'{path['runcode']}' disconnect --json && '{path['runcode']}' current --json"

    def end(results, shown):
        has(results[4], '"attached":false')
        return Say("done")

    model = models.Model([read_the_skill, connect, execute, read, leave, end])
    try:
        events = codex(machine, model, "Use $runcode:ssh and connect to test-box")
    finally:
        model.close()
    assert any("done" in json.dumps(event) for event in events), events[-2:]
    assert (machine.box / "notes.txt").read_text() == "one\n"


def test_codex_reads_with_the_tools_in_a_sandbox(machine):
    install_in_codex(machine)
    machine.run(machine.installed_plugin() / "bin/runcode", "connect", "test-box")
    (machine.box / "there").write_text("on the workspace\n")
    server = "mcp__runcode"

    def look(results, shown):
        has(shown, "runcode")
        return Call(f"{server}__list")

    def read(results, shown):
        assert answer(results[0])["attached"]["name"] == "test-box", results[0]
        return Call(f"{server}__read", path="there")

    def end(results, shown):
        has(results[1], "on the workspace", "[lines 1-1 of 1; sha256 ")
        return Say("done")

    model = models.Model([look, read, end])
    try:
        events = codex(machine, model, "read it", sandbox="read-only")
    finally:
        model.close()
    assert any("done" in json.dumps(event) for event in events), events[-2:]


def test_codex_learns_at_the_start_what_is_attached(machine):
    install_in_codex(machine)
    shim = machine.installed_plugin() / "bin/runcode"
    trusted = "--dangerously-bypass-hook-trust"  # what the user does once, under /hooks
    for attached in (False, True):
        if attached:
            machine.run(shim, "connect", "test-box")
        model = models.Model([lambda results, shown: Say("hello")])
        try:
            events = codex(machine, model, "hello", trusted)
        finally:
            model.close()
        shown = json.dumps(model.requests)
        for told in ("this project is attached to the remote workspace #", "it says where `runcode` is"):
            assert (told in shown) is attached, f"attached: {attached}, {told!r}\n{events}\n{shown[-3000:]}"


def test_codex_runs_nothing_here_in_a_routed_folder(machine):
    install_in_codex(machine)
    shim = machine.installed_plugin() / "bin/runcode"
    machine.run(shim, "connect", "test-box", "--route")
    model = models.Model([lambda results, shown: "touch ran-here", lambda results, shown: Say(results[0])])
    try:
        events = codex(machine, model, "touch it", "--dangerously-bypass-hook-trust")
    finally:
        model.close()
    assert not (machine.project / "ran-here").exists(), events
    has(json.dumps(model.requests), "this project is routed to", "runcode codex")


def test_codex_explains_a_sandbox_without_sockets(machine):
    install_in_codex(machine)
    shim = machine.installed_plugin() / "bin/runcode"
    machine.run(shim, "connect", "test-box")
    model = models.Model([lambda results, shown: f"'{shim}' list --json", lambda results, shown: Say(answer(results[0])["error"])])
    try:
        events = codex(machine, model, "list", sandbox="workspace-write")
    finally:
        model.close()
    assert any(f'"text": "{code}"' in json.dumps(event) for event in events for code in ("network", "transport", "io")), events


PATCH = """apply_patch <<'EOF'
*** Begin Patch
*** Add File: deep/new.txt
+one
*** Update File: seen.txt
@@
-there
+patched
*** End Patch
EOF"""


def works_there(machine, start):
    """The shell, a patch, a read, a terminal and AGENTS.md of the real Codex: all of it happens on the workspace, nothing here."""
    (machine.box / "seen.txt").write_text("there\n")
    (machine.box / "AGENTS.md").write_text("words-of-the-workspace\n")
    (machine.project / "seen.txt").write_text("here\n")
    before = sorted(path.name for path in machine.project.iterdir())

    def patch(results, shown):
        has(results[0], "there\n", "error-line", str(machine.box), "exited with code 3")
        return PATCH

    def terminal(results, shown):
        has(results[1], "Success. Updated the following files", "deep/new.txt")
        return Plain("exec_command", cmd="read x; echo \"got $x\"; cat deep/new.txt; sleep 600", tty=True, yield_time_ms=500)

    def answer_it(results, shown):
        number = int(re.search(r"session ID (\d+)", results[2])[1])
        return Plain("write_stdin", session_id=number, chars="abc\n", yield_time_ms=3000)

    def end(results, shown):
        has(results[3], "got abc", "one")
        return Say("done")

    first = lambda results, shown: "cat seen.txt; echo error-line >&2; pwd; exit 3"
    model = models.Model([first, patch, terminal, answer_it, end])
    try:
        events = codex(machine, model, "work", sandbox="workspace-write", start=start)
    finally:
        model.close()
    assert any('"done"' in json.dumps(event) for event in events), events[-3:]
    assert "words-of-the-workspace" in json.dumps(model.requests), "AGENTS.md is the workspace's"
    assert (machine.box / "seen.txt").read_text() == "patched\n" and (machine.box / "deep/new.txt").read_text() == "one\n"
    assert (machine.project / "seen.txt").read_text() == "here\n", "it wrote here"
    assert sorted(path.name for path in machine.project.iterdir()) == before, "it made files here"


def test_codex_works_on_the_workspace(machine):
    machine.run(machine.binary, "connect", "test-box")
    works_there(machine, (machine.binary, *OURS))
    assert not (machine.home / ".codex/environments.toml").exists(), "it left a file behind"


def test_every_codex_works_there_once_installed(machine):
    machine.run(machine.binary, "connect", "test-box")
    machine.run(machine.binary, "install-codex")
    works_there(machine, ("codex",))
    machine.run(machine.binary, "install-codex", "--remove")
    assert not (machine.home / ".codex/environments.toml").exists()


def runs_nothing_here(machine, model, start, **changes):
    """Whatever the model asks for, nothing runs on this machine. Returns what it was told."""
    try:
        codex(machine, model, "work", start=start, check=False, **changes)
    finally:
        model.close()
    assert not (machine.project / "made").exists(), "it ran here"
    return json.dumps(model.requests)


def test_codex_without_its_environment_runs_nothing(machine):
    steps = [lambda results, shown: f"touch '{machine.project}/made'", lambda results, shown: Say(results[0][:200])]
    done = machine.run(machine.binary, "codex", "exec", "x", check=False)
    assert done.returncode == 255 and "no workspace is attached" in done.stderr, done
    machine.run(machine.binary, "install-codex")
    runs_nothing_here(machine, models.Model(steps), ("codex",))  # in a folder without a workspace
    machine.run(machine.binary, "install-codex", "--remove")
    dead = "ws://127.0.0.1:9/dead-from-the-start"
    told = runs_nothing_here(machine, models.Model(steps), ("codex",), CODEX_EXEC_SERVER_URL=dead)
    has(told, "No usable execution environment")


def test_codex_whose_environment_dies_runs_nothing(machine):
    machine.run(machine.binary, "connect", "test-box")

    def lose_it(results, shown):
        has(results[0], "alive")
        machine.plane.kill()
        machine.plane.wait()
        return f"touch '{machine.project}/made'"

    def again(results, shown):
        assert "exited with code 0" not in results[1], results[1]
        return "apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: made\n+x\n*** End Patch\nEOF"

    steps = [lambda results, shown: "echo alive", lose_it, again, lambda results, shown: Say("done")]
    runs_nothing_here(machine, models.Model(steps), (machine.binary, *OURS))


def fetches_and_runs_the_demo(machine, install):
    """From nothing: the shim of the installed plugin downloads the release's asset, checks it, and becomes what is in it."""
    install(machine)
    shim, cache = machine.installed_plugin() / "bin/runcode", machine.home / ".cache/runcode/bin"
    assert not cache.exists(), "something has run already"
    demo = machine.run(shim, "demo", RUNCODE_API_BASE="", RUNCODE_TOKEN="", RUNCODE_WEB_BASE="", timeout=100)
    has(demo.stdout, "$ runcode login", "$ runcode connect", "$ runcode exec")
    (cached,) = [path for path in cache.iterdir() if not path.name.endswith(".stamp")]
    assert cached.read_bytes() == machine.release.binary, "another program ran than what the release holds"
    assert f"/{machine.release.asset.name}" in machine.release.seen
    machine.run(shim, "--version", RUNCODE_DOWNLOAD_BASE="file:///nowhere")


def test_claudes_plugin_runs_the_demo(machine):
    fetches_and_runs_the_demo(machine, install_in_claude)


def test_the_release_runs_the_demo_from_codexs_plugin(machine):
    fetches_and_runs_the_demo(machine, install_in_codex)


def attempt(test, release):
    """What a test came to: None, or the text of its failure; and its seconds."""
    began, problem = time.monotonic(), None
    machine = Machine(release, *sys.argv[1:3])
    try:
        test(machine)
    except Exception:  # a failed test is a result of this program
        problem = traceback.format_exc()
    finally:
        machine.close()
    return problem, time.monotonic() - began


def main():
    failed, began, part = 0, time.monotonic(), "_".join(sys.argv[3:])
    named = [*globals().items(), *vars(tools).items(), *vars(sandboxed).items()]
    if shutil.which("mcp-inspector", path=sys.argv[1]) and shutil.which("conformance", path=sys.argv[1]):
        named += vars(protocol).items()
    else:
        print("SKIPPED: npm cannot fetch the protocol's own checks")
    own = [test for name, test in named if name.startswith("test_")]
    tests = [test for test in own + routed.TESTS if part in test.__name__]
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(4) as pool:
        release = Release(sys.argv[2], pathlib.Path(folder))
        for test, job in [(test, pool.submit(attempt, test, release)) for test in tests]:
            problem, seconds = job.result()
            print(f"{'FAILED' if problem else 'ok'} {test.__name__[5:].replace('_', ' ')}, {seconds:.0f} s")
            if problem:
                failed += 1
                print(problem)
        release.close()
    print(f"plugin, real clients, {time.monotonic() - began:.0f} s: {len(tests) - failed} passed, {failed} failed")
    sys.exit(1 if failed or not tests else 0)


main()
