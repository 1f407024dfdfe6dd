"""The socket behind every page: pushes the partials that changed, a few times a second, latest state wins.

A reader's session, role and object are checked on connect, with every frame that comes in, and at
least every ten seconds in between; who lost them is sent to the login and cut off. Every connect
gets a full snapshot, so that nothing has to be caught up from a log. Readers who see the same
in the same language share one rendering in each process.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from channels.auth import get_user
from channels.db import DatabaseSyncToAsync
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError
from django.http import Http404, QueryDict
from django.urls import Resolver404, resolve, reverse
from django.utils import translation

from coordination.errors import GanglionError
from dashboard import approvals, frames, language, live, pages, presence, queries
from dashboard.freshness import Late, late, redis_away, unreadable
from dashboard.relay_status import RelayLag
from dashboard.views.frame import connected

log = logging.getLogger(__name__)

FLUSH_S = 0.15
HEARD_S = 0.2  # a page that says more than this allows waits for its own answers
HEARD_AT_ONCE = 20
HEARTBEAT_S = 2.0
AUTHORISE_S = 10.0
REJOIN_S = 5.0
SIGNED_OUT, FORBIDDEN, GONE = 4401, 4403, 4404


def threaded(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Run a function that reads the database in a thread of its own."""
    made: Callable[..., Awaitable[Any]] = DatabaseSyncToAsync(function, thread_sensitive=False)
    return made


