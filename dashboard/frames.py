"""Frames of the live sockets: what they look like, and how what many readers get is made and compressed once.

A compressed message may be put together from parts that were compressed apart, as long as none refers back into
another (RFC 7692: a message may consist of several DEFLATE blocks). So the partials, which all readers of a page
get, are written and compressed once, and only the beginning of a frame, which counts for each reader, for each.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import zlib
from typing import Any

import msgspec
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode

_SHARED = ',"content":'  # from here to its end, a frame is the same for all readers of a page
_RENDERINGS = 32  # that are remembered, a few of each page that is open
_WINDOW_BITS, _MEMORY = 12, 5  # of zlib; small, because each socket has one for what it gets
_FLUSHED = b"\0\0\xff\xff"  # ends what was flushed; left away from a whole message


def text(fields: dict[str, Any], changed: tuple[tuple[str, str], ...] = ()) -> str:
    """One frame.

    Args:
        fields: What is this reader's own.
        changed: Names of elements and their new HTML.
    """
    own = msgspec.json.encode(fields).decode()
    return f"{own[:-1]}{_shared(changed)}}}" if changed else own


@functools.lru_cache(_RENDERINGS)
def _shared(changed: tuple[tuple[str, str], ...]) -> str:
    """The part with the partials; it has no letters beyond ASCII, so that it is copied and not converted."""
    partials = [f'<hx-partial hx-target="#{name}" hx-swap="innerMorph">{html}</hx-partial>' for name, html in changed]
    return _SHARED + json.dumps("".join(partials))


class Protocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, which compresses the shared part of frames once."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if self.config.ws_per_message_deflate:
            self.conn.available_extensions = [_Negotiation()]


class _Negotiation(ServerPerMessageDeflateFactory):
    """Agrees on messages that do not refer to earlier ones, without which no part could be used twice."""

    def __init__(self) -> None:
        super().__init__(
            server_no_context_takeover=True,
            server_max_window_bits=_WINDOW_BITS,
            client_max_window_bits=_WINDOW_BITS,
            compress_settings={"memLevel": _MEMORY},
        )

    def process_request_params(self, *arguments: Any) -> tuple[Any, PerMessageDeflate]:
        """What is agreed with a client."""
        parameters, agreed = super().process_request_params(*arguments)
        return parameters, _SharedDeflate(
            agreed.remote_no_context_takeover,
            agreed.local_no_context_takeover,
            agreed.remote_max_window_bits,
            agreed.local_max_window_bits,
            agreed.compress_settings,
        )


class _SharedDeflate(PerMessageDeflate):
    def encode(self, frame: Frame) -> Frame:
        """Compress one frame."""
        data, bits = bytes(frame.data), self.local_max_window_bits
        begin = data.find(_SHARED.encode()) if frame.opcode is Opcode.TEXT and frame.fin else -1
        if begin < 0:
            return super().encode(frame)
        packed = _deflated(data[:begin], bits) + _shared_deflated(data[begin:], bits).removesuffix(_FLUSHED)
        return dataclasses.replace(frame, data=packed, rsv1=True)


def _deflated(data: bytes, window_bits: int) -> bytes:
    """Compressed so that something may follow."""
    packer = zlib.compressobj(wbits=-window_bits, memLevel=_MEMORY)
    return packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)


_shared_deflated = functools.lru_cache(_RENDERINGS)(_deflated)
