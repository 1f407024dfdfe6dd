"""What the console keeps in SQL: history mirrored from Redis, people's decisions, accounts' extras.

Redis decides, SQL mirrors: rows of ``Workflow`` and ``Escalation`` change only on a larger
(generation, seq) or version, so that relays can run side by side and repeat themselves.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import models

from coordination.errors import GanglionError
from dashboard.bulk_models import BulkAction, BulkItem, Disposition, SavedView  # noqa: F401 - Django finds them here


class Workflow(models.Model):
    """One workflow as lists show it. Big values live in ``WorkflowArchive``."""

    id = models.CharField(primary_key=True, max_length=64)
    type = models.CharField(max_length=80)
    version = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=16)
    generation = models.PositiveIntegerField(default=0)
    seq = models.PositiveIntegerField(default=0)
    epoch = models.PositiveIntegerField(default=0)
    owner = models.CharField(max_length=80, blank=True)
    summary = models.CharField(max_length=300, blank=True)  # the input in a few words, redacted, searchable
    error = models.CharField(max_length=500, blank=True)
    steps_total = models.PositiveIntegerField(default=0)
    steps_done = models.PositiveIntegerField(default=0)
    retrying = models.PositiveIntegerField(default=0)
    open_escalations = models.PositiveIntegerField(default=0)
    progress = models.CharField(max_length=200, blank=True)
    parent_id = models.CharField(max_length=64, blank=True)
    labels = models.JSONField(default=dict, blank=True)
    cancel_requested = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField(null=True)
    duration_ms = models.BigIntegerField(null=True)  # from submission to the end; null while it lives
    updated_at = models.DateTimeField()
    disposed_generation = models.PositiveIntegerField(null=True)  # whose failure has a disposition

    class Meta:
        permissions = [
            ("view_console", "May see every page of the console"),
            ("operate", "May submit, cancel, signal and decide"),
            ("approve", "May approve what others have asked for"),
            ("administer", "May manage people, tokens, agents and schedules"),
        ]
        # All ascending: keyset pages compare rows in one direction and scan either way.
        indexes = [
            models.Index(fields=["created_at", "id"], name="wf_created"),
            models.Index(fields=["state", "created_at", "id"], name="wf_state"),
            models.Index(fields=["type", "created_at", "id", "version"], name="wf_type"),
            models.Index(fields=["type", "state", "created_at", "id"], name="wf_type_state"),
            models.Index(fields=["finished_at", "id"], name="wf_finished"),
            models.Index(fields=["duration_ms", "id"], name="wf_duration"),
            models.Index(fields=["parent_id", "created_at", "id"], name="wf_parent", condition=~models.Q(parent_id="")),
            models.Index(fields=["owner", "created_at", "id"], name="wf_owner", condition=~models.Q(owner="")),
            models.Index(fields=["created_at", "id"], name="wf_retrying", condition=models.Q(retrying__gt=0)),
            models.Index(
                fields=["state", "finished_at", "id", "disposed_generation", "generation"],
                name="wf_undisposed",
                condition=models.Q(state="failed")
                & (models.Q(disposed_generation=None) | models.Q(disposed_generation__lt=models.F("generation"))),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


class WorkflowArchive(models.Model):
    """Input, result and journal of a workflow; the journal once it has finished."""

    workflow = models.OneToOneField(Workflow, primary_key=True, on_delete=models.CASCADE, related_name="archive")
    input = models.TextField(blank=True)  # JSON, redacted
    result = models.TextField(blank=True)  # JSON, redacted
    error = models.TextField(blank=True)  # JSON of ErrorInfo
    journal = models.BinaryField(null=True)  # coordination.journal.encode_archive

    def __str__(self) -> str:
        return str(self.pk)


class Escalation(models.Model):
    """One question to people."""

    id = models.CharField(primary_key=True, max_length=140)
    workflow_id = models.CharField(max_length=64, db_index=True)
    workflow_type = models.CharField(max_length=80)
    step = models.CharField(max_length=80)
    task_type = models.CharField(max_length=80)
    reason = models.CharField(max_length=32)
    state = models.CharField(max_length=12)  # coordination.domain.EscalationState
    version = models.PositiveIntegerField(default=1)
    fingerprint = models.CharField(max_length=64)
    headline = models.CharField(max_length=300)  # what failed, in words
    detail = models.JSONField()  # coordination.domain.EscalationSnapshot as built-ins, redacted
    opened_at = models.DateTimeField(db_index=True)
    resolved_at = models.DateTimeField(null=True)
    action = models.CharField(max_length=16, blank=True)
    resolved_by = models.CharField(max_length=150, blank=True)
    outcome = models.CharField(max_length=16, blank=True)  # "", dispatched, succeeded, failed_again, failed, cancelled
    disposition = models.CharField(max_length=12, blank=True, default="", db_default="")  # Disposition.outcome
    claimed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    claimed_until = models.DateTimeField(null=True)
    claim_fence = models.PositiveIntegerField(default=0, db_default=0)  # grows with every new claim

    class Meta:
        indexes = [
            models.Index(fields=["state", "opened_at", "id"], name="esc_state"),
            models.Index(fields=["state", "fingerprint", "opened_at"], name="esc_causes"),
            models.Index(fields=["fingerprint", "opened_at"], name="esc_trend"),
            models.Index(fields=["outcome", "workflow_id"], name="esc_outcome"),
            models.Index(fields=["state", "opened_at"], name="esc_undisposed", condition=models.Q(disposition="")),
        ]

    def __str__(self) -> str:
        return self.headline


class Decision(models.Model):
    """An operator's decision: written first, then sent under its id until Redis has answered.

    ``pending`` waits for another person's approval; ``submitted`` is sent once ``due_at`` has come, and can be undone
    until it is first sent. ``undone``, ``refused`` and ``expired`` were never sent.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    escalation = models.ForeignKey(Escalation, on_delete=models.CASCADE, related_name="decisions")
    version = models.PositiveIntegerField()  # of the escalation that the operator saw
    action = models.CharField(max_length=16)
    payload = models.TextField(blank=True)  # JSON
    actor = models.CharField(max_length=150)
    comment = models.TextField(blank=True)
    state = models.CharField(max_length=12, default="submitted", db_index=True)  # or accepted, conflict; see above
    answer = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    due_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)  # when sending began: from then on it cannot be undone
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    approved_by = models.CharField(max_length=150, blank=True)
    answered_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.action} {self.escalation_id}"


