"""The outside world: submits plans, sends their signals, answers escalations, waits for results."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from coordination import catalog
from coordination.async_client import Client, WorkflowFailed
from coordination.domain import EscalationSnapshot, Reason
from coordination.errors import BadRequest, DecisionConflict, GanglionError, TryAgain
from tests.chaos import plans
from tests.chaos.console import Console
from tests.chaos.record import FAILED, Record, completed

T = TypeVar("T")

_TWICE = 0.05  # share of submits and signals that are sent again although they were acknowledged
_LOOKED_AT = 0.05  # share of workflows whose journal is read in Redis when they end
_ASK_S = 0.2  # between two looks at the open escalations
_DECIDING = 16  # escalations answered at once
_WAIT_S = 60.0  # for one result, before asking again


class Driver:
    """Keeps a number of workflows in flight, and records every acknowledgement.

    Args:
        client: To the server, as the processes reach it.
        record: Takes every acknowledgement.
        seed: Makes the plans.
        in_flight: Workflows at once.
        most: After so many no more are submitted; 0 for no such limit.
        console: Decisions go through it when it is given.

    Attributes:
        client: To the server.
        console: The console's API, when it runs.
        ended: Workflows whose end was seen.
        wrong: Those that did not end as they must, with what they gave.
        repeated: Submits that were sent again after their acknowledgement.
        innocent: Workflows that people were asked about although their code harms nobody.
        progress_at: When one ended last, by the monotonic clock.
        living: Workflows on their way.
        on_end: Called at the end of some workflows.
        stopping: Set it, and nothing more is submitted.
    """

    def __init__(
        self, client: Client, record: Record, seed: int, in_flight: int, most: int = 0, console: Console | None = None
    ) -> None:
        self.client = client
        self._record = record
        self._seed = seed
        self._patience = random.Random(f"{seed}/patience")
        self._in_flight = in_flight
        self._most = most
        self.console = console
        self._number = 0
        self._deciding: set[str] = set()
        self.living: dict[str, None] = {}
        self.on_end: Callable[[str], Awaitable[None]] | None = None
        self.ended = 0
        self.wrong: list[str] = []
        self.repeated = 0
        self.innocent: list[str] = []
        self.progress_at = time.monotonic()
        self.stopping = False

    async def run(self) -> None:
        """Drive until ``stopping`` is set, or all are submitted, and every accepted workflow has ended."""
        catalog.discover()
        answering = asyncio.create_task(self._answer(), name="answer")
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._in_flight):
                    group.create_task(self._lane())
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)

    async def _lane(self) -> None:
        while not self.stopping and not (self._most and self._number >= self._most):
            number = self._number
            self._number += 1
            plan, name = plans.make(self._seed, number), f"c{self._seed}-{number}"
            await self.one(name, plan, completed(plans.total(plan)), self._chance("twice", name).random() < _TWICE)

    def _chance(self, purpose: str, name: str) -> random.Random:
        """What a run's seed holds for one thing of one workflow, in whichever order they come."""
        return random.Random(f"{self._seed}/{purpose}/{name}")

    async def one(self, name: str, plan: plans.Node, outcome: str, twice: bool = False) -> str:
        """Run one workflow to its end and note whether it was the right one; gives its id."""
        identity = await self._submit(name, plan, twice)
        self._record.add("accepted", identity, outcome)
        async with asyncio.TaskGroup() as group:
            for signal in plans.signals(plan):
                group.create_task(self._signal(identity, signal))
            group.create_task(self._result(identity, outcome))
        return identity

    async def ends(self, identity: str, outcome: str) -> None:
        """See a workflow to its end that somebody else has submitted."""
        self._record.add("accepted", identity, outcome)
        await self._result(identity, outcome)

    async def _submit(self, name: str, plan: plans.Node, twice: bool) -> str:
        """Submit until it is acknowledged; sometimes once more, under a key, which must change nothing."""
        if not twice:
            return await self._insist(lambda: self.client.submit("chaos", plan, workflow_id=name))
        identity = await self._insist(lambda: self.client.submit("chaos", plan, key=name))
        again = await self._insist(lambda: self.client.submit("chaos", plan, key=name))
        self.repeated += 1
        assert again == identity, f"{name} was accepted as {identity} and as {again}"
        return identity

    async def _signal(self, identity: str, signal: plans.Signal) -> None:
        name, chance = signal.name, self._chance("signal", signal.name)
        await asyncio.sleep(chance.random() * 1.5)
        for _ in range(2 if chance.random() < _TWICE else 1):
            try:
                await self._insist(lambda: self.client.signal(identity, name, signal.value, signal_id=name))
            except BadRequest:  # it ended, which it can only by an earlier try of this signal
                return
        self._record.add("signal", identity, name)

    async def _result(self, identity: str, outcome: str) -> None:
        self.living[identity] = None
        try:
            value = await self._insist(lambda: self.client.result(identity, timeout_s=_WAIT_S))
            found = completed(value)
        except WorkflowFailed as error:
            found = FAILED if outcome == FAILED else str(error)
        except GanglionError as error:
            found = f"{type(error).__name__}: {error}"
        if found != outcome:
            self.wrong.append(f"{identity}: {found}, not {outcome}")
        if self.on_end is not None and self._chance("look", identity).random() < _LOOKED_AT:
            await self.on_end(identity)
        del self.living[identity]
        self.ended += 1
        self.progress_at = time.monotonic()

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await call()
            except TryAgain:
                await asyncio.sleep(self._patience.uniform(0.05, 0.3))

    # --- people -----------------------------------------------------------------------

    async def _answer(self) -> None:
        """Answer every escalation: by its value, or at times by another try."""
        connection, keys = self.client.connection, self.client.connection.keys
        free = asyncio.Semaphore(_DECIDING)
        async with asyncio.TaskGroup() as group:
            while True:
                for shard in range(keys.shards):
                    try:
                        rows = await connection.call("XRANGE", keys.escalation_queue(shard), "-", "+", "COUNT", 200)
                    except TryAgain:
                        continue
                    for name in (fields[1].decode() for _, fields in rows):
                        if name not in self._deciding:
                            self._deciding.add(name)
                            group.create_task(self._decide(name, free), name=f"decide-{name}")
                await asyncio.sleep(_ASK_S)

    async def _decide(self, escalation_id: str, free: asyncio.Semaphore) -> None:
        try:
            async with free:
                found = await self.client.inspect.escalation(escalation_id)
                if found is None or found.state != "open":
                    return
                action, value = self._choice(found)
                decision_id = await self._send(found, action, value)
                if decision_id is not None:
                    self._record.add("decision", escalation_id, decision_id)
        except (TryAgain, DecisionConflict, BadRequest):
            pass  # it is looked at again while it is open
        finally:
            self._deciding.discard(escalation_id)

    def _choice(self, found: EscalationSnapshot) -> tuple[str, object]:
        if found.reason in (Reason.COORDINATOR_CRASHED, Reason.WORKFLOW_CODE_CHANGED):
            if found.workflow_id.startswith("bad-"):
                return "fail", None
            self.innocent.append(found.workflow_id)
            return "retry", None
        value = found.input["value"]
        if found.reason == Reason.HUMAN_INPUT_REQUESTED:
            return "supply", {"value": value}
        if found.reason == Reason.NO_CAPABLE_AGENT:
            return "retry", None
        if not found.input.get("final") and found.attempts <= found.input.get("fails", 0):
            return "retry", None
        return "supply", value

    async def _send(self, found: EscalationSnapshot, action: str, value: object) -> str | None:
        if self.console is not None:
            return await self.console.decide(found.id, found.version, action, value)
        decision_id = f"{found.id}/{found.version}"
        await self.client.commands.decide(
            found.id, version=found.version, action=action, actor="chaos", decision_id=decision_id, value=value
        )
        return decision_id
