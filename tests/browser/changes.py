"""A program that changes the history of a web process many times a second, as its relay does.

``python -m tests.browser.changes --seconds 4 --per-second 200 [--new 30] [--open 8]`` prints how many changes it made.
With ``--new`` it submits workflows at the end, with ``--open`` it opens escalations; without, it only changes what is
there.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time

LIVING = 40  # fits one page of the list


def main() -> None:
    """Change things."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--per-second", type=int, default=200)
    parser.add_argument("--new", type=int, default=0)
    parser.add_argument("--open", type=int, default=0)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from dashboard import live

    async def run() -> None:
        from asgiref.sync import sync_to_async

        await sync_to_async(_claim)(0)
        await sync_to_async(_write)(0, LIVING)  # however slow the machine is, all of them are there from now on
        began, made, turn = time.monotonic(), 0, 0
        while (passed := time.monotonic() - began) < options.seconds:
            due = int(passed * options.per_second) - made
            if due:
                turn += 1
                await sync_to_async(_write)(made, due)
                if turn % 5 == 0:
                    await sync_to_async(_claim)(turn // 5)
                await live.publish_async({"workflows", "overview", "escalations"})
                made += due
            await asyncio.sleep(0.1)
        if options.new or options.open:
            await sync_to_async(_add)(options.new, options.open)
            await live.publish_async({"workflows", "overview", "escalations"})
        print(made, flush=True)

    asyncio.run(run())


def _write(first: int, count: int) -> None:
    """Move the living workflows on; the last of the batch says when, so that a page can tell how old it is."""
    from coordination.domain import WorkflowSnapshot, WorkflowState
    from dashboard import mirror

    states = (WorkflowState.RUNNING, WorkflowState.WAITING, WorkflowState.QUEUED, WorkflowState.NEEDS_HUMAN)
    now = int(time.time() * 1000)
    seq = now
    found = {}
    for number in range(first, first + count):
        place = number % LIVING
        found[place] = WorkflowSnapshot(
            id=f"living-{place:02d}", type="living", version=1, state=states[(number // LIVING + place) % 4], seq=seq,
            owner=f"host-{number % 3}", input={"number": place}, steps_total=4, steps_done=number % 5,
            retrying=number % 7 == 0, progress=f"mark {now}", created_ms=1_790_000_000_000 + place * 1000,
            started_ms=1_790_000_000_000 + place * 1000,
        )  # fmt: skip
    mirror.workflows(found.values())


def _claim(turn: int) -> None:
    """Let somebody claim every other escalation, and release it the next time."""
    import datetime as dt

    from django.contrib.auth.models import User
    from django.utils import timezone

    from dashboard.models import Escalation

    rows = Escalation.objects.filter(pk__startswith="living-")
    who = User.objects.order_by("pk").first() if turn % 2 else None
    until = timezone.now() + dt.timedelta(minutes=5) if turn % 2 else None
    rows.update(claimed_by=who, claimed_until=until)


def _add(workflows: int, escalations: int) -> None:
    """Submit workflows, and open escalations of two causes."""
    from django.utils import timezone

    from coordination.domain import EscalationSnapshot, EscalationState, Reason, WorkflowSnapshot, WorkflowState
    from dashboard import mirror
    from dashboard.models import Escalation
    from dashboard.rows import escalation_values

    now = int(time.time() * 1000)
    mirror.workflows(
        WorkflowSnapshot(
            id=f"new-{now}-{number}", type="new", version=1, state=WorkflowState.RUNNING, seq=1, created_ms=now + number
        )
        for number in range(workflows)
    )
    for number in range(escalations):
        snapshot = EscalationSnapshot(
            id=f"living-{now}-{number}", workflow_id=f"new-{now}-{number}", workflow_type="new", step="1",
            task_type=f"task_{number % 2}", reason=Reason.FINAL_ERROR, state=EscalationState.OPEN,
            opened_ms=now + number,
        )  # fmt: skip
        Escalation.objects.create(**escalation_values(snapshot, timezone.now()))


if __name__ == "__main__":
    main()
