"""The rules: each fires on what it is for, stays silent on a clean contract, and quotes its evidence."""

# ruff: noqa: E501 - words of contracts
from __future__ import annotations

import pytest

from examples.legal_review import documents
from examples.legal_review.samples import BY_SLUG
from examples.legal_review.shapes import Issue
from examples.legal_review.validation import RULES, validate

pytestmark = pytest.mark.once

CLEAN = """SERVICES AGREEMENT

This agreement is made on 1 May 2026 between Alpha Works Limited, of 1 High Street (the "Supplier"), and Beta Stores
plc, of 2 Low Road (the "Customer").

1. The Supplier performs the services described in the annex with reasonable skill and care.

2. The agreement begins on 1 June 2026 and runs for a fixed term of two (2) years. It ends on 31 May 2028.

3. The Customer pays £5,000 a month. The liability of the Supplier is limited to £60,000.

4. This agreement is governed by the laws of Ireland. It may be ended early as clause 2 allows.

Signed by: A. Alpha    Date: 1 May 2026
"""


def rules_of(text: str, kind: str = "services") -> dict[str, Issue]:
    return {issue.rule: issue for issue in validate(text, kind)}


def sample(slug: str, kind: str) -> list[tuple[str, str]]:
    text = documents.read(BY_SLUG[slug].path.read_bytes()).text
    return [(issue.rule, issue.severity) for issue in validate(text, kind)]


def test_clean_contracts_have_no_issues():
    assert validate(CLEAN, "services") == []
    assert sample("mutual-nda", "nda") == []


def test_samples_show_what_they_promise():
    lease = sample("warehouse-lease", "lease")
    assert set(lease) == {("dates-contradict", "high")}
    services = sample("services-agreement", "services")
    assert {("missing-party", "high"), ("words-and-figures", "high"), ("undefined-term", "medium")} < set(services)
    assert {("dangling-reference", "medium"), ("placeholder-left", "medium"), ("automatic-renewal", "low")} < set(
        services
    )
    assert sample("loan-agreement", "loan") == [("undefined-term", "medium")]
    employment = sample("employment-contract", "employment")
    assert employment[0] == ("missing-signature-block", "high")
    assert ("unlimited-term", "medium") not in employment  # usual for employment
    assert sample("bill-of-sale", "purchase") == [("no-governing-law", "high")]


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("Signed by: A. Alpha    Date: 1 May 2026", "The end.", "missing-signature-block"),
        ("Alpha Works Limited, of 1 High Street", "____________", "missing-party"),
        ("This agreement is governed by the laws of Ireland. ", "", "no-governing-law"),
        ("It ends on 31 May 2028", "It ends on 31 May 2027", "dates-contradict"),
        ("It ends on 31 May 2028", "It ends on 31 May 2025", "dates-contradict"),
        ("31 May 2028", "31 June 2028", "impossible-date"),
        ("two (2) years", "two (3) years", "words-and-figures"),
        ("the services described", "the Deliverables under each Order Form and any Order Form, the Deliverables", "undefined-term"),
        ("as clause 2 allows", "as clause 17 allows", "dangling-reference"),
        ("£5,000", "[amount to be agreed]", "placeholder-left"),
        ("£5,000", "TBD", "placeholder-left"),
        ("runs for a fixed term of two (2) years. It ends on 31 May 2028", "continues until terminated", "unlimited-term"),
        ("is limited to £60,000", "is unlimited", "unlimited-liability"),
        ("The liability of the Supplier is limited to £60,000.", "The Supplier shall indemnify.", "no-liability-limit"),
        ("It ends on", "It renews automatically. It ends on", "automatic-renewal"),
        ("made on 1 May 2026", "made on 03/04/2026", "ambiguous-date"),
        ("described in the annex", 'described in the annex (the "Catalogue")', "unused-definition"),
    ],
)  # fmt: skip
def test_each_rule(old, new, rule):
    assert old in CLEAN
    found = rules_of(CLEAN.replace(old, new))
    assert rule in found, sorted(found)
    issue = found[rule]
    assert issue.reason.endswith(".") and issue.title
    if rule != "no-governing-law":
        assert issue.evidence
    flat = " ".join(CLEAN.replace(old, new).split())
    for quote in issue.evidence:
        assert quote.page == 1
        assert quote.text.strip("… ") in flat


def test_every_rule_is_tested_above():
    assert len(RULES) >= 10
    assert len({rule.__name__ for rule in RULES}) == len(RULES)


def test_the_severest_issue_comes_first():
    text = documents.read(BY_SLUG["services-agreement"].path.read_bytes()).text
    order = ["high", "medium", "low"]
    severities = [order.index(issue.severity) for issue in validate(text, "services")]
    assert severities == sorted(severities)


def test_evidence_names_its_page():
    text = documents.read(BY_SLUG["warehouse-lease"].path.read_bytes()).text
    pages = {quote.page for issue in validate(text, "lease") for quote in issue.evidence}
    assert pages == {1, 3}


def test_defined_terms_in_plural_and_across_lines_are_defined():
    text = CLEAN.replace(
        "the services described in",
        'the work (the "Change\nOrder") described in each Change Order and the Change Orders of',
    )
    assert "undefined-term" not in rules_of(text)
    assert "unused-definition" not in rules_of(text)


def test_documents_without_numbers_have_no_dangling_references():
    assert "dangling-reference" not in rules_of("As Section 9 of the lease says, between A and B. Section 3 too.")


def test_nothing_at_all():
    assert {issue.rule for issue in validate("", "nda")} == {
        "missing-signature-block", "missing-party", "no-governing-law"
    }  # fmt: skip


def test_what_is_no_contract_is_not_measured_as_one():
    for text in ("", "Heat the oven and slice the onions. Add butter."):
        assert [issue.rule for issue in validate(text, "other")] == ["not-a-contract"]
    assert validate(CLEAN, "other") == []
