"""What an experiment showed, in sentences and as rows of the comparison."""

from __future__ import annotations

from typing import Any

from dashboard.lab.models import LabRun
from dashboard.wording import duration, plural


def sentence(run: LabRun) -> str:
    """The outcome in words; what goes on while it is not known yet."""
    found = run.figures
    if run.state == LabRun.FAILED:
        return str(run.lines[-1][1]) if run.lines else "It did not begin."
    if not found:
        return "Work is being started; then something is killed."
    if run.state == LabRun.RUNNING:
        return f"{found['completed']} of {plural(found['count'], 'workflow')} have come to their end so far."
    if run.kind == LabRun.CENTRAL:
        return (
            f"The brain was killed with {plural(found['interrupted'], 'workflow')} in its memory. It lost"
            f" {found['lost']} of them and {plural(found['thrown'], 'finished step')}. All were done"
            f" {duration(found['all_ms'])} after the kill, because somebody submitted them again."
        )
    return f"{_went_on(run.kind, found)} {_losses(found)}"


def _went_on(kind: str, found: dict[str, Any]) -> str:
    taken, after = found["taken"], found["next"]
    if not found["rows"] or after is None:
        return "The kill interrupted nothing."
    last = duration(after["max"])
    if kind == LabRun.HOST and taken:
        return (
            f"The host held {plural(found['interrupted'], 'workflow')}. Others took the last of them up after"
            f" {duration(taken['max'])}, and each had gone on to its next step after {last}."
        )
    if kind == LabRun.AGENT:
        return f"The agent was at {plural(found['interrupted'], 'task')}. Another had done the last after {last}."
    answers = next((mark["at"] for mark in found["marks"]), 0.0)
    return (
        f"The server answered again after {duration(answers)}, and all {found['interrupted']} workflows"
        f" had gone on after {last}."
    )


def _losses(found: dict[str, Any]) -> str:
    lost = "Nothing was lost" if not found["lost"] else f"{plural(found['lost'], 'workflow')} did not end in time"
    again = "no finished step ran again" if not found["again"] else f"{plural(found['again'], 'step')} ran twice"
    return f"{lost}, and {again}."


def comparison(ours: LabRun | None, theirs: LabRun | None) -> list[tuple[str, str, str]]:
    """What a killed host and a killed brain cost: (what, here, there)."""
    here = ours.figures if ours else {}
    there = theirs.figures if theirs else {}
    noticed = next((mark["at"] for mark in here.get("marks", ())), None)
    back = next((mark["at"] for mark in there.get("marks", ())), None)
    taken, after = here.get("taken"), here.get("next")
    return [
        ("Workflows in flight", _count(here, "count"), _count(there, "count")),
        ("Interrupted by the kill", _count(here, "interrupted"), _count(there, "interrupted")),
        ("Noticed, or running again", duration(noticed), duration(back)),
        ("Taken up by another, the middle one", _spread(taken, "p50"), _never(there)),
        ("Taken up by another, the last one", _spread(taken, "max"), _never(there)),
        ("At its next step, the last one", _spread(after, "max"), _never(there)),
        ("Workflows lost", _count(here, "lost"), _count(there, "lost")),
        ("Finished steps thrown away or run again", _count(here, "again"), _count(there, "thrown")),
        ("Who had to do something", "nobody" if here else "–", "the submitter" if there else "–"),
    ]


def _count(found: dict[str, Any], name: str) -> str:
    return str(found[name]) if name in found else "–"


def _spread(found: dict[str, float] | None, name: str) -> str:
    return duration(found[name]) if found else "–"


def _never(found: dict[str, Any]) -> str:
    return "never" if found.get("lost") else "–"
