"""The schedules of the sample loan agreement, which make it as long as such agreements are."""

# ruff: noqa: E501 - sentences of a document
from __future__ import annotations

import datetime
from collections.abc import Iterator

_LOAN = 42_000_000
_QUARTERS = 40
_INSTALMENT = 525_000

_PLACES = (
    ("Wharf Road Depot", "5 Wharf Road, Leeds", 3_100, "Northern Parcel Services Limited"),
    ("Canal Street Store", "88 Canal Street, Huddersfield", 2_450, "Calder Textiles Limited"),
    ("Tollgate Yard", "2 Tollgate Lane, Wakefield", 4_020, "Pinder & Sons Removals"),
    ("Mersey View", "140 Dock Board Road, Birkenhead", 5_600, "Westlight Food Distribution Limited"),
    ("Ironworks Park, Unit 4", "Ironworks Park, Middlesbrough", 2_900, "Tees Machine Parts Limited"),
    ("Ironworks Park, Unit 9", "Ironworks Park, Middlesbrough", 3_350, "Saltburn Marine Supplies"),
    ("Millrace House", "17 Millrace, Halifax", 1_980, "Heath Archive Storage Limited"),
    ("Lockside", "1 Lockside, Castleford", 2_260, "Aire Furniture Limited"),
    ("Granary Row", "30 Granary Row, York", 2_740, "Ouse Valley Grain Cooperative"),
    ("Foundry Court", "6 Foundry Court, Rotherham", 3_880, "Don Steel Stockholders Limited"),
    ("Coldharbour", "Coldharbour Lane, Grimsby", 6_150, "Humber Cold Chain Limited"),
    ("Station Sheds", "Station Approach, Doncaster", 2_520, "Fenwick Event Hire"),
    ("Potter's Field", "44 Kiln Road, Stoke", 2_110, "Trent Ceramics Limited"),
    ("High Moor", "High Moor Estate, Kendal", 1_640, "Lakeland Outdoor Goods Limited"),
)


def schedules() -> Iterator[str]:
    """The paragraphs of all schedules, in the markup of the other sample texts."""
    yield from _repayments()
    yield from _properties()
    yield from _forms()
    yield from _tests()
    yield from _maintenance()


def _repayments() -> Iterator[str]:
    yield "---"
    yield "# Schedule 1: Repayment Schedule"
    yield "The Borrower repays the Loan by the following instalments. The last one is the balance of the Loan."
    yield "| No. | Payable on | Instalment | Outstanding afterwards"
    left = _LOAN
    year, month = 2026, 9
    for number in range(1, _QUARTERS + 1):
        paid = _INSTALMENT if number < _QUARTERS else left
        left -= paid
        day = datetime.date(year, month, 30 if month in (6, 9) else 31)
        yield f"| {number} | {day.day} {day:%B %Y} | £{paid:,} | £{left:,}"
        month += 3
        if month > 12:
            year, month = year + 1, month - 12


def _properties() -> Iterator[str]:
    for number, (name, address, area, tenant) in enumerate(_PLACES, 1):
        value = area * 1_380
        yield "---"
        yield f"# Schedule 2, part {number}: {name}"
        yield (
            f"The Property known as {name} lies at {address}. It is registered at the Land Registry under title number "
            f"NX{310_400 + number * 37}, with absolute title, and is owned by the Borrower. It has {area:,} square metres "
            f"of covered storage on {1 + number % 3} floor{'s' if number % 3 else ''}, a yard of {area // 3:,} square "
            f"metres, and {6 + number * 2} parking spaces."
        )
        yield (
            f"It is let to {tenant} on full repairing terms. The passing rent is £{area * 92:,} a year, paid quarterly in "
            f"advance into the Rent Account. The tenant has paid a deposit of one quarter's rent. The Borrower shall tell "
            f"the Lender of any notice by which the tenant ends the letting, and shall not accept a surrender of it "
            f"without the consent of the Lender."
        )
        yield (
            f"The Valuation made for this Agreement is £{value:,}. The part of the Loan that is allocated to the Property "
            f"is £{_LOAN // len(_PLACES):,}. The full cost of rebuilding, for which the Property is to be insured against "
            f"fire, flood, storm, theft and impact, together with three years' loss of rent, is £{value * 7 // 10:,}."
        )
        yield (
            "The Borrower shall inspect the roof, the gutters and the drains each spring and autumn, shall have the "
            "sprinklers and the fire doors tested every year by a certified engineer, and shall keep a record of each "
            "inspection. Defects that the inspection shows are repaired within three months, those that endanger people "
            "at once."
        )
        yield (
            f"The mortgage over the Property is registered with the words: no disposition of the registered estate is to "
            f"be registered without the written consent of the proprietor of the charge. Rights of way along the "
            f"{'north' if number % 2 else 'south'} side in favour of the neighbouring land are known to the Lender. A report "
            f"on the ground found no contamination above the limits for commercial use."
        )


