"""An agent that speaks A2A, on a real HTTP server of this machine."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from agents import cards


class Peer:
    """An A2A agent: a card, what it was asked, and the results that it gives one after the other."""

    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.results: list[Any] = []
        self.card: Any = {}
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.say(peer.card if self.path == cards.WELL_KNOWN else None)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                peer.asked.append(({k.lower(): v for k, v in self.headers.items()}, body))
                said = peer.results.pop(0)
                self.say(said if "error" in said else {"jsonrpc": "2.0", "id": body["id"], "result": said})

            def say(self, value: Any) -> None:
                raw = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(404 if value is None else 302 if value == b"elsewhere" else 200)
                if value == b"elsewhere":
                    self.send_header("Location", "/moved.json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(raw)

            def log_message(self, format: str, *args: Any) -> None: ...

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None: ...  # callers that hang up are meant

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def old_card(self, **more: Any) -> dict[str, Any]:
        return {
            "name": "Contract reader", "description": "Reads.", "version": "2.1", "protocolVersion": "0.3.0",
            "url": f"{self.url}/rpc", "preferredTransport": "JSONRPC", "capabilities": {},
            "defaultInputModes": ["application/json"], "defaultOutputModes": ["application/json"],
            "skills": [{"id": "Extract Parties", "name": "n", "description": "d", "tags": ["nda", "lease"]},
                       {"id": "sum", "name": "n", "description": "d", "tags": [], "inputModes": ["text/plain"]}],
            **more,
        }  # fmt: skip

    def new_card(self) -> dict[str, Any]:
        offered = [
            {"url": f"{self.url}/grpc", "protocolBinding": "GRPC", "protocolVersion": "1.0"},
            {"url": f"{self.url}/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
        ]
        return {"name": "Contract reader", "supportedInterfaces": offered, "skills": [{"id": "sum", "tags": ["a"]}]}
