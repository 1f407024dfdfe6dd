"""A primary, its replica and three Sentinels as real processes, for tests of failovers."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from config.up.child import end_with_parent
from tests.servers import WAIT_S, RedisServer, folder, program, spare_port

SERVICE = "ganglion"


class Group:
    """A primary with one replica, watched by Sentinels.

    Attributes:
        servers: Both servers; the first is the primary at the start.
        url: Their ``redis+sentinel://`` address.
    """

    def __init__(self, home: Path, *, kind: str, down_after_ms: int, sentinels: int = 3, **settings: str) -> None:
        self._home = home
        self._kind = kind
        self._down_after_ms = down_after_ms
        self.servers = [
            RedisServer(
                home / f"server-{number}", kind=kind, port=spare_port(), repl_diskless_sync_delay="0", **settings
            )
            for number in range(2)
        ]
        self.sentinel_ports = [spare_port() for _ in range(sentinels)]
        self._sentinels: list[subprocess.Popen[bytes]] = []
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinel_ports)
        self.url = f"redis+sentinel://{hosts}/{SERVICE}"

    def start(self) -> None:
        """Start everything, and return when the replica follows and the Sentinels know all of it."""
        first, second = (server.start() for server in self.servers)
        second.ask(f"REPLICAOF 127.0.0.1 {first.port}")
        wait(lambda: b"master_link_status:up" in (second.ask("INFO replication") or b""))
        for number in range(len(self.sentinel_ports)):
            self._start_sentinel(number)
        wait(lambda: all(b"status=ok,address=127.0.0.1" in about and b"slaves=1,sentinels=3" in about
                         for about in map(self.sentinel_info, self.sentinel_ports)))  # fmt: skip

    def stop(self) -> None:
        """End everything."""
        for process in self._sentinels:
            process.kill()
            process.wait(WAIT_S)
        for server in self.servers:
            server.kill()

    def primary(self) -> RedisServer | None:
        """The server that the Sentinels name now, by the first of them."""
        about = self.sentinel_info(self.sentinel_ports[0])
        return next((server for server in self.servers if f"address=127.0.0.1:{server.port},".encode() in about), None)

    def sentinel_info(self, port: int) -> bytes:
        """What a Sentinel says of itself."""
        return RedisServer(self._home / "asked", kind=self._kind, port=port).ask("INFO sentinel") or b""

    def _start_sentinel(self, number: int) -> None:
        first, second = self.servers
        others = [other for other in range(len(self.sentinel_ports)) if other != number]
        lines = [
            f"port {self.sentinel_ports[number]}", "bind 127.0.0.1", f"dir {self._home}",
            f"sentinel myid {_identity(number)}",
            f"sentinel monitor {SERVICE} 127.0.0.1 {first.port} 2",
            f"sentinel down-after-milliseconds {SERVICE} {self._down_after_ms}",
            f"sentinel failover-timeout {SERVICE} 6000",
            f"sentinel known-replica {SERVICE} 127.0.0.1 {second.port}",
            *(f"sentinel known-sentinel {SERVICE} 127.0.0.1 {self.sentinel_ports[other]} {_identity(other)}"
              for other in others),
        ]  # fmt: skip
        path = self._home / f"sentinel-{number}.conf"
        path.write_text("\n".join(lines) + "\n")
        with (self._home / f"sentinel-{number}.log").open("wb") as log:
            self._sentinels.append(
                subprocess.Popen(
                    [program(self._kind), path, "--sentinel"],
                    stdout=log, stderr=log, stdin=subprocess.DEVNULL, preexec_fn=end_with_parent,
                )
            )  # fmt: skip


def _identity(number: int) -> str:
    return f"{number + 1:040x}"


def wait(condition: object, within_s: float = WAIT_S) -> None:
    """Wait for a condition.

    Raises:
        RuntimeError: It did not come.
    """
    deadline = time.monotonic() + within_s
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise RuntimeError("The servers and Sentinels did not come together.")
        time.sleep(0.02)


@contextlib.contextmanager
def sentinel_group(kind: str = "valkey", down_after_ms: int = 1_000, **settings: str) -> Iterator[Group]:
    """A primary, a replica and three Sentinels inside the block."""
    with folder() as path:
        group = Group(path, kind=kind, down_after_ms=down_after_ms, **settings)
        try:
            group.start()
            yield group
        finally:
            group.stop()
