"""One workflow type that does what its plan says."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import msgspec

from coordination import DistributedCoordinator
from tests.chaos import ledger
from tests.chaos.plans import Block, Child, Crash, Huge, Nap, Node, Note, Question, Sequence, Signal, Together, Work

_EATEN_BYTES = 256 << 20


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
            case Huge():
                return int(await self.dispatch_task("chaos_huge", node))
            case Block(ms):
                _block(self.workflow_id, ms)
                return 0
            case Crash(how):
                _crash(self.workflow_id, how)
                return 0
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


def _block(workflow_id: str, ms: int) -> None:
    """Do what run() must not do, once: the mark keeps it from doing so in host after host."""
    mark = Path(os.environ[ledger.VARIABLE]).parent / f"blocked-{workflow_id}"
    if mark.exists():
        return
    mark.touch()
    ledger.write("ran", f"{workflow_id}@block", 0)
    time.sleep(ms / 1000)


def _crash(workflow_id: str, how: str) -> None:
    """End this process, as a fault in native code or the kernel's memory killer does."""
    ledger.write("ran", f"{workflow_id}@{how}", 0)
    if how == "memory":
        eaten = bytearray(_EATEN_BYTES)
        eaten[::4096] = b"x" * len(eaten[::4096])
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(3)
