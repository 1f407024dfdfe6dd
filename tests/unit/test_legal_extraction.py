"""Facts read off contracts: right on the samples, empty rather than guessed, quick on anything."""

# ruff: noqa: E501 - words of contracts
from __future__ import annotations

import datetime
import random
import string
import time

import pytest

from examples.legal_review import dates, documents, extraction, parties
from examples.legal_review.passages import Passages
from examples.legal_review.samples import BY_SLUG
from examples.legal_review.shapes import Facts, Term

pytestmark = pytest.mark.once


def facts_of(slug: str) -> Facts:
    return extraction.extract(documents.read(BY_SLUG[slug].path.read_bytes()).text)


def pairs(facts: Facts) -> list[tuple[str, str]]:
    return [(party.name, party.role) for party in facts.parties]


def named(text: str) -> list[tuple[str, str]]:
    return [(party.name, party.role) for party in parties.find_parties(Passages(text))]


# --- the samples --------------------------------------------------------------------------


def test_lease():
    facts = facts_of("warehouse-lease")
    assert facts.title == "Commercial Lease of a Warehouse"
    assert pairs(facts) == [("Carrow Estates Limited", "Landlord"), ("Tidewater Logistics plc", "Tenant")]
    assert facts.governing_law.value == "England and Wales"
    assert (facts.term.value, facts.term.months) == ("5 years", 60)
    found = {(date.label, date.date.isoformat()) for date in facts.dates}
    assert {("Commencement Date", "2026-03-01"), ("Ends", "2030-02-28"), ("May be ended", "2028-06-30")} <= found
    amounts = {(amount.label, amount.value, amount.currency) for amount in facts.amounts}
    assert {("Rent", "84000", "GBP"), ("Deposit", "21000", "GBP"), ("Instalment", "7000", "GBP")} <= amounts
    assert [citation.text for citation in facts.citations] == ["the Landlord and Tenant Act 1954"]


def test_services_agreement_has_a_party_without_name():
    facts = facts_of("services-agreement")
    assert pairs(facts) == [("Brightwater Facility Services, Inc.", "Contractor"), ("", "Client")]
    assert parties.missing_roles(facts.parties) == ["Client"]
    assert facts.governing_law.value == "State of Delaware"
    assert ("case", "Hollis v. Tarrant Maintenance Co., 512 U.S. 301 (1994)") in [
        (citation.kind, citation.text) for citation in facts.citations
    ]


def test_loan_of_forty_pages():
    began = time.process_time()
    facts = facts_of("loan-agreement")
    assert time.process_time() - began < 10
    assert [role for _, role in pairs(facts)] == ["Lender", "Borrower", "Guarantor"]
    assert facts.governing_law.value == "England and Wales"
    assert ("Maturity Date", datetime.date(2036, 6, 30)) in [(date.label, date.date) for date in facts.dates]
    assert ("Principal", "42000000") in [(amount.label, amount.value) for amount in facts.amounts]
    assert len(facts.dates) <= 40 and len(facts.amounts) <= 40


def test_nda_employment_and_bill_of_sale():
    assert pairs(facts_of("mutual-nda")) == [
        ("Halden Instruments Limited", "Halden"),
        ("Orrin & Vale Robotics GmbH", "Orrin"),
    ]
    employment = facts_of("employment-contract")
    assert pairs(employment) == [("Fernhill Analytics B.V.", "Employer"), ("Ms Ingrid Solheim", "Employee")]
    assert employment.term.unlimited
    assert "Regulation (EU) 2016/679" in [citation.text for citation in employment.citations]
    sale = facts_of("bill-of-sale")
    assert pairs(sale) == [("Marguerite Delacroix-Hume", "Seller"), ("Tobias Okonkwo", "Buyer")]
    assert sale.governing_law is None and sale.term is None
    assert ("Delivery", datetime.date(2026, 6, 17)) in [(date.label, date.date) for date in sale.dates]


