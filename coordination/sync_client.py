"""The same client for programs without an event loop: one thread of its own carries it."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from coordination.async_client import Client
from coordination.config import Config, current
from coordination.connection import Connection
from coordination.domain import WorkflowSnapshot
from coordination.errors import OutcomeUnknown, ServerUnavailable

READ_S = 3.0  # a reader waits this long for a server that does not answer
REST_S = 2.0  # and is told at once for this long afterwards
WRITE_S = 10.0  # a writer waits this long; then it is not known what became of the command
PROBE_S = 1.0  # whether a server that was silent a moment ago answers again


class _Waits:
    """The async methods of an object, each waiting for its result."""

    def __init__(self, target: object, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._target = target
        self._run = run

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._target, name)

        @functools.wraps(method)
        def wait(*args: Any, **options: Any) -> Any:
            return self._run(method(*args, **options))

        return wait


class SyncClient:
    """``Client`` for programs without an event loop; safe to use from many threads.

    It connects at the first call, and again after the server was away.
    """

    def __init__(self, config: Config | None = None) -> None:
        self._config = config or current()
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._silent_until = 0.0  # monotonic

    def _read(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """The result of a read; a server that hangs costs readers a bounded time, and only the first of them.

        Raises:
            ServerUnavailable: The server does not answer, or did not a moment ago.
        """
        assert self._loop is not None
        if time.monotonic() < self._silent_until:
            coroutine.close()
            raise ServerUnavailable("The Redis server does not answer.")
        waiting = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return waiting.result(READ_S)
        except TimeoutError:
            waiting.cancel()
            self._silent_until = time.monotonic() + REST_S
            raise ServerUnavailable(f"The Redis server has not answered for {READ_S:g} s.") from None

    def _write(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """The result of a write; nothing is sent to a server that is silent.

        Raises:
            ServerUnavailable: The server does not answer, and nothing was sent.
            OutcomeUnknown: It has not answered in time.
        """
        assert self._loop is not None and self._client is not None
        if time.monotonic() < self._silent_until:
            probe = asyncio.run_coroutine_threadsafe(self._ping(self._client.connection), self._loop)
            try:
                probe.result(PROBE_S)
            except (TimeoutError, ServerUnavailable):
                probe.cancel()
                coroutine.close()
                raise ServerUnavailable("The Redis server does not answer. Nothing was sent.") from None
        waiting = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return waiting.result(WRITE_S)
        except TimeoutError:
            waiting.cancel()
            self._silent_until = time.monotonic() + REST_S
            raise OutcomeUnknown(
                f"The Redis server has not answered for {WRITE_S:g} s; this may or may not have been done."
                " Look before you repeat it."
            ) from None

    @staticmethod
    async def _ping(connection: Connection) -> None:
        await connection.call("PING")

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _connected(self) -> Client:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="ganglion-client", daemon=True).start()
            if self._client is None:
                self._client = Client(self._read(Connection.open(self._config)))
            return self._client

    @property
    def connection(self) -> Connection:
        """The connection, for its keys and settings; call it through ``call``."""
        return self._connected().connection

    @property
    def inspect(self) -> Any:
        """``Inspector`` without ``await``."""
        return _Waits(self._connected().inspect, self._read)

    @property
    def commands(self) -> Any:
        """``Commands`` without ``await``."""
        return _Waits(self._connected().commands, self._write)

    def submit(self, workflow_type: str, input: Any = None, **options: Any) -> str:
        """See ``Client.submit``."""
        return str(self._write(self._connected().submit(workflow_type, input, **options)))

    def execute(self, workflow_type: str, input: Any = None, **options: Any) -> Any:
        """See ``Client.execute``."""
        return self._run(self._connected().execute(workflow_type, input, **options))

    def get(self, workflow_id: str) -> WorkflowSnapshot:
        """See ``Client.get``."""
        snapshot: WorkflowSnapshot = self._read(self._connected().get(workflow_id))
        return snapshot

    def result(self, workflow_id: str, *, timeout_s: float | None = None, returns: Any = None) -> Any:
        """See ``Client.result``."""
        return self._run(self._connected().result(workflow_id, timeout_s=timeout_s, returns=returns))

    def signal(self, workflow_id: str, name: str, payload: Any = None, **options: Any) -> None:
        """See ``Client.signal``."""
        self._write(self._connected().signal(workflow_id, name, payload, **options))

    def cancel(self, workflow_id: str, *, actor: str = "", reason: str = "") -> None:
        """See ``Client.cancel``."""
        self._write(self._connected().cancel(workflow_id, actor=actor, reason=reason))

    def call(self, *command: Any) -> Any:
        """One reading command, as ``Connection.call``."""
        connection = self._connected().connection

        async def call() -> Any:
            return await connection.call(*command)

        return self._read(call())

    def close(self) -> None:
        """Close the connection and end the thread."""
        with self._lock:
            if self._loop is None:
                return
            if self._client is not None:
                self._run(self._client.close())
                self._run(self._client.connection.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._loop = self._client = None


@functools.lru_cache(maxsize=8)
def _shared(config: Config) -> SyncClient:
    return SyncClient(config)


def sync() -> SyncClient:
    """This process's own client for the present settings."""
    return _shared(current())
