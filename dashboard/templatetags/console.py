"""Tags and filters of the console's templates; everything they return is escaped where it came from outside."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

import msgspec
from django import template
from django.apps import apps
from django.contrib.staticfiles.storage import staticfiles_storage
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from dashboard import charts, language, wording
from dashboard.retelling import retold as retell

log = logging.getLogger(__name__)
register = template.Library()
register.simple_tag(charts.ticks)


@register.simple_tag
@language.remembered
def icon(name: str, label: str = "") -> SafeString:
    """A drawing of the sprite; decorative unless it is given a label."""
    href = f"{staticfiles_storage.url('vendor/icons/icons.svg')}#{name}"
    if label:
        return format_html('<svg class="icon" role="img" aria-label="{}"><use href="{}"/></svg>', label, href)
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}"/></svg>', href)


@register.simple_tag
def chip(tone: str, icon_name: str, words: Any) -> SafeString:
    """A state: tint, icon and words together, never colour alone."""
    return format_html('<span class="chip tone-{}">{}{}</span>', tone, icon(icon_name), words)


@register.simple_tag
@language.remembered
def state_chip(state: Any, words: str = "") -> SafeString:
    """The chip of a workflow's, step's, attempt's, escalation's, agent's or decision's state."""
    look = wording.look(str(state))
    return chip(look.tone, look.icon, words or look.words)


@register.filter
def state_words(state: Any) -> str:
    """A state as people say it."""
    return wording.look(str(state)).words


@register.filter
def state_tone(state: Any) -> str:
    """The tone of a state, for ``tone-…`` classes."""
    return wording.look(str(state)).tone


@register.filter
def state_icon(state: Any) -> str:
    """The icon of a state."""
    return wording.look(str(state)).icon


@register.filter
def words(name: Any) -> str:
    """An identifier as words: ``final_error`` becomes ``final error``."""
    return str(name).replace("_", " ").strip()


@register.filter
def sentence(name: Any) -> str:
    """An identifier as words with a capital: ``final_error`` becomes ``Final error``."""
    said = words(name)
    return said[:1].upper() + said[1:]


@register.filter
def named(name: Any) -> str:
    """A name that programs use (a reason, a kind, a role) as people say it."""
    return wording.named(name)


@register.filter
def retold(text: Any, kind: str = "") -> str:
    """What was written in English for everybody, in the reader's language."""
    return retell(text, kind)


@register.filter
def counted(count: Any, what: str) -> str:
    """``3 workflows``."""
    return wording.counted(int(count), what)


@register.filter
def claim_holds(row: Any) -> bool:
    """Whether somebody holds an unexpired claim on an escalation."""
    return bool(row.claimed_by_id and row.claimed_until and row.claimed_until > timezone.now())


_BRIEF, _PRECISE = "%H:%M", "%H:%M:%S"


def _moment(value: Any) -> dt.datetime | None:
    if isinstance(value, dt.datetime):
        return value if value.tzinfo else value.replace(tzinfo=dt.UTC)
    if isinstance(value, int | float) and value:
        return dt.datetime.fromtimestamp(value / 1000, dt.UTC)
    return None


@language.remembered
def _time(value: Any, mode: str, shown: str) -> SafeString:
    moment = _moment(value)
    if moment is None:
        return format_html('<span class="muted">{}</span>', "–")
    iso = moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return format_html(
        '<time datetime="{}" data-time="{}" title="{}">{}</time>',
        iso,
        mode,
        wording.stamp(moment, "%Y %H:%M:%S"),
        wording.stamp(moment, shown),
    )


@register.filter
def when(value: Any) -> SafeString:
    """A moment as the reader says it (“4 min ago”), with the exact one on hover. Takes a datetime or ms."""
    return _time(value, "relative", _BRIEF)


@register.filter
def since(value: Any) -> SafeString:
    """A moment after the word “since”: “4 min ago”, and without the “ago” in languages that need none."""
    return _time(value, "since", _BRIEF)


