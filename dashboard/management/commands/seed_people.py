"""Adds made-up people to made-up work: claims, comments, a request for approval, recorded ends."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand
from django.utils import timezone

from coordination.domain import Reason
from dashboard import accounts, claims, comments, decisions, dispositions, policy
from dashboard.models import Escalation, Workflow
from dashboard.notices import manage
from dashboard.notices.models import Channel

PEOPLE = (("mira", "approver"), ("jonas", "approver"), ("aiko", "operator"), ("sam", "viewer"))


class Command(BaseCommand):
    """``manage.py seed_people``, after ``seed_demo``; once."""

    help = "Add made-up people at work to made-up workflows and escalations."

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it."""
        admin = accounts.ensure_admin()
        if User.objects.filter(username=PEOPLE[0][0]).exists():
            self.stderr.write("The people are there already; nothing was written.")
            return
        for name, role in PEOPLE:
            accounts.create_user(name, role, "seed_people")
        mira, _, aiko, _ = (User.objects.get(username=name) for name, _ in PEOPLE)
        policy.change(admin, four_eyes=["supply", "skip"], bulk_limit=500, undo_s=10, approval_minutes=120)
        open_ = Escalation.objects.filter(state="open").order_by("opened_at", "id")
        _work_on(open_.filter(reason=Reason.MAX_RETRIES_EXCEEDED), mira, aiko)
        first = open_.filter(task_type="extract").exclude(reason=Reason.HUMAN_INPUT_REQUESTED).first()
        if first is not None:
            decisions.submit(
                first.pk, version=first.version, action="skip", user=mira,
                comment="The customer has confirmed that page 3 is a blank separator.",
            )  # fmt: skip
        for row in Workflow.objects.filter(state="failed").order_by("created_at")[:3]:
            dispositions.record(aiko, row, "accepted", note="The customer has withdrawn the order.")
        _policies(admin)


def _work_on(rows: Any, mira: User, aiko: User) -> None:
    """Somebody looks at the first one, and two people talk about it."""
    for row in rows[:1]:
        claims.claim(row.pk, mira)
        comments.add(row.pk, aiko, "The port authority says that their calendar is back at 14:00.")
        comments.add(row.pk, mira, "Then we retry all of them together once it answers.")
        Escalation.objects.filter(pk=row.pk).update(claimed_until=timezone.now() + dt.timedelta(minutes=5))


def _policies(admin: User) -> None:
    """Payments page at once, and the lead after half an hour."""
    pages = Channel.objects.filter(kind="browser").first() or manage.add_channel(admin, "Open pages", "browser", "")
    on_call = manage.add_channel(admin, "On call", "email", "on-call@example.com", approvals=True)
    manage.save_policy(
        admin, name="Shipments", workflow_type="shipment_*", priority="high", acknowledge_s=900, resolve_s=7_200,
        levels=[(0, [pages.pk]), (86_400, [on_call.pk])],
    )  # fmt: skip
