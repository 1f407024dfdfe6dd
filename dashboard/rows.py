"""Rows of the history made from what Redis holds: plain values, in one place for relay and pages."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from typing import Any

import msgspec

from coordination.domain import Action, EscalationSnapshot, EscalationState, Reason, WorkflowSnapshot
from dashboard.redaction import is_secret_name, redact, redact_text

SUMMARY_CHARS = 300


def at(ms: int) -> dt.datetime | None:
    """Milliseconds since the epoch as an aware time; 0 is none."""
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC) if ms else None


def workflow_values(
    snapshot: WorkflowSnapshot, now: dt.datetime, *, is_clean: bool = False, is_known: bool = False
) -> dict[str, Any]:
    """The columns of a ``Workflow`` row.

    Args:
        snapshot: As Redis holds it.
        now: When it was read.
        is_clean: Nothing of it has anything to take out.
        is_known: There is a row, so what never changes is left empty.
    """
    created = at(snapshot.created_ms) or now
    error = f"{snapshot.error.kind}: {snapshot.error.message}" if snapshot.error else ""
    progress, labels = snapshot.progress, snapshot.labels
    if not is_clean:
        error, progress, labels = redact_text(error), redact_text(progress), redact(labels)
    return {
        "id": snapshot.id,
        "type": snapshot.type[:80],
        "version": snapshot.version,
        "state": snapshot.state.value,
        "generation": snapshot.generation,
        "seq": snapshot.seq,
        "epoch": snapshot.epoch,
        "owner": snapshot.owner[:80],
        "summary": "" if is_known else summarise(snapshot.input, snapshot.labels, is_clean=is_clean),
        "error": error[:500],
        "steps_total": snapshot.steps_total,
        "steps_done": snapshot.steps_done,
        "retrying": snapshot.retrying,
        "open_escalations": snapshot.open_escalations,
        "progress": progress[:200],
        "parent_id": snapshot.parent_id,
        "labels": {} if is_known else labels,
        "cancel_requested": snapshot.cancel_requested,
        "created_at": created,
        "started_at": at(snapshot.started_ms),
        "finished_at": at(snapshot.finished_ms),
        "deadline_at": at(snapshot.deadline_ms),
        "duration_ms": max(0, snapshot.finished_ms - snapshot.created_ms) if snapshot.finished_ms else None,
        "updated_at": now,
    }


def summarise(value: Any, labels: dict[str, str] | None = None, *, is_clean: bool = False) -> str:
    """An input in a few words: its short values, redacted, for lists and for search."""
    parts: list[str] = []
    for name, label in (labels or {}).items():
        if not is_secret_name(name):
            parts.append(str(label))
    _collect(value, parts, depth=0)
    text = " · ".join(dict.fromkeys(part for part in parts if part)).replace("\x00", "")
    return (text if is_clean else redact_text(text))[:SUMMARY_CHARS]


def _collect(value: Any, parts: list[str], depth: int) -> None:
    if len(parts) > 12 or depth > 3:
        return
    if isinstance(value, str):
        parts.append(" ".join(value[:120].split()))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        parts.append(str(value))
    elif isinstance(value, dict):
        for name, item in value.items():
            if name not in ("sha256", "media_type") and not is_secret_name(str(name)):
                _collect(item, parts, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value[:5]:
            _collect(item, parts, depth + 1)


_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|“[^”]*”|`[^`]*`")
_IDS = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b(?=\w*\d)\w{6,}\b|0x[0-9a-f]+", re.IGNORECASE)
_NUMBERS = re.compile(r"[-+]?\d[\d.,:/\-]*")


def normalise(message: str) -> str:
    """A message with everything taken out that differs between occurrences of one cause."""
    first = message.strip().partition("\n")[0]
    text = _NUMBERS.sub("#", _IDS.sub("#", _QUOTED.sub("…", first)))
    return " ".join(text.lower().split())[:300]


_FRAME = re.compile(r'File "([^"]+)", line \d+, in (\S+)')


def frame(traceback: str) -> str:
    """Where an error was raised: the innermost call's file and function; the line moves with every edit."""
    found = _FRAME.findall(traceback)
    if not found:
        return ""
    path, function = found[-1]
    return f"{path.replace(chr(92), '/').rpartition('/')[2]} {function}"


