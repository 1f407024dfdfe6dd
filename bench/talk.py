"""A helper process that does what it is told, one JSON line for each command and one for its answer."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import tempfile
from types import TracebackType
from typing import Any, Self

from bench.stack import ROOT, Private, StackFailed


class Helper:
    """``python -m <module>`` beside a stack, with the stack's environment.

    Args:
        stack: Whose server it talks to.
        module: What it runs.
        settings: Further environment.
    """

    def __init__(self, stack: Private, module: str, **settings: str) -> None:
        self._module = module
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", module], cwd=ROOT, env={**stack.client_environ, **settings},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.kill()
        self._process.wait(10)
        self._process.stdin.close()
        self._process.stdout.close()
        self._errors.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ask(self, command: str, patience_s: float = 600.0, **arguments: Any) -> Any:
        """Have a command done.

        Raises:
            StackFailed: It ended, refused, or took too long.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": command, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise StackFailed(f"{self._module} {command}: {self._said()}") from None
        ready, _, _ = select.select([self._process.stdout], [], [], patience_s)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            raise StackFailed(f"{self._module} {command}: {self._said() if ready else 'it took too long'}")
        answer = json.loads(line)
        if "error" in answer:
            raise StackFailed(f"{self._module} {command}: {answer['error']}")
        return answer["answer"]

    def _said(self) -> str:
        self._errors.seek(0)
        return " | ".join(self._errors.read().strip().splitlines()[-3:]) or "it ended without a word"
