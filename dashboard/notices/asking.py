"""Tells approvers of a request for approval: once over each channel that is chosen for it.

The messages are written in the transaction of the request, so that no crash leaves a request of which nobody hears.
"""

from __future__ import annotations

from django.utils import timezone

from dashboard.notices.models import Channel, Message
from dashboard.work_models import Approval


def tell(approval: Approval) -> None:
    """Write a request's messages; within the transaction that makes it."""
    now = timezone.now()
    channels = Channel.objects.filter(enabled=True, approvals=True)
    Message.objects.bulk_create(Message(approval=approval, channel=channel, next_at=now) for channel in channels)


def withdraw(approval: Approval) -> None:
    """Send nothing more about a request that has ended."""
    Message.objects.filter(approval=approval, state="waiting").update(state="withdrawn")
