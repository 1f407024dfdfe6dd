"""Why a workflow stands where it stands: one reason for each step that has not ended, as facts.

The number of commands is bounded, however many steps wait: tasks of one type share one look at
their queue, and no more than ``MOST_TYPES`` queues are looked at.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Any

import msgspec

from coordination import journal as j
from coordination.connection import Connection
from coordination.domain import AgentView, HostView, StepKind, StepState, StepView, WorkflowSnapshot, WorkflowState
from coordination.keys import PRIORITIES
from coordination.registry import is_capable, read_agents, read_paused
from coordination.streams import depth

MOST_TYPES = 8  # task types whose queues are looked at
MOST_REASONS = 200


class WaitKind(StrEnum):
    """What a step, or the whole workflow, waits for."""

    PAUSED = "paused"  # an operator: paused_by, paused_reason, since_ms
    ADMISSION = "admission"  # a host with room: ahead workflows stand before it in its stream; hosts live, full of them
    COORDINATOR = "coordinator"  # its owner beats no more: owner, silent_ms; "" when nobody holds it
    AGENT = "agent"  # an agent that runs it: agent, since_ms
    QUEUE = "queue"  # a free agent: queue facts, and how many agents are able
    TYPE_PAUSED = "type_paused"  # as queue, and operators paused the task type
    NO_AGENT = "no_agent"  # as queue, and no agent is able
    BACKOFF = "backoff"  # its next attempt: until_ms, attempts so far
    PERSON = "person"  # a decision: escalation_id; who claimed it is SQL's
    SIGNAL = "signal"  # name is the signal's; until_ms when it is limited
    CHILD = "child"  # child_id
    TIMER = "timer"  # until_ms


class WaitReason(msgspec.Struct, omit_defaults=True):
    """Why one step waits, as data; ``step`` is "" when it is the workflow that waits."""

    kind: WaitKind
    step: str = ""
    name: str = ""  # the task type, signal name, question ...
    since_ms: int = 0
    until_ms: int = 0
    upstream: list[str] = []  # steps of the same gather that have not ended: run() goes on when all of them have
    # a task in its queue
    waiting: int = 0  # tasks of its type that no agent has taken
    oldest_wait_ms: int = 0
    target: str = ""  # the instance that it is addressed to
    requires: dict[str, str] = {}
    able: int = 0  # live agents that may take it
    busy: int = 0  # of them: no free slot
    draining: int = 0  # would be able
    silent: int = 0  # would be able, but do not beat
    unfit: int = 0  # take its type, but lack a capability
    # who
    agent: str = ""
    attempt: int = 0
    paused_by: str = ""
    paused_reason: str = ""
    escalation_id: str = ""
    child_id: str = ""
    owner: str = ""
    silent_ms: int = 0
    hosts: int = 0  # live coordinator hosts
    full: int = 0  # of them: begin no new workflow, because enough of theirs are at work
    ahead: int = 0


async def why(
    connection: Connection,
    snapshot: WorkflowSnapshot,
    views: list[StepView],
    entries: list[j.Numbered],
    hosts: list[HostView],
) -> list[WaitReason]:
    """The reasons for which a live workflow does not move, those of the whole workflow first."""
    found: list[WaitReason] = []
    if snapshot.state is WorkflowState.PAUSED:
        by, because = snapshot.paused_by, snapshot.paused_reason
        found.append(WaitReason(WaitKind.PAUSED, since_ms=snapshot.paused_ms, paused_by=by, paused_reason=because))
    found += await _held(connection, snapshot, {host.id: host for host in hosts})
    idle = [view for view in views if not view.finished_ms][:MOST_REASONS]
    pool = await _pool(connection, [view for view in idle if view.state is StepState.QUEUED])
    asked = _last_attempts(entries)
    found += [reason for view in idle if (reason := _of_step(view, asked, pool)) is not None]
    for reason in found:
        reason.upstream = _beside(reason.step, idle)
    return found


def _beside(step: str, idle: list[StepView]) -> list[str]:
    """The other steps of a step's gather that have not ended."""
    group = step.rpartition(".")[0].rpartition(".")[0]
    if not group:
        return []
    return [view.id for view in idle if view.id != step and view.id.startswith(f"{group}.")]


# --- the whole workflow -------------------------------------------------------------------


async def _held(connection: Connection, snapshot: WorkflowSnapshot, hosts: dict[str, HostView]) -> list[WaitReason]:
    keys, shard, owner = connection.keys, connection.keys.shard(snapshot.id), snapshot.owner
    entry, parked = await connection.call("HMGET", keys.workflow(snapshot.id), "entry", "parked")
    if parked is not None:
        return []  # it waits for its steps, and takes no host's memory meanwhile
    limit_ms = connection.config.suspicion_beats * connection.config.heartbeat_s * 1000
    beating = [host for host in hosts.values() if host.beat_age_ms <= limit_ms]
    live = len(beating)
    if not owner:
        stream = keys.resumes(shard) if (entry or b"").startswith(b"r") else keys.workflows(shard)
        ahead = await _ahead(connection, stream, (entry or b"")[1:])
        if snapshot.epoch:
            return [WaitReason(WaitKind.COORDINATOR, hosts=live, ahead=ahead)]
        full = sum(0 < host.at_work_most <= host.at_work for host in beating)
        return [WaitReason(WaitKind.ADMISSION, hosts=live, full=full, ahead=ahead)]
    holder = hosts.get(owner)
    if holder is None:
        return [WaitReason(WaitKind.COORDINATOR, owner=owner, hosts=live)]
    if holder.beat_age_ms > limit_ms:
        return [WaitReason(WaitKind.COORDINATOR, owner=owner, silent_ms=holder.beat_age_ms, hosts=live)]
    return []


