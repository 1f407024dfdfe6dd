"""An agent that dies between settling a step and waking its coordinator delays that workflow by a moment only."""

from __future__ import annotations

import pytest

from coordination import tasks
from coordination.config import Config
from coordination.connection import Connection

pytestmark = pytest.mark.once


async def test_whoever_drops_a_settled_delivery_or_reports_it_again_wakes_the_owner(config: Config) -> None:
    async with await Connection.open(config) as connection:
        keys = connection.keys
        await connection.call(
            "HSET",
            keys.workflow("w1"),
            "state",
            "running",
            "owner",
            "host-1",
            "seq",
            1,
            "t:1",
            "0:1:s:1:0:0:dead-agent",
        )
        delivery = tasks.parse(
            "queue",
            b"1-0",
            [str(part).encode() for part in tasks.fields(keys, "w1", "1", 0, 1, "t", b"1", 5.0)[:-1]] + [b"1"],
        )
        assert (await tasks.claim(connection, delivery, "other-agent")).outcome == "duplicate"
        [(_, fields)] = await connection.call("XRANGE", keys.inbox("host-1"), "-", "+")
        assert fields == [b"w", b"w1"]
        assert await tasks.settle(connection, delivery, "dead-agent", 0, b"1") == "late"
        assert await connection.call("XLEN", keys.inbox("host-1")) == 2
