"""Bugs 24 and 25 of reliability.md: schedulers that act twice, pushes that are lost, writers that SQLite turns away."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Callable

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.db import connection, transaction
from django.utils import timezone

from coordination.config import Config
from dashboard import accounts, jobs, live, schedules
from dashboard.models import AuditEntry, Schedule
from tests import mirrored
from tests.integration.test_live_consumer import Socket, cookie_of, frame
from tests.mirrored import sql

pytestmark = pytest.mark.django_db(transaction=True)


def _schedule(created_at: dt.datetime) -> Schedule:
    admin = accounts.ensure_admin()
    made = schedules.save(admin, name="often", workflow_type="mirrored_wait", cron="*/5 * * * *", value={"word": "x"})
    Schedule.objects.filter(pk=made.pk).update(created_at=created_at)
    return made


async def test_bug_24_two_schedulers_submit_a_due_time_once(config: Config) -> None:
    """No lock keeps one of them from acting, so that none can be lost: the key is the schedule and its time."""
    hour_ago = timezone.now() - dt.timedelta(hours=1)
    await sql(_schedule, hour_ago)
    async with mirrored.client(config) as client:
        assert await sql(jobs.run_schedules) == 1  # of twelve missed times the latest, not all
        first = await sql(Schedule.objects.get)
        assert (await client.get(first.last_workflow_id)).labels == {"schedule": "often"}
        await sql(lambda: Schedule.objects.update(last_run_at=hour_ago))  # as another beat saw it
        await sql(jobs.run_schedules)
        again = await sql(Schedule.objects.get)
        assert again.last_workflow_id == first.last_workflow_id
        assert await sql(jobs.run_schedules) == 0
        assert await sql(AuditEntry.objects.filter(action="schedule.run").count) >= 1


@pytest.mark.once
async def test_bug_25_a_page_that_missed_a_frame_gets_all_of_it_again(config: Config) -> None:
    """Frames are numbered; what the layer drops makes a gap, and the page asks for the whole."""
    from config.asgi import application

    viewer = await sync_to_async(accounts.create_user)("vera", "viewer", await sync_to_async(accounts.ensure_admin)())
    cookie = f"ganglion_session={await sync_to_async(cookie_of)(viewer)}"
    headers = [(b"host", b"localhost"), (b"origin", b"http://localhost"), (b"cookie", cookie.encode())]
    socket = Socket(application, "/live/audit/", headers)
    try:
        assert await socket.connect()
        first = await frame(socket)
        layer = get_channel_layer()
        assert layer is not None
        for _ in range(300):  # more than a layer holds for one channel
            await layer.group_send(live.group("audit"), live.message("audit"))
        await socket.say({"resync": True})
        numbers, again = [first["seq"]], first
        while again is first or again.get("content") != first["content"]:
            again = json.loads((await socket.receive_output(10))["text"])
            numbers.append(again["seq"])
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    finally:
        await socket.leave()


@pytest.mark.once
def test_bug_25_a_transaction_that_reads_and_then_writes_waits_for_others(config: Config) -> None:
    """SQLite would refuse it at once, whatever the busy timeout says, had it not locked when it began."""
    made, failures = _schedule(timezone.now()), []
    has_read, has_written = threading.Event(), threading.Event()

    def reads_first() -> None:
        with transaction.atomic():
            row = Schedule.objects.get(pk=made.pk)
            has_read.set()
            has_written.wait(0.5)  # that other one waits too, unless it may write between the read and the write
            Schedule.objects.filter(pk=made.pk).update(enabled=not row.enabled)

    def writes_meanwhile() -> None:
        has_read.wait(10)
        with transaction.atomic():
            Schedule.objects.filter(pk=made.pk).update(cron="0 1 * * *")
        has_written.set()

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(work,)) for work in (reads_first, writes_meanwhile)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    found = Schedule.objects.get(pk=made.pk)
    assert (found.enabled, found.cron) == (False, "0 1 * * *")
