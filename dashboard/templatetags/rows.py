"""The rows of lists of workflows and of escalations.

Open pages render them most often, so they are made here: a template takes three times as long for them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Sequence

from django import template
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from dashboard import charts, wording
from dashboard.models import Escalation, Workflow
from dashboard.queries import EscalationFilter
from dashboard.queries.clocks import Clock
from dashboard.retelling import retold
from dashboard.templatetags.console import age, chip, claim_holds, copy_id, icon, state_chip, when

register = template.Library()

_WORKFLOW = (
    '<tr id="wf-{pk}" data-row data-href="{address}">{pick}<td class="tight w-state">{state}</td>'
    '<td class="tight wf-name"><a class="row-link" href="{address}">{type}</a> {copy}'
    '<span class="wf-sub meta bidi">{when} · {about}</span></td>{more}</tr>\n'
)
_PICK = '<td class="pick"><input type="checkbox" form="bulk" name="id" value="{}" data-pick aria-label="{}"></td>'
_STEPS = '<td class="tight col-optional w-steps">{} <span class="meta">{}/{}</span>{}</td>'
_OWNER = '<td class="tight col-optional col-roomy w-owner"><span class="mono muted" title="{}">{}</span></td>'


@register.simple_tag
def workflow_rows(rows: Iterable[Workflow], hidden: Collection[str] = (), pickable: object = False) -> SafeString:
    """One table row for each workflow.

    Args:
        rows: The workflows.
        hidden: Columns that the reader does not want: ``input``, ``steps``, ``submitted``, ``duration``, ``owner``.
        pickable: Whether each has a box to tick.
    """
    pages = reverse("workflow", args=["-"]).removesuffix("-/")
    shown = [cell for name, cell in _CELLS.items() if name not in (hidden or ())]
    return _joined([_workflow(row, f"{pages}{row.pk}/", shown, pickable) for row in rows])


def _workflow(
    row: Workflow, address: str, cells: Sequence[Callable[[Workflow], SafeString]], pickable: object
) -> SafeString:
    pick = format_html(_PICK, row.pk, _("Select %(pk)s") % {"pk": row.pk}) if pickable else ""
    return format_html(
        _WORKFLOW,
        pk=row.pk,
        address=address,
        pick=pick,
        state=state_chip(row.state),
        type=row.type,
        copy=copy_id(row.pk),
        when=when(row.created_at),
        about=row.summary or row.pk,
        more=_joined([cell(row) for cell in cells]),
    )


def _input(row: Workflow) -> SafeString:
    if row.error:
        said = format_html('<span class="tone-failed-text">{}</span>', retold(row.error))
    elif row.progress and not row.finished_at:
        said = format_html('{} <span class="muted">· {}</span>', row.progress, row.summary)
    else:
        said = format_html('<span class="muted">{}</span>', row.summary)
    return format_html('<td class="grow col-wide bidi" title="{}">{}</td>', row.summary, said)


def _steps(row: Workflow) -> SafeString:
    drawing = charts.ticks(row.steps_done, row.steps_total, row.state, row.retrying)
    again = format_html(" {}", chip("waiting", "refresh", _("retrying"))) if row.retrying else ""
    return format_html(_STEPS, drawing, row.steps_done, row.steps_total, again)


def _submitted(row: Workflow) -> SafeString:
    return format_html('<td class="num tight col-wide">{}</td>', when(row.created_at))


def _duration(row: Workflow) -> SafeString:
    took = wording.duration(row.duration_ms) if row.finished_at else age(row.created_at)
    return format_html('<td class="num tight col-optional">{}</td>', took)


def _owner(row: Workflow) -> SafeString:
    return format_html(_OWNER, row.owner, wording.shortened(row.owner) or "–")


_CELLS = {"input": _input, "steps": _steps, "submitted": _submitted, "duration": _duration, "owner": _owner}


# --- escalations -----------------------------------------------------------------------

_ESCALATION = (
    '<tr id="esc-{pk}" data-row data-href="{address}">{pick}<td class="grow">'
    '<a class="row-link bidi" href="{address}" title="{headline}">{headline}</a></td>{more}'
    '<td class="tight w-claim">{state}</td></tr>\n'
)
_FLOW = '<td class="tight col-wide w-flow"><a class="muted" href="{}" title="{}">{}</a></td>'
_LATE = '<span class="chip tone-failed" title="{}">{}{}</span>'
_LOOKS = ' <span class="meta clock-looks" title="{}">{}<span class="bidi">{}</span></span>'


@register.simple_tag(takes_context=True)
def escalation_rows(context: template.Context) -> SafeString:
    """One table row for each escalation of the page, as its filter and its reader want them."""
    wanted: EscalationFilter = context["filter"]
    hidden: Collection[str] = context.get("hidden") or ()
    clock_of = functools.cache(lambda cause: _clock(context["clocks"].get(cause)))  # rows of one cause share it
    waiting = wanted.state == "open"
    pages = reverse("escalation", args=["-"]).removesuffix("-/")
    flows = reverse("workflow", args=["-"]).removesuffix("-/")

    def cells(row: Escalation) -> Iterable[SafeString]:
        if "workflow" not in hidden:
            ident = format_html('<span class="mono">{}</span>', wording.shortened(row.workflow_id))
            named = ident if wanted.fingerprint else row.workflow_type
            yield format_html(_FLOW, f"{flows}{row.workflow_id}/", row.workflow_id, named)
        if "reason" not in hidden and not wanted.fingerprint:
            yield format_html('<td class="tight col-optional col-roomy muted">{}</td>', wording.named(row.reason))
        yield format_html('<td class="num tight">{}</td>', age(row.opened_at) if _waits(row) else when(row.opened_at))
        if "clock" not in hidden and waiting:
            shown = clock_of(row.fingerprint) if _waits(row) else ""
            yield format_html('<td class="tight col-optional">{}</td>', shown)

    found = []
    for row in context["rows"]:
        headline = retold(row.headline, "headline")
        pick = _pick_escalation(row, headline) if waiting and context["can"].get("operate") else ""
        found.append(
            format_html(
                _ESCALATION,
                pk=row.pk,
                address=f"{pages}{row.pk}/",
                pick=pick,
                headline=headline,
                more=_joined(list(cells(row))),
                state=_whose(row, context["idle_types"]),
            )
        )
    return _joined(found)


def _waits(row: Escalation) -> bool:
    return str(row.state) == "open"


def _pick_escalation(row: Escalation, headline: str) -> SafeString:
    if not _waits(row):
        return format_html('<td class="pick">{}</td>', "")
    return format_html(_PICK, row.pk, _("Select %(headline)s") % {"headline": Truncator(headline).chars(60)})


def _whose(row: Escalation, idle_types: Collection[str]) -> SafeString:
    """Who has it while it waits, then what became of it."""
    if _waits(row):
        if claim_holds(row):
            return chip("running", "user-check", row.claimed_by)
        return format_html('<span class="muted">{}</span>', _("free"))
    if row.outcome == "dispatched" and row.task_type in idle_types:
        return chip("waiting", "clock", _("waiting: no capable agent"))
    return state_chip(row.outcome or row.state)


def _clock(clock: Clock | None) -> SafeString:
    if clock is None:
        return format_html('<span class="muted">{}</span>', "–")
    parts: list[SafeString] = []
    if clock.due_at is None:
        parts.append(format_html('<span class="muted">{}</span>', "–"))
    elif clock.late:
        who = _("%(who)s looks at it") % {"who": clock.looks} if clock.looks else _("Nobody looks at it")
        late = format_html(_("%(age)s late").replace("%(age)s", "{}"), age(clock.due_at))
        parts.append(format_html(_LATE, who, icon("clock"), late))
    else:
        parts.append(when(clock.due_at))
    if clock.looks:
        parts.append(format_html(_LOOKS, _("looks at it"), icon("user-check"), clock.looks))
    if clock.told and clock.levels > 1:
        level = _("level %(told)s of %(levels)s") % {"told": clock.told, "levels": clock.levels}
        parts.append(format_html(' <span class="meta clock-level">{}</span>', level))
    return _joined(parts)


def _joined(parts: Sequence[SafeString]) -> SafeString:
    return format_html("{}" * len(parts), *parts) if parts else format_html("{}", "")
