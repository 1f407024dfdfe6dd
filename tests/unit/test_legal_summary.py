"""The summary says nothing that the document does not say."""

# ruff: noqa: E501 - words of contracts
from __future__ import annotations

import time

import pytest

from examples.legal_review import documents, extraction, summary
from examples.legal_review.passages import Passages
from examples.legal_review.samples import BY_SLUG
from examples.legal_review.shapes import Facts, Kind, Party

pytestmark = pytest.mark.once


def text_of(slug: str) -> str:
    return documents.read(BY_SLUG[slug].path.read_bytes()).text


@pytest.mark.parametrize("slug", ["mutual-nda", "warehouse-lease", "loan-agreement", "employment-contract"])
def test_sentences_stand_in_the_document_in_order(slug):
    text = text_of(slug)
    pages = [" ".join(page.split()) for page in text.split("\f")]
    sentences = summary.key_sentences(text)
    assert len(sentences) == 6
    assert [sentence.page for sentence in sentences] == sorted(sentence.page for sentence in sentences)
    for sentence in sentences:
        assert sentence.text.removesuffix(" …") in pages[sentence.page - 1]
    assert len({sentence.text for sentence in sentences}) == 6


def test_the_lease_in_one_line():
    facts = extraction.extract(text_of("warehouse-lease"))
    assert summary.headline(Kind("lease", 0.9), facts) == (
        "Commercial Lease of a Warehouse between Carrow Estates Limited (Landlord) and Tidewater Logistics plc (Tenant), "
        "for 5 years, under the law of England and Wales."
    )


def test_a_line_about_what_is_not_known():
    assert summary.headline(Kind("nda", 0.9), Facts()) == "Non-disclosure agreement."
    facts = Facts(parties=[Party("A Limited", "Client"), Party("", "Supplier")])
    assert "a Supplier who is not named" in summary.headline(Kind("nda", 0.9), facts)


def test_repeated_sentences_count_once():
    again = "The tenant shall pay the rent of the storage unit in advance on the first day of each quarter. "
    other = "The landlord shall insure the building against fire, flood and storm for its full cost. "
    found = summary.key_sentences(again * 40 + other)
    assert [sentence.text for sentence in found] == [again.strip(), other.strip()]


def test_nothing_to_say():
    assert summary.key_sentences("") == []
    assert summary.key_sentences("Too short.") == []


def test_long_documents_are_summarised_in_bounded_time():
    text = "\f".join(
        f"{n}.1 The supplier number {n} shall deliver the goods of lot {n * 7} to warehouse {n % 13} before noon. "
        f"{n}.2 The price for lot {n * 7} is paid within {n % 60} days after the delivery has been accepted in writing."
        for n in range(4_000)
    )
    began = time.process_time()
    assert 1 <= len(summary.key_sentences(text)) <= 6
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One is here. Two is there.", ["One is here.", "Two is there."]),
        ("Messrs. Hale & Co. Ltd. agreed with Mr. Smith. They signed.", ["Messrs. Hale & Co. Ltd. agreed with Mr. Smith.", "They signed."]),
        ("The fee is £4,278,000. The rest follows.", ["The fee is £4,278,000.", "The rest follows."]),
        ("See Roe v. Wade and U.S. law. It holds.", ["See Roe v. Wade and U.S. law.", "It holds."]),
        ("1. First clause here\n2. Second clause here", ["1. First clause here", "2. Second clause here"]),
        ("A SHORT HEADING\nThe text begins here.", ["A SHORT HEADING", "The text begins here."]),
        ("Is it so? Yes! It is.", ["Is it so?", "Yes!", "It is."]),
        ("One sentence\nthat runs over\ntwo lines. Another.", ["One sentence that runs over two lines.", "Another."]),
    ],
)  # fmt: skip
def test_sentences_are_split_as_people_would(text, expected):
    passages = Passages(text)
    assert [passages.words_of(span) for span in passages.sentences] == expected


def test_quotes_know_their_page_and_stay_short():
    passages = Passages(
        "First page.\fSecond page has " + "many words " * 200 + "NEEDLE " + "and more " * 200 + ".\fThird."
    )
    at = passages.flat.index("NEEDLE")
    quote = passages.quote(at, at + 6)
    assert quote.page == 2 and "NEEDLE" in quote.text and len(quote.text) < 360
    assert quote.text.startswith("… ") and quote.text.endswith(" …")
    assert passages.pages == 3 and passages.page_at(0) == 1 and passages.page_at(len(passages.flat)) == 3