@register.filter
def age(value: Any) -> SafeString:
    """How long ago a moment is, ticking: “4 min”."""
    return _time(value, "age", _BRIEF)


@register.filter
def clock(value: Any) -> SafeString:
    """A moment with date and time in the reader's zone."""
    return _time(value, "exact", _PRECISE)


@register.filter
def duration(ms: Any) -> str:
    """Milliseconds in words: 340 ms, 1.2 s, 3 min 04 s, 2 h 05 min."""
    return wording.duration(ms)


@register.filter
def period(seconds: Any) -> str:
    """A span that somebody has set: 15 min, 4 h."""
    return wording.period(int(seconds or 0))


@register.filter
def size(count: Any) -> str:
    """Bytes in words: 48.2 MB."""
    return wording.size(count)


@register.filter
def grouped(number: Any) -> str:
    """A whole number with groups of three: 12,040."""
    try:
        return wording.number(int(number))
    except (TypeError, ValueError):
        return str(number)


@register.filter
def short(ident: Any) -> str:
    """An id shortened in the middle."""
    return wording.shortened(str(ident))


@register.simple_tag
def copy_id(ident: Any) -> SafeString:
    """An id shortened in the middle that is copied by a click."""
    text = str(ident or "")
    if not text:
        return format_html('<span class="muted">{}</span>', "–")
    return format_html(
        '<button type="button" class="id" data-copy="{}" title="{}" aria-label="{}">{}</button>',
        text,
        text,
        _("Copy %(what)s") % {"what": text},
        wording.shortened(text),
    )


@register.filter
def pretty(value: Any) -> str:
    """A value as indented JSON text."""
    try:
        return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    except (TypeError, ValueError, msgspec.MsgspecError):
        return str(value)


@register.filter
def json_block(value: Any) -> SafeString:
    """A value as indented JSON with its keys, strings and numbers told apart; everything escaped."""
    text = value if isinstance(value, str) and value[:1] in "{[" else pretty(value)
    return format_html_join(
        "",
        "{}",
        ((_token(kind, part),) for kind, part in wording.json_tokens(text[:200_000])),
    )


def _token(kind: str, part: str) -> SafeString:
    return format_html('<span class="{}">{}</span>', kind, part) if kind else conditional_escape(part)


@register.filter
def action_words(action: str, kind: str = "step") -> str:
    """What an operator did, in words."""
    if kind == "question":
        return {"supply": _("answered"), "fail": _("refused to answer"), "skip": _("skipped")}.get(action, action)
    done = {
        "retry": _("retry"),
        "edit": _("input edited, retry"),
        "supply": _("result supplied"),
        "skip": _("skipped"),
        "reroute": _("sent to another agent"),
        "restart": _("restarted from a step"),
    }
    return done.get(action, _("let it fail"))


@register.filter
def verb(action: Any, kind: str = "step") -> str:
    """An action as its button says it: ``edit`` becomes ``Edit input and retry``."""
    if kind == "question":
        words = {"supply": _("Send the answer"), "fail": _("Refuse to answer"), "skip": _("Skip the question")}
        return words.get(action, "")
    return wording.action_verb(str(action))


@register.filter
def item(table: Any, key: str) -> Any:
    """What a table holds under a key; an empty table when it has none."""
    return table.get(key, {}) if isinstance(table, dict) else {}


@register.filter
def items(table: Any) -> list[tuple[Any, Any]]:
    """A table's pairs."""
    return list(table.items()) if isinstance(table, dict) else []


@register.filter
def oneline(value: Any) -> str:
    """A value as one line of JSON, cut."""
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, msgspec.MsgspecError):
        text = str(value)
    return text if len(text) <= 120 else f"{text[:119]}…"


@register.filter
def is_flat(value: Any) -> bool:
    """Whether a value reads well as a list of facts: an object of a few parts."""
    return isinstance(value, dict) and 0 < len(value) <= 16


@register.filter
def is_words(value: Any) -> bool:
    """Whether a value reads well as a list of a few texts or numbers."""
    return isinstance(value, list) and 0 < len(value) <= 30 and all(isinstance(one, str | int | float) for one in value)


