"""Requests that are too large are ended before anything keeps them."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from config.body_limit import BodyLimit

LIMIT = 100


class Reader:
    """An application that reads a whole body, as Django does, and answers with its length."""

    def __init__(self) -> None:
        self.kept = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            self.kept += len(message.get("body", b""))
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(self.kept).encode()})


@pytest.mark.parametrize(
    ("parts", "announced", "status"),
    [
        ([b"x" * LIMIT], b"100", 200),
        ([b"x" * 40, b"x" * 60], None, 200),
        ([b"x" * (LIMIT + 1)], b"101", 413),
        ([b"x" * 60, b"x" * 60, b"x" * 60], None, 413),
        ([b"x" * 60, b"x" * 60], b"10", 413),
        ([b""], b"not a number", 200),
    ],
)
async def test_a_body_has_a_limit(parts: list[bytes], announced: bytes | None, status: int) -> None:
    reader = Reader()
    headers = [(b"content-length", announced)] if announced else []
    asked: Any = ApplicationCommunicator(BodyLimit(reader, LIMIT), {"type": "http", "headers": headers})  # type: ignore[no-untyped-call]
    for number, part in enumerate(parts, 1):
        await asked.send_input({"type": "http.request", "body": part, "more_body": number < len(parts)})
    answer = await asked.receive_output(5)
    assert answer["status"] == status
    assert reader.kept <= LIMIT
    await asked.receive_output(5)
    await asked.wait(5)
