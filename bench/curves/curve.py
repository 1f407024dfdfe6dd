"""A curve: what was measured at each size, and whether it is as it should be. Nothing here runs anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

WITHIN = 0.15


class Shape(StrEnum):
    """What a figure should do while the size grows."""

    NOT_LESS = "does not fall"
    NOT_MORE = "does not rise"
    IN_PROPORTION = "grows in proportion"


@dataclass(frozen=True)
class Figure:
    """One figure of each point.

    Attributes:
        name: Its name in ``Point.values``.
        words: For people, with its unit.
        shape: What it should do; None when it is only shown.
    """

    name: str
    words: str
    shape: Shape | None = None


@dataclass(frozen=True)
class Point:
    """What was measured at one size."""

    size: int
    values: dict[str, float]


@dataclass(frozen=True)
class Verdict:
    """Whether one figure is as it should be.

    Attributes:
        words: Both the rule and the outcome.
        holds: Whether no point misses the smallest size's value by more than ``WITHIN``.
        worst: The worst point's value as a share of what the smallest size promises.
        at: Where that is.
    """

    words: str
    holds: bool
    worst: float
    at: int


@dataclass
class Curve:
    """One thing that grows, and what it does to speed.

    Attributes:
        name: As an argument of ``--only``.
        title: For people.
        axis: What the size counts.
        figures: What each point holds, those that matter most first.
        points: By growing size.
        note: How it was measured.
    """

    name: str
    title: str
    axis: str
    figures: tuple[Figure, ...]
    points: list[Point] = field(default_factory=list)
    note: str = ""

    @property
    def verdicts(self) -> list[Verdict]:
        """One for each figure that should have a shape; none before there are two points to compare."""
        found = (_judge(self, figure) for figure in self.figures if figure.shape is not None)
        return [verdict for verdict in found if verdict is not None]

    def to_dict(self) -> dict[str, Any]:
        """For the JSON file and the console."""
        return {
            "name": self.name,
            "title": self.title,
            "axis": self.axis,
            "note": self.note,
            "figures": [{"name": one.name, "words": one.words} for one in self.figures],
            "points": [{"size": point.size, **point.values} for point in self.points],
            "verdicts": [vars(verdict) for verdict in self.verdicts],
        }


def _judge(curve: Curve, figure: Figure) -> Verdict | None:
    points = [point for point in curve.points if figure.name in point.values]
    if len(points) < 2 or not points[0].values[figure.name]:
        return None
    first, shape = points[0], figure.shape
    assert shape is not None
    shares = []
    for point in points[1:]:
        promised = first.values[figure.name]
        if shape is Shape.IN_PROPORTION:
            promised *= point.size / first.size
        shares.append((point.values[figure.name] / promised, point.size))
    worst, at = max(shares) if shape is Shape.NOT_MORE else min(shares)
    holds = worst <= 1 + WITHIN if shape is Shape.NOT_MORE else worst >= 1 - WITHIN
    outcome = "holds" if holds else "does not hold"
    words = f"{figure.words}: {shape} by more than {WITHIN:.0%}: {outcome}; {worst:.2f} × at {at:,}"
    if shape is Shape.IN_PROPORTION:
        words = f"{figure.words}: {shape} within {WITHIN:.0%}: {outcome}; {worst:.2f} of that at {at:,}"
    return Verdict(words, holds, round(worst, 3), at)
