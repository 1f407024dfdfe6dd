"""What the person asked ``bin/up`` for, by its arguments and the environment."""

from __future__ import annotations

import argparse
import dataclasses
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent.parent

ENVIRONMENT = """\
environment:
  REDIS_URL        a Redis (7.0 or newer) or Valkey server to use in place of the embedded one
  DATABASE_URL     postgresql://user:password@host/database, in place of SQLite
  GANGLION_HOME    the data folder, as --home
  GANGLION_EXTRA_APPS  comma list of further applications with workflows.py and agents.py
"""


@dataclasses.dataclass(frozen=True)
class Options:
    """The choices of one run."""

    port: int
    home: Path
    hosts: int
    redis_url: str | None  # None: the embedded server
    database_url: str | None  # None: SQLite in the home folder

    @property
    def sqlite_path(self) -> Path | None:
        """The SQLite file; none when PostgreSQL is used."""
        if self.database_url is None:
            return self.home / "ganglion.sqlite3"
        parts = urlsplit(self.database_url)
        return Path(unquote(parts.path)) if parts.scheme == "sqlite" else None

    @property
    def address(self) -> str:
        """Where the console answers."""
        return f"http://127.0.0.1:{self.port}"


def read(arguments: list[str]) -> Options:
    """Read the arguments; a wrong one ends the program with exit code 2 and one line."""
    parser = argparse.ArgumentParser(
        prog="bin/up",
        description="Sets up and runs Ganglion on this machine, until Ctrl-C.",
        epilog=ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="bin/up [--port PORT] [--home FOLDER] [--hosts N]",
    )
    parser.add_argument("--port", type=_port, default=8000, help="the console's port on 127.0.0.1 (default 8000)")
    parser.add_argument(
        "--home",
        type=Path,
        default=Path(os.environ.get("GANGLION_HOME") or ROOT / ".ganglion"),
        help="the folder that keeps all data (default .ganglion beside bin)",
    )
    parser.add_argument("--hosts", type=_count, default=2, metavar="N", help="coordinator hosts (default 2)")
    parser.error = _error  # type: ignore[method-assign,assignment]
    chosen = parser.parse_args(arguments)
    return Options(
        port=chosen.port,
        home=chosen.home.expanduser().absolute(),
        hosts=chosen.hosts,
        redis_url=os.environ.get("REDIS_URL") or None,
        database_url=os.environ.get("DATABASE_URL") or None,
    )


def _error(message: str) -> None:
    from config.up.problems import CannotStart

    raise CannotStart(f"{message}; bin/up --help lists what it takes.")


def _port(text: str) -> int:
    port = int(text) if text.isdigit() else 0
    if not 1 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: use a number from 1 to 65535")
    return port


def _count(text: str) -> int:
    count = int(text) if text.isdigit() else 0
    if not 1 <= count <= 64:
        raise argparse.ArgumentTypeError(f"{text!r} does not fit: use a number from 1 to 64")
    return count
