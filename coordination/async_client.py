"""Submitting workflows and talking to them, from any Python program or Django view."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import random
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec

from coordination import catalog
from coordination import journal as j
from coordination.commands import Commands
from coordination.config import Config
from coordination.connection import Connection
from coordination.coordinator import encode_payload
from coordination.domain import ErrorInfo, WorkflowSnapshot, WorkflowState
from coordination.durability import durable
from coordination.errors import (
    AdmissionRefused,
    BadRequest,
    GanglionError,
    InvalidPayload,
    ResultPending,
    ServerUnavailable,
    WorkflowCancelled,
    WorkflowFinished,
    WorkflowNotFound,
)
from coordination.inspect import Inspector
from coordination.keys import WORKFLOW_ID
from coordination.leases import accept
from coordination.scripts import FINISHED, GONE
from coordination.streams import CLIENT_INBOX_TTL_S, pace_s
from coordination.submission import Submission, submit

_BLOCK_MS = 2_000
_LOOK_S = 1.0  # a client that waits looks for itself this often, should a wake-up be lost
_LOOKS_PER_S, _MOST_LOOK_S = 200, 30.0  # about so many looks at most, and this long between two at a workflow
_MEMORY_S = 1.0  # how long an answer about the server's memory holds


class WorkflowFailed(GanglionError):
    """The workflow failed; its error says why.

    Attributes:
        error: What went wrong, or None.
    """

    code = "workflow_failed"

    def __init__(self, message: str, error: ErrorInfo | None = None) -> None:
        super().__init__(message)
        self.error = error


class _End:
    """A workflow's end, once one call that waits for it is told of it.

    Attributes:
        told: Set by the wake-up.
        result: JSON, when the workflow completed and its result is small enough to come with the wake-up.
    """

    __slots__ = ("result", "told")

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.result: bytes | None = None


class Client:
    """Async client; ``SyncClient`` offers the same without ``await``.

    Attributes:
        connection: To the server.
        inspect: Operators' reads.
        commands: Operators' writes.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.inspect = Inspector(connection)
        self.commands = Commands(connection)
        self._id = f"client-{secrets.token_hex(6)}"
        self._waiting: dict[str, list[_End]] = {}
        self._listener: asyncio.Task[None] | None = None
        self._memory_until = 0.0

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, config: Config | None = None) -> AsyncIterator[Client]:
        """A client on a connection of its own, closed at the end of the block."""
        async with await Connection.open(config) as connection:
            client = cls(connection)
            try:
                yield client
            finally:
                await client.close()

    async def close(self) -> None:
        """Stop waiting for results; the connection stays open."""
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
            with contextlib.suppress(ServerUnavailable):
                await self.connection.call("DEL", self.connection.keys.inbox(self._id))

    # --- submitting -----------------------------------------------------------------

    async def submit(
        self,
        workflow_type: str,
        input: Any = None,
        *,
        key: str | None = None,
        workflow_id: str | None = None,
        deadline_s: float | None = None,
        labels: dict[str, str] | None = None,
        durability: str | None = None,
    ) -> str:
        """Accept a workflow exactly once for each key, and return its id.

        Args:
            workflow_type: Name of an installed workflow type.
            input: A msgspec struct or JSON built-ins that fit the annotation of its ``run()``.
            key: The same key of the same type is the same workflow, however often submitted.
            workflow_id: An id of the caller's: letters, digits, "-" and "_", 64 at most.
            deadline_s: Seconds after which the workflow fails.
            labels: For finding it again.
            durability: "fsync" acknowledges after the server has written to disk; "memory" at once.

        Raises:
            UnknownWorkflowType: Nothing installed defines the type.
            InvalidPayload: The input does not fit; says where.
            PayloadTooLarge: Store it as a file and pass the reference.
            AdmissionRefused: Too much waits already; says when to try again.
            ServerUnavailable: Redis does not answer, or not in time (then: submit again with the same key).
        """
        identity = _identity(workflow_type, key, workflow_id)
        await self._submit(workflow_type, input, key, identity, deadline_s, labels, durability, "")
        return identity

    async def _submit(
        self,
        workflow_type: str,
        value: Any,
        key: str | None,
        workflow_id: str,
        deadline_s: float | None,
        labels: dict[str, str] | None,
        durability: str | None,
        waiter: str,
    ) -> bool:
        """Whether the workflow was accepted now, not before."""
        payload = self._checked(workflow_type, value)
        await self._admit()
        wanted = Submission(
            workflow_id, workflow_type, payload, key=key or "", deadline_s=deadline_s, labels=labels, waiter=waiter
        )
        async with durable(self.connection, durability):
            return await submit(self.connection, wanted)

    def _checked(self, workflow_type: str, value: Any) -> bytes:
        definition = catalog.newest(workflow_type)
        payload = encode_payload(value, f"The input of {workflow_type!r}")
        if definition.input_type is None:
            if value is not None:
                raise InvalidPayload(f"Workflow {workflow_type!r} takes no input.")
            return payload
        try:
            msgspec.json.decode(payload, type=definition.input_type)
        except msgspec.MsgspecError as error:
            raise InvalidPayload(f"The input of {workflow_type!r} does not fit: {error}.") from None
        return payload

    async def _admit(self) -> None:
        """Refuse early when the server's memory is nearly used up."""
        now = time.monotonic()
        if now < self._memory_until:
            return
        self._memory_until = now + _MEMORY_S
        server = await self.inspect.memory()
        if server["maxmemory"] and server["used_memory"] > server["maxmemory"] * self.connection.config.memory_share:
            self._memory_until = 0.0
            raise AdmissionRefused(
                f"Redis uses {server['used_memory']:,} of {server['maxmemory']:,} bytes; new workflows wait until some "
                "have finished, or until maxmemory is raised.",
                retry_after_s=5.0,
            )

    # --- reading ------------------------------------------------------------------------

    async def get(self, workflow_id: str) -> WorkflowSnapshot:
        """Read a workflow.

        Raises:
            WorkflowNotFound: Redis does not hold it: it never was, or has left for the history.
        """
        snapshot = await self.inspect.snapshot(workflow_id)
        if snapshot is None:
            raise WorkflowNotFound(f"No workflow {workflow_id} is in Redis; finished ones leave for the history.")
        return snapshot

    async def result(self, workflow_id: str, *, timeout_s: float | None = None, returns: Any = None) -> Any:
        """Wait for a workflow's end and return its result.

        Raises:
            ResultPending: It did not end within ``timeout_s``.
            WorkflowFailed: It failed.
            WorkflowCancelled: It was cancelled.
            WorkflowNotFound: Redis does not hold it.
        """
        with self._expecting(workflow_id) as end:
            await self.connection.script("wait_for", [self.connection.keys.workflow(workflow_id)], [self._id])
            return await self._outcome(workflow_id, end, timeout_s, returns)

    async def execute(
        self,
        workflow_type: str,
        input: Any = None,
        *,
        timeout_s: float | None = None,
        returns: Any = None,
        **options: Any,
    ) -> Any:
        """Submit and wait for the result; takes the options of ``submit`` and raises what both raise."""
        identity = _identity(workflow_type, options.get("key"), options.pop("workflow_id", None))
        with self._expecting(identity) as end:
            accepted = await self._submit(
                workflow_type,
                input,
                options.get("key"),
                identity,
                options.get("deadline_s"),
                options.get("labels"),
                options.get("durability"),
                self._id,
            )
            if accepted and returns is None:
                returns = catalog.newest(workflow_type).result_type
            return await self._outcome(identity, end, timeout_s, returns, accepted)

    @contextlib.contextmanager
    def _expecting(self, workflow_id: str) -> Iterator[_End]:
        """Listen for a workflow's end as long as the block lasts."""
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen(), name="client-inbox")
        end = _End()
        ends = self._waiting.setdefault(workflow_id, [])
        ends.append(end)
        try:
            yield end
        finally:
            ends.remove(end)
            if not ends:
                del self._waiting[workflow_id]

    async def _outcome(
        self, workflow_id: str, end: _End, timeout_s: float | None, returns: Any, accepted: bool = False
    ) -> Any:
        """What a workflow ended with; its type is known when this client's submission was accepted."""
        fresh, started = accepted, time.monotonic()
        while True:
            if accepted and end.result is not None:
                return msgspec.convert(msgspec.json.decode(end.result), type=returns)
            snapshot = None if fresh else await self.get(workflow_id)
            if snapshot is not None and snapshot.state.is_final:
                return _value(snapshot, returns)
            fresh = False
            left_s = min(max(_LOOK_S, len(self._waiting) / _LOOKS_PER_S), _MOST_LOOK_S) * random.uniform(0.75, 1.25)
            if timeout_s is not None:
                left_s = min(left_s, timeout_s - (time.monotonic() - started))
            if left_s <= 0:
                raise ResultPending(f"Workflow {workflow_id} has not ended within {timeout_s:g} s.")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await end.told.wait()
            end.told.clear()  # before the look, so that no news is lost in between

    async def _listen(self) -> None:
        inbox, last, was_away = self.connection.keys.inbox(self._id), b"0", False
        while True:
            try:
                block_ms = 1 if was_away else _BLOCK_MS
                answer = await self.connection.blocking(
                    "XREAD", "COUNT", 1000, "BLOCK", block_ms, "STREAMS", inbox, last
                )
            except ServerUnavailable:
                was_away, last = True, b"0"
                await asyncio.sleep(0.2)
                continue
            if was_away:  # what was told meanwhile may be lost: everybody looks
                was_away = False
                for end in itertools.chain.from_iterable(self._waiting.values()):
                    end.told.set()
            for _, entries in answer or []:
                for _, fields in entries:
                    for end in self._waiting.get(fields[1].decode(), ()):
                        end.result = fields[3] if len(fields) > 2 else None
                        end.told.set()
                last = entries[-1][0]
                with contextlib.suppress(ServerUnavailable):
                    await self.connection.call("XTRIM", inbox, "MINID", last)
                    await self.connection.call("EXPIRE", inbox, CLIENT_INBOX_TTL_S)
                if pause_s := pace_s(len(entries), len(self._waiting)):
                    await asyncio.sleep(pause_s)

    # --- talking to a workflow ------------------------------------------------------------

    async def signal(
        self,
        workflow_id: str,
        name: str,
        payload: Any = None,
        *,
        signal_id: str | None = None,
        durability: str | None = None,
    ) -> None:
        """Deliver a signal exactly once for each signal id, as safely as ``submit`` would.

        Raises:
            WorkflowNotFound: Redis does not hold the workflow.
            WorkflowFinished: It has ended.
        """
        identity = signal_id or secrets.token_hex(8)
        entry = j.Signalled(name, identity, encode_payload(payload, f"Signal {name!r}"))
        async with durable(self.connection, durability):
            _refuse(await accept(self.connection, workflow_id, f"g:{identity}", entry, "progressed"), workflow_id)

    async def cancel(self, workflow_id: str, *, actor: str = "", reason: str = "") -> None:
        """Ask for a workflow's cancellation; asking again changes nothing.

        Raises:
            WorkflowNotFound: Redis does not hold the workflow.
            WorkflowFinished: It has ended.
        """
        await self.commands.cancel(workflow_id, actor=actor, reason=reason)


