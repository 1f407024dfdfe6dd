"""Looks after what time or a lost reply may have left behind, so that no workflow strands.

Due members of the deadline index are looked at by the host that their shard falls to, and by any other
when it does not come; entries that are pending here although their workflow is not in memory are taken
up again.

Invariant 6: nothing strands.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import ResponseError

from coordination.errors import ServerUnavailable
from coordination.keys import COORDINATORS_GROUP
from coordination.leases import tell_parent, to_fields
from coordination.rescue import falls_to
from coordination.streams import wake

if TYPE_CHECKING:
    from coordination.host import Host

log = structlog.get_logger(__name__)

_SWEEP_S = 0.5
_SLICE = 1_000
_MOST_DUE = 200  # members of one shard in one look
_PEERS_MS = 2_000  # that members of a peer's shard have been due before this host looks at them
_LOST_MS = 1_500  # an entry that pends for so long without its workflow in memory is taken up again
_PAGE = 500  # pending entries of one stream in one look


class Sweeper:
    """Sweeps every shard for one host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._looked_to: dict[str, str] = {}  # stream -> where the next look at its pending entries begins
        self._all_due = False

    async def run(self) -> None:
        """Look after due members of the deadline index, in every shard, until cancelled."""
        while True:
            await asyncio.sleep(random.uniform(0.5, 1.5) * _SWEEP_S)
            try:
                if self._all_due:
                    await self._look_at_everything()
                await asyncio.gather(*(self._sweep_shard(shard) for shard in range(self._host.connection.keys.shards)))
            except (ServerUnavailable, ResponseError) as error:
                log.debug(str(error), action="sweep_failed")

    async def _look_at_everything(self) -> None:
        """Do what ``look_at_everything_soon`` asks for; what is asked for meanwhile is done with the next sweep."""
        self._all_due = False
        try:
            await asyncio.gather(*(self.look_at_all(shard) for shard in range(self._host.connection.keys.shards)))
        except BaseException:
            self._all_due = True
            raise

    async def look_at_all(self, shard: int) -> None:
        """Make every live workflow of a shard due, because what would bring them back may be lost."""
        call, deadlines = self._host.connection.call, self._host.connection.keys.deadlines(shard)
        members = await call("ZRANGEBYSCORE", deadlines, "-inf", "(+inf")
        for at in range(0, len(members), _SLICE):
            scores = [part for member in members[at : at + _SLICE] for part in (self._host.now_ms(), member)]
            await call("ZADD", deadlines, "XX", *scores)

    def look_at_everything_soon(self) -> None:
        """Make every live workflow due with the next sweep."""
        self._all_due = True

    async def _sweep_shard(self, shard: int) -> None:
        host, keys = self._host, self._host.connection.keys
        due_ms = host.now_ms() - (0 if falls_to(host, shard) else _PEERS_MS)
        due = await host.connection.call("ZRANGEBYSCORE", keys.deadlines(shard), "-inf", due_ms, "LIMIT", 0, _MOST_DUE)
        live = f" {host.id} {' '.join(host.peers)} "
        look_ms = int(host.config.look_s * 1000)
        for raw in due:
            workflow_id = raw.decode()
            answer = await host.connection.script(
                "look",
                [keys.workflow(workflow_id), keys.workflows(shard), keys.resumes(shard), keys.deadlines(shard)],
                [workflow_id, look_ms, live],
            )
            if answer[0] == 2:
                await self._tell(answer[1].decode(), workflow_id)
            elif answer[0] == 3:
                await tell_parent(host.connection, workflow_id, to_fields(answer[1]))

    async def _tell(self, owner: str, workflow_id: str) -> None:
        """Make a workflow's owner read its journal."""
        host = self._host
        if owner != host.id:
            await wake(host.connection, owner, workflow_id)
        elif workflow_id in host.executions:
            host.executions[workflow_id].deliver(None)
        elif not host.has(workflow_id):  # owned, but neither in memory nor on its way: its entry was lost
            host.take_up_soon(workflow_id, "")

    async def rescue_own(self) -> None:
        """Take up entries that are pending here, but whose workflow is not in memory: a reply was lost."""
        keys = self._host.connection.keys
        held = {execution.entry for execution in self._host.executions.values()}
        for shard in range(keys.shards):
            for mark, stream in (("r", keys.resumes(shard)), ("w", keys.workflows(shard))):
                for entry in await self._pending(stream):
                    if mark + entry not in held:
                        await self._rescue(mark, stream, entry)

    async def _pending(self, stream: str) -> list[str]:
        """Some entries that are pending here for a while; each round goes on where the last one ended."""
        after = self._looked_to.get(stream, "-")
        rows = await self._host.connection.call(
            "XPENDING", stream, COORDINATORS_GROUP, "IDLE", _LOST_MS, after, "+", _PAGE, self._host.id
        )
        entries = [row[0].decode() for row in rows]
        self._looked_to[stream] = f"({entries[-1]}" if len(entries) == _PAGE else "-"
        return entries

    async def _rescue(self, mark: str, stream: str, entry: str) -> None:
        host = self._host
        found = await host.connection.call("XRANGE", stream, entry, entry)
        workflow_id = found[0][1][1].decode(errors="replace") if found else ""
        if stream not in self._streams_of(workflow_id):  # it was deleted, or is junk that names nothing of this shard
            await host.connection.script("acknowledge", [stream], [COORDINATORS_GROUP, entry])
        elif not host.has(workflow_id):
            host.take_up_soon(workflow_id, mark + entry)

    def _streams_of(self, workflow_id: str) -> tuple[str, ...]:
        """The streams that may name a workflow."""
        keys = self._host.connection.keys
        shard = keys.shard(workflow_id)
        return (keys.workflows(shard), keys.resumes(shard)) if workflow_id else ()