class Rendering:
    """One rendering that all readers of one kind share, made anew a few times a second at most."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.begun = 0.0
        self.next_at = 0.0
        self.took_s = math.inf
        self.fragments: dict[str, str] = {}
        self.settled = False  # nothing more changes by the clock

    async def since(
        self, moment: float, make: Callable[[], Awaitable[tuple[dict[str, str], bool]]], at_once: bool = False
    ) -> dict[str, str]:
        """The fragments as read at ``moment`` (monotonic seconds) or later; who asks meanwhile gets the same."""
        async with self.lock:
            if self.begun < moment:
                if not at_once:
                    await asyncio.sleep(self.next_at - time.monotonic())
                begun = time.monotonic()
                self.fragments, self.settled = await make()
                # A page that is slow to render is rendered more seldom, so that it never takes a whole core;
                # one that had to wait for others this time is not.
                took_s, before_s = time.monotonic() - begun, self.took_s
                self.begun, self.took_s = begun, took_s
                self.next_at = begun + took_s + max(FLUSH_S, min(5.0, 4 * min(took_s, before_s)))
            return self.fragments


_renderings: WeakValueDictionary[tuple[Any, ...], Rendering] = WeakValueDictionary()


def _rendering(key: tuple[Any, ...]) -> Rendering:
    found = _renderings.get(key)
    if found is None:
        found = _renderings[key] = Rendering()
    return found


class _Refused(Exception):
    def __init__(self, code: int) -> None:
        self.code = code


class LiveConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One open page of one reader."""

    async def connect(self) -> None:
        """Accept everybody, so that a refusal can say why; strangers are told to log in and cut off."""
        self.seq = 0
        self.sent: dict[str, int] = {}
        self.groups_joined: set[str] = set()
        self.groups_wanted: set[str] = set()
        self.joined_at = 0.0
        self.dirty = asyncio.Event()
        self.changed_at = time.monotonic()
        self.task: asyncio.Task[None] | None = None
        self.authorised_at = self.heard_at = 0.0
        self.user: Any = None
        self.approves = False
        self.tab, self.mode, self.present_at, self.present_in = uuid.uuid4().hex[:8], "viewing", 0.0, ""
        self.page: pages.LivePage | None = None
        self.rendering = Rendering()
        self.visit = pages.Visit({}, QueryDict(), frozenset())
        self.language = language.of_socket(self.scope)
        await self.accept()
        query = self.scope["query_string"].decode(errors="replace")
        try:
            await self._open(self.scope["path"].removeprefix("/live") + (f"?{query}" if query else ""))
        except _Refused as refusal:
            await self._cut(refusal.code)
            return
        self.task = asyncio.create_task(self._run(), name=f"live {self.scope['path']}")

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Hand on what comes; news need no thread that looks after database connections."""
        if message["type"] == "changed":
            self._touch()
        else:
            await super().dispatch(message)

    async def disconnect(self, code: int) -> None:
        """Leave every group and stop pushing."""
        if self.task is not None:
            self.task.cancel()
        await self._leave()
        await self._join(set())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """A page tells its address and language, that it missed a frame (``resync``), or what its reader does."""
        try:
            message = json.loads(text_data or "{}")
        except (ValueError, RecursionError):
            return
        now = time.monotonic()
        self.heard_at = max(self.heard_at, now - HEARD_AT_ONCE * HEARD_S) + HEARD_S
        await asyncio.sleep(self.heard_at - now)
        self.authorised_at = 0.0
        try:
            if isinstance(message, dict) and isinstance(message.get("path"), str):
                if language.known(message.get("language")):  # the rest of the page is in it, whatever is chosen by now
                    self.language = message["language"]
                await self._open(message["path"])
            else:
                await self._authorise()
        except _Refused as refusal:
            await self._cut(refusal.code)
            return
        if isinstance(message, dict) and message.get("presence") in presence.MODES:
            self.mode, self.present_at = message["presence"], 0.0
            await self._present()
            return
        self.sent.clear()
        self._touch()

    # --- one page -------------------------------------------------------------------

    async def _open(self, path: str) -> None:
        await self._leave()
        where, _, query = path.partition("?")
        try:
            match = resolve(where or "/")
        except Resolver404:
            match = None
        self.page = None  # nothing of the new page is shown before its reader is known
        visit = pages.Visit(match.kwargs if match else {}, QueryDict(query), frozenset(), None, self.language)
        self.sent.clear()
        self.page, self.visit = await self._admitted(pages.find(match.view_name) if match else None, visit)
        topics = self.page.topics(self.visit) if self.page else set()
        await self._join({live.group(topic) for topic in topics | {"escalations"}})

    async def _authorise(self) -> None:
        if time.monotonic() - self.authorised_at >= AUTHORISE_S:
            page, visit = await self._admitted(self.page, self.visit)
            if page is self.page:  # else another page was opened meanwhile, by the same checks
                self.visit = visit

    async def _admitted(
        self, page: pages.LivePage | None, visit: pages.Visit
    ) -> tuple[pages.LivePage | None, pages.Visit]:
        """The page with its reader as they are now; refuses who may not see it."""
        user, verbs = await threaded(_reader)(self.scope)
        if user is None:
            raise _Refused(SIGNED_OUT)
        if (page.verb if page else "view") not in verbs:
            raise _Refused(FORBIDDEN)
        self.authorised_at, self.user = time.monotonic(), user
        self.approves = "approve" in verbs
        personal = page is not None and page.personal
        reader = user.pk if personal else None
        return page, pages.Visit(visit.kwargs, visit.query, verbs, reader, visit.language)

    async def _present(self) -> None:
        """Say, every few seconds, that this reader has this page open."""
        name, reader = self.page.shared if self.page else "", self.visit.user_id
        if not name or reader is None or time.monotonic() - self.present_at < presence.EVERY_S:
            return
        self.present_at = time.monotonic()
        self.present_in = self.visit.kwargs[name]
        mode = self.mode if "operate" in self.visit.verbs else "viewing"
        try:
            await threaded(presence.note)(self.present_in, reader, self.tab, mode)
        except GanglionError:
            log.debug("Redis is not told who has %s open", self.present_in)

    async def _leave(self) -> None:
        where, self.present_in, self.mode, self.present_at = self.present_in, "", "viewing", 0.0
        if where and self.visit.user_id is not None:
            try:
                await threaded(presence.leave)(where, self.visit.user_id, self.tab)
            except GanglionError:
                log.debug("that %s was left shows when it expires", where)

    async def _join(self, wanted: set[str]) -> None:
        """Be in these groups and no others; what a server that stands still keeps from happening is tried again."""
        self.groups_wanted, self.joined_at = wanted, time.monotonic()
        if self.channel_layer is None:
            return
        try:
            async with asyncio.timeout(live.PATIENCE_S):
                for name in self.groups_joined - wanted:
                    await self.channel_layer.group_discard(name, self.channel_name)
                    self.groups_joined.discard(name)
                for name in wanted - self.groups_joined:
                    await self.channel_layer.group_add(name, self.channel_name)
                    self.groups_joined.add(name)
        except Exception:  # Redis is away: pages are read again by the clock
            log.debug("live groups cannot be joined now")

    async def _rejoin(self) -> None:
        if self.groups_joined != self.groups_wanted and time.monotonic() - self.joined_at >= REJOIN_S:
            await self._join(self.groups_wanted)

    def _touch(self) -> None:
        self.changed_at = time.monotonic()
        self.dirty.set()

    async def _cut(self, code: int) -> None:
        if code == SIGNED_OUT:
            await self._frame(leave=f"{reverse('login')}?next={self.scope['path'].removeprefix('/live')}")
        await self.close(code)

    # --- pushing ----------------------------------------------------------------------

    async def _run(self) -> None:
        self._touch()
        beat_at = 0.0
        try:
            while True:
                tick = self.page.tick_s if self.page and not self.rendering.settled else 0.0
                if not connected_lately():
                    tick = tick or REJOIN_S
                wait = min(tick or HEARTBEAT_S, HEARTBEAT_S)
                try:
                    async with asyncio.timeout(wait):
                        await self.dirty.wait()
                except TimeoutError:
                    if tick and time.monotonic() - self.changed_at >= tick * 0.9:
                        self._touch()
                await self._authorise()
                await self._rejoin()
                await self._present()
                if self.dirty.is_set():
                    self.dirty.clear()
                    beat_at = time.monotonic()
                    await self._push()
                    await asyncio.sleep(FLUSH_S)  # also where nothing was rendered, or nothing could be
                elif time.monotonic() - beat_at >= HEARTBEAT_S:
                    beat_at = time.monotonic()
                    await self._frame(**await self._vital_signs())
        except _Refused as refusal:
            await self._cut(refusal.code)
        except Http404:
            await self.close(GONE)
        except OSError:  # the reader left while a frame was on its way
            log.debug("the reader of %s has left", self.scope["path"])
        except Exception:
            log.exception("The live page %s failed.", self.scope["path"])
            await self.close(1011)

    async def _push(self) -> None:
        page, visit = self.page, self.visit
        changed: tuple[tuple[str, str], ...] = ()
        if page is not None:
            # a page and the visit's key are all that a rendering depends on
            self.rendering = _rendering((page, visit.key))
            try:
                fragments = await self.rendering.since(
                    self.changed_at, lambda: threaded(page.fragments)(visit), at_once=not self.sent
                )
            except (DatabaseError, GanglionError) as error:
                log.warning("The live page %s was not read: %s", page.name, error)
                away = unreadable if isinstance(error, DatabaseError) else redis_away
                await self._frame(**{**await self._vital_signs(), **_said(away, self.language)})
                return
            if (self.page, self.visit.key) != (page, visit.key):
                return  # another was opened meanwhile
            if self.rendering.begun >= self.changed_at:
                self.dirty.clear()
            changed = tuple((name, html) for name, html in fragments.items() if self.sent.get(name) != hash(html))
            self.sent.update((name, hash(html)) for name, html in changed)
        await self._frame(changed, **await self._vital_signs())

    async def _vital_signs(self) -> dict[str, Any]:
        """What waits, and what the top bar warns of."""
        signs = await _read_lately()
        waiting = approvals.count_for(self.user, signs.askers) if self.approves else 0
        return {"count": signs.opened, "approvals": waiting, **_said(signs.late, self.language)}

    async def _frame(self, changed: tuple[tuple[str, str], ...] = (), **fields: Any) -> None:
        """Send what counts for this reader, and after it what all readers of the page get."""
        self.seq += 1
        await self.send(frames.text({"seq": self.seq, "at": int(time.time() * 1000), **fields}, changed))


def _reader(scope: dict[str, Any]) -> tuple[Any, frozenset[str]]:
    """Whose session it is, as they are now, and what they may do; nobody once it has ended."""
    user = get_user.func(scope)
    session = scope["session"]
    if not user.is_authenticated or not user.is_active or not session.exists(session.session_key):
        return None, frozenset()
    return user, pages.verbs_of(user)


class _Signs(NamedTuple):
    """What every page shows beside itself."""

    opened: int = 0  # escalations
    askers: list[approvals.Asker] = []  # of approvals
    connected: bool = True
    lag: RelayLag = RelayLag()
    readable: bool = True

    def late(self) -> Late | None:
        """Why pages may not show the present state."""
        return late(self.connected, self.lag) if self.readable else unreadable()


_signs: tuple[float, _Signs] = (0.0, _Signs())


def connected_lately() -> bool:
    """Whether Redis answered when this process last asked."""
    return _signs[1].connected


async def _read_lately() -> _Signs:
    """The signs, read once a second for all readers."""
    global _signs
    read_at, signs = _signs
    if time.monotonic() - read_at >= 1.0:
        _signs = (time.monotonic(), signs)  # others go on with the last ones meanwhile
        try:
            signs = await threaded(_read_signs)()
        except DatabaseError:
            signs = signs._replace(readable=False)
        _signs = (time.monotonic(), signs)
    return _signs[1]


def _read_signs() -> _Signs:
    there = connected()
    return _Signs(
        queries.open_escalations()[0], approvals.askers(), there, queries.relay_lag() if there else RelayLag()
    )


def _said(find: Callable[[], Late | None], reader: str) -> dict[str, str]:
    """What the top bar and the banner say in a reader's language; empty words take them away."""
    with translation.override(reader):
        found = find()
        return {"note": found.short, "title": found.title, "words": found.words} if found else {"note": ""}
