"""The rows of a made-up history: realistic in states, types, labels and times, the same for the same number.

Rows are made from what ``dashboard.rows`` gives for a few examples, so that they have the mirror's own shape;
what differs from row to row is set afterwards.
"""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Iterator
from typing import Any

import msgspec

from coordination.domain import (
    ErrorInfo,
    EscalationSnapshot,
    EscalationState,
    Reason,
    WorkflowSnapshot,
    WorkflowState,
)
from coordination.journal import Attempt, Numbered, Settled
from dashboard.archiving import encode_journal
from dashboard.rows import escalation_values, workflow_values

DAYS = 90  # as long as a history is kept
TYPES = {
    "shipment_update": 50, "legal_review": 15, "invoice_check": 9, "ticket_triage": 8, "contract_renewal": 5,
    "document_ocr": 4, "claim_assessment": 3, "catalog_sync": 2, "risk_report": 2, "onboarding": 1, "audit_trail": 1,
}  # fmt: skip
ENDED = {WorkflowState.COMPLETED: 95.0, WorkflowState.FAILED: 3.5, WorkflowState.CANCELLED: 1.5}
LIVING = {
    WorkflowState.RUNNING: 45.0, WorkflowState.QUEUED: 25.0, WorkflowState.WAITING: 18.0,
    WorkflowState.NEEDS_HUMAN: 9.0, WorkflowState.PAUSED: 3.0,
}  # fmt: skip
LIVING_SHARE = 0.015  # the newest of them
CHILD_SHARE = 0.02
ESCALATED_SHARE = 0.02  # of all; of them one in ten is open
UNDISPOSED_SHARE = 0.05  # of those that failed
CAUSES = 80
CUSTOMERS = ("Nordwind", "Acme", "Helios", "Borealis", "Quantum", "Tessera", "Umbra", "Vertex", "Wavelet", "Zephyr")
REGIONS = ("north", "south", "east", "west")
CITIES = ("Rotterdam", "Hamburg", "Antwerp", "Valencia", "Gdansk", "Trieste", "Lisbon", "Dublin", "Oslo", "Riga")
PAGE_WORDS = ("delayed", "cleared", "departed", "arrived", "inspected", "rerouted", "loaded", "returned")

Row = dict[str, Any]


def workflows(count: int, now: dt.datetime, seed: int = 7) -> Iterator[Row]:
    """Rows of ``Workflow``, oldest first; the last share of them lives, everything before has ended."""
    chance = random.Random(seed)
    kinds, weights = list(TYPES), list(TYPES.values())
    first_living = count - int(count * LIVING_SHARE)
    step_s = DAYS * 86_400 / count
    patterns = _patterns(now)
    names = [f"wf-{chance.getrandbits(64):016x}" for _ in range(64)]  # parents are among those before
    for number in range(count):
        living = number >= first_living
        share = LIVING if living else ENDED
        state = chance.choices(list(share), list(share.values()))[0]
        kind = chance.choices(kinds, weights)[0]
        at = now - dt.timedelta(seconds=(count - number) * step_s + chance.random() * step_s)
        took_ms = int(chance.lognormvariate(7.0, 1.2))
        customer, region, city = chance.choice(CUSTOMERS), chance.choice(REGIONS), chance.choice(CITIES)
        identity = f"wf-{chance.getrandbits(64):016x}"
        reference = f"{customer[:2].upper()}-{chance.randrange(10**7):07d}"
        row = {
            **patterns[kind, state],
            "id": identity,
            "summary": f"{customer} · {region} · {reference} · {city} {chance.choice(PAGE_WORDS)} · {number % 900}",
            "labels": {"customer": customer, "region": region},
            "created_at": at,
            "started_at": None if state is WorkflowState.QUEUED else at + dt.timedelta(milliseconds=40),
            "updated_at": at + dt.timedelta(milliseconds=took_ms),
            "parent_id": names[number % 64] if chance.random() < CHILD_SHARE else "",
            "disposed_generation": None,
        }
        if not living:
            row |= {"finished_at": row["updated_at"], "duration_ms": took_ms}
        if state is WorkflowState.FAILED and chance.random() > UNDISPOSED_SHARE:
            row["disposed_generation"] = 0
        if state is WorkflowState.RUNNING:
            row |= {"owner": f"coordinator-{number % 4}-5f3a9c", "retrying": int(chance.random() < 0.05)}
        names[chance.randrange(64)] = identity
        yield row


