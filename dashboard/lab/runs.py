"""Starts an experiment, one at a time, and keeps what it shows in SQL."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
import time
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.http import HttpRequest
from django.utils import timezone

from coordination.errors import GanglionError
from dashboard import audit, live, operations
from dashboard.lab import central, experiment
from dashboard.lab.models import LabRun
from dashboard.lab.victims import Refused
from dashboard.models import Workflow

logger = logging.getLogger(__name__)

ABANDONED = "The web process ended before the experiment did."


class Busy(Exception):
    """Another experiment is running."""


def start(user: Any, kind: str, request: HttpRequest | None = None) -> LabRun:
    """Begin an experiment in a thread of this process.

    Raises:
        Busy: One is running.
    """
    end_abandoned()
    try:
        with operations.audited(user, "lab.kill", ("lab", kind), request):
            run = LabRun.objects.create(kind=kind, actor=user.get_username(), web_pid=os.getpid())
            transaction.on_commit(lambda: _begin(run))
    except IntegrityError:
        raise Busy("An experiment is running. One at a time.") from None
    return run


def end_abandoned() -> None:
    """Close the experiment of a web process that has ended; its own processes ended with it."""
    for run in LabRun.objects.filter(state=LabRun.RUNNING).exclude(web_pid=os.getpid()):
        now = timezone.now()
        with contextlib.suppress(GanglionError):
            experiment.end_work(_workflows(run))
        line = [int((now - run.began_at).total_seconds() * 1000), ABANDONED]
        LabRun.objects.filter(pk=run.pk, state=LabRun.RUNNING).update(
            state=LabRun.FAILED, ended_at=now, lines=[*run.lines, line]
        )


def _workflows(run: LabRun) -> list[str]:
    """The workflows of an experiment that have not ended."""
    living = Workflow.objects.filter(pk__startswith=f"lab-{run.pk}-", finished_at=None)
    return list(living.values_list("pk", flat=True))


def _begin(run: LabRun) -> None:
    live.publish(["lab"])
    threading.Thread(target=_conduct, args=(run,), name=f"lab-{run.pk}", daemon=True).start()


def _conduct(run: LabRun) -> None:
    began = time.monotonic()

    def tell(words: str) -> None:
        run.lines.append([int((time.monotonic() - began) * 1000), words])
        run.save(update_fields=["lines"])

    def show(figures: dict[str, Any]) -> None:
        run.figures = figures
        run.save(update_fields=["figures"])

    def aim(target: str) -> None:
        """Note what is about to be killed; nothing is killed that cannot be written to the audit log."""
        run.target = target
        run.save(update_fields=["target"])
        audit.record(run.actor, "lab.target", run, after={"kind": run.kind, "target": target})

    state = LabRun.FAILED
    try:
        if run.kind == LabRun.CENTRAL:
            central.conduct(tell, show, aim)
        else:
            experiment.conduct(run.kind, f"lab-{run.pk}-{secrets.token_hex(3)}", tell, show, aim)
        state = LabRun.DONE
    except (experiment.Failed, Refused, GanglionError) as error:
        tell(str(error))
    except Exception:
        logger.exception("the experiment broke")
        tell("The experiment broke; the log of the web process says where.")
    finally:
        run.state, run.ended_at = state, timezone.now()
        run.save(update_fields=["state", "ended_at"])
        live.publish(["lab"])
        connection.close()
