"""The server's disk is full: new work is refused clearly, nothing acknowledged is lost, and all resumes by itself.

With appendfsync everysec the server refuses writes (MISCONF) until there is space; with always it ends itself, and is
started again once there is. The disk is a small tmpfs, which only root may mount.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.scenarios import Options, Outcome
from tests.chaos.stage import stage

NAME = "disk"
_SIZE = "24m"
_FULL_S = 4.0


async def run(options: Options) -> Outcome:
    """Run the scenario."""
    if os.getuid() != 0:
        return Outcome(
            NAME, holds=False, broken=["Mounting a small disk needs root: run it as root, or inside unshare -rm."]
        )
    found = Outcome(NAME, holds=True)
    for fsync in ("everysec", "always"):
        folder = options.folder / fsync
        folder.mkdir()
        part = Options(options.seed, options.minutes, folder, options.say)
        with _disk(folder / "disk") as disk:
            outcome = await _fill(part, disk, fsync)
        found.figures |= {f"{fsync}_{name}": value for name, value in outcome.figures.items()}
        found.broken += [f"{fsync}: {line}" for line in outcome.broken]
    found.holds = not found.broken
    return found


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


async def _fill(options: Options, disk: Path, fsync: str) -> Outcome:
    settings = {"appendfsync": fsync, "auto_aof_rewrite_percentage": "0"}
    async with stage(options, in_flight=16, agents=1, hosts=2, server_folder=disk / "redis", **settings) as on:
        await on.drive(20)
        before = await on.members()
        options.say(f"appendfsync {fsync}: the disk is full")
        on.load.refusals.clear()
        filler = disk / "filler"
        began = time.monotonic()
        await _write_until_full(filler)
        first = await on.until(lambda: sum(on.load.refusals.values()) > 0, 15, "no write was refused")
        on.figures["first_refusal_s"] = time.monotonic() - began if first else 0.0
        await asyncio.sleep(_FULL_S)
        filler.unlink()
        free = time.monotonic()
        if fsync == "always":
            on.expect(on.crew.server.ask("PING") is None, "the server did not end, so this shows nothing")
            await on.start_server()
        options.say("there is space again")
        await on.flows(20)
        on.figures["new_work_flows_s"] = time.monotonic() - free
        on.expect(time.monotonic() - free < 5, "it took more than five seconds to resume")
        await on.settle()
        on.count(set())
        on.nobody_died()
        on.expect(await on.members() == before, "a process was taken for dead")
        on.figures |= {f"refused_as_{name}": count for name, count in sorted(on.load.refusals.items())}
        return on.outcome(NAME)


async def _write_until_full(path: Path) -> None:
    def write() -> None:
        with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * 65_536)

    await asyncio.to_thread(write)
