"""One call of a remote agent: a checked address, no redirects, a bounded answer in bounded time."""

from __future__ import annotations

import asyncio
import functools
from types import TracebackType
from typing import Any

import httpx
import msgspec

from agents import a2a
from agents.addresses import Policy, Target, check
from agents.answers import check_status, refusal
from agents.handlers import InvalidResult, encode
from agents.task import Task
from coordination.config import Config
from coordination.domain import RemoteAgent
from coordination.errors import FinalError, RetryableError

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
        limit_s = min(remote.timeout_s, task.timeout_s)
        try:
            async with asyncio.timeout(limit_s):
                if remote.protocol:
                    fields = {"Idempotency-Key": task.idempotency_key, **a2a.headers(remote)}
                    send = functools.partial(self._post, remote, target, fields)
                    return await a2a.converse(send, remote, task, payload)
                fields = {"Idempotency-Key": task.idempotency_key}
                status, headers, raw = await self._post(remote, target, fields, _plain(task, payload))
        except TimeoutError:
            raise RetryableError(f"Remote agent {remote.name!r} did not answer within {limit_s:g} s.") from None
        except httpx.HTTPError as error:
            raise RetryableError(
                f"Remote agent {remote.name!r} cannot be reached: {type(error).__name__}: {error}."
            ) from None
        return _output(remote, status, headers, raw)

    async def fetch(self, url: str, limit_bytes: int, limit_s: float) -> tuple[int, bytes]:
        """Read a document under the same guards as a call: status and content.

        Raises:
            FinalError: The address is refused, or the answer is a redirect.
            RetryableError: It cannot be reached, or not within the time.
            InvalidResult: It is too large, or compressed.
        """
        target = await check(url, self._policy)
        try:
            async with asyncio.timeout(limit_s):
                status, headers, raw = await self._exchange("GET", url, target, {}, None, limit_bytes)
        except TimeoutError:
            raise RetryableError(f"{url} did not answer within {limit_s:g} s.") from None
        except httpx.HTTPError as error:
            raise RetryableError(f"{url} cannot be reached: {type(error).__name__}: {error}.") from None
        check_status(url, status, headers)
        return status, raw

    async def _post(
        self, remote: RemoteAgent, target: Target, fields: dict[str, str], body: bytes
    ) -> tuple[int, httpx.Headers, bytes]:
        who = f"Remote agent {remote.name!r}"
        fields = {"Content-Type": "application/json", **fields}
        return await self._exchange("POST", who, target, fields, body, self._limit_bytes)

    async def _exchange(
        self, method: str, who: str, target: Target, fields: dict[str, str], body: bytes | None, limit_bytes: int
    ) -> tuple[int, httpx.Headers, bytes]:
        client = self._client(target.host)
        request = client.build_request(
            method,
            target.url,
            content=body,
            headers={
                "Host": target.netloc,
                "Accept": "application/json",
                "Accept-Encoding": "identity",  # a small body cannot unfold into a large one
                "User-Agent": "ganglion-gateway",
                **fields,
            },
            extensions=target.extensions,
        )
        response = await client.send(request, stream=True)
        try:
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise InvalidResult(f"{who} answered compressed, although asked not to.")
            return response.status_code, response.headers, await _read(who, response, limit_bytes)
        finally:
            await response.aclose()


def _plain(task: Task, payload: Any) -> bytes:
    """The body of a call in Ganglion's own form."""
    return encode(
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


async def _read(who: str, response: httpx.Response, limit_bytes: int) -> bytes:
    too_large = InvalidResult(f"{who} answered more than {limit_bytes:,} bytes (GANGLION_PAYLOAD_BYTES).")
    announced = response.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit_bytes:
        raise too_large
    parts, size = [], 0
    async for part in response.aiter_raw():
        size += len(part)
        if size > limit_bytes:
            raise too_large
        parts.append(part)
    return b"".join(parts)


def _output(remote: RemoteAgent, status: int, headers: httpx.Headers, raw: bytes) -> Any:
    who = f"Remote agent {remote.name!r}"
    failure = _failure(raw)
    check_status(who, status, headers, failure.message if failure else "")
    if failure is not None:
        if failure.retryable and status < 400:
            raise RetryableError(failure.message, retry_after_s=failure.retry_after_s)
        raise FinalError(failure.message, details=failure.details)
    if status >= 400:
        raise refusal(who, status, raw)
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