@pytest.mark.parametrize("slug", ["mutual-nda", "warehouse-lease", "services-agreement", "loan-agreement"])
def test_every_quote_stands_in_the_document_on_its_page(slug):
    text = documents.read(BY_SLUG[slug].path.read_bytes()).text
    pages = [" ".join(page.split()) for page in text.split("\f")]
    facts = extraction.extract(text)
    quotes = [item.quote for group in (facts.parties, facts.dates, facts.amounts, facts.citations) for item in group]
    assert len(quotes) > 5
    for quote in quotes:
        for part in quote.text.split(" …")[0].split("… ")[-1:]:
            assert part in pages[quote.page - 1], quote


# --- parties ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'This Agreement is between Ada Byron, of 1 High Street ("Seller") and Grace Murray (the "Buyer").',
            [("Ada Byron", "Seller"), ("Grace Murray", "Buyer")],
        ),
        (
            "by and between Nine Pines, LLC, an Ohio limited liability company (hereinafter referred to as the "
            '"Lessor"), and Bluff & Sons Inc. (the "Lessee")',
            [("Nine Pines, LLC", "Lessor"), ("Bluff & Sons Inc.", "Lessee")],
        ),
        ("Landlord: Rosa Quint\nTenant: ____________\n", [("Rosa Quint", "Landlord"), ("", "Tenant")]),
        ("An agreement between Alpha Works Limited and Beta Stores plc", [("Alpha Works Limited", ""), ("Beta Stores plc", "")]),
        ('between [Name of Lender] (the "Lender") and Orla Finn (the "Borrower")', [("", "Lender"), ("Orla Finn", "Borrower")]),
        ('between ●, a company ("Supplier"), and Orla Finn ("Customer")', [("", "Supplier"), ("Orla Finn", "Customer")]),
        (
            'between:\n\nPine LLC ("Consultant")\n12 Elm Ave\nChico, CA 95926\n\nand\n\nOak Corporation ("Client")\nReno',
            [("Pine LLC", "Consultant"), ("Oak Corporation", "Client")],
        ),
        ("BETWEEN:\tAda Byron (the \"Lender\"), of 4 Low Rd\nAND:\tOak Ltd. (the \"Borrower\")", [("Ada Byron", "Lender"), ("Oak Ltd.", "Borrower")]),
        ("Between (1) PINE LIMITED (Company No. 0123456) whose office is here (\"the Supplier\"); and (2) MR OAK of 2 Bird Road (\"the Customer\")", [("PINE LIMITED", "Supplier"), ("MR OAK", "Customer")]),
        ('between {{party_a}} ("Landlord") and {{party_b}} ("Tenant")', [("", "Landlord"), ("", "Tenant")]),
        ("The undersigned, Amy Zed, promises to pay to the order of Bert Yarrow the sum of $5.", [("Amy Zed", "Maker"), ("Bert Yarrow", "Payee")]),
        ("between Rosa Quint, of 1 High Street, hereinafter called the Landlord, and Tim Orr, hereinafter called the Tenant.", [("Rosa Quint", "Landlord"), ("Tim Orr", "Tenant")]),
        ("Nobody is mentioned here.", []),
    ],
)  # fmt: skip
def test_ways_of_naming_parties(text, expected):
    assert named(text) == expected


def test_a_single_party_means_that_one_is_missing():
    found = parties.find_parties(Passages('between Orla Finn (the "Lender") and the other one'))
    assert parties.missing_roles(found) == [""]
    assert parties.missing_roles([]) == [""]


# --- dates --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1 March 2026", "2026-03-01"),
        ("1st day of March, 2026", "2026-03-01"),
        ("March 1, 2026", "2026-03-01"),
        ("2026-03-01", "2026-03-01"),
        ("Sept. 30th, 2027", "2027-09-30"),
        ("31.12.2026", "2026-12-31"),
        ("17/06/2026", "2026-06-17"),
        ("29 February 2028", "2028-02-29"),
    ],
)
def test_ways_of_writing_dates(written, expected):
    (mention,) = dates.mentions(Passages(f"It begins on {written} at noon."))
    assert mention.date.isoformat() == expected and not mention.ambiguous


