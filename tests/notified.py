"""Who is told of what, for tests: a web server that takes messages, and escalations, policies and channels."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User

from coordination import config as coordination_config
from coordination.domain import ErrorInfo, EscalationSnapshot, EscalationState, Reason
from dashboard import accounts, mirror
from dashboard.models import Escalation
from dashboard.notices import manage
from dashboard.notices.models import Channel, Level, Policy


class Receiver:
    """A web server that takes messages; it can refuse, and can stand still."""

    def __init__(self) -> None:
        self.bodies: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []  # for the next calls; 200 when empty
        self.hold = threading.Event()
        self.hold.set()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.bodies.append(({k.lower(): v for k, v in self.headers.items()}, body))
                receiver.hold.wait(20)
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.bodies]


@contextlib.contextmanager
def receiving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A receiver on this machine, which debugging allows to be called."""
    monkeypatch.setenv("GANGLION_DEBUG", "1")
    coordination_config.current.cache_clear()
    made = Receiver()
    yield made
    made.hold.set()
    made.server.shutdown()
    made.server.server_close()


def admin() -> User:
    return accounts.ensure_admin()


def open_escalations(count: int, cause: str = "card declined", first: int = 1, kind: str = "payment") -> list[str]:
    now = int(time.time() * 1000)
    made = [
        EscalationSnapshot(
            id=f"{cause.replace(' ', '')}{n}~1~1", workflow_id=f"{cause.replace(' ', '')}{n}", workflow_type=kind,
            step="1", task_type="charge", reason=Reason.FINAL_ERROR, state=EscalationState.OPEN,
            errors=[ErrorInfo("ValueError", cause)], opened_ms=now,
        )
        for n in range(first, first + count)
    ]  # fmt: skip
    mirror.escalations(made)
    return [one.id for one in made]


def resolve(ids: list[str]) -> None:
    Escalation.objects.filter(pk__in=ids).update(state="resolved")


def policy_with(*levels: tuple[int, Channel], **values: Any) -> Policy:
    made = Policy.objects.create(name=values.pop("name", "all"), **values)
    for after_s, channel in levels:
        Level.objects.create(policy=made, after_s=after_s).channels.add(channel)
    return made


def hook(receiver: Receiver, name: str = "hook") -> Channel:
    return manage.add_channel(admin(), name, "webhook", receiver.url)
