"""A workflow made from its journal is the same, live or replayed, whatever the journal holds."""

from __future__ import annotations

import random
from typing import Any

import hypothesis
from hypothesis import strategies as st

from coordination import DistributedCoordinator
from coordination import journal as j
from coordination.domain import ErrorInfo
from coordination.errors import (
    StepFailed,
    WorkflowCancelled,
)
from coordination.keys import escalation_id
from tests.machine_recorder import Recorder, first_entry, forget_types, picture


class MachineEverything(DistributedCoordinator):
    """Branches that share state, so that any difference in order shows."""

    async def run(self, size: int) -> list[Any]:
        self.seen: list[Any] = []
        self.compensate("undo", size)
        await self.gather(*(self._branch(number) for number in range(size)))
        await self.progress(f"{len(self.seen)} done")
        return self.seen

    async def _branch(self, number: int) -> None:
        for attempt in range(3):
            try:
                self.seen.append((number, await self._step(number + attempt + len(self.seen))))
            except WorkflowCancelled:
                raise
            except StepFailed as error:
                self.seen.append((number, type(error).__name__))

    def _step(self, choice: int) -> Any:
        match choice % 7:
            case 0:
                return self.dispatch_task("work", {"n": choice}, max_retries=1)
            case 1:
                return self.wait_for_signal("go", timeout_s=5)
            case 2:
                return self.sleep(3)
            case 3:
                return self.ask_human("Well?", returns=int)
            case 4:
                return self.record("value", lambda: 1)
            case 5:
                return self.start_child("machine_everything", 1)
        return self.gather(self.dispatch_task("other", choice), self.sleep(1))


def step_once(recorder: Recorder, chance: random.Random) -> None:
    """Let something happen to the workflow: written by its host, or come from outside."""
    machine = recorder.machine
    runs, waiting = list(machine.runs.items()), list(machine._program.waiting.items())
    kinds = ["new"] * 6 + ["settle", "fail", "final", "timeout", "retry", "escalate", "decide", "signal", "fire"] * 2
    kinds += ["child", "answer", "now", "late", "taken", "nonsense"]
    kinds += ["resume"] * 3 if machine.paused else []
    if chance.random() < 0.1:
        kinds += ["cancel", "pause", "pause", *(["restart"] if len(recorder.journal) < 150 else [])]
    kind = chance.choice(kinds)
    if machine.paused and kind in ("new", "retry", "escalate", "fire", "nonsense"):
        return  # a host writes nothing while it is paused
    step, run = chance.choice(runs) if runs else ("", None)
    error = ErrorInfo("Error", "no", kind != "final")
    call_id, call = chance.choice(waiting) if waiting else ("", None)
    if kind == "new" and machine.new:
        recorder.write(first_entry(chance.choice(list(machine.new.values())), machine.generation))
    elif kind == "settle" and run is not None:
        recorder.write(j.Settled(step, 0, run.number, "a", 1, b"5"))
    elif kind in ("fail", "final") and run is not None:
        recorder.write(j.Erred(step, run.generation, run.number, "a", 1, error, chance.choice([None, 2.0])))
    elif kind == "timeout" and run is not None:
        recorder.write(j.TimedOut(step, 0, run.number, "a", 1))
    elif kind == "retry" and run is not None and run.state == "backoff":
        recorder.write(j.Attempt(step, run.generation, run.number + 1, run.round, run.call.task_type, run.call.digest))
    elif kind == "escalate" and run is not None and run.state == "exhausted":
        identity = escalation_id("w1", step, run.escalations + 1, run.generation)
        recorder.write(j.Escalated(step, identity, run.reason))
    elif kind in ("decide", "answer") and machine.open:
        identity, about = chance.choice(list(machine.open.items()))
        action = chance.choice(["retry", "edit", "supply", "skip", "fail", "reroute", "restart"])
        value = chance.choice([b"3", b'"x"', b"null", None])
        if action == "reroute":
            value = chance.choice([b'{"agent":"other"}', b'{"requires":{"kind":"nda"}}'])
        decision = f"d{len(recorder.journal)}"
        if action != "restart" or machine.cancelled is None:
            recorder.write(j.Decided(about, identity, action, "anna", decision, value))
        if machine.restart is not None and not recorder.restart(about, decision):
            recorder.write(j.Restarted("", machine.generation, len(recorder.journal) + 2, "anna", "", decision))
        machine = recorder.machine
        for asked in [] if machine.paused else list(machine.reask):
            number = machine.asked[asked] + 1
            recorder.write(
                j.Escalated(asked, escalation_id("w1", asked, number, machine.generation), "human_input_requested")
            )
    elif kind == "signal":
        recorder.write(j.Signalled("go", str(chance.random()), b"1"))
    elif kind == "fire" and machine.timers:
        recorder.write(j.TimerFired(chance.choice(list(machine.timers))))
    elif kind == "child" and machine.children:
        about, child = chance.choice(list(machine.children.items()))
        recorder.write(j.ChildEnded(about, child, chance.choice(["completed", "failed"]), b"[]", error))
    elif kind == "now" and run is not None:
        recorder.write(j.RetryNow(step, "anna"))
    elif kind == "pause" and not machine.paused:
        recorder.write(j.Paused("anna"))
    elif kind == "resume":
        recorder.write(j.Resumed("anna"))
    elif kind == "restart" and machine.cancelled is None and (began := list(j.Account(recorder.journal).began)):
        recorder.restart(chance.choice(began))
    elif kind == "taken":
        recorder.write(j.TakenUp(2, "h2", "h1", "takeover"))
    elif kind == "cancel":
        recorder.write(j.CancelRequested("anna", "enough"))
    elif kind == "late" and call is not None:
        recorder.write(j.Settled(call_id, 0, 99, "a", 1, b"6"))
    elif kind == "nonsense":
        recorder.write(j.TimerFired("77.7"))
        recorder.write(j.Decided("77.7", "w1~77.7~1", "supply", "x", "d", b"1"))


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(seed=st.integers(0, 2**32), size=st.integers(1, 5), length=st.integers(1, 120))
def test_a_replay_equals_the_life_it_replays(seed: int, size: int, length: int) -> None:
    chance = random.Random(seed)
    recorder = Recorder(MachineEverything, size)
    for _ in range(length):
        if recorder.machine.done:
            break
        held = recorder.machine
        before = (held.paused, held.steps_total, held.steps_done)
        step_once(recorder, chance)
        if before[0] and held.paused and recorder.machine is held:
            assert (held.steps_total, held.steps_done) == before[1:]  # run() stands still
    assert picture(recorder.replayed()) == picture(recorder.machine)
    # a crash may also come before what run() asked for was written: any prefix replays, too
    prefix = Recorder(MachineEverything, size)
    for item in recorder.journal[: length // 2]:
        prefix.take_in(item)
    for item in recorder.journal[length // 2 :]:
        prefix.take_in(item)
    assert picture(prefix.machine) == picture(recorder.machine)


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(seed=st.integers(0, 2**32), size=st.integers(1, 4))
def test_every_life_comes_to_its_end(seed: int, size: int) -> None:
    chance = random.Random(seed)
    recorder = Recorder(MachineEverything, size)
    for _ in range(3_000):
        if recorder.machine.done:
            break
        step_once(recorder, chance)
    assert recorder.machine.done
    assert picture(recorder.replayed()) == picture(recorder.machine)


def teardown_module() -> None:
    forget_types()
