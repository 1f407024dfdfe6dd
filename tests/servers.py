"""Real servers for tests, each in a temporary folder, on a spare port or a socket, ended by its own process id.

As a program it starts servers, runs a command against them, and ends them:
``python -m tests.servers --redis redis --database postgresql -- python -m pytest tests/integration``
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from config.up import server as embedded
from config.up.child import end_with_parent

WAIT_S = 30.0


class ServerMissing(Exception):
    """A server's program cannot be found here."""


def spare_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(kind: str) -> Path:
    """The program of a server: ``valkey`` is the embedded one, ``redis`` the system's."""
    if kind == "valkey":
        return embedded.program()
    found = shutil.which("redis-server")
    if found is None:
        raise ServerMissing("redis-server is not on PATH: install it, on Debian by apt-get install redis-server.")
    return Path(found)


class RedisServer:
    """One server of the Redis family that can be stopped, killed, frozen and started again on its data."""

    def __init__(
        self, folder: Path, *, kind: str = "valkey", port: int = 0, path: Path | None = None, **settings: str
    ) -> None:
        self.folder = folder
        self.port = port
        self.path = path
        self.url = f"unix://{path}" if path else f"redis://127.0.0.1:{port}/0"
        folder.mkdir(parents=True, exist_ok=True)
        self._command = embedded.command(program(kind), folder, path=path, port=port)
        for name, value in settings.items():
            self._command += [f"--{name.replace('_', '-')}", value]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id while it runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> RedisServer:
        """Start, and return when it takes commands."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env={**os.environ, **embedded.environment()}, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, preexec_fn=end_with_parent,
            )  # fmt: skip
        deadline = time.monotonic() + WAIT_S
        while self.ask("PING") != b"+PONG\r\n":
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"{self._command[0]} did not start: {embedded.log_path(self.folder).read_text()[-600:]}"
                )
            time.sleep(0.01)
        return self

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it; with SIGKILL nothing more is written."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            self._process.wait(WAIT_S)
            self._process = None

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.stop(signal.SIGKILL)

    def send(self, number: int) -> None:
        """Send a signal, as SIGSTOP and SIGCONT."""
        assert self._process is not None
        self._process.send_signal(number)

    def ask(self, line: str) -> bytes | None:
        """Send one inline command; None when nobody answers."""
        family = socket.AF_UNIX if self.path else socket.AF_INET
        with socket.socket(family) as connection:
            connection.settimeout(5)
            try:
                connection.connect(str(self.path) if self.path else ("127.0.0.1", self.port))
                connection.sendall(f"{line}\r\n".encode())
                return connection.recv(65_536)
            except OSError:
                return None


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A temporary folder with a short path, because sockets' paths are limited."""
    path = Path(tempfile.mkdtemp(prefix="gt-", dir="/tmp"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def redis_server(kind: str = "valkey", **settings: str) -> Iterator[RedisServer]:
    """One server on a spare loopback port."""
    with folder() as path:
        running = RedisServer(path, kind=kind, port=spare_port(), **settings).start()
        try:
            yield running
        finally:
            running.stop()


@contextlib.contextmanager
def cluster(nodes: int = 3) -> Iterator[str]:
    """A cluster of the embedded server that covers all slots.

    Yields:
        Its ``redis+cluster://`` address.
    """
    with folder() as path, contextlib.ExitStack() as stack:
        running = []
        for number in range(nodes):
            node = RedisServer(
                path / str(number), port=_cluster_port(), cluster_enabled="yes", cluster_node_timeout="2000"
            )
            running.append(node.start())
            stack.callback(node.stop)
        share = 16_384 // nodes
        for number, node in enumerate(running):
            last = 16_383 if number == nodes - 1 else (number + 1) * share - 1
            _expect(node, f"CLUSTER ADDSLOTSRANGE {number * share} {last}")
            _expect(running[0], f"CLUSTER MEET 127.0.0.1 {node.port}")
        deadline = time.monotonic() + WAIT_S
        while not all(
            b"cluster_state:ok" in about and f"cluster_known_nodes:{nodes}".encode() in about
            for about in ((node.ask("CLUSTER INFO") or b"") for node in running)
        ):
            if time.monotonic() > deadline:
                raise RuntimeError("The cluster did not form.")
            time.sleep(0.05)
        yield f"redis+cluster://127.0.0.1:{running[0].port}"


def _cluster_port() -> int:
    while True:
        port = spare_port()
        if port < 55_000:  # the nodes talk to each other on port + 10,000
            return port


def _expect(node: RedisServer, line: str) -> None:
    answer = node.ask(line)
    if answer != b"+OK\r\n":
        raise RuntimeError(f"{line}: {answer!r}")


def postgresql_programs() -> Path:
    """The folder with PostgreSQL's programs: the one on PATH, else the newest of Debian's."""
    found = shutil.which("postgres")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders or not (folders[-1] / "initdb").exists():
        raise ServerMissing(
            "PostgreSQL's programs cannot be found: install them, on Debian by apt-get install postgresql."
        )
    return folders[-1]


@contextlib.contextmanager
def postgresql(kept: Path | None = None) -> Iterator[str]:
    """PostgreSQL on a socket and a spare port; as root it runs as the user ``postgres``, because it refuses root.

    Args:
        kept: A folder whose data stay for the next time; without one they are gone with the server.

    Yields:
        Its ``DATABASE_URL``.
    """
    programs = postgresql_programs()
    as_user: dict[str, str] = {}
    with folder() as path:
        if os.getuid() == 0:
            as_user = {"user": "postgres", "group": "postgres"}
            account = pwd.getpwnam("postgres")
            for owned in (path, kept) if kept else (path,):
                os.chown(owned, account.pw_uid, account.pw_gid)
        data, port = (kept or path) / "data", spare_port()
        options = {"check": True, "capture_output": True, "cwd": path, "extra_groups": [] if as_user else None}
        if not data.exists():
            subprocess.run(
                [programs / "initdb", "-D", data, "-U", "ganglion", "--auth=trust", "--no-sync", "-E", "UTF8"],
                **options, **as_user,
            )  # fmt: skip
        settings = [
            "fsync=off", "full_page_writes=off", "listen_addresses=127.0.0.1", f"unix_socket_directories={path}"
        ]  # fmt: skip
        with (path / "log").open("wb") as log:
            process = subprocess.Popen(
                [programs / "postgres", "-D", data, "-p", str(port), *(p for s in settings for p in ("-c", s))],
                stdout=log, stderr=log, cwd=path, **as_user,
            )  # fmt: skip
        try:
            deadline = time.monotonic() + WAIT_S
            ready = [programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port), "-U", "ganglion"]
            while subprocess.run(ready, capture_output=True, check=False).returncode:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL did not start: {(path / 'log').read_text()[-600:]}")
                time.sleep(0.05)
            yield f"postgresql://ganglion@127.0.0.1:{port}/postgres"
        finally:
            process.send_signal(signal.SIGINT)  # ends at once, sessions included
            process.wait(WAIT_S)


def main() -> int:
    """Run a command against the servers that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers")
    parser.add_argument("--redis", choices=("valkey", "redis", "cluster"))
    parser.add_argument("--database", choices=("postgresql",))
    parser.add_argument("command", nargs=argparse.REMAINDER)
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are ended on the way out
    environ = dict(os.environ)
    with contextlib.ExitStack() as stack:
        if chosen.redis == "cluster":
            environ["GANGLION_TEST_REDIS_URL"] = stack.enter_context(cluster())
            environ["GANGLION_TEST_CLUSTER"] = "1"
            single = stack.enter_context(redis_server())
            environ["GANGLION_CHANNELS_URL"] = environ["GANGLION_BROKER_URL"] = single.url
        elif chosen.redis:
            environ["GANGLION_TEST_REDIS_URL"] = stack.enter_context(redis_server(chosen.redis)).url
        if chosen.database:
            environ["DATABASE_URL"] = stack.enter_context(postgresql())
        command = chosen.command[1:] if chosen.command[:1] == ["--"] else chosen.command
        return subprocess.run(command, env=environ, check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ServerMissing, RuntimeError) as error:
        sys.exit(f"tests.servers: {error}")
