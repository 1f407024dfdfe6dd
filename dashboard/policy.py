"""The rules for decisions: what another person must approve, how long a decision can be undone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext as _

from coordination.errors import BadRequest
from dashboard import audit
from dashboard.roles import ADMIN, APPROVER
from dashboard.work_models import Policy

DANGEROUS = ("supply", "skip", "edit", "reroute", "restart", "fail")  # what four eyes can be asked for
MOST_UNDO_S = 300
MOST_APPROVAL_MINUTES = 7 * 24 * 60


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules as they are now."""

    four_eyes: tuple[str, ...] = ()
    bulk_limit: int = 0
    undo_s: int = 10
    approval_minutes: int = 60

    def needs_approval(self, action: str) -> bool:
        """Whether somebody else must approve this action on a step that failed; answers never need it."""
        return action in self.four_eyes


def current() -> Rules:
    """The rules in force; those of a fresh installation until somebody has set others."""
    row = Policy.objects.filter(pk=1).first()
    if row is None:
        return Rules()
    return Rules(tuple(row.four_eyes), row.bulk_limit, row.undo_s, row.approval_minutes)


def change(
    user: Any,
    *,
    four_eyes: Iterable[str],
    bulk_limit: int,
    undo_s: int,
    approval_minutes: int,
    request: HttpRequest | None = None,
) -> Rules:
    """Set all rules at once, written to the audit log with what was there before.

    Raises:
        BadRequest: A value is out of its range, or approval is asked for and nobody else could give it.
    """
    wanted = set(four_eyes)
    verbs = tuple(verb for verb in DANGEROUS if verb in wanted)
    if wanted - set(verbs):
        raise BadRequest(_("Approval can be asked for: %(names)s.") % {"names": ", ".join(DANGEROUS)})
    if not 0 <= undo_s <= MOST_UNDO_S:
        raise BadRequest(_("The time to undo is 0 to %(most_undo_s)s seconds.") % {"most_undo_s": MOST_UNDO_S})
    if not 1 <= approval_minutes <= MOST_APPROVAL_MINUTES:
        raise BadRequest(_("A request for approval expires after one minute to seven days."))
    if not 0 <= bulk_limit <= 1_000_000:
        raise BadRequest(_("The limit for bulk actions is a number from 0, which is none, to 1,000,000."))
    if (verbs or bulk_limit) and _approvers() < 2:
        raise BadRequest(_("Only one person may approve, and nobody approves their own. Add another approver first."))
    rules = Rules(verbs, bulk_limit, undo_s, approval_minutes)
    with transaction.atomic():
        before = current()
        Policy.objects.update_or_create(pk=1, defaults={**asdict(rules), "four_eyes": list(verbs)})
        change_ = {"before": asdict(before), "after": asdict(rules)}
        audit.record(user, "policy.change", ("policy", "decisions"), request=request, **change_)
    return rules


def _approvers() -> int:
    may = Q(groups__name__in=(APPROVER, ADMIN)) | Q(is_superuser=True)
    return User.objects.filter(may, is_active=True).distinct().count()
