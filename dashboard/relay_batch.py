"""Events of many workflows, folded into the set of objects that changed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from dashboard.models import HostEvent
from dashboard.rows import at

Entries = list[tuple[bytes, list[bytes] | None]]


@dataclass(slots=True)
class Batch:
    """What a read of the event streams amounts to: which objects changed, and what to acknowledge."""

    workflows: set[str] = field(default_factory=set)
    escalations: set[str] = field(default_factory=set)
    hosts: list[HostEvent] = field(default_factory=list)
    entries: dict[str, list[bytes]] = field(default_factory=dict)  # stream -> entry ids
    events: int = 0

    def __bool__(self) -> bool:
        return self.events > 0

    def add(self, stream: str, entries: Entries, host_stream: str) -> None:
        """Fold in the entries of one stream; what cannot be read is only acknowledged."""
        ids = self.entries.setdefault(stream, [])
        for entry_id, fields in entries:
            ids.append(entry_id)
            self.events += 1
            if not fields:
                continue  # deleted while it was pending
            if stream == host_stream:
                self.hosts.append(_host_event(entry_id, fields))
                continue
            # The common case is the first field; looking there first keeps this loop short.
            if fields[0] == b"w":
                self.workflows.add(fields[1].decode())
            if len(fields) > 8 or fields[0] != b"w":
                values = dict(zip(fields[::2], fields[1::2], strict=False))
                if workflow := values.get(b"w"):
                    self.workflows.add(workflow.decode())
                if escalation := values.get(b"x"):
                    self.escalations.add(escalation.decode())

    def add_reply(self, reply: Any, host_stream: str) -> None:
        """Fold in what XREADGROUP returned."""
        for stream, entries in _streams(reply):
            self.add(stream, entries, host_stream)


def _streams(reply: Any) -> Iterable[tuple[str, Entries]]:
    if not reply:
        return
    pairs = reply.items() if isinstance(reply, dict) else reply
    for stream, entries in pairs:
        yield stream.decode(), entries


def _host_event(entry_id: bytes, fields: list[bytes]) -> HostEvent:
    values = {name.decode(): value.decode() for name, value in zip(fields[::2], fields[1::2], strict=False)}
    name = entry_id.decode()

    def number(key: str) -> int:
        text = values.get(key, "0")
        return int(float(text)) if text.replace(".", "", 1).isdigit() else 0

    return HostEvent(
        id=name[:40],
        at=at(number("t") or int(name.partition("-")[0])) or dt.datetime.now(dt.UTC),
        kind=values.get("k", "")[:16],
        host=values.get("host", "")[:80],
        by=values.get("by", "")[:80],
        workflows=number("workflows"),
        silent_ms=number("silent_ms"),
        took_ms=number("took_ms"),
        taken=_taken(values.get("taken", "")),
    )


def _taken(text: str) -> list[tuple[str, int, int]]:
    """The workflows of a takeover as its host told them."""
    try:
        return msgspec.json.decode(text, type=list[tuple[str, int, int]])
    except msgspec.MsgspecError:
        return []
