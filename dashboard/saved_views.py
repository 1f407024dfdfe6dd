"""Saved views: a list's filter, order and columns under a name, shared by the team."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _

from coordination.errors import BadRequest
from dashboard import audit
from dashboard.bulk_models import SavedView
from dashboard.queries import EscalationFilter, WorkflowFilter
from dashboard.roles import allowed

MOST = 100  # of one page
_FILTERS: dict[str, type[WorkflowFilter] | type[EscalationFilter]] = {
    "workflows": WorkflowFilter,
    "escalations": EscalationFilter,
}


def views(page: str) -> list[SavedView]:
    """The team's views of one page, by name."""
    return list(SavedView.objects.filter(page=page).select_related("owner").order_by("name")[:MOST])


def save(user: Any, page: str, name: str, query: str, request: HttpRequest | None = None) -> SavedView:
    """Keep a list as it is narrowed down now; what does not belong to its filter is left out.

    Raises:
        BadRequest: The name is empty or taken, or there are too many.
    """
    if page not in _FILTERS:
        raise BadRequest(
            _("%(page)s has no views. Use one of: %(names)s.") % {"page": repr(page), "names": ", ".join(_FILTERS)}
        )
    name = " ".join(name.split())[:60]
    if not name:
        raise BadRequest(_("Give the view a name."))
    if SavedView.objects.filter(page=page).count() >= MOST:
        raise BadRequest(_("There are %(most)s views already. Delete one first.") % {"most": MOST})
    wanted = _FILTERS[page].from_params(_joined(query))
    made = SavedView(page=page, name=name, query=urlencode(wanted.params())[:1000], owner=user)
    try:
        with transaction.atomic():
            made.save(force_insert=True)
            after = {"page": page, "name": name, "query": made.query}
            audit.record(user, "view.save", made, after=after, request=request)
    except IntegrityError:
        raise BadRequest(_("There is already a view with the name “%(name)s”.") % {"name": name}) from None
    return made


def _joined(query: str) -> dict[str, str]:
    """A query string's parameters; repeated ones as a comma list."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(query.removeprefix("?")):
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def may_delete(user: Any, view: SavedView) -> bool:
    """Whether a person may take a view away: their own, or any for an administrator."""
    return view.owner_id == user.pk or allowed(user, "administer")


def delete(user: Any, view: SavedView, request: HttpRequest | None = None) -> None:
    """Take a view away for the whole team.

    Raises:
        BadRequest: It belongs to somebody else.
    """
    if not may_delete(user, view):
        raise BadRequest(_("Only its owner or an administrator deletes a view."))
    with transaction.atomic():
        before = {"page": view.page, "name": view.name, "query": view.query}
        audit.record(user, "view.delete", view, before=before, request=request)
        view.delete()
