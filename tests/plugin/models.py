"""Model servers on loopback that play a script: the Messages API for Claude Code, the Responses API for Codex.

A script is a list of steps. A step is a function that gets the conversation so far, as one text per tool result, and
the whole request as JSON text; it returns a shell command to run, `Call(tool, …)` for another tool, or `Say(text)` to end the turn.
"""

import http.server
import json
import threading


class Say(str):
    """The model's last word, instead of a command."""


class Call:
    """Another tool than the shell."""

    def __init__(self, tool, **given):
        self.tool, self.given = tool, given


class Plain(Call):
    """A tool of Codex's own, called without a script."""


class Model(http.server.ThreadingHTTPServer):
    """Counts tool results to know which step it is at, so that a repeated request gets the same answer."""

    daemon_threads = True

    def __init__(self, script):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.requests, self.problems = script, [], []
        self.base = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def answer(self, request, results):
        self.requests.append(request)
        try:
            return self.script[min(len(results), len(self.script) - 1)](results, json.dumps(request, ensure_ascii=False))
        except Exception as problem:  # told to the test's main thread; the client gets a harmless end
            self.problems.append(f"step {len(results)}: {type(problem).__name__}: {problem}")
            return Say("the script failed")

    def close(self):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.reply(json.dumps({"data": [], "models": []}), "application/json")

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        if self.path.split("?")[0].endswith("/responses"):
            self.reply(responses(self.server, request))
        elif self.path.split("?")[0].endswith("/messages"):
            self.reply(messages(self.server, request))
        else:
            self.reply('{"input_tokens": 1}', "application/json")

    def reply(self, body, kind="text/event-stream"):
        data = body.encode()
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def events(*all_events):
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in all_events)


def text_of(content):
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content or [] if isinstance(part, dict))


def messages(model, request):
    """One streamed answer of the Messages API. Side requests, which have no Bash tool, get a plain word."""
    parts = [part for message in request["messages"] for part in message["content"] if isinstance(part, dict)]
    results = [text_of(part.get("content")) for part in parts if part.get("type") == "tool_result"]
    main = any(tool.get("name") == "Bash" for tool in request.get("tools", []))
    said = model.answer(request, results) if main else Say("ok")
    if isinstance(said, Say):
        block, delta, reason = {"type": "text", "text": ""}, {"type": "text_delta", "text": str(said)}, "end_turn"
    else:
        call = said if isinstance(said, Call) else Call("Bash", command=said, description="A step of the test")
        block, given = {"type": "tool_use", "id": f"toolu_{len(results)}", "name": call.tool, "input": {}}, call.given
        delta, reason = {"type": "input_json_delta", "partial_json": json.dumps(given)}, "tool_use"
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": f"msg_{len(results)}", "type": "message", "role": "assistant", "model": request["model"], "content": []}
    message |= {"stop_reason": None, "stop_sequence": None, "usage": usage}
    return events(
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    )


def responses(model, request):
    """One streamed answer of the Responses API."""
    kinds = ("function_call_output", "custom_tool_call_output")
    outputs = [item for item in request["input"] if item.get("type") in kinds]
    results = [item["output"] if isinstance(item["output"], str) else text_of(item["output"]) for item in outputs]
    said = model.answer(request, results)
    if isinstance(said, Say):
        item = {"type": "message", "role": "assistant", "id": "m", "content": [{"type": "output_text", "text": str(said)}]}
    elif isinstance(said, Plain):
        item = {"type": "function_call", "id": f"f{len(results)}", "call_id": f"c{len(results)}", "name": said.tool}
        item["arguments"] = json.dumps(said.given)
    elif isinstance(said, Call):  # from a script of the model's
        script = f"text((await tools.{said.tool}({json.dumps(said.given)})).content[0].text)"
        item = {"type": "custom_tool_call", "id": f"f{len(results)}", "call_id": f"c{len(results)}", "name": "exec", "input": script}
    else:
        given = json.dumps({"cmd": said, "yield_time_ms": 20000})
        item = {"type": "function_call", "id": f"f{len(results)}", "call_id": f"c{len(results)}"}
        item |= {"name": "exec_command", "arguments": given}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    usage |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    return events(
        {"type": "response.created", "response": {"id": f"r{len(results)}"}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {"id": f"r{len(results)}", "usage": usage}},
    )