class AppendOnly(GanglionError):
    """The audit log is append-only: its rows cannot be changed or deleted."""

    code = "append_only"


class AppendOnlyQuerySet(models.QuerySet["AuditEntry"]):
    """Refuses to change or to delete rows."""

    def update(self, **values: Any) -> int:
        """Refused: the audit log is append-only."""
        raise AppendOnly

    def delete(self) -> tuple[int, dict[str, int]]:
        """Refused: the audit log is append-only."""
        raise AppendOnly


class AuditEntry(models.Model):
    """One action of a person or a token. Append-only; each row's hash covers the row before."""

    at = models.DateTimeField(db_index=True)
    actor = models.CharField(max_length=150)
    action = models.CharField(max_length=60)  # "escalation.resolve", "agent.drain" ...
    object_type = models.CharField(max_length=40)
    object_id = models.CharField(max_length=140)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    address = models.CharField(max_length=45, blank=True)
    previous_hash = models.CharField(max_length=64, unique=True)  # unique: the chain cannot fork
    hash = models.CharField(max_length=64, unique=True)

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["object_type", "object_id"], name="audit_object"),
            models.Index(fields=["actor", "id"], name="audit_actor"),
            models.Index(fields=["action", "id"], name="audit_action"),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.object_id}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert; changing a stored row is refused."""
        if not self._state.adding:
            raise AppendOnly
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Refused: the audit log is append-only."""
        raise AppendOnly


class ApiToken(models.Model):
    """A token for the API; only its digest is kept."""

    SCOPES = ("read", "operate", "approve", "admin")

    name = models.CharField(max_length=80)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    prefix = models.CharField(max_length=12, unique=True)
    digest = models.CharField(max_length=64)
    scope = models.CharField(max_length=12, default="read")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name


class LoginLink(models.Model):
    """A link that logs one person in once."""

    digest = models.CharField(primary_key=True, max_length=64)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.digest[:8]


class LoginFailure(models.Model):
    """One failed login, counted against its name and its address for a while."""

    key = models.CharField(max_length=200)  # "name:alice" or "address:127.0.0.1"
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["key", "at"], name="login_failure_key")]

    def __str__(self) -> str:
        return self.key


class HostEvent(models.Model):
    """A coordinator host started, stopped, or was lost and taken over."""

    id = models.CharField(primary_key=True, max_length=40)  # the event's stream id
    at = models.DateTimeField(db_index=True)
    kind = models.CharField(max_length=16)  # started | stopped | lost
    host = models.CharField(max_length=80)
    by = models.CharField(max_length=80, blank=True)
    workflows = models.PositiveIntegerField(default=0)
    silent_ms = models.PositiveIntegerField(default=0)  # from the last sign to the suspicion
    took_ms = models.PositiveIntegerField(default=0)  # from the suspicion to the last workflow taken up
    # of a takeover: [workflow, its new epoch, ms since its last checkpoint or -1], a hundred at most
    taken = models.JSONField(default=list, blank=True)

    def __str__(self) -> str:
        return f"{self.host} {self.kind}"


class Schedule(models.Model):
    """Submits a workflow at the times of a cron expression."""

    name = models.CharField(max_length=80, unique=True)
    workflow_type = models.CharField(max_length=80)
    input = models.JSONField(null=True, blank=True)
    cron = models.CharField(max_length=80)  # five fields, UTC
    enabled = models.BooleanField(default=True)
    last_run_at = models.DateTimeField(null=True)  # the scheduled time that was last submitted
    last_workflow_id = models.CharField(max_length=64, blank=True)
    last_error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150, blank=True)

    def __str__(self) -> str:
        return self.name


class Sample(models.Model):
    """One measure of the whole system, taken every few seconds, for sparklines and charts."""

    at = models.DateTimeField(primary_key=True)
    finished = models.PositiveIntegerField(default=0)  # workflows finished since the sample before
    p50_ms = models.FloatField(null=True)
    p95_ms = models.FloatField(null=True)
    queue_lag = models.PositiveIntegerField(default=0)  # tasks waiting
    open_escalations = models.PositiveIntegerField(default=0)
    running = models.PositiveIntegerField(default=0)
    relay_lag_ms = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.at)


class RelayMark(models.Model):
    """What Redis looked like when the history was last known to be whole; one row. See ``dashboard.relay_keeper``."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    at = models.BigIntegerField()  # the mark that Redis carries too, server ms
    server = models.CharField(max_length=64, blank=True)  # its run id
    added = models.JSONField(default=dict)  # event stream -> entries ever added to it

    def __str__(self) -> str:
        return str(self.at)


from dashboard import work_models  # noqa: E402, F401 - Django finds models here
