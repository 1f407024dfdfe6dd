"""The supervisor's care for one process, shown on real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from config.up.child import Child, Program
from config.up.output import Output
from config.up.problems import CannotStart

READY = "from coordination.readiness import announce; announce(); "
WAIT = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); "
FOREVER = "import time\nwhile True: signal.pause()"


class Lines(Output):
    """Keeps the lines, and lets a test wait for one."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self._changed = asyncio.Event()

    def plain(self, text: str) -> None:
        self.seen.append(text)
        self._changed.set()

    async def wait_for(self, words: str, times: int = 1) -> str:
        async with asyncio.timeout(20):
            while sum(words in line for line in self.seen) < times:
                self._changed.clear()
                await self._changed.wait()
        return next(line for line in self.seen if words in line)


def child(lines: Lines, code: str, *, stop_s: float = 10.0, **extra: str) -> Child:
    environ = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    return Child(Program("part", (sys.executable, "-c", code), stop_s=stop_s, extra=extra), lines, environ)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not Path(f"/proc/{pid}/stat").exists() or " Z " not in Path(f"/proc/{pid}/stat").read_text()


async def test_readiness_is_what_the_process_announces() -> None:
    lines = Lines()
    part = child(lines, WAIT + "import sys; print('working', flush=True); " + READY + FOREVER)
    running = asyncio.create_task(part.run())
    await asyncio.wait_for(part.ready.wait(), 20)
    assert any("part" in line and "working" in line for line in lines.seen)
    await part.stop()
    await asyncio.wait_for(running, 5)
    assert not any("ended" in line for line in lines.seen)


async def test_a_killed_process_starts_again() -> None:
    lines = Lines()
    part = child(lines, WAIT + "import os; print('pid', os.getpid(), flush=True); " + READY + FOREVER)
    running = asyncio.create_task(part.run())
    await asyncio.wait_for(part.ready.wait(), 20)
    pid = int((await lines.wait_for("pid")).split()[-1])
    os.kill(pid, signal.SIGKILL)
    await lines.wait_for("was ended by SIGKILL; starts again in 0.5 s")
    await lines.wait_for("pid", times=2)
    await part.stop()
    await asyncio.wait_for(running, 5)


async def test_wrong_settings_end_the_start_with_the_last_line() -> None:
    part = child(
        Lines(),
        "import sys; print('starting'); print('REDIS_URL is wrong.'); sys.exit(2)",
    )
    with pytest.raises(CannotStart, match=r"part ended with code 2: REDIS_URL is wrong\."):
        await asyncio.wait_for(part.run(), 20)


async def test_a_process_that_does_not_stop_is_ended_with_what_it_started() -> None:
    lines = Lines()
    code = (
        "import signal, subprocess, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "stubborn = 'import signal; signal.signal(15, signal.SIG_IGN); signal.pause()'; "
        "p = subprocess.Popen([sys.executable, '-c', stubborn]); "
        "print('grandchild', p.pid, flush=True); " + READY + FOREVER
    )
    part = child(lines, code, stop_s=0.5)
    running = asyncio.create_task(part.run())
    await asyncio.wait_for(part.ready.wait(), 20)
    grandchild = int((await lines.wait_for("grandchild")).split()[-1])
    await part.stop()
    await asyncio.wait_for(running, 5)
    await lines.wait_for("did not stop within 0.5 s")
    async with asyncio.timeout(5):
        while alive(grandchild):
            await asyncio.sleep(0.01)


async def test_no_colours_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    Output().line("web", "hello")
    assert capsys.readouterr().out == "web           │ hello\n"
