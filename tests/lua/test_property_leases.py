"""Leases: whatever hosts, peers and late packets do, one epoch writes, an ended workflow stays ended, none strands."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from coordination.config import Config
from coordination.scripts import STALE
from tests.lua.stateful import ShardMachine, run
from tests.lua_bench import ENTRY

HOSTS = ("h1", "h2", "h3")
hosts = st.sampled_from(HOSTS)
stale = st.sampled_from([0, 0, 0, 1, 2, -1])  # how far from the epoch that may write
marks = st.sampled_from("wr")


class Leases(ShardMachine):
    """Three hosts and up to four workflows."""

    @initialize(count=st.integers(1, 4))
    def begin(self, count: int) -> None:
        for number in range(count):
            self.both("submit", f"w{number}")
        self.read("h1", "w")

    def flow(self, chosen: int) -> str:
        names = sorted(self.model.workflows)
        return names[chosen % len(names)]

    def given(self, chosen: list[str], found: list[Any]) -> None:
        assert chosen == found
        self.compare()

    @rule(host=hosts, mark=marks)
    def read(self, host: str, mark: str) -> None:
        stream = self.bench.keys.workflows(0) if mark == "w" else self.bench.keys.resumes(0)
        found = self.wait(self.bench.read(host, stream))
        self.given(self.model.read(host, mark), [identity for _, identity in found])

    @rule(host=hosts, dead=hosts, mark=marks, most=st.integers(1, 5))
    def take_over(self, host: str, dead: str, mark: str, most: int) -> None:
        if host != dead:
            expected = self.model.take_over(mark, dead, host, most)
            self.given(expected, self.wait(self.bench.take_over(mark, dead, host, most)))

    @rule(chosen=st.integers(0, 3), host=hosts, which=st.integers(0, 5), previous=st.sampled_from(["", *HOSTS]))
    def claim(self, chosen: int, host: str, which: int, previous: str) -> None:
        identity = self.flow(chosen)
        known = [e for mark in "wr" for e in self.model.streams[mark] if e.workflow == identity and e.consumer]
        names = [f"{entry.mark}{entry.id}" for entry in known] + ["w0-1"]  # the last is of an entry that is gone
        self.both("claim", identity, host, names[which % len(names)], previous)

    @rule(chosen=st.integers(0, 3), off=stale, delay_ms=st.sampled_from([0, 0, 60_000]))
    def release(self, chosen: int, off: int, delay_ms: int) -> None:
        identity = self.flow(chosen)
        self.fenced(identity, off, self.both("release", identity, self.epoch(identity, off), delay_ms))

    @rule(chosen=st.integers(0, 3), off=stale, unread=st.sampled_from([0, 0, 1]))
    def park(self, chosen: int, off: int, unread: int) -> None:
        identity = self.flow(chosen)
        seq = self.model.workflows[identity].seq - unread
        self.fenced(identity, off, self.both("park", identity, self.epoch(identity, off), seq, 9_000_000_000_000))

    @rule(chosen=st.integers(0, 3), off=stale, unread=st.sampled_from([0, 0, 1]))
    def finish(self, chosen: int, off: int, unread: int) -> None:
        identity = self.flow(chosen)
        seq = self.model.workflows[identity].seq - unread
        self.fenced(identity, off, self.both("finish", identity, self.epoch(identity, off), seq))

    @rule(chosen=st.integers(0, 3), off=stale)
    def checkpoint(self, chosen: int, off: int) -> None:
        identity = self.flow(chosen)
        known = self.model.workflows[identity].checkpoints
        epoch = self.epoch(identity, off)
        self.fenced(identity, off, self.both("checkpoint", identity, epoch, [ENTRY], (), 0, 100, known))

    @rule(chosen=st.integers(0, 3), dedupe=st.sampled_from(["", "g:1", "g:2"]))
    def accept(self, chosen: int, dedupe: str) -> None:
        self.both("accept", self.flow(chosen), dedupe)

    @rule(chosen=st.integers(0, 3), live=st.lists(hosts, unique=True))
    def look(self, chosen: int, live: list[str]) -> None:
        self.both("look", self.flow(chosen), " ".join(live))

    @rule(chosen=st.integers(0, 3))
    def pause(self, chosen: int) -> None:
        self.both("pause", self.flow(chosen))

    @rule(chosen=st.integers(0, 3))
    def resume(self, chosen: int) -> None:
        self.both("resume", self.flow(chosen))

    @rule(chosen=st.integers(0, 3), dedupe=st.sampled_from(["g:r1", "g:r2"]), unread=st.sampled_from([0, 0, 1, None]))
    def interrupt(self, chosen: int, dedupe: str, unread: int | None) -> None:
        """An operator's restart: the owner's epoch is over, whatever it still sends."""
        identity = self.flow(chosen)
        before = self.model.workflows[identity].epoch
        read = "" if unread is None else self.model.workflows[identity].seq - unread
        if self.both("interrupt", identity, dedupe, read, unread is None, ()) == 1:
            assert self.both("checkpoint", identity, before, [ENTRY], (), 0, 100, 0) == STALE

    @rule(host=hosts, first=st.booleans())
    def beat(self, host: str, first: bool) -> None:
        self.both("beat", host, first)

    @rule(host=hosts, off=st.sampled_from([0, 0, 1]))
    def declare_dead(self, host: str, off: int) -> None:
        self.both("declare_dead", host, self.model.beats.get(host, 0) - off)

    def fenced(self, identity: str, off: int, answer: int) -> None:
        """No write under another epoch than the newest."""
        assert not off or answer == STALE

    @precondition(lambda self: self.model.workflows)
    @rule(chosen=st.integers(0, 3))
    def nothing_strands(self, chosen: int) -> None:
        """However things stand, two looks without live hosts and a read bring a living workflow to a host."""
        identity = self.flow(chosen)
        if self.model.workflows[identity].ended:
            return
        self.both("look", identity, "")
        entry = self.model.workflows[identity].entry
        assert entry is not None and entry.workflow == identity
        if entry not in self.model.streams[entry.mark]:
            raise AssertionError(f"{identity} is in no stream")


def test_any_sequence_leaves_what_the_model_says(config: Config) -> None:
    run(Leases, config)