def _forms() -> Iterator[str]:
    yield "---"
    yield "# Schedule 3: form of Utilisation Request"
    yield "To the Lender, from the Borrower. Secured Term Loan Agreement dated 15 June 2026."
    yield "1. This is a Utilisation Request. Words defined in the agreement have the same meaning here."
    yield "2. We wish to borrow the Loan on the day and in the amount which we state in the covering letter."
    yield "3. We confirm that each condition of clause 4 is met on the date of this request."
    yield "4. The Loan is to be paid to the accounts of the banks whose debt is replaced, as listed in the covering letter."
    yield "5. This request cannot be withdrawn."
    yield "---"
    yield "# Schedule 4: form of Compliance Certificate"
    yield "To the Lender, from the Borrower. We refer to the agreement. This is a Compliance Certificate."
    yield "1. The outstanding Loan, divided by the total of the most recent Valuation of all Properties, is stated in per cent."
    yield "2. The Rental Income of the last twelve months, divided by the interest for those months, is stated as a number."
    yield "3. We confirm that no Event of Default continues, or state which one does and what is being done about it."
    yield "4. The calculations are attached and have been drawn up on the same basis as those of the year before."
    yield "---"
    yield "# Schedule 5: conditions precedent"
    for line in (
        "The articles of association and the certificate of incorporation of the Borrower and of the Guarantor.",
        "Resolutions of their boards that approve the Finance Documents and name the persons who may sign.",
        "Specimen signatures of those persons.",
        "The Security Documents, duly signed, with the notices that they require.",
        "A Valuation of each Property, not older than three months.",
        "Reports on title by the solicitors of the Borrower, on which the Lender may rely.",
        "Insurance policies that name the Lender as first loss payee.",
        "Letters of the former lenders which state the sums due to them and undertake to release their security.",
        "Reports on the structure and on the ground of each Property.",
        "Evidence that the fees due on the Utilisation Date have been or will be paid.",
        "The last audited accounts of the Borrower and of the Guarantor.",
        "An opinion of the solicitors of the Lender on the law of England.",
    ):
        yield f"• {line}"


def _tests() -> Iterator[str]:
    yield "---"
    yield "# Schedule 6: tests of the covenants"
    yield "The limits of clauses 14.1 and 14.2 are tested for each quarter and become stricter as the Loan is repaid."
    yield "| Quarter | Loan to value at most | Interest cover at least"
    for number in range(_QUARTERS):
        quarter = f"{2026 + (number + 2) // 4}, quarter {(number + 2) % 4 + 1}"
        yield f"| {quarter} | {60 - number // 4} per cent | {1.75 + number // 8 * 0.05:.2f} times"


def _maintenance() -> Iterator[str]:
    yield "---"
    yield "# Schedule 7: maintenance plan"
    yield "The Borrower carries out these works on the Properties in the years stated and reports on them with its accounts."
    yield "| Property | Year | Works | Budget"
    works = (
        "roof and gutters",
        "yard and drains",
        "fire doors and sprinklers",
        "lighting",
        "loading doors",
        "outside walls",
    )
    for number, (name, _, area, _) in enumerate(_PLACES):
        for round_of in range(10):
            work = works[(number + round_of) % len(works)]
            yield f"| {name} | {2027 + round_of} | {work} | £{area * (2 + (number + round_of) % 5):,}"
