"""A coordinator host as a process of its own: ``python -m tests.core_host NAME``; without Django."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from coordination.config import Config

ROOT = Path(__file__).resolve().parent.parent


class HostProcess:
    """A running host."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self._log.read_text()

    @property
    def code(self) -> int | None:
        """Its exit code once it has ended."""
        return self._process.returncode

    def send(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    async def ended(self, within_s: float = 15.0) -> int:
        """Wait for its end and give its exit code."""
        return await asyncio.wait_for(self._process.wait(), within_s)

    async def kill(self) -> None:
        """End it by SIGKILL."""
        self.send(signal.SIGKILL)
        await self.ended()


@contextlib.asynccontextmanager
async def host_process(config: Config, name: str, *, wait: bool = True, **environ: str) -> AsyncIterator[HostProcess]:
    """Start a host, give it when it is ready, and end it."""
    reading, writing = os.pipe()
    log = config.home / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.core_host", name, cwd=ROOT, pass_fds=(writing,), stdout=file, stderr=file,
            env={**os.environ, "GANGLION_APPS": "tests.core_app", "GANGLION_READY_FD": str(writing),
                 "REDIS_URL": config.redis_url, "GANGLION_PREFIX": config.prefix,
                 "GANGLION_HOME": str(config.home), **environ},
        )  # fmt: skip
    os.close(writing)
    running = HostProcess(name, process, log)
    try:
        if wait:
            said = await asyncio.wait_for(asyncio.to_thread(os.read, reading, 1), 30)
            assert said, running.log
        yield running
    finally:
        os.close(reading)
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGTERM)
                try:
                    await asyncio.wait_for(process.wait(), 15)
                except TimeoutError:
                    process.kill()
                    await process.wait()


def main() -> int:
    """Run a host until SIGTERM."""
    from coordination import catalog, logs
    from coordination.errors import SettingsError
    from coordination.running import serve

    logs.configure()
    try:
        catalog.discover()
        serve(sys.argv[1])
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
