"""Made-up histories that are kept under ``build/bench``, so that a million rows are filled once."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.stack import CLEARED, ROOT, StackFailed

KEPT = ROOT / "build" / "bench" / "histories"
SHAPE = 1  # raised when what is filled changes, so that nothing older is taken for it


def sqlite(rows: int) -> Path:
    """A folder whose ``ganglion.sqlite3`` holds so many workflows; it is not to be changed."""
    home = KEPT / f"sqlite-{rows}-{SHAPE}"
    if not (home / "complete").exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        _fill({"GANGLION_HOME": str(home)}, rows)
        (home / "complete").touch()
    return home


@contextlib.contextmanager
def postgresql(rows: int) -> Iterator[str]:
    """A PostgreSQL server whose database holds so many workflows; it ends with the block, its data stays.

    Yields:
        Its ``DATABASE_URL``.

    Raises:
        ServerMissing: PostgreSQL is not installed here.
    """
    from tests import servers

    home = KEPT / f"postgresql-{rows}-{SHAPE}"
    complete = home.with_suffix(".complete")
    if not complete.exists():
        shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True, exist_ok=True)
    with servers.postgresql(kept=home) as url:
        if not complete.exists():
            _fill({"DATABASE_URL": url, "GANGLION_HOME": str(KEPT / "home")}, rows)
            complete.touch()
        yield url


def only_ended(path: Path) -> None:
    """End what lives in a SQLite history, as when nothing runs."""
    with contextlib.closing(sqlite3.connect(path)) as history, history:
        history.execute(
            "UPDATE dashboard_workflow SET state = 'completed', finished_at = updated_at, duration_ms = 1000,"
            " owner = '', retrying = 0 WHERE finished_at IS NULL"
        )
        history.execute(
            "UPDATE dashboard_escalation SET state = 'withdrawn', resolved_at = opened_at WHERE state = 'open'"
        )


def manage(environ: dict[str, str], *command: str) -> str:
    """Run a Python program of this repository on a history; returns what it prints.

    Raises:
        StackFailed: It failed.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GANGLION_") and k not in CLEARED}
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env={**kept, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise StackFailed(f"{' '.join(command)}: {' | '.join(done.stderr.strip().splitlines()[-3:])}")
    return done.stdout


def _fill(environ: dict[str, str], rows: int) -> None:
    manage(environ, "manage.py", "migrate", "-v0")
    if rows:
        manage(environ, "-m", "bench.history.fill", str(rows))
