"""Clocks that are set: the server's as scripts read it, and that of the processes."""

from __future__ import annotations

import hashlib
import time

import msgspec
import pytest

from coordination import DistributedCoordinator, scripts
from coordination import journal as j
from tests.core_app.agents import event, release, started
from tests.core_harness import World, soon, until

HOUR_S = 3_600


class ClockWaits(DistributedCoordinator):
    async def run(self, names: list[str]) -> list[str]:
        return list(await self.gather(*(self.dispatch_task("core_wait", name) for name in names)))


@pytest.mark.once
async def test_a_clock_set_by_an_hour_declares_nobody_dead_and_starts_nothing_twice(
    core: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both clocks go forward and back while two hosts beat and handlers run."""
    hosts = [await core.host("one"), await core.host("two")]
    await core.agents()
    lives = [host.id for host in hosts]
    names = ["a", "b"]
    identity = await core.client.submit("clock_waits", names)
    for name in names:
        await soon(event(started, name).wait())
    honest, wall = scripts.get, time.time
    for moved_s in (HOUR_S, -HOUR_S):

        def moved(name: str, moved_s: int = moved_s) -> scripts.Script:
            script = honest(name)
            source = script.source.replace(b"clock[1] * 1000", b"(clock[1] + %d) * 1000" % moved_s)
            sha = hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()
            return msgspec.structs.replace(script, source=source, sha=sha)

        monkeypatch.setattr(scripts, "get", moved)
        monkeypatch.setattr(time, "time", lambda moved_s=moved_s: wall() + moved_s)
        for host in hosts:
            await until(lambda host=host, moved_s=moved_s: abs(host.now_ms() / 1000 - wall() - moved_s) < HOUR_S / 2)
        for host in hosts:
            heart = host._watchdog._heart
            await until(lambda heart=heart, enough=heart._beats + 6: heart._beats > enough)
    for name in names:
        event(release, name).set()
    assert await core.client.result(identity, timeout_s=15) == names
    assert [host.id for host in hosts] == lives
    entries = await core.journal(identity)
    assert [entry.number for entry in entries if isinstance(entry, j.Attempt)] == [1, 1]
    assert not [entry for entry in entries if isinstance(entry, j.TakenUp | j.TimedOut)]
