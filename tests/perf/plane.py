"""A control plane with one running workspace, `box`, that grants whatever `bundle(request)` says."""

import http.server
import json
import threading
import time


def serve(bundle):
    """Serves on a free loopback port; the server, to be shut down."""
    class Plane(http.server.BaseHTTPRequestHandler):
        def answer(self, document):
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            row = {"id": 1, "title": "box", "provider": "aws", "current_state": "running"}
            self.answer({"error": False, "data": {"workspaces": [row]}})

        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1800))
            self.answer({"error": False, "bundle": {"host": "127.0.0.1", "expires_at": until,
                                                    "credential": {"type": "key", "certificate": None}, **bundle(request)}})

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Plane)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
