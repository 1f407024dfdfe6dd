"""Takes finished deliveries off their queues, in batches, without holding up the work."""

from __future__ import annotations

import asyncio

from redis.exceptions import RedisError

from agents.ledger import Ledger
from agents.outage import Outage, backoff_s
from coordination import tasks
from coordination.connection import Connection
from coordination.errors import TryAgain
from coordination.tasks import Delivery

_MOST = 200  # entries in one script
_PACE_S = 0.01  # between two rounds, so that one script takes many


class Acknowledger:
    """Acknowledges every delivery it is given, again and again until the server has answered.

    An acknowledgement repeated after a lost reply changes nothing: ids never name another entry.
    """

    def __init__(self, connection: Connection, ledger: Ledger, outage: Outage) -> None:
        self._connection = connection
        self._ledger = ledger
        self._outage = outage
        self._due: dict[str, list[bytes]] = {}
        self._some = asyncio.Event()
        self._sent = asyncio.Event()
        self._under_way = 0

    def add(self, delivery: Delivery) -> None:
        """Acknowledge a delivery soon."""
        self.add_entry(delivery.queue, delivery.entry_id)

    def add_entry(self, queue: str, entry_id: bytes) -> None:
        """Acknowledge an entry soon."""
        self._due.setdefault(queue, []).append(entry_id)
        self._some.set()

    async def finish(self, limit_s: float) -> None:
        """Wait until everything is acknowledged, for a bounded time."""
        try:
            async with asyncio.timeout(limit_s):
                while self._due or self._under_way:
                    self._sent.clear()
                    await self._sent.wait()
        except TimeoutError:
            pass

    async def run(self) -> None:
        """Work until cancelled."""
        tries = 0
        while True:
            await self._some.wait()
            self._some.clear()
            due, self._due = self._due, {}
            batches = [(queue, ids[at : at + _MOST]) for queue, ids in due.items() for at in range(0, len(ids), _MOST)]
            self._under_way = len(batches)
            fine = await asyncio.gather(*(self._send(queue, ids) for queue, ids in batches))
            self._under_way = 0
            self._sent.set()
            tries = 0 if all(fine) else tries + 1
            await asyncio.sleep(backoff_s(tries) if tries else _PACE_S)

    async def _send(self, queue: str, ids: list[bytes]) -> bool:
        try:
            await tasks.acknowledge_many(self._connection, queue, ids)
        except (TryAgain, RedisError) as error:
            if str(error).startswith("NOGROUP"):
                self._forget(queue, ids)  # the queue is gone, and its entries with it
                return True
            self._outage.failed(error, len(self._ledger.running))
            self._due.setdefault(queue, []).extend(ids)
            self._some.set()
            return False
        self._outage.succeeded()
        self._forget(queue, ids)
        return True

    def _forget(self, queue: str, ids: list[bytes]) -> None:
        self._ledger.known.difference_update((queue, entry_id) for entry_id in ids)
