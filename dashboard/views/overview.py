"""The overview: one sentence, four figures, what needs people, and what is unusual."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET

from dashboard import charts, queries
from dashboard.pages import LivePage, Visit, register
from dashboard.queries import Courses, EscalationFilter, Needs, Overview, WorkflowFilter
from dashboard.queries.courses import SPANS, table
from dashboard.queries.takeovers import lost_hosts
from dashboard.retelling import retold
from dashboard.roles import viewer_required
from dashboard.wording import brief_duration, counted, duration, number

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
    said = {"flow": flow.removesuffix(".")}
    if needs.late:
        return _("%(flow)s; people are needed and late.") % said, "failed"
    return _("%(flow)s; people are needed.") % said, "human"


def _flow(seen: Overview) -> tuple[str, str]:
    live = _count(seen, "queued", "running", "waiting", "needs_human", "paused")
    running = _count(seen, "running")
    hosts = sum(host.alive for host in seen.hosts)
    if not seen.connected:
        return _("Redis does not answer. Work is paused and goes on when it is back."), "failed"
    if live and not hosts:
        words = _("No coordinator host is alive: %(count)s wait for one.") % {"count": counted(live, "workflow")}
        return words, "failed"
    if not sum(count for count, _ in seen.counts.values()):
        return _("Nothing has run yet."), "idle"
    if not live:
        return _("All work is done: no workflow is open."), "done"
    human, queued = _count(seen, "needs_human"), _count(seen, "queued")
    asleep = live - running - human - queued
    states = (
        (
            running,
            ngettext("%(count)s workflow running", "%(count)s workflows running", running),
            _("%(count)s running"),
        ),
        (queued, ngettext("%(count)s workflow queued", "%(count)s workflows queued", queued), _("%(count)s queued")),
        (asleep, ngettext("%(count)s workflow waiting", "%(count)s workflows waiting", asleep), _("%(count)s waiting")),
        (
            human,
            ngettext("%(count)s workflow stopped for people", "%(count)s workflows stopped for people", human),
            _("%(count)s stopped for people"),
        ),
    )
    parts: list[str] = []
    for count, first, later in states:
        if count:
            parts.append((later if parts else first) % {"count": number(count)})
    if live == human and seen.per_minute:
        return _("All else is done: %(what)s.") % {"what": parts[0]}, "human"
    if live == human:
        return _("Nothing moves: %(what)s.") % {"what": parts[0]}, "human"
    return _("Work is flowing: %(what)s.") % {"what": ", ".join(parts)}, "done"


def _gone(seen: Overview) -> list[Unusual]:
    found = []
    agents, coordinators = reverse("agents"), reverse("coordinators")
    for agent in seen.agents:
        href = reverse("agent", args=[agent.id])
        if agent.health == "silent":
            words = _("The agent %(agent)s is silent for %(beat_age_ms)s.") % {
                "agent": agent.name,
                "beat_age_ms": duration(agent.beat_age_ms),
            }
            found.append(Unusual("failed", "wifi-off", words, href))
        elif agent.health == "frozen":
            words = _("The agent %(agent)s beats but finishes nothing.") % {"agent": agent.name}
            found.append(Unusual("waiting", "alert-triangle", words, href))
    for host in seen.hosts:
        if not host.alive:
            words = _("The coordinator host %(host)s is silent for %(beat_age_ms)s.") % {
                "host": host.name,
                "beat_age_ms": duration(host.beat_age_ms),
            }
            found.append(Unusual("failed", "wifi-off", words, coordinators))
    for queue in seen.queues:
        if queue.paused:
            said = {"type": queue.type, "who": queue.paused_by, "tasks": counted(queue.waiting, "task")}
            words = _("%(type)s is paused; %(tasks)s wait.") % said
            if queue.paused_by:
                words = _("%(type)s is paused by %(who)s; %(tasks)s wait.") % said
            found.append(Unusual("idle", "player-pause", words, agents))
        elif queue.waiting and not queue.agents:
            words = _("Nobody takes %(type)s: %(waiting)s wait without an agent.") % {
                "type": queue.type,
                "waiting": counted(queue.waiting, "task"),
            }
            found.append(Unusual("failed", "user-off", words, agents))
        elif queue.oldest_wait_ms > SLOW_QUEUE_MS:
            words = _("The oldest %(type)s task waits for %(oldest_wait_ms)s.") % {
                "type": queue.type,
                "oldest_wait_ms": duration(queue.oldest_wait_ms),
            }
            found.append(Unusual("waiting", "hourglass-high", words, agents))
    return found


def _happened(seen: Overview, needs: Needs) -> list[Unusual]:
    found = []
    since = timezone.now() - dt.timedelta(hours=24)
    for lost in lost_hosts(since):
        said = {
            "host": lost.host,
            "who": ", ".join(lost.by) or lost.noticed_by or _("a peer"),
            "workflows": counted(lost.workflows, "workflow"),
            "time": duration(lost.until_ms),
        }
        words = _("%(host)s was lost; %(who)s took over %(workflows)s.") % said
        if lost.until_ms:
            words = _("%(host)s was lost; %(who)s took over %(workflows)s in %(time)s.") % said
        found.append(Unusual("takeover", "arrows-exchange", words, reverse("coordinators"), lost.at))
    today = timezone.now() - dt.timedelta(hours=24)
    shown = {need.group.fingerprint for need in needs.causes}
    for group in queries.escalation_groups(EscalationFilter(), limit=20) if needs.more else []:
        if group.oldest_at >= today and group.count > 1 and group.fingerprint not in shown:
            words = _("New today, %(count)s times: %(headline)s") % {
                "count": number(group.count),
                "headline": retold(group.headline, "headline"),
            }
            href = f"{reverse('escalations')}?cause={group.fingerprint}"
            found.append(Unusual("human", "user-exclamation", words, href, group.oldest_at))
    if seen.relay.at_ms and seen.relay.lag_ms > SILENT_MS:
        words = _("The history is %(lag_ms)s behind (%(events)s).") % {
            "lag_ms": duration(seen.relay.lag_ms),
            "events": counted(seen.relay.events, "event"),
        }
        found.append(Unusual("waiting", "history", words, reverse("coordinators")))
    return found


def _charts(seen: Courses) -> list[Chart]:
    return [
        Chart(
            "throughput", _("Workflows finished"), "done", _("a minute"),
            charts.course(seen.times, [seen.finished], ["done"], _("finished a minute")),
        ),
        Chart(
            "latency", _("Duration of workflows"), "running", _("median, and 95th percentile above it"),
            charts.course(seen.times, [seen.p50_ms, seen.p95_ms], ["done", "running"], "", brief_duration),
        ),
        Chart(
            "lag", _("Tasks waiting for agents"), "waiting", _("queue lag"),
            charts.course(seen.times, [seen.queue_lag], ["waiting"], _("tasks")),
        ),
        Chart(
            "escalations", _("Escalations open"), "human", _("decisions that wait"),
            charts.course(seen.times, [seen.escalations], ["human"], _("open")),
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
        "oldest_wait_ms": max((queue.oldest_wait_ms for queue in seen.queues if queue.waiting), default=0),
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
        "span": shown.span._replace(words=_(shown.span.words)),
        "spans": [one._replace(words=_(one.words)) for one in SPANS.values()],
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
