"""Fills an empty history with made-up work, awkward pieces included, for looking at pages and for their tests."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from coordination import journal as j
from coordination.domain import ErrorInfo, EscalationSnapshot, EscalationState, Reason, WorkflowSnapshot, WorkflowState
from dashboard.models import Escalation, HostEvent, Sample, Workflow, WorkflowArchive
from dashboard.rows import escalation_values, workflow_values

AGENTS = ("extract-7c1f.1", "validate-19ab.1", "classify-02de.1")
FACTS_SCHEMA: dict[str, Any] = {
    "$ref": "#/$defs/Facts",
    "$defs": {
        "Party": {
            "type": "object",
            "title": "Party",
            "required": ["name"],
            "properties": {"name": {"type": "string"}, "role": {"enum": ["buyer", "seller", "landlord", "tenant"]}},
        },
        "Facts": {
            "type": "object",
            "title": "Facts",
            "required": ["effective_date", "governing_law", "parties"],
            "properties": {
                "effective_date": {
                    "type": "string",
                    "format": "date",
                    "description": "The day the contract takes effect.",
                },
                "governing_law": {"type": "string"},
                "parties": {"type": "array", "items": {"$ref": "#/$defs/Party"}},
                "amount": {"anyOf": [{"type": "number", "minimum": 0}, {"type": "null"}], "default": None},
                "signed": {"type": "boolean", "default": False},
                "notes": {"type": "string", "maxLength": 2000, "default": ""},
            },
        },
    },
}
INPUT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["carrier", "line"],
    "properties": {
        "carrier": {"enum": ["norline", "parcelway", "sealink"]},
        "line": {"type": "string", "description": "The row as the carrier sent it."},
        "row": {"type": "integer", "minimum": 1},
    },
}


class Command(BaseCommand):
    """``manage.py seed_demo --workflows 200 --escalations 40``; into an empty history unless told otherwise."""

    help = "Fill an empty history with made-up workflows and escalations."

    def add_arguments(self, parser: CommandParser) -> None:
        """How much."""
        parser.add_argument("--workflows", type=int, default=200)
        parser.add_argument("--escalations", type=int, default=40)
        parser.add_argument("--beside", action="store_true", help="write although the history is not empty")
        parser.add_argument("--plain", action="store_true", help="leave out the awkward pieces, for pictures")
        parser.add_argument("--seed", type=int, default=7)

    def handle(self, *args: Any, **options: Any) -> None:
        """Write it."""
        if Workflow.objects.exists() and not options["beside"]:
            self.stderr.write("The history is not empty; nothing was written.")
            return
        seed(options["workflows"], options["escalations"], random.Random(options["seed"]), plain=options["plain"])


def seed(workflows: int, escalations: int, dice: random.Random, *, plain: bool = False) -> None:
    """Write workflows, their archives, escalations, samples and host events."""
    now = timezone.now()
    rows, archives = [], []
    for index in range(workflows):
        row, archive = _ordinary(index, now, dice)
        rows.append(row)
        archives.append(archive)
    for row, archive in (_long(now),) if plain else (_long(now), _awkward(now)):
        rows.append(row)
        archives.append(archive)
    Workflow.objects.bulk_create(rows)
    WorkflowArchive.objects.bulk_create(archives)
    Escalation.objects.bulk_create([_escalation(index, now, dice, plain) for index in range(escalations)])
    Sample.objects.bulk_create(_samples(now, dice))
    HostEvent.objects.bulk_create(
        [
            HostEvent(id="1-0", at=now - dt.timedelta(hours=3), kind="started", host="coordinator-1.4f2a"),
            HostEvent(id="2-0", at=now - dt.timedelta(hours=3), kind="started", host="coordinator-2.9be1"),
            HostEvent(
                id="3-0",
                at=now - dt.timedelta(minutes=21),
                kind="lost",
                host="coordinator-2.9be1",
                by="coordinator-1.4f2a",
                workflows=187,
                silent_ms=812,
                took_ms=340,
            ),
        ]
    )


def _ms(moment: dt.datetime) -> int:
    return int(moment.timestamp() * 1000)


def _pack(snapshot: WorkflowSnapshot, entries: list[j.Numbered]) -> tuple[Workflow, WorkflowArchive]:
    moment = dt.datetime.fromtimestamp((snapshot.finished_ms or snapshot.created_ms) / 1000, dt.UTC)
    row = Workflow(**workflow_values(snapshot, moment))
    archive = WorkflowArchive(
        workflow=row,
        input=msgspec.json.encode(snapshot.input).decode(),
        result="" if snapshot.result is None else msgspec.json.encode(snapshot.result).decode(),
        error="" if snapshot.error is None else msgspec.json.encode(snapshot.error).decode(),
        journal=j.encode_archive(entries),
    )
    return row, archive


class _Story:
    """A journal under construction."""

    def __init__(self, begin: dt.datetime) -> None:
        self.at_ms = _ms(begin)
        self.entries: list[j.Numbered] = []

    def add(self, entry: j.AnyEntry, later_ms: int = 0) -> None:
        self.at_ms += later_ms
        self.entries.append(j.Numbered(len(self.entries) + 1, self.at_ms, entry))

    def task(self, step: str, kind: str, took_ms: int, failures: int = 0, wait_ms: int = 40) -> None:
        payload = msgspec.json.encode({"document": "lease-harbour-12.pdf", "page": 1})
        for number in range(1, failures + 2):
            self.add(j.Attempt(step, 0, number, 0, kind, b"", payload if number == 1 else None), 20)
            claimed = self.at_ms + wait_ms
            if number <= failures:
                error = ErrorInfo("ConnectionError", "the model server closed the connection")
                self.add(j.Erred(step, 0, number, AGENTS[0], claimed, error), wait_ms + took_ms)
            else:
                value = msgspec.json.encode({"kind": "lease", "score": 0.97})
                self.add(j.Settled(step, 0, number, AGENTS[number % 3], claimed, value), wait_ms + took_ms)


# type, its tasks, and an input of it
KINDS: tuple[tuple[str, tuple[str, str, str, str], Callable[[int, random.Random], dict[str, Any]]], ...] = (
    (
        "legal_review", ("classify", "extract", "validate", "summarize"),
        lambda index, dice: {"name": f"contract-{index:04d}.pdf", "pages": dice.randint(1, 40)},
    ),
    (
        "shipment_update", ("parse", "match", "estimate", "notify"),
        lambda index, dice: {
            "carrier": dice.choice(["norline", "sealink", "parcelway"]), "tracking": f"NL{dice.randint(10**7, 10**8)}",
            "status": dice.choice(["departed", "at hub", "out for delivery", "delivered"]),
        },
    ),
    (
        "invoice_check", ("read", "find_order", "compare", "post"),
        lambda index, dice: {"supplier": dice.choice(["Aalto", "Brandt KG", "Nakamura"]), "invoice": 48_000 + index},
    ),
    (
        "claim_triage", ("read", "assess_photos", "check_policy", "reply"),
        lambda index, dice: {"claim": f"C-{20_000 + index}", "photos": dice.randint(1, 9)},
    ),
)  # fmt: skip
MIX = (0, 1, 0, 1, 1, 2, 0, 1, 3)  # which kind comes how often


def _ordinary(index: int, now: dt.datetime, dice: random.Random) -> tuple[Workflow, WorkflowArchive]:
    begin = now - dt.timedelta(seconds=index * 37 + dice.random() * 20)
    story = _Story(begin)
    kind, (first, left, right, last), given = KINDS[MIX[index % len(MIX)]]
    story.task("1", first, dice.randint(40, 300))
    forked = story.at_ms
    story.task("2.0.1", left, dice.randint(200, 900), failures=index % 7 == 3)
    story.at_ms = forked
    story.task("2.1.1", right, dice.randint(100, 700))
    if index % 11 == 4:
        story.add(j.TakenUp(2, "coordinator-1.4f2a", "coordinator-2.9be1", "takeover"), 200)
    story.task("3", last, dice.randint(100, 400))
    state = WorkflowState.FAILED if index % 13 == 5 else WorkflowState.COMPLETED
    error = ErrorInfo("StepFailed", f"{last} was given up by an operator") if state is WorkflowState.FAILED else None
    story.add(j.Finished(state.value, error), 5)
    snapshot = WorkflowSnapshot(
        id=f"{index:04x}{dice.getrandbits(80):020x}",
        type=kind,
        version=1,
        state=state,
        seq=len(story.entries),
        epoch=1 + (index % 11 == 4),
        input=given(index, dice),
        error=error,
        result={"summary": "Nothing is missing."} if state is WorkflowState.COMPLETED else None,
        steps_total=4,
        steps_done=4,
        created_ms=_ms(begin),
        started_ms=_ms(begin) + 8,
        finished_ms=story.at_ms,
    )
    return _pack(snapshot, story.entries)


def _long(now: dt.datetime) -> tuple[Workflow, WorkflowArchive]:
    """Five hundred steps, a hundred of them side by side."""
    story = _Story(now - dt.timedelta(hours=1))
    for index in range(100):
        story.task(f"1.{index}.1", "extract", 30 + index % 50, wait_ms=5)
    for index in range(2, 402):
        story.task(
            str(index), ("parse", "match", "estimate", "notify")[index % 4], 20 + index % 90, failures=index % 60 == 0
        )
    story.add(j.Finished("completed"), 5)
    snapshot = WorkflowSnapshot(
        id="five-hundred-steps",
        type="archive_migration",
        version=3,
        state=WorkflowState.COMPLETED,
        seq=len(story.entries),
        epoch=1,
        input={"shelf": "A-17"},
        result={"moved": 500},
        steps_total=500,
        steps_done=500,
        created_ms=_ms(now - dt.timedelta(hours=1)),
        started_ms=_ms(now - dt.timedelta(hours=1)),
        finished_ms=story.at_ms,
    )
    return _pack(snapshot, story.entries)


def _awkward(now: dt.datetime) -> tuple[Workflow, WorkflowArchive]:
    """A script tag, right-to-left text, and an error of four thousand characters."""
    story = _Story(now - dt.timedelta(minutes=3))
    payload = msgspec.json.encode(
        {"name": "<script>alert('input')</script>", "title": "عقد إيجار تجاري", "blob": "x" * 400}
    )
    story.add(j.Attempt("1", 0, 1, 0, "<b>classify</b>", b"", payload), 10)
    error = ErrorInfo(
        "ValueError",
        "<script>alert('error')</script> " + "the page could not be read; " * 140,
        retryable=False,
        traceback="Traceback (most recent call last):\n"
        + '  File "agents.py", line 12, in classify\n    read(page)\n' * 30,
    )
    story.add(j.Erred("1", 0, 1, AGENTS[2], story.at_ms + 12, error), 60)
    story.add(j.Finished("failed", error), 5)
    snapshot = WorkflowSnapshot(
        id="awkward-<script>".replace("<", "").replace(">", ""),
        type="legal_review",
        version=1,
        state=WorkflowState.FAILED,
        seq=3,
        epoch=1,
        input=msgspec.json.decode(payload),
        error=error,
        steps_total=1,
        steps_done=0,
        created_ms=_ms(now - dt.timedelta(minutes=3)),
        started_ms=_ms(now - dt.timedelta(minutes=3)),
        finished_ms=story.at_ms,
        labels={"customer": "مكتب المحاماة"},
    )
    return _pack(snapshot, story.entries)


SHARES = "PEQTSPPEPQPESPTEPPQE"  # which cause comes how often
AGE_MS = 23_000  # grows with the square: many are new, a few have waited for hours


def _escalation(index: int, now: dt.datetime, dice: random.Random, plain: bool = False) -> Escalation:
    kinds = (
        (Reason.HUMAN_INPUT_REQUESTED, "extract", "Which law governs this lease? The document names none.", None),
        (
            Reason.FINAL_ERROR,
            "parse",
            "",
            ErrorInfo(
                "BadRow",
                f"row {index} has 11 columns, 9 are expected",
                False,
                'Traceback …\n  File "agents.py", line 40\nBadRow',
                {"row": index, "expected": 9},
            ),
        ),
        (
            Reason.MAX_RETRIES_EXCEEDED,
            "estimate",
            "",
            ErrorInfo("ConnectionError", "the port calendar does not answer"),
        ),
        (Reason.NO_CAPABLE_AGENT, "translate", "", None),
        (
            Reason.FINAL_ERROR,
            "extract",
            "",
            ErrorInfo(
                "ScannedPage",
                "<script>alert('agent')</script> page 3 is a picture without text. "
                + "لا يوجد نص " * 12
                + "The scan cannot be read. " * 150,
                False,
            ),
        ),
    )
    reason, task, question, error = kinds["QPETS".index(SHARES[index % len(SHARES)])]
    if plain and error is not None and error.kind == "ScannedPage":
        error = ErrorInfo("ScannedPage", "page 3 is a picture without text", False)
    snapshot = EscalationSnapshot(
        id=f"demo{index:04d}.2.0",
        workflow_id=f"{dice.getrandbits(96):024x}",
        workflow_type="legal_review" if task in ("extract", "translate") else "shipment_update",
        step="2",
        task_type=task,
        reason=reason,
        state=EscalationState.OPEN,
        question=question,
        errors=[error] * (4 if reason is Reason.MAX_RETRIES_EXCEEDED else 1) if error else [],
        attempts=4 if error else 0,
        input={"carrier": "norline", "line": "NL9937;2026-11-02;;Rotterdam", "row": index + 1}
        if task == "parse"
        else {"name": f"lease-{index}.pdf", "pages": 12},
        input_schema=INPUT_SCHEMA if task == "parse" else None,
        output_schema=FACTS_SCHEMA if task == "extract" else None,
        opened_ms=_ms(now) - 30_000 - index * index * AGE_MS,
    )
    return Escalation(**escalation_values(snapshot, now))


def _samples(now: dt.datetime, dice: random.Random) -> list[Sample]:
    found, level = [], 60.0
    for index in range(180):
        level = max(5.0, level + dice.uniform(-9, 9))
        found.append(
            Sample(
                at=now - dt.timedelta(seconds=(180 - index) * 10),
                finished=int(level),
                p50_ms=310 + dice.uniform(-30, 60),
                p95_ms=720 + dice.uniform(-90, 240),
                queue_lag=int(max(0, dice.gauss(14, 9))),
                open_escalations=20 + index // 9,
                running=int(level * 3),
                relay_lag_ms=12,
            )
        )
    return found
