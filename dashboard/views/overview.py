"""The overview: one sentence, four figures, what needs people, and what is unusual."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from dashboard import charts, queries
from dashboard.models import HostEvent
from dashboard.pages import LivePage, Visit, register
from dashboard.queries import Courses, EscalationFilter, Needs, Overview, WorkflowFilter
from dashboard.queries.courses import SPANS, table
from dashboard.roles import viewer_required
from dashboard.wording import brief_duration, duration, plural

NEEDS = 6  # causes that are shown
SLOW_QUEUE_MS = 10_000
SILENT_MS = 5_000


class Chart(NamedTuple):
    """A course with its drawing for readers without JavaScript; with it the browser draws the same columns."""

    name: str
    title: str
    tone: str
    meta: str
    drawing: str


class Unusual(NamedTuple):
    """Something that an operator would want to know."""

    tone: str
    icon: str
    words: str
    href: str
    at: dt.datetime | None = None


def _count(seen: Overview, *states: str) -> int:
    return sum(seen.counts.get(state, (0, False))[0] for state in states)


def sentence(seen: Overview, needs: Needs) -> tuple[str, str]:
    """The state of everything in one sentence, and its tone: does work flow, what waits, are people needed."""
    flow, tone = _flow(seen)
    if not needs.any or tone == "failed":
        return flow, tone
    first = flow.removesuffix(".")
    return f"{first}; people are needed{' and late' if needs.late else ''}.", "failed" if needs.late else "human"


def _flow(seen: Overview) -> tuple[str, str]:
    live = _count(seen, "queued", "running", "waiting", "needs_human", "paused")
    running = _count(seen, "running")
    hosts = sum(host.alive for host in seen.hosts)
    if not seen.connected:
        return "Redis does not answer. Work is paused and goes on when it is back.", "failed"
    if live and not hosts:
        return f"No coordinator host is alive: {plural(live, 'workflow')} wait for one.", "failed"
    if not sum(count for count, _ in seen.counts.values()):
        return "Nothing has run yet.", "idle"
    if not live:
        return "All work is done: no workflow is open.", "done"
    human, queued = _count(seen, "needs_human"), _count(seen, "queued")
    asleep = live - running - human - queued
    counted = ((running, "running"), (queued, "queued"), (asleep, "waiting"), (human, "stopped for people"))
    parts = [f"{count:,} {word}" for count, word in counted if count]
    first, _, rest = parts[0].partition(" ")
    parts[0] = f"{first} workflow{'' if first == '1' else 's'} {rest}"
    if live == human:
        return f"Nothing moves: {parts[0]}.", "human"
    return f"Work is flowing: {', '.join(parts)}.", "done"


def _gone(seen: Overview) -> list[Unusual]:
    found = []
    agents, coordinators = reverse("agents"), reverse("coordinators")
    for agent in seen.agents:
        href = reverse("agent", args=[agent.id])
        if agent.health == "silent":
            words = f"The agent {agent.name} is silent for {duration(agent.beat_age_ms)}."
            found.append(Unusual("failed", "wifi-off", words, href))
        elif agent.health == "frozen":
            words = f"The agent {agent.name} beats but finishes nothing."
            found.append(Unusual("waiting", "alert-triangle", words, href))
    for host in seen.hosts:
        if not host.alive:
            words = f"The coordinator host {host.name} is silent for {duration(host.beat_age_ms)}."
            found.append(Unusual("failed", "wifi-off", words, coordinators))
    for queue in seen.queues:
        if queue.paused:
            by = f" by {queue.paused_by}" if queue.paused_by else ""
            words = f"{queue.type} is paused{by}; {plural(queue.waiting, 'task')} wait."
            found.append(Unusual("idle", "player-pause", words, agents))
        elif queue.waiting and not queue.agents:
            words = f"Nobody takes {queue.type}: {plural(queue.waiting, 'task')} wait without an agent."
            found.append(Unusual("failed", "user-off", words, agents))
        elif queue.oldest_wait_ms > SLOW_QUEUE_MS:
            words = f"The oldest {queue.type} task waits for {duration(queue.oldest_wait_ms)}."
            found.append(Unusual("waiting", "hourglass-high", words, agents))
    return found


def _happened(seen: Overview, needs: Needs) -> list[Unusual]:
    found = []
    since = timezone.now() - dt.timedelta(hours=24)
    for event in HostEvent.objects.filter(kind="lost", at__gte=since).order_by("-at")[:5]:
        took = f" in {duration(event.took_ms)}" if event.took_ms else ""
        words = f"{event.host} was lost; {event.by or 'a peer'} took over {plural(event.workflows, 'workflow')}{took}."
        found.append(Unusual("takeover", "arrows-exchange", words, reverse("coordinators"), event.at))
    today = timezone.now() - dt.timedelta(hours=24)
    shown = {need.group.fingerprint for need in needs.causes}
    for group in queries.escalation_groups(EscalationFilter(), limit=20):
        if group.oldest_at >= today and group.count > 1 and group.fingerprint not in shown:
            words = f"New today, {group.count:,} times: {group.headline}"
            href = f"{reverse('escalations')}?cause={group.fingerprint}"
            found.append(Unusual("human", "user-exclamation", words, href, group.oldest_at))
    if seen.relay.at_ms and seen.relay.lag_ms > SILENT_MS:
        words = f"The history is {duration(seen.relay.lag_ms)} behind ({plural(seen.relay.events, 'event')})."
        found.append(Unusual("waiting", "history", words, reverse("coordinators")))
    return found


def _charts(seen: Courses) -> list[Chart]:
    return [
        Chart(
            "throughput", "Workflows finished", "done", "a minute",
            charts.course(seen.times, [seen.finished], ["done"], "finished a minute"),
        ),
        Chart(
            "latency", "Duration of workflows", "running", "median, and 95th percentile above it",
            charts.course(seen.times, [seen.p50_ms, seen.p95_ms], ["done", "running"], "", brief_duration),
        ),
        Chart(
            "lag", "Tasks waiting for agents", "waiting", "queue lag",
            charts.course(seen.times, [seen.queue_lag], ["waiting"], "tasks"),
        ),
        Chart(
            "escalations", "Escalations open", "human", "decisions that wait",
            charts.course(seen.times, [seen.escalations], ["human"], "open"),
        ),
    ]  # fmt: skip


def _context(visit: Visit) -> dict[str, Any]:
    seen = queries.overview(minutes=30)
    needs = queries.needs(limit=NEEDS)
    words, tone = sentence(seen, needs)
    samples = seen.samples
    waiting = sum(queue.waiting for queue in seen.queues)
    shown = queries.courses(queries.span(visit.query.get("range")))
    return {
        "seen": seen,
        "sentence": words,
        "tone": tone,
        "waiting": waiting,
        "alive_hosts": sum(host.alive for host in seen.hosts),
        "working_agents": sum(agent.alive for agent in seen.agents),
        "finished": _count(seen, "completed"),
        "needs": needs,
        "unusual": _gone(seen)[:5] + _happened(seen, needs)[:5],
        "recent": queries.workflows(WorkflowFilter(), limit=8, count=False).rows,
        "throughput": [sample.finished for sample in samples],
        "latency": [sample.p95_ms for sample in samples],
        "lag": [sample.queue_lag for sample in samples],
        "open_course": [sample.open_escalations for sample in samples],
        "span": shown.span,
        "spans": SPANS.values(),
        "charts": partial(_charts, shown),  # only the whole page draws them
        "table": table(shown),
    }


PAGE = register(
    "overview",
    LivePage(
        name="overview",
        template="dashboard/overview.html",
        context=_context,
        partials=("ov-top", "ov-needs", "ov-unusual", "ov-recent", "ov-table"),
        topics=lambda visit: {"overview", "workflows", "escalations", "agents", "coordinators"},
        tick_s=2.0,
    ),
)


@require_GET
@viewer_required
def overview(request: HttpRequest) -> HttpResponse:
    """The first page."""
    return PAGE.respond(request)


@require_GET
@viewer_required
def courses(request: HttpRequest) -> JsonResponse:
    """The columns of the charts over ``range``; moments in seconds, nothing where nobody measured."""
    seen = queries.courses(queries.span(request.GET.get("range")))
    columns = {
        "throughput": [seen.finished],
        "latency": [seen.p50_ms, seen.p95_ms],
        "lag": [seen.queue_lag],
        "escalations": [seen.escalations],
    }
    times = [int(at.timestamp()) for at in seen.times]
    short = {
        name: [[None if value is None else round(value, 1) for value in one] for one in columns_of]
        for name, columns_of in columns.items()
    }
    answer = JsonResponse({"range": seen.span.name, "step_s": seen.span.step_s, "at": times, "columns": short})
    answer["Cache-Control"] = "no-store"
    return answer
