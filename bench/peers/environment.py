"""An environment for each peer, made on first use: its pinned packages, and none of them in Ganglion's own."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.stack import ROOT

HERE = Path(__file__).resolve().parent
MADE = ROOT / "build" / "peers"
INSTALL_S = 900.0

_ABOUT = """
import importlib.metadata as m, json, sys
def licence(about):
    names = [c.rpartition(" :: ")[2] for c in about.get_all("Classifier") or () if c.startswith("License ::")]
    return about.get("License-Expression") or ", ".join(names) or (about.get("License") or "unknown").splitlines()[0]
print(json.dumps({n: [m.version(n), licence(m.metadata(n))] for n in sys.argv[1:]}))
"""


class Unavailable(Exception):
    """A peer cannot be had on this machine; says why in one line."""


@dataclass(frozen=True)
class Environment:
    """Where the packages of a peer are."""

    folder: Path

    @property
    def python(self) -> str:
        """Its interpreter."""
        return self.program("python")

    def program(self, name: str) -> str:
        """A program that its Python packages brought."""
        return str(self.folder / "bin" / name)

    def node_program(self, name: str) -> str:
        """A program that its npm packages brought."""
        return str(self.folder / "node_modules" / ".bin" / name)

    def packages(self, names: tuple[str, ...]) -> dict[str, tuple[str, str]]:
        """Version and licence of packages, as they say themselves; a name with a slash is an npm package."""
        from_python = [name for name in names if "/" not in name]
        command = [self.python, "-c", _ABOUT, *from_python]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
        found = {name: (version, licence) for name, (version, licence) in json.loads(answer.stdout).items()}
        for name in set(names) - set(from_python):
            about = json.loads((self.folder / "node_modules" / name / "package.json").read_text(encoding="utf-8"))
            found[name] = (about["version"], about["license"])
        return {name: found[name] for name in names}


def prepare(name: str) -> Environment:
    """The environment of a peer, made anew only when what it pins has changed.

    Raises:
        Unavailable: A package manager is missing, or a package cannot be had here.
    """
    pins = [HERE / name / file for file in ("requirements.txt", "package.json", "package-lock.json")]
    pins = [path for path in pins if path.exists()]
    folder, log = MADE / name, MADE / f"{name}.log"
    stamp = hashlib.sha256(b"".join(path.read_bytes() for path in pins) + sys.version.encode()).hexdigest()
    if (folder / "stamp").exists() and (folder / "stamp").read_text(encoding="ascii") == stamp:
        return Environment(folder)
    shutil.rmtree(folder, ignore_errors=True)
    MADE.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    if not any(_ran(commands, folder, log) for commands in _installers(folder, pins[0])):
        raise Unavailable(f"its Python packages could not be installed ({_reason(log)}): see {log}")
    if len(pins) > 1:
        _install_node(folder, pins[1:], log)
    (folder / "stamp").write_text(stamp, encoding="ascii")
    return Environment(folder)


def _installers(folder: Path, requirements: Path) -> list[list[list[str]]]:
    """The ways to make an environment, quickest first."""
    python = str(folder / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "-r", str(requirements)]
    ways = [[[sys.executable, "-m", "venv", "--clear", str(folder)], pip]]
    uv = [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else [shutil.which("uv") or ""]
    if uv[0]:
        install = [*uv, "pip", "install", "--quiet", "--python", python, *_index(), "-r", str(requirements)]
        ways.insert(0, [[*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], install])
    return ways


def _index() -> list[str]:
    """The package index that pip is told to use, which uv does not ask for by itself."""
    command = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    index = os.environ.get("PIP_INDEX_URL") or asked
    return ["--index-url", index] if index else []


def _install_node(folder: Path, pins: list[Path], log: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable("npm is not on PATH: install Node.js 20 or newer")
    for path in pins:
        shutil.copy(path, folder)
    if not _ran([[npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]], folder, log):
        raise Unavailable(f"its npm packages could not be installed ({_reason(log)}): see {log}")


def _ran(commands: list[list[str]], folder: Path, log: Path) -> bool:
    """Run commands one after another as long as they succeed."""
    environ = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    with log.open("ab") as stream:
        for command in commands:
            cwd = folder if folder.exists() else ROOT
            try:
                subprocess.run(
                    command, cwd=cwd, env=environ, stdout=stream, stderr=stream, check=True, timeout=INSTALL_S
                )  # fmt: skip
            except (OSError, subprocess.SubprocessError) as error:
                stream.write(f"{error}\n".encode())
                return False
    return True


def _reason(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    told = [line for line in lines if "error" in line.lower() or "no matching" in line.lower()]
    return (told or lines or ["no reason was given"])[-1][:200]