@pytest.mark.parametrize("written", ["31 June 2026", "29 February 2027", "2026-13-01", "31/11/2026"])
def test_days_that_the_calendar_lacks(written):
    (mention,) = dates.mentions(Passages(f"It begins on {written}."))
    assert mention.date is None


def test_ambiguous_dates_follow_the_place():
    passages = Passages("It begins on 03/04/2026.")
    (european,) = dates.mentions(passages)
    (american,) = dates.mentions(passages, month_first=True)
    assert (european.date.month, american.date.month) == (4, 3)
    assert european.ambiguous


@pytest.mark.parametrize(
    "text", ["clause 4.12", "version 3.2.1", "in May they", "ISO 9001", "£1,200.50 of 2026", "1/2"]
)
def test_what_is_no_date(text):
    assert dates.mentions(Passages(text)) == []


@pytest.mark.parametrize(
    ("begin", "months", "end"),
    [
        ("2026-01-31", 1, "2026-02-28"),
        ("2024-02-29", 12, "2025-02-28"),
        ("2026-03-01", 60, "2031-03-01"),
        ("2026-11-15", 2, "2027-01-15"),
    ],
)
def test_months_are_added_as_people_do(begin, months, end):
    assert dates.add_months(datetime.date.fromisoformat(begin), months).isoformat() == end


def contradictions(text: str) -> list[str]:
    passages = Passages(text)
    return [found.reason for found in dates.contradictions(dates.key_dates(passages), extraction.term(passages))]


def test_dates_that_agree():
    assert (
        contradictions("The lease begins on 1 March 2026 for a fixed term of two years and ends on 29 February 2028.")
        == []
    )
    assert contradictions("This agreement is dated 1 May 2026. It takes effect on 1 June 2026.") == []
    assert contradictions("No dates at all.") == []
    assert contradictions("The lease begins on 1 May 2026. The first renewal of the lease begins on 1 May 2028.") == []
    assert (
        contradictions("The lease begins on 1 May 2026. Payments of rent under the lease begin on 1 July 2026.") == []
    )
    assert contradictions('The "Commencement Date" is 1 May 2026. The "Rent Commencement Date" is 1 July 2026.') == []
    assert (
        contradictions(
            "The agreement is effective from 1 May 2026. The option to extend the agreement ends on 1 April 2026."
        )
        == []
    )


def test_dates_that_contradict():
    assert (
        "before it begins" in contradictions("The lease begins on 1 March 2026. The lease ends on 1 February 2026.")[0]
    )
    assert (
        "ends on 29 February 2028"
        in contradictions(
            "The lease begins on 1 March 2026 for a fixed term of two years. The lease ends on 1 March 2029."
        )[0]
    )
    assert (
        "given as"
        in contradictions(
            '"Commencement Date" means 1 March 2026. The Commencement Date is 1 April 2026. The lease ends on 1 May 2027.'
        )[0]
    )


# --- the rest -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("This agreement is governed by the laws of the State of New York.", "State of New York"),
        (
            "shall be governed by and construed in accordance with the laws of England and Wales, and",
            "England and Wales",
        ),
        ("This contract is governed by Swiss law.", "Swiss"),
        ("Governing law: Ireland.", "Ireland"),
        ("governed by, and construed in accordance with, the internal laws of the State of Texas", "State of Texas"),
        ("This agreement is subject to the laws of Norway.", "Norway"),
        ("This lease is construed in accordance with German law.", "German"),
        ("Swiss law applies.", "Swiss"),
        ("governed by the laws of the state in which the premises lie.", "state in which the premises lie"),
        ("governed by the laws of ____________.", None),
        ("The laws of physics hold.", None),
    ],
)
def test_governing_law(text, expected):
    found = extraction.governing_law(Passages(text))
    assert (found.value if found else None) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("for an initial term of twenty-four (24) months", Term("24 months", 24)),
        ("The agreement remains in force for two years.", Term("2 years", 24)),
        ("The secret is kept for a period of five years.", None),
        ("This agreement continues until terminated by notice.", Term("unlimited", None, True)),
        ("The tenancy is for a fixed term of one year.", Term("1 year", 12)),
    ],
)
def test_term(text, expected):
    found = extraction.term(Passages(text))
    if expected is None:
        assert found is None
    else:
        assert (found.value, found.months, found.unlimited) == (expected.value, expected.months, expected.unlimited)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a purchase price of EUR 1.200.000,50", ("Purchase price", "1200000.50", "EUR")),
        ("the rent of £84,000 a year", ("Rent", "84000", "GBP")),
        ("a fee of $2.5 million", ("Fee", "2500000", "USD")),
        ("the salary is 62,400 euros", ("Salary", "62400", "EUR")),
        ("CHF 318'000", ("Amount", "318000", "CHF")),
    ],
)
def test_amounts(text, expected):
    (found,) = extraction.amounts(Passages(text))
    assert (found.label, found.value, found.currency) == expected


