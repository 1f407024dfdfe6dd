"""The task as its handler sees it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from typing import Any

from coordination.domain import storable

_NOTE_CHARS = 200


class _Told:
    """What ``progress()`` returns: awaiting it gives other tasks a turn, and not awaiting is fine too."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, None]:
        return asyncio.sleep(0).__await__()


_TOLD = _Told()


class Task:
    """One attempt at a task: who asks, which attempt it is, and the key for effects that must happen once.

    Attributes:
        workflow_id: The workflow that asks.
        step: The step's id within the workflow.
        number: The attempt; 1 is the first.
        type: The task type.
        idempotency_key: The same for all attempts at the step; hand it to every outside system that takes one.
        timeout_s: The attempt's time limit, which starts again with each progress report.
        cancelled: Whether the attempt is no longer wanted; a plain function that runs long looks at it.
    """

    __slots__ = (
        "_tell", "began_at", "cancelled", "context", "idempotency_key", "moved_at", "note", "number", "share", "step",
        "timeout_s", "told", "type", "workflow_id",
    )  # fmt: skip

    def __init__(
        self,
        workflow_id: str,
        step: str,
        number: int,
        type: str,  # noqa: A002 - the word of the programming model
        idempotency_key: str,
        *,
        timeout_s: float = 30.0,
        context: dict[str, Any] | None = None,
        tell: Callable[[float | None, str], None] | None = None,
    ) -> None:
        self.workflow_id = workflow_id
        self.step = step
        self.number = number
        self.type = type
        self.idempotency_key = idempotency_key
        self.timeout_s = timeout_s
        self.context = context or {}
        self.cancelled = False
        self.share: float | None = None
        self.note = ""
        self.told = False  # whether there is progress that has not been sent
        self.began_at = self.moved_at = time.monotonic()
        self._tell = tell

    def progress(self, share: float | None = None, note: str = "") -> _Told:
        """Tell how far the work is, and start the time limit again. Costs nothing; sent with the next beat.

        Usable in every kind of handler: ``await task.progress(0.4, "page 3")`` in ``async def``,
        without ``await`` in a plain function.

        Args:
            share: 0 to 1, or None when unknown.
            note: A few words; at most 200 characters are kept.
        """
        self.share = None if share is None else min(1.0, max(0.0, float(share)))
        self.note = storable(note)[:_NOTE_CHARS]
        self.moved_at = time.monotonic()
        self.told = True
        if self._tell is not None:
            self._tell(self.share, self.note)
        return _TOLD

    def __repr__(self) -> str:
        return f"Task({self.type} {self.workflow_id}:{self.step}, attempt {self.number})"
