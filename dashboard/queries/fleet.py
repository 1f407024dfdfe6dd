"""The agents' page: task types with their queues, the instances under them, and what went wrong with them lately."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import msgspec
from django.db.models import Count, Max
from django.utils import timezone

from coordination import client as core
from coordination.config import current
from coordination.domain import AgentView, QueueView
from coordination.errors import ServerUnavailable
from coordination.keys import Keys
from coordination.registry import ANY
from dashboard.models import Escalation
from dashboard.type_courses import Course

CAUSE_HOURS = 24
CAUSES = 3  # shown for each type
BURIED_S = 600  # how long those are shown that fell silent


@dataclass(frozen=True, slots=True)
class Cause:
    """Failures of one cause that people were asked about."""

    fingerprint: str
    headline: str
    count: int
    newest_at: dt.datetime


@dataclass(frozen=True)
class TypeRow:
    """A task type with its queue and the instances that can do it."""

    name: str
    queue: QueueView
    agents: list[AgentView] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)  # the most frequent first
    course: Course = field(default_factory=list)  # oldest first

    @property
    def alive(self) -> list[AgentView]:
        """Those that beat."""
        return [agent for agent in self.agents if agent.alive]

    @property
    def frozen(self) -> int:
        """How many beat and finish nothing."""
        return sum(agent.health == "frozen" for agent in self.agents)

    @property
    def health(self) -> str:
        """The type's state in one word for its chip."""
        if self.queue.paused:
            return "paused"
        if not self.alive:
            return "silent"
        if self.frozen:
            return "frozen"
        if self.queue.ramp_until_ms:
            return "ramping"
        return "works" if self.load else "idle"

    @property
    def load(self) -> int:
        """Tasks of this type that run now."""
        return sum(agent.work[self.name].load for agent in self.alive if self.name in agent.work)

    @property
    def p95_ms(self) -> int:
        """The slowest instance's."""
        return max((agent.work[self.name].p95_ms for agent in self.alive if self.name in agent.work), default=0)

    @property
    def versions(self) -> list[tuple[str, int]]:
        """The versions that run, with how many instances each; the most frequent first."""
        return Counter(agent.version for agent in self.alive if agent.version).most_common()

    @property
    def failures(self) -> int:
        """Failures within ``CAUSE_HOURS`` that people were asked about."""
        return sum(cause.count for cause in self.causes)

    @property
    def loads(self) -> list[int]:
        """The course of the load."""
        return [sample.load for sample in self.course]

    @property
    def latencies(self) -> list[int]:
        """The course of the latency, p95 in ms."""
        return [sample.p95_ms for sample in self.course]


def type_rows(agents: Iterable[AgentView], queues: Iterable[QueueView], courses: dict[str, Course]) -> list[TypeRow]:
    """Every task type that has a queue or an agent, by name."""
    rows = {queue.type: TypeRow(queue.type, queue) for queue in queues}
    for agent in agents:
        for name in agent.types:
            rows.setdefault(name, TypeRow(name, QueueView(type=name, waiting=0, pending=0))).agents.append(agent)
    causes = recent_causes()
    return [replace(rows[name], causes=causes.get(name, []), course=courses.get(name, [])) for name in sorted(rows)]


def search(rows: list[TypeRow], text: str) -> list[TypeRow]:
    """The types, and the instances under them, that fit every word.

    A word is part of a type's or an instance's name, of its id or its version; ``capability:value`` is what an
    instance can do for the type.
    """
    wanted = text.lower().split()
    found = []
    for row in rows:
        agents = [agent for agent in row.agents if all(_fits(word, row.name, agent) for word in wanted)]
        if agents or all(word in row.name.lower() for word in wanted):
            found.append(replace(row, agents=agents))
    return found


def matching(agents: Iterable[AgentView], text: str) -> list[AgentView]:
    """The instances that fit every word for one of their types, as ``search`` reads words."""
    wanted = text.lower().split()
    return [agent for agent in agents if any(all(_fits(w, name, agent) for w in wanted) for name in agent.types)]


def _fits(word: str, task_type: str, agent: AgentView) -> bool:
    name, colon, value = word.partition(":")
    if colon:
        has = {key.lower(): values for key, values in agent.capabilities.get(task_type, {}).items()}
        return any(value == one.lower() or one == ANY for one in has.get(name, ()))
    return any(word in text.lower() for text in (task_type, agent.name, agent.id, agent.version, agent.remote))


def buried() -> list[AgentView]:
    """The instances that fell silent within ``BURIED_S``, newest first; nothing while Redis does not answer."""
    config = current()
    stream = Keys(config.prefix, config.shards).buried_agents
    try:
        seconds, micros = core.sync().call("TIME")
        now_ms = int(seconds) * 1000 + int(micros) // 1000
        entries = core.sync().call("XREVRANGE", stream, "+", now_ms - BURIED_S * 1000)
    except ServerUnavailable:
        return []
    found = []
    for entry_id, fields in entries:
        view = msgspec.json.decode(fields[1], type=AgentView)
        view.beat_age_ms += max(0, now_ms - int(entry_id.partition(b"-")[0]))
        found.append(view)
    return found


def recent_causes(task_type: str = "") -> dict[str, list[Cause]]:
    """What people were asked about lately, by task type and cause, whether decided by now or not."""
    rows = Escalation.objects.filter(opened_at__gte=timezone.now() - dt.timedelta(hours=CAUSE_HOURS))
    rows = rows.filter(task_type=task_type) if task_type else rows.exclude(task_type="")
    counted = rows.values_list("task_type", "fingerprint").annotate(
        headline=Max("headline"), count=Count("id"), newest_at=Max("opened_at")
    )
    found: dict[str, list[Cause]] = {}
    for name, fingerprint, headline, count, newest_at in counted.order_by("-count", "-newest_at"):
        found.setdefault(name, []).append(Cause(fingerprint, headline, count, newest_at))
    return found
