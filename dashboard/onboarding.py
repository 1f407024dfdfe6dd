"""How an agent that speaks A2A joins: its card is read, shown against what is registered, tried, and then activated.

Nothing is kept between these steps: a signed draft goes to the person and comes back. It says what would be
registered, over what, for whom, and which call it has answered; so what is activated is what was seen and tried.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from asgiref.sync import async_to_sync
from django.core import signing
from django.http import HttpRequest
from django.utils.translation import gettext as _

from agents import addresses, cards, trials
from coordination import client as core
from coordination.config import current
from coordination.connection import Connection
from coordination.domain import RemoteAgent
from coordination.errors import AgentError, BadRequest
from dashboard import audit, operations
from dashboard.api import limits
from dashboard.differences import Line, lines
from dashboard.redaction import redact

DRAFT_S = 900
LONGEST_TRY_S = 30.0
_SALT = "ganglion.onboarding"


class CardFault(BadRequest):
    """A card cannot be read, or its agent cannot be called; says why."""

    code = "card_fault"


class DraftRefused(BadRequest):
    """A draft is too old, was made for somebody else, or does not fit to what is registered by now."""

    code = "draft_refused"


class _Draft(msgspec.Struct, frozen=True):
    remote: RemoteAgent
    user: int
    over: str  # digest of what was registered under the name, "" for nothing
    tried: str = ""  # the task type of the call that was answered


class Proposal(msgspec.Struct, frozen=True):
    """What would be registered."""

    remote: RemoteAgent
    registered: RemoteAgent | None  # under this name now
    changes: list[Line]
    warnings: list[str]
    draft: str  # signed, good for ``DRAFT_S``
    description: str = ""


class Tried(msgspec.Struct, frozen=True):
    """A call that was answered."""

    output: Any
    took_ms: int
    proposal: Proposal


def propose(
    user: Any, url: str, *, name: str = "", concurrency: int | None = None, timeout_s: float | None = None
) -> Proposal:
    """Read a card and say what it would change; nothing is registered.

    Raises:
        CardFault: The address is refused or does not answer, or holds no card that can be used.
        TooManyCalls: This person has read too many in this minute.
    """
    limits.check(f"submit:{user.pk}", operations.SUBMITS_PER_MINUTE)
    try:
        where, card = async_to_sync(cards.fetch)(current(), url.strip())
        remote = cards.definition(where, card)
        async_to_sync(addresses.check)(remote.url, addresses.Policy.of(current()))
    except AgentError as error:
        raise CardFault(str(error)) from None
    wishes = {"name": name.strip(), "concurrency": concurrency, "timeout_s": timeout_s}
    remote = msgspec.structs.replace(remote, **{field: value for field, value in wishes.items() if value})
    return _proposal(user, remote, card)


def attempt(user: Any, draft: str, task_type: str, payload: Any, request: HttpRequest | None = None) -> Tried:
    """Let a gateway call the agent of a draft once; the draft of the answer can be activated.

    Raises:
        CardFault: It failed; says how.
        DraftRefused: The draft does not hold.
        TooManyCalls: This person has tried too much in this minute.
    """
    limits.check(f"submit:{user.pk}", operations.SUBMITS_PER_MINUTE)
    held = _load(user, draft)
    if task_type not in held.remote.types:
        raise CardFault(
            _("%(remote)s has no task type %(task_type)s.") % {"remote": held.remote.name, "task_type": repr(task_type)}
        )
    audit.record(
        user, "remote_agent.try", ("remote_agent", held.remote.name), after={"type": task_type}, request=request
    )
    limited = msgspec.structs.replace(held.remote, timeout_s=min(held.remote.timeout_s, LONGEST_TRY_S))
    try:
        answer = async_to_sync(_tried)(limited, task_type, payload)
    except AgentError as error:
        raise CardFault(str(error)) from None
    output = msgspec.json.decode(answer.output)
    return Tried(redact(output), answer.took_ms, _proposal(user, held.remote, tried=task_type))


async def _tried(remote: RemoteAgent, task_type: str, payload: Any) -> trials.Answer:
    async with await Connection.open(current()) as connection:
        return await trials.ask(connection, remote, task_type, payload)


def reopen(user: Any, draft: str) -> Proposal:
    """The proposal of a draft once more.

    Raises:
        DraftRefused: The draft does not hold.
    """
    held = _load(user, draft)
    return _proposal(user, held.remote, tried=held.tried)


def activate(user: Any, draft: str, request: HttpRequest | None = None) -> RemoteAgent:
    """Register what was seen and has answered a call; gateways run its tasks from now on.

    Raises:
        BadRequest: A field does not fit, or the address is no longer allowed.
        DraftRefused: The draft does not hold, or its agent has answered no call yet.
    """
    held = _load(user, draft)
    if not held.tried:
        raise DraftRefused(_("%(remote)s has answered no call yet. Try it first.") % {"remote": held.remote.name})
    operations.register_remote(user, held.remote, request)
    return held.remote


def _proposal(user: Any, remote: RemoteAgent, card: cards.Card | None = None, tried: str = "") -> Proposal:
    now = _registered(remote.name)
    held = _Draft(remote, user.pk, _digest(now), tried)
    return Proposal(
        remote=remote,
        registered=now,
        changes=lines(_shown(now), _shown(remote)),
        warnings=_warnings(remote, card),
        draft=signing.dumps(msgspec.to_builtins(held), salt=_SALT, compress=True),
        description=card.description[:500] if card else "",
    )


def _warnings(remote: RemoteAgent, card: cards.Card | None) -> list[str]:
    found = []
    if card is not None and card.wants_credentials:
        found.append(_("The card asks for credentials. A gateway sends none; the agent may refuse every call."))
    others = {
        name: agent.name
        for agent in core.sync().inspect.agents()
        for name in agent.types
        if name in remote.types and agent.remote != remote.name
    }
    words = _("%(type)s is also done by %(who)s: both take tasks from its queue.")
    found += [words % {"type": name, "who": who} for name, who in sorted(others.items())]
    return found


def _registered(name: str) -> RemoteAgent | None:
    return next((one for one in core.sync().inspect.remote_agents() if one.name == name), None)


def _digest(remote: RemoteAgent | None) -> str:
    return hashlib.sha256(msgspec.json.encode(remote, order="sorted")).hexdigest() if remote else ""


def _shown(remote: RemoteAgent | None) -> Any:
    if remote is None:
        return None
    return redact(msgspec.to_builtins(msgspec.structs.replace(remote, registered_by="")))


def _load(user: Any, draft: str) -> _Draft:
    try:
        held = msgspec.convert(signing.loads(draft, salt=_SALT, max_age=DRAFT_S), _Draft)
    except (signing.BadSignature, msgspec.ValidationError):
        raise DraftRefused(_("This draft is older than 15 minutes, or not one of ours. Read the card again.")) from None
    if held.user != user.pk:
        raise DraftRefused(_("This draft was made for somebody else. Read the card yourself."))
    if held.over != _digest(_registered(held.remote.name)):
        raise DraftRefused(
            _("%(remote)s was registered or changed meanwhile. Read the card again.") % {"remote": held.remote.name}
        )
    return held
