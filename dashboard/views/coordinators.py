"""Coordinator hosts: what they hold, whether they beat, and who took over from whom."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from dashboard import queries
from dashboard.pages import LivePage, Visit, register
from dashboard.roles import viewer_required


def _context(visit: Visit) -> dict[str, Any]:
    now = queries.live()
    held = sum(host.held for host in now.hosts if host.alive)
    return {
        "connected": now.connected,
        "hosts": now.hosts,
        "alive": sum(host.alive for host in now.hosts),
        "held": held,
        "most": max((host.held for host in now.hosts), default=0) or 1,
        "server": now.server,
        "relay": queries.relay_lag(),
        "events": queries.host_events(limit=50),
    }


PAGE = register(
    "coordinators",
    LivePage(
        name="coordinators",
        template="dashboard/coordinators.html",
        context=_context,
        partials=("co-hosts", "co-log"),
        topics=lambda visit: {"coordinators"},
        tick_s=1.0,
    ),
)


@require_GET
@viewer_required
def coordinators(request: HttpRequest) -> HttpResponse:
    """The hosts and the log of takeovers."""
    return PAGE.respond(request)
