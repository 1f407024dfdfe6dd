"""What people are asked, what their answers change, and the forms that they see."""

# ruff: noqa: E501 - words of contracts
from __future__ import annotations

import datetime

import msgspec
import pytest
from jsonschema import Draft202012Validator

from coordination.files import FileRef
from dashboard.forms import SchemaForm
from examples.legal_review import documents, extraction, questions, validation
from examples.legal_review.samples import BY_SLUG, SAMPLES
from examples.legal_review.shapes import (
    Contents,
    DatesAnswer,
    Document,
    Facts,
    GoverningLawAnswer,
    Issue,
    Kind,
    Party,
    PartyAnswer,
    Review,
    Summary,
)


def asked(slug: str) -> tuple[Facts, list[Issue], list[questions.Question]]:
    text = documents.read(BY_SLUG[slug].path.read_bytes()).text
    facts, issues = extraction.extract(text), validation.validate(text)
    return facts, issues, questions.questions(facts, issues)


def test_missing_party():
    facts, issues, (question,) = asked("services-agreement")
    assert question.text == "Who is the Client? The document leaves the name of the Client blank."
    assert question.returns is PartyAnswer and question.label == "Missing party: Client"
    assert "in the document" in question.context and question.context["why"]
    answer = PartyAnswer("Quay House Trust", note="from the covering letter")
    facts, supplied = questions.apply(question, answer, facts)
    assert [(party.name, party.role) for party in facts.parties][1] == ("Quay House Trust", "Client")
    assert facts.parties[1].quote == questions.BY_A_PERSON
    assert (supplied.title, supplied.value) == ("Client", "Quay House Trust")
    settled = questions.settle(issues, question, "Client: Quay House Trust")
    assert [issue.rule for issue in settled if issue.answer] == ["missing-party"]
    assert len(settled) == len(issues)


def test_contradicting_dates_are_one_question():
    facts, issues, (question,) = asked("warehouse-lease")
    assert question.returns is DatesAnswer
    assert "28 February 2030" in question.text and "1 May 2026" in question.text
    answer = DatesAnswer(datetime.date(2026, 3, 1), datetime.date(2031, 2, 28))
    facts, supplied = questions.apply(question, answer, facts)
    assert supplied.value == "2026-03-01 to 2031-02-28"
    assert [date.label for date in facts.dates[:2]] == ["Begins", "Ends"]
    settled = questions.settle(issues, question, "said")
    assert all(issue.answer for issue in settled if issue.rule == "dates-contradict")


def test_missing_governing_law():
    facts, _, (question,) = asked("bill-of-sale")
    facts, supplied = questions.apply(question, GoverningLawAnswer("England and Wales"), facts)
    assert facts.governing_law.value == "England and Wales"
    assert supplied.note.startswith("the parties confirmed it")


def test_clean_contracts_ask_nothing():
    for slug in ("mutual-nda", "loan-agreement", "employment-contract"):
        assert asked(slug)[2] == [], slug


def test_the_list_of_samples_says_who_will_be_asked():
    for sample in SAMPLES:
        try:
            assert bool(asked(sample.slug)[2]) is sample.asks, sample.slug
        except documents.UnreadableDocument:
            assert sample.asks


def test_two_missing_parties_are_two_questions_with_labels_of_their_own():
    text = 'An agreement between ________ (the "Seller") and [name of buyer] (the "Buyer"). Governed by the laws of Ireland.'
    facts, issues = extraction.extract(text), validation.validate(text)
    found = questions.questions(facts, issues)
    assert [question.label for question in found] == ["Missing party: Seller", "Missing party: Buyer"]
    for question, name in zip(found, ("Ann", "Bob"), strict=True):
        facts, _ = questions.apply(question, PartyAnswer(name), facts)
    assert [party.name for party in facts.parties] == ["Ann", "Bob"]


def test_a_second_party_of_unknown_role_is_added():
    question = questions.Question("x", "?", PartyAnswer, [])
    facts, supplied = questions.apply(question, PartyAnswer("Zed"), Facts(parties=[Party("Ann", "Seller")]))
    assert [party.name for party in facts.parties] == ["Ann", "Zed"]
    assert supplied.value == "Zed"


@pytest.mark.parametrize("answer", [PartyAnswer, GoverningLawAnswer, DatesAnswer])
def test_answers_make_good_forms(answer):
    schema = msgspec.json.schema(answer)
    Draft202012Validator.check_schema(schema)
    body = schema["$defs"][answer.__name__]
    assert body["required"]
    for name, field in body["properties"].items():
        assert field.get("title"), f"{name} has no title"
        assert field.get("type") == "string" or "enum" in field, f"{name} is no simple field"


@pytest.mark.parametrize(
    ("answer", "raw"),
    [
        (PartyAnswer, b'{"name": ""}'),
        (PartyAnswer, b"{}"),
        (GoverningLawAnswer, b'{"jurisdiction": "X", "basis": "a guess"}'),
        (DatesAnswer, b'{"begins": "soon", "ends": "2026-01-01"}'),
    ],
)
def test_wrong_answers_are_refused(answer, raw):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(raw, type=answer)


@pytest.mark.parametrize(
    "value",
    [
        Document(text="x"),
        Contents(text="words"),
        Review("n", 1, 2, "document", Kind("nda", 0.5), Facts(), [], Summary("h")),
    ],
)
def test_shapes_travel_as_json(value):
    assert msgspec.json.decode(msgspec.json.encode(value), type=type(value)) == value
    Draft202012Validator.check_schema(msgspec.json.schema(type(value)))


def test_operators_type_the_words_and_the_file_stays_as_it_is():
    ref = FileRef("a" * 64, "scan.pdf", 9, "application/pdf")
    given = msgspec.to_builtins(Document(file=ref))
    schema = msgspec.json.schema(Document)
    offered = SchemaForm(schema, initial=given)
    assert set(offered.fields) == {"value.text", "value.name"}
    form = SchemaForm(schema, initial=given, data={"value.text": "This lease is made", "value.name": ""})
    assert form.is_valid()
    assert msgspec.convert(form.value(), Document) == Document(text="This lease is made", file=ref)


def test_operators_supply_the_words_alone():
    form = SchemaForm(msgspec.json.schema(Contents), data={"value.text": "This lease is made", "value.pages": "2"})
    assert set(form.fields) == {"value.text", "value.pages"}
    assert form.is_valid(), form.errors
    found = msgspec.convert(form.value(), Contents)
    assert (found.text, found.pages, found.source, found.words) == ("This lease is made", 2, "person", 4)
