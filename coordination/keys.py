"""Every key that Ganglion uses in Redis, and nothing else names one.

All keys of a shard carry its hash tag ``{s}`` and so share a slot: a script may touch them
together. Queues carry their task type as hash tag; the registry and inboxes live elsewhere. On a
cluster these are reached by calls of their own, which may be repeated.
"""

from __future__ import annotations

import hashlib
import re
import zlib

COORDINATORS_GROUP = "coordinators"
AGENTS_GROUP = "agents"
RELAY_GROUP = "relay"

PRIORITIES = ("high", "normal", "low")

WORKFLOW_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def escalation_id(workflow_id: str, step: str, number: int, generation: int = 0) -> str:
    """The id of a step's n-th escalation: the same however often it is opened."""
    again = f".{generation}" if generation else ""
    return f"{workflow_id}~{step}~{number}{again}"


def child_id(parent_id: str, step: str, generation: int) -> str:
    """The id of the child that a step starts: the same however often it is submitted."""
    again = f"/{generation}" if generation else ""
    return f"c{hashlib.blake2b(f'{parent_id}/{step}{again}'.encode(), digest_size=12).hexdigest()}"


def workflow_of(escalation_id: str) -> str:
    """The workflow that an escalation belongs to."""
    return escalation_id.partition("~")[0]


