"""What can go wrong, each by name; every one that was chosen must have fired by the end of a run."""

from __future__ import annotations

import asyncio

from tests.chaos import faults_code, faults_input, faults_network, faults_process
from tests.chaos.scene import Kind, Scene

GROUPS: dict[str, dict[str, Kind]] = {
    "processes": faults_process.KINDS,
    "console": faults_process.CONSOLE_KINDS,
    "network": faults_network.KINDS,
    "code": faults_code.KINDS,
    "input": faults_input.KINDS,
}
ALL: dict[str, Kind] = {name: kind for group in GROUPS.values() for name, kind in group.items()}
USUAL = (  # what a run without a choice fires
    "host_kill", "host_stop", "agent_kill", "agent_stop", "relay_kill", "server_kill", "server_stop",
    "connections_cut", "network_slow", "network_silent", "replies_dropped",
)  # fmt: skip


def chosen(only: str) -> list[str]:
    """The names of faults that ``--only`` stands for: names, groups, or ``all``, with commas between them.

    Raises:
        SystemExit: Something has this name neither as a fault nor as a group.
    """
    names: list[str] = []
    for word in only.split(",") if only else USUAL:
        if word == "all":
            names += ALL
        elif word in GROUPS:
            names += GROUPS[word]
        elif word in ALL:
            names.append(word)
        else:
            raise SystemExit(f"{word!r} is no fault. Groups: all, {', '.join(GROUPS)}. Faults: {', '.join(ALL)}.")
    return list(dict.fromkeys(names))


async def fire(scene: Scene, names: list[str], every_s: float) -> None:
    """Fire one fault after another until ``scene.stopping`` is set, in a seeded order that leaves none out.

    After the first round, kills of coordinator hosts stand between the others when they are among them.
    """
    bag = list(names)
    while not scene.stopping:
        scene.rng.shuffle(bag)
        for name in bag:
            await asyncio.sleep(every_s)
            if scene.stopping:
                return
            await ALL[name](scene)
        bag = [*names, *(["host_kill"] * (len(names) // 2) if "host_kill" in names else [])]
