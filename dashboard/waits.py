"""Why a workflow stands where it stands, in one sentence for each thing that its steps wait for, with a link to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from django.urls import reverse
from django.utils.http import urlencode

from coordination.waiting import WaitKind, WaitReason
from dashboard.wording import duration, shortened


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
    return first._replace(more=f"{len(group)} steps{f'; {first.more}' if first.more else ''}")


def _sentence(one: WaitReason, here: str, claims: Mapping[str, str]) -> Wait:
    beside = (
        f"run() goes on when {_counted(len(one.upstream), 'other step')} of its gather end, too" if one.upstream else ""
    )
    agents = f"{reverse('agents')}#{one.name}"
    match one.kind:
        case WaitKind.PAUSED:
            because = f" (“{one.paused_reason}”)" if one.paused_reason else ""
            return Wait(
                "player-pause", "idle", f"Paused by {one.paused_by or 'an operator'}{because}", here, one.since_ms
            )
        case WaitKind.ADMISSION:
            return Wait("circle-dashed", "idle", _unowned(one, "Waits for a coordinator host"), reverse("coordinators"))
        case WaitKind.COORDINATOR if one.owner:
            silent = f"has been silent for {duration(one.silent_ms)}" if one.silent_ms else "is gone"
            words = f"Its coordinator {shortened(one.owner)} {silent}: another host takes it over"
            return Wait("arrows-exchange", "takeover", words, reverse("coordinators"))
        case WaitKind.COORDINATOR:
            return Wait("sitemap", "waiting", _unowned(one, "No coordinator holds it"), reverse("coordinators"))
        case WaitKind.AGENT:
            who = f" on {shortened(one.agent)}" if one.agent else ""
            tries = f", attempt {one.attempt}" if one.attempt > 1 else ""
            href = reverse("agent", args=[one.agent]) if one.agent else here
            return Wait("loader-2", "running", f"{one.name} runs{who}{tries}, since", href, one.since_ms, beside)
        case WaitKind.QUEUE:
            return Wait("circle-dashed", "waiting", _queued(one), agents, one.since_ms, _queue_facts(one) or beside)
        case WaitKind.TYPE_PAUSED:
            because = f" (“{one.paused_reason}”)" if one.paused_reason else ""
            words = f"{one.name} waits: {one.paused_by or 'an operator'} has paused its type{because}, since"
            return Wait("player-pause", "waiting", words, agents, one.since_ms, _queue_facts(one))
        case WaitKind.NO_AGENT:
            return Wait("robot", "failed", _no_agent(one), agents, one.since_ms, _queue_facts(one))
        case WaitKind.BACKOFF:
            words = f"{one.name} failed at attempt {one.attempt} and is tried again"
            return Wait("refresh", "waiting", words, here, one.until_ms, beside)
        case WaitKind.PERSON:
            who = claims.get(one.escalation_id, "")
            words = f"{one.name} waits for {who}, who has claimed it," if who else f"{one.name} waits for a person"
            href = reverse("escalation", args=[one.escalation_id]) if one.escalation_id else here
            return Wait("user-exclamation", "human", f"{words} since", href, one.since_ms)
        case WaitKind.SIGNAL:
            limit = " until" if one.until_ms else ""
            return Wait("bell", "waiting", f"Waits for the signal {one.name}{limit}", here, one.until_ms, beside)
        case WaitKind.CHILD:
            href = reverse("workflow", args=[one.child_id]) if one.child_id else here
            return Wait("git-fork", "waiting", f"Waits for its child {one.name}, since", href, one.since_ms, beside)
        case _:
            return Wait("clock-pause", "waiting", f"The timer {one.name} goes off", here, one.until_ms, beside)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _unowned(one: WaitReason, begin: str) -> str:
    if not one.hosts:
        return f"{begin}, and none is alive: start one with manage.py run_coordinator"
    ahead = f", {one.ahead:,}{' or more' if one.ahead >= 1_000 else ''} before it in the line" if one.ahead else ""
    return f"{begin}{ahead}"


def _queued(one: WaitReason) -> str:
    if one.target:
        return f"{one.name} waits in the queue of {shortened(one.target)}, since"
    if one.able and one.busy >= one.able:
        who = "the only agent that can do it is" if one.able == 1 else f"all {one.able} agents that can do it are"
        return f"{one.name} waits: {who} busy, since"
    return f"{one.name} waits for a free agent, since"


def _no_agent(one: WaitReason) -> str:
    wanted = ", ".join(f"{name} {value}" for name, value in one.requires.items())
    if one.unfit and wanted:
        return f"{one.name} waits: of {_counted(one.unfit, 'agent')} for it none has {wanted}, since"
    if one.draining:
        return f"{one.name} waits: every agent that can do it is draining, since"
    if one.silent:
        return f"{one.name} waits: every agent that can do it is silent, since"
    return f"{one.name} waits: no capable agent is registered, since"


def _queue_facts(one: WaitReason) -> str:
    if not one.waiting:
        return ""
    oldest = f", the oldest for {duration(one.oldest_wait_ms)}" if one.oldest_wait_ms else ""
    return f"{_counted(one.waiting, 'task')} of its type wait{'s' if one.waiting == 1 else ''}{oldest}"
