"""The Lua scripts: loaded once, named by file, with their number of keys in the name."""

from __future__ import annotations

import functools
import hashlib
import re
from pathlib import Path
from typing import Any

import msgspec

from coordination.errors import GanglionError

_FOLDER = Path(__file__).parent / "lua"
_INCLUDE = re.compile(r"^--- include (\w+)$", re.MULTILINE)

# What scripts answer instead of a result; the same numbers stand in lua/_answers.lua.
GONE = -1
STALE = -2
FINISHED = -3
DUPLICATE = -4
HELD = -5
CONFLICT = -6
UNREAD = -7
REFUSED = -8


class Script(msgspec.Struct, frozen=True):
    """One script as Redis runs it."""

    name: str
    keys: int
    source: bytes
    sha: bytes


def _read(path: Path) -> bytes:
    text = path.read_text(encoding="utf-8")
    expanded = _INCLUDE.sub(lambda match: (_FOLDER / f"_{match[1]}.lua").read_text(encoding="utf-8"), text)
    return expanded.encode()


@functools.cache
def all_scripts() -> dict[str, Script]:
    """Every script by its name, without the number of keys."""
    scripts = {}
    for path in sorted(_FOLDER.glob("[!_]*.lua")):
        name, _, keys = path.stem.rpartition("-")
        source = _read(path)
        scripts[name] = Script(
            name, int(keys), source, hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()
        )
    return scripts


@functools.cache
def get(name: str) -> Script:
    """One script by its name.

    Raises:
        GanglionError: There is no such script; the installation is incomplete.
    """
    try:
        return all_scripts()[name]
    except KeyError:
        raise GanglionError(f"Script {name!r} is missing from {_FOLDER}: reinstall Ganglion.") from None


def whole(command: tuple[Any, ...]) -> tuple[Any, ...]:
    """A command that any server understands: a script goes with its source."""
    return ("EVAL", _sources()[command[1]], *command[2:]) if command[0] == "EVALSHA" else command


@functools.cache
def _sources() -> dict[bytes, bytes]:
    return {script.sha: script.source for script in all_scripts().values()}
