"""The course of each task type's load and latency over the last ten minutes, for the sparklines of the Agents page.

Kept in Redis and nowhere else: it is a picture of now, and worth nothing tomorrow.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from coordination import client as core
from coordination.config import current
from coordination.connection import Connection
from coordination.domain import AgentView, QueueView
from coordination.errors import ServerUnavailable
from coordination.keys import Keys

MOST = 120  # samples; the relay takes one each five seconds


class TypeSample(msgspec.Struct, frozen=True, array_like=True):
    """One moment of a task type."""

    load: int = 0  # tasks that run
    waiting: int = 0
    p95_ms: int = 0  # the slowest instance's


Course = list[TypeSample]


def measure(agents: Iterable[AgentView], queues: Iterable[QueueView]) -> dict[str, TypeSample]:
    """What each task type does now."""
    alive = [agent for agent in agents if agent.alive]
    found = {}
    for queue in queues:
        work = [agent.work[queue.type] for agent in alive if queue.type in agent.work]
        load, p95_ms = sum(one.load for one in work), max((one.p95_ms for one in work), default=0)
        found[queue.type] = TypeSample(load, queue.waiting, p95_ms)
    return found


async def write(connection: Connection, agents: list[AgentView], queues: list[QueueView], every_s: int) -> None:
    """Add a sample; relays side by side write into the same slot, and the first of them counts."""
    clock = await connection.call("TIME")
    slot = int(clock[0]) - int(clock[0]) % every_s
    last = await connection.call("XREVRANGE", connection.keys.type_courses, "+", "-", "COUNT", 1)
    if last and int(last[0][0].partition(b"-")[0]) >= slot * 1000:
        return
    raw = msgspec.json.encode(measure(agents, queues))
    await connection.call(
        "XADD", connection.keys.type_courses, "MAXLEN", MOST, f"{slot * 1000}-1", "types", raw
    )  # a second relay in the same moment is refused by the number


def read() -> dict[str, Course]:
    """Each type's samples, oldest first; nothing while Redis does not answer."""
    config = current()
    try:
        entries: list[Any] = core.sync().call(
            "XREVRANGE", Keys(config.prefix, config.shards).type_courses, "+", "-", "COUNT", MOST
        )
    except ServerUnavailable:
        return {}
    samples = [_decode(entry[1][1]) for entry in reversed(entries)]
    types = {name for sample in samples for name in sample}
    return {name: [sample.get(name, TypeSample()) for sample in samples] for name in types}


_decode = msgspec.json.Decoder(dict[str, TypeSample]).decode
