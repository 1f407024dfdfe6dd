"""What notices keep in SQL: whom to tell, when, and what has become of each message."""

from __future__ import annotations

import uuid

from django.db import models


class Channel(models.Model):
    """A way to reach people."""

    KINDS = ("browser", "email", "slack", "webhook")

    name = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=12)
    target = models.TextField(blank=True)  # addresses of e-mail, separated by commas, or a URL; a secret for Slack
    secret = models.CharField(max_length=120, blank=True)  # signs a webhook's messages: "whsec_…"
    enabled = models.BooleanField(default=True)
    approvals = models.BooleanField(default=False)  # whether it is told of requests for approval, too
    language = models.CharField(max_length=8, default="en", db_default="en")  # of its e-mails and Slack messages
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Policy(models.Model):
    """How soon somebody has to look, and who is told when nobody does. The first that matches counts."""

    PRIORITIES = ("high", "normal", "low")

    name = models.CharField(max_length=80, unique=True)
    position = models.PositiveIntegerField(default=100)
    workflow_type = models.CharField(max_length=80, default="*")  # with * and ?
    reason = models.CharField(max_length=32, blank=True)  # coordination.domain.Reason; empty: any
    priority = models.CharField(max_length=8, default="normal")
    acknowledge_s = models.PositiveIntegerField(default=900)  # until somebody has to have claimed it
    resolve_s = models.PositiveIntegerField(default=14_400)  # until it has to be resolved
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ["position", "pk"]

    def __str__(self) -> str:
        return self.name


class Level(models.Model):
    """A step of a policy's chain: who is told when nobody has claimed the incident by then."""

    policy = models.ForeignKey(Policy, on_delete=models.CASCADE, related_name="levels")
    after_s = models.PositiveIntegerField(default=0)  # from the incident's beginning
    channels = models.ManyToManyField(Channel, related_name="levels")

    class Meta:
        ordering = ["after_s", "pk"]

    def __str__(self) -> str:
        return f"{self.policy} after {self.after_s} s"


class Incident(models.Model):
    """All open escalations of one cause, from the first to the last."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    fingerprint = models.CharField(max_length=64)
    policy = models.ForeignKey(Policy, null=True, on_delete=models.SET_NULL, related_name="+")
    priority = models.CharField(max_length=8, default="normal")
    headline = models.CharField(max_length=300)
    workflow_type = models.CharField(max_length=80)
    reason = models.CharField(max_length=32)
    opened_at = models.DateTimeField()
    acknowledge_by = models.DateTimeField(null=True)
    resolve_by = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=150, blank=True)
    quiet_until = models.DateTimeField(null=True)  # while somebody works on it, the chain waits
    told = models.PositiveIntegerField(default=0)  # levels that were told
    next_at = models.DateTimeField(null=True, db_index=True)  # when the next level is told
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["fingerprint"], condition=models.Q(closed_at=None), name="incident_one_open"
            ),
        ]
        indexes = [models.Index(fields=["closed_at", "opened_at"], name="incident_closed")]

    def __str__(self) -> str:
        return self.headline


class Message(models.Model):
    """One message to one channel. Its id is the same in every try, so that a receiver can tell a repetition."""

    RESOLVED = 0  # the level of the message that all is well again

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    incident = models.ForeignKey(Incident, null=True, on_delete=models.CASCADE, related_name="messages")
    approval = models.ForeignKey("dashboard.Approval", null=True, on_delete=models.CASCADE, related_name="+")
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="messages")
    level = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=12, default="waiting")  # waiting | delivered | failed | withdrawn
    tries = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField()  # of the next try; while one is under way, when another may begin
    error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["incident", "channel", "level"], name="message_once"),
            models.UniqueConstraint(fields=["approval", "channel"], name="message_of_approval_once"),
        ]
        indexes = [
            models.Index(fields=["state", "next_at"], name="message_due"),
            models.Index(fields=["created_at"], name="message_created"),
        ]

    def __str__(self) -> str:
        return f"{self.channel}: {self.incident or self.approval}"
