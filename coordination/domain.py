"""The words of the domain: states, transitions and frozen values.

Imports neither Redis nor Django. Times are milliseconds since the epoch by the Redis
server's clock in fields that end in ``_ms``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class WorkflowState(StrEnum):
    """Where a workflow is in its life; see docs/lifecycle.md."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"  # parked: for a timer, a signal or a child
    NEEDS_HUMAN = "needs_human"  # at least one escalation is open
    PAUSED = "paused"  # an operator holds it: nothing new begins until it is resumed
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing can change this state any more."""
        return self in FINAL_STATES


FINAL_STATES = frozenset({WorkflowState.COMPLETED, WorkflowState.FAILED, WorkflowState.CANCELLED})

_LIVE = frozenset(WorkflowState) - FINAL_STATES

TRANSITIONS: dict[WorkflowState, frozenset[WorkflowState]] = {
    WorkflowState.QUEUED: frozenset({WorkflowState.RUNNING, WorkflowState.PAUSED, WorkflowState.CANCELLED}),
    WorkflowState.RUNNING: frozenset(WorkflowState) - {WorkflowState.RUNNING},
    WorkflowState.WAITING: frozenset({*_LIVE, WorkflowState.CANCELLED}),
    WorkflowState.NEEDS_HUMAN: frozenset(
        {WorkflowState.QUEUED, WorkflowState.RUNNING, WorkflowState.PAUSED, *FINAL_STATES}
    ),
    WorkflowState.PAUSED: frozenset(
        {WorkflowState.QUEUED, WorkflowState.RUNNING, WorkflowState.NEEDS_HUMAN, *FINAL_STATES}
    ),
    **{state: frozenset() for state in FINAL_STATES},
}


class StepState(StrEnum):
    """Where a step is."""

    QUEUED = "queued"  # in an agent queue, not yet claimed
    RUNNING = "running"  # claimed by an agent
    BACKOFF = "backoff"  # failed, will be retried at next_retry_ms
    ESCALATED = "escalated"  # waits for an operator
    WAITING = "waiting"  # a timer, signal or child that has not happened yet
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class StepKind(StrEnum):
    """What a step does."""

    TASK = "task"
    TIMER = "timer"
    SIGNAL = "signal"
    HUMAN = "human"
    RECORD = "record"
    CHILD = "child"


class Reason(StrEnum):
    """Why an escalation was opened."""

    MAX_RETRIES_EXCEEDED = "max_retries_exceeded"
    FINAL_ERROR = "final_error"
    NO_CAPABLE_AGENT = "no_capable_agent"
    HUMAN_INPUT_REQUESTED = "human_input_requested"
    WORKFLOW_CODE_CHANGED = "workflow_code_changed"
    COORDINATOR_CRASHED = "coordinator_crashed"
    APPROVAL_REQUIRED = "approval_required"


class Action(StrEnum):
    """What an operator can decide about an escalation."""

    RETRY = "retry"  # the same input, with a fresh set of attempts
    EDIT = "edit"  # payload: the new input
    SUPPLY = "supply"  # payload: the step's result
    SKIP = "skip"  # payload: the default that the step returns, or nothing
    FAIL = "fail"  # the step raises StepFailed in run()
    REROUTE = "reroute"  # payload: {"agent": name} or {"requires": {capability: value}}; then as retry
    RESTART = "restart"  # payload: {"step": id}; that step and all that was asked for later begins anew


class EscalationState(StrEnum):
    """Where an escalation is."""

    OPEN = "open"
    RESOLVED = "resolved"
    WITHDRAWN = "withdrawn"  # its workflow ended without it


def storable(text: str) -> str:
    """A text that can be stored: what is no character, as in file names that are not UTF-8, is written out."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def said(error: BaseException) -> str:
    """What an exception says, as text that can be stored; nothing when it cannot even say it."""
    try:
        return storable(str(error))
    except Exception:
        return ""


class ErrorInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """A failure as it is stored and shown. Never holds more than 8 KiB of text."""

    kind: str  # exception class, or "Timeout", "Poison", "InvalidResult"
    message: str
    retryable: bool = True
    traceback: str = ""
    details: dict[str, Any] = {}
    agent_version: str = ""  # of the agent that failed, when it declares one


class AttemptView(msgspec.Struct, omit_defaults=True):
    """One attempt at a task."""

    number: int  # 1 is the first
    outcome: str = "queued"  # queued | running | succeeded | failed | timed_out | superseded | cancelled
    agent: str = ""  # the agent instance that ran it
    queued_ms: int = 0
    started_ms: int = 0  # 0: never claimed
    finished_ms: int = 0  # 0: not finished
    error: ErrorInfo | None = None


class StepView(msgspec.Struct, omit_defaults=True):
    """One step of a workflow, derived from its journal."""

    id: str  # branch path and order, as "2" or "3.0.1" (branch 0 of the gather that is step 3)
    kind: StepKind
    name: str  # the task type, signal name, question ...
    state: StepState
    attempts: list[AttemptView] = []
    input: Any = None  # decoded JSON
    output: Any = None
    error: ErrorInfo | None = None
    escalation_id: str = ""
    next_retry_ms: int = 0
    due_ms: int = 0  # a timer's
    child_id: str = ""
    generation: int = 0
    earlier: list[StepView] = []  # what it was before restarts made it begin anew, oldest first
    progress: float | None = None  # 0..1 while running
    progress_note: str = ""
    started_ms: int = 0
    finished_ms: int = 0


