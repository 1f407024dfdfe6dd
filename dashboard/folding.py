"""Makes many steps readable: wide gathers and long runs of finished steps become one line, unless opened.

What needs a look (running, retrying, failed, with people) is never folded away: it stands beside the fold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from coordination.domain import StepState, StepView

BRANCHES = 12  # a gather with more branches is folded
RUN = 24  # a run of more finished steps is folded
BESIDE = 8  # steps that need a look, shown beside their fold
ALL = "all"  # opens everything

_LOOK = (StepState.ESCALATED, StepState.FAILED, StepState.BACKOFF, StepState.RUNNING)
_QUIET = frozenset({StepState.SUCCEEDED, StepState.SKIPPED})

Path = tuple[int, ...]


@dataclass(frozen=True)
class Fold:
    """Steps in one line.

    Attributes:
        id: Opens it: ``"3"`` for the gather that is call 3, ``"4~60"`` for a run of steps.
        steps: All of them, in order.
        branches: Of a gather; 0 for a run.
    """

    id: str
    steps: tuple[StepView, ...]
    branches: int = 0

    @property
    def counts(self) -> list[tuple[StepState, int]]:
        """How many steps are in each state, those that need a look first."""
        found = Counter(step.state for step in self.steps)
        order = [*_LOOK, *(state for state in StepState if state not in _LOOK)]
        return [(state, found[state]) for state in order if found[state]]

    @property
    def state(self) -> StepState:
        """The state that matters most."""
        return self.counts[0][0]

    @property
    def name(self) -> str:
        """What it stands for, in words."""
        names = Counter(step.name for step in self.steps)
        what = next(iter(names)) if len(names) == 1 else _("%(count)s kinds") % {"count": len(names)}
        if self.branches:
            return _("%(count)s in parallel: %(what)s") % {"count": self.branches, "what": what}
        return _("%(count)s steps: %(what)s") % {"count": len(self.steps), "what": what}

    @property
    def begin_ms(self) -> int:
        """When the first of them began; 0 when none has."""
        return min((step.started_ms for step in self.steps if step.started_ms), default=0)

    @property
    def end_ms(self) -> int:
        """When the last of them ended; 0 while one goes on."""
        return 0 if any(not step.finished_ms for step in self.steps) else max(step.finished_ms for step in self.steps)


Line = StepView | Fold


def path_of(step: StepView) -> Path:
    """Branch path and order as numbers."""
    return tuple(int(part) if part.isdecimal() else 0 for part in step.id.split("."))


def fold(steps: Sequence[StepView], opened: Collection[str] = ()) -> list[Line]:
    """The lines that show these steps, in order."""
    ordered = sorted(((path_of(step), step) for step in steps), key=lambda item: item[0])
    return _runs(_gathers(ordered, "", set(opened)), set(opened))


def _gathers(items: list[tuple[Path, StepView]], prefix: str, opened: set[str]) -> list[Line]:
    lines: list[Line] = []
    calls: dict[int, list[tuple[Path, StepView]]] = {}
    for path, step in items:
        calls.setdefault(path[0], []).append((path[1:], step))
    for call, members in calls.items():
        lines += [step for path, step in members if not path]
        inside = [(path, step) for path, step in members if path]
        if not inside:
            continue
        name = f"{prefix}{call}"
        branches: dict[int, list[tuple[Path, StepView]]] = {}
        for path, step in inside:
            branches.setdefault(path[0], []).append((path[1:] or (0,), step))
        if len(branches) > BRANCHES and not opened & {name, ALL}:
            folded = Fold(name, tuple(step for _, step in inside), len(branches))
            lines += [folded, *_beside(folded)]
            continue
        for branch, own in branches.items():
            lines += _gathers(own, f"{name}.{branch}.", opened)
    return lines


def _beside(folded: Fold) -> list[StepView]:
    urgent = [step for state in _LOOK for step in folded.steps if step.state is state]
    return sorted(urgent[:BESIDE], key=path_of)


def _runs(lines: list[Line], opened: set[str]) -> list[Line]:
    """Fold long runs of finished steps; the two before and after stay for orientation."""
    found: list[Line] = []
    run: list[StepView] = []
    for line in [*lines, None]:
        if isinstance(line, StepView) and line.state in _QUIET:
            if run and _branch(run[-1]) != _branch(line):
                found += _run(run, opened)
                run = []
            run.append(line)
            continue
        found += _run(run, opened)
        run = []
        if line is not None:
            found.append(line)
    return found


def _branch(step: StepView) -> str:
    return step.id.rpartition(".")[0]


def _run(run: list[StepView], opened: set[str]) -> list[Line]:
    if len(run) <= RUN:
        return list(run)
    middle = run[2:-2]
    name = f"{middle[0].id}~{middle[-1].id}"
    if opened & {name, ALL}:
        return list(run)
    return [*run[:2], Fold(name, tuple(middle)), *run[-2:]]
