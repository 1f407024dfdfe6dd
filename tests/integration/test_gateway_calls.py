"""Remote agents on a real HTTP server, run by the gateway through real queues."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

from agents.caller import Caller
from agents.gateway import Gateway, try_call
from agents.handlers import InvalidResult
from agents.task import Task
from coordination import pool
from coordination.config import Config
from coordination.connection import Connection
from coordination.domain import RemoteAgent
from coordination.errors import BadRequest, FinalError, RetryableError
from coordination.registry import read_agents, read_remote
from tests.agent_tasks import add, new_type, nothing_left, outcome, process, until

pytestmark = pytest.mark.once

Answer = Callable[[BaseHTTPRequestHandler, Any], None]


def say(value: Any, status: int = 200, **headers: str) -> Answer:
    """Answer so."""

    def answer(request: BaseHTTPRequestHandler, _: Any) -> None:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        request.send_response(status)
        for name, content in {"Content-Length": str(len(body)), **headers}.items():
            request.send_header(name.replace("_", "-"), content)
        request.end_headers()
        request.wfile.write(body)

    return answer


class Remote:
    """A remote agent: one HTTP server, what it was asked, and how it answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.answer: Answer = say({"output": "done"})
        self.over = threading.Event()
        remote = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                remote.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                with contextlib.suppress(OSError):
                    remote.answer(self, body)

            do_GET = do_POST  # noqa: N815 - the name that the server calls

            def log_message(self, format: str, *args: Any) -> None: ...

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None: ...  # callers that hang up are meant

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/run?x=1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def agent(self, *types: str, **values: Any) -> RemoteAgent:
        return RemoteAgent(name="outside", url=self.url, types=list(types) or ["t"], **values)


@pytest.fixture
def remote() -> Iterator[Remote]:
    made = Remote()
    yield made
    made.close()


@pytest.fixture
def debug(config: Config) -> Config:
    """These settings with calls to this machine allowed."""
    return msgspec.structs.replace(config, debug=True)


@pytest.fixture
async def connection(config: Config) -> AsyncIterator[Connection]:
    async with await Connection.open(config) as opened:
        yield opened


@contextlib.asynccontextmanager
async def gateway(config: Config) -> AsyncIterator[Gateway]:
    ready = asyncio.Event()
    made = Gateway(config, ready=ready.set)
    job = asyncio.create_task(made.run())
    await asyncio.wait_for(ready.wait(), 10)
    yield made
    made.stop()
    await asyncio.wait_for(job, 20)


async def test_a_remote_agent_serves_its_queue(debug: Config, connection: Connection, remote: Remote) -> None:
    task_type = new_type("remote")
    async with gateway(debug):
        definition = remote.agent(task_type, capabilities={"kind": ["nda"]}, concurrency=3)
        await pool.register_remote(connection, definition)
        assert await read_remote(connection) == [definition]
        workflow = await add(connection, task_type, {"name": "lease"}, number=2, requires={"kind": "nda"})
        assert (await outcome(connection, workflow)).value == "done"
        path, headers, body = remote.asked[0]
        assert path == "/run?x=1"
        assert headers["idempotency-key"] == f"{workflow}:0:0"
        assert body["input"] == {"name": "lease"}
        assert body["task"] == {
            "workflow_id": workflow, "step": "0", "attempt": 2, "type": task_type,
            "idempotency_key": f"{workflow}:0:0",
        }  # fmt: skip
        (view,) = await read_agents(connection)
        assert (view.remote, view.types, view.concurrency) == ("outside", [task_type], 3)

        moved = remote.agent(task_type, concurrency=5)
        await pool.register_remote(connection, moved)  # a change is followed
        await until(lambda: _concurrency(connection, 5))
        await pool.remove_remote(connection, "outside")
        await until(lambda: _concurrency(connection))
        waits = await add(connection, task_type, 1)
        await pool.register_remote(connection, moved)
        assert (await outcome(connection, waits)).value == "done"


async def _concurrency(connection: Connection, *wanted: int) -> bool:
    return [view.concurrency for view in await read_agents(connection)] == list(wanted)


async def test_the_gateway_as_a_process(config: Config, connection: Connection, remote: Remote) -> None:
    task_type = new_type("remote")
    await pool.register_remote(connection, remote.agent(task_type))
    async with process(config, "--gateway", GANGLION_DEBUG="1"):
        assert (await outcome(connection, await add(connection, task_type, 1))).value == "done"


async def test_without_debug_this_machine_is_refused(config: Config, connection: Connection, remote: Remote) -> None:
    task_type = new_type("remote")
    await pool.register_remote(connection, remote.agent(task_type))
    async with gateway(config):
        error = (await outcome(connection, await add(connection, task_type, 1))).error
        assert (error.kind, error.retryable) == ("AddressRefused", False)
        assert "only https" in error.message
        await until(lambda: nothing_left(connection, task_type))
    assert remote.asked == []


def redirect(to: str) -> Answer:
    return say(b"", 302, Location=to)


