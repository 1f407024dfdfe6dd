"""A2A agent cards: fetched like a call, and read as what would be registered.

Each skill becomes a task type; the interface is the first of JSON-RPC whose version the gateway speaks.

Source: A2A protocol, agent card, versions 0.3 and 1.0; docs/agents.md has the mapping.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import msgspec

from agents.addresses import split
from agents.caller import Caller
from coordination.config import Config
from coordination.domain import RemoteAgent, RemoteSkill
from coordination.errors import FinalError

WELL_KNOWN = "/.well-known/agent-card.json"
CARD_BYTES = 262_144
CARD_S = 10.0
MOST_SKILLS = 64
_MOST_TAGS, _TAG = 16, 64
_JSON = "application/json"


class CardRefused(FinalError):
    """What was read is no card of an agent that the gateway can call."""

    code = "card_refused"


class _Interface(msgspec.Struct, rename="camel"):
    url: str = ""
    transport: str = ""  # 0.3
    protocol_binding: str = ""  # 1.0
    protocol_version: str = ""
    tenant: str = ""


class _Skill(msgspec.Struct, rename="camel"):
    id: str
    name: str = ""
    description: str = ""
    tags: list[str] = []
    input_modes: list[str] | None = None


class Card(msgspec.Struct, rename="camel"):
    """The parts of an agent card that matter for calling it."""

    name: str
    description: str = ""
    version: str = ""
    protocol_version: str = ""  # 0.3
    url: str = ""  # 0.3
    preferred_transport: str = ""  # 0.3; JSONRPC when it is left out
    additional_interfaces: list[_Interface] = []
    supported_interfaces: list[_Interface] = []  # 1.0
    default_input_modes: list[str] = []
    skills: list[_Skill] = []
    security: list[dict[str, object]] = []  # 0.3
    security_requirements: list[dict[str, object]] = []  # 1.0

    @property
    def wants_credentials(self) -> bool:
        """Whether it may answer only to those who show credentials, which the gateway has none of."""
        return bool(self.security or self.security_requirements)


_decode = msgspec.json.Decoder(Card).decode


def address_of(url: str) -> str:
    """The address of a card: as it is given when it names a document, else the well-known one of the host."""
    split(url)  # refuses what is no plain web address
    parts = urlsplit(url)
    if parts.path.endswith(".json"):
        return url
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}{WELL_KNOWN}"


async def fetch(config: Config, url: str) -> tuple[str, Card]:
    """Read the card at an address; returns where it was, and the card.

    Raises:
        AgentError: The address is refused or does not answer, or what it answers is no card.
    """
    where = address_of(url)
    async with Caller(config) as caller:
        status, raw = await caller.fetch(where, CARD_BYTES, CARD_S)
    if status != 200:
        raise CardRefused(f"{where} answered {status}. Paste the address of the card itself, which ends in .json.")
    try:
        return where, _decode(raw)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise CardRefused(f"{where} holds no A2A agent card: {error}.") from None


def definition(where: str, card: Card) -> RemoteAgent:
    """What would be registered for a card.

    Raises:
        CardRefused: No interface can be called, or its skills cannot be told apart.
    """
    url, protocol = _interface(card)
    skills = _skills(card)
    return RemoteAgent(
        name=_slug(card.name, "a2a-agent"),
        url=url,
        types=list(skills),
        protocol=protocol,
        card_url=where,
        version=card.version[:40],
        skills=skills,
    )


def _interface(card: Card) -> tuple[str, str]:
    offered = list(card.supported_interfaces)
    if card.url:
        offered.append(_Interface(card.url, card.preferred_transport or "JSONRPC", "", card.protocol_version))
    offered += card.additional_interfaces
    for one in offered:
        spoken = (one.protocol_version or card.protocol_version or "0.3").split(".")
        protocol = "a2a/1.0" if spoken[0] == "1" else "a2a/0.3" if spoken[:2] in (["0", "3"], ["0", "2"]) else ""
        if protocol and not one.tenant and "JSONRPC" in (one.protocol_binding, one.transport):
            return one.url, protocol
    names = ", ".join(sorted({one.protocol_binding or one.transport or "nameless" for one in offered})) or "none"
    raise CardRefused(f"{card.name!r} offers no JSON-RPC interface of A2A 0.3 or 1.0 without a tenant, but: {names}.")


def _skills(card: Card) -> dict[str, RemoteSkill]:
    if len(card.skills) > MOST_SKILLS:
        raise CardRefused(f"{card.name!r} has {len(card.skills)} skills; {MOST_SKILLS} can be registered at most.")
    found: dict[str, RemoteSkill] = {}
    for skill in card.skills or [_Skill(card.name)]:
        task_type = _slug(skill.id, "").lower()
        if not task_type or task_type in found:
            raise CardRefused(f"The skill {skill.id[:80]!r} makes no task type of its own.")
        modes = skill.input_modes if skill.input_modes is not None else card.default_input_modes
        tags = list(dict.fromkeys(tag[:_TAG] for tag in skill.tags[:_MOST_TAGS] if tag))
        found[task_type] = RemoteSkill(skill.id[:200], tags, text=bool(modes) and not _takes_json(modes))
    return found


def _takes_json(modes: list[str]) -> bool:
    return any(mode in (_JSON, "*/*", "application/*", "data") for mode in modes)


def _slug(name: str, otherwise: str) -> str:
    """A name in letters, digits, '_', '.' and '-', that begins with a letter."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", name.strip()).strip("_.-")
    return re.sub(r"^[^A-Za-z]+", "", plain)[:64] or otherwise
