"""The rows of a list of workflows.

They are what open pages render most often, and made here because a template takes five times as long for them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from django import template
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from dashboard import charts, wording
from dashboard.models import Workflow
from dashboard.retelling import retold
from dashboard.templatetags.console import age, chip, copy_id, state_chip, when

register = template.Library()

_ROW = (
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
    return _joined([_row(row, f"{pages}{row.pk}/", shown, pickable) for row in rows])


def _joined(parts: Sequence[SafeString]) -> SafeString:
    return format_html("{}" * len(parts), *parts) if parts else SafeString()


def _row(
    row: Workflow, address: str, cells: Sequence[Callable[[Workflow], SafeString]], pickable: object
) -> SafeString:
    pick = format_html(_PICK, row.pk, _("Select %(pk)s") % {"pk": row.pk}) if pickable else ""
    return format_html(
        _ROW, pk=row.pk, address=address, pick=pick, state=state_chip(row.state), type=row.type, copy=copy_id(row.pk),
        when=when(row.created_at), about=row.summary or row.pk, more=_joined([cell(row) for cell in cells]),
    )  # fmt: skip


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
