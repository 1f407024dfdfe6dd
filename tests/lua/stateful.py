"""Runs random sequences of scripts on a real server beside the model, and compares everything after each call.

``HYPOTHESIS_PROFILE=long`` makes the runs deep; otherwise they end within seconds.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

import hypothesis
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from coordination import journal as j
from coordination.config import Config
from coordination.connection import Connection
from coordination.keys import COORDINATORS_GROUP, Keys
from coordination.leases import to_fields
from coordination.streams import ensure_group
from tests.lua.model_values import FINAL, outline
from tests.lua.shard_model import Shard
from tests.lua_bench import Bench

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
SETTINGS = hypothesis.settings(
    max_examples=1_500 if LONG else 60,
    stateful_step_count=60 if LONG else 25,
    deadline=None,
    derandomize=not LONG,  # the same short run every time; the long one finds what is new
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)

_numbers = itertools.count()


class ServerMachine(RuleBasedStateMachine):
    """A machine whose rules call a real server; each example has keys of its own."""

    runner: ClassVar[asyncio.Runner]
    connection: ClassVar[Connection]

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(self.connection)
        self.bench.keys = Keys(f"{self.connection.keys.prefix}{next(_numbers)}:", 1)

    def wait(self, call: Coroutine[Any, Any, Any]) -> Any:
        """Run a call to its end."""
        return self.runner.run(call)


def run(machine: type[ServerMachine], config: Config) -> None:
    """Run a machine's examples against the server of these settings."""
    with asyncio.Runner() as runner:
        machine.runner = runner
        machine.connection = runner.run(Connection.open(config))
        try:
            run_state_machine_as_test(machine, settings=SETTINGS)  # type: ignore[no-untyped-call]
        finally:
            runner.run(machine.connection.close())


def code(answer: Any) -> int:
    """The code of an answer, however it is packed."""
    return int(answer[0] if isinstance(answer, list) else answer)