@register.filter
def is_nested(value: Any) -> bool:
    """Whether a value has parts of its own."""
    return isinstance(value, dict | list) and bool(value)


@register.filter
def breakable(name: str) -> SafeString:
    """A name with dots, whose line may end after each of them."""
    first, *others = name.split(".")
    return format_html("{}{}", first, format_html_join("", ".<wbr>{}", ((part,) for part in others)))


SLIVER = 0.015  # of a bar: as little as can be seen


@register.simple_tag
def bar(value: float, of: float, tone: str = "", label: str = "") -> SafeString:
    """A small bar that shows ``value`` out of ``of``, and whatever is more than 0; described for readers of screens."""
    share = 0.0 if not of or value <= 0 else max(SLIVER, min(1.0, float(value) / float(of)))
    return format_html(
        '<svg class="bar {}" role="img" aria-label="{}" viewBox="0 0 100 6" preserveAspectRatio="none">'
        '<rect class="track" width="100" height="6"/><rect class="fill" width="{}" height="6"/></svg>',
        f"tone-{tone}" if tone else "",
        label or _("%(value)s of %(of)s") % {"value": value, "of": of},
        round(share * 100, 1),
    )


@register.filter
def bulk_item_words(state: str) -> str:
    """The state of a bulk action's item as people say it."""
    return _(wording.BULK_ITEMS[state].words)


@register.simple_tag
def bulk_item_chip(state: str) -> SafeString:
    """The chip of a bulk action's item."""
    look = wording.BULK_ITEMS[state]
    return chip(look.tone, look.icon, _(look.words))


@register.simple_tag
def bulk_bar(counts: dict[str, int], total: int) -> SafeString:
    """What became of a bulk action's items, as one bar; described for readers of screens."""
    parts, place = [], 0.0
    for state in ("succeeded", "failed_again", "refused", "sent"):
        width = counts.get(state, 0) / max(1, total) * 100
        parts.append((wording.BULK_ITEMS[state].tone, round(place, 2), round(width, 2)))
        place += width
    return format_html(
        '<svg class="bulk-bar" role="img" aria-label="{}" viewBox="0 0 100 6" preserveAspectRatio="none">'
        '<rect class="track" width="100" height="6"/>{}</svg>',
        ", ".join(
            f"{counts[state]} {bulk_item_words(state).lower()}" for state in wording.BULK_ITEMS if counts.get(state)
        ),
        format_html_join("", '<rect class="fill-{}" x="{}" width="{}" height="6"/>', parts),
    )


@register.simple_tag
def sparkline(values: Any, tone: str = "", label: str = "") -> SafeString:
    """A line of the values' course, described by its label."""
    return mark_safe(charts.sparkline([float(v or 0) for v in values], tone, label))  # noqa: S308 - numbers and escaped words


@register.simple_tag
def span_ms(begin: int, *ends: int) -> str:
    """The time from a moment to the first of the others that is known, in words; a dash without one."""
    end = next((one for one in ends if one), 0)
    return wording.duration(end - begin) if begin and end else "–"


@register.simple_tag(takes_context=True)
def console_frame(context: template.Context) -> Any:
    """What the frame of every page shows: section, theme, role, count of open escalations, live address."""
    from dashboard.views.frame import frame

    return frame(context.get("request"))


@register.filter
def own_page(workflow_type: str, workflow_id: str) -> str:
    """The address of the page that an application shows its workflow on, or an empty string.

    An application names it in its AppConfig: ``workflow_pages = {"legal_review": "legal_review:review"}``.
    """
    for application in apps.get_app_configs():
        route = getattr(application, "workflow_pages", {}).get(workflow_type)
        if route:
            try:
                return reverse(route, args=[workflow_id])
            except NoReverseMatch as error:  # the application's mistake costs its link, not the console's page
                log.warning("The page of %s workflows is not linked: %s", workflow_type, error)
    return ""
