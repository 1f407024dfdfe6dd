"""Calls on a real cluster of three nodes, whose slots move under them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest

from coordination.cluster import ClusterConnection, slot_of
from coordination.config import Config
from coordination.connection import Connection
from coordination.durability import durable
from coordination.errors import ServerUnavailable
from tests import servers


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with servers.cluster() as started:
        yield started


@pytest.fixture
async def cluster(config: Config, url: str) -> AsyncIterator[ClusterConnection]:
    async with await Connection.open(msgspec.structs.replace(config, redis_url=url)) as opened:
        assert isinstance(opened, ClusterConnection)
        yield opened


async def in_an_empty_slot(cluster: ClusterConnection, name: str) -> str:
    """A key whose slot holds nothing, so that it may be given to another node."""
    await cluster.call("PING")
    for number in range(100):
        key = f"{cluster.keys.prefix}{name}{number}"
        slot = slot_of(key)
        if not await cluster._node(cluster._owners[slot]).call("CLUSTER", "COUNTKEYSINSLOT", slot):
            return key
    raise AssertionError("no slot is empty")


async def test_calls_reach_the_node_of_their_key(cluster: ClusterConnection) -> None:
    names = [f"{cluster.keys.prefix}{number}" for number in range(60)]
    await asyncio.gather(*(cluster.call("SET", name, name) for name in names))
    found = await asyncio.gather(*(cluster.call("GET", name) for name in names))
    assert [value.decode() for value in found] == names
    assert len(cluster._nodes) == 3


async def test_a_wrong_picture_of_the_slots_is_put_right(cluster: ClusterConnection) -> None:
    await cluster.call("PING")
    cluster._owners = [cluster._owners[0]] * len(cluster._owners)  # as after every slot has moved
    names = [f"{cluster.keys.prefix}{number}" for number in range(30)]
    await asyncio.gather(*(cluster.call("SET", name, 1) for name in names))
    assert len(set(cluster._owners)) == 3


async def test_a_slot_that_is_moving_answers_at_its_new_node(cluster: ClusterConnection) -> None:
    key = await in_an_empty_slot(cluster, "moves")
    slot = slot_of(key)
    source = cluster._node(cluster._owners[slot])
    target = cluster._node(next(owner for owner in cluster._owners if owner != cluster._owners[slot]))
    ids = [await node.call("CLUSTER", "MYID") for node in (source, target)]
    await target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
    await source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
    assert await cluster.call("SET", key, "there") == b"OK"  # asked of the new node
    for node in (target, source):
        await node.call("CLUSTER", "SETSLOT", slot, "NODE", ids[1])
    assert await cluster.call("GET", key) == b"there"  # moved
    assert cluster._node(cluster._owners[slot]) is target


@pytest.mark.once
async def test_a_script_that_the_new_node_of_a_moving_slot_does_not_know(cluster: ClusterConnection) -> None:
    key = await in_an_empty_slot(cluster, "script")
    slot = slot_of(key)
    source = cluster._node(cluster._owners[slot])
    target = cluster._node(next(owner for owner in cluster._owners if owner != cluster._owners[slot]))
    ids = [await node.call("CLUSTER", "MYID") for node in (source, target)]
    await target.call("SCRIPT", "FLUSH")
    await target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
    await source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
    assert await cluster.script("acknowledge", [key], ["g", "1-0"]) == 0  # no such stream there
    for node in (target, source):
        await node.call("CLUSTER", "SETSLOT", slot, "NODE", ids[1])


async def test_a_blocked_read_of_many_slots_loses_nothing(cluster: ClusterConnection) -> None:
    streams = [f"{cluster.keys.prefix}{{{number}}}" for number in range(8)]
    for stream in streams:
        await cluster.call("XGROUP", "CREATE", stream, "g", "0", "MKSTREAM")
    found: list[bytes] = []

    async def read() -> None:
        while len(found) < 200:
            reply = await cluster.blocking(
                "XREADGROUP", "GROUP", "g", "c", "COUNT", 5, "BLOCK", 300, "STREAMS", *streams, *([">"] * 8)
            )
            found.extend(fields[1] for _, entries in reply or () for _, fields in entries)

    reading = asyncio.create_task(read())
    for number in range(200):
        await cluster.call("XADD", streams[number % 8], "*", "n", number)
    async with asyncio.timeout(10):
        await reading
    assert sorted(int(value) for value in found) == list(range(200))
    rest = await cluster.finish_blocking("g", "c")
    assert rest == []
    assert cluster._reads["XREADGROUP", "GROUP", "g", "c"] == {}


async def test_fsync_is_confirmed_by_every_node(cluster: ClusterConnection) -> None:
    await cluster.call("PING")
    markers = await cluster.one_key_for_each_node("marker")
    assert len({cluster._owners[slot_of(marker)] for marker in markers}) == 3
    async with durable(cluster, "fsync"):
        await cluster.call("SET", "marker", 1)


async def test_no_node_answers(config: Config) -> None:
    nowhere = f"redis+cluster://127.0.0.1:{servers.spare_port()}"
    with pytest.raises(ServerUnavailable, match="does not answer"):
        await Connection.open(msgspec.structs.replace(config, redis_url=nowhere))
