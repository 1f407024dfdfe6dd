"""The network between every process and the server: slow, silent, half-open, cut, or losing replies."""

from __future__ import annotations

import asyncio
import time

from tests.chaos.scene import Kind, Scene, now_ms

_NOTICED_S = 17.0  # an exchange is given up after 15 s; what is not used meanwhile is noticed when it is


async def _connections_cut(scene: Scene) -> None:
    scene.note("connections_cut", "network")
    scene.crew.proxy.cut()


async def _network_slow(scene: Scene) -> None:
    """Every packet takes 60 ms longer, for 3 s."""
    fault = scene.note("network_slow", "network")
    scene.crew.proxy.delay_s = 0.06
    try:
        await asyncio.sleep(3)
    finally:
        scene.crew.proxy.delay_s = 0.0
    fault.until_ms = now_ms()


async def _network_silent(scene: Scene) -> None:
    """Connections stay open, but nothing arrives for 4 s; then they break."""
    fault = scene.note("network_silent", "network")
    scene.crew.proxy.silent = True
    try:
        await asyncio.sleep(4)
    finally:
        scene.crew.proxy.cut()
        scene.crew.proxy.silent = False
    fault.until_ms = now_ms()


async def _half_open(scene: Scene) -> None:
    """Every second connection stays open and never carries anything again; whoever uses one must notice."""
    fault = scene.note("half_open", "network")
    scene.crew.proxy.half_open(scene.rng)
    await asyncio.sleep(0.1)
    hit, began = scene.crew.proxy.dead, time.monotonic()
    while scene.crew.proxy.dead and time.monotonic() - began < _NOTICED_S:
        await asyncio.sleep(0.1)
    fault.until_ms = now_ms()
    fault.figures = {"connections": hit, "unused": scene.crew.proxy.dead}


async def _replies_dropped(scene: Scene) -> None:
    """The server executes, but its replies are lost, for half a second; then connections break."""
    fault = scene.note("replies_dropped", "network")
    scene.crew.proxy.deaf = True
    try:
        await asyncio.sleep(0.5)
    finally:
        scene.crew.proxy.cut()
        scene.crew.proxy.deaf = False
    fault.until_ms = now_ms()


KINDS: dict[str, Kind] = {
    "connections_cut": _connections_cut,
    "network_slow": _network_slow,
    "network_silent": _network_silent,
    "half_open": _half_open,
    "replies_dropped": _replies_dropped,
}
