"""The users that docs/deployment.md gives to Redis: each role can do its work, and no more than its part."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from coordination import SyncClient
from coordination.config import Config
from tests import servers
from tests.core_app import workflows
from tests.stack import environment, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent


def documented_users() -> dict[str, str]:
    """The commands of the page, each joined to one line, by the user's name."""
    text = (ROOT / "docs" / "deployment.md").read_text()
    found = re.findall(r"^ACL SETUSER (\w+) ((?:.*\n)(?:    .*\n)*)", text, re.MULTILINE)
    return {name: f"ACL SETUSER {name} {' '.join(rules.split())}" for name, rules in found}


@pytest.mark.once
@pytest.mark.skipif(bool(os.environ.get("GANGLION_TEST_CLUSTER")), reason="about a single server")
@pytest.mark.timeout(180)
def test_each_role_works_as_its_own_user(own_redis: servers.RedisServer, tmp_path: Path) -> None:
    users = documented_users()
    assert list(users) == ["coordinator", "agent", "relay", "web"]
    for number, (name, command) in enumerate(users.items(), 1):
        assert f">secret-{number} " in command
        assert own_redis.ask(command) == b"+OK\r\n", name

    def url(name: str) -> str:
        return f"redis://{name}:secret-{list(users).index(name) + 1}@127.0.0.1:{own_redis.port}/0"

    def start(name: str, *arguments: str) -> subprocess.Popen[bytes]:
        reading, writing = os.pipe()
        environ = environment(tmp_path, REDIS_URL=url(name), GANGLION_EXTRA_APPS="tests.core_app", PYTHONPATH=str(ROOT))
        environ["GANGLION_READY_FD"] = str(writing)
        with (tmp_path / f"{arguments[0]}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "manage.py", *arguments],
                cwd=ROOT, env=environ, stdout=log, stderr=log, pass_fds=(writing,),
            )  # fmt: skip
        os.close(writing)
        with open(reading, "rb") as pipe:
            ready = pipe.read(1) == b"1"
        assert ready, (own_redis.ask("ACL LOG"), (tmp_path / f"{arguments[0]}.log").read_text()[-400:])
        return process

    environ = environment(tmp_path, REDIS_URL=url("web"), PYTHONPATH=str(ROOT))
    subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity=0"], cwd=ROOT, env=environ, check=True)
    with ExitStack() as stack:
        running = []
        for name, arguments in {
            "coordinator": ["run_coordinator"],
            "agent": ["run_agent", "--module", "tests.core_app"],
            "relay": ["run_relay"],
        }.items():
            running.append(start(name, *arguments))
            stack.callback(running[-1].wait)
            stack.callback(running[-1].kill)
        client = stack.enter_context(closing(SyncClient(Config(redis_url=url("web"), home=tmp_path))))
        finished = client.submit("core_steps", 5)
        waiting = client.submit("core_open")
        assert workflows.CoreSteps.version == 1
        client.result(finished, timeout_s=60)
        client.signal(waiting, "go")
        client.result(waiting, timeout_s=60)

        def mirrored() -> bool:
            with closing(sqlite3.connect(tmp_path / "ganglion.sqlite3")) as history:
                return (
                    history.execute("SELECT count(*) FROM dashboard_workflow WHERE state = 'completed'").fetchone()[0]
                    == 2
                )

        wait_until(mirrored, 30)
        for process in reversed(running):
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
    refused = own_redis.ask("ACL LOG")
    assert refused == b"*0\r\n", refused


def test_an_agent_reaches_neither_sessions_nor_administration(own_redis: servers.RedisServer) -> None:
    for command in documented_users().values():
        own_redis.ask(command)
    for command in (
        "set celery:jobs 1",
        "get channels__x",
        "flushall",
        "config get dir",
        "keys *",
        "publish channels x",
    ):
        verdict = own_redis.ask(f"ACL DRYRUN agent {command}") or b""
        assert b"no permissions" in verdict.lower() or b"can't" in verdict.lower(), (command, verdict)
    for command in ("flushall", "config get dir", "acl list", "shutdown"):
        verdict = own_redis.ask(f"ACL DRYRUN web {command}") or b""
        assert b"no permissions" in verdict.lower(), (command, verdict)
