"""Readers of the console: sockets that keep what pages show, and requests as htmx sends them."""

from __future__ import annotations

import asyncio
import random
import re
import threading
import time
from types import TracebackType
from typing import Self

import httpx
import msgspec
import websockets

PAGES = {"/": "ov-recent", "/workflows/": "wf-list", "/escalations/": "esc-list", "/audit/": "au-list"}
FETCH_S = 5.0  # each reader asks for something this often
OPEN_S = 20.0
_PARTIAL = re.compile(r'<hx-partial hx-target="#([\w-]+)"[^>]*>(.*?)</hx-partial>', re.DOTALL)
_TIMING = re.compile(r"dur=([\d.]+)")
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


class _Frame(msgspec.Struct):
    seq: int
    content: str = ""


_decode = msgspec.json.Decoder(_Frame).decode


class Reader:
    """One socket that keeps the newest HTML of each element, as a page does."""

    def __init__(self, path: str) -> None:
        self.path, self.seq, self.gaps, self.frames = path, 0, 0, 0
        self.shown: dict[str, str] = {}

    async def read(self, url: str, cookie: str) -> None:
        """Read until cancelled."""
        address = f"{url.replace('http', 'ws', 1)}/live{self.path}"
        async with websockets.connect(
            address, additional_headers={"Cookie": cookie}, origin=websockets.Origin(url), max_size=None
        ) as socket:
            async for text in socket:
                frame = _decode(text)
                self.gaps += frame.seq != self.seq + 1
                self.seq = frame.seq
                self.frames += 1
                for name, html in _PARTIAL.findall(frame.content):
                    self.shown[name] = html


def sign_in(link: str) -> str:
    """The cookies of somebody who uses a login link."""
    with httpx.Client(follow_redirects=True) as browser:
        token = _TOKEN.search(browser.get(link).text)
        assert token, "the login link has no form"
        browser.post(link, data={"csrfmiddlewaretoken": token[1]}, headers={"Referer": link}).raise_for_status()
        return "; ".join(f"{name}={value}" for name, value in browser.cookies.items())


class Audience:
    """So many open pages, read in a thread of their own as long as the block lasts.

    Args:
        url: The console's.
        cookie: Whose pages they are.
        readers: How many.
        asks: Whether each also asks for a page every few seconds, as somebody does who looks around.
    """

    def __init__(self, url: str, cookie: str, readers: int, asks: bool = True) -> None:
        self._url, self._cookie, self._asks = url, cookie, asks
        paths = list(PAGES)
        self.readers = [Reader(paths[number % len(paths)]) for number in range(readers)]
        self.took_ms: list[float] = []  # of each request, from sending it to its whole answer
        self.server_ms: list[float] = []  # of which at the server, as it says
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="audience")
        self._tasks: list[asyncio.Task[None]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(OPEN_S + 5)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def forget(self) -> None:
        """Begin to count anew."""
        self.took_ms, self.server_ms = [], []

    async def _open(self) -> None:
        for number, reader in enumerate(self.readers):
            self._tasks.append(asyncio.create_task(reader.read(self._url, self._cookie), name=f"reader-{number}"))
            if self._asks:
                self._tasks.append(asyncio.create_task(self._fetch(reader), name=f"fetch-{number}"))
        async with asyncio.timeout(OPEN_S):
            while not all(reader.shown for reader in self.readers):  # noqa: ASYNC110 - frames come as they come
                await asyncio.sleep(0.05)

    async def _fetch(self, reader: Reader) -> None:
        headers = {"Cookie": self._cookie, "HX-Request": "true", "HX-Target": f"div#{PAGES[reader.path]}"}
        async with httpx.AsyncClient(base_url=self._url, headers=headers, timeout=30) as browser:
            while True:
                await asyncio.sleep(random.uniform(0.5, 1.5) * FETCH_S)
                began = time.perf_counter()
                answer = (await browser.get(reader.path)).raise_for_status()
                self.took_ms.append((time.perf_counter() - began) * 1000)
                self.server_ms.append(float(_TIMING.findall(answer.headers["Server-Timing"])[0]))

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        died = [error for error in ended if error is not None and not isinstance(error, asyncio.CancelledError)]
        if died:
            raise RuntimeError(f"{len(died)} of {len(ended)} readers died: {died[0]!r}")
