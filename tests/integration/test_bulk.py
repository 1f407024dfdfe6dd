"""Bulk actions on real work: the canary, the drift, what a dead process leaves, and the ledger at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from coordination.client import Client
from coordination.config import Config
from dashboard import bulk, bulk_redirects, bulk_run, dispositions, queries
from dashboard.bulk_models import BulkAction, BulkItem, Disposition
from dashboard.bulk_plan import Drifted, Selection
from dashboard.models import AuditEntry, Decision, Escalation, Workflow
from tests import mirrored
from tests.bulks import EVERYTHING, begin, person, states
from tests.mirrored import Word, sql, until

pytestmark = pytest.mark.django_db(transaction=True)

WORDS = [f"bad-{number}" for number in range(5)]


@pytest.fixture(autouse=True)
def _unrepaired() -> Iterator[None]:
    mirrored.REPAIRED.clear()
    yield
    mirrored.REPAIRED.clear()


async def _failed(client: Client) -> None:
    for word in WORDS:
        await client.submit("mirrored_shout", Word(word))
    await until(lambda: Escalation.objects.filter(state="open").count() == len(WORDS))


async def _worked(made: BulkAction, state: str) -> BulkAction:
    def look() -> BulkAction | None:
        bulk_run.work(0)
        found = BulkAction.objects.get(pk=made.pk)
        return found if found.state == state else None

    found: BulkAction = await until(look, f"{made} is {state}")
    return found


async def test_an_unfixed_cause_costs_one_attempt_and_a_fixed_one_ends_in_the_ledger(config: Config) -> None:
    user = await sql(person)
    async with mirrored.host_and_worker(config) as client, mirrored.relay(config):
        await _failed(client)
        assert [group.count for group in await sql(queries.escalation_groups, queries.EscalationFilter())] == [5]
        first = await _worked(await sql(begin, user), "stopped")
        assert "canary failed again" in first.why
        assert await sql(states, first) == {"failed_again": 1, "waiting": 4}
        assert await sql(Decision.objects.count) == 1
        await until(lambda: Escalation.objects.filter(state="open").count() == 5)  # the canary's has come back
        await sql(dispositions.record_known)
        assert (await sql(queries.ledger)).total == 5

        mirrored.REPAIRED.update(WORDS)
        await sql(bulk.cancel, user, str(first.pk))
        second = await _worked(await sql(begin, user), "done")
        assert await sql(states, second) == {"succeeded": 5}
        await sql(dispositions.record_known)
        assert (await sql(queries.ledger)).total == 0
        outcomes = await sql(lambda: sorted(Disposition.objects.values_list("outcome", flat=True)))
        assert outcomes == ["retried"] * 5 + ["superseded"]
        await until(lambda: Workflow.objects.filter(state="completed").count() == 5)


async def test_another_process_goes_on_where_one_died_and_sends_nothing_twice(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await sql(person)
    async with mirrored.host_and_worker(config) as client, mirrored.relay(config):
        await _failed(client)
        mirrored.REPAIRED.update(WORDS)
        made = await sql(begin, user)

        real = bulk_run.bulk_escalations.send

        def send_and_die(*given: Any) -> None:
            real(*given)
            raise SystemExit("killed after the decision was sent, before its item was marked")

        with monkeypatch.context() as broken:
            broken.setattr(bulk_run.bulk_escalations, "send", send_and_die)
            with pytest.raises(SystemExit):
                await sql(bulk_run.work, 0)
        assert await sql(states, made) == {"waiting": 5}
        assert await sql(Decision.objects.count) == 1
        await sql(lambda: BulkAction.objects.update(held_until=None))
        await _worked(made, "done")
        assert await sql(states, made) == {"succeeded": 5}
        assert await sql(Decision.objects.count) == 5
        assert await sql(AuditEntry.objects.filter(action="escalation.resolve").count) == 5


async def test_what_has_changed_since_the_preview_is_refused_in_words(config: Config) -> None:
    user = await sql(person)
    async with mirrored.host_and_worker(config) as client, mirrored.relay(config):
        await _failed(client)
        made = await sql(bulk.plan, EVERYTHING, "retry", None, user)
        await client.submit("mirrored_shout", Word("bad-late"))
        await until(lambda: Escalation.objects.filter(state="open").count() == 6)
        with pytest.raises(Drifted, match="covered 5 items; now it is 6, 1 more"):
            await sql(bulk.start, user, EVERYTHING, "retry", digest=made.digest)
        assert await sql(BulkAction.objects.count) == 0
        pinned = Selection("escalations", "state=open", before=made.at)
        again = await sql(bulk.plan, pinned, "retry", None, user)
        assert len(again.eligible) == 5


async def test_workflows_are_held_let_go_ended_and_run_again_in_bulk(config: Config) -> None:
    user = await sql(person)

    async def done(action: str, query: str) -> BulkAction:
        chosen = Selection("workflows", query)
        plan = await sql(bulk.plan, chosen, action, None, user)
        made = await sql(bulk.start, user, chosen, action, digest=plan.digest, per_second=50.0)
        return await _worked(made, "done")

    async with mirrored.host_and_worker(config) as client, mirrored.relay(config):
        for number in range(3):
            await client.submit("mirrored_wait", Word(str(number)))
        await client.submit("mirrored_shout", Word("done"))
        await until(lambda: Workflow.objects.filter(state__in=("running", "waiting", "completed")).count() == 4)
        held = await done("pause", "type=mirrored_wait")
        assert await sql(states, held) == {"succeeded": 3}
        assert await sql(Workflow.objects.filter(state="paused").count) == 3
        again = await sql(bulk.plan, Selection("workflows", ""), "pause", None, user)
        assert {words for words, _, _ in again.refusals} == {"already paused", "already completed"}
        await done("resume", "state=paused")
        assert await sql(Workflow.objects.filter(state="paused").count) == 0
        await done("terminate", "type=mirrored_wait")
        assert await sql(Workflow.objects.filter(state="cancelled").count) == 3

        await sql(lambda: Workflow.objects.filter(type="mirrored_shout").update(state="failed"))
        assert (await sql(queries.ledger)).workflows == 1
        rerun = await done("rerun", "type=mirrored_shout")
        item = await sql(rerun.items.get)
        assert (await sql(Workflow.objects.get, pk=item.other_id)).state == "completed"
        assert (await sql(queries.ledger)).workflows == 0


@pytest.mark.once
async def test_a_cause_is_restarted_and_rerouted_with_a_dry_run_a_canary_and_the_rules(config: Config) -> None:
    user = await sql(person)
    async with mirrored.host_and_worker(config) as client, mirrored.relay(config):
        await _failed(client)
        first = await sql(lambda: Escalation.objects.earliest("opened_at"))
        plan = await sql(bulk.plan, EVERYTHING, "restart", {}, user)
        assert (plan.again, plan.refused) == ([("mirrored_shout_task", 5)], [])
        assert plan.risks == [(bulk_redirects._RUN_ALREADY, 5)]
        nowhere = await sql(bulk.plan, EVERYTHING, "restart", {"step": "9"}, user)
        assert [words for words, _, _ in nowhere.refusals] == ["There is no step '9' to restart from"]
        stranger = await sql(bulk.plan, EVERYTHING, "reroute", {"agent": "nobody"}, user)
        assert [words for words, _, _ in stranger.refusals] == [
            "“nobody” takes no tasks of type mirrored_shout_task now"
        ]
        unmet = await sql(bulk.plan, EVERYTHING, "reroute", {"requires": {"gpu": "yes"}}, user)
        assert (len(unmet.eligible), unmet.risks) == (5, [(bulk_redirects._UNMET, 5)])

        stopped = await _worked(await sql(begin, user, "restart", {}), "stopped")
        assert await sql(states, stopped) == {"failed_again": 1, "waiting": 4}
        assert (await client.get(first.workflow_id)).epoch > 1, "the canary's workflow began anew"
        await sql(bulk.cancel, user, str(stopped.pk))
        await until(lambda: Escalation.objects.filter(state="open").count() == 5)

        mirrored.REPAIRED.update(WORDS)
        await sql(lambda: Decision.objects.filter(action="restart").get(state="accepted"))
        name = (await client.inspect.agents())[0].name
        rerouted = await sql(begin, user, "reroute", {"agent": name}, canary=False)
        await sql(lambda: BulkItem.objects.filter(bulk=rerouted, place__gte=2).delete())
        done = await _worked(rerouted, "done")
        assert await sql(states, done) == {"succeeded": 2}
        rest = await _worked(await sql(begin, user, "restart", {"step": first.step}), "done")
        assert await sql(states, rest) == {"succeeded": 3}
        await until(lambda: Workflow.objects.filter(state="completed").count() == 5)
