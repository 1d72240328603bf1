"""The protocol's own checks, against `mcp` and `serve`: the inspector's command line, and the conformance suite."""

import http.server
import json
import queue
import subprocess
import threading

# What the conformance suite looks for, and a tool for everything else.
TOOLS = """
[config]
name = "checked"
[test_simple_text]
description = "Says a text."
command = ["/usr/bin/printf", "This is a simple text response for testing."]
run_as = ""
[test_error_handling]
description = "Fails."
command = ["/bin/sh", "-c", "echo 'This tool intentionally returns an error for testing'; exit 1"]
run_as = ""
[test_tool_with_progress]
description = "Takes its time."
command = ["/bin/sh", "-c", "for step in 0 50 100; do echo $step; sleep 0.4; done"]
run_as = ""
[sh]
description = "Runs a piece of shell."
command = ["/bin/sh", "-c"]
run_as = ""
[sh.args]
line = {type = "str", position = 1}
"""


def servers(machine):
    """The command lines of both, in an environment with an attached workspace."""
    tools = machine.dir / "serve.toml"
    tools.write_text(TOOLS)
    machine.run(machine.binary, "connect", "test-box")
    return {"mcp": [machine.binary, "mcp"], "serve": [machine.binary, "serve", "--config", tools]}


def test_the_inspector_finds_nothing_wrong(machine):
    commands = {name: {"command": str(words[0]), "args": [str(word) for word in words[1:]]} for name, words in servers(machine).items()}
    config = machine.dir / "servers.json"
    config.write_text(json.dumps({"mcpServers": commands}))

    def inspect(server, era, *words, **how):
        options = ["--config", config, "--server", server, "--protocol-era", era, "--format", "json", "--quiet"]
        return machine.run("mcp-inspector", "--cli", *options, *words, **how)

    for era in ("legacy", "modern", "auto"):
        # Strict: a schema problem in any client that the inspector knows fails it.
        for server, count in (("mcp", 17), ("serve", 4)):
            listed = inspect(server, era, "--method", "tools/list", "--strict")
            assert len(json.loads(listed.stdout)["result"]["tools"]) == count and not listed.stderr, listed
        called = inspect("mcp", era, "--method", "tools/call", "--tool-name", "exec", "--tool-arg", "command=echo to $((6*7))")
        assert json.loads(called.stdout)["result"]["content"][0]["text"].startswith("to 42\n[exit 0"), called
        failed = inspect("serve", era, "--method", "tools/call", "--tool-name", "sh", "--tool-arg", "line=exit 3", check=False)
        assert failed.returncode == 5 and "exit_code: 3" in failed.stdout, failed
        for server, tool, given in (("mcp", "exec", "command=echo x"), ("serve", "sh", "line=echo x")):
            load = ["--method", "tools/call", "--tool-name", tool, "--tool-arg", given, "--load", "--load-requests", "100"]
            told = json.loads(inspect(server, era, *load, "--load-concurrency", "16").stdout)
            told = told.get("result", told)
            assert (told["ok"], told["errors"], told["toolErrors"]) == (100, 0, 0), told


class Bridge(http.server.ThreadingHTTPServer):
    """Speaks HTTP, as the conformance suite does, for a server that speaks over its stdin and stdout."""

    daemon_threads = True

    def __init__(self, machine, command):
        super().__init__(("127.0.0.1", 0), Handler)
        self.process = subprocess.Popen(
            [str(word) for word in command],
            cwd=machine.project,
            env=machine.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.lock, self.waiting, self.count = threading.Lock(), {}, 0
        for work in (self.read, self.serve_forever):
            threading.Thread(target=work, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            message = json.loads(line)
            with self.lock:
                told = [self.waiting.pop(message["id"])] if "id" in message else list(self.waiting.values())
            for answers in told:
                answers.put(message)

    def send(self, message):
        """Passes it on under an id that no other client uses. Returns what will get the answers."""
        answers = queue.Queue()
        with self.lock:
            if "id" in message:
                self.count += 1
                message["id"] = self.count
                self.waiting[self.count] = answers
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()
        return answers

    def close(self):
        self.shutdown()
        self.server_close()
        self.process.stdin.close()
        assert self.process.wait(timeout=20) == 0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(405)
        self.end_headers()

    do_DELETE = do_GET

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        own = message.get("id")
        answers = self.server.send(message)
        self.send_response(202 if own is None else 200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        while own is not None:
            answer = answers.get(timeout=60)
            if "id" in answer:
                answer["id"], own = own, None
            self.wfile.write(b"event: message\ndata: " + json.dumps(answer).encode() + b"\n\n")

    def log_message(self, *_):
        pass


def test_the_conformance_checks_pass(machine):
    everywhere = ["server-initialize", "ping", "tools-list"]
    calls = ["tools-call-simple-text", "tools-call-error", "tools-call-with-progress"]
    commands = servers(machine)
    for server, scenarios in (("mcp", everywhere), ("serve", everywhere + calls)):
        bridge = Bridge(machine, commands[server])
        try:
            for scenario in scenarios:
                url = f"http://127.0.0.1:{bridge.server_port}/mcp"
                done = machine.run("conformance", "server", "--url", url, "--scenario", scenario, "--verbose", cwd=machine.dir, check=False)
                assert done.returncode == 0 and '"SUCCESS"' in done.stdout, f"{server}, {scenario}\n{done.stdout}\n{done.stderr}"
        finally:
            bridge.close()
