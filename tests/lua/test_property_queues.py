"""Queues: whatever agents, reclaimers and late packets do, each entry is in one place until it is acknowledged."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from coordination.config import Config
from coordination.keys import AGENTS_GROUP
from coordination.scripts import GONE
from coordination.streams import ensure_group
from tests.lua.stateful import ServerMachine, run

AGENTS = ("a", "b", "c")
agents, places, indexes = st.sampled_from(AGENTS), st.integers(0, 3), st.lists(st.integers(0, 9), max_size=4)
_types = itertools.count()


@dataclasses.dataclass
class Entry:
    """One delivery of a task."""

    task: str
    id: str = ""
    agent: str = ""  # "" while nobody has it


class Queues(ServerMachine):
    """An agent's own queue and the three shared ones, with three agents."""

    @initialize()
    def begin(self) -> None:
        kind = f"kind{next(_types)}"
        keys = self.bench.keys
        self.streams = [keys.instance_queue(kind, "a"), *(keys.agent_queue(kind, p) for p in ("high", "normal", "low"))]
        self.model: list[list[Entry]] = [[], [], [], []]
        self.seen: list[list[str]] = [[], [], [], []]  # every id that ever was, so that late packets can name it
        self.added = self.gone = 0
        self.last: tuple[str, tuple[Any, ...]] | None = None
        self.wait(self._groups())

    async def _groups(self) -> None:
        await asyncio.gather(*(ensure_group(self.connection, stream, AGENTS_GROUP) for stream in self.streams))

    def script(self, name: str, keys: list[str], args: list[Any]) -> Any:
        return self.wait(self.bench.script(name, keys, args))

    def ids(self, place: int, chosen: list[int]) -> list[str]:
        """Ids that are there, that were there, and one that never was."""
        known = [*self.seen[place], "1-1"]
        return [known[-1 - index % len(known)] for index in chosen]

    def do(self, name: str, *args: Any) -> None:
        self.last = name, args
        getattr(self, f"_{name}")(*args)
        self.compare()

    # --- what is called --------------------------------------------------------------------

    @rule()
    def again(self) -> None:
        """The last call once more, as by a caller that lost its reply."""
        if self.last is not None:
            self.do(self.last[0], *self.last[1])

    @rule(place=places, count=st.integers(1, 3))
    def add(self, place: int, count: int) -> None:
        for _ in range(count):
            self.added += 1
            self.model[place].append(Entry(f"task{self.added}"))
            self.wait(self._add(self.streams[place], f"task{self.added}"))
        self.compare()

    async def _add(self, stream: str, task: str) -> None:
        await self.connection.call("XADD", stream, "*", "w", task)

    @rule(agent=agents, most=st.integers(0, 5))
    def fetch(self, agent: str, most: int) -> None:
        """From the first queue to the last, never more than asked for, never what another has."""
        answer = self.script("fetch_tasks", self.streams, [AGENTS_GROUP, agent, most, ""])
        expected: list[tuple[int, str]] = []
        for place, entries in enumerate(self.model, 1):
            for entry in entries:
                if not entry.agent and len(expected) < most:
                    entry.agent = agent
                    expected.append((place, entry.task))
        assert answer[0] == b""
        assert [(place, fields[1].decode()) for place, found in answer[1:] for _, fields, _ in found] == expected
        self.compare()

    @rule(place=places, chosen=indexes)
    def acknowledge(self, place: int, chosen: list[int]) -> None:
        if chosen:
            self.do("acknowledge", place, self.ids(place, chosen))

    def _acknowledge(self, place: int, ids: list[str]) -> None:
        held = {entry.id for entry in self.model[place] if entry.agent} & set(ids)
        before = len(self.model[place])
        self.model[place] = [entry for entry in self.model[place] if entry.id not in ids]
        self.gone += before - len(self.model[place])
        assert self.script("acknowledge", [self.streams[place]], [AGENTS_GROUP, *ids]) == len(held)

    @rule(place=places, index=st.integers(0, 9))
    def requeue(self, place: int, index: int) -> None:
        self.do("requeue", place, self.ids(place, [index])[0])

    def _requeue(self, place: int, name: str) -> None:
        held = [entry for entry in self.model[place] if entry.id == name and entry.agent]
        answer = self.script("requeue", [self.streams[place]], [AGENTS_GROUP, name])
        assert (answer == GONE) == (not held)
        for entry in held:
            self.model[place].remove(entry)
            self.model[place].append(Entry(entry.task))

    @rule(source=places, destination=places, agent=st.sampled_from(["", *AGENTS]), chosen=indexes)
    def move(self, source: int, destination: int, agent: str, chosen: list[int]) -> None:
        self.do("move", source, destination, agent, self.ids(source, chosen))

    def _move(self, source: int, destination: int, agent: str, ids: list[str]) -> None:
        moved = 0
        for name in ids:
            for entry in [entry for entry in self.model[source] if entry.id == name]:
                if agent in ("", entry.agent):
                    self.model[source].remove(entry)
                    self.model[destination].append(Entry(entry.task))
                    moved += 1
        keys = [self.streams[source], self.streams[destination]]
        assert self.script("move_tasks", keys, [AGENTS_GROUP, agent, *ids]) == moved

    @rule(place=places, agent=agents)
    def retire(self, place: int, agent: str) -> None:
        """A consumer that holds something stays, and so does what it holds."""
        holds = any(entry.agent == agent for entry in self.model[place])
        assert self.script("retire_consumer", [self.streams[place]], [AGENTS_GROUP, agent]) == (0 if holds else 1)
        self.compare()

    @rule(place=places)
    def retire_queue(self, place: int) -> None:
        empty = not self.model[place]
        assert self.script("retire_queue", [self.streams[place]], []) == (1 if empty else 0)
        self.wait(self._groups())
        self.compare()

    # --- comparing -------------------------------------------------------------------------

    def compare(self) -> None:
        self.wait(self._compare())
        tasks = [entry.task for entries in self.model for entry in entries]
        assert len(tasks) == len(set(tasks)) == self.added - self.gone

    async def _compare(self) -> None:
        call = self.connection.call
        found = await asyncio.gather(*(call("XRANGE", stream, "-", "+") for stream in self.streams))
        pending = await asyncio.gather(
            *(call("XPENDING", stream, AGENTS_GROUP, "-", "+", 1_000) for stream in self.streams)
        )
        for place, entries in enumerate(self.model):
            assert [fields[1].decode() for _, fields in found[place]] == [entry.task for entry in entries]
            for (name, _), entry in zip(found[place], entries, strict=True):
                if not entry.id:
                    entry.id = name.decode()
                    self.seen[place].append(entry.id)
                assert entry.id == name.decode()
            held = {row[0].decode(): row[1].decode() for row in pending[place]}
            assert held == {entry.id: entry.agent for entry in entries if entry.agent}


def test_any_sequence_keeps_each_entry_in_one_place(config: Config) -> None:
    run(Queues, config)
