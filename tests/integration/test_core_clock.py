"""Clocks that are set: the server's as scripts read it, and that of the processes."""

from __future__ import annotations

import hashlib
import time

import msgspec
import pytest

from coordination import DistributedCoordinator, scripts
from coordination import journal as j
from tests.core_app.agents import Order, event, release, started
from tests.core_harness import World, soon, until
from tests.integration.conftest import Tune

SLEEP_S = 2.5


class ClockWaits(DistributedCoordinator):
    async def run(self, name: str) -> str:
        found, _ = await self.gather(self.dispatch_task("core_wait", name), self.sleep(SLEEP_S))
        return str(found)


class ClockRetries(DistributedCoordinator):
    async def run(self, times: int) -> int:
        steps = [self.dispatch_task("core_flaky", Order(fails=3, answer=1)) for _ in range(times)]
        return sum(await self.gather(*steps))


class ClockSleeps(DistributedCoordinator):
    async def run(self) -> str:
        await self.sleep(SLEEP_S)
        return "awake"


def set_clocks(monkeypatch: pytest.MonkeyPatch, moved_s: int) -> None:
    """Set the clock that scripts read, and that of this process."""
    wall, moved = time.time, {}
    for name, script in scripts.all_scripts().items():
        source = script.source.replace(b"clock[1] * 1000", b"(clock[1] + %d) * 1000" % moved_s)
        sha = hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()
        moved[name] = msgspec.structs.replace(script, source=source, sha=sha)
    monkeypatch.setattr(scripts, "get", moved.__getitem__)
    monkeypatch.setattr(scripts, "_sources", lambda: {script.sha: script.source for script in moved.values()})
    monkeypatch.setattr(time, "time", lambda: wall() + moved_s)


@pytest.mark.once
@pytest.mark.parametrize("moved_s", [3_600, -3_600])
async def test_a_clock_set_by_an_hour_declares_nobody_dead_and_starts_nothing_twice(
    core: World, monkeypatch: pytest.MonkeyPatch, moved_s: int
) -> None:
    """Both clocks are set while two hosts beat, a handler runs and a timer waits, which takes as long as was meant."""
    hosts = [await core.host("one"), await core.host("two")]
    await core.agents()
    lives = [host.id for host in hosts]
    began = time.monotonic()
    identity = await core.client.submit("clock_waits", "a")
    await soon(event(started, "a").wait())
    set_clocks(monkeypatch, moved_s)
    for host in hosts:
        await until(lambda host=host: abs(host.now_ms() / 1000 - time.time()) < 60)
        heart = host._watchdog._heart
        await until(lambda heart=heart, enough=heart._beats + 6: heart._beats > enough)
    event(release, "a").set()
    assert await core.client.result(identity, timeout_s=10) == "a"
    assert time.monotonic() - began > SLEEP_S
    assert [host.id for host in hosts] == lives
    entries = await core.journal(identity)
    assert [entry.number for entry in entries if isinstance(entry, j.Attempt)] == [1]
    assert not [entry for entry in entries if isinstance(entry, j.TakenUp | j.TimedOut)]


@pytest.mark.once
@pytest.mark.parametrize("moved_s", [3_600, -3_600])
async def test_retries_that_begin_before_a_host_notices_a_set_clock_come_in_time(
    core: World, tune: Tune, monkeypatch: pytest.MonkeyPatch, moved_s: int
) -> None:
    """Between two beats the journal is stamped by a clock of which the host has not heard."""
    core.config = tune(heartbeat_s=1.0, backoff_s=0.5, backoff_max_s=0.5)
    host = await core.host()
    await core.agents()
    identity = await core.client.submit("clock_retries", 20)
    await core.entry(identity, j.Erred)
    set_clocks(monkeypatch, moved_s)
    assert await core.client.result(identity, timeout_s=10) == 20
    await until(lambda: abs(host.now_ms() / 1000 - time.time()) < 60)


@pytest.mark.once
async def test_a_sleep_that_left_memory_takes_no_longer_when_the_clock_is_set_back(
    core: World, tune: Tune, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is taken up again and goes on waiting by the clock that is."""
    core.config = tune(park_after_s=0.3)
    await core.host()
    began = time.monotonic()
    identity = await core.client.submit("clock_sleeps")
    await until(lambda: not core.held(identity) and time.monotonic() > began + 0.3)
    assert (await core.client.get(identity)).state == "waiting"
    set_clocks(monkeypatch, -3_600)
    assert await core.client.result(identity, timeout_s=10) == "awake"
    assert time.monotonic() - began > SLEEP_S


@pytest.mark.once
async def test_a_sleep_that_is_taken_up_before_its_host_notices_a_set_clock_is_not_cut_short(
    core: World, tune: Tune, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal brings a workflow back between two beats, while the host still goes by the clock that was."""
    core.config = tune(park_after_s=0.3, heartbeat_s=1.0)
    host = await core.host()
    began = time.monotonic()
    identity = await core.client.submit("clock_sleeps")
    await until(lambda: not core.held(identity) and time.monotonic() > began + 0.5)
    heart = host._watchdog._heart
    await until(lambda enough=heart._beats + 1: heart._beats >= enough)
    set_clocks(monkeypatch, -3_600)
    await core.client.signal(identity, "nothing", 1)
    assert await core.client.result(identity, timeout_s=10) == "awake"
    assert time.monotonic() - began > SLEEP_S
