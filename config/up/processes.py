"""Which processes make up Ganglion on one machine, in the order in which they stop."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

from config import environment
from config.up import server
from config.up.child import Program
from config.up.options import ROOT, Options

YIELDS = 5  # nice of what works in parallel: the server, which all wait for, and what people look at, go first
APPLICATIONS = ("examples.legal_review", "examples.shipments")


def embedded_server(home: Path, path: Path) -> Program:
    """The embedded server; it stops last and may take its time to write everything down."""
    return Program(
        "server",
        tuple(server.command(server.program(), home / "redis", path=path)),
        stop_s=60,
        extra=server.environment(),
        log=server.log_path(home / "redis"),
        answers=functools.partial(server.answers, path),
    )


def stages(options: Options, listener: int) -> list[list[Program]]:
    """All of Ganglion's own processes; each inner list stops together, in the order of the outer one."""
    drain_s = float(os.environ.get("GANGLION_DRAIN_S", "10"))
    web = Program("web", _python("-m", "config.web", "--fd", str(listener)), stop_s=10, descriptors=(listener,))
    later = functools.partial(Program, nice=YIELDS)
    agents = [
        later(name, _manage("run_agent", "--module", application, "--name", name), stop_s=drain_s + 5)
        for application in applications()
        for name in [environment.short_name(application)]
    ]
    gateway = later("gateway", _manage("run_agent", "--gateway", "--name", "gateway"), stop_s=drain_s + 5)
    hosts = [
        later(f"coordinator-{n}", _manage("run_coordinator", "--name", f"coordinator-{n}"), stop_s=drain_s + 5)
        for n in range(1, options.hosts + 1)
    ]
    relay = Program("relay", _manage("run_relay"), stop_s=15)
    jobs = later("jobs", _python("-m", "config.jobs"), stop_s=20)
    return [[web], [*agents, gateway], hosts, [relay], [jobs]]


def applications() -> list[str]:
    """The applications whose agents run here: the examples, and those of ``GANGLION_EXTRA_APPS``."""
    return [*APPLICATIONS, *environment.applications(having="agents")]


def _python(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, *arguments)


def _manage(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, str(ROOT / "manage.py"), *arguments)
