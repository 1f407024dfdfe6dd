"""A worker killed in the middle of its jobs: its clock ends, they run again soon, and their effects are there once."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
from celery import Celery

from config.up.child import end_with_parent
from coordination import SyncClient
from coordination.config import Config
from coordination.keys import Keys
from tests.servers import RedisServer
from tests.stack import ROOT, environment, wait_until

LOST_S = 2  # instead of a minute


def _start(environ: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    reading, writing = os.pipe()
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "config.jobs"], cwd=ROOT, stdout=stream, stderr=stream, pass_fds=(writing,),
            env={**environ, "GANGLION_READY_FD": str(writing)}, preexec_fn=end_with_parent,
        )  # fmt: skip
    os.close(writing)
    with open(reading, "rb") as pipe:
        assert pipe.read(1) == b"1", log.read_text()[-800:]
    return process


def _running(parent: int = 0) -> set[int]:
    """The processes that have not ended; when asked, only those that one has started."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return {int(pid) for pid, ppid, stat, *_ in rows if stat[0] != "Z" and parent in (0, int(ppid))}


def _living(client: SyncClient) -> int:
    keys = Keys()
    return sum(int(client.call("ZCARD", keys.deadlines(shard))) for shard in range(keys.shards))


@pytest.mark.once
def test_a_worker_whose_clock_is_killed_ends(own_redis: RedisServer, tmp_path: Path) -> None:
    """Its supervisor starts both anew; without a clock nothing periodic would ever happen again."""
    environ = environment(tmp_path, REDIS_URL=own_redis.url, PYTHONPATH=str(ROOT))
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environ, check=True)
    worker = _start(environ, tmp_path / "jobs.log")
    try:
        (clock,) = _running(worker.pid)
        os.kill(clock, signal.SIGKILL)
        assert worker.wait(15) == 1
    finally:
        worker.kill()
        worker.wait()


@pytest.mark.once
def test_a_job_that_runs_has_its_time_when_the_worker_is_told_to_stop(own_redis: RedisServer, tmp_path: Path) -> None:
    environ = environment(tmp_path, REDIS_URL=own_redis.url, PYTHONPATH=str(ROOT), GANGLION_SQL_WAIT_S="20")
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environ, check=True)
    with closing(sqlite3.connect(tmp_path / "ganglion.sqlite3", isolation_level=None)) as history:
        history.execute("INSERT INTO dashboard_loginfailure(key, at) VALUES ('old', '2020-01-01')")
        history.execute("BEGIN IMMEDIATE")
        sender = Celery(broker=own_redis.url, set_as_current=False)
        sender.conf.broker_transport_options = {"global_keyprefix": "celery:"}
        sender.send_task("dashboard.jobs.age_out", queue="jobs")
        worker = _start(environ, tmp_path / "jobs.log")
        try:
            wait_until(lambda: int((own_redis.ask("HLEN celery:unacked") or b":0").strip()[1:]) > 0, 30)
            worker.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                worker.wait(3)
            history.execute("ROLLBACK")
            assert worker.wait(30) == 0
        finally:
            worker.kill()
            worker.wait()
            sender.close()
        assert history.execute("SELECT count(*) FROM dashboard_loginfailure").fetchall() == [(0,)]


@pytest.mark.once
@pytest.mark.timeout(300)
def test_jobs_run_again_and_a_schedule_fires_once(own_redis: RedisServer, tmp_path: Path) -> None:
    """The database is locked while the worker dies: between submitting a due workflow and noting that it was."""
    environ = environment(
        tmp_path, REDIS_URL=own_redis.url, GANGLION_JOB_LOST_S=str(LOST_S), GANGLION_EXTRA_APPS="tests.core_app",
        PYTHONPATH=str(ROOT), GANGLION_SQL_WAIT_S="120",
    )  # fmt: skip
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environ, check=True)
    sender = Celery(broker=own_redis.url, set_as_current=False)
    sender.conf.broker_transport_options = {"global_keyprefix": "celery:"}

    def taken() -> int:
        return int((own_redis.ask("HLEN celery:unacked") or b":0").strip()[1:])

    with ExitStack() as stack:
        history = stack.enter_context(closing(sqlite3.connect(tmp_path / "ganglion.sqlite3", isolation_level=None)))
        history.execute("PRAGMA busy_timeout = 60000")
        client = stack.enter_context(closing(SyncClient(Config(redis_url=own_redis.url, home=tmp_path))))

        def sql(statement: str) -> list[tuple[object, ...]]:
            return history.execute(statement).fetchall()

        sql(
            "INSERT INTO dashboard_schedule(name, workflow_type, cron, enabled, created_at, created_by,"
            " last_workflow_id, last_error) VALUES ('yearly', 'core_open', '0 0 1 1 *', 1, '2020-02-01', '', '', '')"
        )
        sql("INSERT INTO dashboard_loginfailure(key, at) VALUES ('old', '2020-01-01'), ('new', '2999-01-01')")
        log = tmp_path / "jobs.log"
        sql("BEGIN IMMEDIATE")
        for name in ("run_schedules", "age_out"):
            sender.send_task(f"dashboard.jobs.{name}", queue="jobs")
        worker = _start(environ, log)
        stack.callback(lambda: (worker.kill(), worker.wait()))
        wait_until(lambda: taken() >= 2 and _living(client) == 1, 60)
        clock = _running(worker.pid)
        assert len(clock) == 1
        worker.kill()
        worker.wait()
        wait_until(lambda: not clock & _running(), 10)
        sql("ROLLBACK")
        assert sql("SELECT last_workflow_id FROM dashboard_schedule") == [("",)]
        assert taken() >= 1

        worker = _start(environ, log)
        wait_until(lambda: sql("SELECT last_workflow_id FROM dashboard_schedule") != [("",)], 60)
        wait_until(lambda: sql("SELECT key FROM dashboard_loginfailure") == [("new",)], 60)
        assert _living(client) == 1
        runs = "SELECT object_id FROM dashboard_auditentry WHERE action = 'schedule.run'"
        assert sql(runs) == [("yearly",)]
    sender.close()
