"""Processes killed, frozen, told to stop: hosts, agents, relay, web, jobs, and the server."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any

from coordination import journal as j
from coordination.scripts import STALE
from tests.chaos.crew import Member, stands_still
from tests.chaos.scene import Fault, Kind, Scene, now_ms

_BOOT_S = 120.0  # for a host that was started again to beat
_HOST_STOP_S = 3.0
_AGENT_STOP_S = 6.0
_SERVER_STOP_S = 2.0
_OTHER_STOP_S = 4.0
_ABANDON_S = 1.0  # within so long after waking, a zombie must have dropped everything
_LEAST_HELD, _HELD_S = 5, 5.0  # workflows that a host is to hold when it is frozen, and how long that is waited for
_PROBES = 140  # stale writes that are tried in the name of one zombie


async def _a_host(scene: Scene) -> tuple[Member, str]:
    """A host that beats, and its incarnation; all the others beat too, so that no two are away at once."""
    member = scene.rng.choice(scene.crew.hosts)
    deadline = time.monotonic() + _BOOT_S
    while time.monotonic() < deadline:
        beating = [await scene.incarnation(host) for host in scene.crew.hosts]
        if all(beating):
            return member, beating[scene.crew.hosts.index(member)]
        await asyncio.sleep(0.1)
    scene.broken.append(f"not every host beats {_BOOT_S:.0f} s after the fault before")
    return member, await scene.incarnation(member)


async def _kill(scene: Scene, name: str, member: Member | None) -> None:
    assert member is not None, f"{name} needs a process that does not run here"
    _end(scene.note(name, member.name), member)


def _end(fault: Fault, member: Member) -> None:
    fault.figures["ended"] = int(member.kill())


async def _stop(scene: Scene, name: str, member: Member | None, seconds: float, host: str = "") -> None:
    assert member is not None, f"{name} needs a process that does not run here"
    fault = scene.note(name, member.name, host)
    async with member.frozen():
        await asyncio.sleep(seconds)
        fault.figures["stood"] = int(stands_still(member.pid))
    fault.until_ms = now_ms()


async def _host_kill(scene: Scene) -> None:
    member, host = await _a_host(scene)
    _end(scene.note("host_kill", member.name, host), member)


async def _host_stop(scene: Scene) -> None:
    member, host = await _a_host(scene)
    await _stop(scene, "host_stop", member, _HOST_STOP_S, host)


async def _host_zombie(scene: Scene) -> None:
    """Frozen for three leases; what it then writes must be refused, and it must drop everything within a second."""
    member, host = await _a_host(scene)
    config = scene.connection.config
    held, patience = await scene.held_by(host), time.monotonic() + _HELD_S
    while len(held) < _LEAST_HELD and time.monotonic() < patience:  # what it holds alone may end before it is probed
        await asyncio.sleep(0.1)
        held = await scene.held_by(host)
    fault = scene.note("host_zombie", member.name, host)
    async with member.frozen():
        wakes = time.monotonic() + 3 * config.heartbeat_s * config.suspicion_beats
        while time.monotonic() < wakes:
            if not fault.figures.get("stale_tried"):  # as soon as others have some of them, because those end soon
                await _probe(scene, fault, held)
            await asyncio.sleep(0.1)
        fault.figures["stood"] = int(stands_still(member.pid))
    fault.until_ms = now_ms()
    began, late_s = time.monotonic(), 0.0
    while await scene.incarnation(member) in ("", host):
        asked = time.monotonic()
        await asyncio.sleep(0.02)
        late_s = max(late_s, time.monotonic() - asked - 0.02)  # how late everything is on this machine now
        if time.monotonic() - began > _BOOT_S:
            break
    took_s = time.monotonic() - began
    fault.figures |= {"held": len(held), "abandoned_s": round(took_s, 3)}
    if took_s > _ABANDON_S + late_s:
        scene.broken.append(f"{host} was frozen and took {took_s:.2f} s from waking to a new life")


async def _probe(scene: Scene, fault: Fault, held: dict[str, int]) -> None:
    """Write in the frozen host's name, under its epochs, to workflows that others have taken over."""
    keys, tried, refused = scene.connection.keys, 0, 0
    for name, epoch in held.items():
        now, state = await scene.ask("HMGET", keys.workflow(name), "epoch", "state")
        if now is None or int(now) <= epoch or state in (b"completed", b"failed", b"cancelled"):
            continue
        for script, (its_keys, args) in _stale_writes(scene, name, epoch).items():
            answer = await scene.connection.script(script, its_keys, args)
            was_refused = (answer[0] if isinstance(answer, list) else answer) == STALE
            tried += 1
            refused += was_refused
            if not was_refused:
                said = f"{script} under epoch {epoch} was answered {answer} although {int(now)} writes"
                scene.broken.append(f"{name}: {said}")
        if tried >= _PROBES:
            break
    fault.figures |= {"stale_tried": tried, "stale_refused": refused}


