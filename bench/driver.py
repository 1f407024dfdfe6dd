"""``python -m bench.driver``: a client process that fills queues, holds workflows, and walks long ones.

It reads one JSON object a line, ``{"do": name, …}``, and answers with one line each; see ``bench.talk``.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterable

import uvloop

from bench.loop import percentile
from bench.processes import cpu_ms_by_pid
from bench.workload.payloads import DOCUMENT, Walk
from coordination import Client
from coordination.config import current
from coordination.journal import Attempt

AT_ONCE = 1_000
FEED_S = 0.02
SAMPLED = 1_000  # workflows of a window whose times are read


class Driver:
    """What one helper process has submitted, and what it can tell of it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._call = client.connection.call
        self._keys = client.connection.keys
        self._queued = 0
        self._holds = 0
        self._held: list[str] = []
        self._walks = 0
        self._walkers: dict[int, list[str]] = {}

    # --- looking --------------------------------------------------------------------

    async def live(self) -> int:
        """How many workflows have not ended."""
        counts = await asyncio.gather(
            *(self._call("ZCOUNT", self._keys.deadlines(n), "-inf", "(+inf") for n in range(self._keys.shards))
        )
        return sum(counts)

    async def behind(self) -> int:
        """How many events the relay has not mirrored."""
        return sum(await asyncio.gather(*(self._call("XLEN", self._keys.events(n)) for n in range(self._keys.shards))))

    async def mirrored(self) -> None:
        """Wait until the history is complete."""
        while await self.behind():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.05)

    async def drained(self) -> None:
        """Wait until no workflow lives."""
        while await self.live():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.05)

    async def memory(self) -> int:
        """Bytes that the server uses, after the history is complete."""
        await self.mirrored()
        return (await self._client.inspect.memory())["used_memory"]

    async def setting(self, name: str, value: str) -> None:
        """Change a setting of the server."""
        await self._call("CONFIG", "SET", name, value)

    # --- a backlog ------------------------------------------------------------------

    async def queue(self, to: int) -> float:
        """Submit until so many workflows live; returns the seconds that this took."""
        began = time.perf_counter()
        await self._submit(to - await self.live())
        return round(time.perf_counter() - began, 2)

    async def _submit(self, count: int) -> None:
        first, self._queued = self._queued, self._queued + max(0, count)
        names = (f"q{number}" for number in range(first, self._queued))
        await _many(names, lambda name: self._client.submit("bench_review", DOCUMENT, workflow_id=name))

    async def drain(self, keep: int, hosts: int, warm_s: float, window_s: float, pids: list[int]) -> dict[str, float]:
        """Let the hosts work while as many are submitted as end, so that the backlog stays as long as it is.

        The window begins after as many have ended as can be at work, some of which an earlier run has begun.
        """
        feeder = asyncio.create_task(self._feed(keep), name="feeder")
        try:
            over = await self._ended() + min(keep, hosts * current().host_at_work)
            while await self._ended() < over:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.1)
            await asyncio.sleep(warm_s)
            first, began, used = await self._ended(), time.perf_counter(), _used(pids)
            await asyncio.sleep(window_s)
            last, ended = await self._ended(), time.perf_counter()
            spent = {pid: ms - used.get(pid, 0.0) for pid, ms in _used(pids).items()}
            behind = await self.behind()
        finally:
            feeder.cancel()
            await asyncio.gather(feeder, return_exceptions=True)
        took = await self._took_ms(first, last)
        return {
            "wf_per_s": round((last - first) / (ended - began), 1),
            "p50_ms": round(percentile(took, 0.5), 1),
            "p99_ms": round(percentile(took, 0.99), 1),
            "cpu_ms_per_wf": round(sum(spent.values()) / max(1, last - first), 3),
            "behind": behind,
        }

    async def _ended(self) -> int:
        return self._queued - await self.live()

    async def _feed(self, keep: int) -> None:
        while True:
            missing = keep - await self.live()
            if missing > 0:
                await self._submit(missing)
            await asyncio.sleep(FEED_S)

    async def _took_ms(self, first: int, last: int) -> list[float]:
        """From being taken up to the end, of some that ended in between: queues are served in order."""
        step = max(1, (last - first) // SAMPLED)
        rows = await asyncio.gather(
            *(
                self._call("HMGET", self._keys.workflow(f"q{n}"), "started", "finished")
                for n in range(first, last, step)
            )
        )
        return sorted(float(int(finished) - int(started)) for started, finished in rows if started and finished)

    # --- workflows that wait ------------------------------------------------------------

    async def hold(self, to: int) -> None:
        """Let so many workflows wait for a signal after their first step."""
        names = [f"held{self._holds + number}" for number in range(to - len(self._held))]
        self._holds += len(names)
        self._held += names
        await _many(names, lambda name: self._client.submit("bench_waiting", DOCUMENT, workflow_id=name))
        await _until(names, self._waits)

    async def _waits(self, name: str) -> bool:
        return int(await self._call("HGET", self._keys.workflow(name), "seq") or 0) >= 3

    async def let_go(self) -> None:
        """Let those that wait end."""
        names, self._held = self._held, []
        await _many(names, lambda name: self._client.signal(name, "go on"))
        await _many(names, lambda name: self._client.result(name, timeout_s=60))

    # --- workflows that somebody watches for -------------------------------------------------

    async def probe(self, per_second: int, seconds: float) -> None:
        """Submit a few workflows a second whose ids say when that was, in ms."""
        async with asyncio.TaskGroup() as group:
            for number in range(int(per_second * seconds)):
                name = f"probe-{time.time_ns() // 1_000_000}"
                submitted = self._client.submit("bench_probe", DOCUMENT, workflow_id=name)
                group.create_task(submitted, name=f"probe-{number}")
                await asyncio.sleep(1 / per_second)

    # --- long journals --------------------------------------------------------------------

    async def walk(self, steps: int, many: int) -> dict[str, list[float]]:
        """Let some workflows take so many steps; returns the ms of each step by its place, over all of them."""
        self._walks += 1
        names = self._walkers[steps] = [f"walk{self._walks}-{number}" for number in range(many)]
        await _many(names, lambda name: self._client.submit("bench_walk", Walk(steps), workflow_id=name))
        await _until(names, lambda name: self._walked(name, steps))
        by_place: dict[str, list[float]] = {}
        for name in names:
            entries = await self._client.inspect.journal(name)
            asked = [item.at_ms for item in entries if isinstance(item.entry, Attempt) and item.entry.number == 1]
            for place, (begin, end) in enumerate(itertools.pairwise(asked), 1):
                by_place.setdefault(str(place), []).append(float(end - begin))
        return by_place

    async def _walked(self, name: str, steps: int) -> bool:
        return int(await self._call("HGET", self._keys.workflow(name), "steps_done") or 0) >= steps

    async def replay(self, steps: int) -> list[float]:
        """Bring those that have left memory back by a signal; returns ms from it to the end of each, one by one."""
        names, took = self._walkers.pop(steps), []
        await _until(names, self._parked)
        for name in names:
            began = time.perf_counter()
            await self._client.signal(name, "go on")
            await self._client.result(name, timeout_s=120)
            took.append(round((time.perf_counter() - began) * 1000, 2))
        return took

    async def _parked(self, name: str) -> bool:
        return await self._call("HGET", self._keys.workflow(name), "parked") is not None


def _used(pids: list[int]) -> dict[int, float]:
    return {**cpu_ms_by_pid(pids), os.getpid(): time.process_time() * 1000}


async def _many(names: Iterable[str], work: Callable[[str], Awaitable[object]]) -> None:
    """Do something for each name, so many at a time."""
    left = iter(names)

    async def some() -> None:
        for name in left:
            await work(name)

    async with asyncio.TaskGroup() as group:
        for number in range(AT_ONCE):
            group.create_task(some(), name=f"some-{number}")


async def _until(names: list[str], holds: Callable[[str], Awaitable[bool]]) -> None:
    """Wait until something holds for every name, looking at those again for which it did not."""
    left = list(names)
    while left:
        answers = [
            await asyncio.gather(*(holds(name) for name in left[at : at + 500])) for at in range(0, len(left), 500)
        ]
        flat = [answer for some in answers for answer in some]
        left = [name for name, answer in zip(left, flat, strict=True) if not answer]
        if left:
            await asyncio.sleep(0.1)


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    async with Client.open(current()) as client:
        driver = Driver(client)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            command = json.loads(line)
            try:
                answer = {"answer": await getattr(driver, command.pop("do"))(**command)}
            except* Exception as group:
                answer = {"error": repr(_first(group))}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    uvloop.run(_serve())
