"""``python -m config.up``: what ``bin/up`` runs once its virtual environment stands."""

from __future__ import annotations

import asyncio
import os
import sys

from config.up import checks, options
from config.up.output import Output
from config.up.problems import CannotStart


def main() -> int:
    """Run until a signal.

    Returns:
        0 after an ordered stop, 2 when something outside the program is not as it must be.
    """
    try:
        _run(options.read(sys.argv[1:]))
    except CannotStart as error:
        print(f"bin/up: {error}", file=sys.stderr)
        return 2
    return 0


def _run(chosen: options.Options) -> None:
    os.environ["GANGLION_HOME"] = str(chosen.home)
    os.environ.setdefault("GANGLION_PUBLIC_URL", chosen.address)
    from config.up import server
    from config.up.supervisor import Supervisor

    checks.settings(chosen)
    with checks.own(chosen.home, chosen.address), server.listen(chosen.port) as listener:
        if chosen.redis_url:
            checks.redis(chosen.redis_url)
        else:
            server.program()
        if chosen.database_url and chosen.sqlite_path is None:
            checks.database(chosen.database_url)
        try:
            asyncio.run(_supervise(Supervisor, chosen, listener.fileno()))
        except* CannotStart as group:
            raise _first(group) from None


async def _supervise(kind: type, chosen: options.Options, listener: int) -> None:
    await kind(chosen, Output(), listener).run()


def _first(group: BaseExceptionGroup[CannotStart]) -> CannotStart:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, CannotStart)
    return error


if __name__ == "__main__":
    sys.exit(main())
