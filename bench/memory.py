"""What workflows take that wait: in one host, in the server, and in its queues.

The server's share depends on one setting. A stream's first block is made as large as ``stream-node-max-bytes``
allows, and every workflow has a stream of its own, its journal; so a smaller block saves memory, and makes queues
of more blocks. Both are measured with both.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.cells import Cell, Timing
from bench.cells import measure as measure_cell
from bench.curves.waiting import STAY
from bench.parts import Parts
from bench.processes import rss_bytes
from bench.talk import Helper

QUEUED_PAYLOAD_BYTES = 300
PAYLOADS_BYTES = 3 * 300  # the input, what the first step was given, what it returned
WARM = 200  # workflows before, so that what grows once has grown
DEFAULT_BYTES, TUNED_BYTES = 4096, 512
SETTING = "stream-node-max-bytes"
IN_FLIGHT = 200


@dataclass(frozen=True)
class Blocks:
    """One size of the blocks of streams.

    Attributes:
        bytes: ``stream-node-max-bytes``.
        server_bytes: For each workflow that waits in flight, its payloads of 900 bytes included.
        wf_per_s: Throughput with it, at 200 in flight.
        server_cpu_ms: The server's processor time for each of those workflows.
    """

    bytes: int
    server_bytes: int
    wf_per_s: float
    server_cpu_ms: float


@dataclass(frozen=True)
class Memory:
    """Memory of workflows that wait.

    Attributes:
        workflows: How many coordinators were in flight.
        host_bytes: For each of them, in the one host that held them.
        host_mb: That host with all of them.
        server_bytes: For each of them, in the server, its payloads of 900 bytes included.
        queued_bytes: For each that is only queued, its payload of 300 bytes included.
        blocks: The same with each size of the blocks of streams.
    """

    workflows: int
    host_bytes: int
    host_mb: float
    server_bytes: int
    queued_bytes: int
    blocks: list[Blocks] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        payloads = {"payload_bytes": PAYLOADS_BYTES, "queued_payload_bytes": QUEUED_PAYLOAD_BYTES}
        return {**asdict(self), **payloads, "verdicts": [vars(one) for one in self.verdicts]}

    @property
    def verdicts(self) -> list[Limit]:
        """Each figure against what it may be."""
        found = [
            Limit("a coordinator in flight, in the host", self.host_bytes, 12_000),
            Limit("a coordinator in flight, in the server beyond payloads", self.server_bytes - PAYLOADS_BYTES, 6_000),
            Limit("a queued workflow, beyond its payload", self.queued_bytes - QUEUED_PAYLOAD_BYTES, 1_000),
        ]
        found += [
            Limit(f"the same in the server with {SETTING} {one.bytes}", one.server_bytes - PAYLOADS_BYTES, 2_000)
            for one in self.blocks
            if one.bytes == TUNED_BYTES
        ]
        if self.workflows == 10_000:
            found.append(Limit("the host with 10,000 in flight", int(self.host_mb * 1e6), 200_000_000))
        return found


@dataclass(frozen=True)
class Limit:
    """A figure in bytes, and the most that it may be."""

    words: str
    bytes: int
    most: int

    @property
    def holds(self) -> bool:
        """Whether it is no more than that."""
        return self.bytes <= self.most


def measure(workflows: int, timing: Timing, tell: Callable[[str, int], None], compare: bool = True) -> Memory:
    """Let so many workflows queue, then wait in flight, and see what they take.

    Args:
        workflows: How many.
        timing: Of the runs that compare sizes of blocks.
        tell: Takes what is measured now.
        compare: Whether to measure other sizes of blocks, too.
    """
    with Parts(STAY) as stack, Helper(stack, "bench.driver") as driver:
        stack.workers("bench.workload.agents", 1)
        tell(f"memory of {workflows:,} queued workflows", 0)
        queued_bytes = _each(driver, "queue", workflows)
        tell(f"memory of {workflows:,} coordinators that wait", 0)
        first = stack.hosts(1)
        driver.ask("drained")
        stack.end_all(first)  # it has been larger than it is now
        host = stack.hosts(1)[0]
        driver.ask("hold", to=WARM)
        driver.ask("mirrored")
        before = rss_bytes(host.pid)
        server_bytes = _each(driver, "hold", workflows, WARM)
        after = rss_bytes(host.pid)
        driver.ask("let_go")
        tell("memory", 1)
        blocks = []
        if compare:
            driver.ask("setting", name=SETTING, value=str(TUNED_BYTES))
            sizes = {DEFAULT_BYTES: server_bytes, TUNED_BYTES: _each(driver, "hold", workflows)}
            driver.ask("let_go")
            blocks = _throughput(stack, driver, sizes, timing, tell)
    return Memory(workflows, (after - before) // workflows, round(after / 1e6, 1), server_bytes, queued_bytes, blocks)


def _each(driver: Helper, what: str, workflows: int, warm: int = WARM) -> int:
    """What each of so many more takes in the server."""
    driver.ask(what, to=warm)
    before = driver.ask("memory")
    driver.ask(what, to=warm + workflows)
    return int((driver.ask("memory") - before) // workflows)


def _throughput(
    stack: Parts, driver: Helper, sizes: dict[int, int], timing: Timing, tell: Callable[[str, int], None]
) -> list[Blocks]:
    """Run the closed loop with each size of blocks by turns, so that both meet the same machine."""
    once = Timing(timing.warm_s, timing.window_s, 1)
    runs: dict[int, list[Any]] = {size: [] for size in sizes}
    for _ in range(timing.repeats):
        for size in sizes:
            tell(f"throughput with {SETTING} {size:,}", 0)
            driver.ask("setting", name=SETTING, value=str(size))
            runs[size].append(measure_cell(stack, Cell("ganglion", IN_FLIGHT, ""), once))
            tell(f"throughput with {SETTING} {size:,}", 1)
    return [
        Blocks(
            size,
            sizes[size],
            round(statistics.median(run.wf_per_s for run in found), 1),
            round(statistics.median(run.cpu_by_process.get("server", 0.0) for run in found), 3),
        )
        for size, found in runs.items()
    ]