def unknown_length(request: BaseHTTPRequestHandler, _: Any) -> None:
    request.send_response(200)
    request.send_header("Transfer-Encoding", "chunked")
    request.end_headers()
    part = b"x" * 65_536
    for _number in range(400):
        request.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (redirect("http://169.254.169.254/latest/meta-data"), FinalError, "redirect .302., which is not followed"),
        (say({"output": "x" * 1_100_000}), InvalidResult, "more than 1,052,672 bytes"),
        (unknown_length, InvalidResult, "more than 1,052,672 bytes"),
        (say(b"zip", Content_Encoding="gzip"), InvalidResult, "answered compressed"),
        (say(b"<html>"), InvalidResult, "no JSON of the form"),
        (say({"result": 1}), InvalidResult, 'without "output" or "error"'),
        (say([1]), InvalidResult, "no JSON of the form"),
        (say({"error": {"message": "no such lease", "retryable": False}}), FinalError, "^no such lease$"),
        (say({"error": {"message": "queue full", "retry_after_s": 2.5}}), RetryableError, "^queue full$"),
        (say({"error": {"message": "not now"}}, 503, Retry_After="7"), RetryableError, "answered 503: not now"),
        (say(b"oops", 500), RetryableError, "answered 500"),
        (say(b"limit", 429), RetryableError, "answered 429"),
        (say(b"who are you?", 401), FinalError, "refused the task with status 401: who are you"),
    ],
)
async def test_answers_that_are_no_results(
    debug: Config, remote: Remote, answer: Answer, error: type[Exception], words: str
) -> None:
    remote.answer = answer
    with pytest.raises(error, match=words) as caught:
        await try_call(debug, remote.agent(), "t", {"a": 1})
    if isinstance(caught.value, RetryableError):
        wanted = {"queue full": 2.5, "Remote agent 'outside' answered 503: not now.": 7}
        assert caught.value.retry_after_s == wanted.get(str(caught.value))
    assert len(remote.asked) == 1


async def test_an_agent_that_never_answers(debug: Config, remote: Remote) -> None:
    def silent(request: BaseHTTPRequestHandler, _: Any) -> None:
        remote.over.wait(20)

    remote.answer = silent
    began = time.monotonic()
    with pytest.raises(RetryableError, match=r"did not answer within 0\.4 s"):
        await try_call(debug, remote.agent(timeout_s=0.4), "t", 1)
    assert time.monotonic() - began < 2


async def test_an_agent_that_dribbles_is_cut_off(debug: Config, remote: Remote) -> None:
    def dribble(request: BaseHTTPRequestHandler, _: Any) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "100000")
        request.end_headers()
        while not remote.over.wait(0.05):
            request.wfile.write(b" ")

    remote.answer = dribble
    with pytest.raises(RetryableError, match="did not answer within"):
        await try_call(debug, remote.agent(timeout_s=0.5), "t", 1)


async def test_nobody_listens(debug: Config, remote: Remote) -> None:
    remote.close()
    with pytest.raises(RetryableError, match="cannot be reached"):
        await try_call(debug, remote.agent(), "t", 1)


async def test_a_registered_schema_is_kept(debug: Config, connection: Connection, remote: Remote) -> None:
    task_type = new_type("remote")
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
    await pool.register_remote(connection, remote.agent(task_type, schemas={task_type: {"output": schema}}))
    async with gateway(debug):
        remote.answer = say({"output": {"title": 3}})
        error = (await outcome(connection, await add(connection, task_type, 1))).error
        assert (error.kind, error.retryable) == ("InvalidResult", True)
        assert "3 is not of type 'string' at title" in error.message
        remote.answer = say({"output": {"title": "lease"}})
        assert (await outcome(connection, await add(connection, task_type, 1))).value == {"title": "lease"}


async def test_a_slow_call_holds_up_no_other(debug: Config, connection: Connection, remote: Remote) -> None:
    def answer(request: BaseHTTPRequestHandler, body: Any) -> None:
        if body["input"] == "slow":
            remote.over.wait(20)
        say({"output": body["input"]})(request, body)

    task_type = new_type("remote")
    remote.answer = answer
    await pool.register_remote(connection, remote.agent(task_type, concurrency=4))
    async with gateway(debug):
        slow = await add(connection, task_type, "slow")
        await until(lambda: remote.asked)
        for number in range(10):
            assert (await outcome(connection, await add(connection, task_type, number))).value == number
        remote.over.set()
        assert (await outcome(connection, slow)).value == "slow"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"name": "a b"}, "is no name"),
        ({"types": []}, "needs task types"),
        ({"types": ["Upper"]}, "needs task types"),
        ({"url": "ftp://x/"}, "is no web address"),
        ({"concurrency": 0}, "concurrency must be 1 to 1000"),
        ({"timeout_s": 0.0}, "time limit"),
    ],
)
async def test_wrong_registrations_are_refused(connection: Connection, values: dict[str, Any], words: str) -> None:
    right = {"name": "outside", "url": "https://agents.example.com/run", "types": ["t"]}
    with pytest.raises(BadRequest, match=words):
        await pool.register_remote(connection, RemoteAgent(**{**right, **values}))
    assert await read_remote(connection) == []


async def test_two_names_at_one_address_share_no_connection(debug: Config, remote: Remote) -> None:
    peers: list[tuple[str, int]] = []

    def note(request: BaseHTTPRequestHandler, body: Any) -> None:
        peers.append((request.headers["Host"].partition(":")[0], request.client_address[1]))
        say({"output": "done"})(request, body)

    remote.answer = note
    other = remote.url.replace("127.0.0.1", "localhost")
    async with Caller(debug) as caller:
        for url in (remote.url, other, remote.url, other):
            named = RemoteAgent(name="outside", url=url, types=["t"])
            await caller.call(named, Task("w", "1", 1, "t", "w:1:0", timeout_s=5), None)
    assert [name for name, _ in peers] == ["127.0.0.1", "localhost"] * 2
    assert peers[:2] == peers[2:]  # each name keeps its own
    assert peers[0][1] != peers[1][1]
