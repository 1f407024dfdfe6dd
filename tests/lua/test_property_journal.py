"""The journal: whatever attempts, agents, owners and late packets do, a step settles once and one epoch writes."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from coordination import journal as j
from coordination.config import Config
from coordination.scripts import DUPLICATE, STALE
from tests.lua.stateful import ShardMachine, run
from tests.lua_bench import ENTRY

FLOW, STEPS, AGENTS = "w0", ("1", "2"), ("a", "b", "c")
steps, agents = st.sampled_from(STEPS), st.sampled_from(AGENTS)
numbers = st.integers(-1, 1)  # how far an attempt is from the present one
stale = st.sampled_from([0, 0, 0, 1, -1])


class Journal(ShardMachine):
    """One workflow with two tasks, two owners and three agents."""

    def __init__(self) -> None:
        super().__init__()
        self.withdrawn: set[str] = set()

    @initialize()
    def begin(self) -> None:
        self.both("submit", FLOW)
        self.wait(self.bench.read("h1", self.bench.keys.workflows(0)))
        self.model.read("h1", "w")
        self.compare()
        self.take_up("h1", "h1")
        for step in STEPS:
            self.attempt(step, 0, 0)

    def number(self, step: str, off: int) -> int:
        task = self.model.workflows[FLOW].tasks.get(step)
        return (task.number if task else 0) + off

    @rule(host=st.sampled_from(["h1", "h2"]), previous=st.sampled_from(["h1", "h2"]))
    def take_up(self, host: str, previous: str) -> None:
        entry = self.model.workflows[FLOW].entry
        self.both("claim", FLOW, host, f"{entry.mark}{entry.id}" if entry else "w0-1", previous)

    @rule(off=stale, count=st.integers(1, 3), known_off=st.sampled_from([0, 0, 0, 1]), most=st.sampled_from([100, 12]))
    def checkpoint(self, off: int, count: int, known_off: int, most: int) -> None:
        known = self.model.workflows[FLOW].checkpoints - known_off
        answer = self.both("checkpoint", FLOW, self.epoch(FLOW, off), [ENTRY] * count, (), 0, most, known)
        assert not off or answer == STALE

    @rule(step=steps, off=stale, due_ms=st.sampled_from([0, 0, 1, 5]))
    def attempt(self, step: str, off: int, due_ms: int) -> None:
        """The next attempt, as the owner queues it."""
        if step in self.withdrawn:
            return
        flow, number = self.model.workflows[FLOW], self.number(step, 1)
        before = self.model.deadlines.get(FLOW)
        if due_ms and before is not None and before <= due_ms:
            due_ms = 0  # the index never goes back, and the model does not know what it holds
        blob = j.encode(j.Attempt(step, 0, number, 0, "kind", b"d"))
        record = (f"t:{step}", f"0:{number}:q:0:0:0:")
        self.both("checkpoint", FLOW, self.epoch(FLOW, off), [blob], record, due_ms, 100, flow.checkpoints)

    @rule(step=steps, off=stale)
    def cancel(self, step: str, off: int) -> None:
        """What the owner writes when nobody waits for a task any more."""
        flow, number = self.model.workflows[FLOW], self.number(step, 0)
        record = (f"t:{step}", f"0:{number}:x:0:0:0:")
        if self.both("checkpoint", FLOW, self.epoch(FLOW, off), [ENTRY], record, 0, 100, flow.checkpoints) > 0:
            self.withdrawn.add(step)

    @rule(
        step=steps,
        agent=agents,
        off=numbers,
        previous=st.sampled_from(["", *AGENTS]),
        limit_ms=st.sampled_from([-1, 60_000]),
    )
    def claim(self, step: str, agent: str, off: int, previous: str, limit_ms: int) -> None:
        self.both("claim_task", FLOW, agent, self.number(step, off), previous, limit_ms, step)

    @rule(step=steps, off=numbers, state=st.sampled_from("ssf"), generation=st.sampled_from([0, 0, 0, 1]))
    def report(self, step: str, off: int, state: str, generation: int) -> None:
        settled = self.model.workflows[FLOW].settled(step)
        answer = self.both("report_task", FLOW, state, self.number(step, off), generation, step)
        assert not settled or answer == DUPLICATE

    @rule(step=steps, agent=agents, off=numbers)
    def renew(self, step: str, agent: str, off: int) -> None:
        self.both("renew_task", FLOW, agent, self.number(step, off), step)

    @rule(step=steps, agent=agents, off=numbers)
    def unclaim(self, step: str, agent: str, off: int) -> None:
        self.both("unclaim_task", FLOW, agent, self.number(step, off), step)

    @rule(step=steps, off=stale, number_off=numbers)
    def expire(self, step: str, off: int, number_off: int) -> None:
        answer = self.both("expire_task", FLOW, self.epoch(FLOW, off), self.number(step, number_off), step)
        assert not off or answer == STALE

    @rule(dedupe=st.sampled_from(["", "g:1", "g:2", "g:3"]))
    def accept(self, dedupe: str) -> None:
        """Input from outside carries no epoch: it is accepted whoever owns the workflow."""
        flow = self.model.workflows[FLOW]
        fresh = dedupe not in flow.accepted and not flow.ended
        assert (self.both("accept", FLOW, dedupe) == 1) == fresh

    @rule()
    def pause(self) -> None:
        self.both("pause", FLOW)

    @rule()
    def resume(self) -> None:
        self.both("resume", FLOW)

    @rule(dedupe=st.sampled_from(["g:r1", "g:r2"]), chosen=st.lists(steps, unique=True))
    def interrupt(self, dedupe: str, chosen: list[str]) -> None:
        """An operator ends a step's attempts at once; what they still bring is late."""
        if self.both("interrupt", FLOW, dedupe, "", False, tuple(chosen)) == 1:
            self.withdrawn.update(chosen)

    @rule(off=stale, unread=st.sampled_from([0, 1, 1, 1]))
    def finish(self, off: int, unread: int) -> None:
        seq = self.model.workflows[FLOW].seq - unread
        self.both("finish", FLOW, self.epoch(FLOW, off), seq)


def test_any_sequence_settles_each_step_once(config: Config) -> None:
    run(Journal, config)
