"""What a host that died leaves in Redis goes, also where it held no work."""

from __future__ import annotations

import asyncio

import pytest

from coordination import rescue
from coordination.keys import COORDINATORS_GROUP
from coordination.streams import INBOX_TTL_S, ensure_groups
from tests.core_harness import World, until


async def test_streams_forget_dead_hosts_that_hold_nothing(core: World, monkeypatch: pytest.MonkeyPatch) -> None:
    connection, keys = core.connection, core.connection.keys
    streams = [stream(shard) for shard in range(keys.shards) for stream in (keys.workflows, keys.resumes)]
    await ensure_groups(connection, streams, COORDINATORS_GROUP)
    for stream in streams:
        await connection.call("XGROUP", "CREATECONSUMER", stream, COORDINATORS_GROUP, "fallen")
    monkeypatch.setattr(rescue, "_RETIRE_S", 0.0)
    await core.host("one")
    await core.host("two")

    async def known() -> set[bytes]:
        found = await asyncio.gather(
            *(connection.call("XINFO", "CONSUMERS", name, COORDINATORS_GROUP) for name in streams)
        )
        return {consumer[1] for consumers in found for consumer in consumers}

    async def forgotten() -> bool:
        return b"fallen" not in await known()

    await until(forgotten)


async def test_an_inbox_of_a_host_that_held_nothing_goes(core: World) -> None:
    connection, keys = core.connection, core.connection.keys
    await core.host()
    await connection.script("beat", [keys.beats, keys.hosts, keys.beat_times], ["fallen", b"", "1"])
    await connection.call("XADD", keys.inbox("fallen"), "*", "w", "any")

    async def expires() -> bool:
        return 0 < int(await connection.call("TTL", keys.inbox("fallen"))) <= INBOX_TTL_S

    await until(expires)
    assert not await connection.call("HEXISTS", keys.beats, "fallen")
