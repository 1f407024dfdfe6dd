"""How the shipment board says things."""

from __future__ import annotations

from django import template
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from dashboard.templatetags.console import chip
from examples.shipments import places
from examples.shipments.board import status_words
from examples.shipments.carriers import CARRIERS
from examples.shipments.models import Position
from examples.shipments.updates import Status

register = template.Library()

_LOOKS = {
    Status.PICKED_UP: ("idle", "package"),
    Status.IN_TRANSIT: ("running", "truck"),
    Status.AT_HUB: ("running", "sitemap"),
    Status.DELAYED: ("waiting", "alert-triangle"),
    Status.OUT_FOR_DELIVERY: ("running", "route"),
    Status.DELIVERED: ("done", "circle-check"),
}


@register.filter
def status_chip(status: str) -> SafeString:
    """A status with its tint, icon and words."""
    known = Status(status)
    tone, icon = _LOOKS[known]
    return chip(tone, icon, status_words(known))


@register.filter
def place(code: str) -> str:
    """A place as people call it."""
    return places.label(code)


@register.filter
def carrier(code: str) -> str:
    """A carrier as people call it."""
    known = CARRIERS.get(code)
    return known.name if known else code


def span(minutes: int) -> str:
    """A length of time in its two largest units: ``3 d 4 h``, ``2 h 05 min``, ``12 min``."""
    minutes = abs(minutes)
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60:02d} min" if hours else f"{minutes} min"


@register.filter
def punctuality(position: Position) -> SafeString:
    """Whether a shipment keeps its promise, and by how much it does not."""
    if position.late_min > 0:
        late = {"time": span(position.late_min)}
        if position.arrived:
            return chip("idle", "clock", _("Came %(time)s late") % late)
        return chip("human", "clock", _("%(time)s late") % late)
    return chip("done", "check", _("On time"))
