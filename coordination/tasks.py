"""A task from its queue to its settlement, as agents' workers and coordinators see it."""

from __future__ import annotations

from typing import Any

import msgspec

from coordination import journal
from coordination.connection import Connection
from coordination.domain import ErrorInfo
from coordination.errors import InvalidPayload
from coordination.keys import AGENTS_GROUP, Keys
from coordination.scripts import DUPLICATE, FINISHED, GONE, HELD
from coordination.streams import inbox_arguments, wake, wake_soon

MOST_CLAIMS = 5  # deliveries of one attempt before it counts as poison


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One entry of an agent queue."""

    queue: str
    entry_id: bytes
    workflow_id: str
    step: str
    generation: int
    number: int  # the attempt, 1 is the first
    task_type: str
    payload: bytes  # JSON
    timeout_s: float
    requires: dict[str, str] = {}  # capabilities that the agent must have
    context: dict[str, str] = {}  # trace context and labels

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt and delivery of this step, for use at outside systems."""
        return f"{self.workflow_id}:{self.step}:{self.generation}"


class Claim(msgspec.Struct, frozen=True, gc=False):
    """What became of the wish to run a delivery."""

    outcome: str  # claimed | duplicate | held | poison
    claimed_ms: int = 0
    holder: str = ""  # who else holds it
    instance: str = ""  # who claimed it when it was read


_decode_requires = msgspec.json.Decoder(dict[str, str]).decode


def fields(
    keys: Keys,
    workflow_id: str,
    step: str,
    generation: int,
    number: int,
    task_type: str,
    payload: bytes,
    timeout_s: float,
    requires: dict[str, str] | None = None,
) -> list[Any]:
    """The fields of a queue entry, for XADD: few, because the server handles each of them several times."""
    task = f"{generation}:{number}:{int(timeout_s * 1000)}:{step}:{task_type}"
    entry = ["k", keys.workflow(workflow_id), "t", task, "p", payload]
    return [*entry, "r", msgspec.json.encode(requires)] if requires else entry


def parse(queue: str, entry_id: bytes, raw: list[bytes]) -> Delivery:
    """Read a queue entry.

    Args:
        queue: Key of the stream it came from.
        entry_id: Its id there.
        raw: Field, value, field, value …

    Raises:
        InvalidPayload: The entry is not a task; quarantine it.
    """
    values = dict(zip(raw[::2], raw[1::2], strict=False))
    try:
        generation, number, limit_ms, step, task_type = values[b"t"].decode().split(":", 4)
        return Delivery(
            queue=queue,
            entry_id=entry_id,
            workflow_id=values[b"k"].decode().rpartition(":")[2],
            step=step,
            generation=int(generation),
            number=int(number),
            task_type=task_type,
            payload=values[b"p"],
            timeout_s=int(limit_ms) / 1000,
            requires=_decode_requires(values[b"r"]) if b"r" in values else {},
        )
    except (KeyError, ValueError, msgspec.MsgspecError) as error:
        raise InvalidPayload(f"Entry {entry_id.decode()} of {queue} is not a task: {error!r}.") from None


def _shard_keys(connection: Connection, workflow_id: str) -> list[str]:
    keys = connection.keys
    return [keys.workflow(workflow_id), keys.journal(workflow_id), keys.events(keys.shard(workflow_id))]


async def claim(connection: Connection, delivery: Delivery, instance: str, previous: str = "") -> Claim:
    """Give the delivery to this instance, unless it is settled, superseded or held by another.

    Args:
        connection: To the server.
        delivery: What was read from the queue.
        instance: The agent instance that wants to run it.
        previous: The instance that held it, when that is known to be dead.
    """
    args = [
        delivery.workflow_id, delivery.step, delivery.generation, delivery.number, instance,
        int(delivery.timeout_s * 1000), previous, MOST_CLAIMS,
    ]  # fmt: skip
    answer = await connection.script("claim_task", _shard_keys(connection, delivery.workflow_id), args)
    match answer[0]:
        case 1:
            return Claim("claimed", answer[1])
        case 2:
            await wake(connection, answer[1].decode(), delivery.workflow_id)
            return Claim("poison")
        case code if code == HELD:
            return Claim("held", holder=answer[1].decode())
        case code if code == DUPLICATE:  # the agent that settled it may have died before it woke the owner
            await _wake_owner(connection, delivery.workflow_id)
    return Claim("duplicate")


