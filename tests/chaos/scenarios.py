"""Scenarios: each destroys one thing in one way, and says whether what must still hold does.

A scenario is a module ``tests/chaos/scenario_<name>.py`` with ``NAME``, a docstring whose first line says what is
destroyed and what must hold, and ``async def run(options: Options) -> Outcome``.
"""

from __future__ import annotations

import importlib
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape

from tests import servers
from tests.chaos import until_told

console = Console()


class Options(msgspec.Struct, frozen=True):
    """What a scenario is given.

    Attributes:
        seed: All that is random in it follows from this.
        minutes: How long it may go on; one that has nothing to repeat ends sooner.
        folder: Empty, its own, with a short path (for sockets); removed afterwards unless ``--keep`` was given.
        say: Tells the person who watches what happens now.
    """

    seed: int
    minutes: float
    folder: Path
    say: Callable[[str], None]


class Outcome(msgspec.Struct):
    """What a scenario found.

    Attributes:
        name: The scenario's.
        holds: Whether everything held that must.
        figures: What was measured, by name, with the unit in the name.
        broken: What did not hold, a line each.
    """

    name: str
    holds: bool
    figures: dict[str, float | int | str] = {}
    broken: list[str] = []


class Scenario(msgspec.Struct, frozen=True):
    """One that was found: its name, what its docstring promises, and how to run it."""

    name: str
    promise: str
    run: Callable[[Options], Awaitable[Outcome]]


def discover() -> dict[str, Scenario]:
    """Every scenario by its name."""
    found: dict[str, Scenario] = {}
    for path in sorted(Path(__file__).parent.glob("scenario_*.py")):
        module: Any = importlib.import_module(f"tests.chaos.{path.stem}")
        promise = (module.__doc__ or "").strip().partition("\n")[0]
        if not promise or module.NAME in found:
            raise SystemExit(f"{path.name} needs a docstring that says what must hold, and a name of its own.")
        found[module.NAME] = Scenario(module.NAME, promise, module.run)
    return found


def main(chosen: str, seed: int, minutes: float, json: Path | None, keep: Path | None) -> int:
    """List the scenarios, or run one or all of them; 0 when everything held."""
    found = discover()
    if chosen == "list":
        for scenario in found.values():
            console.print(f"[bold]{scenario.name}[/bold]  {escape(scenario.promise)}", soft_wrap=True, highlight=False)
        return 0
    if chosen != "all" and chosen not in found:
        raise SystemExit(f"There is no scenario {chosen!r}; there are {', '.join(found) or 'none'}.")
    outcomes = [
        _one(scenario, seed, minutes, keep / scenario.name if keep else None)
        for scenario in (found.values() if chosen == "all" else [found[chosen]])
    ]
    if json:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(outcomes if chosen == "all" else outcomes[0])))
    return 0 if all(outcome.holds for outcome in outcomes) else 1


def _one(scenario: Scenario, seed: int, minutes: float, keep: Path | None) -> Outcome:
    """Run one in a folder of its own; one that raises does not hold."""
    console.rule(f"{scenario.name}, seed {seed}", align="left")
    console.print(scenario.promise, style="dim", markup=False, highlight=False, soft_wrap=True)
    began = time.monotonic()

    def say(text: str) -> None:
        line = f"{time.monotonic() - began:7.1f} s  {text}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    with servers.folder() as temporary:
        folder = keep or temporary
        folder.mkdir(parents=True, exist_ok=True)
        try:
            outcome = until_told.run(_run(scenario, Options(seed, minutes, folder, say)))
        except Exception as error:
            console.print(traceback.format_exc(), style="red", markup=False, highlight=False)
            outcome = Outcome(scenario.name, holds=False, broken=[f"it stopped: {type(error).__name__}: {error}"])
    outcome.figures["took_s"] = round(time.monotonic() - began, 1)
    _show(outcome, seed)
    return outcome


async def _run(scenario: Scenario, options: Options) -> Outcome:
    return await scenario.run(options)


def _show(outcome: Outcome, seed: int) -> None:
    for name, value in outcome.figures.items():
        console.print(f"{name:>32}  {value}", markup=False, highlight=False)
    for line in outcome.broken:
        console.print("broken", line, style="red", markup=False, highlight=False, soft_wrap=True)
    verdict = "[green]It held.[/green]" if outcome.holds else "[red]It did not hold.[/red]"
    console.print(f"{verdict} Replay with --scenario {outcome.name} --seed {seed}.")
