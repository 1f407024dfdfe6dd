"""The command line ``ganglion``: the API for people at a terminal and for scripts.

Imports neither Django nor the coordination core, so that it starts at once and runs on machines
that have nothing but a network.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run one command; errors are one line on stderr, with the exit codes of docs/cli.md."""
    import typer

    from dashboard.cli import steering  # noqa: F401 its commands register themselves
    from dashboard.cli.app import app
    from dashboard.cli.errors import CommandFailed

    try:
        code = app(standalone_mode=False)
    except CommandFailed as error:
        code = _tell(str(error), error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except BrokenPipeError:
        sys.stderr.close()
        code = 141
    except Exception as error:
        words = getattr(error, "format_message", None)  # how Typer's own errors tell what was typed wrongly
        if words is None:
            raise
        code = _tell(words(), getattr(error, "exit_code", 2))
    sys.exit(code if isinstance(code, int) else 0)


def _tell(message: str, code: int) -> int:
    if message:
        print(f"ganglion: {message}", file=sys.stderr)  # noqa: T201
    return int(code)
