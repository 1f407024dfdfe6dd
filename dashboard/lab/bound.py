"""``python -m dashboard.lab.bound PARENT COMMAND …``: run a command that ends with the process that started it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PARENT_DIED = 1  # PR_SET_PDEATHSIG


def main() -> None:
    """Become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DIED, signal.SIGTERM)
    if os.getppid() != parent:  # it has died meanwhile
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - the caller is this program itself


if __name__ == "__main__":
    main()
