"""The journal: what happened to one workflow, in order, as its checkpoint.

An entry is one stream entry of ``coordinator_result:{s}:<id>``, whose id is ``<seq>-0``. Field
``e`` holds the entry, MessagePack; field ``t`` the server's time in ms. Entries of the upper group
are written by the coordinator under its epoch, those of the lower group come from outside and
carry no epoch, because accepted input must survive a takeover.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from coordination.domain import ErrorInfo


class Entry(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """Anything that a journal can hold."""


# --- written by the coordinator -----------------------------------------------------


class Attempt(Entry, frozen=True, tag="a"):
    """A task was added to its queue."""

    step: str
    generation: int
    number: int  # counts on over all rounds of retries
    round: int  # 0, and one more for each operator's retry
    task_type: str
    digest: bytes  # of the payload that run() asked for
    payload: bytes | None = None  # JSON; only when it differs from the attempt before
    priority: str = "normal"
    target: str = ""  # an agent instance, when addressed
    requires: dict[str, str] | None = None  # capabilities that the agent must have
    undoes: bool = False  # a compensation


class TimerSet(Entry, frozen=True, tag="t"):
    """A timer, or a signal's time limit, was armed."""

    step: str
    due_ms: int
    label: str = ""


class TimerFired(Entry, frozen=True, tag="f"):
    """An armed timer's time came."""

    step: str


class SignalAwaited(Entry, frozen=True, tag="w"):
    """run() began to wait for a signal."""

    step: str
    name: str
    due_ms: int = 0


class Recorded(Entry, frozen=True, tag="v"):
    """A value was recorded."""

    step: str
    name: str
    value: bytes  # JSON
    error: ErrorInfo | None = None


class ChildStarted(Entry, frozen=True, tag="c"):
    """A child workflow was submitted."""

    step: str
    child_id: str
    child_type: str
    digest: bytes
    payload: bytes | None = None
    error: ErrorInfo | None = None  # why it could not be submitted


class Escalated(Entry, frozen=True, tag="x"):
    """A step was handed to people."""

    step: str
    escalation_id: str
    reason: str
    label: str = ""
    payload: bytes | None = None


class TimedOut(Entry, frozen=True, tag="o"):
    """A claimed attempt ran out of time, and the step was unsettled."""

    step: str
    generation: int
    number: int
    agent: str
    claimed_ms: int


class Progressed(Entry, frozen=True, tag="p"):
    """run() told how far it is."""

    step: str
    note: str


class Finished(Entry, frozen=True, tag="z"):
    """The workflow ended; nothing follows."""

    state: str
    error: ErrorInfo | None = None


# --- accepted from outside ------------------------------------------------------------


class Settled(Entry, frozen=True, tag="s"):
    """The first valid result of a step."""

    step: str
    generation: int
    number: int
    agent: str
    claimed_ms: int
    value: bytes  # JSON


class Erred(Entry, frozen=True, tag="e"):
    """An attempt failed."""

    step: str
    generation: int
    number: int
    agent: str
    claimed_ms: int
    error: ErrorInfo
    retry_after_s: float | None = None


class Signalled(Entry, frozen=True, tag="g"):
    """A signal was accepted."""

    name: str
    signal_id: str
    value: bytes  # JSON


class Decided(Entry, frozen=True, tag="d"):
    """An escalation was decided."""

    step: str
    escalation_id: str
    action: str
    actor: str
    decision_id: str
    value: bytes | None = None  # JSON


class ChildEnded(Entry, frozen=True, tag="n"):
    """A child workflow reached its end."""

    step: str
    child_id: str
    state: str
    value: bytes | None = None
    error: ErrorInfo | None = None


class CancelRequested(Entry, frozen=True, tag="k"):
    """Somebody asked for the workflow to be cancelled."""

    actor: str
    reason: str


class RetryNow(Entry, frozen=True, tag="r"):
    """An operator ended a step's backoff early."""

    step: str
    actor: str


class Paused(Entry, frozen=True, tag="i"):
    """Somebody holds the workflow: run() stands still until it is resumed."""

    actor: str
    reason: str = ""


class Resumed(Entry, frozen=True, tag="j"):
    """A paused workflow goes on."""

    actor: str


class Restarted(Entry, frozen=True, tag="b"):
    """A step begins anew, and all that was asked for after it: what is written of them before this counts no more."""

    step: str
    generation: int
    first: int  # number of the first entry that does not count
    actor: str
    reason: str = ""
    request_id: str = ""
    closing: list[str] = []  # open escalations of the steps that begin anew
    orphans: list[str] = []  # their children


class Terminated(Entry, frozen=True, tag="y"):
    """Somebody ended the workflow at once, without its compensations."""

    actor: str
    reason: str


class TakenUp(Entry, frozen=True, tag="h"):
    """Another host took the workflow up (not written for the first)."""

    epoch: int
    host: str
    previous: str
    cause: str  # takeover | resume | hand_over


AnyEntry = (
    Attempt | TimerSet | TimerFired | SignalAwaited | Recorded | ChildStarted | Escalated | TimedOut | Progressed
    | Finished | Settled | Erred | Signalled | Decided | ChildEnded | CancelRequested | RetryNow | TakenUp
    | Paused | Resumed | Restarted | Terminated
)  # fmt: skip


