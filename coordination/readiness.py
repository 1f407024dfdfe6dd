"""A process tells the supervisor that started it that it is ready."""

from __future__ import annotations

import os

VARIABLE = "GANGLION_READY_FD"


def announce() -> None:
    """Say once that this process is ready; without a supervisor nothing happens.

    The supervisor passes the number of a pipe's end in ``GANGLION_READY_FD``. The variable is taken away,
    so that no child process announces in this one's name.
    """
    number = os.environ.pop(VARIABLE, None)
    if number is None:
        return
    descriptor = int(number)
    try:
        os.write(descriptor, b"1")
    except BrokenPipeError:
        pass  # the supervisor has given up waiting
    finally:
        os.close(descriptor)
