"""The legal review from file to report, over real hosts and agents, with a person's answers."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

import examples.legal_review.agents  # noqa: F401 - declares the agents
from coordination import files
from coordination.domain import EscalationSnapshot, Reason, StepState, WorkflowState
from coordination.errors import InvalidPayload
from coordination.journal import Escalated
from dashboard.schemas import problems
from examples.legal_review import classification
from examples.legal_review.documents import Format
from examples.legal_review.samples import BY_SLUG, TEXTS
from examples.legal_review.shapes import Document, Review
from examples.legal_review.workflows import LegalReview
from tests.core_harness import World, until, world

pytestmark = pytest.mark.once

TYPES = ("read", "classify", "extract", "validate", "summarize")


@pytest.fixture(scope="module")
def trained():
    return classification.train()


@pytest.fixture
async def legal(core: World, trained, monkeypatch) -> World:
    """Two hosts and a worker of the review, with a trained classifier."""
    monkeypatch.setattr(classification, "model", lambda: trained)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "config.settings")  # for the agents' processes: this test's own home
    await core.host("one")
    await core.host("two")
    await core.agents(*TYPES)
    return core


def sample(slug: str) -> Document:
    found = BY_SLUG[slug]
    return Document(file=files.put(found.path.read_bytes(), found.file, str(found.format)))


async def submit(core: World, document: Document) -> str:
    return await core.client.submit(LegalReview.type_name, document)


async def finished(core: World, identity: str) -> Review:
    return await core.client.result(identity, timeout_s=60, returns=Review)


async def question(core: World, identity: str, count: int = 1) -> EscalationSnapshot:
    return await core.escalation(identity, count, within_s=45)


async def answer(core: World, found: EscalationSnapshot, value: object, decision_id: str = "d1") -> None:
    assert problems(value, found.output_schema) == {}
    assert await core.decide(found, "supply", value, decision_id) == "accepted"


async def test_a_clean_contract_needs_nobody(legal: World) -> None:
    review = await finished(legal, await submit(legal, sample("mutual-nda")))
    assert (review.kind.name, review.pages, review.issues, review.supplied) == ("nda", 3, [], [])
    assert [party.name for party in review.facts.parties] == [
        "Halden Instruments Limited",
        "Orrin & Vale Robotics GmbH",
    ]
    assert len(review.summary.sentences) == 6 and "for 2 years" in review.summary.headline


async def test_extract_and_validate_run_side_by_side(legal: World) -> None:
    identity = await submit(legal, sample("employment-contract"))
    review = await finished(legal, identity)
    assert review.issues[0].rule == "missing-signature-block"
    steps = {step.name: step for step in (await legal.steps(identity)).values()}
    assert set(steps) == set(TYPES)
    extracted, validated = steps["extract"], steps["validate"]
    assert extracted.started_ms < validated.finished_ms and validated.started_ms < extracted.finished_ms
    assert all(step.state is StepState.SUCCEEDED for step in steps.values())


async def test_forty_pages_travel_by_reference(legal: World) -> None:
    identity = await submit(legal, sample("loan-agreement"))
    review = await finished(legal, identity)
    assert (review.pages, review.kind.name, review.text_source) == (40, "loan", "document")
    snapshot = await legal.client.get(identity)
    steps = (await legal.steps(identity)).values()
    assert all(len(msgspec.json.encode(step.input)) < 60_000 for step in steps)
    assert snapshot.open_escalations == 0


async def test_a_person_names_the_missing_party(legal: World) -> None:
    identity = await submit(legal, sample("services-agreement"))
    found = await question(legal, identity)
    assert found.reason is Reason.HUMAN_INPUT_REQUESTED
    assert found.question.startswith("Who is the Client?")
    assert "name" in problems({}, found.output_schema)
    assert (await legal.client.get(identity)).state is WorkflowState.NEEDS_HUMAN
    await answer(legal, found, {"name": "Quay House Trust", "note": "covering letter"})
    review = await finished(legal, identity)
    assert [(party.name, party.role) for party in review.facts.parties][1] == ("Quay House Trust", "Client")
    assert [(said.topic, said.value, said.note) for said in review.supplied] == [
        ("party", "Quay House Trust", "covering letter")
    ]
    assert next(issue for issue in review.issues if issue.rule == "missing-party").answer
    assert "Quay House Trust (Client)" in review.summary.headline


async def test_a_person_settles_the_dates(legal: World) -> None:
    identity = await submit(legal, sample("warehouse-lease"))
    found = await question(legal, identity)
    assert "28 February 2031" in found.question
    await answer(legal, found, {"begins": "2026-03-01", "ends": "2031-02-28"})
    review = await finished(legal, identity)
    assert review.supplied[0].value == "2026-03-01 to 2031-02-28"
    assert review.facts.dates[1].date.isoformat() == "2031-02-28"


async def test_an_answer_that_cannot_be_true_is_asked_again(legal: World) -> None:
    identity = await submit(legal, sample("warehouse-lease"))
    await answer(legal, await question(legal, identity), {"begins": "2031-02-28", "ends": "2026-03-01"})
    again = await question(legal, identity, 2)
    assert again.question.startswith("The answer ended the agreement on 2026-03-01, not after 2031-02-28. Which dates")
    await answer(legal, again, {"begins": "2026-03-01", "ends": "2031-02-28"}, "d2")
    review = await finished(legal, identity)
    assert [said.value for said in review.supplied] == ["2026-03-01 to 2031-02-28"]


async def test_a_review_that_left_memory_comes_back_with_the_answer(tune, trained, monkeypatch) -> None:
    monkeypatch.setattr(classification, "model", lambda: trained)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "config.settings")
    async with world(tune(park_after_s=0.1)) as core:
        await core.host()
        await core.agents(*TYPES)
        identity = await submit(core, sample("services-agreement"))
        found = await question(core, identity)

        async def parked() -> bool:
            return not core.held(identity)

        await until(parked, 20)
        await answer(core, found, {"name": "Quay House Trust"})
        review = await finished(core, identity)
        assert [said.value for said in review.supplied] == ["Quay House Trust"]
        steps = (await core.steps(identity)).values()
        assert all(len(step.attempts) == 1 for step in steps if step.kind == "task")  # nothing ran twice


async def test_a_skipped_question_stays_open(legal: World) -> None:
    identity = await submit(legal, sample("bill-of-sale"))
    found = await question(legal, identity)
    await legal.decide(found, "skip")
    review = await finished(legal, identity)
    assert review.supplied == [] and review.facts.governing_law is None
    assert [issue.answer for issue in review.issues] == [""]


async def test_several_questions_at_once(legal: World) -> None:
    text = (
        'An agreement between Ann Dow (the "Seller") and ________ (the "Buyer") on the sale of goods. Signed by: A. Dow'
    )
    identity = await submit(legal, Document(text=text))
    first, second = await question(legal, identity), await question(legal, identity, 2)
    assert {first.task_type, second.task_type} == {"Missing party: Buyer", "Governing law"}
    values = {"Missing party: Buyer": {"name": "Bo Ek"}, "Governing law": {"jurisdiction": "Norway"}}
    await answer(legal, second, values[second.task_type], "d2")
    await answer(legal, first, values[first.task_type], "d1")
    review = await finished(legal, identity)
    assert {said.topic for said in review.supplied} == {"party", "governing_law"}
    assert review.facts.governing_law.value == "Norway"
    assert len(await legal.journal(identity, Escalated)) == 2


async def test_a_scan_is_typed_by_a_person(legal: World) -> None:
    identity = await submit(legal, sample("scanned-lease"))
    found = await question(legal, identity)
    assert found.reason is Reason.FINAL_ERROR and found.attempts == 1
    assert "probably a scan" in found.errors[-1].message
    await answer(legal, found, {"text": (TEXTS / "scanned-lease.txt").read_text()})
    review = await finished(legal, identity)
    assert (review.kind.name, review.text_source) == ("lease", "person")
    assert [said.topic for said in review.supplied] == ["text"]
    assert review.facts.parties[0].name == "Rosalind Pike"


async def test_an_encrypted_file_is_replaced_by_its_text(legal: World) -> None:
    identity = await submit(legal, sample("encrypted-purchase"))
    found = await question(legal, identity)
    assert "encrypted with a password" in found.errors[-1].message
    assert found.errors[-1].details["why"] == "document_encrypted"
    edited = {**found.input, "text": (TEXTS / "machine-purchase.txt").read_text()}
    assert problems(edited, found.input_schema) == {}
    await legal.decide(found, "edit", edited)
    review = await finished(legal, identity)
    assert (review.kind.name, review.text_source, review.supplied[0].topic) == ("purchase", "person", "text")
    assert review.facts.governing_law.value == "Switzerland"


async def test_a_review_without_document_asks_for_one(legal: World) -> None:
    found = await question(legal, await submit(legal, Document()))
    assert "without a document" in found.errors[-1].message


async def test_a_file_that_is_not_there_is_no_reason_to_try_four_times(legal: World) -> None:
    ref = files.FileRef("0" * 64, "gone.pdf", 5, str(Format.PDF))
    found = await question(legal, await submit(legal, Document(file=ref)))
    assert found.attempts == 1 and "GANGLION_HOME" in found.errors[-1].message


async def test_declining_ends_the_review(legal: World) -> None:
    identity = await submit(legal, sample("scanned-lease"))
    await legal.decide(await question(legal, identity), "fail")
    assert (await legal.state(identity, WorkflowState.FAILED, within_s=20)).error is not None


async def test_input_of_another_shape_is_refused_at_once(core: World) -> None:
    with pytest.raises(InvalidPayload, match="file"):
        await core.client.submit(LegalReview.type_name, {"file": "lease.pdf"})


async def test_many_reviews_together(legal: World) -> None:
    await legal.agents(*TYPES)
    slugs = ["mutual-nda", "employment-contract", "loan-agreement"] * 4
    identities = [await submit(legal, sample(slug)) for slug in slugs]
    reviews = await asyncio.gather(*(finished(legal, identity) for identity in identities))
    assert [review.kind.name for review in reviews] == ["nda", "employment", "loan"] * 4
