"""Input that harms: entries nobody can read, payloads that are too large, and everything delivered again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

import msgspec

from coordination import tasks
from coordination.errors import InvalidPayload, PayloadTooLarge
from tests.chaos.plans import Huge, Sequence, Work, total
from tests.chaos.record import FAILED, completed
from tests.chaos.scene import Kind, Scene, now_ms

_WAIT_S = 120.0
_HUGE_BYTES = 64 << 20
_RESULT_BYTES = 8 << 20
_TIMES = 100  # how often one result is reported
_ENTRIES = 20  # tasks that are queued again
_LOOK_S = 10.0
_JUNK: list[list[Any]] = [
    ["x", "y"],
    ["w", "nobody"],
    ["k", b"\xff\xfe\x00", "t", b"one::-:\xff:chaos_work", "p", "{"],
    ["k", "workflow:{0}:nobody", "t", "1:1:1000:1:another_type", "p", "{}"],
    ["k", "workflow:{0}:nobody", "t", "1:1:1000:1:chaos_work", "p", b'{"type":"Work","value":', "r", "{"],
    ["k", "workflow:{0}:nobody", "t", "1:1:1000:1:chaos_work", "p", b"\x00" * 100_000],
]
_JUNK_WORKFLOWS: list[list[Any]] = [["x", "y"], ["w", "nobody"], ["w", b"\xff\xfe\x00"], ["w", ""], ["w", "a" * 10_000]]


async def _poison(scene: Scene) -> None:
    """Junk in an agent queue and in the streams of workflows; a type, a version and an input that no code takes."""
    fault = scene.note("poison", "queues")
    call, keys = scene.ask, scene.connection.keys
    for junk in _JUNK:
        await call("XADD", keys.agent_queue("chaos_work"), "*", *junk)
    for junk in _JUNK_WORKFLOWS:
        shard = scene.rng.randrange(keys.shards)
        await call("XADD", keys.workflows(shard), "*", *junk)
        await call("XADD", keys.resumes(shard), "*", *junk)
    number = len(scene.fired)
    plan = msgspec.json.encode(Sequence([Work(1)]))
    wrong = [("no_such_type", 1, plan), ("chaos", 99, plan), ("chaos", 1, b'{"a":1}')]
    names = []
    for index, (kind, version, payload) in enumerate(wrong):
        name = f"bad-poison-{scene.seed}-{number}-{index}"
        names.append(name)
        await _submit_raw(scene, name, kind, version, payload)
    scene.bad += names
    waiting = (scene.driver.ends(name, FAILED) for name in names)
    await _within(scene, "poison", asyncio.gather(*waiting))
    fault.until_ms = now_ms()
    fault.figures = {"queued": len(_JUNK) + 2 * len(_JUNK_WORKFLOWS), "asked": len(names)}


async def _submit_raw(scene: Scene, name: str, kind: str, version: int, payload: bytes) -> None:
    """Accept what no client would send: past its checks, by the script itself."""
    keys = scene.connection.keys
    shard = keys.shard(name)
    await scene.connection.script(
        "submit",
        [keys.workflow(name), keys.workflows(shard), keys.deadlines(shard), keys.events(shard)],
        [name, kind, version, payload, 0, 3_600_000, 0, ""],
    )


async def _within(scene: Scene, what: str, work: Awaitable[Any]) -> None:
    try:
        async with asyncio.timeout(_WAIT_S):
            await work
    except TimeoutError:
        scene.broken.append(f"{what}: its workflows have not ended within {_WAIT_S:.0f} s")


async def _huge(scene: Scene) -> None:
    """A submit of 64 MiB, which is refused in words, and an agent whose result is eight times too large."""
    number = len(scene.fired)
    fault = scene.note("huge", "payloads")
    began = time.monotonic()
    try:
        await scene.driver.client.submit("chaos", Work(1, padding="x" * _HUGE_BYTES), workflow_id=f"huge-{number}")
        scene.broken.append("a submit of 64 MiB was accepted")
    except PayloadTooLarge:
        fault.figures["submit_refused_s"] = round(time.monotonic() - began, 3)
    if scene.driver.console is not None:
        body = {"type": "chaos", "input": {"type": "Work", "value": 1, "padding": "x" * _HUGE_BYTES}}
        status = await scene.driver.console.try_huge("/workflows", body)
        if status not in (0, 413):  # 0: the connection was closed while it was still sending
            scene.broken.append(f"the API answered {status} to a submit of 64 MiB")
    plan = Sequence([Work(1), Huge(2, _RESULT_BYTES), Work(3)])
    await _within(scene, "huge", scene.driver.one(f"huge-{scene.seed}-{number}", plan, completed(total(plan))))
    fault.until_ms = now_ms()


async def _duplicates(scene: Scene) -> None:
    """Queued tasks added again, and the result of one reported a hundred times: one of them counts."""
    call, keys = scene.ask, scene.connection.keys
    queue = keys.agent_queue("chaos_work")
    deadline = time.monotonic() + _LOOK_S
    found: list[Any] = []
    while not found and time.monotonic() < deadline:
        found = await call("XRANGE", queue, "-", "+", "COUNT", _ENTRIES)
    fault = scene.note("duplicates", "tasks")
    settled = reported = 0
    for entry_id, fields in found:
        await call("XADD", queue, "*", *fields)
        await call("XADD", queue, "*", *fields)
        if not settled:
            settled += await _report(scene, queue, entry_id, fields)
            reported += _TIMES
    fault.until_ms = now_ms()
    fault.figures = {"queued_again": 2 * len(found), "reported": reported, "late": reported - settled}


async def _report(scene: Scene, queue: str, entry_id: bytes, fields: list[bytes]) -> int:
    """Report a task's right result a hundred times beside its agent; gives how many were taken."""
    try:
        delivery = tasks.parse(queue, entry_id, fields)
        value = str(msgspec.json.decode(delivery.payload, type=Work).value).encode()
    except (InvalidPayload, msgspec.MsgspecError):
        return 0
    reports = (tasks.settle(scene.connection, delivery, "twin", now_ms(), value) for _ in range(_TIMES))
    taken = (await asyncio.gather(*reports)).count("settled")
    if taken > 1:
        scene.broken.append(f"{delivery.idempotency_key} was settled {taken} times")
    return taken


KINDS: dict[str, Kind] = {
    "poison": _poison,
    "huge": _huge,
    "duplicates": _duplicates,
}
