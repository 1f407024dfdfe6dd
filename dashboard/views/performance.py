"""The last measurement of ``bin/bench`` on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_GET

from dashboard import measured
from dashboard.roles import viewer_required

LAST = Path("build") / "bench" / "last.json"


def _last() -> dict[str, Any] | None:
    """What ``bin/bench`` wrote last, or nothing when it has not run or was interrupted while it wrote."""
    try:
        found = json.loads((Path(settings.BASE_DIR) / LAST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "runs" in found else None


@require_GET
@viewer_required
def performance(request: HttpRequest) -> HttpResponse:
    """Throughput, latency, the article's table, what a crash cost and how speed depends on size, as measured."""
    last = _last()
    context: dict[str, Any] = {"last": last}
    if last is not None:
        runs = last["runs"]
        context |= {
            "at": parse_datetime(last.get("at", "")),
            "most": max((run["wf_per_s"] for run in runs), default=1),
            "failed": sum(run["failed"] for run in runs),
            "curves": measured.curves(last.get("curves", [])),
        }
    return render(request, "dashboard/performance.html", context)