def _patterns(now: dt.datetime) -> dict[tuple[str, WorkflowState], Row]:
    error = ErrorInfo("ValueError", "the carrier did not answer within 30 s", retryable=False)
    made = {}
    for kind in TYPES:
        for state in (*ENDED, *LIVING):
            done = 4 if state is WorkflowState.COMPLETED else 2
            snapshot = WorkflowSnapshot(
                id="x", type=kind, version=1, state=state, seq=9, epoch=1, steps_total=4, steps_done=done,
                error=error if state is WorkflowState.FAILED else None, created_ms=1,
                open_escalations=int(state is WorkflowState.NEEDS_HUMAN),
            )  # fmt: skip
            made[kind, state] = workflow_values(snapshot, now)
    return made


def archives(rows: Iterator[Row]) -> Iterator[Row]:
    """Rows of ``WorkflowArchive`` for rows of ``Workflow``."""
    document = msgspec.json.encode({"text": "the quick brown fox jumps over the lazy dog " * 2}).decode()
    journal = encode_journal(_journal(document.encode()))
    for row in rows:
        ended = row["finished_at"] is not None
        yield {
            "workflow_id": row["id"],
            "input": json.dumps({"text": row["summary"], "body": document}),
            "result": document if ended else "",
            "error": "",
            "journal": journal if ended else None,
        }


def _journal(value: bytes) -> list[Numbered]:
    found: list[Numbered] = []
    for step, name in enumerate(("classify", "extract", "validate", "summarize"), 1):
        asked = Attempt(str(step), 0, 1, 0, name, b"0123456789abcdef", value)
        for entry in (asked, Settled(str(step), 0, 1, "worker-1-5f3a9c", 1_790_000_000_000, value)):
            found.append(Numbered(len(found) + 1, 1_790_000_000_000 + len(found), entry))
    return found


def escalations(count: int, now: dt.datetime, seed: int = 7) -> Iterator[Row]:
    """Rows of ``Escalation`` for a history of so many workflows: one in ten is open, the newest of them."""
    chance = random.Random(seed)
    many = int(count * ESCALATED_SHARE)
    kinds, reasons = list(TYPES), list(Reason)
    patterns = []
    for cause in range(CAUSES):
        error = ErrorInfo("CarrierError", f"carrier {CITIES[cause % 10]} refused the {PAGE_WORDS[cause % 8]} note")
        snapshot = EscalationSnapshot(
            id="x", workflow_id="x", workflow_type=kinds[cause % len(kinds)], step="2", task_type=f"task_{cause}",
            reason=reasons[cause % len(reasons)], state=EscalationState.OPEN, errors=[error], attempts=4,
            input={"text": "the quick brown fox"}, opened_ms=1, question="May this be shipped?",
        )  # fmt: skip
        patterns.append(escalation_values(snapshot, now))
    step_s = DAYS * 86_400 / many if many else 0
    for number in range(many):
        waits = number >= many - many // 10
        at = now - dt.timedelta(seconds=(many - number) * step_s)
        if waits:  # what is open was opened in the last two days
            at = now - dt.timedelta(seconds=(many - number) * 2 * 86_400 / (many // 10))
        workflow_id = f"wf-{chance.getrandbits(64):016x}"
        row = {
            **patterns[min(int(chance.expovariate(0.08)), CAUSES - 1)],
            "id": f"{workflow_id}~2~1",
            "workflow_id": workflow_id,
            "opened_at": at,
            "claimed_by_id": None,
            "claimed_until": None,
            "disposition": "",
        }
        if not waits:
            row |= {
                "state": EscalationState.RESOLVED.value, "version": 2, "resolved_at": at + dt.timedelta(hours=1),
                "action": "retry", "resolved_by": "operator", "outcome": "succeeded", "disposition": "resolved",
            }  # fmt: skip
        yield row
