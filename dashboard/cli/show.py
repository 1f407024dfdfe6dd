"""What people see; scripts get JSON instead."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

TONES = {
    "queued": "dim",
    "running": "cyan",
    "waiting": "blue",
    "needs_human": "bold yellow",
    "completed": "green",
    "failed": "bold red",
    "cancelled": "dim",
    "succeeded": "green",
    "escalated": "bold yellow",
    "backoff": "yellow",
    "skipped": "dim",
    "open": "bold yellow",
    "resolved": "green",
    "withdrawn": "dim",
}


def console() -> Console:
    """The terminal."""
    from rich.console import Console

    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 200  # nobody looks: leave nothing out
    return Console(highlight=False, width=wide)


def as_json(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def line(text: str) -> None:
    """One line on stdout, as it is."""
    sys.stdout.write(f"{text}\n")


def table(columns: list[str], rows: list[list[Any]], empty: str) -> None:
    """Rows under headings, or a sentence when there are none; what came from outside is never markup."""
    if not rows:
        line(empty)
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    drawn: Table = Table(box=SIMPLE_HEAD, pad_edge=False)
    last = len(columns) - 1
    for number, name in enumerate(columns):  # only the last gives way: ids are there to be copied
        widest = max(len(str(row[number])) for row in rows) if number < last else len(name)
        drawn.add_column(name, no_wrap=True, overflow="ellipsis", min_width=max(widest, len(name)))
    for row in rows:
        drawn.add_row(*(_cell(value) for value in row))
    console().print(drawn)


def _cell(value: Any) -> Any:
    from rich.text import Text

    text = "" if value is None else str(value)
    return Text(text, style=TONES.get(text, ""))


def age(moment: str | None) -> str:
    """How long ago an ISO time is, in one unit."""
    if not moment:
        return ""
    then = dt.datetime.fromisoformat(moment.replace("Z", "+00:00"))
    return span((dt.datetime.now(dt.UTC) - then).total_seconds() * 1000)


def span(ms: float | None) -> str:
    """A duration in one unit."""
    if ms is None:
        return ""
    for limit, divisor, unit in ((1_000, 1, "ms"), (120_000, 1_000, "s"), (7_200_000, 60_000, "min")):
        if ms < limit:
            return f"{ms / divisor:.0f} {unit}"
    return f"{ms / 3_600_000:.0f} h" if ms < 172_800_000 else f"{ms / 86_400_000:.0f} d"


def workflows(page: dict[str, Any]) -> None:
    """A page of workflows."""
    rows = [
        [
            item["id"],
            item["type"],
            item["state"],
            f"{item['steps_done']}/{item['steps_total']}",
            age(item["created_at"]),
            span(item["duration_ms"]),
            item["summary"][:60],
        ]
        for item in page["items"]
    ]
    table(["id", "type", "state", "steps", "age", "took", "input"], rows, "No workflow matches.")
    if page["next"]:
        line(f"More: --cursor {page['next']}")


def workflow(item: dict[str, Any]) -> None:
    """One workflow with its steps."""
    from rich.text import Text

    shown = console()
    head = Text.assemble((item["id"], "bold"), f"  {item['type']} v{item['version']}  ")
    head.append(item["state"], TONES.get(item["state"], ""))
    shown.print(head)
    if item["progress"]:
        shown.print(Text(item["progress"]))
    if item["error"]:
        shown.print(Text(item["error"], "red"))
    steps = [
        [
            step["id"],
            step["name"],
            step["state"],
            len(step.get("attempts", [])) or "",
            (step.get("attempts") or [{}])[-1].get("agent", ""),
            (step.get("error") or {}).get("message", "")[:80] if step["state"] not in ("succeeded", "skipped") else "",
        ]
        for step in item["steps"]
    ]
    table(["step", "name", "state", "attempts", "agent", "error"], steps, "No step yet.")
    if item["result"] is not None:
        as_json(item["result"])


def escalations(page: dict[str, Any]) -> None:
    """A page of the queue."""
    rows = [
        [item["id"], age(item["opened_at"]), item["outcome"] or item["state"], item["headline"]]
        for item in page["items"]
    ]
    table(["id", "age", "state", "what"], rows, "Nothing waits for people.")


def escalation(item: dict[str, Any]) -> None:
    """One escalation in full."""
    detail = item["detail"]
    line(f"{item['headline']}")
    line(f"{item['state']}, version {item['version']}, workflow {item['workflow_id']}, step {item['step']}")
    for name in ("input", "input_schema", "output_schema"):
        if detail.get(name) is not None:
            line(f"{name.replace('_', ' ')}:")
            as_json(detail[name])
    if item["actions"]:
        line(f"Decide with: ganglion resolve {item['id']} --action {'|'.join(item['actions'])} [--payload JSON]")


def agents(views: list[dict[str, Any]]) -> None:
    """Agent instances."""
    rows = [
        [
            view["id"],
            view["health"],
            f"{view.get('load', 0)}/{view.get('concurrency', 1)}",
            view.get("done", 0),
            view.get("failed", 0),
            ", ".join(view["types"]),
        ]
        for view in views
    ]
    table(["agent", "health", "load", "done", "failed", "types"], rows, "No agent is registered.")


def queues(views: list[dict[str, Any]]) -> None:
    """Task queues."""
    rows = [
        [
            view["type"],
            view["waiting"],
            view["pending"],
            span(view.get("oldest_wait_ms", 0)),
            view.get("agents", 0),
            f"paused by {view.get('paused_by', '')}" if view.get("paused") else "",
        ]
        for view in views
    ]
    table(["task type", "waiting", "delivered", "oldest", "agents", ""], rows, "No task type is known.")


def coordinators(views: list[dict[str, Any]]) -> None:
    """Coordinator hosts."""
    rows = [
        [
            view["id"],
            "alive" if view["alive"] else "silent",
            f"{view['held']}/{view['capacity']}",
            span(view["beat_age_ms"]),
            view.get("takeovers", 0),
            f"{view.get('rss_bytes', 0) / 1_048_576:.0f} MiB",
        ]
        for view in views
    ]
    table(["host", "", "workflows", "heartbeat", "takeovers", "memory"], rows, "No coordinator host is running.")
