"""Coordinator hosts: what they hold, whether they beat, and who took over from whom."""

from __future__ import annotations

import time
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from coordination import client as core
from coordination.domain import HostView
from coordination.errors import ServerUnavailable
from dashboard import queries
from dashboard.pages import LivePage, Visit, register
from dashboard.roles import viewer_required

_heard: dict[str, tuple[int, float]] = {}  # host -> its count of beats, and when this process saw it grow


def _beats(hosts: list[HostView]) -> list[tuple[HostView, int, int]]:
    """Each host with its count of beats and for how many ms it has not grown, as this process has seen it."""
    client = core.sync()
    raw = client.call("HGETALL", client.connection.keys.beats) if hosts else []
    counts = {name.decode(): int(count) for name, count in zip(raw[::2], raw[1::2], strict=True)}
    now = time.monotonic()
    found = []
    for host in hosts:
        count = counts.get(host.id, 0)
        known, at = _heard.get(host.id, (-1, now))
        if count != known:
            at = now
            _heard[host.id] = (count, at)
        found.append((host, count, int((now - at) * 1000)))
    for gone in set(_heard) - {host.id for host in hosts}:
        _heard.pop(gone, None)
    return found


def _context(visit: Visit) -> dict[str, Any]:
    now = queries.live()
    try:
        beats = _beats(now.hosts)
    except ServerUnavailable:
        beats = [(host, 0, 0) for host in now.hosts]
    held = sum(host.held for host in now.hosts if host.alive)
    return {
        "connected": now.connected,
        "hosts": now.hosts,
        "beats": beats,
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
