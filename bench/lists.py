"""How long pages of lists take on the server with a million workflows in SQL, on each database.

As a program, ``python -m bench.lists ROUNDS``, it asks the real views of one database and prints a line of JSON.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from bench.history import store
from bench.loop import percentile
from bench.stack import Bare

ROWS, FEW_ROWS = 1_000_000, 20_000
ROUNDS, WARM = 25, 2
MOST_MS = 100.0


@dataclass(frozen=True)
class Listed:
    """One kind of page on one database.

    Attributes:
        database: Which.
        rows: Workflows in it.
        page: What was asked for.
        p50_ms: On the server, from the request to its whole answer.
        p95_ms: The same.
    """

    database: str
    rows: int
    page: str
    p50_ms: float
    p95_ms: float

    @property
    def holds(self) -> bool:
        """Whether it is as fast as a page must be."""
        return self.p95_ms <= MOST_MS

    def to_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        return {**asdict(self), "holds": self.holds}


def measure(rows: int, tell: Callable[[str, int], None], rounds: int = ROUNDS) -> tuple[list[Listed], list[str]]:
    """Every kind of page on SQLite and on PostgreSQL; what is left out is said."""
    from tests.servers import ServerMissing

    found = []
    with Bare(agents=False) as bare:
        common = {"REDIS_URL": bare.client_environ["REDIS_URL"], "GANGLION_STATIC_ROOT": str(bare.home / "static")}
        store.manage(common, "manage.py", "collectstatic", "-v0", "--no-input")
        tell(f"filling SQLite with {rows:,} workflows, unless it is kept from before", 0)
        home = store.sqlite(rows)
        found += _ask("SQLite", rows, {"GANGLION_HOME": str(home), **common}, rounds, tell)
        try:
            tell(f"filling PostgreSQL with {rows:,} workflows, unless it is kept from before", 0)
            with store.postgresql(rows) as url:
                kept = {"DATABASE_URL": url, "GANGLION_HOME": str(bare.home), **common}
                found += _ask("PostgreSQL", rows, kept, rounds, tell)
        except ServerMissing as error:
            return found, [f"lists on PostgreSQL: {error}"]
    return found, []


def _ask(
    database: str, rows: int, environ: dict[str, str], rounds: int, tell: Callable[[str, int], None]
) -> list[Listed]:
    tell(f"lists of {rows:,} workflows on {database}", 0)
    store.manage(environ, "manage.py", "migrate", "-v0")
    said = store.manage(environ, "-m", "bench.lists", str(rounds))
    tell(f"lists of {rows:,} workflows on {database}", 1)
    times: dict[str, list[float]] = json.loads(said.strip().splitlines()[-1])
    return [
        Listed(database, rows, page, round(percentile(sorted(took), 0.5), 1), round(percentile(sorted(took), 0.95), 1))
        for page, took in times.items()
    ]


# --- in a process with the database ---------------------------------------------------


def _addresses() -> dict[str, Iterator[str]]:
    """For each kind of page endless addresses, so that no two questions in a row are the same."""
    from bench.history import rows as made
    from dashboard.models import Escalation, Workflow

    newest = Workflow.objects.order_by("-created_at", "-id")
    some = list(newest[500:540])
    owner = newest.exclude(owner="").values_list("owner", flat=True).first() or "coordinator"
    parent = newest.exclude(parent_id="").values_list("parent_id", flat=True).first() or "none"
    causes = list(Escalation.objects.filter(state="open").values_list("fingerprint", flat=True)[:20])
    escalations = list(Escalation.objects.order_by("-opened_at").values_list("pk", flat=True)[:20])
    middle = newest.order_by("created_at")[len(some)].created_at.date().isoformat()
    kinds = list(made.TYPES)

    def many(form: str, values: list[str]) -> Iterator[str]:
        return itertools.cycle([form.format(value) for value in values])

    words = [row.summary.split(" · ")[2] for row in some]
    return {
        "list": many("/workflows/?hide={}", ["", "owner", "steps"]),
        "list by state": many("/workflows/?state={}", ["failed", "running", "completed", "needs_human", "queued"]),
        "list by two states": many("/workflows/?state={}", ["failed,cancelled", "running,queued"]),
        "list by type": many("/workflows/?type={}", kinds),
        "list by type and state": many("/workflows/?state=failed&type={}", kinds),
        "list by owner": many("/workflows/?owner={}", [owner]),
        "list of children": many("/workflows/?parent={}", [parent]),
        "list of those that retry": many("/workflows/?needs={}", ["retrying"]),
        "list of those without an agent": many("/workflows/?needs={}", ["no_agent"]),
        "list since a day": many("/workflows/?since={}", [row.created_at.date().isoformat() for row in some]),
        "list until a day, by type": many(f"/workflows/?until={middle}&type={{}}", kinds),
        "list by order": many(
            "/workflows/?sort={}", ["created", "duration", "-duration", "-finished", "type", "-state"]
        ),
        "search, a word of many": many("/workflows/?q={}", [*made.CUSTOMERS]),
        "search, two words": many("/workflows/?q={}", [f"{c} {w}" for c in made.CUSTOMERS for w in made.PAGE_WORDS]),
        "search, one workflow": many("/workflows/?q={}", words),
        "search, a beginning": many("/workflows/?q={}", [word[:5] for word in words]),
        "search in a state": many("/workflows/?state=failed&q={}", [*made.CUSTOMERS]),
        "search in a type": many("/workflows/?type=audit_trail&q={}", [*made.CITIES]),
        "a workflow": many("/workflows/{}/", [row.pk for row in some]),
        "escalations": many("/escalations/?hide={}", ["", "reason"]),
        "escalations of a cause": many("/escalations/?cause={}", causes),
        "escalations by state": many("/escalations/?state={}", ["resolved", "all"]),
        "escalations by type": many("/escalations/?type={}", kinds),
        "escalations, search": many("/escalations/?q={}", [*made.CITIES]),
        "escalations, next pages": many("/escalations/?state=resolved&page={}", ["2", "9", "40", "90"]),
        "an escalation": many("/escalations/{}/", escalations),
        "overview": many("/?range={}", ["30m"]),
        "disposition ledger": many("/ledger/?page={}", ["1"]),
    }


def _ask_all(rounds: int) -> dict[str, list[float]]:
    """What each kind of page took, in ms."""
    import django

    django.setup()
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client

    settings.ALLOWED_HOSTS = ["*"]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")  # as autovacuum does by itself
    person, _ = User.objects.get_or_create(username="bench", defaults={"is_superuser": True})
    browser = Client()
    browser.force_login(person)

    def get(address: str) -> tuple[float, str]:
        began = time.perf_counter()
        answer = browser.get(address, headers={"accept-language": "en"})
        took_ms = (time.perf_counter() - began) * 1000
        if answer.status_code != 200:
            raise SystemExit(f"{address}: {answer.status_code}")
        return took_ms, answer.content.decode()

    found: dict[str, list[float]] = {}
    for page, addresses in _addresses().items():
        found[page] = [get(next(addresses))[0] for _ in range(WARM + rounds)][WARM:]
    found["list, next pages"] = list(_pages(get, "/workflows/", rounds))
    found["list by type, next pages"] = list(_pages(get, "/workflows/?type=legal_review", rounds))
    found["search, next pages"] = list(_pages(get, "/workflows/?q=Nordwind", rounds))
    return found


def _pages(get: Callable[[str], tuple[float, str]], address: str, rounds: int) -> Iterator[float]:
    import html
    import re

    _, text = get(address)
    for _ in range(rounds):
        links = re.findall(r'href="(\?[^"]*cursor=[^"]*)"', text)
        if not links:
            return
        took_ms, text = get("/workflows/" + html.unescape(links[-1]))
        yield took_ms


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    print(json.dumps(_ask_all(int(sys.argv[1]))))
