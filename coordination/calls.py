"""What run() may await: each call is a step, or a group of them.

A call carries no state of its own; its identity is given when it is awaited, by branch path and
order, so that a replay gives the same call the same id. Its words are made storable at once, so
that whatever run() asks for can be written.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import msgspec

from coordination import journal
from coordination.domain import storable
from coordination.errors import ProgramError

_LONGEST_S = 1_000 * 366 * 86_400


class Call:
    """An awaitable of ours. ``id`` is its branch path and order, as "2" or "3.0.1"."""

    __slots__ = ("id",)
    id: str

    def __await__(self) -> Generator[Call, Any, Any]:
        return (yield self)

    def matches(self, entry: journal.AnyEntry) -> bool:
        """Whether this journal entry is what the call wrote, or would write."""
        raise NotImplementedError

    def decode(self, raw: bytes | None) -> Any:
        """The value that the call gives to run()."""
        return None if raw is None else decoder(Any)(raw)


@functools.lru_cache(maxsize=1024)
def decoder(kind: Any) -> Callable[[bytes], Any]:
    """A JSON decoder for one type, made once."""
    return msgspec.json.Decoder(kind).decode


def seconds(value: float) -> float:
    """A time that can be waited for.

    Raises:
        ProgramError: It is not a number, infinite, or longer than a thousand years.
    """
    if not abs(value) <= _LONGEST_S:
        raise ProgramError(f"{value!r} is no number of seconds that can be waited for.")
    return value


class TaskCall(Call):
    """One task for the agent pool."""

    __slots__ = (
        "agent", "digest", "max_retries", "payload", "priority", "queue_timeout_s", "requires", "returns", "strategy",
        "task_type", "timeout_s", "undoes",
    )  # fmt: skip

    def __init__(
        self,
        task_type: str,
        payload: bytes,
        *,
        timeout_s: float,
        max_retries: int,
        requires: dict[str, str] | None,
        priority: str,
        strategy: str | None,
        queue_timeout_s: float | None,
        returns: Any,
        agent: str = "",
    ) -> None:
        self.task_type = storable(task_type)
        self.agent = storable(agent)
        self.payload = payload
        self.digest = journal.digest(payload)
        self.timeout_s = seconds(timeout_s)
        self.max_retries = max_retries
        self.requires = requires and {storable(name): storable(str(value)) for name, value in requires.items()}
        self.priority = priority
        self.strategy = strategy
        self.queue_timeout_s = None if queue_timeout_s is None else seconds(queue_timeout_s)
        self.returns = returns
        self.undoes = False  # whether it is a compensation

    def matches(self, entry: journal.AnyEntry) -> bool:
        return isinstance(entry, journal.Attempt) and (entry.task_type, entry.digest) == (self.task_type, self.digest)

    def decode(self, raw: bytes | None) -> Any:
        return None if raw is None else decoder(self.returns)(raw)


class SleepCall(Call):
    """A timer."""

    __slots__ = ("seconds",)

    def __init__(self, delay_s: float) -> None:
        self.seconds = seconds(delay_s)

    def matches(self, entry: journal.AnyEntry) -> bool:
        return isinstance(entry, journal.TimerSet)


class SignalCall(Call):
    """Waits for a signal, perhaps with a time limit."""

    __slots__ = ("name", "returns", "timeout_s")

    def __init__(self, name: str, timeout_s: float | None, returns: Any) -> None:
        self.name = storable(name)
        self.timeout_s = None if timeout_s is None else seconds(timeout_s)
        self.returns = returns

    def matches(self, entry: journal.AnyEntry) -> bool:
        return isinstance(entry, journal.SignalAwaited) and entry.name == self.name

    def decode(self, raw: bytes | None) -> Any:
        return None if raw is None else decoder(self.returns)(raw)


class HumanCall(Call):
    """A question to people."""

    __slots__ = ("context", "label", "question", "returns", "schema")

    def __init__(
        self, question: str, returns: Any, schema: dict[str, Any] | None, context: bytes | None, label: str
    ) -> None:
        self.question = storable(question)
        self.returns = returns
        self.schema = schema
        self.context = context
        self.label = storable(label)

    def matches(self, entry: journal.AnyEntry) -> bool:
        return isinstance(entry, journal.Escalated) and entry.reason == "human_input_requested"

    def decode(self, raw: bytes | None) -> Any:
        return None if raw is None else decoder(self.returns)(raw)


class RecordCall(Call):
    """Runs a function here and keeps its value."""

    __slots__ = ("fn", "name")

    def __init__(self, name: str, fn: Callable[[], Any]) -> None:
        self.name = storable(name)
        self.fn = fn

    def matches(self, entry: journal.AnyEntry) -> bool:
        return isinstance(entry, journal.Recorded) and entry.name == self.name


class ChildCall(Call):
    """Starts a child workflow, and perhaps waits for its end."""

    __slots__ = ("child_type", "digest", "payload", "returns", "wait")

    def __init__(self, child_type: str, payload: bytes, wait: bool, returns: Any) -> None:
        self.child_type = storable(child_type)
        self.payload = payload
        self.digest = journal.digest(payload)
        self.wait = wait
        self.returns = returns

    def matches(self, entry: journal.AnyEntry) -> bool:
        return isinstance(entry, journal.ChildStarted) and (entry.child_type, entry.digest) == (
            self.child_type,
            self.digest,
        )

    def decode(self, raw: bytes | None) -> Any:
        return None if raw is None else decoder(self.returns)(raw)


class ProgressCall(Call):
    """Tells people how far the workflow is."""

    __slots__ = ("note",)

    def __init__(self, note: str) -> None:
        self.note = storable(note)[:200]

    def matches(self, entry: journal.AnyEntry) -> bool:
        return isinstance(entry, journal.Progressed)


class GatherCall(Call):
    """Runs its members side by side."""

    __slots__ = ("members",)

    def __init__(self, members: tuple[Awaitable[Any], ...]) -> None:
        self.members = members
