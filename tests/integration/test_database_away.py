"""A database that is locked or restarted delays, and is named: no page and no call shows a traceback."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from config.up.child import end_with_parent
from tests import servers
from tests.servers import RedisServer
from tests.stack import ROOT, wait_until
from tests.web_process import WebProcess

pytestmark = [pytest.mark.once, pytest.mark.timeout(300)]
WORKFLOW = {"type": "core_open", "input": None}


def _calls(web: WebProcess) -> Callable[..., requests.Response]:
    headers = {"Authorization": f"Bearer {web.token()}"}

    def call(method: str, path: str, **more: Any) -> requests.Response:
        return requests.request(method, f"{web.url}{path}", headers=headers, timeout=30, **more)

    return call


def test_a_locked_sqlite_is_said_and_waited_for(own_redis: RedisServer, tmp_path: Path) -> None:
    web = WebProcess(tmp_path, REDIS_URL=own_redis.url, GANGLION_EXTRA_APPS="tests.core_app", GANGLION_SQL_WAIT_S="1")
    with ExitStack() as stack:
        stack.callback(web.start(pages=True).stop)
        call = _calls(web)
        assert call("POST", "/api/workflows", json=WORKFLOW).status_code == 201
        form = requests.get(f"{web.url}/login/", timeout=30)
        with closing(sqlite3.connect(tmp_path / "ganglion.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert call("GET", "/api/workflows").status_code == 200  # reading goes on
            refused = call("POST", "/api/workflows", json=WORKFLOW)
            assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
            assert refused.headers["Retry-After"]
            token = form.cookies["ganglion_csrf"]
            sent = {"username": "ann", "password": "wrong", "csrfmiddlewaretoken": token}
            page = requests.post(f"{web.url}/login/", data=sent, cookies=form.cookies, timeout=30)
            assert page.status_code == 503
            assert "The database is busy or away" in page.text
            other.execute("ROLLBACK")
        assert call("POST", "/api/workflows", json=WORKFLOW).status_code == 201
        assert "Traceback" not in web.log, web.log[-3000:]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what is open")
def test_no_connection_outlives_its_request(own_redis: RedisServer, tmp_path: Path) -> None:
    """Requests share a few threads that stay; what each has opened is closed with it."""
    web = WebProcess(tmp_path, REDIS_URL=own_redis.url, GANGLION_EXTRA_APPS="tests.core_app")
    with ExitStack() as stack:
        stack.callback(web.start(pages=True).stop)
        call = _calls(web)
        assert web.process is not None
        folder = Path(f"/proc/{web.process.pid}/fd")
        for _ in range(3):
            with ThreadPoolExecutor(8) as callers:
                answers = [callers.submit(call, "GET", path) for path in ["/api/workflows", "/api/nothing"] * 8]
            assert {answer.result().status_code for answer in answers} == {200, 404}
            wait_until(lambda: not [1 for fd in folder.iterdir() if "ganglion.sqlite3" in os.path.realpath(fd)], 5)


def test_a_restarted_postgresql_is_ridden_out_by_web_relay_and_jobs(own_redis: RedisServer, tmp_path: Path) -> None:
    with ExitStack() as stack:
        try:
            url = stack.enter_context(servers.postgresql())
        except servers.ServerMissing as missing:
            pytest.skip(str(missing))
        variables = {"REDIS_URL": own_redis.url, "DATABASE_URL": url, "GANGLION_EXTRA_APPS": "tests.core_app"}
        web = WebProcess(tmp_path, **variables)
        stack.callback(web.start(pages=True).stop)
        log = stack.enter_context((tmp_path / "others.log").open("w+"))
        for command in (["manage.py", "run_relay"], ["-m", "config.jobs"]):
            other = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=web.environ,
                stdout=log,
                stderr=log,
                preexec_fn=end_with_parent,
            )
            stack.callback(other.wait)
            stack.callback(other.kill)
        call = _calls(web)
        first = call("POST", "/api/workflows", json=WORKFLOW).json()["id"]

        def listed() -> set[str]:
            answer = call("GET", "/api/workflows")
            assert answer.status_code in (200, 503), answer.text
            return {item["id"] for item in answer.json().get("items", [])}

        wait_until(lambda: first in listed(), 60)
        with psycopg.connect(url) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
        assert row is not None
        postgres = _PostgreSQL(Path(row[0]))
        stack.callback(postgres.control, "stop", "-m", "immediate")
        postgres.control("stop", "-m", "immediate")
        refused = call("GET", "/api/workflows")
        assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
        page = requests.get(f"{web.url}/workflows/", cookies={"ganglion_session": "x" * 32}, timeout=30)
        assert page.status_code == 503
        assert "The database is busy or away" in page.text
        assert "Traceback" not in page.text
        assert requests.get(f"{web.url}/healthz", timeout=10).status_code == 200
        postgres.control("restart")

        schedule = {"name": "yearly", "workflow_type": "core_open", "cron": "0 0 1 1 *"}
        wait_until(lambda: call("POST", "/api/workflows", json=WORKFLOW).status_code == 201, 30)
        assert call("POST", "/api/schedules", json=schedule).status_code == 201
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("UPDATE dashboard_schedule SET created_at = '2020-01-01'")
        wait_until(lambda: len(listed()) == 3, 60)  # the relay mirrors, and jobs have submitted what was due


class _PostgreSQL:
    """The server behind a data folder, stopped and started again by its own program, with the same options."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def control(self, *arguments: str) -> None:
        as_user: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
        command = [servers.postgresql_programs() / "pg_ctl", "-D", self.data, "-w", *arguments]
        with (self.data.parent / "control.log").open("ab") as log:
            subprocess.run(
                command, check="stop" not in arguments, cwd=self.data.parent, stdout=log, stderr=log,
                extra_groups=[] if as_user else None, **as_user,
            )  # fmt: skip
