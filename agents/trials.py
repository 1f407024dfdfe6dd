"""Trial calls of remote agents that are not registered yet: whoever asks never calls them, a gateway does.

A request is a member of one list, which the first gateway that looks takes; the answer comes in a list of its own.
Both expire, and none is ever carried out twice: a trial that is lost with its gateway is one that nobody answered.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog

from coordination.connection import Connection
from coordination.domain import RemoteAgent
from coordination.errors import AgentError, FinalError, RetryableError

TAKEN_S = 6.0  # within this time some gateway has taken a request, or none is there
KEPT_S = 60  # answers that nobody fetches
AT_ONCE = 4  # trials of one gateway
_LOOK_S = 0.1

log = structlog.get_logger("agents")


class Trial(msgspec.Struct, frozen=True):
    """One call that is asked for."""

    id: str
    remote: RemoteAgent
    task_type: str
    payload: msgspec.Raw


class Answer(msgspec.Struct, frozen=True):
    """What came of it: an output, or what went wrong in words."""

    gateway: str
    output: msgspec.Raw = msgspec.Raw(b"null")
    fault: str = ""
    took_ms: int = 0


async def ask(connection: Connection, remote: RemoteAgent, task_type: str, payload: Any) -> Answer:
    """Let a gateway call a remote agent once, with all checks, and wait for what it says.

    Redis: adds to ``Keys.remote_trials``, takes from ``Keys.trial_answer``.

    Raises:
        FinalError: The call failed; says how.
        RetryableError: No gateway has taken it, or the one that has does not answer.
    """
    trial = Trial(uuid.uuid4().hex, remote, task_type, msgspec.Raw(msgspec.json.encode(payload)))
    raw, keys = msgspec.json.encode(trial), connection.keys
    await connection.call("RPUSH", keys.remote_trials, raw)
    await connection.call("EXPIRE", keys.remote_trials, KEPT_S)
    loop = asyncio.get_running_loop()
    taken_by, ends = loop.time() + TAKEN_S, loop.time() + TAKEN_S + remote.timeout_s + 2
    while loop.time() < ends:
        if (found := await connection.call("LPOP", keys.trial_answer(trial.id))) is not None:
            answer = msgspec.json.decode(found, type=Answer)
            if answer.fault:
                raise FinalError(answer.fault)
            return answer
        if loop.time() > taken_by and await connection.call("LREM", keys.remote_trials, 1, raw):
            raise RetryableError(
                "No gateway worker is there to make the call. Start one: manage.py run_agent --gateway"
            )
        await asyncio.sleep(_LOOK_S)
    raise RetryableError(f"The gateway worker that makes the call has not answered for {ends - taken_by:.0f} s.")


async def take(connection: Connection, most: int) -> list[Trial]:
    """The oldest requests that no gateway has taken yet."""
    found = await connection.call("LPOP", connection.keys.remote_trials, most) if most > 0 else None
    return [msgspec.json.decode(raw, type=Trial) for raw in found or ()]


async def carry_out(
    connection: Connection, trial: Trial, gateway: str, call: Callable[[RemoteAgent, str, Any], Awaitable[Any]]
) -> None:
    """Make the call and answer."""
    began = asyncio.get_running_loop().time()
    output, fault = msgspec.Raw(b"null"), ""
    try:
        output = msgspec.Raw(msgspec.json.encode(await call(trial.remote, trial.task_type, trial.payload)))
    except (AgentError, TimeoutError) as error:
        fault = str(error) or f"{trial.remote.name} did not answer in time."
    except Exception as error:
        log.exception("a trial call failed", action="trial.failed", remote=trial.remote.name, error=str(error))
        fault = f"The call failed in the gateway: {type(error).__name__}. Its log says more."
    took_ms = int((asyncio.get_running_loop().time() - began) * 1000)
    key = connection.keys.trial_answer(trial.id)
    await connection.call("RPUSH", key, msgspec.json.encode(Answer(gateway, output, fault, took_ms)))
    await connection.call("EXPIRE", key, KEPT_S)
