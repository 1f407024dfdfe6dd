"""Restate's server with two partitions, and granian with the handlers."""

from __future__ import annotations

import json
import urllib.request

from bench.peers.environment import Environment
from bench.peers.peer import Engine, Peer, listens, until
from bench.stack import free_port

CONFIG = """
base-dir = "{folder}"
node-name = "bench"
cluster-name = "bench"
default-num-partitions = 2
disable-telemetry = true
log-filter = "warn"
log-format = "compact"
listen-mode = "tcp"
bind-address = "127.0.0.1:{fabric}"
advertised-address = "http://127.0.0.1:{fabric}"

[ingress]
bind-address = "127.0.0.1:{ingress}"

[admin]
bind-address = "127.0.0.1:{admin}"
disable-web-ui = true
"""


class RestatePeer(Peer):
    """Two partitions instead of 24, which cost less on two cores, and granian, which was faster than hypercorn."""

    name = "restate"
    title = "Restate"
    engines = (
        Engine("restate, service calls", "calls", target=4),
        Engine("restate, in process", "local", target=1.5),
    )
    packages = ("@restatedev/restate-server", "restate-sdk", "granian")
    durability = "each commit on disk (fsync of the log)"
    settings = "one node, default-num-partitions 2, telemetry off; granian, 1 worker, uvloop; results by HTTP ingress"

    def __init__(self, environment: Environment, step_s: float = 0.0) -> None:
        super().__init__(environment, step_s)
        self._handlers = free_port()
        self._registered = False

    def start_servers(self) -> None:
        """The server, which keeps log and state."""
        fabric, ingress, admin = free_port(), free_port(), free_port()
        path = self.home / "restate.toml"
        path.write_text(CONFIG.format(folder=self.home / "restate", fabric=fabric, ingress=ingress, admin=admin))
        self.run([self.environment.node_program("restate-server"), "--no-logo", "--config-file", str(path)])
        self.addresses["BENCH_RESTATE_URL"] = f"http://127.0.0.1:{ingress}"
        self._admin = f"http://127.0.0.1:{admin}"
        until(lambda: listens(admin) and listens(ingress), "Restate's server")

    def start_workers(self) -> None:
        """The handlers; the server is told of them when they start for the first time."""
        granian = ["--interface", "asginl", "--http", "2", "--port", str(self._handlers), "--no-ws", "--loop", "uvloop"]
        command = [self.environment.program("granian"), *granian, "--log-level", "warning"]
        self.start_worker(*command, "bench.peers.restate.app:app", announces="")
        until(lambda: listens(self._handlers), "granian")
        if not self._registered:
            self._register()

    def _register(self) -> None:
        body = json.dumps({"uri": f"http://127.0.0.1:{self._handlers}"}).encode()
        request = urllib.request.Request(
            f"{self._admin}/deployments", body, {"Content-Type": "application/json"}, method="POST"
        )  # fmt: skip
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            answer.read()
        self._registered = True
