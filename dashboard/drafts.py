"""What a person has typed into a repair form and not sent yet: theirs alone, on the server, without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dashboard.models import Escalation
from dashboard.redaction import is_secret_name, redact_text
from dashboard.work_models import Draft

MOST_FIELDS = 2_000


def save(user: Any, escalation_id: str, action: str, typed: Mapping[str, str]) -> bool:
    """Keep the fields of a form for this person, in place of what was kept before; says whether it could be."""
    fields = {
        name: redact_text(text)
        for name, text in list(typed.items())[:MOST_FIELDS]
        if (name == "comment" or name.startswith("value")) and not is_secret_name(name)
    }
    if not any(text.strip() for text in fields.values()):
        discard(user, escalation_id)
        return True
    if not Escalation.objects.filter(pk=escalation_id, state="open").exists():
        return False
    Draft.objects.update_or_create(
        escalation_id=escalation_id, user_id=user.pk, defaults={"action": action[:16], "fields": fields}
    )
    return True


def load(user: Any, escalation_id: str) -> Draft | None:
    """This person's draft for an escalation."""
    return Draft.objects.filter(escalation_id=escalation_id, user_id=user.pk).first()


def discard(user: Any, escalation_id: str) -> None:
    """Throw this person's draft away."""
    Draft.objects.filter(escalation_id=escalation_id, user_id=user.pk).delete()
