"""What operators change about the agent pool: pauses, drains, remote agents."""

from __future__ import annotations

import re

import msgspec

from coordination.connection import Connection
from coordination.domain import REMOTE_PROTOCOLS, RemoteAgent
from coordination.errors import BadRequest
from coordination.registry import Ramp, read_pauses

MOST_RAMP_S = 86_400
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_TYPE = re.compile(r"[a-z][a-z0-9_.-]{0,63}")


async def pause_type(connection: Connection, task_type: str, actor: str, reason: str = "") -> None:
    """Stop every agent from fetching a task type within about a second; its backlog stays."""
    if not _TYPE.fullmatch(task_type):
        raise BadRequest(f"{task_type!r} is no task type.")
    clock = await connection.call("TIME")
    note = {"actor": actor, "reason": reason, "at_ms": int(clock[0]) * 1000 + int(clock[1]) // 1000}
    await connection.call("HSET", connection.keys.paused, task_type, msgspec.json.encode(note))


async def resume_type(connection: Connection, task_type: str, actor: str = "", ramp_s: float = 0.0) -> bool:
    """Let agents fetch a task type again, all at once or with slots that come back over ``ramp_s`` seconds.

    Each instance begins with one slot for the type. Returns whether it was paused.

    Raises:
        BadRequest: The time does not fit.
    """
    if not 0 <= ramp_s <= MOST_RAMP_S:
        raise BadRequest(f"Slots can come back over 0 to {MOST_RAMP_S:,} s, not {ramp_s:g}.")
    paused, _ = await read_pauses(connection)
    if ramp_s and task_type in paused:
        clock = await connection.call("TIME")
        ramp = Ramp(int(clock[0]) * 1000 + int(clock[1]) // 1000, int(ramp_s * 1000), actor)
        await connection.call("HSET", connection.keys.paused, task_type, msgspec.json.encode(ramp))
    elif not ramp_s:
        await connection.call("HDEL", connection.keys.paused, task_type)
    return task_type in paused


async def drain_agent(connection: Connection, instance: str, actor: str = "") -> None:
    """Let an instance finish what it runs and take nothing new.

    Raises:
        BadRequest: No such instance is registered.
    """
    if not await connection.call("HEXISTS", connection.keys.agent_beats, instance):
        raise BadRequest(f"No agent instance {instance!r} is registered; it may have stopped.")
    await connection.call("HSET", connection.keys.draining, instance, msgspec.json.encode({"actor": actor}))


async def undrain_agent(connection: Connection, instance: str, actor: str = "") -> bool:
    """Let an instance take tasks again. Returns whether it was draining."""
    return bool(await connection.call("HDEL", connection.keys.draining, instance))


async def register_remote(connection: Connection, remote: RemoteAgent) -> None:
    """Let gateway workers run a remote HTTP agent's task types. Its address is checked at each call.

    Raises:
        BadRequest: Says which field does not fit.
    """
    if not _NAME.fullmatch(remote.name):
        raise BadRequest(f"{remote.name!r} is no name for a remote agent: use letters, digits, '_', '.' and '-'.")
    wrong = [task_type for task_type in remote.types if not _TYPE.fullmatch(task_type)]
    if wrong or not remote.types:
        raise BadRequest(f"Remote agent {remote.name!r} needs task types; {wrong or 'none'} does not fit.")
    if not 1 <= remote.concurrency <= 1000 or not 0 < remote.timeout_s <= 3600:
        raise BadRequest(f"Remote agent {remote.name!r}: concurrency must be 1 to 1000, the time limit up to 3600 s.")
    if not remote.url.startswith(("https://", "http://")):
        raise BadRequest(f"Remote agent {remote.name!r}: {remote.url!r} is no web address.")
    if remote.protocol and remote.protocol not in REMOTE_PROTOCOLS:
        raise BadRequest(f"Remote agent {remote.name!r}: no gateway speaks {remote.protocol!r}.")
    await connection.call("HSET", connection.keys.remote_agents, remote.name, msgspec.json.encode(remote))


async def remove_remote(connection: Connection, name: str) -> bool:
    """Stop running a remote agent. Returns whether it was registered."""
    return bool(await connection.call("HDEL", connection.keys.remote_agents, name))
