"""Why a workflow stands where it stands, in one sentence for each thing that its steps wait for, with a link to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from coordination.waiting import WaitKind, WaitReason
from dashboard.wording import counted, duration, number, shortened


class Wait(NamedTuple):
    """A sentence.

    Attributes:
        words: The sentence; it ends before ``at_ms`` where there is one.
        href: What it waits for.
        at_ms: A moment that ends the sentence: since when, or until when.
        more: What else is known, in a few words.
    """

    icon: str
    tone: str
    words: str
    href: str = ""
    at_ms: int = 0
    more: str = ""


def sentences(workflow_id: str, reasons: Sequence[WaitReason], claims: Mapping[str, str]) -> list[Wait]:
    """One sentence for each reason; steps that wait for the same share one.

    Args:
        claims: Who has claimed an escalation now, by its id.
    """
    page = reverse("workflow", args=[workflow_id])
    alike: dict[tuple[str, str], list[Wait]] = {}
    for one in reasons:
        said = _sentence(one, f"{page}?{urlencode({'step': one.step})}" if one.step else page, claims)
        alike.setdefault((said.icon, said.words), []).append(said)
    found = [_together(group) for group in alike.values()]
    return sorted(found, key=lambda wait: _ORDER.index(wait.tone))


_ORDER = ("idle", "takeover", "failed", "human", "waiting", "running")  # what a person has to know first


def _together(group: list[Wait]) -> Wait:
    """Several steps that wait for the same in one sentence, with the moment that comes first."""
    first = min(group, key=lambda wait: wait.at_ms)
    if len(group) == 1:
        return first
    many = _("%(count)s steps") % {"count": len(group)}
    return first._replace(more=f"{many}; {first.more}" if first.more else many)


def _sentence(one: WaitReason, here: str, claims: Mapping[str, str]) -> Wait:
    beside = _beside(len(one.upstream)) if one.upstream else ""
    moment = {"name": one.name}
    agents = f"{reverse('agents')}#{one.name}"
    match one.kind:
        case WaitKind.PAUSED:
            words = _("Paused by %(who)s") % {"who": one.paused_by or _("an operator")} + _because(one)
            return Wait("player-pause", "idle", words, here, one.since_ms)
        case WaitKind.ADMISSION:
            return Wait(
                "circle-dashed", "idle", _unowned(one, _("Waits for a coordinator host")), reverse("coordinators")
            )
        case WaitKind.COORDINATOR if one.owner:
            said = {"host": shortened(one.owner), "time": duration(one.silent_ms)}
            words = _("Its coordinator %(host)s is gone: another host takes it over") % said
            if one.silent_ms:
                words = _("Its coordinator %(host)s has been silent for %(time)s: another host takes it over") % said
            return Wait("arrows-exchange", "takeover", words, reverse("coordinators"))
        case WaitKind.COORDINATOR:
            return Wait("sitemap", "waiting", _unowned(one, _("No coordinator holds it")), reverse("coordinators"))
        case WaitKind.AGENT:
            href = reverse("agent", args=[one.agent]) if one.agent else here
            return Wait("loader-2", "running", _runs(one), href, one.since_ms, beside)
        case WaitKind.QUEUE:
            return Wait("circle-dashed", "waiting", _queued(one), agents, one.since_ms, _queue_facts(one) or beside)
        case WaitKind.TYPE_PAUSED:
            said = {**moment, "who": one.paused_by or _("an operator"), "because": _because(one)}
            words = _("%(name)s waits: %(who)s has paused its type%(because)s, since") % said
            return Wait("player-pause", "waiting", words, agents, one.since_ms, _queue_facts(one))
        case WaitKind.NO_AGENT:
            return Wait("robot", "failed", _no_agent(one), agents, one.since_ms, _queue_facts(one))
        case WaitKind.BACKOFF:
            words = _("%(name)s failed at attempt %(attempt)s and is tried again") % {**moment, "attempt": one.attempt}
            return Wait("refresh", "waiting", words, here, one.until_ms, beside)
        case WaitKind.PERSON:
            who = claims.get(one.escalation_id, "")
            words = _("%(name)s waits for a person since") % moment
            if who:
                words = _("%(name)s waits for %(who)s, who has claimed it, since") % {**moment, "who": who}
            href = reverse("escalation", args=[one.escalation_id]) if one.escalation_id else here
            return Wait("user-exclamation", "human", words, href, one.since_ms)
        case WaitKind.SIGNAL:
            words = _("Waits for the signal %(name)s until") if one.until_ms else _("Waits for the signal %(name)s")
            return Wait("bell", "waiting", words % moment, here, one.until_ms, beside)
        case WaitKind.CHILD:
            href = reverse("workflow", args=[one.child_id]) if one.child_id else here
            return Wait(
                "git-fork", "waiting", _("Waits for its child %(name)s, since") % moment, href, one.since_ms, beside
            )
        case _:
            return Wait("clock-pause", "waiting", _("The timer %(name)s goes off") % moment, here, one.until_ms, beside)


def _beside(count: int) -> str:
    words = ngettext(
        "run() goes on when %(count)s other step of its gather end, too",
        "run() goes on when %(count)s other steps of its gather end, too",
        count,
    )
    return words % {"count": count}


def _because(one: WaitReason) -> str:
    return _(" (“%(reason)s”)") % {"reason": one.paused_reason} if one.paused_reason else ""


def _runs(one: WaitReason) -> str:
    said = {"name": one.name, "agent": shortened(one.agent), "attempt": one.attempt}
    if one.agent and one.attempt > 1:
        return _("%(name)s runs on %(agent)s, attempt %(attempt)s, since") % said
    if one.agent:
        return _("%(name)s runs on %(agent)s, since") % said
    if one.attempt > 1:
        return _("%(name)s runs, attempt %(attempt)s, since") % said
    return _("%(name)s runs, since") % said


def _unowned(one: WaitReason, begin: str) -> str:
    said = {"begin": begin, "count": number(one.ahead)}
    if not one.hosts:
        return _("%(begin)s, and none is alive: start one with manage.py run_coordinator") % said
    if one.full >= one.hosts:
        said["begin"] = begin = _("Waits for its turn: every coordinator host has as many workflows at work as it may")
    if one.ahead >= 1_000:
        return _("%(begin)s, %(count)s or more before it in the line") % said
    return _("%(begin)s, %(count)s before it in the line") % said if one.ahead else begin


def _queued(one: WaitReason) -> str:
    said = {"name": one.name, "agent": shortened(one.target), "count": one.able}
    if one.target:
        return _("%(name)s waits in the queue of %(agent)s, since") % said
    if one.able == 1 and one.busy >= one.able:
        return _("%(name)s waits: the only agent that can do it is busy, since") % said
    if one.able and one.busy >= one.able:
        return _("%(name)s waits: all %(count)s agents that can do it are busy, since") % said
    return _("%(name)s waits for a free agent, since") % said


def _no_agent(one: WaitReason) -> str:
    wanted = ", ".join(f"{name} {value}" for name, value in one.requires.items())
    said = {"name": one.name, "agents": counted(one.unfit, "agent"), "wanted": wanted}
    if one.unfit and wanted:
        return _("%(name)s waits: of %(agents)s for it none has %(wanted)s, since") % said
    if one.draining:
        return _("%(name)s waits: every agent that can do it is draining, since") % said
    if one.silent:
        return _("%(name)s waits: every agent that can do it is silent, since") % said
    return _("%(name)s waits: no capable agent is registered, since") % said


def _queue_facts(one: WaitReason) -> str:
    if not one.waiting:
        return ""
    words = ngettext("%(count)s task of its type waits", "%(count)s tasks of its type wait", one.waiting)
    facts = words % {"count": one.waiting}
    if one.oldest_wait_ms:
        return _("%(facts)s, the oldest for %(time)s") % {"facts": facts, "time": duration(one.oldest_wait_ms)}
    return facts
