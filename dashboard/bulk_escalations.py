"""Bulk actions on escalations: which can be decided together, how one is sent, and what verifies it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

import msgspec
from django.utils import timezone
from django.utils.translation import gettext as _

from coordination.domain import Action, EscalationSnapshot, EscalationState, Reason
from coordination.errors import BadRequest, DecisionConflict, EscalationNotFound
from dashboard import bulk_redirects, decisions, dispositions, queries
from dashboard.bulk_models import BulkAction, BulkItem
from dashboard.bulk_plan import MOST, Candidate, Selection, TooMany
from dashboard.models import Decision, Escalation
from dashboard.queries.escalations import narrow
from dashboard.wording import number

DECISIONS = ("retry", "edit", "supply", "skip", "reroute", "restart", "fail")
ACTIONS = (*DECISIONS, *dispositions.BY_HAND)
MOST_READ = 1_000  # of an edit or a restart: every one's input is checked, every one's journal is read
_RUN_AGAIN = (Action.RETRY, Action.EDIT, Action.REROUTE)
_BROKEN = (Reason.WORKFLOW_CODE_CHANGED, Reason.COORDINATOR_CRASHED)  # no step runs again, the workflow goes on


def select(selection: Selection, user: Any) -> Iterable[Escalation]:
    """The rows of a selection, oldest first, so that the oldest is the canary.

    Raises:
        TooMany: More than one bulk action takes.
    """
    if selection.ids:
        rows = Escalation.objects.filter(pk__in=selection.ids[: MOST + 1])
    else:
        rows = narrow(queries.EscalationFilter.from_params(selection.filter), user.pk)
    if selection.before:
        rows = rows.filter(opened_at__lte=selection.before)
    found = list(rows.select_related("claimed_by").order_by("opened_at", "id")[: MOST + 1])
    if len(found) > MOST:
        raise TooMany
    return found


def candidates(selection: Selection, action: str, payload: Any, user: Any) -> list[Candidate]:
    """Each row of a selection with the reason why it is left out, if it is.

    Raises:
        TooMany: More than one bulk action takes.
        BadRequest: The action does not exist.
    """
    if action not in ACTIONS:
        raise BadRequest(
            _("%(action)s is nothing that can be done to escalations. Use one of: %(names)s.")
            % {"action": repr(action), "names": ", ".join(ACTIONS)}
        )
    rows = list(select(selection, user))
    if action in (Action.EDIT, Action.RESTART) and len(rows) > MOST_READ:
        raise TooMany(
            _("More than %(most_read)s cannot be edited or restarted at once: narrow the filter.")
            % {"most_read": number(MOST_READ)}
        )
    if action in dispositions.BY_HAND:
        return [_disposed(row) for row in rows]
    ids = [row.pk for row in rows]
    held = queries.in_bulk_actions(ids)
    sent = queries.decided(ids)
    checked: dict[bytes, str] = {}
    found = [_candidate(row, action, payload, user, row.pk in held, row.pk in sent, checked) for row in rows]
    if action == Action.REROUTE:
        return bulk_redirects.rerouted(rows, found, payload)
    if action == Action.RESTART:
        return bulk_redirects.restarted(rows, found, payload)
    return found


def _disposed(row: Escalation) -> Candidate:
    return Candidate(row.pk, row.version, row.headline, _kind(row), refusal=dispositions.refusal(row))


def _kind(row: Escalation) -> str:
    return row.task_type or row.workflow_type


def _candidate(
    row: Escalation, action: str, payload: Any, user: Any, held: bool, sent: bool, checked: dict[bytes, str]
) -> Candidate:
    refusal = ""
    holder = row.claimed_by
    if row.state != EscalationState.OPEN:
        refusal = f"already {row.state}"
    elif held:
        refusal = "another bulk action is working on it"
    elif sent:
        refusal = "a decision about it is on its way"
    elif holder and holder.pk != user.pk and row.claimed_until and row.claimed_until > timezone.now():
        refusal = f"claimed by {holder.get_username()}"
    else:
        refusal = _misfit(row, action, payload, checked)
    again = {_kind(row): 1} if action in _RUN_AGAIN and row.reason not in _BROKEN else {}
    return Candidate(row.pk, row.version, row.headline, _kind(row), again, refusal, _risk(row) if again else "")


def _misfit(row: Escalation, action: str, payload: Any, checked: dict[bytes, str]) -> str:
    """Why the action or its payload does not fit; the same schema and payload are checked once."""
    snapshot = msgspec.convert(row.detail, EscalationSnapshot)
    value = merged(snapshot.input, payload) if action == Action.EDIT else payload
    if action == Action.RESTART:
        value = bulk_redirects.step_of(row, payload)
    schema = snapshot.input_schema if action == Action.EDIT else snapshot.output_schema
    key = msgspec.json.encode([snapshot.reason, schema, value if action == Action.EDIT else None])
    if key not in checked:
        try:
            decisions.validate(snapshot, action, value)
            checked[key] = ""
        except decisions.InvalidDecision as error:
            possible = action in decisions.actions(snapshot)
            checked[key] = str(error) if possible else f"“{action}” cannot be decided about it"
    return checked[key]


def _risk(row: Escalation) -> str:
    """What an attempt may have done outside before it failed."""
    errors = row.detail.get("errors") or [{}]
    if row.reason == Reason.NO_CAPABLE_AGENT:
        return ""
    if errors[-1].get("kind") == "Timeout":
        return "ran out of time: the attempt may have had its effect outside"
    return "failed while it ran: an effect outside may be repeated where its receiver does not check the key"


def merged(value: Any, patch: Any) -> Any:
    """A value with a JSON merge patch applied (RFC 7396): what the patch does not name stays."""
    if not isinstance(patch, dict):
        return patch
    result = dict(value) if isinstance(value, dict) else {}
    for name, part in patch.items():
        if part is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), part)
    return result


def decision_id(bulk: BulkAction, item: BulkItem) -> uuid.UUID:
    """The same for the same item of the same bulk action, so that sending it again is no second decision."""
    return uuid.uuid5(bulk.id, item.object_id)


def send(bulk: BulkAction, item: BulkItem, payload: Any, user: Any) -> tuple[str, str]:
    """Decide one item; returns its new state and an answer in words.

    Raises:
        ServerUnavailable: Redis does not answer; the item is sent again later.
    """
    if bulk.action in dispositions.BY_HAND:
        return _dispose(bulk, item, payload, user)
    value = payload
    if bulk.action == Action.EDIT:
        detail = Escalation.objects.filter(pk=item.object_id).values_list("detail", flat=True).first() or {}
        value = merged(detail.get("input"), payload)
    elif bulk.action == Action.RESTART:
        value = bulk_redirects.step_of(Escalation.objects.only("step").get(pk=item.object_id), payload)
    try:
        decision = decisions.submit(
            item.object_id,
            version=item.version,
            action=bulk.action,
            payload=value,
            user=user,
            comment=bulk.comment,
            decision_id=decision_id(bulk, item),
            approved_by=bulk.approved_by,
        )
    except (DecisionConflict, EscalationNotFound, decisions.InvalidDecision) as error:
        return BulkItem.State.REFUSED, str(error)
    if decision.state == "conflict":
        return BulkItem.State.REFUSED, decision.answer
    return BulkItem.State.SENT, decision.answer


def _dispose(bulk: BulkAction, item: BulkItem, payload: Any, user: Any) -> tuple[str, str]:
    row = Escalation.objects.filter(pk=item.object_id).first()
    refusal = dispositions.refusal(row) if row else "it is gone from the history"
    if row is None or refusal:
        return BulkItem.State.REFUSED, refusal
    dispositions.record(user, row, bulk.action, other_id=(payload or {}).get("other_id", ""), note=bulk.comment)
    return BulkItem.State.SUCCEEDED, ""


def verify(bulk: BulkAction, items: list[BulkItem]) -> dict[int, tuple[str, str]]:
    """What became of items that were sent, by their primary key; those still under way are left out."""
    rows = Escalation.objects.only("state", "outcome", "workflow_id", "step").in_bulk([i.object_id for i in items])
    ids = {decision_id(bulk, item): item.pk for item in items}
    found: dict[int, tuple[str, str]] = {}
    refused = Decision.objects.filter(pk__in=ids, state__in=("conflict", *decisions.WITHOUT_EFFECT))
    for answered, state, answer in refused.values_list("pk", "state", "answer"):
        found[ids[answered]] = (BulkItem.State.REFUSED, answer or f"the decision was {state}")
    again = [row for row in rows.values() if row.outcome == "failed_again"]
    words = _newest_failures(again)
    for item in items:
        row = rows.get(item.object_id)
        if item.pk in found:
            continue
        if row is None:
            found[item.pk] = (BulkItem.State.REFUSED, "it is gone from the history")
        elif row.outcome in ("succeeded", "failed"):  # "failed": it was let fail, as decided
            found[item.pk] = (BulkItem.State.SUCCEEDED, "")
        elif row.outcome == "failed_again":
            found[item.pk] = (BulkItem.State.FAILED_AGAIN, words.get((row.workflow_id, row.step), ""))
        elif row.outcome == "cancelled" or row.state == EscalationState.WITHDRAWN:
            found[item.pk] = (BulkItem.State.REFUSED, "its workflow ended meanwhile")
    return found


def _newest_failures(rows: list[Escalation]) -> dict[tuple[str, str], str]:
    """How steps failed again: the headline of what is open of them now."""
    opened = Escalation.objects.filter(state="open", workflow_id__in=[row.workflow_id for row in rows])
    return {(flow, step): words for flow, step, words in opened.values_list("workflow_id", "step", "headline")}
