"""What people write to an escalation for each other."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _

from coordination.errors import BadRequest, EscalationNotFound
from dashboard import audit, live
from dashboard.models import Escalation
from dashboard.redaction import redact_text
from dashboard.wording import number
from dashboard.work_models import Comment

MOST_CHARS = 4_000


def add(escalation_id: str, user: Any, text: str, request: HttpRequest | None = None) -> Comment:
    """Write a comment, without secrets, and its entry in the audit log.

    Raises:
        EscalationNotFound: No escalation has this id.
        BadRequest: It is empty or too long.
    """
    text = redact_text(text.replace("\x00", "").strip())
    if not text or len(text) > MOST_CHARS:
        raise BadRequest(_("Write 1 to %(most_chars)s characters.") % {"most_chars": number(MOST_CHARS)})
    if not Escalation.objects.filter(pk=escalation_id).exists():
        raise EscalationNotFound(
            _("There is no escalation %(escalation_id)s.") % {"escalation_id": repr(escalation_id)}
        )
    with transaction.atomic():
        made = Comment.objects.create(escalation_id=escalation_id, author=user.get_username()[:150], text=text)
        what = {"comment": made.pk, "text": text}
        audit.record(user, "escalation.comment", ("escalation", escalation_id), after=what, request=request)
    live.publish_on_commit(f"escalation.{escalation_id}")
    return made
