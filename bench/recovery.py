"""What a crash costs: 200 workflows in flight with agents that wait, and the process that leads them killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import redis

from bench import central
from bench.cells import Cell, client_arguments
from bench.loop import percentile
from bench.stack import ROOT, Bare, Private, Stack, StackFailed
from coordination.keys import Keys

IN_FLIGHT = 200
WARM_S, BEFORE_S, AFTER_S, PATIENCE_S = 2.0, 1.5, 5.0, 10.0


@dataclass(frozen=True)
class Recovery:
    """What became of the workflows that were in flight when the process was killed.

    Attributes:
        engine: Which.
        killed: What was killed.
        in_flight: Workflows in flight at that moment.
        affected: Of them, those that the killed process led.
        lost: Of those, how many never ended.
        first_s: From the kill to the first of them that ended; None when none did.
        median_s: To the median of those that ended.
        all_s: To the last.
    """

    engine: str
    killed: str
    in_flight: int
    affected: int
    lost: int
    first_s: float | None
    median_s: float | None
    all_s: float | None

    def to_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        return asdict(self)


def ganglion(stack: Stack) -> Recovery:
    """Kill one of the coordinator hosts; its peers take over, and the supervisor starts it again."""
    victim = stack.named("coordinator-1")[0]

    def kill() -> set[str] | None:
        os.kill(victim, signal.SIGKILL)
        return _owned(stack.socket_path, "coordinator-1-")

    return crash(stack, _cell("ganglion"), "one of two coordinator hosts", kill)


def brain(stack: Bare, process: subprocess.Popen[bytes], command: list[str]) -> Recovery:
    """Kill the central brain and start it again at once."""

    def kill() -> set[str] | None:
        process.kill()
        process.wait(10)
        stack.run_python(*command, announces=central.READY)
        return None

    return crash(stack, _cell("central"), "the central brain", kill)


def _cell(engine: str) -> Cell:
    return Cell(engine, IN_FLIGHT, "", client=("--engine", engine, "--agents", "bench_slow"))


def crash(
    stack: Private, cell: Cell, killed: str, kill: Callable[[], set[str] | None], patience_s: float = PATIENCE_S
) -> Recovery:
    """Kill something while a client keeps its workflows in flight, and see what becomes of them.

    Args:
        stack: What runs.
        cell: What the client does.
        killed: What is killed, in words.
        kill: Kills it, and starts it again where nobody else does; gives the workflows that it led, None for all.
        patience_s: After which a workflow counts as lost.

    Raises:
        StackFailed: The client did not end well.
    """
    record = stack.home / "record.json"
    more = ("--record", str(record), "--patience", f"{patience_s:g}")
    client = subprocess.Popen(
        client_arguments(stack, replace(cell, client=(*cell.client, *more)), WARM_S, BEFORE_S + AFTER_S),
        cwd=ROOT, env=stack.client_environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert client.stdout is not None
        client.stdout.readline()  # it says when it has begun, however long its own start takes
        time.sleep(WARM_S + BEFORE_S)
        killed_at = time.time()
        owned = kill()
        _, errors = client.communicate(timeout=AFTER_S + patience_s + 150)
    finally:
        client.kill()
        client.wait(10)
    if not record.exists():
        raise StackFailed(
            f"The client of the crash of {cell.engine} did not end well: {errors.strip().splitlines()[-3:]}"
        )
    times: dict[str, list[float | None]] = json.loads(record.read_text())
    return _evaluate(cell.engine, killed, times, killed_at, owned)


def _evaluate(
    engine: str, killed: str, times: dict[str, list[float | None]], killed_at: float, owned: set[str] | None
) -> Recovery:
    flying = {
        name: end for name, (start, end) in times.items() if (start or 0) < killed_at and (end or 1e12) > killed_at
    }
    affected = flying if owned is None else {name: end for name, end in flying.items() if name in owned}
    ends = sorted(end - killed_at for end in affected.values() if end is not None)
    return Recovery(
        engine, killed, len(flying), len(affected), len(affected) - len(ends),
        round(ends[0], 2) if ends else None,
        round(percentile(ends, 0.5), 2) if ends else None,
        round(ends[-1], 2) if ends else None,
    )  # fmt: skip


def _owned(path: Path, host: str) -> set[str]:
    """The live workflows that a host holds, by its name's beginning."""
    keys = Keys("", 8)
    with redis.Redis(unix_socket_path=str(path)) as link:
        names = [name.decode() for shard in range(8) for name in link.zrange(keys.deadlines(shard), 0, -1)]
        pipeline = link.pipeline(transaction=False)
        for name in names:
            pipeline.hget(keys.workflow(name), "owner")
        owners = pipeline.execute()
    return {name for name, owner in zip(names, owners, strict=True) if owner and owner.decode().startswith(host)}
