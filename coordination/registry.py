"""The service registry as its observers read it: who lives, who can do what, whom to choose.

Liveness is the observer's own: it counts its successful looks during which an instance's
heartbeat stood still, and starts again after a gap of its own. So a stalled server, a stalled
observer or a clock jump makes nobody declare everybody dead.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from coordination.connection import Connection
from coordination.domain import AgentView, RemoteAgent, TypeWork

ANY = "*"  # a capability value that fits everything


class Registration(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an instance says of itself once; it never changes within an incarnation."""

    id: str
    name: str
    types: list[str]
    capabilities: dict[str, dict[str, list[str]]] = {}
    schemas: dict[str, dict[str, Any]] = {}
    version: str = ""
    concurrency: int = 1
    started_ms: int = 0
    pid: int = 0
    machine: str = ""
    remote: str = ""


class Status(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an instance says with each heartbeat."""

    load: int = 0
    queued: int = 0  # waiting in its own queues
    running: list[dict[str, Any]] = []  # those that take long: workflow, step, type, since_ms, limit_ms
    last_work_ms: int = 0
    moved_ms: int = 0  # when anything began, moved on or ended
    done: int = 0
    failed: int = 0
    p50_ms: int = 0  # of the tasks that ended last, from claim to outcome
    p95_ms: int = 0
    recent: int = 0  # how many these are
    errors: dict[str, int] = {}  # kinds of their failures, the most frequent ones
    work: dict[str, TypeWork] = {}  # by task type


class Ramp(msgspec.Struct, frozen=True):
    """A resumed task type whose slots come back one after the other."""

    from_ms: int
    ramp_ms: int
    actor: str = ""

    def slots(self, concurrency: int, now_ms: int) -> int:
        """How many slots of an instance may take tasks of the type now, at least one."""
        share = (now_ms - self.from_ms) / max(1, self.ramp_ms)
        return max(1, min(concurrency, math.ceil(concurrency * share)))

    @property
    def until_ms(self) -> int:
        """When all slots are back."""
        return self.from_ms + self.ramp_ms


def parse_pauses(flat: list[bytes], now_ms: int) -> tuple[dict[str, dict[str, Any]], dict[str, Ramp]]:
    """Paused task types with who paused them, and those that are coming back."""
    paused: dict[str, dict[str, Any]] = {}
    ramps: dict[str, Ramp] = {}
    for name, raw in _pairs(flat):
        note = msgspec.json.decode(raw)
        if "ramp_ms" not in note:
            paused[name.decode()] = note
        elif note["from_ms"] + note["ramp_ms"] > now_ms:
            ramps[name.decode()] = msgspec.convert(note, Ramp)
    return paused, ramps


_decode_registration = msgspec.json.Decoder(Registration).decode
_decode_status = msgspec.json.Decoder(Status).decode
_decode_remote = msgspec.json.Decoder(RemoteAgent).decode


def is_frozen(status: Status, now_ms: int, after_ms: float) -> bool:
    """Whether an instance that beats has done nothing for longer than its running tasks may take."""
    if not status.load or not status.moved_ms:
        return False
    longest = max((int(task.get("limit_ms", 0)) for task in status.running), default=0)
    return now_ms - status.moved_ms > max(after_ms, 2 * longest)


def health(alive: bool, draining: bool, status: Status, now_ms: int, frozen_after_ms: float) -> str:
    """One word for an instance: silent, frozen, draining, works or idle."""
    if not alive:
        return "silent"
    if is_frozen(status, now_ms, frozen_after_ms):
        return "frozen"
    if draining:
        return "draining"
    return "works" if status.load else "idle"


def is_capable(view: AgentView, task_type: str, requires: Mapping[str, str] | None) -> bool:
    """Whether an instance has every required capability for a task type."""
    if task_type not in view.types:
        return False
    has = view.capabilities.get(task_type, {})
    for capability, wanted in (requires or {}).items():
        values = has.get(capability, ())
        if str(wanted) not in values and ANY not in values:
            return False
    return True


_NEVER_MS = 2**53  # in the future: who has not looked yet says nothing


class Registry:
    """A cached picture of the agent pool; ``refresh()`` renews it, everything else reads it at once.

    Args:
        connection: To the server.
        interval_s: How often the owner calls ``refresh()``.
    """

    def __init__(self, connection: Connection, interval_s: float = 1.0) -> None:
        self._connection = connection
        self._interval_s = interval_s
        config = connection.config
        self.patience = max(2, math.ceil(config.suspicion_beats * config.agent_heartbeat_s / interval_s))
        self.views: dict[str, AgentView] = {}
        self.beats: dict[str, bytes] = {}
        self.orphans: dict[tuple[str, str], int] = {}  # (instance, task type) -> server ms of its burial
        self.now_ms = 0
        self.refreshed_at = 0.0  # monotonic, 0: never
        self.looked_at = 0.0  # when the last look that succeeded began
        self._counted_at = 0.0  # monotonic: the last look that counted
        self._registrations: dict[str, Registration] = {}
        self._statuses: dict[str, Status] = {}
        self._still: dict[str, int] = {}
        self._paused: frozenset[str] = frozenset()
        self._assigned: dict[str, int] = {}
        self._turns: dict[str, int] = {}
        self._by_type: dict[str, list[AgentView]] = {}
        self._began_ms = 0  # the first look, by the server's clock
        self._served_ms: dict[str, int] = {}  # task type -> the last look that saw an instance able to take tasks

    # --- looking ----------------------------------------------------------------------

    async def refresh(self) -> None:
        """Look once. A look that fails counts for nothing and raises what the connection raises."""
        keys, looked_at = self._connection.keys, time.monotonic()
        call = self._connection.call
        asked = [
            call("HGETALL", keys.agent_beats),
            call("HGETALL", keys.agent_status),
            call("HGETALL", keys.paused),
            call("HKEYS", keys.draining),
            call("HGETALL", keys.orphans),
            call("TIME"),
        ]
        try:
            replies = [await reply for reply in asked]
        except BaseException:
            for reply in asked:
                reply.add_done_callback(_look_away)
            self.refreshed_at = 0.0
            raise
        beats = {key.decode(): value for key, value in _pairs(replies[0])}
        await self._learn([instance for instance in beats if instance not in self._registrations])
        self.now_ms = int(replies[5][0]) * 1000 + int(replies[5][1]) // 1000
        self._count(beats)
        self.looked_at = looked_at
        self._statuses = {key.decode(): _decode_status(value) for key, value in _pairs(replies[1])}
        paused, ramps = parse_pauses(replies[2], self.now_ms)
        self._paused = frozenset({*paused, *ramps})
        self.orphans = {_orphan(field): int(at_ms) for field, at_ms in _pairs(replies[4])}
        self._picture({name.decode() for name in replies[3]})

    async def _learn(self, unknown: list[str]) -> None:
        if not unknown:
            return
        found = await self._connection.call("HMGET", self._connection.keys.agents, *unknown)
        for raw in found:
            if raw is not None:
                registration = _decode_registration(raw)
                self._registrations[registration.id] = registration

    def _count(self, beats: dict[str, bytes]) -> None:
        now = time.monotonic()
        gap = not self.refreshed_at or now - self.refreshed_at > 2.5 * self._interval_s + 0.2
        # looks that follow each other faster, as after a late one, are one look: patience is a time
        due = gap or now - self._counted_at >= 0.8 * self._interval_s
        still = {}
        for instance, beat in beats.items():
            same = self.beats.get(instance) == beat and not gap
            still[instance] = self._still.get(instance, 0) + due if same else 0
        self._still, self.beats, self.refreshed_at = still, beats, now
        if due:
            self._counted_at = now

    def _picture(self, draining: set[str]) -> None:
        self._registrations = {key: value for key, value in self._registrations.items() if key in self.beats}
        self.views = {
            instance: _view(
                registration,
                self._statuses.get(instance, Status()),
                alive=self._still[instance] < self.patience,
                draining=instance in draining,
                beat_ms=_beat_ms(self.beats[instance]),
                now_ms=self.now_ms,
                frozen_after_ms=self._connection.config.frozen_after_s * 1000,
            )
            for instance, registration in self._registrations.items()
        }
        self._assigned = {}
        self._by_type = {}
        self._began_ms = self._began_ms or self.now_ms
        for view in self.views.values():
            for task_type in view.types:
                self._by_type.setdefault(task_type, []).append(view)
                if view.alive and not view.draining:
                    self._served_ms[task_type] = self.now_ms

    def suspects(self) -> list[str]:
        """The instances whose heartbeat stood still for so many looks that they count as dead."""
        return [instance for instance, count in self._still.items() if count >= self.patience]

    def knows(self, instance: str) -> bool:
        """Whether the instance was registered at the last look."""
        return instance in self.beats

    # --- selection ----------------------------------------------------------------------

    def capable(self, task_type: str, requires: Mapping[str, str] | None = None) -> list[AgentView]:
        """The living, not draining instances that can do such a task, oldest name first."""
        return [
            view
            for view in sorted(self._by_type.get(task_type, ()), key=lambda view: view.id)
            if view.alive and not view.draining and is_capable(view, task_type, requires)
        ]

    def named(self, agent: str, task_type: str) -> str:
        """A living, not draining instance of this name, or this very one, that takes such tasks; "" when none does."""
        able = [view for view in self.capable(task_type) if agent in (view.id, view.name)]
        return min(able, key=self._share_of_load).id if able else ""

    def unserved_since_ms(self, task_type: str, requires: Mapping[str, str] | None = None) -> int:
        """Since when at the earliest this observer may say that no instance able to take such tasks is there."""
        began_ms = self._began_ms or _NEVER_MS
        return began_ms if requires else max(began_ms, self._served_ms.get(task_type, 0))

    def choose(
        self, task_type: str, requires: Mapping[str, str] | None = None, strategy: str | None = None
    ) -> str | None:
        """The instance to address, or None: use the shared queue, or nobody is capable.

        Args:
            task_type: Of the task.
            requires: Capabilities it needs.
            strategy: ``round_robin``, ``least_loaded``, or None: the shared queue unless ``requires`` is given.
        """
        if strategy in (None, "shared", "shared_queue") and not requires:
            return None
        able = self.capable(task_type, requires)
        if not able:
            return None
        if strategy == "round_robin":
            turn = self._turns.get(task_type, -1) + 1
            self._turns[task_type] = turn
            chosen = able[turn % len(able)].id
        else:
            chosen = min(able, key=self._share_of_load).id
        self._assigned[chosen] = self._assigned.get(chosen, 0) + 1
        return chosen

    def _share_of_load(self, view: AgentView) -> tuple[float, str]:
        status = self._statuses.get(view.id, Status())
        busy = status.load + status.queued + self._assigned.get(view.id, 0)
        return busy / max(1, view.concurrency), view.id

    def paused(self, task_type: str) -> bool:
        """Whether operators paused a task type, or it has not all its slots back yet."""
        return task_type in self._paused

    def schemas(self, task_type: str) -> dict[str, Any]:
        """``{"input": …, "output": …}`` as the instance that started last declares them; empty when none."""
        views = self._by_type.get(task_type, ())
        newest = max(views, key=lambda view: (view.alive, view.started_ms), default=None)
        return newest.schemas.get(task_type, {}) if newest else {}


def _look_away(reply: Any) -> None:
    if not reply.cancelled():
        reply.exception()


def _pairs(flat: list[bytes]) -> zip[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _orphan(field: bytes) -> tuple[str, str]:
    instance, _, task_type = field.decode().partition("|")
    return instance, task_type


def _beat_ms(beat: bytes) -> int:
    return int(beat.partition(b":")[2] or 0)


def _view(
    registration: Registration,
    status: Status,
    *,
    alive: bool,
    draining: bool,
    beat_ms: int,
    now_ms: int,
    frozen_after_ms: float,
) -> AgentView:
    return AgentView(
        id=registration.id,
        name=registration.name,
        alive=alive,
        health=health(alive, draining, status, now_ms, frozen_after_ms),
        types=registration.types,
        capabilities=registration.capabilities,
        schemas=registration.schemas,
        version=registration.version,
        concurrency=registration.concurrency,
        load=status.load,
        running=status.running,
        beat_age_ms=max(0, now_ms - beat_ms),
        last_work_ms=status.last_work_ms,
        done=status.done,
        failed=status.failed,
        p50_ms=status.p50_ms,
        p95_ms=status.p95_ms,
        recent=status.recent,
        errors=status.errors,
        work=status.work,
        remaining=status.load + status.queued if draining else 0,
        started_ms=registration.started_ms,
        pid=registration.pid,
        machine=registration.machine,
        draining=draining,
        remote=registration.remote,
    )


# --- single looks, for pages and commands -----------------------------------------------


async def read_agents(connection: Connection) -> list[AgentView]:
    """Every registered instance, by name. ``alive`` goes by the age of its heartbeat, for show only."""
    registry = Registry(connection)
    await registry.refresh()
    config = connection.config
    limit_ms = config.suspicion_beats * config.agent_heartbeat_s * 1000 + 500
    views = []
    for view in sorted(registry.views.values(), key=lambda view: (view.name, view.id)):
        if view.beat_age_ms > limit_ms:
            view.alive, view.health = False, "silent"
        views.append(view)
    return views


async def read_paused(connection: Connection) -> dict[str, dict[str, Any]]:
    """Paused task types, each with actor, reason and at_ms."""
    return (await read_pauses(connection))[0]


async def read_pauses(connection: Connection) -> tuple[dict[str, dict[str, Any]], dict[str, Ramp]]:
    """Paused task types, each with actor, reason and at_ms; and those whose slots are coming back."""
    flat, clock = await asyncio.gather(connection.call("HGETALL", connection.keys.paused), connection.call("TIME"))
    return parse_pauses(flat, int(clock[0]) * 1000 + int(clock[1]) // 1000)


async def read_remote(connection: Connection) -> list[RemoteAgent]:
    """Registered remote agents, by name."""
    flat = await connection.call("HVALS", connection.keys.remote_agents)
    return sorted((_decode_remote(value) for value in flat), key=lambda remote: remote.name)
