"""The article's central brain, built honestly: what Ganglion is compared with.

One process, one queue for all that comes in (new work and agents' responses), the state of every workflow in its
memory, and one response handled at a time. It uses the same server, the same client library for it, and the same
agents by the same protocol. It keeps no journal: that is the point of comparison, as in the article, and why a crash
costs it everything that it knows.

There are two of them. The plain one is what the article's figures describe: it leads one workflow at a time, asks
agents, waits for their responses, and then takes the next. ``--event-driven`` is the strongest form of the idea: it
never waits for an agent, handles whatever response comes next, and reads ahead up to a hundred of them in one call.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import deque
from dataclasses import dataclass, field

import msgspec
import uvloop

from bench.workload.payloads import Document, Finding, Findings
from coordination import journal, tasks
from coordination.config import current
from coordination.connection import Connection

NAME = "central"
READY = "central brain is ready"
_AHEAD = 100
_BLOCK_MS = 500


@dataclass(slots=True)
class Flow:
    """All that the brain knows of one workflow."""

    client: str
    agents: str
    found: dict[str, Finding] = field(default_factory=dict)


class Brain:
    """Leads every workflow, one response after another."""

    def __init__(self, connection: Connection, waits: bool) -> None:
        self._connection = connection
        self._keys = connection.keys
        self._queue = connection.keys.inbox(NAME)
        self._last = b"0"  # what an earlier life did not come to is still there
        self._waits = waits
        self._read: deque[tuple[bytes, dict[bytes, bytes]]] = deque()
        self._backlog: deque[dict[bytes, bytes]] = deque()  # work that came while it waited for agents
        self._flows: dict[str, Flow] = {}
        self.stopping = False

    async def run(self) -> None:
        """Handle what comes in until told to stop."""
        while not self.stopping:
            fields = self._backlog.popleft() if self._backlog else await self._next()
            if fields is not None:
                await self._handle(fields)

    async def _next(self) -> dict[bytes, bytes] | None:
        """The next response or piece of work, taken off the queue."""
        if not self._read:
            reply = await self._connection.blocking(
                "XREAD", "COUNT", _AHEAD, "BLOCK", _BLOCK_MS, "STREAMS", self._queue, self._last
            )
            for entry, raw in reply[0][1] if reply else ():
                self._read.append((entry, dict(zip(raw[::2], raw[1::2], strict=True))))
        if not self._read:
            return None
        self._last, fields = self._read.popleft()
        await self._connection.call("XDEL", self._queue, self._last)
        return fields

    async def _handle(self, fields: dict[bytes, bytes]) -> None:
        workflow_id = fields[b"w"].decode()
        if b"i" in fields:
            flow = self._flows[workflow_id] = Flow(fields[b"c"].decode(), fields[b"a"].decode())
            await self._dispatch(workflow_id, [("1", f"{flow.agents}_classify", fields[b"i"])])
            if self._waits:
                await self._wait_for(workflow_id)
            return
        known = self._flows.get(workflow_id)
        if known is None or b"e" not in fields:
            return  # the response to a question that was asked in an earlier life: nobody knows what for
        entry = journal.decode(fields[b"e"])
        if isinstance(entry, journal.Settled):
            await self._settled(workflow_id, known, entry)

    async def _wait_for(self, workflow_id: str) -> None:
        """Lead one workflow to its end; other work waits."""
        while workflow_id in self._flows and not self.stopping:
            fields = await self._next()
            if fields is not None and b"i" in fields:
                self._backlog.append(fields)
            elif fields is not None:
                await self._handle(fields)

    async def _settled(self, workflow_id: str, flow: Flow, entry: journal.Settled) -> None:
        match entry.step:
            case "1":
                kind = msgspec.json.encode(msgspec.json.decode(entry.value, type=Document))
                both = [("2", f"{flow.agents}_extract", kind), ("3", f"{flow.agents}_validate", kind)]
                await self._dispatch(workflow_id, both)
            case "2" | "3":
                flow.found[entry.step] = msgspec.json.decode(entry.value, type=Finding)
                if len(flow.found) == 2:
                    findings = msgspec.json.encode(Findings(flow.found["2"], flow.found["3"]))
                    await self._dispatch(workflow_id, [("4", f"{flow.agents}_summarize", findings)])
            case "4":
                del self._flows[workflow_id]
                call, keys = self._connection.call, self._keys
                await asyncio.gather(
                    call("XADD", keys.inbox(flow.client), "*", "w", workflow_id, "r", entry.value),
                    call("DEL", keys.workflow(workflow_id), keys.journal(workflow_id)),
                )

    async def _dispatch(self, workflow_id: str, steps: list[tuple[str, str, bytes]]) -> None:
        """Note the tasks where agents look for them, and queue them."""
        call, workflow = self._connection.call, self._keys.workflow(workflow_id)
        records = [part for step, _, _ in steps for part in (f"t:{step}", "0:1:q:0:0:0:")]
        if steps[0][0] == "1":
            records += ["owner", NAME, "state", "running", "seq", "0"]
        writes = [call("HSET", workflow, *records)]
        for step, task_type, payload in steps:
            entry = tasks.fields(self._keys, workflow_id, step, 0, 1, task_type, payload, 30.0)
            writes.append(call("XADD", self._keys.agent_queue(task_type), "*", *entry))
        await asyncio.gather(*writes)


async def serve(waits: bool) -> None:
    """Run the brain until SIGTERM."""
    async with await Connection.open(current()) as connection:
        brain = Brain(connection, waits)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, setattr, brain, "stopping", True)
        print(READY, flush=True)
        await brain.run()


if __name__ == "__main__":
    uvloop.run(serve(waits="--event-driven" not in sys.argv))
    sys.exit(0)
