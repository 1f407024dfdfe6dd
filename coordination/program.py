"""Drives run() without an event loop, so that a replay takes the very same path.

The program is a tree of branches: the root, and one for each member of a gather. A branch runs
until it awaits a call; the call's answer makes it run on. Nothing here knows of Redis, time or
the journal's storage.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import inspect
import traceback
from collections import deque
from collections.abc import Awaitable, Coroutine
from typing import Any

from coordination.calls import Call, GatherCall
from coordination.errors import ForbiddenAwait

_NOT_OURS = (
    "run() awaited something that is not Ganglion's ({what}). Use self.sleep() instead of asyncio.sleep(), "
    "self.gather() instead of asyncio.gather() and create_task(), self.wait_for_signal(timeout_s=…) instead of "
    "asyncio.wait_for(), and put I/O into an agent or self.record()."
)


class _Branch:
    __slots__ = ("coroutine", "count", "index", "parent", "prefix")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], prefix: str, parent: _Gathering | None, index: int) -> None:
        self.coroutine = coroutine
        self.prefix = prefix
        self.parent = parent
        self.index = index
        self.count = 0


class _Gathering:
    __slots__ = ("branch", "error", "left", "values")

    def __init__(self, branch: _Branch, size: int) -> None:
        self.branch = branch
        self.values: list[Any] = [None] * size
        self.left = size
        self.error: BaseException | None = None


async def _await(member: Awaitable[Any]) -> Any:
    return await member


class Program:
    """One execution of a coroutine, in deterministic steps.

    Attributes:
        waiting: Calls without an answer, by id.
        issued: Calls made since the list was last emptied, in order.
        done: Whether the root has ended; then ``value`` or ``error`` is set.
    """

    __slots__ = ("_ready", "_waiting", "done", "error", "issued", "value", "waiting")

    def __init__(self, main: Coroutine[Any, Any, Any]) -> None:
        self.waiting: dict[str, Call] = {}
        self._waiting: dict[str, _Branch] = {}
        self.issued: list[Call] = []
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None
        self._ready: deque[tuple[_Branch, Any, BaseException | None]] = deque()
        self._ready.append((_Branch(main, "", None, 0), None, None))

    def answer(self, call_id: str, value: Any = None, error: BaseException | None = None) -> bool:
        """Give a call its answer; the program runs on at the next ``run_on``. False: not waiting."""
        if self.waiting.pop(call_id, None) is None:
            return False
        self._ready.append((self._waiting.pop(call_id), value, error))
        return True

    def run_on(self) -> None:
        """Run every branch that has an answer until all of them wait or the root has ended."""
        if not self._ready:
            return
        loop = asyncio._get_running_loop()
        asyncio._set_running_loop(None)  # so that asyncio's own primitives refuse at once
        try:
            while self._ready:
                self._advance(*self._ready.popleft())
        finally:
            asyncio._set_running_loop(loop)

    def close(self) -> None:
        """Give up the program; its coroutines see GeneratorExit, the innermost first."""
        for branch in [*self._waiting.values(), *(branch for branch, _, _ in self._ready)]:
            _close(branch)
        self._ready.clear()

    def end(self, error: BaseException) -> None:
        """End the root from outside."""
        self.close()
        self.waiting.clear()
        self._waiting.clear()
        self.done, self.error = True, error

    def _advance(self, branch: _Branch, value: Any, error: BaseException | None) -> None:
        try:
            awaited = branch.coroutine.throw(error) if error is not None else branch.coroutine.send(value)
        except StopIteration as stop:
            self._ended(branch, stop.value, None)
        except (RuntimeError, AttributeError) as failure:
            culprit = _raised_in(failure)
            self._ended(branch, None, ForbiddenAwait(_NOT_OURS.format(what=culprit)) if culprit else failure)
        except KeyboardInterrupt:
            raise
        except BaseException as failure:  # also SystemExit and CancelledError, which are the workflow's, not the host's
            self._ended(branch, None, failure)
        else:
            self._awaited(branch, awaited)

    def _awaited(self, branch: _Branch, awaited: object) -> None:
        if not isinstance(awaited, Call):
            self._ready.append((branch, None, ForbiddenAwait(_NOT_OURS.format(what=_awaited_in(branch, awaited)))))
            return
        branch.count += 1
        if hasattr(awaited, "id"):  # the same object, awaited again, is another step
            awaited = copy.copy(awaited)
        awaited.id = f"{branch.prefix}{branch.count}"
        if isinstance(awaited, GatherCall):
            self._gather(branch, awaited)
            return
        self.waiting[awaited.id] = awaited
        self._waiting[awaited.id] = branch
        self.issued.append(awaited)

    def _gather(self, branch: _Branch, call: GatherCall) -> None:
        if not call.members:
            self._ready.append((branch, (), None))
            return
        gathering = _Gathering(branch, len(call.members))
        for index, member in enumerate(call.members):
            coroutine = member if inspect.iscoroutine(member) else _await(member)
            self._ready.append((_Branch(coroutine, f"{call.id}.{index}.", gathering, index), None, None))

    def _ended(self, branch: _Branch, value: Any, error: BaseException | None) -> None:
        gathering = branch.parent
        if gathering is None:
            self.done, self.value, self.error = True, value, error
            return
        gathering.values[branch.index] = value
        gathering.error = gathering.error or error
        gathering.left -= 1
        if gathering.left == 0:
            self._ready.append((gathering.branch, tuple(gathering.values), gathering.error))


def _close(branch: _Branch) -> None:
    gathering = branch.parent
    with contextlib.suppress(Exception):  # run() may await while it is closed, or is under way in another branch
        branch.coroutine.close()
    if gathering is not None:
        _close(gathering.branch)


def _raised_in(failure: Exception) -> str:
    """The function of asyncio that failed for want of a loop, "" when something else happened."""
    frames = [
        frame for frame, _ in traceback.walk_tb(failure.__traceback__)
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] == "asyncio"
    ]  # fmt: skip
    if "no running event loop" in str(failure):
        return f"asyncio.{frames[0].f_code.co_qualname}" if frames else "something that needs asyncio's event loop"
    return f"asyncio.{frames[0].f_code.co_qualname}" if frames and isinstance(failure, AttributeError) else ""


def _awaited_in(branch: _Branch, awaited: object) -> str:
    """The innermost thing that run() awaits, by name."""
    inner: Any = branch.coroutine
    name = type(awaited).__name__
    while inner is not None:
        frame = getattr(inner, "cr_frame", None)
        if frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == "asyncio":
            return f"asyncio.{inner.__qualname__}"
        inner = getattr(inner, "cr_await", None)
    return "a bare yield" if awaited is None else f"asyncio.{name.lstrip('_')}" if asyncio.isfuture(awaited) else name
