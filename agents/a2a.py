"""A task as a conversation with an agent that speaks A2A: one message, then looks at its task until that has ended.

The idempotency key is the message's id, so an agent that keeps its messages answers a second attempt from memory.

Source: A2A protocol, JSON-RPC binding, versions 0.3 and 1.0; docs/agents.md has the mapping.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, NoReturn

import httpx
import msgspec

from agents.answers import check_status, refusal
from agents.handlers import InvalidResult, encode
from agents.task import Task
from coordination.domain import RemoteAgent
from coordination.errors import FinalError, RetryableError

Send = Callable[[bytes], Awaitable[tuple[int, httpx.Headers, bytes]]]

LOOK_S, LONGEST_LOOK_S = 0.2, 2.0  # between looks at a task that goes on; each is twice as long as the one before
_TEXT = 2_000
_RETRYABLE = frozenset({-32603, -32006, -32000})  # internal error, invalid agent response, server error
_ACCEPTED = ["application/json", "text/plain"]


class _Dialect(NamedTuple):
    """What the versions of the protocol call things."""

    send: str
    get: str
    role: str
    tagged: bool  # parts and messages name their kind
    wait: dict[str, bool]  # asks for the answer once the task has ended


_DIALECTS = {
    "a2a/0.3": _Dialect("message/send", "tasks/get", "user", True, {"blocking": True}),
    "a2a/1.0": _Dialect("SendMessage", "GetTask", "ROLE_USER", False, {"returnImmediately": False}),
}


class _Part(msgspec.Struct):
    text: str | None = None
    data: Any = msgspec.UNSET


class _Message(msgspec.Struct):
    parts: list[_Part] = []


class _Status(msgspec.Struct):
    state: str = ""
    message: _Message | None = None


class _Said(msgspec.Struct):
    """A task or a message; version 1.0 wraps it."""

    id: str = ""
    status: _Status | None = None
    artifacts: list[_Message] | None = None
    parts: list[_Part] = []
    task: _Said | None = None
    message: _Said | None = None


class _Fault(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Reply(msgspec.Struct):
    id: str | int | None = None
    result: _Said | None = None
    error: _Fault | None = None


_decode_reply = msgspec.json.Decoder(_Reply).decode


def headers(remote: RemoteAgent) -> dict[str, str]:
    """The header that names the version."""
    return {"A2A-Version": remote.protocol.partition("/")[2]}


async def converse(send: Send, remote: RemoteAgent, task: Task, payload: Any) -> Any:
    """Hand one task over and return its output; the caller limits the time.

    Raises:
        FinalError: The agent rejected the task, or asks for something that only a person can give.
        RetryableError: The task failed, or the agent is busy.
        InvalidResult: The answer is none of A2A, or holds neither text nor data.
    """
    dialect = _DIALECTS[remote.protocol]
    key = task.idempotency_key
    said = _read(remote, key, *await send(_call(key, dialect.send, _message(dialect, remote, task, payload))))
    pause_s = LOOK_S
    while (state := _state(said)) in ("submitted", "working"):
        if not said.id:
            raise InvalidResult(f"Remote agent {remote.name!r} works on a task without an id.")
        await asyncio.sleep(pause_s)
        pause_s = min(LONGEST_LOOK_S, pause_s * 2)
        said = _read(remote, key, *await send(_call(key, dialect.get, {"id": said.id})))
    if state not in ("", "completed"):
        _refuse(remote, state, said)
    return _output(remote, said)


def _call(key: str, method: str, params: dict[str, Any]) -> bytes:
    return encode({"jsonrpc": "2.0", "id": key, "method": method, "params": params})


def _message(dialect: _Dialect, remote: RemoteAgent, task: Task, payload: Any) -> dict[str, Any]:
    skill = remote.skills.get(task.type)
    part = _part(payload, text_only=skill is not None and skill.text)
    if dialect.tagged:
        part["kind"] = "text" if "text" in part else "data"
    about = {
        "skillId": skill.id if skill else task.type,
        "workflowId": task.workflow_id,
        "step": task.step,
        "attempt": task.number,
        "taskType": task.type,
    }
    message = {"messageId": task.idempotency_key, "role": dialect.role, "parts": [part], "metadata": about}
    if dialect.tagged:
        message["kind"] = "message"
    return {"message": message, "configuration": {"acceptedOutputModes": _ACCEPTED, **dialect.wait}}


def _part(payload: Any, text_only: bool) -> dict[str, Any]:
    if isinstance(payload, str):
        return {"text": payload}
    if text_only:
        return {"text": encode(payload).decode()}
    return {"data": payload if isinstance(payload, dict) else {"input": payload}}


def _read(remote: RemoteAgent, key: str, status: int, fields: httpx.Headers, raw: bytes) -> _Said:
    who = f"Remote agent {remote.name!r}"
    try:
        reply = _decode_reply(raw)
    except (msgspec.MsgspecError, RecursionError) as error:
        check_status(who, status, fields)
        if status >= 400:
            raise refusal(who, status, raw) from None
        raise InvalidResult(f"{who} answered no JSON-RPC: {error}.") from None
    check_status(who, status, fields, reply.error.message[:_TEXT] if reply.error else "")
    if reply.error is not None:
        words = f"{who} answered with error {reply.error.code}: {reply.error.message[:_TEXT]}"
        raise RetryableError(words) if reply.error.code in _RETRYABLE else FinalError(words)
    if status >= 400:
        raise refusal(who, status, raw)
    if reply.result is None or reply.id != key:
        raise InvalidResult(f"{who} answered something else than what it was asked: no result for call {key!r}.")
    return reply.result.task or reply.result.message or reply.result


def _state(said: _Said) -> str:
    """The task's state in one form for both versions; "" for a message, which needs no task."""
    return said.status.state.lower().removeprefix("task_state_").replace("_", "-") if said.status else ""


def _refuse(remote: RemoteAgent, state: str, said: _Said) -> NoReturn:
    told = said.status.message.parts if said.status and said.status.message else []
    words = "\n".join(part.text for part in told if part.text)[:_TEXT] or "It says no more."
    who = f"Remote agent {remote.name!r}"
    match state:
        case "failed" | "canceled":
            raise RetryableError(f"{who} {'failed' if state == 'failed' else 'canceled its task'}: {words}")
        case "input-required" | "auth-required":
            wants = "further input" if state == "input-required" else "credentials"
            raise FinalError(f"{who} asks for {wants}, which a task cannot give: {words}")
        case "rejected":
            raise FinalError(f"{who} rejected the task: {words}")
    raise InvalidResult(f"{who} answered with a task in the unknown state {state!r}.")


def _output(remote: RemoteAgent, said: _Said) -> Any:
    """The artifacts' content, else the message's: its data, or its texts when it has none."""
    parts = [part for artifact in said.artifacts or [] for part in artifact.parts] or said.parts
    if not parts and said.status and said.status.message:
        parts = said.status.message.parts
    data = [part.data for part in parts if part.data is not msgspec.UNSET]
    if data:
        return data[0] if len(data) == 1 else data
    texts = [part.text for part in parts if part.text is not None]
    if not texts:
        raise InvalidResult(f"Remote agent {remote.name!r} answered without text or data.")
    return "\n".join(texts)
