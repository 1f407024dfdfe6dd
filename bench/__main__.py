"""``python -m bench``: what ``bin/bench`` runs."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import machine, measurement, page, report
from bench.options import read
from bench.stack import ROOT, StackFailed

LAST = Path("build") / "bench"


def main() -> int:
    """Measure, and show what was found.

    Returns:
        0, or 1 when some part could not be measured; what was found until then is shown and written.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what it started is ended on the way out
    options = read(sys.argv[1:])
    console = Console()
    about = machine.describe(options.hosts)
    for warning in about["warnings"]:
        console.print(warning, style="bold yellow")
    found = measurement.Found()
    began = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("starting", total=measurement.steps(options))

        def tell(what: str, done: int) -> None:
            progress.update(bar, description=what, advance=done)
            if not console.is_terminal and not done:
                console.print(f"{time.monotonic() - began:6.1f} s  {what}")

        try:
            measurement.run(options, found, tell)
        except StackFailed as error:
            found.failures.append(str(error))
    about["took_s"] = round(time.monotonic() - began, 1)
    report.show(console, about, found)
    everything = {**about, **found.to_dict(), "article": report.article(found)}
    for path in _write(everything, found, about, options.json, options.html):
        console.print(f"Written: {path}")
    for failure in found.failures:
        print(f"bin/bench: {failure}", file=sys.stderr)
    return 1 if found.failures else 0


def _write(
    everything: dict[str, object], found: measurement.Found, about: dict[str, object], chosen: Path | None,
    html: Path | None,
) -> list[Path]:  # fmt: skip
    folder = ROOT / LAST
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(everything, indent=1)
    written = [html or folder / "last.html"]
    written[0].write_text(page.render(about, found), encoding="utf-8")
    (folder / "last.json").write_text(text, encoding="utf-8")
    if chosen is not None:
        chosen.write_text(text, encoding="utf-8")
        written.append(chosen)
    return written


if __name__ == "__main__":
    sys.exit(main())
