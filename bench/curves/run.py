"""Which curves there are, how large each gets, and how they are measured one after another."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from bench.cells import Timing
from bench.curves import backlog, history, journal, processes, waiting
from bench.curves.curve import Curve
from bench.options import CURVES, Options

Tell = Callable[[str, int], None]

ALL_SIZES = {
    "backlog": backlog.SIZES,
    "in_flight": waiting.SIZES,
    "history": history.SIZES,
    "journal": journal.SIZES,
    "hosts": processes.SIZES,
    "agents": processes.SIZES,
}
# the largest of these take minutes each
LARGEST = {"backlog": 100_000, "in_flight": 20_000, "history": 100_000, "journal": 1_000}
BRIEFLY = {"backlog": 10_000, "in_flight": 1_000, "history": 10_000, "journal": 100}


def sizes(name: str, options: Options) -> tuple[int, ...]:
    """The sizes of a curve: all of them only with ``--full``."""
    bound = {} if options.full else BRIEFLY if options.quick else LARGEST
    return tuple(size for size in ALL_SIZES[name] if size <= bound.get(name, size))


def names(options: Options) -> list[str]:
    """The curves that were asked for."""
    return [name for name in CURVES if name in options.parts]


def steps(options: Options) -> int:
    """How many points there are to measure."""
    return sum(len(sizes(name, options)) for name in names(options))


def measure(name: str, options: Options, tell: Tell) -> Curve:
    """One curve.

    Raises:
        StackFailed: Something did not start, or did nothing.
    """
    at, timing = sizes(name, options), options.timing
    if not options.full:
        timing = dataclasses.replace(timing, repeats=min(timing.repeats, 1 if name == "history" else 2))
    return _METHODS[name](at, timing, tell)


def _journal(at: tuple[int, ...], timing: Timing, tell: Tell) -> Curve:
    return journal.measure(at, tell)


_METHODS: dict[str, Callable[[tuple[int, ...], Timing, Tell], Curve]] = {
    "backlog": backlog.measure,
    "in_flight": waiting.measure,
    "history": history.measure,
    "journal": _journal,
    "hosts": processes.hosts,
    "agents": processes.agents,
}
