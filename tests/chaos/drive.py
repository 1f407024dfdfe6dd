"""The outside world: submits plans, sends their signals, answers escalations, waits for results."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

from coordination import catalog
from coordination.async_client import Client
from coordination.errors import BadRequest, GanglionError, TryAgain
from tests.chaos import plans


class Driver:
    """Keeps a number of workflows in flight, and remembers every acknowledgement.

    Attributes:
        accepted: Workflow id to the total that it must give.
        results: Workflow id to what it gave.
        decisions: Decision ids that were acknowledged.
        progress_at: When a workflow ended last, by the monotonic clock.
    """

    def __init__(self, client: Client, seed: int, in_flight: int) -> None:
        self._client = client
        self._rng = random.Random(seed)
        self._in_flight = in_flight
        self.accepted: dict[str, int] = {}
        self.results: dict[str, Any] = {}
        self.plans: dict[str, plans.Node] = {}
        self.decisions: set[str] = set()
        self.resubmitted = 0
        self.progress_at = time.monotonic()
        self.stopping = False
        self._number = 0

    async def run(self) -> None:
        """Drive until ``stopping`` is set and every accepted workflow has ended."""
        catalog.discover()
        answering = asyncio.create_task(self._answer(), name="answer")
        try:
            async with asyncio.TaskGroup() as group:
                for lane in range(self._in_flight):
                    group.create_task(self._lane(lane))
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)

    async def _lane(self, lane: int) -> None:
        while not self.stopping:
            number = self._number
            self._number += 1
            plan = plans.make(self._rng, number)
            identity = await self._submit(number, plan)
            self.accepted[identity] = plans.total(plan)
            self.plans[identity] = plan
            async with asyncio.TaskGroup() as group:
                for signal in plans.signals(plan):
                    group.create_task(self._signal(identity, signal, self._rng.random() * 1.5))
                group.create_task(self._result(identity))

    async def _submit(self, number: int, plan: plans.Node) -> str:
        """Submit under a key until it is acknowledged; sometimes once more, which must change nothing."""
        identity = await self._insist(lambda: self._client.submit("chaos", plan, key=str(number)))
        if self._rng.random() < 0.05:
            self.resubmitted += 1
            again = await self._insist(lambda: self._client.submit("chaos", plan, key=str(number)))
            assert again == identity
        return str(identity)

    async def _signal(self, identity: str, signal: plans.Signal, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        name = signal.name
        try:
            await self._insist(lambda: self._client.signal(identity, name, signal.value, signal_id=name))
        except BadRequest as error:  # it ended without this signal: the result will tell
            self.results.setdefault(identity, f"signal refused: {error}")

    async def _result(self, identity: str) -> None:
        try:
            self.results[identity] = await self._insist(lambda: self._client.result(identity, timeout_s=5, returns=int))
        except GanglionError as error:
            self.results[identity] = f"{type(error).__name__}: {error}"
        self.progress_at = time.monotonic()

    async def _insist(self, call: Any) -> Any:
        while True:
            try:
                return await call()
            except TryAgain:
                await asyncio.sleep(self._rng.uniform(0.05, 0.3))

    async def _answer(self) -> None:
        """Answer every escalation: by its value, or at times by another try."""
        connection, keys = self._client.connection, self._client.connection.keys
        while True:
            for shard in range(keys.shards):
                try:
                    rows = await connection.call("XRANGE", keys.escalation_queue(shard), "-", "+", "COUNT", 200)
                    for _, fields in rows:
                        await self._decide(fields[1].decode())
                except (TryAgain, BadRequest):
                    continue
            await asyncio.sleep(0.2)

    async def _decide(self, escalation_id: str) -> None:
        found = await self._client.inspect.escalation(escalation_id)
        if found is None or found.state != "open":
            return
        value: Any = found.input["value"]
        action = "supply"
        if found.reason == "human_input_requested":
            value = {"value": value}
        elif not found.input.get("final") and found.attempts <= found.input.get("fails", 0):
            action, value = "retry", None
        decision_id = f"{escalation_id}/{found.version}"
        await self._client.commands.decide(
            escalation_id, version=found.version, action=action, actor="chaos", decision_id=decision_id, value=value
        )
        self.decisions.add(decision_id)
