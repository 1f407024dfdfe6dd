"""Who has an escalation open now: kept in Redis by their live sockets, and gone by itself soon after those are.

The channel layer only hears that something about an escalation changed; who is there is read here by each page.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from django.contrib.auth.models import User

from coordination import client as core
from coordination.config import current
from coordination.errors import GanglionError
from coordination.keys import Keys
from dashboard import live

LIVES_MS = 15_000
EVERY_S = 5.0  # a socket says again this often that it is there
MODES = ("viewing", "editing")


class Present(NamedTuple):
    """Somebody who has the page open."""

    user_id: int
    name: str
    editing: bool


def _key(escalation_id: str) -> str:
    config = current()
    return Keys(config.prefix, config.shards).presence(escalation_id)


def _now_ms() -> int:
    return int(time.time() * 1000)


def note(escalation_id: str, user_id: int, tab: str, mode: str) -> None:
    """Say that a person's tab is there for the next seconds; other pages are told when that is news."""
    call, key, now = core.sync().call, _key(escalation_id), _now_ms()
    mine = [f"{user_id}:{tab}:{one}" for one in MODES]
    said = f"{user_id}:{tab}:{mode}"
    before = [known.decode() for known in call("ZRANGE", key, now, "+inf", "BYSCORE") if known.decode() in mine]
    call("ZADD", key, now + LIVES_MS, said)
    call("ZREMRANGEBYSCORE", key, "-inf", now)
    call("PEXPIRE", key, LIVES_MS)
    if before != [said]:
        for other in before:
            if other != said:
                call("ZREM", key, other)
        live.publish([f"escalation.{escalation_id}"])


def leave(escalation_id: str, user_id: int, tab: str) -> None:
    """Say that a tab was closed."""
    if core.sync().call("ZREM", _key(escalation_id), *(f"{user_id}:{tab}:{mode}" for mode in MODES)):
        live.publish([f"escalation.{escalation_id}"])


def people(escalation_id: str) -> list[Present]:
    """Everybody who has it open, by name; nobody when Redis does not answer."""
    try:
        found = core.sync().call("ZRANGE", _key(escalation_id), _now_ms(), "+inf", "BYSCORE")
    except GanglionError:
        return []
    modes: dict[int, bool] = {}
    for member in found:
        user_id, _, mode = member.decode().split(":")
        modes[int(user_id)] = modes.get(int(user_id), False) or mode == "editing"
    names = User.objects.filter(pk__in=modes, is_active=True).order_by("username").values_list("pk", "username")
    return [Present(pk, name, modes[pk]) for pk, name in names]
