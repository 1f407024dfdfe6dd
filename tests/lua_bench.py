"""Calls the core's scripts one by one, as hosts, agents and clients do."""

from __future__ import annotations

import itertools
from typing import Any

from coordination import journal as j
from coordination.connection import Connection
from coordination.domain import ErrorInfo
from coordination.keys import COORDINATORS_GROUP
from coordination.leases import to_fields
from coordination.streams import ensure_group

ENTRY = j.encode(j.Progressed("1", "x"))
LOOK_MS = 30_000


class Bench:
    """Scripts on keys under one prefix."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.keys = connection.keys
        self._numbers = itertools.count()

    def new_id(self) -> str:
        """An id of shard 0, so that streams can be looked at in one place."""
        while True:
            identity = f"w{next(self._numbers)}"
            if self.keys.shard(identity) == 0:
                return identity

    async def names(self) -> set[bytes]:
        """Every key that exists under the prefix in shard 0."""
        pattern = f"{self.keys.prefix}*{{{self.keys.prefix}0}}*"
        scan = "return redis.call('KEYS', ARGV[1])"  # where the shard lives, also on a cluster
        return set(await self.connection.call("EVAL", scan, 1, self.keys.workflows(0), pattern))

    async def script(self, name: str, keys: list[str], args: list[Any]) -> Any:
        """Run one script."""
        return await self.connection.script(name, keys, args)

    async def fields(self, identity: str) -> dict[str, bytes]:
        """A workflow's hash."""
        return to_fields(await self.connection.call("HGETALL", self.keys.workflow(identity)))

    async def entries(self, identity: str) -> list[j.Numbered]:
        """A workflow's journal."""
        return j.parse(await self.connection.call("XRANGE", self.keys.journal(identity), "-", "+"))

    async def length(self, stream: str) -> int:
        """How many entries a stream holds."""
        return int(await self.connection.call("XLEN", stream))

    # --- workflows -----------------------------------------------------------------

    async def submit(
        self, identity: str, *, most: int = 0, deadline_ms: int = 0, waiter: str = "", fields: Any = ()
    ) -> Any:
        """submit"""
        k = self.keys
        return await self.script(
            "submit", [k.workflow(identity), k.workflows(0), k.deadlines(0), k.events(0)],
            [identity, "kind", 1, b"{}", most, 3_600_000, deadline_ms, waiter, *fields],
        )  # fmt: skip

    async def claim(self, identity: str, host: str = "h1", entry: str = "", previous: str = "") -> Any:
        """claim_workflow; with the entry that the workflow has, unless another is given"""
        k = self.keys
        if not entry:
            held = await self.connection.call("HGET", k.workflow(identity), "entry")
            entry = held.decode() if held else "w0-1"
        return await self.script(
            "claim_workflow",
            [k.workflow(identity), k.journal(identity), k.workflows(0), k.resumes(0), k.deadlines(0), k.events(0),
             k.seen(0)],
            [identity, host, entry, previous, LOOK_MS],
        )  # fmt: skip

    async def checkpoint(
        self,
        identity: str,
        epoch: int,
        entries: list[bytes],
        fields: Any = (),
        due_ms: int = 0,
        most: int = 100,
        known: int | None = None,
        seen: int = 0,
        along: Any = (),
    ) -> Any:
        """checkpoint, by a writer that knows of all checkpoints before it, or of so many"""
        k = self.keys
        if known is None:
            known = int(await self.connection.call("HGET", k.workflow(identity), "checkpoints") or 0)
        return await self.script(
            "checkpoint", [k.workflow(identity), k.journal(identity), k.deadlines(0), k.events(0), k.seen(0)],
            [identity, epoch, due_ms, "", most, known, seen, len(fields) // 2, len(entries), *fields, *entries,
             *along],
        )  # fmt: skip

    async def park(self, identity: str, epoch: int, seq: int, due_ms: int = 9_000_000_000_000) -> Any:
        """park"""
        k = self.keys
        return await self.script(
            "park", [k.workflow(identity), k.workflows(0), k.resumes(0), k.deadlines(0), k.events(0)],
            [identity, epoch, seq, due_ms],
        )  # fmt: skip

    async def release(self, identity: str, epoch: int, delay_ms: int = 0) -> Any:
        """release_workflow"""
        k = self.keys
        return await self.script(
            "release_workflow", [k.workflow(identity), k.workflows(0), k.resumes(0), k.deadlines(0)],
            [identity, epoch, delay_ms],
        )  # fmt: skip

    async def finish(
        self, identity: str, epoch: int, seq: int, state: str = "completed", along: Any = ("", 0), result: bytes = b"1"
    ) -> Any:
        """finish"""
        k = self.keys
        return await self.script(
            "finish",
            [k.workflow(identity), k.journal(identity), k.workflows(0), k.resumes(0), k.deadlines(0), k.events(0),
             k.seen(0)],
            [identity, epoch, seq, state, result, b"", j.encode(j.Finished(state)), *along, 60, "steps_total", 0],
        )  # fmt: skip

    async def accept(self, identity: str, dedupe: str = "", blob: bytes = ENTRY) -> Any:
        """accept"""
        k = self.keys
        return await self.script(
            "accept", [k.workflow(identity), k.journal(identity), k.resumes(0), k.deadlines(0), k.events(0)],
            [identity, dedupe, blob, "progressed", LOOK_MS],
        )  # fmt: skip

    async def pause(self, identity: str) -> Any:
        """pause"""
        k = self.keys
        return await self.script(
            "pause", [k.workflow(identity), k.journal(identity), k.events(0)], [identity, ENTRY, b"{}"]
        )

    async def resume(self, identity: str) -> Any:
        """resume_workflow"""
        k = self.keys
        keys = [k.workflow(identity), k.journal(identity), k.resumes(0), k.deadlines(0), k.events(0)]
        return await self.script("resume_workflow", keys, [identity, ENTRY, LOOK_MS])

    async def interrupt(self, identity: str, dedupe: str, read: int | str, ends_pause: bool, steps: Any = ()) -> Any:
        """interrupt"""
        k = self.keys
        return await self.script(
            "interrupt",
            [k.workflow(identity), k.journal(identity), k.workflows(0), k.resumes(0), k.deadlines(0), k.events(0)],
            [identity, dedupe, ENTRY, read, LOOK_MS, int(ends_pause), "", *steps],
        )

    async def forget(self, identity: str, seq: int) -> Any:
        """forget"""
        return await self.script(
            "forget", [self.keys.workflow(identity), self.keys.journal(identity)], [seq, 100, 100_000]
        )

    async def look(self, identity: str, live: str = "") -> Any:
        """look"""
        k = self.keys
        return await self.script(
            "look", [k.workflow(identity), k.workflows(0), k.resumes(0), k.deadlines(0)],
            [identity, LOOK_MS, f" {live} "],
        )  # fmt: skip

    async def take_over(self, mark: str, dead: str, host: str, most: int) -> list[str]:
        """take_over; the workflows whose entries changed hands"""
        stream = self.keys.workflows(0) if mark == "w" else self.keys.resumes(0)
        found = await self.script("take_over", [stream], [dead, host, most])
        return [identity.decode() for identity in found[1::2]]

    async def beat(self, host: str, first: bool) -> Any:
        """beat"""
        return await self.script(
            "beat", [self.keys.beats, self.keys.hosts, self.keys.beat_times], [host, "", int(first)]
        )

    async def declare_dead(self, host: str, count: int) -> Any:
        """declare_dead"""
        keys = [self.keys.beats, self.keys.hosts, self.keys.host_events, self.keys.beat_times]
        return await self.script("declare_dead", keys, [host, count, "observer", 0, "lost"])

    async def running(self, *, seq: int = 0, host: str = "h1") -> str:
        """A workflow that a host has taken up from its stream, with so many entries; its epoch is 1."""
        identity = self.new_id()
        await self.submit(identity)
        await self.read(host)
        await self.claim(identity, host)
        if seq:
            await self.checkpoint(identity, 1, [ENTRY] * seq)
        return identity

    async def read(self, host: str, stream: str = "") -> list[tuple[str, str]]:
        """What a host reads from a stream: entry and workflow."""
        stream = stream or self.keys.workflows(0)
        await ensure_group(self.connection, stream, COORDINATORS_GROUP)
        answer = await self.connection.call(
            "XREADGROUP", "GROUP", COORDINATORS_GROUP, host, "COUNT", 100, "STREAMS", stream, ">"
        )
        mark = "r" if "resumes" in stream else "w"
        return [(mark + entry.decode(), fields[1].decode()) for _, found in answer or [] for entry, fields in found]

    # --- tasks -----------------------------------------------------------------------

    def _shard(self, identity: str) -> list[str]:
        return [self.keys.workflow(identity), self.keys.journal(identity), self.keys.events(0)]

    async def queue_task(self, identity: str, epoch: int, number: int = 1, step: str = "1") -> Any:
        """A checkpoint with an attempt and its record"""
        attempt = j.encode(j.Attempt(step, 0, number, 0, "kind", b"d"))
        return await self.checkpoint(identity, epoch, [attempt], [f"t:{step}", f"0:{number}:q:0:0:0:"])

    async def claim_task(
        self, identity: str, agent: str, number: int = 1, previous: str = "", limit_ms: int = 30_000, step: str = "1"
    ) -> Any:
        """claim_task"""
        return await self.script(
            "claim_task", self._shard(identity), [identity, step, 0, number, agent, limit_ms, previous, 5]
        )

    async def report_task(
        self, identity: str, state: str, number: int = 1, generation: int = 0, step: str = "1", along: Any = ("", 0)
    ) -> Any:
        """report_task"""
        entry: j.AnyEntry = j.Settled(step, generation, number, "a", 0, b"1")
        if state == "f":
            entry = j.Erred(step, generation, number, "a", 0, ErrorInfo("Oops", "It failed."))
        return await self.script(
            "report_task", [*self._shard(identity), self.keys.seen(0)],
            [identity, step, generation, number, state, j.encode(entry), *along],
        )  # fmt: skip

    async def renew_task(self, identity: str, agent: str, number: int = 1, step: str = "1") -> Any:
        """renew_task"""
        return await self.script(
            "renew_task", [self.keys.workflow(identity)], [step, 0, number, agent, 30_000, b'[0.5,"half"]']
        )

    async def unclaim_task(self, identity: str, agent: str, number: int = 1, step: str = "1") -> Any:
        """unclaim_task"""
        return await self.script("unclaim_task", [self.keys.workflow(identity)], [step, 0, number, agent])

    async def expire_task(self, identity: str, epoch: int, number: int = 1, step: str = "1") -> Any:
        """expire_task"""
        return await self.script("expire_task", self._shard(identity), [identity, epoch, step, 0, number])

    async def record(self, identity: str, step: str = "1") -> str:
        """A task's state letter."""
        raw = await self.connection.call("HGET", self.keys.workflow(identity), f"t:{step}")
        return str(raw.decode().split(":")[2])

    # --- escalations -------------------------------------------------------------------

    async def escalate(
        self, identity: str, epoch: int, escalation: str, record: str = "", step: str = "1", seq: int = 0
    ) -> Any:
        """escalate"""
        k = self.keys
        return await self.script(
            "escalate",
            [k.workflow(identity), k.journal(identity), k.escalation(escalation), k.escalation_queue(0), k.events(0)],
            [identity, epoch, escalation, j.encode(j.Escalated(step, escalation, "final_error")),
             f"t:{step}" if record else "", record, seq, "step", step],
        )  # fmt: skip

    async def decide(
        self, identity: str, escalation: str, decision: str, version: int = 1, action: str = "retry"
    ) -> Any:
        """decide"""
        k, actor = self.keys, f"actor of {decision}"
        return await self.script(
            "decide",
            [k.workflow(identity), k.journal(identity), k.escalation(escalation), k.escalation_queue(0), k.resumes(0),
             k.deadlines(0), k.events(0)],
            [identity, escalation, version, decision, action, actor,
             j.encode(j.Decided("1", escalation, action, actor, decision)), LOOK_MS],
        )  # fmt: skip

    async def withdraw(self, identity: str, epoch: int, escalation: str) -> Any:
        """withdraw"""
        k = self.keys
        return await self.script(
            "withdraw", [k.workflow(identity), k.escalation(escalation), k.escalation_queue(0), k.events(0)],
            [identity, escalation, epoch],
        )  # fmt: skip
