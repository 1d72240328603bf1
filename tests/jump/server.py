#!/usr/bin/env python3
"""A server of tools for tests. The name of the folder that it lies in says how it behaves."""
import base64, json, os, signal, sys, time

mode = os.path.basename(os.path.dirname(os.path.abspath(sys.argv[0])))
here = os.path.dirname(os.path.abspath(sys.argv[0]))
assert sys.argv[1:] == ["serve"], sys.argv
out = sys.stdout.buffer


def write(data):
    out.write(data)
    out.flush()


def send(**message):
    write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


def record(text):
    with open(os.path.join(here, "record"), "a") as file:
        file.write(text + "\n")


def output(request, stream, data):
    params = {"requestId": request, "stream": stream, "data": base64.b64encode(data).decode()}
    send(method="notifications/io.runcode/output", params=params)


TOOLS = [
    {
        "name": "deploy",
        "description": "Deploys\x1b[2J it.",
        "x-autonomy": "confirm",
        "inputSchema": {
            "type": "object",
            "properties": {
                "env": {"type": "string", "enum": ["staging", "production"], "description": "Where to"},
                "dry_run": {"type": "boolean", "default": False},
                "count": {"type": "integer", "minimum": 1, "maximum": 9},
                "file": {"type": "string", "x-position": 1},
            },
            "required": ["env"],
            "additionalProperties": False,
        },
    },
    {"name": "plain", "inputSchema": {"type": "object", "properties": {}}},
]


def call(request, name, arguments):
    record("call " + json.dumps(arguments, sort_keys=True))
    text = lambda text: [{"type": "text", "text": text}]
    if mode == "live":
        output(request + 1, "stdout", b"of another call")
        output(request, "stdout", b"out\xff\n")
        output(request, "stderr", b"err\x00")
        output(request, "stdout", b"more")
        meta = {"io.runcode/result": {"exit_code": 7, "signal": None}, "runspec": {"exit_code": 1, "duration_ms": 5}}
        return send(id=request, result={"content": [], "isError": True, "_meta": meta})
    if mode == "failed":
        content = text("exit_code: -15\nstdout:\nout\nstderr:\nerr\nstderr:\nmore")
        meta = {"runspec": {"tool": name, "duration_ms": 5, "exit_code": -15}}
        return send(id=request, result={"content": content, "isError": True, "_meta": meta})
    if mode == "image":
        return send(id=request, result={"content": [{"type": "image", "data": "AAAA", "mimeType": "image/png"}]})
    if mode == "dies":
        os._exit(0)
    if mode == "refuses":
        return send(id=request, error={"code": -32000, "message": "no\x1b way"})
    if mode in ("hangs", "stubborn"):
        if mode == "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        record("hangs")
        for line in sys.stdin:
            record(line.strip())
        record("end of stdin")
        time.sleep(600)
    meta = {"runspec": {"tool": name, "duration_ms": 5, "exit_code": 0}}
    sys.stderr.write("live\n")
    send(id=request, result={"content": text("done " + json.dumps(arguments, sort_keys=True)), "_meta": meta})


if mode == "exits":
    sys.exit("cannot serve")
if mode == "silent":
    record("silent")
    time.sleep(600)
if mode in ("motd", "endless-motd"):
    for number in range(3 if mode == "motd" else 200):
        write(b"Welcome\x1b[2J %d\n" % number)
if mode == "long":
    chunk = b"x" * (1 << 20)
    write(b'{"jsonrpc":"2.0","id":1,"result":"')
    while True:
        write(chunk)

for line in sys.stdin:
    message = json.loads(line)
    method, request = message.get("method"), message.get("id")
    if method is None:
        record("reply " + json.dumps(message, sort_keys=True))
    elif method == "initialize":
        if mode == "garbage":
            send(method="notifications/x")
            write(b"oops \x1b[2J\n")
        if mode == "latin":
            write(b'{"jsonrpc":"2.0","id":1,"result":{"a":"\xff"}}\n')
        if mode == "chatty":
            send(id=99, result={"protocolVersion": "nope"})
            send(id="1", result={})
            send(method="notifications/message", params={"text": "hi"})
            send(id="p", method="ping")
            send(id=7, method="roots/list")
        while mode == "asks":
            send(id="p" * 500, method="ping")
        if mode == "error":
            send(id=request, error={"code": -1, "message": "go\x1b away"})
            continue
        version = "2031-01-01" if mode == "future" else "2024-11-05"
        send(id=request, result={"protocolVersion": version, "serverInfo": {"name": "box\x1b", "version": "1"}})
    elif method == "tools/list":
        cursor = message["params"].get("cursor")
        if mode == "crowded":
            send(id=request, result={"tools": [{"name": "t", "inputSchema": [0] * 300_000}]})
        elif mode == "many":
            page = [{"name": "t", "inputSchema": {}}] * 600
            send(id=request, result={"tools": page, "nextCursor": "again"})
        elif mode == "pages" and cursor is None:
            send(id=request, result={"tools": TOOLS[:1], "nextCursor": "2"})
        elif mode == "pages":
            send(id=request, result={"tools": TOOLS[1:]})
        else:
            send(id=request, result={"tools": TOOLS})
    elif method == "tools/call":
        call(request, message["params"]["name"], message["params"]["arguments"])
