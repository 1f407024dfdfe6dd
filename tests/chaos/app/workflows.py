"""One workflow type that does what its plan says."""

from __future__ import annotations

import msgspec

from coordination import DistributedCoordinator
from tests.chaos.plans import Child, Nap, Node, Note, Question, Sequence, Signal, Together, Work


class Answer(msgspec.Struct):
    """What people answer."""

    value: int


class Chaos(DistributedCoordinator):
    """Walks a plan and adds up its values."""

    max_retries = 2
    timeout_s = 10.0

    async def run(self, plan: Node) -> int:
        """Give the sum of the plan's values."""
        return await self._do(plan)

    async def _do(self, node: Node) -> int:
        match node:
            case Work():
                return int(await self.dispatch_task("chaos_work", node))
            case Together(nodes):
                return sum(await self.gather(*(self._do(member) for member in nodes)))
            case Sequence(nodes):
                return sum([await self._do(member) for member in nodes])
            case Nap(ms):
                await self.sleep(ms / 1000)
                return 0
            case Signal(name):
                return int(await self.wait_for_signal(name, returns=int))
            case Question(value):
                answer: Answer = await self.ask_human("What is the value?", returns=Answer, context={"value": value})
                return answer.value
            case Child(inner):
                return int(await self.start_child(Chaos, inner))
            case Note(value):
                return int(await self.record("note", lambda: value))
