"""Documents of workflows as the history keeps them: input, result, error and journal, without secrets.

All texts of one workflow are looked through together, and each once however often it went from step to step;
only a workflow that may hold something to take out is taken apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from coordination import journal as j
from coordination.domain import WorkflowSnapshot
from coordination.journal import Numbered, encode_archive
from dashboard.redaction import is_suspicious, redact, redact_json

_encode = msgspec.json.Encoder().encode


class Documents(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a workflow beside its row; JSON, empty for what there is not."""

    input: str
    result: str
    error: str
    journal: bytes | None  # once it has finished
    is_clean: bool  # nothing of the workflow had to be looked at more closely, its labels and progress included


def documents(snapshot: WorkflowSnapshot, journal: list[Numbered] | None) -> Documents:
    """A workflow's documents without secrets."""
    given = _json(snapshot.input)
    result = _json(snapshot.result) if snapshot.state.is_final else b""
    error = _json(snapshot.error)
    texts = {given, result, error, snapshot.progress.encode()}
    if snapshot.labels:
        texts.add(_encode(snapshot.labels))
    if journal:
        texts.update(_texts(journal))
    if is_suspicious(b"\n".join(texts)):
        blob = None if journal is None else encode_journal(journal)
        given, result, error = redact_json(given), redact_json(result), redact_json(error)
        return Documents(given.decode(), result.decode(), error.decode(), blob, False)
    blob = None if journal is None else encode_archive(journal)
    return Documents(given.decode(), result.decode(), error.decode(), blob, True)


def _json(value: Any) -> bytes:
    return b"" if value is None else _encode(value)


def _texts(entries: Iterable[Numbered]) -> Iterator[bytes]:
    """All that may hold something to take out; payloads and results as they are, so that repetitions are seen."""
    for item in entries:
        entry = item.entry
        if isinstance(entry, j.Settled):
            yield entry.value
        elif isinstance(entry, j.Attempt):
            yield entry.payload or b""
        else:
            yield j.encode(entry)


def encode_journal(entries: list[Numbered]) -> bytes:
    """A journal as the archive keeps it, without secrets."""
    return encode_archive(clean_journal(entries) if is_suspicious(b"\n".join(_texts(entries))) else entries)


def clean_journal(entries: Iterable[Numbered]) -> list[Numbered]:
    """The journal without secrets in payloads, results, messages and reasons."""
    return [_clean(item) for item in entries]


def _clean(item: Numbered) -> Numbered:
    entry = item.entry
    changes: dict[str, Any] = {}
    for name in entry.__struct_fields__:
        old = getattr(entry, name)
        new: Any = old
        if isinstance(old, bytes):
            new = redact_json(old) if name != "digest" else old
        elif isinstance(old, msgspec.Struct) or (isinstance(old, str) and name in ("note", "reason", "label")):
            new = redact(old)
        if new is not old and new != old:
            changes[name] = new
    return Numbered(item.seq, item.at_ms, msgspec.structs.replace(entry, **changes)) if changes else item