class ShardMachine(ServerMachine):
    """One shard: every call goes to the server and to the model, and both must be the same after it."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Shard()
        for stream in (self.bench.keys.workflows(0), self.bench.keys.resumes(0)):
            self.wait(ensure_group(self.connection, stream, COORDINATORS_GROUP))
        self.last: Callable[[], None] | None = None
        self.fetched = b"-"  # the event up to which the relay has fetched

    def both(self, name: str, *args: Any) -> int:
        """Make one call at both; returns its code, which must be the same."""
        self.last = lambda: self._both(name, *args)
        return self._both(name, *args)

    def _both(self, name: str, *args: Any) -> int:
        expected = getattr(self.model, name)(*args)
        found = code(self.wait(getattr(self.bench, name)(*args)))
        assert found == expected, f"{name}{args}: the server says {found}, the model {expected}"
        self.compare()
        return found

    def epoch(self, identity: str, stale: int) -> int:
        """A workflow's epoch, or one that is not it."""
        return self.model.workflows[identity].epoch - stale

    @rule()
    def again(self) -> None:
        """The last call once more, as by a caller that lost its reply."""
        if self.last is not None:
            self.last()

    @rule()
    def fetch(self) -> None:
        """The relay fetches all events; what changes from now on it has to be told of again."""
        self.wait(self._fetch())
        self.model.changed.clear()

    async def _fetch(self) -> None:
        keys, call = self.bench.keys, self.connection.call
        newest = await call("XREVRANGE", keys.events(0), "+", "-", "COUNT", 1)
        if newest:
            self.fetched = b"(" + newest[0][0]
            ms = int(newest[0][0].partition(b"-")[0])
            await call("ZADD", keys.seen(0), "GT", ms, "ms")
            while int(b"%s%03d" % ((clock := await call("TIME"))[0], int(clock[1]) // 1000)) <= ms:
                pass  # within the same ms an event more may be written than is needed

    # --- comparing -----------------------------------------------------------------------

    def compare(self) -> None:
        """Assert that the server holds what the model says, and that what must always hold does."""
        self.wait(self._compare())

    async def _compare(self) -> None:
        model, keys, call = self.model, self.bench.keys, self.connection.call
        flows, escalations = list(model.workflows), list(model.escalations)
        streams = {"w": keys.workflows(0), "r": keys.resumes(0)}
        asked = [call("HGETALL", keys.workflow(identity)) for identity in flows]
        asked += [call("XRANGE", keys.journal(identity), "-", "+") for identity in flows]
        asked += [call("HGETALL", keys.escalation(identity)) for identity in escalations]
        asked += [call("XRANGE", stream, "-", "+") for stream in streams.values()]
        asked += [call("XPENDING", stream, COORDINATORS_GROUP, "-", "+", 1_000) for stream in streams.values()]
        asked += [
            call("ZRANGE", keys.deadlines(0), 0, -1, "WITHSCORES"),
            call("XRANGE", keys.events(0), self.fetched, "+"),
            call("XRANGE", keys.escalation_queue(0), "-", "+"),
        ]
        answers = await asyncio.gather(*asked)
        hashes = dict(zip(flows, map(to_fields, answers[: len(flows)]), strict=True))
        journals = dict(zip(flows, map(j.parse, answers[len(flows) : 2 * len(flows)]), strict=True))
        found = dict(zip(escalations, map(to_fields, answers[2 * len(flows) : -7]), strict=True))
        in_w, in_r, held_w, held_r, deadlines, events, queue = answers[-7:]
        self._compare_streams("w", in_w, held_w)
        self._compare_streams("r", in_r, held_r)
        for identity in flows:
            self._compare_workflow(identity, hashes[identity], journals[identity])
        scores = {name.decode(): int(float(score)) for name, score in zip(deadlines[::2], deadlines[1::2], strict=True)}
        assert {identity for identity in flows if model.workflows[identity].state not in FINAL} == scores.keys()
        for identity, due in model.deadlines.items():
            assert due is None or scores[identity] == due
        assert {fields[1].decode() for _, fields in events} == model.changed
        for identity, fields in found.items():
            known = model.escalations[identity]
            expected = (known.state, str(known.version), known.decision, known.action, known.actor)
            names = ("state", "version", "decision", "action", "actor")
            assert tuple(fields.get(name, b"").decode() for name in names) == expected
        still_open = sorted(identity for identity, known in model.escalations.items() if known.state == "open")
        assert sorted(fields[1].decode() for _, fields in queue) == still_open

    def _compare_streams(self, mark: str, found: list[Any], pending: list[Any]) -> None:
        entries = self.model.streams[mark]
        assert [fields[1].decode() for _, fields in found] == [entry.workflow for entry in entries]
        for (name, _), entry in zip(found, entries, strict=True):
            assert entry.id in ("", name.decode())
            entry.id = name.decode()
        held = {row[0].decode(): row[1].decode() for row in pending}
        assert held == {entry.id: entry.consumer for entry in entries if entry.consumer}

    def _compare_workflow(self, identity: str, fields: dict[str, bytes], journal: list[j.Numbered]) -> None:
        flow = self.model.workflows[identity]
        expected = {
            "state": flow.state, "owner": flow.owner, "epoch": str(flow.epoch), "seq": str(flow.seq),
            "entry": f"{flow.entry.mark}{flow.entry.id}" if flow.entry else "", "open": str(flow.open),
            "parked": "1" if flow.parked else "", "paused": "{}" if flow.paused else "",
            "checkpoints": str(flow.checkpoints or ""),
            "late": str(flow.late or ""), "seen": "" if flow.seen is None else str(flow.seen),
            "stalls": "" if flow.stalls is None else str(flow.stalls),
        }  # fmt: skip
        assert {name: fields.get(name, b"").decode() for name in expected} == expected
        records = {name[2:]: value.decode() for name, value in fields.items() if name.startswith("t:")}
        assert {step: _brief(record) for step, record in records.items()} == {
            step: task.outline() for step, task in flow.tasks.items()
        }
        assert {name for name in fields if name.startswith("g:")} == flow.accepted
        assert [item.seq for item in journal] == list(range(1, flow.seq + 1))
        outlines = [outline(item.entry) for item in journal]
        assert outlines == flow.journal
        _always(outlines)


def _always(journal: list[tuple[Any, ...]]) -> None:
    """What holds for every journal, whatever the model says."""
    once = Counter(entry[:2] for entry in journal if entry[0] in ("Escalated", "Decided", "Finished", "Settled"))
    assert all(count == 1 for count in once.values())
    assert all(entry[0] != "Finished" for entry in journal[:-1]), "something was written after the end"
    epochs = [entry[1] for entry in journal if entry[0] == "TakenUp"]
    assert epochs == sorted(set(epochs))


def _brief(record: str) -> str:
    _, number, state, claims, _, _, agent = record.split(":", 6)
    return f"{number}:{state}:{claims}:{agent}"
