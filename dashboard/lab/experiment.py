"""Kills a host, an agent or the server while real work runs, and watches how that work goes on.

The work is the experiment's own: workflows of ``dashboard.lab.load`` and two agents for them. Everything is read
from the journals, which carry the time of each entry, so that looking seldom makes no figure worse.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from coordination import client as core
from coordination import journal as j
from coordination.errors import GanglionError, ServerUnavailable
from dashboard.lab import figures, ledger, victims
from dashboard.lab.crew import Crew
from dashboard.lab.load.payloads import Document
from dashboard.models import HostEvent, WorkflowArchive

WORKFLOWS = 40
LIMIT_S = 60.0  # of everything
DEADLINE_S = 120.0  # workflows of an experiment that was broken off end by themselves
LOOK_S = 0.1

Tell = Callable[[str], None]
Show = Callable[[dict[str, Any]], None]


class Failed(Exception):
    """The experiment came to nothing; says why."""


@dataclass
class Scene:
    """An experiment under way.

    Attributes:
        name: Begins the ids of its workflows.
        tell: Adds a line for people.
        show: Puts the present figures on the page.
    """

    name: str
    tell: Tell
    show: Show
    crew: Crew
    killed_ms: float = 0.0
    marks: list[dict[str, Any]] = field(default_factory=list)
    until: float = field(default_factory=lambda: time.monotonic() + LIMIT_S)

    @property
    def ids(self) -> list[str]:
        """The workflows."""
        return [f"{self.name}-{number:02d}" for number in range(1, WORKFLOWS + 1)]

    def wait(self, what: str, condition: Callable[[], bool]) -> None:
        """Look until something is so; a server that is away is none of it.

        Raises:
            Failed: The time is over.
        """
        while True:
            try:
                if condition():
                    return
            except ServerUnavailable:
                pass
            if time.monotonic() > self.until:
                raise Failed(f"Broken off after {LIMIT_S:g} s: {what}.")
            time.sleep(LOOK_S)

    def journals(self) -> dict[str, list[j.Numbered]]:
        """All that is written down of the workflows; of those that have ended the history has it."""
        found = dict(zip(self.ids, core.sync().inspect.journals(self.ids), strict=True))
        gone = [name for name, entries in found.items() if not entries]
        for name, packed in WorkflowArchive.objects.filter(pk__in=gone).values_list("pk", "journal"):
            if packed:
                found[name] = j.decode_archive(bytes(packed))
        return found

    def ledger(self) -> ledger.Ledger:
        """What the agents ran."""
        return ledger.read(self.crew.ledger)

    def mark(self, at_ms: float, words: str, tone: str) -> None:
        """Note a moment for the drawing."""
        self.marks.append({"at": at_ms - self.killed_ms, "words": words, "tone": tone})


def conduct(kind: str, name: str, tell: Tell, show: Show, aim: Callable[[str], None]) -> None:
    """Run one experiment on this system.

    Args:
        kind: host, agent or server.
        name: Begins the ids of its workflows; never used before.
        tell: Adds a line for people.
        show: Takes the figures, again and again.
        aim: Notes what is killed.

    Raises:
        Failed: It came to nothing.
        Refused: What was to be killed does not belong to this system.
        GanglionError: The server refused the work.
    """
    with Crew() as crew:
        scene = Scene(name, tell, show, crew)
        agents = [crew.agent("lab-1"), crew.agent("lab-2")]
        pids = {process.pid for process in agents}
        tell("Two agents are started for the experiment.")
        scene.wait("the agents did not register", lambda: pids <= {one.pid for one in core.sync().inspect.agents()})
        try:
            _load(scene)
            match kind:
                case "host":
                    rows = _host(scene, aim)
                case "agent":
                    rows = _agent(scene, aim, agents[0].pid)
                case _:
                    rows = _server(scene, aim)
            _watch(scene, rows)
        finally:
            _leave_nothing(scene)


def _load(scene: Scene) -> None:
    for name in scene.ids:
        core.sync().submit(
            "lab_review", Document("The parties agree."), workflow_id=name, deadline_s=DEADLINE_S,
            labels={"lab": scene.name},
        )  # fmt: skip
    scene.tell(f"{WORKFLOWS} workflows of four steps are submitted; each step takes a second.")
    scene.wait("the workflows did not begin", lambda: len({name for name, _ in scene.ledger().ended}) >= WORKFLOWS)


Rows = Callable[[dict[str, list[j.Numbered]]], list[figures.Row]]


def _host(scene: Scene, aim: Callable[[str], None]) -> Rows:
    snapshots = [one for one in core.sync().inspect.snapshots(scene.ids) if one and not one.state.is_final]
    host = victims.busiest_host(Counter(one.owner for one in snapshots if one.owner))
    held = [one.id for one in snapshots if one.owner == host.id]
    aim(f"coordinator host {host.name}, process {host.pid}")
    scene.killed_ms = time.time() * 1000
    victims.kill(host.pid, victims.sibling)
    scene.tell(f"Killed: {host.name} (process {host.pid}), which held {len(held)} of the workflows.")
    noticed = _noticed(scene, host.id)

    def rows(journals: dict[str, list[j.Numbered]]) -> list[figures.Row]:
        noticed()
        return figures.hosts(journals, host.id, held, scene.killed_ms)

    return rows


def _noticed(scene: Scene, host: str) -> Callable[[], None]:
    """Looks for the moment at which a peer declared the host lost, until it is found."""

    def look() -> None:
        if scene.marks:
            return
        event = HostEvent.objects.filter(kind="lost", host=host, silent_ms__gt=0).first()
        if event is not None:
            at_ms = event.at.timestamp() * 1000
            scene.mark(at_ms, "noticed", "takeover")
            scene.tell(f"{event.by} noticed {(at_ms - scene.killed_ms) / 1000:.1f} s after the kill.")

    return look


def _agent(scene: Scene, aim: Callable[[str], None], pid: int) -> Rows:
    scene.wait("the agent had nothing to do", lambda: bool(scene.ledger().running.get(pid)))
    aim(f"agent lab-1, process {pid}")
    scene.killed_ms = time.time() * 1000
    victims.kill(pid, victims.child)
    running = scene.ledger().running[pid]
    scene.tell(f"Killed: agent lab-1 (process {pid}), which was at {len(running)} tasks.")
    return lambda journals: figures.tasks(journals, running, scene.killed_ms)


def _server(scene: Scene, aim: Callable[[str], None]) -> Rows:
    living = [one.id for one in core.sync().inspect.snapshots(scene.ids) if one and not one.state.is_final]
    pid = victims.server()
    aim(f"the Redis server, process {pid}")
    scene.killed_ms = time.time() * 1000
    victims.kill(pid, victims.sibling)
    scene.tell(f"Killed: the Redis server (process {pid}), under {len(living)} workflows.")
    scene.wait("the server did not come back", lambda: victims.server() != pid)
    scene.mark(time.time() * 1000, "answers", "done")
    scene.tell(f"The server answers again after {scene.marks[-1]['at'] / 1000:.1f} s.")
    return lambda journals: figures.moved(journals, living, scene.killed_ms)


def _watch(scene: Scene, rows: Rows) -> None:
    """Show the figures until every workflow has ended."""

    def ended() -> bool:
        journals = scene.journals()
        scene.show({**figures.summed(rows(journals), journals, scene.ledger()), "marks": scene.marks,
                    "now": time.time() * 1000 - scene.killed_ms})  # fmt: skip
        return figures.completed(journals) == WORKFLOWS

    try:
        scene.wait("not every workflow came to its end", ended)
    except Failed as failure:
        scene.tell(str(failure))
        return
    scene.tell("Every workflow has come to its end.")


def _leave_nothing(scene: Scene) -> None:
    try:
        end_work(scene.ids)
    except GanglionError as error:
        scene.tell(f"Some workflows of the experiment end by their deadline: {error}")


def end_work(ids: list[str]) -> None:
    """End what still lives of an experiment's workflows; what cannot be reached now ends at its deadline.

    Raises:
        GanglionError: The server does not answer.
    """
    for one in core.sync().inspect.snapshots(ids):
        if one is not None and not one.state.is_final:
            core.sync().commands.terminate(one.id, actor="lab", reason="The experiment is over.")
