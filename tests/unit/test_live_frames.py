"""Frames of the live sockets, as a reader's end takes them in."""

from __future__ import annotations

import json
import random

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.headers import parse_extension

from dashboard import frames

ROWS = "".join(f"<tr id='wf-{number}'><td>{random.Random(number).random()} · „so“</td></tr>" for number in range(500))
CHANGED = (("wf-list", ROWS), ("wf-count", "<b>500</b>"))


def agree(**asked: object) -> tuple[PerMessageDeflate, PerMessageDeflate]:
    """The server's and the client's end of what they agree on."""
    client = ClientPerMessageDeflateFactory(**asked)  # type: ignore[arg-type]
    offered = ", ".join(f"{name}={value}" if value else name for name, value in client.get_request_params())
    ((_, wanted),) = parse_extension(f"permessage-deflate; {offered}".rstrip("; ").replace(", ", "; "))
    answered, server = frames._Negotiation().process_request_params(wanted, [])
    return server, client.process_response_params(answered, [])


def sent(server: PerMessageDeflate, text: str) -> Frame:
    return server.encode(Frame(Opcode.TEXT, text.encode()))


def test_a_frame_says_first_what_is_one_readers_own_and_last_what_all_get() -> None:
    text = frames.text({"seq": 3, "note": 'of a "name"'}, CHANGED)
    told = json.loads(text)
    assert list(told) == ["seq", "note", "content"]
    assert told["note"] == 'of a "name"'
    assert told["content"].startswith('<hx-partial hx-target="#wf-list" hx-swap="innerMorph"><tr')
    assert "„so“" in told["content"]
    assert json.loads(frames.text({"seq": 4})) == {"seq": 4}


@pytest.mark.parametrize("asked", [{}, {"server_max_window_bits": 9}, {"server_no_context_takeover": True}])
def test_readers_get_what_was_sent_in_whatever_order_frames_come(asked: dict[str, object]) -> None:
    server, client = agree(**asked)
    for seq, changed in enumerate([(), CHANGED, CHANGED[:1], (), CHANGED, CHANGED, ()]):
        text = frames.text({"seq": seq, "note": "x" * seq}, changed)
        frame = sent(server, text)
        assert len(frame.data) < len(text) or not changed
        assert bytes(client.decode(frame).data).decode() == text


def test_what_many_readers_get_is_compressed_once() -> None:
    frames._shared_deflated.cache_clear()
    for reader in range(20):
        server, client = agree()
        text = frames.text({"seq": reader}, CHANGED)
        assert bytes(client.decode(sent(server, text)).data).decode() == text
    assert frames._shared_deflated.cache_info().misses == 1


def test_words_that_look_like_the_border_are_not_shared() -> None:
    frames._shared_deflated.cache_clear()
    for reader in range(3):
        server, client = agree()
        text = frames.text({"words": f',"content":"{reader}"'}, CHANGED)
        assert bytes(client.decode(sent(server, text)).data).decode() == text
    assert frames._shared_deflated.cache_info().misses == 1
