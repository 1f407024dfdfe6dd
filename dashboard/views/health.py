"""What probes and scrapers ask: alive, ready, and the measures."""

from __future__ import annotations

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from coordination import client as core
from coordination.errors import ServerUnavailable
from dashboard import queries, tokens
from dashboard.roles import allowed


def healthz(request: HttpRequest) -> HttpResponse:
    """200 while this process answers at all."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(request: HttpRequest) -> JsonResponse:
    """200 when the database and Redis answer, else 503 naming which does not."""
    parts = {"database": True, "redis": True}
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        parts["database"] = False
    try:
        core.sync().call("PING")
    except ServerUnavailable:
        parts["redis"] = False
    return JsonResponse(parts, status=200 if all(parts.values()) else 503)


def _may_scrape(request: HttpRequest) -> bool:
    forwarded = any(name in request.headers for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"))
    if request.META.get("REMOTE_ADDR") in ("127.0.0.1", "::1", "") and not forwarded:
        return True
    if allowed(request.user, "view"):
        return True
    kind, _, raw = request.headers.get("Authorization", "").partition(" ")
    token = tokens.authenticate(raw) if kind == "Bearer" else None
    return token is not None and tokens.permits(token, "view")


def metrics(request: HttpRequest) -> HttpResponse:
    """The measures in Prometheus' text format, for this machine and for whoever may look at the console."""
    if not _may_scrape(request):
        return HttpResponse("Send a token of scope read.\n", status=401, content_type="text/plain")
    registry = CollectorRegistry()
    seen = queries.overview(minutes=2)

    def gauge(name: str, words: str, value: float | None) -> None:
        Gauge(f"ganglion_{name}", words, registry=registry).set(value or 0)

    states = Gauge("ganglion_workflows", "Workflows by state.", ["state"], registry=registry)
    for state, (count, _) in seen.counts.items():
        states.labels(state).set(count)
    gauge("workflows_finished_per_minute", "Workflows finished in the last minute.", seen.per_minute)
    gauge("workflow_p50_ms", "Median duration, in ms.", seen.p50_ms)
    gauge("workflow_p95_ms", "95th percentile of the duration, in ms.", seen.p95_ms)
    gauge("escalations_open", "Escalations that wait for people.", seen.open_escalations)
    gauge("redis_up", "1 when Redis answers.", float(seen.connected))
    gauge("relay_lag_ms", "How far the history is behind, in ms.", seen.relay.lag_ms)
    hosts = Gauge("ganglion_coordinators", "Coordinator hosts by liveness.", ["alive"], registry=registry)
    agents = Gauge("ganglion_agents", "Agent instances by health.", ["health"], registry=registry)
    queues = Gauge("ganglion_queue_waiting", "Tasks that wait.", ["type"], registry=registry)
    for host in seen.hosts:
        hosts.labels(str(host.alive).lower()).inc()
    for agent in seen.agents:
        agents.labels(agent.health).inc()
    for queue in seen.queues:
        queues.labels(queue.type).set(queue.waiting)
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