def _stale_writes(scene: Scene, name: str, epoch: int) -> dict[str, tuple[list[str], list[Any]]]:
    """Keys and arguments of every write that an epoch fences, as its former owner would send them."""
    keys, most = scene.connection.keys, scene.connection.config.journal_entries
    shard, asked = keys.shard(name), f"{name}~stale~1"
    workflow, journal, asking = keys.workflow(name), keys.journal(name), keys.escalation(asked)
    starts, resumes = keys.workflows(shard), keys.resumes(shard)
    due, events, seen, queue = keys.deadlines(shard), keys.events(shard), keys.seen(shard), keys.escalation_queue(shard)
    entry, end = j.encode(j.Progressed("", "a stale write")), j.encode(j.Finished("failed"))
    return {
        "checkpoint": ([workflow, journal, due, events, seen], [name, epoch, 0, "", most, 0, 0, 0, 1, entry]),
        "escalate": (
            [workflow, journal, asking, queue, events],
            [name, epoch, asked, entry, "", "", 0, "reason", "stale"],
        ),
        "expire_task": ([workflow, journal, events], [name, epoch, "1", 0, 1]),
        "finish": (
            [workflow, journal, starts, resumes, due, events, seen],
            [name, epoch, 0, "failed", "", "", end, "", 0, 0],
        ),
        "park": ([workflow, starts, resumes, due, events], [name, epoch, 0, 0]),
        "release_workflow": ([workflow, starts, resumes, due], [name, epoch, 0]),
        "withdraw": ([workflow, asking, queue, events], [name, asked, epoch]),
    }


async def _host_term(scene: Scene) -> None:
    """Told to stop in order: it hands everything over, and no step runs twice."""
    member, host = await _a_host(scene)
    held = set(await scene.held_by(host))
    fault = scene.note("host_term", member.name, host)
    scene.held[len(scene.fired) - 1] = held
    pid = member.pid
    member.send(signal.SIGTERM)
    deadline = time.monotonic() + _BOOT_S
    while member.pid == pid and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    fault.until_ms = now_ms()
    fault.figures |= {"held": len(held), "ended": int(member.pid != pid)}


async def _agent_kill(scene: Scene) -> None:
    await _kill(scene, "agent_kill", scene.rng.choice(scene.crew.agents))


async def _agent_stop(scene: Scene) -> None:
    await _stop(scene, "agent_stop", scene.rng.choice(scene.crew.agents), _AGENT_STOP_S)


async def _relay_kill(scene: Scene) -> None:
    await _kill(scene, "relay_kill", scene.crew.relay)


async def _relay_stop(scene: Scene) -> None:
    await _stop(scene, "relay_stop", scene.crew.relay, _OTHER_STOP_S)


async def _web_kill(scene: Scene) -> None:
    await _kill(scene, "web_kill", scene.crew.web)


async def _web_stop(scene: Scene) -> None:
    await _stop(scene, "web_stop", scene.crew.web, _OTHER_STOP_S)


async def _jobs_kill(scene: Scene) -> None:
    await _kill(scene, "jobs_kill", scene.crew.jobs)


async def _jobs_stop(scene: Scene) -> None:
    await _stop(scene, "jobs_stop", scene.crew.jobs, _OTHER_STOP_S)


async def _server_kill(scene: Scene) -> None:
    fault = scene.note("server_kill", "server")
    before = scene.crew.server.pid
    await scene.crew.restart_server()
    fault.figures["ended"] = int(scene.crew.server.pid != before)
    fault.until_ms = now_ms()


async def _server_stop(scene: Scene) -> None:
    """Frozen: every host's beats stop, and none may take over another that lives."""
    fault = scene.note("server_stop", "server")
    scene.crew.server.send(signal.SIGSTOP)
    try:
        await asyncio.sleep(_SERVER_STOP_S)
        fault.figures["stood"] = int(stands_still(scene.crew.server.pid))
    finally:
        scene.crew.server.send(signal.SIGCONT)
    fault.until_ms = now_ms()


KINDS: dict[str, Kind] = {
    "host_kill": _host_kill,
    "host_stop": _host_stop,
    "host_zombie": _host_zombie,
    "host_term": _host_term,
    "agent_kill": _agent_kill,
    "agent_stop": _agent_stop,
    "relay_kill": _relay_kill,
    "relay_stop": _relay_stop,
    "server_kill": _server_kill,
    "server_stop": _server_stop,
}
CONSOLE_KINDS: dict[str, Kind] = {
    "web_kill": _web_kill,
    "web_stop": _web_stop,
    "jobs_kill": _jobs_kill,
    "jobs_stop": _jobs_stop,
}
