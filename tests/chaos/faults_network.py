"""The network between every process and the server: slow, silent, half-open, cut, away, or losing replies."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

from tests.chaos.scene import Fault, Kind, Scene, now_ms

_NOTICED_S = 17.0  # an exchange is given up after 15 s; what is not used meanwhile is noticed when it is
_BACK_S = 5.0  # for the first process to connect again
_SLOW_S, _SILENT_S, _AWAY_S, _DEAF_S = 3.0, 4.0, 10.0, 0.5
_COUNTED = ("accepted", "ended", "turned_away", "held_up", "swallowed")


@contextlib.contextmanager
def _counted(scene: Scene, fault: Fault) -> Iterator[None]:
    """Note what the proxy did inside the block, and when the block ended."""
    proxy = scene.crew.proxy
    before = {name: getattr(proxy, name) for name in _COUNTED}
    try:
        yield
    finally:
        fault.until_ms = now_ms()
        fault.figures |= {name: getattr(proxy, name) - count for name, count in before.items()}


async def _reconnected(scene: Scene) -> None:
    """Wait until somebody has connected again."""
    proxy, began = scene.crew.proxy, time.monotonic()
    before = proxy.accepted
    while proxy.accepted == before and time.monotonic() - began < _BACK_S:
        await asyncio.sleep(0.02)


async def _connections_cut(scene: Scene) -> None:
    fault = scene.note("connections_cut", "network")
    with _counted(scene, fault):
        scene.crew.proxy.cut()
        await _reconnected(scene)


async def _network_slow(scene: Scene) -> None:
    """Every packet takes 60 ms longer, for 3 s."""
    fault = scene.note("network_slow", "network")
    with _counted(scene, fault):
        scene.crew.proxy.delay_s = 0.06
        try:
            await asyncio.sleep(_SLOW_S)
        finally:
            scene.crew.proxy.delay_s = 0.0


async def _network_silent(scene: Scene) -> None:
    """Connections stay open, but nothing arrives for 4 s; then they break."""
    fault = scene.note("network_silent", "network")
    with _counted(scene, fault):
        scene.crew.proxy.silent = True
        try:
            await asyncio.sleep(_SILENT_S)
        finally:
            scene.crew.proxy.cut()
            scene.crew.proxy.silent = False


async def _network_away(scene: Scene) -> None:
    """Connections are reset, and every new one too, for 10 s."""
    fault = scene.note("network_away", "network")
    with _counted(scene, fault):
        scene.crew.proxy.away = True
        scene.crew.proxy.cut()
        try:
            await asyncio.sleep(_AWAY_S)
        finally:
            scene.crew.proxy.away = False


async def _half_open(scene: Scene) -> None:
    """Every second connection stays open and never carries anything again; whoever uses one must notice."""
    fault = scene.note("half_open", "network")
    with _counted(scene, fault):
        scene.crew.proxy.half_open(scene.rng)
        await asyncio.sleep(0.1)
        hit, began = scene.crew.proxy.dead, time.monotonic()
        while scene.crew.proxy.dead and time.monotonic() - began < _NOTICED_S:
            await asyncio.sleep(0.1)
    fault.figures |= {"connections": hit, "unused": scene.crew.proxy.dead}


async def _replies_dropped(scene: Scene) -> None:
    """The server executes, but its replies are lost, for half a second; then connections break."""
    fault = scene.note("replies_dropped", "network")
    with _counted(scene, fault):
        scene.crew.proxy.deaf = True
        try:
            await asyncio.sleep(_DEAF_S)
        finally:
            scene.crew.proxy.cut()
            scene.crew.proxy.deaf = False


KINDS: dict[str, Kind] = {
    "connections_cut": _connections_cut,
    "network_slow": _network_slow,
    "network_silent": _network_silent,
    "network_away": _network_away,
    "half_open": _half_open,
    "replies_dropped": _replies_dropped,
}