class WorkflowSnapshot(msgspec.Struct, omit_defaults=True):
    """A workflow as Redis holds it at one moment."""

    id: str
    type: str
    version: int
    state: WorkflowState
    generation: int = 0
    seq: int = 0
    epoch: int = 0  # how often a host has taken it up
    owner: str = ""  # the host incarnation that runs it, "" when nobody does
    input: Any = None
    result: Any = None
    error: ErrorInfo | None = None
    steps_total: int = 0
    steps_done: int = 0
    retrying: int = 0
    open_escalations: int = 0
    progress: str = ""
    parent_id: str = ""
    created_ms: int = 0
    started_ms: int = 0
    finished_ms: int = 0
    deadline_ms: int = 0
    labels: dict[str, str] = {}
    cancel_requested: bool = False
    paused_by: str = ""  # who holds it, "" when nobody does
    paused_reason: str = ""
    paused_ms: int = 0


class JournalRow(msgspec.Struct, omit_defaults=True):
    """One journal entry as shown to people."""

    seq: int
    at_ms: int
    kind: str  # attempt, succeeded, failed, timed_out, decided, signal, timer_set, timer_fired, ...
    step: str = ""
    summary: str = ""
    data: dict[str, Any] = {}


class EscalationSnapshot(msgspec.Struct, omit_defaults=True):
    """An escalation as Redis holds it."""

    id: str
    workflow_id: str
    workflow_type: str
    step: str
    task_type: str
    reason: Reason
    state: EscalationState
    version: int = 1
    question: str = ""  # what is asked, in words
    errors: list[ErrorInfo] = []  # oldest first
    attempts: int = 0
    input: Any = None
    input_schema: dict[str, Any] | None = None  # JSON Schema of the step's input
    output_schema: dict[str, Any] | None = None  # JSON Schema of the step's result, or of the answer
    opened_ms: int = 0
    resolved_ms: int = 0
    decision_id: str = ""
    action: str = ""
    actor: str = ""


class HostView(msgspec.Struct, omit_defaults=True):
    """A coordinator host as the registry holds it."""

    id: str  # the incarnation
    name: str
    alive: bool
    beat_age_ms: int
    held: int  # workflows in memory
    capacity: int
    started_ms: int
    at_work: int = 0  # of those held, the ones that move
    at_work_most: int = 0  # above which it takes up no new ones
    pid: int = 0
    machine: str = ""
    rss_bytes: int = 0
    version: str = ""
    types: list[str] = []
    takeovers: int = 0  # workflows this host has taken over from dead peers
    draining: bool = False


class TypeWork(msgspec.Struct, frozen=True, array_like=True):
    """What an instance does for one of its task types."""

    load: int = 0  # tasks running now
    p50_ms: int = 0  # of those that ended last, from claim to outcome
    p95_ms: int = 0


class AgentView(msgspec.Struct, omit_defaults=True):
    """An agent instance as the service registry holds it."""

    id: str  # the incarnation
    name: str
    alive: bool
    health: str  # works | idle | frozen (beats, but has finished nothing while busy) | silent | draining
    types: list[str]
    capabilities: dict[str, dict[str, list[str]]] = {}  # task type -> capability -> values
    schemas: dict[str, dict[str, Any]] = {}  # task type -> {"input": schema, "output": schema}
    version: str = ""
    concurrency: int = 1
    load: int = 0  # tasks running now
    running: list[dict[str, Any]] = []  # {"workflow", "step", "type", "since_ms"}
    beat_age_ms: int = 0
    last_work_ms: int = 0  # when it last completed a task, 0: never
    done: int = 0
    failed: int = 0
    p50_ms: int = 0  # of the tasks that ended last, from claim to outcome
    p95_ms: int = 0
    recent: int = 0  # how many these are, 256 at most
    errors: dict[str, int] = {}  # kinds of their failures, the most frequent ones
    work: dict[str, TypeWork] = {}  # task type -> what is done for it; those that had any lately
    started_ms: int = 0
    pid: int = 0
    machine: str = ""
    draining: bool = False
    remaining: int = 0  # while it drains: tasks it runs, and those that wait in its own queues
    remote: str = ""  # the remote agent's name, when a gateway runs it


class QueueView(msgspec.Struct, omit_defaults=True):
    """A task type's queue."""

    type: str
    waiting: int  # not yet delivered
    pending: int  # delivered, not acknowledged
    oldest_wait_ms: int = 0
    agents: int = 0
    slots: int = 0
    load: int = 0
    paused: bool = False
    paused_by: str = ""
    paused_reason: str = ""
    paused_ms: int = 0
    ramp_until_ms: int = 0  # resumed, and its slots come back until then


REMOTE_PROTOCOLS = ("a2a/0.3", "a2a/1.0")


class RemoteSkill(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a task type stands for at an agent that speaks A2A."""

    id: str
    tags: list[str] = []
    text: bool = False  # it takes text only, no JSON


class RemoteAgent(msgspec.Struct, frozen=True, omit_defaults=True):
    """A remote HTTP agent that a gateway worker calls."""

    name: str
    url: str
    types: list[str]
    capabilities: dict[str, list[str]] = {}
    concurrency: int = 4
    timeout_s: float = 30.0
    schemas: dict[str, dict[str, Any]] = {}  # task type -> {"input": schema, "output": schema}
    registered_by: str = ""
    protocol: str = ""  # "": Ganglion's own form; or one of REMOTE_PROTOCOLS
    card_url: str = ""  # the A2A card that this was read from
    version: str = ""  # as the card names it
    skills: dict[str, RemoteSkill] = {}  # task type -> skill, for A2A
