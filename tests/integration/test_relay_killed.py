"""The history is whole although relays are killed in the middle of it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

import pytest
from django.db import connection

from coordination import journal
from coordination.config import Config
from dashboard.models import Workflow, WorkflowArchive
from tests import mirrored
from tests.mirrored import Word, sql, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.once]

WORKFLOWS = 300


def _database() -> str:
    told = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite://{told['NAME']}"
    return f"postgresql://{told['USER']}@{told['HOST']}:{told['PORT']}/{told['NAME']}"


async def _relay(environ: dict[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(sys.executable, "manage.py", "run_relay", env=environ)


def _mirrored(ids: list[str]) -> int:
    return Workflow.objects.filter(pk__in=ids).count()


async def _killed_midway(environ: dict[str, str], ids: list[str], after: int) -> None:
    process = await _relay(environ)
    try:
        await until(lambda: _mirrored(ids) >= after, f"{after} rows are mirrored")
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()


async def test_three_relays_killed_in_a_row_lose_nothing(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    environ: dict[str, Any] = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "DATABASE_URL": _database()}
    async with mirrored.host_and_worker(config) as client:
        ids = [await client.submit("mirrored_shout", Word(f"w{number}")) for number in range(WORKFLOWS)]
        for share in (1, WORKFLOWS // 3, WORKFLOWS):
            await _killed_midway(environ, ids, share)
        await asyncio.gather(*(client.result(workflow_id, timeout_s=20) for workflow_id in ids))
        async with mirrored.relay(config, "relay"):
            await until(lambda: Workflow.objects.filter(pk__in=ids, state="completed").count() == WORKFLOWS)
            events = [client.connection.keys.events(shard) for shard in range(config.shards)]

            async def left() -> int:
                return sum([await client.connection.call("XLEN", stream) for stream in events])

            monkeypatch.setattr("dashboard.relay.DEAD_MS", 500)  # killed ones had another consumer's name
            async with asyncio.timeout(mirrored.WAIT_S):
                while await left():
                    await asyncio.sleep(0.05)

    def whole() -> None:
        for archive in WorkflowArchive.objects.filter(pk__in=ids):
            kinds = [type(item.entry) for item in journal.decode_archive(archive.journal)]
            assert kinds == [journal.Attempt, journal.Settled, journal.Finished], archive.pk

    await sql(whole)
