"""FLUSHALL under load: everybody notices and heals within a second, and what is lost is told as lost.

The allowance is what lived in Redis at that moment. What had ended stays in the history as it was, and what is
submitted afterwards ends right.
"""

from __future__ import annotations

import time

from tests.chaos.scenarios import Options, Outcome
from tests.chaos.stage import Stage, stage

NAME = "flush"
_LOST = "The server lost this workflow"  # how the history begins to say it
_TOLD_S = 30.0  # for the history to say what was lost


async def run(options: Options) -> Outcome:
    """Run the scenario."""
    async with stage(options) as on:
        await on.drive(100)
        ended = "SELECT count(*) FROM dashboard_workflow WHERE finished_at IS NOT NULL"
        await on.until(lambda: on.history(ended)[0][0] >= 80, 60, "the relay did not mirror", 0.2)
        before = dict(on.history("SELECT id, state FROM dashboard_workflow WHERE finished_at IS NOT NULL"))
        on.figures["commands_per_s_before"] = round(await on.commands_per_s(1.0))
        options.say("FLUSHALL")
        began = time.monotonic()
        await on.direct.call("FLUSHALL")
        over = time.monotonic()
        on.figures["groups_healed_s"] = await on.until(on.groups_stand, 15, "groups were not made again")
        await on.until(on.all_registered, 15, "hosts and agents did not register again")
        on.figures["registered_again_s"] = time.monotonic() - over
        await on.flows()
        on.figures["new_work_flows_s"] = time.monotonic() - over
        on.figures["commands_per_s_after"] = round(await on.commands_per_s(1.0))
        refused = (await on.info("errorstats")).get("errorstat_NOGROUP", "count=0")
        on.figures["reads_without_a_group"] = int(refused.partition("=")[2])
        allowance = on.alive_between(began, over)
        told = [on.load.promises[name].kept for name in allowance if on.load.promises[name].kept]
        on.figures["clients_told_s"] = max(told, default=over) - over
        options.say("settling")
        await on.settle()
        on.count(allowance)
        on.nobody_died()
        await _judge(on, before, over)
        return on.outcome(NAME)


async def _judge(on: Stage, before: dict[str, str], over: float) -> None:
    figures = on.figures
    on.expect(float(figures["groups_healed_s"]) < 1.0, "groups took longer than a second to heal")
    on.expect(int(figures["reads_without_a_group"]) < 500, "readers spin on groups that are gone")
    after = float(figures["commands_per_s_after"])
    on.expect(after < 3 * float(figures["commands_per_s_before"]) + 5_000, "the server is kept busier than before")
    later = {name for name, promise in on.load.promises.items() if promise.asked > over}
    behind: set[str] = set()

    def agrees() -> bool:
        rows = dict(on.history("SELECT id, finished_at FROM dashboard_workflow"))
        behind.clear()
        behind.update(name for name, finished in rows.items() if finished is None)
        behind.update(later - rows.keys())
        return not behind

    try:
        figures["history_agrees_s"] = await on.until(agrees, _TOLD_S, "the history", 0.2)
    except TimeoutError:
        on.broken.append(f"{len(behind)} workflows are not in the history as ended: {sorted(behind)[:3]}")
    now = dict(on.history("SELECT id, state FROM dashboard_workflow"))
    changed = [name for name, state in before.items() if now.get(name) != state]
    on.expect(not changed, f"{len(changed)} rows that had ended were changed: {changed[:3]}")
    rows = on.history("SELECT count(*) FROM dashboard_workflow WHERE state = 'failed' AND error LIKE ?", f"%{_LOST}%")
    figures["rows_told_lost"] = rows[0][0]
