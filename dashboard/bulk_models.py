"""What operators do to many things at once, and what the team keeps: bulk actions, dispositions, saved views."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy


class BulkAction(models.Model):
    """One action on many escalations or workflows; its progress is here alone, so that any process goes on with it."""

    class State(models.TextChoices):
        """Where a bulk action is. ``canary`` and ``running`` are worked on by the jobs."""

        AWAITING = "awaiting"  # another person's approval
        CANARY = "canary"  # one item is sent, its verified outcome awaited
        RUNNING = "running"
        STOPPED = "stopped"  # by itself: too much failed again
        CANCELLED = "cancelled"  # by a person
        DONE = "done"

    ACTIVE = (State.CANARY, State.RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    target = models.CharField(max_length=12)  # escalations | workflows
    action = models.CharField(max_length=16)
    label = models.CharField(max_length=300)  # what it is done to, in words
    query = models.TextField(blank=True)  # the filter's query string; empty when items were ticked one by one
    fingerprint = models.CharField(max_length=64, blank=True, db_index=True)  # the cause, when it is done to one
    payload = models.TextField(blank=True)  # JSON; without secrets once the action has ended
    comment = models.TextField(blank=True)
    digest = models.CharField(max_length=100)  # of the items and versions that were confirmed
    total = models.PositiveIntegerField()
    canary = models.BooleanField(default=True)
    per_second = models.FloatField()
    most_failing = models.FloatField()  # the share of verified items that may fail again
    state = models.CharField(max_length=12, choices=State.choices)
    why = models.CharField(max_length=300, blank=True)  # it stopped, in words
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    actor = models.CharField(max_length=150)
    approved_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    resumed_at = models.DateTimeField()  # the pace counts from here
    finished_at = models.DateTimeField(null=True)
    held_until = models.DateTimeField(null=True)  # by the job that works on it now

    class Meta:
        indexes = [models.Index(fields=["state", "created_at"], name="bulk_state")]

    def __str__(self) -> str:
        return f"{self.action} {self.label}"

    @property
    def is_active(self) -> bool:
        """Whether it goes on by itself."""
        return self.state in self.ACTIVE


class BulkItem(models.Model):
    """One item of a bulk action and what became of it."""

    class State(models.TextChoices):
        """waiting → sent → succeeded | failed_again | refused."""

        WAITING = "waiting"
        SENT = "sent"
        SUCCEEDED = "succeeded"
        FAILED_AGAIN = "failed_again"
        REFUSED = "refused"

    bulk = models.ForeignKey(BulkAction, on_delete=models.CASCADE, related_name="items")
    place = models.PositiveIntegerField()  # 0 is the canary
    object_id = models.CharField(max_length=140)
    version = models.PositiveIntegerField()  # of the item when it was confirmed
    label = models.CharField(max_length=300)
    state = models.CharField(max_length=12, choices=State.choices, default=State.WAITING)
    answer = models.CharField(max_length=300, blank=True)
    other_id = models.CharField(max_length=140, blank=True)  # the workflow that a rerun started
    sent_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["bulk", "object_id"], name="bulk_item_once")]
        indexes = [
            models.Index(fields=["bulk", "state", "place"], name="bulk_item_state"),
            models.Index(fields=["object_id", "state"], name="bulk_item_object"),
        ]

    def __str__(self) -> str:
        return f"{self.object_id} {self.state}"


class Disposition(models.Model):
    """The recorded end of one failure: what was decided about it, by whom, and how it went on."""

    class Outcome(models.TextChoices):
        """How a failure may end."""

        RETRIED = "retried", gettext_lazy("Retried with success")
        SUPPLIED = "supplied", gettext_lazy("Result supplied")
        ACCEPTED = "accepted", gettext_lazy("Accepted as is")
        SUPERSEDED = "superseded", gettext_lazy("Superseded")
        DUPLICATE = "duplicate", gettext_lazy("Duplicate")

    object_type = models.CharField(max_length=12)  # escalation | workflow
    object_id = models.CharField(max_length=140)
    generation = models.PositiveIntegerField(default=0)  # of a workflow: a restarted one can fail again
    outcome = models.CharField(max_length=12, choices=Outcome.choices)
    other_id = models.CharField(max_length=140, blank=True)  # what it is a duplicate of, or superseded by
    note = models.CharField(max_length=300, blank=True)
    actor = models.CharField(max_length=150)
    at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["object_type", "object_id", "generation"], name="disposition_once")
        ]

    def __str__(self) -> str:
        return f"{self.object_id} {self.outcome}"


class SavedView(models.Model):
    """A filter with its order and columns, named, for the whole team."""

    PAGES = ("workflows", "escalations")

    page = models.CharField(max_length=12)
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=1000, blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["page", "name"], name="saved_view_name")]

    def __str__(self) -> str:
        return self.name
