"""The same kill on the article's central brain, in a program of its own with a server of its own."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable
from typing import Any

from dashboard.lab.crew import Crew
from dashboard.lab.experiment import LIMIT_S, WORKFLOWS, Failed, Show, Tell


def conduct(tell: Tell, show: Show, aim: Callable[[str], None]) -> None:
    """Run ``bench.crash`` and pass on what it says.

    Raises:
        Failed: It did not come to its end.
    """
    with Crew() as crew:
        process = crew.start("-m", "bench.crash", "--count", str(WORKFLOWS), output=subprocess.PIPE)
        aim("a central brain, on a server of its own")
        limit = threading.Timer(LIMIT_S, process.terminate)
        limit.start()
        try:
            if not _follow(process, tell, show):
                raise Failed("The central brain's experiment did not come to its end.")
        finally:
            limit.cancel()


def _follow(process: subprocess.Popen[str], tell: Tell, show: Show) -> bool:
    """Read until the program has ended all that it started, and itself; whether it came to figures."""
    assert process.stdout is not None
    found = False
    for line in process.stdout:
        message: dict[str, Any] = json.loads(line)
        if "figures" in message:
            show(message["figures"])
            found = True
        else:
            tell(message["say"])
    return found
