"""One call of a remote agent: a checked address, no redirects, a bounded answer in bounded time."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

import httpx
import msgspec

from agents.addresses import Policy, Target, check
from agents.handlers import InvalidResult, encode
from agents.task import Task
from coordination.config import Config
from coordination.domain import RemoteAgent
from coordination.errors import FinalError, RetryableError

_LATER = frozenset({408, 425, 429})
_CONNECT_S = 5.0
_ENVELOPE_BYTES = 4_096


class Failure(msgspec.Struct):
    """A failure as a remote agent tells it."""

    message: str
    retryable: bool = True
    details: dict[str, Any] = {}
    retry_after_s: float | None = None


class Answer(msgspec.Struct):
    """What a remote agent answers: its output, or an error."""

    output: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: Failure | None = None


_decode_answer = msgspec.json.Decoder(Answer).decode


class Caller:
    """Calls remote agents; the address is resolved and checked anew for each call."""

    def __init__(self, config: Config) -> None:
        self._policy = Policy.of(config)
        self._limit_bytes = config.payload_bytes + _ENVELOPE_BYTES
        self._tls = httpx.create_ssl_context(trust_env=False)
        self._clients: dict[str, httpx.AsyncClient] = {}

    async def __aenter__(self) -> Caller:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients.values():
            await client.aclose()

    def _client(self, host: str) -> httpx.AsyncClient:
        """The connections of one name: two names at one address never share one, nor the other's certificate."""
        if host not in self._clients:
            self._clients[host] = httpx.AsyncClient(
                verify=self._tls,
                follow_redirects=False,
                trust_env=False,  # no proxy from the environment: it would connect for us
                timeout=httpx.Timeout(None, connect=_CONNECT_S),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
            )
        return self._clients[host]

    async def call(self, remote: RemoteAgent, task: Task, payload: Any) -> Any:
        """Hand one task to a remote agent and return its output, decoded.

        Raises:
            FinalError: The address is refused, or the agent says that trying again would not help.
            RetryableError: It did not answer in time, or says that it may work later.
            InvalidResult: The answer is too large or no answer of an agent.
        """
        target = await check(remote.url, self._policy)
        body = encode(
            {
                "task": {
                    "workflow_id": task.workflow_id,
                    "step": task.step,
                    "attempt": task.number,
                    "type": task.type,
                    "idempotency_key": task.idempotency_key,
                },
                "input": payload,
            }
        )
        limit_s = min(remote.timeout_s, task.timeout_s)
        try:
            async with asyncio.timeout(limit_s):
                status, headers, raw = await self._exchange(remote, target, task, body)
        except TimeoutError:
            raise RetryableError(f"Remote agent {remote.name!r} did not answer within {limit_s:g} s.") from None
        except httpx.HTTPError as error:
            raise RetryableError(
                f"Remote agent {remote.name!r} cannot be reached: {type(error).__name__}: {error}."
            ) from None
        return _output(remote, status, headers, raw)

    async def _exchange(
        self, remote: RemoteAgent, target: Target, task: Task, body: bytes
    ) -> tuple[int, httpx.Headers, bytes]:
        client = self._client(target.host)
        request = client.build_request(
            "POST",
            target.url,
            content=body,
            headers={
                "Host": target.netloc,
                "Content-Type": "application/json",
                "Accept": "application/json",
                "Accept-Encoding": "identity",  # a small body cannot unfold into a large one
                "Idempotency-Key": task.idempotency_key,
                "User-Agent": "ganglion-gateway",
            },
            extensions={"sni_hostname": target.host} if target.scheme == "https" else {},
        )
        response = await client.send(request, stream=True)
        try:
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise InvalidResult(f"Remote agent {remote.name!r} answered compressed, although asked not to.")
            return response.status_code, response.headers, await self._read(remote, response)
        finally:
            await response.aclose()

    async def _read(self, remote: RemoteAgent, response: httpx.Response) -> bytes:
        too_large = InvalidResult(
            f"Remote agent {remote.name!r} answered more than {self._limit_bytes:,} bytes (GANGLION_PAYLOAD_BYTES)."
        )
        announced = response.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self._limit_bytes:
            raise too_large
        parts, size = [], 0
        async for part in response.aiter_raw():
            size += len(part)
            if size > self._limit_bytes:
                raise too_large
            parts.append(part)
        return b"".join(parts)


def _output(remote: RemoteAgent, status: int, headers: httpx.Headers, raw: bytes) -> Any:
    who = f"Remote agent {remote.name!r}"
    if 300 <= status < 400:
        raise FinalError(
            f"{who} answered with a redirect ({status}), which is not followed: register the right address."
        )
    failure = _failure(raw)
    if status in _LATER or status >= 500:
        said = f": {failure.message}" if failure else ""
        raise RetryableError(f"{who} answered {status}{said}.", retry_after_s=_seconds(headers.get("retry-after")))
    if failure is not None:
        if failure.retryable and status < 400:
            raise RetryableError(failure.message, retry_after_s=failure.retry_after_s)
        raise FinalError(failure.message, details=failure.details)
    if status >= 400:
        raise FinalError(f"{who} refused the task with status {status}: {raw[:300].decode('utf-8', 'replace')}")
    try:
        answer = _decode_answer(raw)
        if answer.output is msgspec.UNSET:
            raise InvalidResult(f'{who} answered without "output" or "error".')
        return msgspec.json.decode(answer.output)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidResult(f'{who} answered no JSON of the form {{"output": …}}: {error}.') from None


def _failure(raw: bytes) -> Failure | None:
    try:
        return _decode_answer(raw).error
    except (msgspec.MsgspecError, RecursionError):
        return None


def _seconds(text: str | None) -> float | None:
    return min(3600.0, float(text)) if text and text.isdigit() else None
