"""The stages of ``bin/test``, one after the other, each to its end, and one closing line for all of them."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import glob
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from config.up.child import end_with_parent
from tests import servers

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
KINDS = ("style", "unit", "lua", "integration", "faults", "browser")
VERSIONS = ("3.11", "3.12", "3.13")
_PYTEST, _WORKER = "-m pytest", "exec(eval(sys.stdin.readline()))"  # in the commands of pytest and of its workers
NO_TESTS = 5  # pytest's exit code when nothing matched
SHORT_FAULTS = (
    "host_kill", "host_zombie", "host_term", "agent_kill", "agent_stop", "relay_kill", "server_kill", "server_stop",
    "web_kill", "jobs_kill", "connections_cut", "replies_dropped", "loop_blocked", "run_exits", "huge", "duplicates",
)  # fmt: skip
_ALONE, _BESIDE = 4, 2  # workers of a stage that runs alone, and of those that run side by side
_STAGE_S, _RUN_S = 2_700.0, 4_800.0  # what a stage, and all of them, may take; with --long, ten times as much
_LEAST_S = 60.0  # what a command gets in any case
_UNSTEADY = 20  # failures that may come from a busy machine; more of them are a defect and get no second try


@dataclasses.dataclass
class Counts:
    """What a stage showed."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, other: Counts) -> None:
        """Take another stage's figures in."""
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


@dataclasses.dataclass(frozen=True)
class Stage:
    """One command."""

    name: str
    command: list[str]
    is_pytest: bool = True


