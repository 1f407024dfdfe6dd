"""A storm of cancellations over a slow network that is cut: every reply belongs to its call, and nothing leaks.

Callers of one batched connection ask for echoes of their own and give up at random, also while they wait for a
blocked read. Between them and the server a proxy delays and cuts. A reply that is not the caller's own is wrong. At
the end no task, no future and no socket is left over.
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections import Counter

import msgspec

from coordination.config import current
from coordination.connection import Connection
from coordination.errors import ServerUnavailable
from tests import servers
from tests.agent_tasks import until
from tests.chaos.proxy import Proxy
from tests.chaos.scenarios import Options, Outcome

NAME = "cancels"
_FULL, _SHORT = 100_000, 20_000
_AT_ONCE = 500  # callers


class Storm:
    """Callers that give up, and what they were answered."""

    def __init__(self, connection: Connection, chance: random.Random) -> None:
        self.connection = connection
        self.chance = chance
        self.ends: Counter[str] = Counter()
        self.wrong: list[str] = []

    async def caller(self, numbers: list[int]) -> None:
        """One caller, call after call."""
        for number in numbers:
            await self._call(number)

    async def _call(self, number: int) -> None:
        call = asyncio.ensure_future(self._read(number) if number % 50 == 0 else self._echo(number))
        if self.chance.random() < 0.5:
            await asyncio.sleep(self.chance.choice([0, 0, self.chance.uniform(0, 0.006)]))
            call.cancel()
        try:
            answer, expected = await call
        except asyncio.CancelledError:
            self.ends["cancelled"] += 1
        except (ServerUnavailable, TimeoutError):
            self.ends["cut"] += 1
        else:
            self.ends["answered"] += 1
            if answer != expected:
                self.ends["wrong"] += 1
                self.wrong.append(f"call {number} was answered {answer!r}")

    async def _echo(self, number: int) -> tuple[object, object]:
        """A call whose reply proves whose it is."""
        text = f"{number}:{'x' * (number % 97)}".encode()
        return await self.connection.call("ECHO", text), text

    async def _read(self, number: int) -> tuple[object, object]:
        """A blocked read, which has a connection of its own; nothing is ever added to its stream."""
        stream = f"{self.connection.keys.prefix}empty:{number}"
        return await self.connection.blocking("XREAD", "BLOCK", 20, "STREAMS", stream, "$"), None


async def run(options: Options) -> Outcome:
    """Run the scenario; 100,000 calls from a minute on, a fifth of it below."""
    wanted, chance = _FULL if options.minutes >= 1 else _SHORT, random.Random(options.seed)
    near, far = options.folder / "s.sock", options.folder / "p.sock"
    server = servers.RedisServer(options.folder / "redis", path=near).start()
    proxy = Proxy(far, near)
    proxy.start()
    began = time.monotonic()
    try:
        config = msgspec.structs.replace(current(), prefix="cancels:", redis_url=f"unix://{far}")
        async with await Connection.open(msgspec.structs.replace(config, redis_url=f"unix://{near}")) as direct:
            before = await _now(direct)
            connection = await Connection.open(config)
            storm = Storm(connection, chance)
            cuts = await _blow(storm, proxy, wanted, options)
            broken = storm.wrong[:20]
            await _still(connection, broken)
            in_use = sum(wire.usable for wire in connection._wires) - len(connection._idle)
            await connection.close()
            left = await _left(direct, before, broken)
    finally:
        proxy.stop()
        server.stop()
    if sum(storm.ends.values()) != wanted + storm.ends["wrong"]:
        broken.append(f"{sum(storm.ends.values())} of {wanted} calls came to an end")
    if in_use:
        broken.append(f"{in_use} sockets are in use with nobody waiting for them")
    if not cuts or not storm.ends["cancelled"]:
        broken.append("no fault was fired")
    figures: dict[str, float | int | str] = {
        "calls": wanted,
        "cancelled": storm.ends["cancelled"],
        "answered": storm.ends["answered"],
        "ended_by_a_cut": storm.ends["cut"],
        "cuts": cuts,
        "wrong_replies": storm.ends["wrong"],
        "sockets_in_use_after": in_use,
        **left,
        "calls_per_s": round(wanted / (time.monotonic() - began)),
    }
    return Outcome(NAME, not broken, figures, broken)


async def _blow(storm: Storm, proxy: Proxy, wanted: int, options: Options) -> int:
    """Let the callers call, while the proxy delays and cuts; gives how often it cut."""
    shares = [list(range(first, wanted, _AT_ONCE)) for first in range(_AT_ONCE)]
    calling = asyncio.gather(*(storm.caller(share) for share in shares))
    cuts = 0
    told = time.monotonic()
    while not calling.done():
        proxy.delay_s = storm.chance.choice([0.0, 0.001, 0.003])
        await asyncio.sleep(storm.chance.uniform(0.02, 0.1))
        if storm.chance.random() < 0.3:
            proxy.cut()
            cuts += 1
        if time.monotonic() - told > 5:
            told = time.monotonic()
            options.say(f"{sum(storm.ends.values()):,} calls ended, {storm.ends['wrong']} wrong, {cuts} cuts")
    await calling
    proxy.delay_s = 0.0
    return cuts


async def _still(connection: Connection, broken: list[str]) -> None:
    """Wait until nothing is in use, and see that the next call is answered its own; the last cut may still end one."""

    def unused() -> bool:
        return not connection._waiting and not connection._lanes

    try:
        await until(unused, 20)
        try:
            answer = await connection.call("ECHO", b"after the storm")
        except ServerUnavailable:
            answer = await connection.call("ECHO", b"after the storm")
        if answer != b"after the storm":
            broken.append("the first call after the storm got another's reply")
        await until(unused, 20)
    except TimeoutError:
        broken.append(f"{connection._lanes} lanes are in use with nobody waiting for them")
    if any(not wire.usable for wire in connection._idle):
        broken.append("a socket with replies outstanding is kept for the next call")


async def _now(direct: Connection) -> Counter[str]:
    """How many tasks, unfinished futures and sockets there are."""
    sockets = (await direct.call("CLIENT", "LIST")).count(b"\n")
    await until(lambda: not direct._lanes)
    gc.collect()
    futures = [thing for thing in gc.get_objects() if isinstance(thing, asyncio.Future) and not thing.done()]
    return Counter(sockets=sockets, tasks=len(asyncio.all_tasks()), futures=len(futures))


async def _left(direct: Connection, before: Counter[str], broken: list[str]) -> dict[str, float | int | str]:
    """What is there beyond what was there before, although the connection is closed."""
    left = before
    for _ in range(50):  # the proxy's thread notices what was closed a moment later
        left = await _now(direct)
        left.subtract(before)
        if not any(count > 0 for count in left.values()):
            break
        await asyncio.sleep(0.1)
    broken += [f"{count} {name} were left" for name, count in left.items() if count > 0]
    return {f"{name}_left": max(0, count) for name, count in left.items()}
