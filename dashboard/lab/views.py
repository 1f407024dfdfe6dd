"""The page of the lab."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_GET

from dashboard.lab import drawing, runs, words
from dashboard.lab.experiment import WORKFLOWS
from dashboard.lab.models import LabRun
from dashboard.pages import LivePage, Visit, register
from dashboard.roles import admin_required
from dashboard.views.posting import post_only


class Button(NamedTuple):
    """An experiment that can be started."""

    kind: str
    icon: str
    name: str
    words: str


BUTTONS = (
    Button(
        LabRun.HOST, "sitemap", gettext_noop("Kill a coordinator host"),
        gettext_noop("The one that holds most of the work. Its peers notice, and go on from the checkpoints."),
    ),
    Button(
        LabRun.AGENT, "robot", gettext_noop("Kill an agent"),
        gettext_noop("One of two that work for the experiment. The other gets its unfinished tasks."),
    ),
    Button(
        LabRun.SERVER, "server", gettext_noop("Kill the Redis server"),
        gettext_noop("Everything stands still until it is back with what it had written down."),
    ),
    Button(
        LabRun.CENTRAL, "scale", gettext_noop("Kill a central brain"),
        gettext_noop("The same work led by one process that keeps all state in its memory, on a server of its own."),
    ),
)  # fmt: skip


class Shown(NamedTuple):
    """An experiment as the page shows it."""

    run: LabRun
    name: str
    sentence: str
    drawing: str


def _shown(run: LabRun, drawn: bool = False) -> Shown:
    name = _(next(button.name for button in BUTTONS if button.kind == run.kind))
    course = drawing.draw(run.figures, run.state == LabRun.RUNNING) if drawn else ""
    return Shown(run, name, words.sentence(run), course)


def _latest(kind: str) -> LabRun | None:
    return LabRun.objects.filter(kind=kind, state=LabRun.DONE).order_by("-pk").first()


def _context(visit: Visit) -> dict[str, Any]:
    runs.end_abandoned()
    recent = list(LabRun.objects.order_by("-pk")[:9])
    ours, theirs = _latest(LabRun.HOST), _latest(LabRun.CENTRAL)
    return {
        "buttons": [one._replace(name=_(one.name), words=_(one.words)) for one in BUTTONS],
        "count": WORKFLOWS,
        "now": _shown(recent[0], drawn=True) if recent else None,
        "past": [_shown(run) for run in recent[1:]],
        "ours": ours,
        "theirs": theirs,
        "beside": words.comparison(ours, theirs) if ours or theirs else [],
        "settled": not any(run.state == LabRun.RUNNING for run in recent),
    }


PAGE = register(
    "lab",
    LivePage(
        name="lab",
        template="dashboard/lab.html",
        context=_context,
        partials=("lab-now", "lab-beside", "lab-past"),
        topics=lambda visit: {"lab"},
        tick_s=0.5,
        verb="administer",
    ),
)


@require_GET
@admin_required
def lab(request: HttpRequest) -> HttpResponse:
    """What can be killed, and how the last kills went."""
    return PAGE.respond(request)


@post_only("lab")
@admin_required
def start(request: HttpRequest) -> HttpResponse:
    """Begin an experiment."""
    kind = request.POST.get("kind", "")
    if kind not in LabRun.KINDS:
        messages.error(request, _("There is no such experiment."))
        return redirect("lab")
    try:
        runs.start(request.user, kind, request)
    except runs.Busy as busy:
        messages.warning(request, str(busy))
    return redirect("lab")
