"""``bin/chaos``: a seeded run of faults against real processes, and whether every invariant held."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import time
from pathlib import Path

import msgspec
from rich.console import Console

from coordination.config import current
from tests import servers
from tests.chaos import faults, ledger, page, scenarios, until_told
from tests.chaos.crew import Crew
from tests.chaos.report import show
from tests.chaos.run import Run

_NO_AGENT_S = "10"  # so long a workflow waits for code that no host has, when poison is among the faults

console = Console()


def options() -> argparse.Namespace:
    """What the run shall be."""
    groups = "; ".join(f"{name}: {', '.join(kinds)}" for name, kinds in faults.GROUPS.items())
    parser = argparse.ArgumentParser("bin/chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="how long faults are fired")
    parser.add_argument("--workflows", type=int, default=0, help="instead: until so many workflows have ended")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000, help="replays a run's plans and faults")
    parser.add_argument("--in-flight", type=int, default=400, help="workflows at once")
    parser.add_argument("--hosts", type=int, default=3)
    parser.add_argument("--agents", type=int, default=2)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between faults")
    parser.add_argument("--only", default="", metavar="NAME[,NAME]", help=f"these faults or groups, or all. {groups}")
    parser.add_argument("--targets", action="store_true", help="fail when a time misses its target")
    parser.add_argument("--json", type=Path, help="write the report here")
    parser.add_argument("--html", type=Path, help="write the report as a page here")
    parser.add_argument("--keep", type=Path, help="keep logs and data in this folder, which must not exist")
    parser.add_argument("--scenario", metavar="NAME", help="run one scenario instead, or all; list shows them")
    return parser.parse_args()


def main() -> int:
    """Run; 0 when every invariant held."""
    choice = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that every process is ended on the way out
    if choice.scenario:
        return scenarios.main(choice.scenario, choice.seed, choice.minutes, choice.json, choice.keep)
    names = faults.chosen(choice.only)
    settings = {"GANGLION_NO_AGENT_S": _NO_AGENT_S} if "poison" in names else {}
    with servers.folder() as temporary:
        folder = choice.keep or temporary
        folder.mkdir(parents=True, exist_ok=True)
        has_console = any(name in faults.GROUPS["console"] for name in names)
        proxied = any(name in faults.GROUPS["network"] for name in names)
        crew = Crew(folder, choice.hosts, choice.agents, console=has_console, proxied=proxied, settings=settings)
        for name in ("REDIS_URL", "GANGLION_HOME", ledger.VARIABLE):
            os.environ[name] = crew.environ[name]
        os.environ["GANGLION_APPS"] = "tests.chaos.app"
        current.cache_clear()
        try:
            with console.status("starting"):
                crew.start()
            report = until_told.run(Run(choice, crew, console, _command(choice)).all())
        finally:
            crew.stop()
    show(report, console)
    if choice.json:
        choice.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    if choice.html:
        choice.html.write_text(page.render(report), encoding="utf-8")
    return 1 if report.broken else 0


def _command(choice: argparse.Namespace) -> str:
    """The options that replay this run."""
    parts = ["--workflows", choice.workflows] if choice.workflows else ["--minutes", f"{choice.minutes:g}"]
    parts += ["--seed", choice.seed, "--in-flight", choice.in_flight, "--hosts", choice.hosts]
    parts += ["--agents", choice.agents, "--every", f"{choice.every:g}"]
    if choice.only:
        parts += ["--only", choice.only]
    if choice.targets:
        parts += ["--targets"]
    return shlex.join(str(part) for part in parts)


if __name__ == "__main__":
    sys.exit(main())
