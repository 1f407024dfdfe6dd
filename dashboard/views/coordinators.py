"""Coordinator hosts: what they hold, how long their lease still runs, and who took over from whom."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from coordination.config import current
from coordination.domain import HostView
from dashboard import queries
from dashboard.pages import LivePage, Visit, register
from dashboard.queries.takeovers import Takeover, host_log
from dashboard.roles import viewer_required


class Held(NamedTuple):
    """A host with its lease, which is one for all workflows that it holds."""

    view: HostView
    left_ms: int  # until its peers take over, unless it beats

    @property
    def overdue(self) -> bool:
        """Whether the lease has run out."""
        return self.left_ms == 0 or not self.view.alive


def _context(visit: Visit) -> dict[str, Any]:
    now, config = queries.live(), current()
    lease_ms = int(config.heartbeat_s * config.suspicion_beats * 1000)
    log = host_log()
    return {
        "connected": now.connected,
        "hosts": [Held(host, max(0, lease_ms - host.beat_age_ms)) for host in now.hosts],
        "lease_ms": lease_ms,
        "alive": sum(host.alive for host in now.hosts),
        "held": sum(host.held for host in now.hosts if host.alive),
        "server": now.server,
        "relay": queries.relay_lag(),
        "log": log[:50],
        "last": next((one for one in log if isinstance(one, Takeover)), None),
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