async def _wake_owner(connection: Connection, workflow_id: str) -> None:
    owner = await connection.call("HGET", connection.keys.workflow(workflow_id), "owner")
    await wake(connection, (owner or b"").decode(), workflow_id)


async def renew(
    connection: Connection, delivery: Delivery, instance: str, progress: float | None = None, note: str = ""
) -> str:
    """Extend the time limit of a task that this instance holds: renewed, lost or cancelled."""
    shown = b"" if progress is None and not note else msgspec.json.encode([progress, note])
    args = [
        delivery.step, delivery.generation, delivery.number, instance, int(delivery.timeout_s * 1000), shown,
    ]  # fmt: skip
    answer = await connection.script("renew_task", [connection.keys.workflow(delivery.workflow_id)], args)
    if answer == 1:
        return "renewed"
    return "cancelled" if answer in (FINISHED, GONE) else "lost"


async def settle(connection: Connection, delivery: Delivery, instance: str, claimed_ms: int, value: bytes) -> str:
    """Make this the step's result if it is the first: settled, late or gone.

    Args:
        connection: To the server.
        delivery: The task.
        instance: The agent instance that ran it.
        claimed_ms: When it was claimed, from ``Claim``.
        value: The result, JSON.
    """
    entry = journal.Settled(delivery.step, delivery.generation, delivery.number, instance, claimed_ms, value)
    return await _report(connection, delivery, "s", entry)


async def fail(
    connection: Connection,
    delivery: Delivery,
    instance: str,
    claimed_ms: int,
    error: ErrorInfo,
    retry_after_s: float | None = None,
) -> str:
    """Note that this attempt failed, if it is the present one: settled, late or gone."""
    entry = journal.Erred(
        delivery.step, delivery.generation, delivery.number, instance, claimed_ms, error, retry_after_s
    )
    return await _report(connection, delivery, "f", entry)


async def _report(connection: Connection, delivery: Delivery, state: str, entry: journal.Entry) -> str:
    blob = journal.encode(entry)
    args = [delivery.workflow_id, delivery.step, delivery.generation, delivery.number, state, blob]
    args += inbox_arguments(connection, blob)
    seen = connection.keys.seen(connection.keys.shard(delivery.workflow_id))
    answer = await connection.script("report_task", [*_shard_keys(connection, delivery.workflow_id), seen], args)
    if answer[0] == 1:
        wake_soon(connection, answer[1].decode(), delivery.workflow_id, answer[2], answer[3], blob)
        return "settled"
    if answer[0] != DUPLICATE:
        return "gone"
    await _wake_owner(connection, delivery.workflow_id)  # this may be a repetition, and its first answer was lost
    return "late"


async def acknowledge(connection: Connection, delivery: Delivery) -> None:
    """Take the delivery off its queue."""
    await connection.script("acknowledge", [delivery.queue], [AGENTS_GROUP, delivery.entry_id])


async def acknowledge_many(connection: Connection, queue: str, entry_ids: list[bytes]) -> None:
    """Take many deliveries off one queue."""
    await connection.script("acknowledge", [queue], [AGENTS_GROUP, *entry_ids])


async def release(connection: Connection, delivery: Delivery, instance: str) -> None:
    """Give back a task that this instance cannot finish; another takes it from the queue."""
    args = [delivery.step, delivery.generation, delivery.number, instance]
    await connection.script("unclaim_task", [connection.keys.workflow(delivery.workflow_id)], args)
    await connection.script("requeue", [delivery.queue], [AGENTS_GROUP, delivery.entry_id])
