"""Which process an experiment kills, and the only place that kills one.

A process may be killed when it was started by this web process itself, or by the supervisor that started this web
process. Whatever else a number names, in a registry or elsewhere, is refused: it may belong to anybody.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

from django.utils.translation import gettext as _

from coordination import client as core
from coordination.domain import HostView


class Refused(Exception):
    """The process is none that an experiment may kill; says why."""


def parent_of(pid: int) -> int:
    """The parent of a process; 0 when there is no such process."""
    asked = ["ps", "-o", "ppid=", "-p", str(int(pid))]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603 - a number, no text
    return int(answer.stdout.strip() or 0)


def sibling(pid: int) -> None:
    """Pass when a process was started by the supervisor of this one.

    Raises:
        Refused: It was not.
    """
    supervisor = os.getppid()
    if supervisor <= 1:
        raise Refused(
            _("This web process has no supervisor that would start again what is killed. Nothing was killed.")
        )
    if pid <= 1 or pid == os.getpid() or parent_of(pid) != supervisor:
        raise Refused(
            _("Process %(pid)s was not started by the supervisor of this console. Nothing was killed.") % {"pid": pid}
        )


def child(pid: int) -> None:
    """Pass when a process was started by this one.

    Raises:
        Refused: It was not.
    """
    if pid <= 1 or parent_of(pid) != os.getpid():
        raise Refused(_("Process %(pid)s was not started by this experiment. Nothing was killed.") % {"pid": pid})


def kill(pid: int, check: Callable[[int], None]) -> None:
    """Kill a process by force, after the check has passed for the very process that is killed.

    Raises:
        Refused: The check did not pass, or the process has ended by itself.
    """
    check(pid)
    try:
        if not hasattr(os, "pidfd_open"):
            os.kill(pid, signal.SIGKILL)
            return
        descriptor = os.pidfd_open(pid)  # from here on the number cannot come to name another process
        try:
            check(pid)
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Refused(_("Process %(pid)s cannot be killed: %(error)s.") % {"pid": pid, "error": error}) from None


def busiest_host(owners: dict[str, int]) -> HostView:
    """The host under this supervisor that runs most of an experiment's workflows.

    Raises:
        Refused: None of them is under this supervisor.
    """
    hosts: dict[str, HostView] = {host.id: host for host in core.sync().inspect.hosts() if host.alive}
    for owner in sorted(owners, key=lambda name: -owners[name]):
        if owner in hosts:
            sibling(hosts[owner].pid)
            return hosts[owner]
    raise Refused(_("No coordinator host holds work of this experiment. Nothing was killed."))


def server() -> int:
    """The process of the Redis server, wherever it runs."""
    told = core.sync().call("INFO", "server").decode().splitlines()
    return int(next(line for line in told if line.startswith("process_id:")).partition(":")[2])
