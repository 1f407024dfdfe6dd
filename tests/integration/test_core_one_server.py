"""Where one server holds every key, a step takes no calls of its own for queueing, claiming and waking."""

from __future__ import annotations

from typing import Any

import pytest

from coordination import scripts
from coordination.connection import Connection
from coordination.wire import Sent
from tests.core_harness import World, until

pytestmark = pytest.mark.one_server


async def test_scripts_queue_claim_and_wake(core: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[Any, ...]] = []
    send = Connection._send

    def note(self: Connection, one: Sent) -> None:
        sent.append(one[0])
        send(self, one)

    monkeypatch.setattr(Connection, "_send", note)
    await core.host()
    identity = await core.client.submit("core_steps", 2)
    queue = core.connection.keys.agent_queue("core_tick")
    await until(lambda: core.connection.call("XLEN", queue))
    await core.agents("core_tick")  # finds both tasks without waiting for any
    assert await core.client.result(identity, timeout_s=10) == 300

    names = {script.sha: script.name for script in scripts.all_scripts().values()}
    run = [names.get(command[1], "") for command in sent if command[0] in ("EVALSHA", "EVAL")]
    assert run.count("report_task") == 2 and run.count("claim_task") == 0
    added = [str(command[1]) for command in sent if command[0] == "XADD"]
    assert not [key for key in added if "agent_queue:" in key or "inbox:" in key]