@pytest.mark.parametrize("text", ["clause 12.3", "in 2026", "40 pages", "£", "$ and cents"])
def test_what_is_no_amount(text):
    assert extraction.amounts(Passages(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\f\f\f",
        "(" * 30_000,
        '("' * 20_000,
        "between " * 20_000,
        "A a " * 50_000,
        "the The " * 40_000,
        "_" * 100_000,
        "1 May 2026 " * 20_000,
        "£1,000,000 " * 20_000,
        "laws of " * 30_000,
        "governed " * 30_000,
        "Aa Bb of and " * 20_000,
        "one hundred and " * 20_000 + "(5)",
        '"Term" means ' * 10_000,
        "Section 9.9.9 " * 10_000,
        "x" * 500_000,
        "\n".join(["1.1"] * 50_000),
        "between Ab Cd Ef Gh Ij Kl Mn " * 10_000,
        "\n".join("".join(random.Random(line).choices(string.printable[:94], k=76)) for line in range(1_500)),
        "12 U.S. 34 " * 10_000,
    ],
    ids=range(21),
)
def test_hostile_text_costs_time_by_its_length_alone(text):
    from examples.legal_review import summary, validation

    began = time.process_time()
    extraction.extract(text)
    validation.validate(text)
    summary.key_sentences(text)
    assert time.process_time() - began < 12


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("as held in Roe v. Wade, 410 U.S. 113 (1973), and", ("case", "Roe v. Wade, 410 U.S. 113 (1973)")),
        ("within 15 U.S.C. § 78 and its rules", ("statute", "15 U.S.C. § 78")),
        ("under section 21 of the Housing Act 1988 only", ("statute", "section 21 of the Housing Act 1988")),
        ("Directive 2011/83/EU applies", ("statute", "Directive 2011/83/EU")),
    ],
)
def test_citations(text, expected):
    assert [(found.kind, found.text) for found in extraction.citations(Passages(text))] == [expected]


def test_no_citations_in_clause_numbers():
    assert extraction.citations(Passages("See clause 4 Rent 12 and 3 Keys 9, 12 May 2026, 40 Pages 7.")) == []


def test_random_text_never_surprises():
    chance = random.Random(5)
    words = [
        "between",
        "and",
        "(the",
        '"Buyer")',
        "1",
        "March",
        "2026",
        "£500",
        "governed",
        "by",
        "the",
        "laws",
        "of",
        "England",
        "shall",
        "Services",
        "clause",
        "9",
        '"X"',
        "means",
        "term",
        "of",
        "five",
        "(5)",
        "years",
        "signed",
        "by",
        "\x0c",
        "\n\n",
        "•",
        "—",
        "你好",
        "شركة",
    ]
    for _ in range(150):
        text = " ".join(
            chance.choice(words) if chance.random() < 0.8 else "".join(chance.choices(string.printable, k=8))
            for _ in range(chance.randrange(200))
        )
        facts = extraction.extract(text)
        assert all(quote is None or quote.page >= 1 for quote in (party.quote for party in facts.parties))
