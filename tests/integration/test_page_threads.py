"""Requests in threads that stay, sockets that share what they compress, and connections that are kept."""

from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from django.core.signals import request_started
from django.db import close_old_connections, reset_queries
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path

from bench.audience import sign_in
from config.page_handler import PageHandler
from tests.servers import RedisServer
from tests.web_process import WebProcess

read = list[bytes]()


def slow(request: HttpRequest) -> HttpResponse:
    """Reads its body after its client has gone."""
    time.sleep(0.3)
    read.append(request.body)
    return HttpResponse(b"late")


urlpatterns = [path("slow/", slow)]


@pytest.fixture
def handler() -> Iterator[PageHandler]:
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[]):
        yield PageHandler()
    for receiver in (close_old_connections, reset_queries):
        request_started.connect(receiver)


async def ask(handler: PageHandler, leaves: bool) -> list[dict[str, Any]]:
    """Send a request, wait for its answer or go away at once, and give what was sent back."""
    sent = list[dict[str, Any]]()

    async def messages() -> AsyncIterator[dict[str, Any]]:
        yield {"type": "http.request", "body": b"an order"}
        if not leaves:
            await asyncio.Event().wait()
        await asyncio.sleep(0.05)
        yield {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/slow/", "headers": [], "query_string": b""}
    await handler(scope, messages().__anext__, send)
    return sent


@pytest.mark.once
@pytest.mark.parametrize("leaves", [False, True])
async def test_a_request_is_carried_out_whole_though_its_client_leaves(handler: PageHandler, leaves: bool) -> None:
    read.clear()
    sent = await ask(handler, leaves)
    assert read == [b"an order"]
    assert [message.get("body") for message in sent if message["type"] == "http.response.body"] == [b"late"] * (
        not leaves
    )


@pytest.mark.once
async def test_sockets_agree_on_messages_that_stand_for_themselves(own_redis: RedisServer, tmp_path: Path) -> None:
    """Without that nothing that is compressed could be sent twice."""
    web = WebProcess(tmp_path, REDIS_URL=own_redis.url).start()
    try:
        address = f"{web.url.replace('http', 'ws', 1)}/live/"
        async with websockets.connect(address, origin=websockets.Origin(web.url)) as socket:
            assert socket.response is not None
            assert "server_no_context_takeover" in socket.response.headers["Sec-WebSocket-Extensions"]
            assert "/login/" in await socket.recv()
    finally:
        web.stop()


@pytest.mark.once
def test_an_idle_connection_is_kept(own_redis: RedisServer, tmp_path: Path) -> None:
    """A proxy sends the next request over it, and cannot send an order twice when it meets a closed one."""
    web = WebProcess(tmp_path, REDIS_URL=own_redis.url).start()
    connection = http.client.HTTPConnection(web.url.removeprefix("http://"), timeout=20)
    try:
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
        kept = connection.sock
        assert kept is not None
        time.sleep(7)  # uvicorn's own patience is 5 s
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
        assert connection.sock is kept
    finally:
        connection.close()
        web.stop()


@pytest.mark.once
def test_answers_say_how_long_the_console_had_them_but_not_to_strangers(own_redis: RedisServer, tmp_path: Path) -> None:
    web = WebProcess(tmp_path, REDIS_URL=own_redis.url).start(pages=True)
    try:
        web.token()
        stranger = httpx.get(f"{web.url}/login/")
        assert stranger.status_code == 200
        assert "Server-Timing" not in stranger.headers
        link = web.manage("make_login_link", "--base-url", web.url).split()[-1]
        cookie = sign_in(link)
        began = time.perf_counter()
        answer = httpx.get(f"{web.url}/workflows/", headers={"Cookie": cookie})
        took_ms = (time.perf_counter() - began) * 1000
        assert answer.status_code == 200
        name, _, figure = answer.headers["Server-Timing"].partition(";dur=")
        assert name == "app"
        assert 0 < float(figure) < took_ms
        assert httpx.get(f"{web.url}/login/", headers={"Cookie": cookie, "Host": "evil.example"}).status_code == 400
    finally:
        web.stop()
