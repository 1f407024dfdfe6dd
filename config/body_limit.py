"""No request brings more than a document and the form around it, whoever sends it and however it is announced."""

from __future__ import annotations

from typing import Any

_ANSWER = b"This request is too large.\n"


class BodyLimit:
    """Ends a request with 413 as soon as its body is known to be too large, before anything keeps it.

    Args:
        application: What answers requests.
        limit: Bytes that a body may have.
    """

    def __init__(self, application: Any, limit: int) -> None:
        self._application = application
        self._limit = limit

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Pass on while the body is small enough."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        announced = [value for name, value in scope["headers"] if name == b"content-length"]
        if announced and announced[0].isdigit() and int(announced[0]) > self._limit:
            await _refuse(send)
            return
        seen, begun = 0, False

        async def counted() -> Any:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > self._limit:
                    return {"type": "http.disconnect"}  # the rest is not for anybody
            return message

        async def noted(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        await self._application(scope, counted, noted)
        if seen > self._limit and not begun:
            await _refuse(send)


async def _refuse(send: Any) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(_ANSWER)).encode()),
               (b"connection", b"close")]  # fmt: skip
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": _ANSWER})