class Run:
    """Collects what the stages show."""

    def __init__(self, extra: list[str], long: bool = False) -> None:
        self.total = Counts()
        self.lines: list[str] = []
        self._extra = extra
        self._stage_s = _STAGE_S * (10 if long else 1)
        self._until = time.monotonic() + _RUN_S * (10 if long else 1)
        self._lock = threading.Lock()
        BUILD.mkdir(exist_ok=True)
        self._environ = {**os.environ, "PYTHONPATH": str(ROOT), "GANGLION_HOME": str(BUILD / "test-home")}
        for name in ("REDIS_URL", "DATABASE_URL", "DJANGO_SETTINGS_MODULE", "GANGLION_READY_FD"):
            self._environ.pop(name, None)

    def stage(self, stage: Stage, log: IO[str] | None = None) -> None:
        """Run one stage and count it; its output goes to the terminal, or to a file that is shown at its end."""
        if log is None:
            _headline(stage)
        began = time.monotonic()
        until = min(began + self._stage_s, self._until)
        counts = self._pytest(stage, log, until) if stage.is_pytest else self._check(stage, log, until)
        with self._lock:
            if log is not None:
                _headline(stage)
                log.seek(0)
                shutil.copyfileobj(log, sys.stdout)
                sys.stdout.flush()
            self.total.add(counts)
            word = "FAIL" if counts.failed else "ok  "
            self.lines.append(f"{word} {stage.name}: {counts}, {time.monotonic() - began:.0f} s")

    def lanes(self, lanes: list[list[Stage]]) -> None:
        """Run stages side by side: they wait for servers more than they compute."""
        lanes = [stages for stages in lanes if stages]
        if len(lanes) == 1:
            for stage in lanes[0]:
                self.stage(stage)
            return

        def lane(stages: list[Stage]) -> None:
            for stage in stages:
                with tempfile.TemporaryFile("w+") as log:
                    self.stage(stage, log)

        with ThreadPoolExecutor(max(1, len(lanes))) as pool:
            for done in [pool.submit(lane, stages) for stages in lanes]:
                done.result()

    def _check(self, stage: Stage, log: IO[str] | None, until: float) -> Counts:
        return Counts(failed=1) if self._command(stage.command, log, until) else Counts(passed=1)

    def _command(self, command: list[str], log: IO[str] | None, until: float) -> int:
        """Run a command to its end, or until its time is up; then it shows where it stands, and fails."""
        limit_s = max(_LEAST_S, until - time.monotonic())
        process = subprocess.Popen(
            command, cwd=ROOT, env=self._environ, preexec_fn=end_with_parent,
            stdout=log, stderr=subprocess.STDOUT if log else None,
        )  # fmt: skip
        try:
            return process.wait(limit_s)
        except subprocess.TimeoutExpired:
            with self._lock:
                self.lines.append(f"ended after {limit_s:.0f} s, its own time or that of all: {' '.join(command)}")
            _end(process)
            return process.wait() or 1

    def _pytest(self, stage: Stage, log: IO[str] | None, until: float) -> Counts:
        """Run a stage's tests; those that fail get a second try alone, and the summary names what needed it."""
        slug = re.sub(r"\W+", "-", stage.name)
        report = BUILD / "reports" / f"{slug}.xml"
        common = [*stage.command, *self._extra, "-q", "-o", f"cache_dir={BUILD / 'cache' / slug}"]
        counts = self._once([*common, f"--junitxml={report}"], report, log, until)
        if 0 < counts.failed <= _UNSTEADY and report.exists() and time.monotonic() < until:
            again = BUILD / "reports" / f"{slug}-again.xml"
            second = self._once([*common, "-n", "0", "--last-failed", f"--junitxml={again}"], again, log, until)
            unsteady = counts.failed - second.failed
            if second.passed and unsteady > 0:
                with self._lock:
                    names = sorted(set(_failures(report)) - set(_failures(again)))
                    self.lines.append(f"unsteady, passed at a second try alone: {', '.join(names)}")
                counts.passed, counts.failed = counts.passed + unsteady, second.failed
        return counts

    def _once(self, command: list[str], report: Path, log: IO[str] | None, until: float) -> Counts:
        report.unlink(missing_ok=True)
        code = self._command(command, log, until)
        if code == NO_TESTS and self._extra:
            return Counts()
        if not report.exists():
            return Counts(failed=1)
        counts = Counts()
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            skipped = int(suite.get("skipped", 0))
            counts.add(Counts(int(suite.get("tests", 0)) - failed - skipped, failed, skipped))
        if code and not counts.failed:
            counts.failed = 1
        return counts


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a stage that hangs, and all that it started.

    pytest's workers print the stacks of their threads when they are aborted. pytest itself, once interrupted, names the
    tests that they were at and writes its report.
    """
    for words, number, pause_s in (
        (_WORKER, signal.SIGABRT, 10.0),
        (_PYTEST, signal.SIGINT, 60.0),
        ("", signal.SIGKILL, 0.0),
    ):
        for pid, command in [*_descendants(process.pid), (process.pid, " ".join(process.args))]:
            if words in command and process.poll() is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(pause_s)


def _descendants(pid: int) -> list[tuple[int, str]]:
    """Whom a process started, and whom those did, each with its command; nobody where that cannot be asked."""
    try:
        answer = subprocess.run(["ps", "-Aww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    rows = [line.split(maxsplit=2) for line in answer.stdout.splitlines()]
    found = [(pid, "")]
    for parent, _ in found:
        found += [(int(row[0]), row[2]) for row in rows if len(row) > 2 and int(row[1]) == parent]
    return found[1:]


def _failures(report: Path) -> list[str]:
    """The names of the tests that failed."""
    cases = ElementTree.parse(report).getroot().iter("testcase")
    return [
        str(case.get("name")) for case in cases if case.find("failure") is not None or case.find("error") is not None
    ]


def _headline(stage: Stage) -> None:
    print(f"\n── {stage.name} " + "─" * max(2, 100 - len(stage.name)), flush=True)


def style() -> list[Stage]:
    """Form, types, and who may import whom."""
    python = sys.executable
    tools = Path(python).parent
    commands = {
        "form": [str(tools / "ruff"), "format", "--check", "."],
        "lint": [str(tools / "ruff"), "check", "."],
        "types": [str(tools / "mypy")],
        "imports": [str(tools / "lint-imports")],
        "django check": [python, "manage.py", "check", "--fail-level", "WARNING"],
        "migrations": [python, "manage.py", "makemigrations", "--check", "--dry-run"],
    }
    return [Stage(name, command, is_pytest=False) for name, command in commands.items()]


def faults() -> Stage:
    """The short form of bin/chaos: real processes killed and frozen, and whether every invariant held."""
    command = [
        sys.executable,
        "-m",
        "tests.chaos",
        *("--minutes", "1.1", "--seed", "7", "--in-flight", "40", "--every", "1.5"),
        *("--only", ",".join(SHORT_FAULTS)),
        *("--json", str(BUILD / "reports" / "chaos.json"), "--html", str(BUILD / "reports" / "chaos.html")),
    ]
    return Stage("faults", command, is_pytest=False)


def pytest(
    kinds: list[str], python: str = sys.executable, workers: int = 0, long: bool = False, without: tuple[str, ...] = ()
) -> list[str]:
    """A pytest call over some kinds of tests, shared among workers.

    Args:
        long: With those that take long.
        without: Marks of tests that are left out.
    """
    marks = [f"not {mark}" for mark in (*(() if long else ("long",)), *without)]
    folders = [f"tests/{kind}" for kind in kinds if (ROOT / "tests" / kind).exists()]
    shared = ["-n", str(workers), "--dist", "loadfile"] if workers else []
    return [python, "-m", "pytest", *shared, *folders, *(["-m", " and ".join(marks)] if marks else [])]


def on(python: str, *arguments: str) -> list[str]:
    """A call of the servers' starter, which ends them again."""
    return [python, "-m", "tests.servers", *arguments, "--"]


