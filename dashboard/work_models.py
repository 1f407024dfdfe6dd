"""What people leave on escalations beside their decisions: approvals, comments, drafts; and the rules for them."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models


class Approval(models.Model):
    """Something that one person asked for and another one must approve before it happens."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    kind = models.CharField(max_length=20)  # decision | bulk: who asked is told of the outcome by its handler
    subject = models.CharField(max_length=140)  # the id of what waits, within its kind
    escalation = models.ForeignKey(
        "dashboard.Escalation", null=True, on_delete=models.CASCADE, related_name="approvals"
    )
    headline = models.CharField(max_length=300)
    detail = models.JSONField(default=dict)  # what would be done, redacted
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    requester = models.CharField(max_length=150)
    state = models.CharField(max_length=12, default="waiting")  # waiting | approved | refused | expired | withdrawn
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    decided_by = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True)
    note = models.CharField(max_length=1000, blank=True)

    class Meta:
        indexes = [models.Index(fields=["state", "expires_at"], name="approval_state")]

    def __str__(self) -> str:
        return self.headline


class Comment(models.Model):
    """What somebody wrote to an escalation."""

    escalation = models.ForeignKey("dashboard.Escalation", on_delete=models.CASCADE, related_name="comments")
    author = models.CharField(max_length=150)
    text = models.TextField()  # redacted
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.author}: {self.text[:40]}"


class Draft(models.Model):
    """What one person has typed into the form of one escalation and not sent yet."""

    escalation = models.ForeignKey("dashboard.Escalation", on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    action = models.CharField(max_length=16)
    fields = models.JSONField()  # form field to text, without secrets
    saved_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["escalation", "user"], name="draft_of_person")]

    def __str__(self) -> str:
        return f"{self.action} {self.escalation_id}"


class Policy(models.Model):
    """The one row of rules that administrators set for decisions."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    four_eyes = models.JSONField(default=list)  # actions that another person must approve
    bulk_limit = models.PositiveIntegerField(default=0)  # bulk actions on more than this need approval; 0: none does
    undo_s = models.PositiveSmallIntegerField(default=10)
    approval_minutes = models.PositiveIntegerField(default=60)

    def __str__(self) -> str:
        return "policy"
