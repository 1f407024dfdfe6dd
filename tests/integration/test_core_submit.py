"""Accepting workflows: exactly once, or refused with a reason and nothing kept."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import msgspec
import pytest

from coordination import DistributedCoordinator, async_client
from coordination.client import Client, SyncClient
from coordination.domain import WorkflowSnapshot
from coordination.errors import (
    AdmissionRefused,
    BadRequest,
    InvalidPayload,
    PayloadTooLarge,
    ResultPending,
    ServerUnavailable,
    UnknownWorkflowType,
    WorkflowNotFound,
)
from coordination.streams import CLIENT_INBOX_TTL_S, INBOX_BYTES
from tests import servers
from tests.core_app.agents import Document
from tests.core_harness import World, until, world
from tests.integration.conftest import Tune


class CoreTitle(DistributedCoordinator):
    async def run(self, document: Document) -> str:
        return document.name


class CoreBare(DistributedCoordinator):
    async def run(self) -> str:
        return "done"


class CoreLarge(DistributedCoordinator):
    async def run(self, size: int) -> str:
        return "x" * size


class CoreLargeTask(DistributedCoordinator):
    async def run(self, size: int) -> str:
        return str(await self.dispatch_task("core_facts", "x" * size))


class CoreParked(DistributedCoordinator):
    async def run(self) -> None:
        await self.wait_for_signal("never")


async def entries(core: World) -> int:
    keys = core.connection.keys
    return sum([await core.connection.call("XLEN", keys.workflows(shard)) for shard in range(keys.shards)])


async def test_a_key_is_one_workflow_however_often_and_concurrently_submitted(core: World) -> None:
    async with Client.open(core.config) as other:
        found = await asyncio.gather(
            *(
                client.submit("core_title", Document("a"), key="order 7")
                for client in (core.client, other)
                for _ in range(50)
            )
        )
    assert len(set(found)) == 1 and await entries(core) == 1
    await core.host()
    assert await core.client.result(found[0], timeout_s=5) == "a"
    assert await core.client.submit("core_title", Document("b"), key="order 7") == found[0]
    assert await core.run("core_title", Document("b"), key="order 7") == "a"
    assert await core.client.submit("core_bare", key="order 7") != found[0]


async def test_an_id_of_the_callers(core: World) -> None:
    await core.host()
    assert await core.client.submit("core_bare", workflow_id="my-own_1") == "my-own_1"
    assert await core.client.result("my-own_1", timeout_s=5) == "done"
    for wrong in ("", "a b", "a~b", "x" * 65, "a/b", "é"):
        with pytest.raises(BadRequest, match="cannot be a workflow id"):
            await core.client.submit("core_bare", workflow_id=wrong)


async def test_an_unknown_type_says_what_was_meant(core: World) -> None:
    with pytest.raises(UnknownWorkflowType, match="Did you mean 'core_title'"):
        await core.client.submit("core_tilte", Document("a"))
    assert await entries(core) == 0


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"nam": "a"}, "name"),
        ({"name": 3}, r"\$.name"),
        ([1], "object"),
        (None, "object"),
        ({"name": "a", "pages": "x"}, "pages"),
    ],
)
async def test_input_of_another_shape_is_refused_and_says_where(core: World, value: object, where: str) -> None:
    with pytest.raises(InvalidPayload, match=where):
        await core.client.submit("core_title", value)
    with pytest.raises(InvalidPayload, match="takes no input"):
        await core.client.submit("core_bare", {"a": 1})
    assert await entries(core) == 0


async def test_what_is_no_json_is_refused(core: World) -> None:
    with pytest.raises(InvalidPayload):
        await core.client.submit("core_title", {"name": object()})


async def test_input_that_is_too_large_is_refused(core: World, tune: Tune) -> None:
    tune(payload_bytes=1000)
    with pytest.raises(PayloadTooLarge, match=r"1,000 are allowed.*files.put"):
        await core.client.submit("core_title", Document("x" * 1000))
    assert await entries(core) == 0


@pytest.mark.parametrize("workflow_type", ["core_large", "core_large_task"])
async def test_results_and_tasks_that_are_too_large_fail_the_workflow(
    core: World, tune: Tune, workflow_type: str
) -> None:
    core.config = tune(payload_bytes=1000)
    await core.host()
    identity = await core.client.submit(workflow_type, 2000)
    with pytest.raises(Exception, match=r"1,000.* allowed"):
        await core.client.result(identity, timeout_s=5)


async def test_a_full_backlog_refuses_and_says_when_to_come_back(core: World, tune: Tune) -> None:
    config = tune(backlog=16, shards=8)
    async with Client.open(config) as client:
        accepted, refused = [], []
        for number in range(60):
            try:
                accepted.append(await client.submit("core_title", Document(str(number))))
            except AdmissionRefused as error:
                refused.append(error)
        assert refused and len(accepted) <= 16 and all(error.retry_after_s > 0 for error in refused)
        assert "waiting" in str(refused[0])
        await core.host()
        for identity in accepted:
            await client.result(identity, timeout_s=5)
        assert await client.submit("core_title", Document("again"))


async def test_running_workflows_are_no_backlog(core: World, tune: Tune) -> None:
    core.config = tune(backlog=8, park_after_s=30)
    await core.host()
    for _ in range(24):
        identity = await _submit_when_there_is_room(core)
        await core.state(identity, "running")


async def _submit_when_there_is_room(core: World) -> str:
    async with Client.open(core.config) as client:
        return await client.submit("core_parked")


async def test_short_memory_refuses_new_workflows_and_finishes_the_accepted(
    own_redis: servers.RedisServer, tune: Tune
) -> None:
    config = tune(redis_url=own_redis.url)
    async with world(config) as core:
        identity = await core.client.submit("core_title", Document("accepted"))
        used = (await core.client.inspect.memory())["used_memory"]
        await core.connection.call("CONFIG", "SET", "maxmemory", int(used * 1.05))
        async with Client.open(config) as client:
            with pytest.raises(AdmissionRefused, match="Redis uses") as caught:
                await client.submit("core_title", Document("new"))
        assert caught.value.retry_after_s > 0
        await core.connection.call("CONFIG", "SET", "maxmemory", used * 2)
        await core.host()
        assert await core.client.result(identity, timeout_s=5) == "accepted"


# --- results -----------------------------------------------------------------------


async def test_waiting_for_a_result_ends_in_time(core: World) -> None:
    identity = await core.client.submit("core_bare")
    with pytest.raises(ResultPending, match=r"0.2 s"):
        await core.client.result(identity, timeout_s=0.2)
    with pytest.raises(WorkflowNotFound):
        await core.client.result("w0", timeout_s=1)
    await core.host()
    assert await asyncio.gather(*(core.client.result(identity, timeout_s=5) for _ in range(20))) == ["done"] * 20
    assert await core.client.result(identity, returns=str) == "done"


async def looks(core: World, names: list[str], monkeypatch: pytest.MonkeyPatch) -> float:
    """How often a client looks at each of many workflows while it waits for a second."""
    looked: list[str] = []
    get = core.client.get

    async def noted(workflow_id: str) -> WorkflowSnapshot:
        looked.append(workflow_id)
        return await get(workflow_id)

    with monkeypatch.context() as patched:
        patched.setattr(core.client, "get", noted)
        waiting = [asyncio.create_task(core.client.result(name, timeout_s=60)) for name in names]
        await asyncio.sleep(1)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return len(looked) / len(names)


async def test_who_waits_for_many_workflows_looks_seldom(core: World, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [await core.client.submit("core_bare") for _ in range(40)]
    monkeypatch.setattr(async_client, "_LOOK_S", 0.2)
    assert await looks(core, names, monkeypatch) > 2
    monkeypatch.setattr(async_client, "_LOOKS_PER_S", 4)
    assert await looks(core, names, monkeypatch) == 1, "the first look of each, and the next after ten seconds"


@pytest.mark.one_server
async def test_who_waits_looks_at_once_after_its_connection_was_lost(
    core: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(async_client, "_LOOK_S", 60.0)
    identity = await core.client.submit("core_bare")
    waiting = asyncio.create_task(core.client.result(identity, timeout_s=60))
    key = core.connection.keys.workflow(identity)
    await until(lambda: core.connection.call("HGET", key, "waiters"))
    await core.connection.call("HDEL", key, "waiters")  # as if the news of its end were lost
    await core.host()
    await until(lambda: core.connection.call("HGET", key, "finished"))
    await asyncio.sleep(0.3)  # in which no news come
    assert not waiting.done()

    with contextlib.suppress(ServerUnavailable):
        await core.connection.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")

    assert await asyncio.wait_for(waiting, 1.5) == "done"


async def test_news_that_come_before_the_submission_is_confirmed_are_heard(
    core: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(async_client, "_LOOK_S", 60.0)
    await core.host()
    submit = core.client._submit

    async def confirmed_late(*arguments: Any) -> bool:
        accepted = await submit(*arguments)
        [end] = core.client._waiting[arguments[3]]
        await end.told.wait()
        return accepted

    monkeypatch.setattr(core.client, "_submit", confirmed_late)
    for size in (10, 20_000):  # the larger one does not come with the news
        assert len(await asyncio.wait_for(core.client.execute("core_large", size), 10)) == size


async def test_one_who_gives_up_leaves_the_news_to_the_others(core: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(async_client, "_LOOK_S", 60.0)
    identity = await core.client.submit("core_bare")
    waiting = asyncio.create_task(core.client.result(identity, timeout_s=60))
    with pytest.raises(ResultPending):
        await core.client.result(identity, timeout_s=0.1)
    with pytest.raises(WorkflowNotFound):
        await core.client.result("w0")
    await core.host()
    assert await asyncio.wait_for(waiting, 5) == "done"
    assert core.client._waiting == {}


async def test_a_small_result_comes_with_the_news_of_the_end(core: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await core.host()
    looked: list[str] = []
    get = core.client.get

    async def noted(workflow_id: str) -> WorkflowSnapshot:
        looked.append(workflow_id)
        return await get(workflow_id)

    monkeypatch.setattr(core.client, "get", noted)
    assert await core.client.execute("core_title", Document("small"), workflow_id="small") == "small"
    assert not looked
    size = INBOX_BYTES + 1
    assert await core.client.execute("core_large", size, workflow_id="large") == "x" * size
    async with asyncio.timeout(0.9):  # before it would look by itself
        assert await core.client.execute("core_title", Document("small"), workflow_id="small") == "small"
    assert set(looked) == {"large", "small"}


async def test_the_client_for_programs_without_a_loop(core: World) -> None:
    await core.host()
    client = SyncClient(core.config)

    def use() -> tuple[str, str]:
        identity = client.submit("core_title", Document("sync"), key="s")
        result = client.result(identity, timeout_s=5)
        assert client.inspect.snapshot(identity).result == "sync"
        with pytest.raises(UnknownWorkflowType):
            client.submit("core_nothing")
        return result, client.execute("core_bare", timeout_s=5)

    try:
        found = await asyncio.gather(*(asyncio.to_thread(use) for _ in range(8)))
    finally:
        await asyncio.to_thread(client.close)
    assert set(found) == {("sync", "done")}


# --- durability ----------------------------------------------------------------------


async def test_fsync_is_confirmed_by_a_server_that_can(own_redis: servers.RedisServer, tune: Tune) -> None:
    config = tune(redis_url=own_redis.url, durability="fsync")
    async with world(config) as core:
        identities = await asyncio.gather(*(core.client.submit("core_title", Document("a")) for _ in range(20)))
        own_redis.kill()
        own_redis.start()
        await core.host()
        for identity in identities:
            assert await core.client.result(identity, timeout_s=10) == "a"


async def test_a_server_that_is_away_is_named(tune: Tune) -> None:
    config = tune(redis_url=f"redis://:secret@127.0.0.1:{servers.spare_port()}/0")
    with pytest.raises(ServerUnavailable, match=r"127.0.0.1:.*Check REDIS_URL") as caught:
        async with Client.open(config):
            pass
    assert "secret" not in str(caught.value)


# --- forgetting ----------------------------------------------------------------------


async def test_what_the_history_holds_leaves_and_nothing_else(core: World, tune: Tune) -> None:
    core.config = tune(result_ttl_s=100)
    await core.host()
    done = await core.client.submit("core_title", Document("a"))
    keyed = await core.client.submit("core_title", Document("b"), key="k")
    live = await core.client.submit("core_parked")
    for identity in (done, keyed):
        await core.client.result(identity, timeout_s=5)
    await core.state(live, "running")
    seqs = {identity: (await core.client.get(identity)).seq for identity in (done, keyed, live)}
    async with Client.open(core.config) as client:
        assert await client.commands.forget({done: seqs[done] - 1, live: seqs[live], "w0": 3}) == 0
        assert await core.numbered(done)
        assert await client.commands.forget({done: seqs[done], keyed: seqs[keyed]}) == 2
        keys = core.connection.keys
        assert not await core.connection.call("EXISTS", keys.journal(done))
        assert 0 < await core.connection.call("TTL", keys.workflow(done)) <= 100
        assert await core.connection.call("TTL", keys.workflow(keyed)) > 86_400
        assert (await client.get(done)).result == "a"
        assert await client.submit("core_title", Document("c"), key="k") == keyed
        assert await client.result(keyed, timeout_s=2) == "b"


async def test_snapshots_decode(core: World) -> None:
    identity = await core.client.submit("core_title", Document("a"), labels={"x": "y"})
    snapshot = await core.client.get(identity)
    assert msgspec.json.decode(msgspec.json.encode(snapshot), type=type(snapshot)) == snapshot


@pytest.mark.parametrize("size", [10, 20_000])  # the larger one does not come with the news
async def test_news_for_one_who_left_do_not_stay_for_ever(core: World, size: int) -> None:
    async with Client.open(core.config) as gone:
        identity = await gone.submit("core_large", size)
        with pytest.raises(ResultPending):
            await gone.result(identity, timeout_s=0.1)
        inbox = gone.connection.keys.inbox(gone._id)
    await core.host()
    await core.client.result(identity, timeout_s=10)
    await until(lambda: core.connection.call("EXISTS", inbox))
    assert 0 < await core.connection.call("TTL", inbox) <= CLIENT_INBOX_TTL_S
