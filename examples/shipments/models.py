"""The shipment board: what the updates amount to, filled by the notify agent.

The order in which updates are processed is not the order in which things happened, so ``Position``
keeps the update with the latest time, and ``TrackEvent`` all of them.
"""

from __future__ import annotations

from django.db import models


class Feed(models.Model):
    """One feed that was taken in. Its id is the id of its ``shipment_batch`` workflow."""

    id = models.CharField(primary_key=True, max_length=64)
    name = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveIntegerField()  # bytes
    rows = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "id"]

    def __str__(self) -> str:
        return self.name


class Position(models.Model):
    """Where a shipment stands: its latest update, and the arrival that follows from it."""

    tracking = models.CharField(primary_key=True, max_length=40)
    carrier = models.CharField(max_length=20)
    customer = models.CharField(max_length=80)
    origin = models.CharField(max_length=8)
    destination = models.CharField(max_length=8)
    status = models.CharField(max_length=20)
    place = models.CharField(max_length=8)
    at = models.DateTimeField()
    promised_at = models.DateTimeField()
    eta = models.DateTimeField()
    late_min = models.IntegerField()  # minutes after the promise; below 0: earlier
    arrived = models.BooleanField(default=False)
    because = models.CharField(max_length=200)

    class Meta:
        indexes = [
            models.Index(fields=["arrived", "-late_min", "tracking"], name="shipments_urgent"),
            models.Index(fields=["status", "carrier"], name="shipments_status"),
        ]

    def __str__(self) -> str:
        return self.tracking


class TrackEvent(models.Model):
    """One update of a shipment. The key is the idempotency key of the task that recorded it."""

    key = models.CharField(primary_key=True, max_length=160)
    tracking = models.CharField(max_length=40)
    status = models.CharField(max_length=20)
    place = models.CharField(max_length=8)
    at = models.DateTimeField()
    eta = models.DateTimeField()
    late_min = models.IntegerField()
    weight_kg = models.FloatField()
    feed = models.CharField(max_length=64)
    line = models.PositiveIntegerField()
    workflow_id = models.CharField(max_length=64)

    class Meta:
        indexes = [
            models.Index(fields=["tracking", "at"], name="shipments_track"),
            models.Index(fields=["feed"], name="shipments_track_feed"),
        ]

    def __str__(self) -> str:
        return f"{self.tracking} {self.status}"


class LeftOut(models.Model):
    """One row that a person decided to leave out, so that every row of a feed is accounted for."""

    key = models.CharField(primary_key=True, max_length=160)
    feed = models.CharField(max_length=64, db_index=True)
    line = models.PositiveIntegerField()
    text = models.TextField()
    workflow_id = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"{self.feed} line {self.line}"


class Notice(models.Model):
    """One message to a customer, waiting to be sent: written once for each idempotency key."""

    key = models.CharField(primary_key=True, max_length=160)
    tracking = models.CharField(max_length=40, db_index=True)
    customer = models.CharField(max_length=80)
    text = models.CharField(max_length=300)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tracking", "text"], name="shipments_notice_once")]

    def __str__(self) -> str:
        return self.text
