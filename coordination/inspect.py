"""Operators' reads: what Redis holds now. The runtime never imports this."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from coordination import history, restarting
from coordination import journal as j
from coordination.connection import Connection
from coordination.domain import (
    AgentView,
    ErrorInfo,
    EscalationSnapshot,
    EscalationState,
    HostView,
    QueueView,
    Reason,
    RemoteAgent,
    StepState,
    StepView,
    WorkflowSnapshot,
    WorkflowState,
)
from coordination.keys import PRIORITIES
from coordination.leases import to_fields
from coordination.registry import read_agents, read_pauses, read_remote
from coordination.restarting import Ended, RestartPreview
from coordination.streams import depth
from coordination.waiting import WaitReason, why

_json = msgspec.json.Decoder().decode
_errors = msgspec.json.Decoder(list[ErrorInfo]).decode
_error = msgspec.json.Decoder(ErrorInfo).decode
_labels = msgspec.json.Decoder(dict[str, str]).decode
_pause = msgspec.json.Decoder(dict[str, Any]).decode
_progress = msgspec.json.Decoder(tuple[float | None, str]).decode


def _value(fields: dict[str, bytes], name: str) -> Any:
    raw = fields.get(name)
    return _json(raw) if raw else None


def _state(raw: bytes) -> WorkflowState:
    return _STATES.get(raw) or WorkflowState(raw.decode())


def _parent(raw: bytes) -> str:
    return raw.decode().partition(" ")[0]


_STATES = {state.value.encode(): state for state in WorkflowState}
_REQUIRED = {"type": "", "version": 0, "state": WorkflowState.NEEDS_HUMAN}  # where they are missing or unreadable
_READ: tuple[tuple[str, str, Callable[[bytes], Any]], ...] = (  # of the snapshot, of the hash, how it is read
    ("type", "type", bytes.decode),
    ("version", "version", int),
    ("state", "state", _state),
    ("generation", "generation", int),
    ("seq", "seq", int),
    ("epoch", "epoch", int),
    ("owner", "owner", bytes.decode),
    ("input", "input", _json),
    ("result", "result", _json),
    ("error", "error", _error),
    ("steps_total", "steps_total", int),
    ("steps_done", "steps_done", int),
    ("retrying", "retrying", int),
    ("open_escalations", "open", int),
    ("progress", "progress", bytes.decode),
    ("parent_id", "parent", _parent),
    ("created_ms", "created", int),
    ("started_ms", "started", int),
    ("finished_ms", "finished", int),
    ("deadline_ms", "deadline", int),
    ("labels", "labels", _labels),
    ("paused", "paused", _pause),
)


def to_snapshot(workflow_id: str, fields: dict[str, bytes]) -> WorkflowSnapshot:
    """A workflow from its hash; what is unreadable there is left out, and the error says so."""
    values: dict[str, Any] = _REQUIRED.copy()
    damaged: list[str] = []
    for name, field, read in _READ:
        raw = fields.get(field)
        if raw:
            try:
                values[name] = read(raw)
            except (ValueError, RecursionError, msgspec.MsgspecError):
                damaged.append(field)
    paused: dict[str, Any] = values.pop("paused", None) or {}
    snapshot = WorkflowSnapshot(id=workflow_id, cancel_requested="cancelled" in fields, **values)
    if paused:
        snapshot.paused_by = paused.get("actor", "")
        snapshot.paused_reason = paused.get("reason", "")
        snapshot.paused_ms = paused.get("at_ms", 0)
    if damaged and snapshot.error is None:
        what = f"Redis holds something unreadable as {', '.join(damaged)} of this workflow."
        snapshot.error = ErrorInfo("DamagedRecord", what, False)
    return snapshot


class Inspector:
    """Reads for the console, the API and the relay."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._keys = connection.keys

    # --- workflows ----------------------------------------------------------------------

    async def snapshot(self, workflow_id: str) -> WorkflowSnapshot | None:
        """A workflow, or None when Redis does not hold it."""
        fields = await self._fields(workflow_id)
        return to_snapshot(workflow_id, fields) if "state" in fields else None

    async def snapshots(self, workflow_ids: list[str]) -> list[WorkflowSnapshot | None]:
        """Many workflows, in the order asked for."""
        calls = [self._connection.call("HGETALL", self._keys.workflow(workflow_id)) for workflow_id in workflow_ids]
        found = zip(workflow_ids, map(to_fields, await asyncio.gather(*calls)), strict=True)
        return [to_snapshot(workflow_id, fields) if "state" in fields else None for workflow_id, fields in found]

    async def journal(self, workflow_id: str, after: int = 0) -> list[j.Numbered]:
        """The journal's entries after a number, oldest first."""
        return j.parse(await self._connection.call("XRANGE", self._keys.journal(workflow_id), f"{after + 1}-0", "+"))

    async def journals(self, workflow_ids: list[str]) -> list[list[j.Numbered]]:
        """The whole journals of many workflows, in the order asked for."""
        calls = [self._connection.call("XRANGE", self._keys.journal(name), "-", "+") for name in workflow_ids]
        return [j.parse(raw) for raw in await asyncio.gather(*calls)]

    async def steps(self, workflow_id: str) -> list[StepView]:
        """The steps of a live workflow, with what agents do at this moment."""
        entries, fields = await asyncio.gather(self.journal(workflow_id), self._fields(workflow_id))
        views = history.steps(entries)
        counting = j.counting(entries)
        config = self._connection.config
        for view in views:
            _add_claim(view, fields)
            history.add_next_retry(view, counting, workflow_id, config.backoff_s, config.backoff_max_s)
        return views

    async def why(self, workflow_id: str) -> list[WaitReason]:
        """Why a live workflow stands where it stands: what holds all of it, then one reason for each step under way."""
        snapshot, views, entries = await asyncio.gather(
            self.snapshot(workflow_id), self.steps(workflow_id), self.journal(workflow_id)
        )
        if snapshot is None or snapshot.state.is_final:
            return []
        return await why(self._connection, snapshot, views, entries, await self.hosts())

    async def restart_preview(self, workflow_id: str, step: str) -> RestartPreview | None:
        """What a restart from a step would keep and run again; None when Redis does not hold the workflow."""
        snapshot, views, entries = await asyncio.gather(
            self.snapshot(workflow_id), self.steps(workflow_id), self.journal(workflow_id)
        )
        return restarting.preview(workflow_id, step, entries, views, snapshot.state) if snapshot else None

    async def ended(self, workflow_id: str) -> Ended | None:
        """An ended workflow while Redis holds all of it, for a restart; afterwards the history has it."""
        return await restarting.read_ended(self._connection, workflow_id)

    async def _fields(self, workflow_id: str) -> dict[str, bytes]:
        return to_fields(await self._connection.call("HGETALL", self._keys.workflow(workflow_id)))

    async def escalation(self, escalation_id: str) -> EscalationSnapshot | None:
        """An escalation, or None when Redis does not hold it."""
        fields = to_fields(await self._connection.call("HGETALL", self._keys.escalation(escalation_id)))
        if "state" not in fields:
            return None

        def text(name: str) -> str:
            return fields.get(name, b"").decode()

        return EscalationSnapshot(
            id=escalation_id,
            workflow_id=text("workflow"),
            workflow_type=text("type"),
            step=text("step"),
            task_type=text("task_type"),
            reason=Reason(text("reason")),
            state=EscalationState(text("state")),
            version=int(fields["version"]),
            question=text("question"),
            errors=_errors(fields["errors"]) if fields.get("errors") else [],
            attempts=int(fields.get("attempts", b"0")),
            input=_value(fields, "input"),
            input_schema=_value(fields, "input_schema"),
            output_schema=_value(fields, "output_schema"),
            opened_ms=int(fields.get("opened", b"0")),
            resolved_ms=int(fields.get("resolved", b"0")),
            decision_id=text("decision"),
            action=text("action"),
            actor=text("actor"),
        )

    # --- hosts, agents, queues ------------------------------------------------------------

    async def hosts(self) -> list[HostView]:
        """Every coordinator host that is not declared dead."""
        said, times, clock = await asyncio.gather(
            self._connection.call("HGETALL", self._keys.hosts),
            self._connection.call("HGETALL", self._keys.beat_times),
            self._connection.call("TIME"),
        )
        now_ms, beat_ms = int(clock[0]) * 1000 + int(clock[1]) // 1000, to_fields(times)
        views = [msgspec.json.decode(raw, type=HostView) for raw in to_fields(said).values()]
        for view in views:
            view.beat_age_ms = max(0, now_ms - int(beat_ms.get(view.id, now_ms)))
        return sorted(views, key=lambda host: host.id)

    async def agents(self) -> list[AgentView]:
        """Every agent instance in the registry."""
        return await read_agents(self._connection)

    async def remote_agents(self) -> list[RemoteAgent]:
        """Every remote agent that is registered."""
        return await read_remote(self._connection)

    async def queues(self) -> list[QueueView]:
        """The queue of each task type that has agents, waiting tasks, or is paused."""
        agents, (paused, ramps) = await asyncio.gather(self.agents(), read_pauses(self._connection))
        types = {name for agent in agents for name in agent.types} | set(paused) | await self._queued_types()
        views = await asyncio.gather(*(self._queue(name, agents, paused) for name in sorted(types)))
        for view in views:
            view.ramp_until_ms = ramps[view.type].until_ms if view.type in ramps else 0
        return list(views)

    async def _queued_types(self) -> set[str]:
        known = await self._connection.call("SMEMBERS", self._keys.task_types)
        return {name.decode() for name in known}

    async def _queue(self, task_type: str, agents: list[AgentView], paused: dict[str, Any]) -> QueueView:
        able = [agent for agent in agents if agent.alive and task_type in agent.types]
        streams = [self._keys.agent_queue(task_type, priority) for priority in PRIORITIES]
        streams += [self._keys.instance_queue(task_type, agent.id) for agent in able]
        streams.append(self._keys.unrouted(task_type))
        waiting = pending = oldest_ms = 0
        for stream in streams:
            length, held, oldest = await depth(self._connection, stream)
            waiting, pending = waiting + max(0, length - held), pending + held
            oldest_ms = max(oldest_ms, oldest)
        note = paused.get(task_type, {})
        return QueueView(
            type=task_type,
            waiting=waiting,
            pending=pending,
            oldest_wait_ms=oldest_ms,
            agents=len(able),
            slots=sum(agent.concurrency for agent in able),
            load=sum(1 for agent in able for task in agent.running if task.get("type") == task_type),
            paused=task_type in paused,
            paused_by=str(note.get("actor", "")),
            paused_reason=str(note.get("reason", "")),
            paused_ms=int(note.get("at_ms", 0)),
        )

    # --- the server ---------------------------------------------------------------------------

    async def memory(self) -> dict[str, int]:
        """Bytes the server uses, and may use (0: as many as it gets)."""
        info = _info(await self._connection.call("INFO", "memory"))
        return {"used_memory": int(info["used_memory"]), "maxmemory": int(info["maxmemory"])}

    async def server(self) -> dict[str, Any]:
        """What operators want to know of the server."""
        info = _info(await self._connection.call("INFO"))
        return {
            "version": info.get("valkey_version") or info.get("redis_version", ""),
            "name": "Valkey" if "valkey_version" in info else "Redis",
            "used_memory": int(info.get("used_memory", 0)),
            "maxmemory": int(info.get("maxmemory", 0)),
            "connected": int(info.get("connected_clients", 0)),
            "uptime_s": int(info.get("uptime_in_seconds", 0)),
            "appendonly": info.get("aof_enabled") == "1",
            "persistence_ok": info.get("aof_last_write_status", "ok") == "ok",
        }


def _info(raw: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in raw.decode().splitlines() if ":" in line)
    return {name: value for name, _, value in lines}


def _add_claim(view: StepView, fields: dict[str, bytes]) -> None:
    """Show what an agent does with a step's present attempt."""
    record = fields.get(f"t:{view.id}")
    if record is None or view.state is not StepState.QUEUED or not view.attempts:
        return
    _, number, state, _, claimed, _, agent = record.decode().split(":", 6)
    attempt = view.attempts[-1]
    if state != "c" or int(number) != attempt.number:
        return
    view.state = StepState.RUNNING
    attempt.outcome, attempt.agent, attempt.started_ms = "running", agent, int(claimed)
    shown = fields.get(f"p:{view.id}")
    if shown:
        view.progress, view.progress_note = _progress(shown)
