"""The server comes back on an older copy of its file: everybody notices, redoes what it forgot, and wedges nowhere.

The allowance is what was acknowledged after the copy: such workflows may be gone, and signals are sent again. What the
copy holds ends right, also when it had ended since; its steps are then done again under the same idempotency keys. The
history keeps what it had.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter, defaultdict

from tests.chaos import ledger, plans
from tests.chaos.scenarios import Options, Outcome
from tests.chaos.stage import Stage, stage

NAME = "old_file"
_FORGOTTEN_S = 3.0  # between the copy and its return


async def run(options: Options) -> Outcome:
    """Run the scenario."""
    async with stage(options, in_flight=40) as on:
        await on.drive(50)
        data, copy = on.crew.server.folder / "appendonlydir", options.folder / "copy"
        began, over = await _stopped(on, lambda: shutil.copytree(data, copy))
        held = {name for name, promise in on.load.promises.items() if not promise.kept or promise.kept >= began}
        ended = {name for name, promise in on.load.promises.items() if promise.kept and promise.kept < began}
        options.say(f"copied with {len(held)} workflows in it")
        await on.flows()
        await asyncio.sleep(_FORGOTTEN_S)
        before = _final(on)
        options.say("the older copy comes back")
        began, over = await _stopped(on, lambda: (shutil.rmtree(data), shutil.copytree(copy, data)))
        forgotten = {name for name, promise in on.load.promises.items() if promise.asked < over} - held - ended
        on.figures["new_work_flows_s"] = await on.flows()
        on.figures["forgotten_workflows"] = len(forgotten)
        waiting = [name for name in held if not on.load.promises[name].kept]
        await asyncio.gather(*(on.load.signal_again(name) for name in waiting))
        await on.settle()
        on.count(forgotten)
        await _ended_again(on)
        _effects(on)
        now = _final(on)
        changed = [name for name in ended if name in before and now.get(name) != before[name]]
        on.expect(not changed, f"{len(changed)} rows that had ended before the copy were changed: {changed[:3]}")
        missing = before.keys() - now.keys()
        on.expect(not missing, f"{len(missing)} rows left the history: {sorted(missing)[:3]}")
        found = sum(len(on.lines(host, "replaying what is left")) for host in on.crew.hosts)
        on.figures["journals_rewound_in_memory"] = found
        on.expect(bool(on.lines(on.crew.relay, "the history is compared")), "the relay noticed no regression")
        on.nobody_died()
        return on.outcome(NAME)


async def _stopped(on: Stage, change: object) -> tuple[float, float]:
    """Change the server's files while it is stopped; gives when it stopped and when it was back."""
    began = time.monotonic()
    await asyncio.to_thread(on.crew.server.stop)
    await asyncio.to_thread(change)  # type: ignore[arg-type]
    await on.start_server()
    return began, time.monotonic()


def _final(on: Stage) -> dict[str, str]:
    return dict(on.history("SELECT id, state FROM dashboard_workflow WHERE finished_at IS NOT NULL"))


async def _ended_again(on: Stage) -> None:
    """What the server took up once more must end, there and in the history.

    It forgot signals and decisions that were accepted after the copy: whoever sent them sends them again.
    """
    promises, keys = on.load.promises, on.direct.keys

    async def nothing_lives() -> bool:
        await on.load.answer()
        living.clear()
        for shard in range(keys.shards):
            found = await on.direct.call("ZRANGEBYSCORE", keys.deadlines(shard), "-inf", "(+inf")
            living.update(name.decode() for name in found)
        for name in living & promises.keys():
            await on.load.signal_again(name)
        open_rows[:] = on.history("SELECT id, state FROM dashboard_workflow WHERE finished_at IS NULL LIMIT 3")
        return not living and not open_rows

    living: set[str] = set()
    open_rows: list[tuple[str, str]] = []
    try:
        on.figures["all_ended_again_s"] = await on.until(nothing_lives, 20, "what was redone did not end", 0.1)
    except TimeoutError as error:
        on.broken.append(f"{error}: {sorted(living)[:3]} in Redis, {open_rows} in the history")


def _effects(on: Stage) -> None:
    """A step that is done again carries the key that it had."""
    keys: dict[str, set[str]] = defaultdict(set)
    times: Counter[str] = Counter()
    for event, key, *_ in ledger.read(on.crew.ledger_path):
        if event == "effect":
            keys[key.partition(":")[0]].add(key)
            times[key] += 1
    on.figures["effects_done_again_under_their_key"] = sum(count - 1 for count in times.values())
    for name, promise in on.load.promises.items():
        most = _tasks(plans.make(on.options.seed, promise.number))
        on.expect(len(keys[name]) <= most, f"{name}: {len(keys[name])} keys for {most} tasks")


def _tasks(node: plans.Node) -> int:
    match node:
        case plans.Together(nodes) | plans.Sequence(nodes):
            return sum(_tasks(member) for member in nodes)
        case plans.Work():
            return 1
        case _:
            return 0