def further_servers(run: Run) -> list[tuple[str, list[str]]]:
    """Other servers for the same tests, with how to start them: Redis and PostgreSQL, and a cluster."""
    arguments, words = [], []
    for option, kind, find in (
        ("--redis", "redis", lambda: servers.program("redis")),
        ("--database", "postgresql", servers.postgresql_programs),
    ):
        try:
            find()
            arguments += [option, kind]
            words.append(kind)
        except servers.ServerMissing as error:
            run.lines.append(f"not run on {kind}: {error}")
    found = [(" and ".join(words), arguments)] if arguments else []
    return [*found, ("a cluster of three", ["--redis", "cluster"])]


def interpreters() -> dict[str, str]:
    """The other Pythons that really run here, by version."""
    found: dict[str, str] = {}
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    for version in VERSIONS:
        elsewhere = sorted(glob.glob(str(Path.home() / f".pyenv/versions/{version}.*/bin/python3")), reverse=True)
        for candidate in [shutil.which(f"python{version}"), *elsewhere]:
            if candidate and version != own and _runs(candidate, version):
                found[version] = candidate
                break
    return found


def _runs(candidate: str, version: str) -> bool:
    code = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    answer = subprocess.run([candidate, "-c", code], capture_output=True, text=True, check=False)
    return answer.stdout.strip() == version


def further_interpreters(run: Run) -> list[tuple[str, str]]:
    """Each other Python, in an environment of its own: version and program."""
    found = []
    for version, program in interpreters().items():
        folder = BUILD / f"python{version}"
        make = (
            f'root="{ROOT}"; program=bin/test; . "$root/bin/environment.sh";'
            f' make_environment "{folder}" requirements-dev.txt "{program}"'
        )
        if _fails(["bash", "-c", make]):
            run.total.failed += 1
            run.lines.append(f"FAIL Python {version}: its environment could not be made")
            continue
        found.append((version, str(folder / "bin" / "python")))
    return found


def _fails(command: list[str]) -> bool:
    try:
        return subprocess.run(command, cwd=ROOT, check=False, timeout=_STAGE_S).returncode != 0
    except subprocess.TimeoutExpired:
        return True


def further(run: Run) -> list[Stage]:
    """The same tests on other servers and other Pythons, each of both at least once, in as few passes as that takes."""
    stages = []
    for other, interpreter in itertools.zip_longest(further_servers(run), further_interpreters(run)):
        version, python = interpreter or ("", sys.executable)
        words, arguments = other or ("", [])
        name = " with ".join(filter(None, (f"Python {version}" if version else "", words)))
        kinds = ["unit", "lua", "integration"] if version else ["lua", "integration"]
        prefix = on(python, *arguments) if arguments else []
        without = ("once", "sql", "one_server") if "cluster" in arguments else ("once",)
        stages.append(Stage(name, [*prefix, *pytest(kinds, python, _BESIDE, without=without)]))
    return stages


def main() -> int:
    """Run what was asked for.

    Returns:
        0 when nothing failed.
    """
    parser = argparse.ArgumentParser(prog="bin/test", description="Runs everything that must hold.")
    parser.add_argument("kinds", nargs="*", metavar="kind", help=f"only these kinds: {', '.join(KINDS)}")
    parser.add_argument("-k", metavar="EXPRESSION", help="only tests whose names match, as pytest's -k")
    parser.add_argument("--long", action="store_true", help="also what takes a minute or needs a quiet machine")
    parser.add_argument("--fast", action="store_true", help="one Python, one server, no browser")
    chosen = parser.parse_args()
    wrong = [kind for kind in chosen.kinds if kind not in KINDS]
    if wrong:
        parser.error(f"{wrong[0]!r} is none of {', '.join(KINDS)}")
    run = Run(["-k", chosen.k] if chosen.k else [], chosen.long)
    kinds = chosen.kinds or [
        k
        for k in KINDS
        if not (chosen.k and k in ("style", "faults")) and not (chosen.fast and k in ("faults", "browser"))
    ]
    everything = not chosen.kinds and not chosen.fast and not chosen.k
    plain = [kind for kind in ("unit", "lua", "integration") if kind in kinds]
    form = style() if "style" in kinds else []
    tests = pytest(plain, workers=0 if chosen.k else _ALONE, long=chosen.long)
    run.lanes([form, [Stage(", ".join(plain), tests)] if plain else []])
    browser = [Stage("browser", pytest(["browser"], workers=_BESIDE, long=chosen.long))] if "browser" in kinds else []
    shown = [faults()] if "faults" in kinds else []
    if everything:
        run.lanes([further(run), [*browser, *shown]])
    else:
        for stage in [*shown, *browser]:
            run.stage(stage)
    print("\n" + "\n".join(run.lines))
    print(run.total)
    return 1 if run.total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
