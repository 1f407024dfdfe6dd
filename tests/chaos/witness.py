"""Runs ``manage.py run_coordinator`` and notes under which epoch each of its writes was accepted or refused.

The journal does not say who wrote an entry; the ledger then does, so that a stale write would be seen.
"""

from __future__ import annotations

import functools
import sys
import time
from typing import Any

from django.core.management import execute_from_command_line

from coordination.connection import Connection
from coordination.scripts import STALE
from tests.chaos import ledger

FENCED = {  # the epoch's place among the arguments
    "checkpoint": 1, "escalate": 1, "expire_task": 1, "finish": 1, "park": 1, "release_workflow": 1, "withdraw": 2,
}  # fmt: skip
_WITHOUT_ENTRY = {"park", "release_workflow", "withdraw"}


def _last_entry(name: str, args: list[Any], answer: Any) -> int:
    """Number of the last journal entry that a script wrote, 0 for none."""
    first = answer[0] if isinstance(answer, list) else 0
    if name == "checkpoint" and first > 0:
        return int(first + args[8] - 1)
    if name == "escalate" and first > 0:
        return int(first)
    if name == "finish" and first == 1:
        return int(args[2]) + 1
    if name == "expire_task" and first == 1:
        return int(answer[1])
    return 0


def watch() -> None:
    """Note every fenced write of this process from now on."""
    run = Connection.script

    @functools.wraps(run)
    async def script(self: Connection, name: str, keys: list[str], args: list[Any]) -> Any:
        asked_ms = int(time.time() * 1000)
        answer = await run(self, name, keys, args)
        if name in FENCED:
            workflow_id, epoch = args[0], int(args[FENCED[name]])
            if (answer[0] if isinstance(answer, list) else answer) == STALE:
                ledger.write("refused", f"{workflow_id}@{name}", epoch)
            elif seq := _last_entry(name, args, answer):
                ledger.write("write", f"{workflow_id}@{seq}", epoch)
            elif name in _WITHOUT_ENTRY and answer == 1:
                ledger.write("let", f"{workflow_id}@{name}", epoch, asked_ms)
        return answer

    Connection.script = script  # type: ignore[method-assign]


if __name__ == "__main__":
    watch()
    execute_from_command_line(["manage.py", *sys.argv[1:]])
