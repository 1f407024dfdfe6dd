"""A web process of its own, with an empty history and an administrator's token."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from config.up.child import end_with_parent
from tests.stack import ROOT, environment


class WebProcess:
    """``python -m config.web`` on a loopback port.

    Args:
        folder: Its home.
        variables: Further environment, as ``REDIS_URL``.
    """

    def __init__(self, folder: Path, **variables: str) -> None:
        self.home = folder
        self.log_path = folder / "web.log"
        self.environ = environment(folder, PYTHONPATH=str(ROOT), **variables)
        self.process: subprocess.Popen[bytes] | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def log(self) -> str:
        """What it has printed."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def manage(self, *arguments: str) -> str:
        """Run a management command beside it; returns what it prints."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, *, pages: bool = False) -> WebProcess:
        """Migrate, start, and return when it takes requests; ``pages`` collects their files first."""
        self.manage("migrate", "-v0")
        if pages:
            self.manage("collectstatic", "-v0", "--no-input")
        reading, writing = os.pipe()
        descriptor = self._listener.fileno()
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "config.web", "--fd", str(descriptor)], cwd=ROOT, stdout=log, stderr=log,
                env={**self.environ, "GANGLION_READY_FD": str(writing)}, pass_fds=(descriptor, writing),
                preexec_fn=end_with_parent,
            )  # fmt: skip
        os.close(writing)
        with open(reading, "rb") as pipe:
            assert pipe.read(1) == b"1", self.log[-2000:]
        return self

    def token(self) -> str:
        """The administrator's token."""
        self.manage("ensure_admin")
        return (self.home / "cli-token").read_text().strip()

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        self._listener.close()
