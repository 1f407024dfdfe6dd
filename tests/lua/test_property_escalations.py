"""Escalations: whatever coordinators and people do, each opens once and closes once, and brings its workflow back."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from coordination.config import Config
from coordination.scripts import STALE
from tests.lua.stateful import ShardMachine, run

FLOWS, STEPS = ("w0", "w1"), ("1", "2")
flows, steps = st.sampled_from(FLOWS), st.sampled_from(STEPS)
visits = st.integers(1, 3)  # a step's first, second, third escalation
stale = st.sampled_from([0, 0, 0, 1])


def name(flow: str, step: str, visit: int) -> str:
    return f"{flow}~{step}~{visit}"


class Escalations(ShardMachine):
    """Two workflows of two steps, one coordinator, and people who answer the same question."""

    @initialize()
    def begin(self) -> None:
        for flow in FLOWS:
            self.both("submit", flow)
        self.fetch("w")
        for flow in FLOWS:
            self.take_up(flow, "h1")
            for step in STEPS:
                self.queue(flow, step, 0)

    def fetch(self, mark: str) -> None:
        stream = self.bench.keys.workflows(0) if mark == "w" else self.bench.keys.resumes(0)
        self.wait(self.bench.read("h1", stream))
        self.model.read("h1", mark)
        self.compare()

    @rule(flow=flows, host=st.sampled_from(["h1", "h2"]))
    def take_up(self, flow: str, host: str) -> None:
        known, entry = self.model.workflows[flow], self.model.workflows[flow].entry
        self.fetch("r")
        self.both("claim", flow, host, f"{entry.mark}{entry.id}" if entry else "r0-1", known.owner)

    @rule(flow=flows, step=steps, off=stale)
    def queue(self, flow: str, step: str, off: int) -> None:
        known = self.model.workflows[flow]
        number = known.tasks[step].number + 1 if step in known.tasks else 1
        record = (f"t:{step}", f"0:{number}:q:0:0:0:")
        self.both("checkpoint", flow, self.epoch(flow, off), [], record, 0, 100, known.checkpoints)

    @rule(flow=flows, step=steps)
    def settle(self, flow: str, step: str) -> None:
        task = self.model.workflows[flow].tasks.get(step)
        self.both("report_task", flow, "s", task.number if task else 1, 0, step)

    @rule(flow=flows, step=steps, visit=visits, off=stale, with_record=st.booleans(), unread=st.sampled_from([0, 0, 1]))
    def escalate(self, flow: str, step: str, visit: int, off: int, with_record: bool, unread: int) -> None:
        known = self.model.workflows[flow]
        settled = with_record and known.settled(step)
        record = f"0:{known.tasks[step].number}:x:0:0:0:" if with_record and step in known.tasks else ""
        read = known.seq - unread
        answer = self.both("escalate", flow, self.epoch(flow, off), name(flow, step, visit), record, step, read)
        assert not off or answer == STALE
        assert not (settled and unread) or answer < 0  # what is settled is no question before it has been read

    @rule(
        flow=flows,
        step=steps,
        visit=visits,
        decision=st.sampled_from(["d1", "d2", "d3"]),
        version=st.sampled_from([1, 1, 1, 2]),
        action=st.sampled_from(["retry", "skip"]),
    )
    def decide(self, flow: str, step: str, visit: int, decision: str, version: int, action: str) -> None:
        """People carry no epoch: a decision about an open escalation counts whoever owns the workflow."""
        identity, known = name(flow, step, visit), self.model.escalations.get(name(flow, step, visit))
        wins = (
            known is not None
            and (known.state, known.version) == ("open", version)
            and not self.model.workflows[flow].ended
        )
        assert (self.both("decide", flow, identity, decision, version, action) == 1) == wins

    @rule(flow=flows, step=steps, visit=visits, off=stale)
    def withdraw(self, flow: str, step: str, visit: int, off: int) -> None:
        answer = self.both("withdraw", flow, self.epoch(flow, off), name(flow, step, visit))
        assert not off or answer == STALE

    @rule(flow=flows, off=stale, unread=st.sampled_from([0, 0, 1]))
    def park(self, flow: str, off: int, unread: int) -> None:
        seq = self.model.workflows[flow].seq - unread
        self.both("park", flow, self.epoch(flow, off), seq, 9_000_000_000_000)

    @rule(flow=flows, off=stale, unread=st.sampled_from([0, 1, 1]))
    def finish(self, flow: str, off: int, unread: int) -> None:
        self.both("finish", flow, self.epoch(flow, off), self.model.workflows[flow].seq - unread)

    @rule(flow=flows)
    def signal(self, flow: str) -> None:
        self.both("accept", flow, "")

    @rule(flow=flows)
    def pause(self, flow: str) -> None:
        self.both("pause", flow)

    @rule(flow=flows)
    def resume(self, flow: str) -> None:
        self.both("resume", flow)

    @rule(flow=flows)
    def open_ones_are_shown(self, flow: str) -> None:
        """A living workflow needs people exactly while an escalation of its own is open, or is paused."""
        known = self.model.workflows[flow]
        is_open = sum(e.workflow == flow and e.state == "open" for e in self.model.escalations.values())
        assert known.open == is_open
        assert known.ended or known.paused or (known.state == "needs_human") == bool(is_open)


def test_any_sequence_closes_each_escalation_once(config: Config) -> None:
    run(Escalations, config)