async def _ahead(connection: Connection, stream: str, entry: bytes) -> int:
    """Entries of a stream before this one that no host has taken, 1,000 at most."""
    groups = await connection.call("XINFO", "GROUPS", stream)
    last = b"0-0"
    for raw in groups:
        last = dict(zip(raw[::2], raw[1::2], strict=True))[b"last-delivered-id"]
    if not entry or _place(entry) <= _place(last):
        return 0
    return len(await connection.call("XRANGE", stream, b"(" + last, b"(" + entry, "COUNT", 1_000))


def _place(entry: bytes) -> tuple[int, int]:
    ms, _, number = entry.partition(b"-")
    return int(ms), int(number or 0)


# --- steps -----------------------------------------------------------------------------------


class _Pool(msgspec.Struct):
    agents: list[AgentView] = []
    paused: dict[str, dict[str, Any]] = {}
    depths: dict[str, tuple[int, int]] = {}  # task type -> waiting, age of the oldest


async def _pool(connection: Connection, queued: list[StepView]) -> _Pool:
    if not queued:
        return _Pool()
    types = list(dict.fromkeys(view.name for view in queued))[:MOST_TYPES]
    agents, paused, *depths = await asyncio.gather(
        read_agents(connection), read_paused(connection), *(_depth(connection, name) for name in types)
    )
    return _Pool(agents, paused, dict(zip(types, depths, strict=True)))


async def _depth(connection: Connection, task_type: str) -> tuple[int, int]:
    keys = connection.keys
    streams = [*(keys.agent_queue(task_type, priority) for priority in PRIORITIES), keys.unrouted(task_type)]
    found = await asyncio.gather(*(depth(connection, stream) for stream in streams))
    return sum(max(0, length - held) for length, held, _ in found), max(oldest for _, _, oldest in found)


def _last_attempts(entries: list[j.Numbered]) -> dict[str, j.Attempt]:
    return {item.entry.step: item.entry for item in entries if isinstance(item.entry, j.Attempt)}


def _of_step(view: StepView, asked: dict[str, j.Attempt], pool: _Pool) -> WaitReason | None:
    last = view.attempts[-1] if view.attempts else None
    reason = WaitReason(WaitKind.TIMER, view.id, view.name, since_ms=view.started_ms, until_ms=view.due_ms)
    match view.state:
        case StepState.RUNNING if last is not None:
            reason.kind, reason.agent = WaitKind.AGENT, last.agent
            reason.since_ms, reason.attempt = last.started_ms, last.number
        case StepState.QUEUED if last is not None:
            reason.since_ms, reason.attempt = last.queued_ms, last.number
            _add_queue(reason, asked.get(view.id), pool)
        case StepState.BACKOFF:
            reason.kind, reason.until_ms = WaitKind.BACKOFF, view.next_retry_ms
            reason.attempt = last.number if last else 0
        case StepState.ESCALATED:
            reason.kind, reason.escalation_id = WaitKind.PERSON, view.escalation_id
        case StepState.WAITING if view.kind is StepKind.CHILD:
            reason.kind, reason.child_id = WaitKind.CHILD, view.child_id
        case StepState.WAITING if view.kind is StepKind.SIGNAL:
            reason.kind = WaitKind.SIGNAL
        case StepState.WAITING:
            pass
        case _:
            return None
    return reason


def _add_queue(reason: WaitReason, attempt: j.Attempt | None, pool: _Pool) -> None:
    reason.kind = WaitKind.QUEUE
    reason.waiting, reason.oldest_wait_ms = pool.depths.get(reason.name, (0, 0))
    reason.requires = (attempt and attempt.requires) or {}
    reason.target = attempt.target if attempt else ""
    for view in pool.agents:
        if reason.name not in view.types:
            continue
        if not is_capable(view, reason.name, reason.requires):
            reason.unfit += 1
        elif not view.alive:
            reason.silent += 1
        elif view.draining:
            reason.draining += 1
        else:
            reason.able += 1
            reason.busy += view.load >= view.concurrency
    if reason.name in pool.paused:
        reason.kind = WaitKind.TYPE_PAUSED
        reason.paused_by = str(pool.paused[reason.name].get("actor", ""))
        reason.paused_reason = str(pool.paused[reason.name].get("reason", ""))
    elif not reason.able:
        reason.kind = WaitKind.NO_AGENT
