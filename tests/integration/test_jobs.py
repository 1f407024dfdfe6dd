"""Periodic work, and that running it twice does no harm."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from coordination import config as coordination_config
from coordination.config import Config
from coordination.domain import WorkflowSnapshot, WorkflowState
from coordination.errors import BadRequest
from dashboard import accounts, jobs, mirror, schedules
from dashboard.models import Escalation, Sample, Schedule, Workflow
from dashboard.relay import Relay
from tests import mirrored
from tests.mirrored import Word, sql

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql]


def _schedule(cron: str = "*/5 * * * *", **values: object) -> Schedule:
    admin = accounts.ensure_admin()
    made = schedules.save(admin, name="often", workflow_type="mirrored_wait", cron=cron, value={"word": "x"})
    Schedule.objects.filter(pk=made.pk).update(**values)
    return Schedule.objects.get(pk=made.pk)


def test_a_schedule_that_cannot_be_submitted_says_why_and_does_not_stop_others(config: Config) -> None:
    bad = _schedule(created_at=timezone.now() - dt.timedelta(hours=1), input={"word": 5})
    assert jobs.run_schedules() == 0
    bad.refresh_from_db()
    assert "does not fit" in bad.last_error
    assert bad.last_run_at is not None


@pytest.mark.parametrize("cron", ["0 0 30 2 *", "0 0 31 2,4 *", "R R * * *", "H * * * *"])
def test_a_time_that_never_comes_or_is_another_each_time_is_refused(cron: str) -> None:
    with pytest.raises(BadRequest):
        schedules.check_cron(cron)


def test_a_schedule_whose_time_never_comes_does_not_stop_others(config: Config) -> None:
    old = _schedule(created_at=timezone.now() - dt.timedelta(hours=1))
    bad = Schedule.objects.create(name="a bad one", workflow_type="mirrored_wait", cron="0 0 30 2 *", enabled=True)
    assert jobs.run_schedules() == 1
    bad.refresh_from_db()
    old.refresh_from_db()
    assert bad.last_error and old.last_workflow_id
    assert schedules.next_time(bad) is None
    off = {"workflow_type": bad.workflow_type, "cron": bad.cron, "enabled": False, "schedule_id": bad.pk}
    assert not schedules.save(accounts.ensure_admin(), name=bad.name, **off).enabled


def test_another_time_begins_with_its_change(config: Config) -> None:
    made = _schedule("0 0 1 1 *", last_run_at=timezone.now() - dt.timedelta(days=100))
    admin = accounts.ensure_admin()
    changed = schedules.save(
        admin, name="often", workflow_type="mirrored_wait", cron="*/5 * * * *", value={"word": "x"}, schedule_id=made.pk
    )
    assert schedules.due_times(changed, timezone.now()) == []


def test_a_due_time_waits_for_redis(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _schedule(created_at=timezone.now() - dt.timedelta(hours=1))
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    coordination_config.current.cache_clear()
    assert jobs.run_schedules() == 0
    made.refresh_from_db()
    assert made.last_run_at is None
    assert "does not answer" in made.last_error


def test_times_that_are_due() -> None:
    now = dt.datetime(2026, 3, 1, 12, 7, tzinfo=dt.UTC)
    made = Schedule(cron="*/5 * * * *", created_at=now - dt.timedelta(hours=1), enabled=True)
    assert schedules.due_times(made, now) == [now.replace(minute=5)]
    made.last_run_at = now.replace(minute=5)
    assert schedules.due_times(made, now) == []
    assert schedules.due_times(made, now.replace(minute=10)) == [now.replace(minute=10)]


async def test_rows_that_differ_from_redis_are_read_again(config: Config) -> None:
    async with mirrored.host_and_worker(config) as client:
        done = await client.submit("mirrored_shout", Word("hello"))
        await client.result(done, timeout_s=10)
        old = WorkflowSnapshot(id=done, type="mirrored_shout", version=1, state=WorkflowState.RUNNING, created_ms=1)
        lost = WorkflowSnapshot(id="lost", type="mirrored_shout", version=1, state=WorkflowState.RUNNING, created_ms=1)
        await sql(mirror.workflows, [old, lost])
        long_ago = timezone.now() - dt.timedelta(minutes=5)
        await sql(lambda: Workflow.objects.update(updated_at=long_ago))
        found = await sql(jobs.check_consistency)
        # without a relay's report this may be the wrong server: nothing is closed
        assert (found["seen"], found["healed"], found["lost"]) == (2, 1, 0)
        await Relay(client.connection, "relay").reporter.report()
        found = await sql(jobs.check_consistency)
        assert (found["seen"], found["healed"], found["lost"]) == (1, 0, 1)
        healed = await sql(Workflow.objects.select_related("archive").get, pk=done)
        assert healed.state == "completed"
        assert healed.archive.journal
        gone = await sql(Workflow.objects.get, pk="lost")
        assert gone.state == "failed"
        assert gone.error == mirror.LOST
        assert (await sql(jobs.check_consistency))["seen"] == 0

        assert not await client.connection.call("EXISTS", client.connection.keys.journal(done))


async def test_what_a_relay_did_not_come_to_forget_leaves_redis(config: Config) -> None:
    async with mirrored.host_and_worker(config) as client:
        done = await client.submit("mirrored_shout", Word("hello"))
        await client.result(done, timeout_s=10)
        journal = await client.inspect.journal(done)
        await sql(mirror.store, [await client.get(done)], {done: journal})
        await sql(lambda: Workflow.objects.filter(pk=done).update(finished_at=timezone.now() - dt.timedelta(minutes=5)))
        assert await sql(jobs.sweep_finished) == 1
        assert await sql(jobs.sweep_finished) == 0
        assert not await client.connection.call("EXISTS", client.connection.keys.journal(done))


def test_history_ages_out(config: Config) -> None:
    old_ms = int((timezone.now() - dt.timedelta(days=100)).timestamp() * 1000)
    new_ms = int(timezone.now().timestamp() * 1000)
    mirror.store(
        [
            WorkflowSnapshot(
                id=f"w{number}-{begun}", type="t", version=1, state=WorkflowState.COMPLETED, seq=1,
                created_ms=begun, finished_ms=begun,
            )
            for number in range(600)
            for begun in (old_ms, new_ms)
        ],
        {},
    )  # fmt: skip
    Escalation.objects.create(
        id="e", workflow_id=f"w1-{old_ms}", workflow_type="t", step="1", task_type="t", reason="final_error",
        state="resolved", fingerprint="f", headline="h", detail={}, opened_at=timezone.now(),
    )  # fmt: skip
    Sample.objects.create(at=timezone.now() - dt.timedelta(days=30))
    assert jobs.age_out() == {"workflows": 600, "samples": 1}
    assert Workflow.objects.count() == 600
    assert not Escalation.objects.exists()
    assert jobs.age_out() == {"workflows": 0, "samples": 0}


def test_the_timetable_names_jobs_that_exist() -> None:
    for entry in jobs.BEAT_SCHEDULE.values():
        assert callable(getattr(jobs, entry["task"].rpartition(".")[2]))
