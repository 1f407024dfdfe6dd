"""What must be done before the processes start, each part skipped when nothing has changed since it was done."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import sys
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

from config.up.options import ROOT, Options
from config.up.output import Output
from config.up.problems import CannotStart

PACKAGES = ("agents", "config", "coordination", "dashboard", "examples")


class Preparation:
    """Remembers in the home folder, by digests, what has been done for which files."""

    def __init__(self, options: Options, output: Output, environ: Mapping[str, str]) -> None:
        self._options = options
        self._output = output
        self._environ = environ
        self._path = options.home / "prepared.json"
        try:
            self._done: dict[str, str] = json.loads(self._path.read_text())
        except (OSError, ValueError):
            self._done = {}

    async def all(self) -> None:
        """Bring the tables, the static files and the examples' model up to date, side by side."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tables(), name="tables")
            group.create_task(self._static_files(), name="static files")
            group.create_task(self._model(), name="model")

    async def _tables(self) -> None:
        files = [path for package in PACKAGES for path in (ROOT / package).rglob("migrations/*.py")]
        wanted = _digest([*files, ROOT / "requirements.txt"])
        if self._done.get("tables") == f"{wanted} {self._applied()}":
            return
        await self._manage("migrate", "--no-input", "--verbosity=0")
        self._remember("tables", f"{wanted} {self._applied()}")

    def _applied(self) -> int:
        """How many migrations the database knows, so that one put back from a copy, or another one, is noticed."""
        count = "SELECT count(*) FROM django_migrations"
        path = self._options.sqlite_path
        if path is None:
            import psycopg

            try:
                with psycopg.connect(self._options.database_url or "", connect_timeout=5) as remote:
                    row = remote.execute(count).fetchone()
                    return int(row[0]) if row else 0
            except psycopg.Error:
                return 0
        if not path.exists():
            return 0
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
                return int(connection.execute(count).fetchone()[0])
        except sqlite3.Error:
            return 0

    async def _static_files(self) -> None:
        folders = [ROOT / "static", *(ROOT / "examples").glob("*/static")]
        wanted = _digest(path for folder in folders for path in folder.rglob("*") if path.is_file())
        target = Path(self._environ.get("GANGLION_STATIC_ROOT", self._options.home / "static"))
        if (target / "staticfiles.json").exists() and self._done.get("static files") == wanted:
            return
        await self._manage("collectstatic", "--no-input", "--clear", "--verbosity=0")
        self._remember("static files", wanted)

    async def _model(self) -> None:
        wanted = _digest([*(ROOT / "examples" / "legal_review").rglob("*.py"), ROOT / "requirements.txt"])
        stored = any((self._options.home / "legal_review").glob("*"))
        if stored and self._done.get("model") == wanted:
            return
        await self._manage("train_legal_review")
        self._remember("model", wanted)

    def _remember(self, name: str, value: str) -> None:
        self._done[name] = value
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(self._done))
        draft.replace(self._path)

    async def _manage(self, *arguments: str) -> None:
        await manage(self._environ, self._output, *arguments)


async def manage(environ: Mapping[str, str], output: Output, *arguments: str) -> str:
    """Run a management command to its end.

    Returns:
        What it printed.

    Raises:
        CannotStart: It failed; the message ends with its last line.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "manage.py"),
        *arguments,
        cwd=ROOT,
        env=dict(environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        printed, complaints = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if process.returncode:
        lines = (complaints or printed).decode(errors="replace").strip().splitlines() or ["it said nothing"]
        for line in lines[:-1]:
            output.line("setup", line)
        raise CannotStart(f"The set-up by manage.py {arguments[0]} failed: {lines[-1]}")
    return printed.decode()


def _digest(paths: Iterable[Path]) -> str:
    """A digest of files' names, sizes and times: cheap, and changed whenever a file is written."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        status = path.stat()
        digest.update(f"{path.relative_to(ROOT)} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