def fingerprint(snapshot: EscalationSnapshot) -> str:
    """What two escalations with the same cause have in common.

    Workflow and task type, reason, kind of error, message without what differs from case to case, frame, and the
    version of the agent: a new version that fails the same way is another cause.
    """
    error = snapshot.errors[-1] if snapshot.errors else None
    said = normalise(error.message if error else snapshot.question)
    where = [error.kind, frame(error.traceback), error.agent_version] if error else []
    cause = "\x00".join((snapshot.workflow_type, snapshot.task_type, snapshot.reason, said, *where))
    return hashlib.sha256(cause.encode()).hexdigest()[:32]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def headline(snapshot: EscalationSnapshot) -> str:
    """What failed, in words that an operator understands."""
    last = snapshot.errors[-1] if snapshot.errors else None
    said = f"{last.message}" if last and last.message else (last.kind if last else "")
    task = snapshot.task_type or snapshot.step
    match snapshot.reason:
        case Reason.HUMAN_INPUT_REQUESTED | Reason.APPROVAL_REQUIRED:
            text = snapshot.question or "The workflow asks for a decision"
        case Reason.MAX_RETRIES_EXCEEDED:
            text = (
                f"{task} failed {_times(snapshot.attempts)}: {said}"
                if said
                else f"{task} failed {_times(snapshot.attempts)}"
            )
        case Reason.FINAL_ERROR:
            text = f"{task}: {said}" if said else f"{task} failed"
        case Reason.NO_CAPABLE_AGENT:
            text = f"No capable agent for {task}"
        case Reason.WORKFLOW_CODE_CHANGED:
            text = f"The code of {snapshot.workflow_type} has changed since step {snapshot.step}"
        case Reason.COORDINATOR_CRASHED:
            text = f"{snapshot.workflow_type} crashed its coordinator"
    text = " ".join(redact_text(text).split())
    return text if len(text) <= 300 else f"{text[:299]}…"


def _first_outcome(snapshot: EscalationSnapshot) -> str:
    """What is known of a decision's effect when it is accepted; a retry still has to show what it does."""
    if snapshot.state is not EscalationState.RESOLVED:
        return ""
    match snapshot.action:
        case Action.SUPPLY | Action.SKIP:
            return "succeeded"
        case Action.FAIL:
            return "failed"
        case _:
            return "dispatched"


def escalation_values(snapshot: EscalationSnapshot, now: dt.datetime) -> dict[str, Any]:
    """The columns of an ``Escalation`` row that the relay owns."""
    return {
        "id": snapshot.id,
        "workflow_id": snapshot.workflow_id,
        "workflow_type": snapshot.workflow_type[:80],
        "step": snapshot.step[:80],
        "task_type": snapshot.task_type[:80],
        "reason": snapshot.reason.value,
        "state": snapshot.state.value,
        "version": snapshot.version,
        "fingerprint": fingerprint(snapshot),
        "headline": headline(snapshot),
        "detail": _detail(snapshot),
        "opened_at": at(snapshot.opened_ms) or now,
        "resolved_at": at(snapshot.resolved_ms),
        "action": snapshot.action[:16],
        "resolved_by": snapshot.actor[:150],
        "outcome": _first_outcome(snapshot),
    }


def _detail(snapshot: EscalationSnapshot) -> dict[str, Any]:
    """An escalation without secrets, and with its schemas whole: in them a secret's name stands for its shape."""
    bare = redact(msgspec.structs.replace(snapshot, input_schema=None, output_schema=None))
    whole = msgspec.structs.replace(bare, input_schema=snapshot.input_schema, output_schema=snapshot.output_schema)
    found: dict[str, Any] = msgspec.to_builtins(whole)
    return found