class Numbered(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An entry with its place in the journal."""

    seq: int
    at_ms: int
    entry: AnyEntry


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(AnyEntry).decode
encode_archive = msgspec.msgpack.Encoder().encode
decode_archive = msgspec.msgpack.Decoder(list[Numbered]).decode


def digest(payload: bytes) -> bytes:
    """Eight bytes that identify a payload, for telling a changed program from the same one."""
    return hashlib.blake2b(payload, digest_size=8).digest()


def parse(raw: list[tuple[bytes, list[bytes]]]) -> list[Numbered]:
    """Decode entries as XRANGE returns them: ``[(b"7-0", [b"e", ..., b"t", ...]), ...]``, always in this order."""
    return [Numbered(int(number[:-2]), int(at_ms), decode(entry)) for number, (_, entry, _, at_ms) in raw]


def about_program(entries: Iterable[Numbered]) -> list[Escalated | Decided]:
    """Questions to people about run() itself, and their answers, in order; without those that a restart withdrew."""
    about: list[Escalated | Decided] = []
    for item in entries:
        entry = item.entry
        if isinstance(entry, Restarted):
            about = [one for one in about if isinstance(one, Decided) or one.escalation_id not in entry.closing]
        elif isinstance(entry, Escalated | Decided) and not entry.step:
            about.append(entry)
    return about


CLOCK_SET_MS = 5_000  # a clock that leaps by so much was set
_FIRST = (Attempt, TimerSet, SignalAwaited, Recorded, ChildStarted, Escalated, Progressed)  # entries that begin a step


class Account:
    """Which entries count: a restart makes those of its step, and of steps asked for later, count no more.

    Attributes:
        began: Steps that count, with the number of the entry that began each, in that order.
        gone: Numbers of the entries that count no more.
        generation: 0, and one more for each restart.
    """

    __slots__ = ("_of", "began", "generation", "gone")

    def __init__(self, entries: Iterable[Numbered]) -> None:
        self.began: dict[str, int] = {}
        self.gone: set[int] = set()
        self.generation = 0
        self._of: dict[str, list[int]] = {}
        for item in entries:
            self._add(item.seq, item.entry)

    def _add(self, seq: int, entry: AnyEntry) -> None:
        if isinstance(entry, Restarted):
            self.generation = entry.generation
            for step in self.since(entry.first):
                del self.began[step]
                self.gone.update(self._of.pop(step))
        elif step := getattr(entry, "step", ""):
            if step not in self.began and isinstance(entry, _FIRST):
                self.began[step] = seq
            if step in self.began:
                self._of.setdefault(step, []).append(seq)

    def since(self, first: int) -> list[str]:
        """The steps that began with this entry or later."""
        return [step for step, seq in self.began.items() if seq >= first]


def gone(entries: Iterable[Numbered]) -> set[int]:
    """Numbers of the entries that count no more, because their step began anew."""
    items = list(entries)
    return Account(items).gone if any(type(item.entry) is Restarted for item in items) else set()


def set_back(entries: Iterable[Numbered]) -> dict[int, int]:
    """Timers since which the server's clock was set back: their entries' numbers, with how far, ms below 0."""
    found: dict[int, int] = {}
    timers: list[Numbered] = []
    before = 0
    for item in entries:
        if item.at_ms < before - CLOCK_SET_MS:
            ahead = [timer for timer in timers if timer.at_ms > item.at_ms]  # set by the clock that was set back
            found |= {timer.seq: item.at_ms - before for timer in ahead if timer.seq not in found}
        if isinstance(item.entry, TimerSet | SignalAwaited):
            timers.append(item)
        before = item.at_ms
    return found


def counting(entries: Iterable[Numbered]) -> list[Numbered]:
    """The entries that count, in order."""
    items = list(entries)
    left_out = gone(items)
    return [item for item in items if item.seq not in left_out] if left_out else items


def terminated(entries: Iterable[Numbered]) -> Terminated | None:
    """The wish to end the workflow at once, when there is one."""
    return next((item.entry for item in entries if isinstance(item.entry, Terminated)), None)


def open_escalations(entries: Iterable[Numbered]) -> dict[str, str]:
    """Escalations that were not decided: their ids, with their steps."""
    found: dict[str, str] = {}
    for item in entries:
        if isinstance(item.entry, Escalated):
            found[item.entry.escalation_id] = item.entry.step
        elif isinstance(item.entry, Decided):
            found.pop(item.entry.escalation_id, None)
        elif isinstance(item.entry, Restarted):
            for identity in item.entry.closing:
                found.pop(identity, None)
    return found


def open_children(entries: Iterable[Numbered]) -> list[str]:
    """Children that were started, and whose end is not told yet."""
    found: dict[str, None] = {}
    for item in entries:
        if isinstance(item.entry, ChildStarted) and item.entry.error is None:
            found[item.entry.child_id] = None
        elif isinstance(item.entry, ChildEnded):
            found.pop(item.entry.child_id, None)
    return list(found)


def restart_decided(entries: Iterable[Numbered]) -> Decided | None:
    """A decision about run() itself to restart from a step that was not carried out yet."""
    decided: Decided | None = None
    for item in entries:
        entry = item.entry
        if isinstance(entry, Escalated | Decided) and not entry.step:
            decided = entry if isinstance(entry, Decided) and entry.action == "restart" else None
        elif decided is not None and isinstance(entry, Restarted) and entry.request_id == decided.decision_id:
            decided = None
    return decided


def cancelled_since_asked(entries: Iterable[Numbered]) -> CancelRequested | None:
    """The wish to cancel that came while people were asked about run() itself."""
    asked, cancelled = False, None
    for item in entries:
        entry = item.entry
        if isinstance(entry, Escalated | Decided) and not entry.step:
            asked, cancelled = isinstance(entry, Escalated), None
        elif isinstance(entry, CancelRequested) and asked:
            cancelled = entry
    return cancelled
