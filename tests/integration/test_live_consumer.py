"""The socket behind every page: who is let in, what is pushed, and that readers share renderings."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.layers import get_channel_layer
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from coordination.config import Config
from dashboard import accounts, consumers, live, pages
from dashboard.models import Workflow

pytestmark = pytest.mark.django_db(transaction=True)
WAIT_S = 10


class Socket(ApplicationCommunicator):
    """One WebSocket into the application, without a server between."""

    def __init__(self, application: Any, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        where, _, query = path.partition("?")
        scope = {
            "type": "websocket",
            "path": where,
            "query_string": query.encode(),
            "headers": headers,
            "subprotocols": [],
        }
        super().__init__(application, scope)

    async def connect(self) -> bool:
        await self.send_input({"type": "websocket.connect"})
        answer = await self.receive_output(WAIT_S)
        return bool(answer["type"] == "websocket.accept")

    async def text(self) -> dict[str, Any]:
        answer = await self.receive_output(WAIT_S)
        assert answer["type"] == "websocket.send", answer
        found: dict[str, Any] = json.loads(answer["text"])
        return found

    async def say(self, message: dict[str, Any]) -> None:
        await self.send_input({"type": "websocket.receive", "text": json.dumps(message)})

    async def leave(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(WAIT_S)


def cookie_of(user: User) -> str:
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client.cookies["ganglion_session"].value


@pytest.fixture
async def viewer(config: Config) -> User:
    admin = await sync_to_async(accounts.ensure_admin)()
    return await sync_to_async(accounts.create_user)("vera", "viewer", admin)


@pytest.fixture
async def opened() -> AsyncIterator[Any]:
    """Opens sockets and closes what is left open."""
    from config.asgi import application

    made: list[Socket] = []

    async def open_(path: str, user: User | None) -> Socket:
        headers = [(b"host", b"localhost"), (b"origin", b"http://localhost")]
        if user is not None:
            cookie = await sync_to_async(cookie_of)(user)
            headers.append((b"cookie", f"ganglion_session={cookie}".encode()))
        socket = Socket(application, f"/live{path}", headers)
        made.append(socket)
        assert await socket.connect()
        return socket

    yield open_
    for socket in made:
        await socket.leave()


async def frame(socket: Socket, holding: str = "content") -> dict[str, Any]:
    """The next frame that holds a field."""
    while True:
        found = await socket.text()
        if holding in found:
            return found


async def test_a_stranger_is_sent_to_the_login_and_cut_off(config: Config, opened: Any) -> None:
    socket = await opened("/workflows/", None)
    said = await socket.text()
    assert said["leave"].startswith("/login/")
    closing = await socket.receive_output(WAIT_S)
    assert (closing["type"], closing["code"]) == ("websocket.close", consumers.SIGNED_OUT)


async def test_a_person_without_a_role_is_refused(config: Config, opened: Any) -> None:
    nobody = await User.objects.acreate(username="nobody")
    socket = await opened("/workflows/", nobody)
    closing = await socket.receive_output(WAIT_S)
    assert (closing["type"], closing["code"]) == ("websocket.close", consumers.FORBIDDEN)


async def test_another_origin_is_refused(config: Config) -> None:
    from config.asgi import application

    headers = [(b"host", b"localhost"), (b"origin", b"http://elsewhere.example")]
    socket = Socket(application, "/live/", headers)
    assert not await socket.connect()


async def test_a_connect_gets_a_snapshot_and_a_change_gets_only_what_changed(viewer: User, opened: Any) -> None:
    socket = await opened("/workflows/", viewer)
    first = await frame(socket)
    assert 'hx-target="#wf-list" hx-swap="innerMorph"' in first["content"]
    assert "csrf" not in first["content"] and "vera" not in first["content"]
    now = timezone.now()
    await Workflow.objects.acreate(id="fresh-one", type="t", state="running", created_at=now, updated_at=now)
    layer = get_channel_layer()
    assert layer is not None
    await layer.group_send(live.group("workflows"), live.message("workflows"))
    second = await frame(socket)
    assert "fresh-one" in second["content"]
    assert second["seq"] > first["seq"]


async def test_a_page_that_moved_is_followed(viewer: User, opened: Any) -> None:
    socket = await opened("/workflows/", viewer)
    await frame(socket)
    await socket.say({"path": "/audit/?action=login."})
    assert 'hx-target="#au-list"' in (await frame(socket))["content"]


async def test_readers_of_one_kind_share_a_rendering(
    viewer: User, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    whole = pages.LivePage.fragments

    def counted(self: pages.LivePage, visit: pages.Visit) -> Any:
        made.append(self.name)
        return whole(self, visit)

    monkeypatch.setattr(pages.LivePage, "fragments", counted)
    sockets = [await opened("/audit/", viewer) for _ in range(6)]
    for socket in sockets:
        await frame(socket)
    layer = get_channel_layer()
    assert layer is not None
    made.clear()
    await layer.group_send(live.group("audit"), live.message("audit"))
    for socket in sockets:
        await frame(socket, "at")
    assert len(made) < len(sockets)


async def test_who_is_locked_out_is_cut_off(viewer: User, opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "AUTHORISE_S", 0.0)
    socket = await opened("/audit/", viewer)
    await frame(socket)
    await User.objects.filter(pk=viewer.pk).aupdate(is_active=False)
    assert (await frame(socket, "leave"))["leave"].startswith("/login/")