def _identity(workflow_type: str, key: str | None, workflow_id: str | None) -> str:
    if workflow_id is not None:
        if not WORKFLOW_ID.fullmatch(workflow_id):
            raise BadRequest(f"{workflow_id!r} cannot be a workflow id: use letters, digits, '-' and '_', 64 at most.")
        return workflow_id
    if key is not None:
        return f"k{hashlib.blake2b(f'{workflow_type}/{key}'.encode(), digest_size=12).hexdigest()}"
    return f"w{int(time.time() * 1000):011x}{secrets.token_hex(5)}"


def _refuse(code: int, workflow_id: str) -> None:
    if code == GONE:
        raise WorkflowNotFound(f"No workflow {workflow_id} is in Redis.")
    if code == FINISHED:
        raise WorkflowFinished(f"Workflow {workflow_id} has already ended.")


def _value(snapshot: WorkflowSnapshot, returns: Any) -> Any:
    if snapshot.state is WorkflowState.COMPLETED:
        if returns is None:
            definition = catalog.find(snapshot.type, snapshot.version)
            returns = definition.result_type if definition else Any
        return msgspec.convert(snapshot.result, type=returns)
    why = snapshot.error.message if snapshot.error else snapshot.state
    if snapshot.state is WorkflowState.CANCELLED:
        raise WorkflowCancelled(f"Workflow {snapshot.id} was cancelled: {why}")
    raise WorkflowFailed(f"Workflow {snapshot.id} failed: {why}", snapshot.error)
