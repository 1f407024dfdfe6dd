"""What an experiment showed, in sentences and as rows of the comparison."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from dashboard.lab.models import LabRun
from dashboard.retelling import retold
from dashboard.wording import counted, duration


def sentence(run: LabRun) -> str:
    """The outcome in words; what goes on while it is not known yet."""
    found = run.figures
    if run.state == LabRun.FAILED:
        return retold(str(run.lines[-1][1]) if run.lines else "It did not begin.")
    if not found:
        return _("Work is being started; then something is killed.")
    if run.state == LabRun.RUNNING:
        said = {"done": found["completed"], "all": counted(found["count"], "workflow")}
        return _("%(done)s of %(all)s have come to their end so far.") % said
    if run.kind == LabRun.CENTRAL:
        words = _(
            "The brain was killed with %(held)s in its memory. It lost %(lost)s of them and %(thrown)s. All were done"
            " %(time)s after the kill, because somebody submitted them again."
        )
        return words % {
            "held": counted(found["interrupted"], "workflow"),
            "lost": found["lost"],
            "thrown": counted(found["thrown"], "finished step"),
            "time": duration(found["all_ms"]),
        }
    return f"{_went_on(run.kind, found)} {_losses(found)}"


def _went_on(kind: str, found: dict[str, Any]) -> str:
    taken, after = found["taken"], found["next"]
    if not found["rows"] or after is None:
        return _("The kill interrupted nothing.")
    last, many = duration(after["max"]), found["interrupted"]
    if kind == LabRun.HOST and taken:
        words = _(
            "The host held %(held)s. Others took the last of them up after %(taken)s, and each had gone on to its"
            " next step after %(last)s."
        )
        return words % {"held": counted(many, "workflow"), "taken": duration(taken["max"]), "last": last}
    if kind == LabRun.AGENT:
        words = _("The agent was at %(held)s. Another had done the last after %(last)s.")
        return words % {"held": counted(many, "task"), "last": last}
    answers = next((mark["at"] for mark in found["marks"]), 0.0)
    words = _("The server answered again after %(time)s, and all %(count)s workflows had gone on after %(last)s.")
    return words % {"time": duration(answers), "count": many, "last": last}


def _losses(found: dict[str, Any]) -> str:
    lost = _("Nothing was lost")
    if found["lost"]:
        lost = _("%(what)s did not end in time") % {"what": counted(found["lost"], "workflow")}
    again = _("no finished step ran again")
    if found["again"]:
        again = _("%(what)s ran twice") % {"what": counted(found["again"], "step")}
    return _("%(lost)s, and %(again)s.") % {"lost": lost, "again": again}


def comparison(ours: LabRun | None, theirs: LabRun | None) -> list[tuple[str, str, str]]:
    """What a killed host and a killed brain cost: (what, here, there)."""
    here = ours.figures if ours else {}
    there = theirs.figures if theirs else {}
    noticed = next((mark["at"] for mark in here.get("marks", ())), None)
    back = next((mark["at"] for mark in there.get("marks", ())), None)
    taken, after = here.get("taken"), here.get("next")
    return [
        (_("Workflows in flight"), _count(here, "count"), _count(there, "count")),
        (_("Interrupted by the kill"), _count(here, "interrupted"), _count(there, "interrupted")),
        (_("Noticed, or running again"), duration(noticed), duration(back)),
        (_("Taken up by another, the middle one"), _spread(taken, "p50"), _never(there)),
        (_("Taken up by another, the last one"), _spread(taken, "max"), _never(there)),
        (_("At its next step, the last one"), _spread(after, "max"), _never(there)),
        (_("Workflows lost"), _count(here, "lost"), _count(there, "lost")),
        (_("Finished steps thrown away or run again"), _count(here, "again"), _count(there, "thrown")),
        (_("Who had to do something"), _("nobody") if here else "–", _("the submitter") if there else "–"),
    ]


def _count(found: dict[str, Any], name: str) -> str:
    return str(found[name]) if name in found else "–"


def _spread(found: dict[str, float] | None, name: str) -> str:
    return duration(found[name]) if found else "–"


def _never(found: dict[str, Any]) -> str:
    return _("never") if found.get("lost") else "–"
