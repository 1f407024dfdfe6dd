"""Errors, grouped by who has to act.

Every public error says what happened, to which object, and what to do about it.
"""

from __future__ import annotations


class GanglionError(Exception):
    """Something went wrong in Ganglion."""

    code = "error"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__ or "")


# --- the caller may try again -------------------------------------------------


class TryAgain(GanglionError):
    """Ganglion cannot do this now; nothing was accepted, so try again later."""

    code = "try_again"

    def __init__(self, message: str | None = None, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ServerUnavailable(TryAgain):
    """The Redis server does not answer."""

    code = "server_unavailable"


class OutcomeUnknown(ServerUnavailable):
    """The connection broke after the command was sent, so it may or may not have run."""

    code = "outcome_unknown"


class WriteRefused(ServerUnavailable):
    """The Redis server answers, but refuses this call now; nothing was done.

    Attributes:
        reason: The server's own word for it, as OOM or READONLY.
    """

    code = "write_refused"

    def __init__(self, message: str | None = None, *, reason: str = "", retry_after_s: float = 5.0) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.reason = reason


class AdmissionRefused(TryAgain):
    """New workflows are refused because too many are waiting or memory is short."""

    code = "admission_refused"


class ResultPending(TryAgain):
    """The workflow has not finished yet."""

    code = "result_pending"


# --- the caller made a mistake --------------------------------------------------


class BadRequest(GanglionError):
    """The request cannot be accepted as it is."""

    code = "bad_request"


class UnknownWorkflowType(BadRequest):
    """No installed application defines this workflow type."""

    code = "unknown_workflow_type"


class InvalidPayload(BadRequest):
    """The payload does not have the declared shape."""

    code = "invalid_payload"


class PayloadTooLarge(BadRequest):
    """The payload is larger than the limit; store it as a file and pass the reference."""

    code = "payload_too_large"


class WorkflowNotFound(BadRequest):
    """No workflow has this id."""

    code = "workflow_not_found"


class EscalationNotFound(BadRequest):
    """No escalation has this id."""

    code = "escalation_not_found"


class WorkflowFinished(BadRequest):
    """The workflow has already finished."""

    code = "workflow_finished"


class DecisionConflict(BadRequest):
    """Somebody else has already decided this escalation, or it has changed since it was read."""

    code = "decision_conflict"


class SettingsError(BadRequest):
    """A setting is wrong."""

    code = "bad_setting"


# --- ownership was lost: stop working on it ---------------------------------------


class LostOwnership(GanglionError):
    """Another host owns this workflow now."""

    code = "lost_ownership"


class WorkflowGone(LostOwnership):
    """The workflow no longer exists in Redis."""

    code = "gone"


class JournalRewound(GanglionError):
    """The server lost entries that this host had seen."""

    code = "journal_rewound"


# --- raised by agents' handlers ---------------------------------------------------


class AgentError(GanglionError):
    """A task failed."""

    code = "agent_error"


class RetryableError(AgentError):
    """The task failed and may succeed when tried again."""

    code = "retryable"

    def __init__(self, message: str | None = None, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class FinalError(AgentError):
    """The task failed, and trying again would not help: a person has to decide.

    Args:
        message: What is wrong, in words for the operator.
        details: Further facts shown to the operator.
    """

    code = "final"

    def __init__(self, message: str | None = None, *, details: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.details = details or {}


# --- raised inside a workflow's run() -----------------------------------------------


class StepFailed(GanglionError):
    """A step was ended as failed by an operator's decision."""

    code = "step_failed"


class ChildFailed(StepFailed):
    """A child workflow failed or was cancelled."""

    code = "child_failed"


class SignalTimeout(StepFailed):
    """The awaited signal did not arrive in time."""

    code = "signal_timeout"


class WorkflowCancelled(GanglionError):
    """The workflow was cancelled; clean up and let this pass."""

    code = "cancelled"


class WorkflowTerminated(WorkflowCancelled):
    """The workflow was ended at once; nothing was cleaned up."""

    code = "terminated"


# --- the workflow's program is wrong ----------------------------------------------


class ProgramError(GanglionError):
    """The workflow's run() does something it must not do."""

    code = "program_error"


class ForbiddenAwait(ProgramError):
    """run() awaited something that is not Ganglion's."""

    code = "forbidden_await"


class WorkflowCodeChanged(ProgramError):
    """A replay asked for other steps than the journal holds."""

    code = "workflow_code_changed"


class CoordinatorCrashed(ProgramError):
    """run() has ended the host that ran it."""

    code = "coordinator_crashed"


class CodeMissing(ProgramError):
    """No code for the workflow's type and version is installed here."""

    code = "workflow_code_changed"