class Keys:
    """Names keys under one prefix.

    Args:
        prefix: Put before every key, so that deployments and tests can share a server.
        shards: Number of shards; fixed for the life of the data.
    """

    __slots__ = ("_journals", "_tags", "_workflows", "prefix", "shards")

    def __init__(self, prefix: str = "", shards: int = 8) -> None:
        self.prefix = prefix
        self.shards = shards
        self._tags = [f"{{{prefix}{shard}}}" for shard in range(shards)]
        self._workflows = [f"{prefix}workflow:{tag}:" for tag in self._tags]  # what stands before an id, by shard
        self._journals = [f"{prefix}coordinator_result:{tag}:" for tag in self._tags]

    def shard(self, workflow_id: str) -> int:
        """The shard of a workflow: a hash of its id."""
        return zlib.crc32(workflow_id.encode()) % self.shards

    def tag(self, workflow_id: str) -> str:
        """The hash tag of a workflow's shard."""
        return self._tags[zlib.crc32(workflow_id.encode()) % self.shards]

    # --- one for each workflow ---------------------------------------------------

    def workflow(self, workflow_id: str) -> str:
        """Hash: the workflow's state; see docs/architecture.md for its fields."""
        return self._workflows[zlib.crc32(workflow_id.encode()) % self.shards] + workflow_id

    def journal(self, workflow_id: str) -> str:
        """Stream: the journal, the article's private result stream."""
        return self._journals[zlib.crc32(workflow_id.encode()) % self.shards] + workflow_id

    def escalation(self, escalation_id: str) -> str:
        """Hash: an escalation's state and version."""
        return f"{self.prefix}escalation:{self.tag(workflow_of(escalation_id))}:{escalation_id}"

    # --- one for each shard ---------------------------------------------------------

    def workflows(self, shard: int) -> str:
        """Stream and group: new workflows. A host's pending entries are what it owns."""
        return f"{self.prefix}workflows:{self._tags[shard]}"

    def resumes(self, shard: int) -> str:
        """Stream and group: workflows to take up again, read before new ones."""
        return f"{self.prefix}resumes:{self._tags[shard]}"

    def deadlines(self, shard: int) -> str:
        """Sorted set: one member for every live workflow, by its next look in ms."""
        return f"{self.prefix}deadlines:{self._tags[shard]}"

    def events(self, shard: int) -> str:
        """Stream and group: that something happened, for history and live pages."""
        return f"{self.prefix}events:{self._tags[shard]}"

    def seen(self, shard: int) -> str:
        """Sorted set of one member: the ms in the id of the last event that the relay has fetched."""
        return f"{self.prefix}seen:{self._tags[shard]}"

    def escalation_queue(self, shard: int) -> str:
        """Stream: the escalations of a shard that are open."""
        return f"{self.prefix}escalation_queue:{self._tags[shard]}"

    # --- queues of tasks ---------------------------------------------------------------

    def agent_queue(self, task_type: str, priority: str = "normal") -> str:
        """Stream and group: tasks of a type, one for each priority."""
        return f"{self.prefix}agent_queue:{{{task_type}}}:{priority}"

    def instance_queue(self, task_type: str, instance: str) -> str:
        """Stream and group: tasks of a type that were addressed to one instance."""
        return f"{self.prefix}agent_queue:{{{task_type}}}:@{instance}"

    def unrouted(self, task_type: str) -> str:
        """Stream: tasks of a type that require what no living instance can do; any agent of the type looks after it."""
        return f"{self.prefix}agent_queue:{{{task_type}}}:unrouted"

    # --- hosts -----------------------------------------------------------------------------

    def inbox(self, incarnation: str) -> str:
        """Stream: wake-ups for a host or a waiting client; losing one costs only time."""
        return self.inboxes + incarnation

    @property
    def inboxes(self) -> str:
        """What stands before an incarnation in the key of its inbox."""
        return f"{self.prefix}inbox:"

    @property
    def beats(self) -> str:
        """Hash: host incarnation to its count of heartbeats."""
        return f"{self.prefix}{{coordinators}}:beats"

    @property
    def beat_times(self) -> str:
        """Hash: host incarnation to the server's ms at its last heartbeat; for show only."""
        return f"{self.prefix}{{coordinators}}:beat_times"

    @property
    def hosts(self) -> str:
        """Hash: host incarnation to what it says of itself, JSON."""
        return f"{self.prefix}{{coordinators}}:hosts"

    @property
    def executing(self) -> str:
        """Hash: host incarnation to the workflow that it runs alone, because it may end the process."""
        return f"{self.prefix}{{coordinators}}:executing"

    @property
    def host_events(self) -> str:
        """Stream and group: hosts started, stopped and lost."""
        return f"{self.prefix}events:{{coordinators}}"

    # --- the agents' registry -------------------------------------------------------------

    @property
    def agent_beats(self) -> str:
        """Hash: agent instance to ``<count>:<server ms>`` of its last heartbeat."""
        return f"{self.prefix}{{agents}}:beats"

    @property
    def agents(self) -> str:
        """Hash: agent instance to what it said of itself when it registered, JSON."""
        return f"{self.prefix}{{agents}}:instances"

    @property
    def agent_status(self) -> str:
        """Hash: agent instance to what it said with its last heartbeat, JSON."""
        return f"{self.prefix}{{agents}}:status"

    @property
    def orphans(self) -> str:
        """Hash: ``<instance>|<task type>`` of agents that have left, until their queues are handed over, JSON."""
        return f"{self.prefix}{{agents}}:orphans"

    @property
    def paused(self) -> str:
        """Hash: paused task type to who paused it and why, JSON."""
        return f"{self.prefix}{{agents}}:paused"

    @property
    def draining(self) -> str:
        """Hash: agent instance to who drains it, JSON."""
        return f"{self.prefix}{{agents}}:draining"

    @property
    def remote_agents(self) -> str:
        """Hash: remote agent's name to its definition, JSON."""
        return f"{self.prefix}{{agents}}:remote"

    @property
    def remote_trials(self) -> str:
        """List, expiring: trial calls of remote agents that no gateway has taken yet, JSON."""
        return f"{self.prefix}{{agents}}:trials"

    def trial_answer(self, trial_id: str) -> str:
        """List of one, expiring: what came of a trial call, JSON."""
        return f"{self.prefix}{{agents}}:trial:{trial_id}"

    @property
    def task_types(self) -> str:
        """Set: every task type that was ever queued."""
        return f"{self.prefix}{{agents}}:types"

    @property
    def quarantine(self) -> str:
        """Stream, capped: entries that no agent can read, with the reason."""
        return f"{self.prefix}agent_quarantine"

    @property
    def relay_lag(self) -> str:
        """Hash: relay incarnation to its lag in ms and when it was measured."""
        return f"{self.prefix}relay:lag"

    @property
    def buried_agents(self) -> str:
        """Stream, capped: the instances that fell silent last, each as a view."""
        return f"{self.prefix}{{agents}}:buried"

    @property
    def type_courses(self) -> str:
        """Stream, capped: load and latency of each task type, one entry a sample of the relay."""
        return f"{self.prefix}relay:types"

    def presence(self, escalation_id: str) -> str:
        """Sorted set, expiring: who has an escalation open, by when that is no longer true (ms)."""
        return f"{self.prefix}{{console}}:presence:{escalation_id}"

    @property
    def relay_mark(self) -> str:
        """Hash: the mark by which relays see that Redis and the history belong together."""
        return f"{self.prefix}relay:mark"

    @property
    def relay_keeper(self) -> str:
        """String, expiring: the relay that looks after gaps of the history."""
        return f"{self.prefix}relay:keeper"
