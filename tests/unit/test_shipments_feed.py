"""Feeds, carriers' formats and samples."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from coordination.errors import FinalError
from examples.shipments import faults, feed, orders, sample
from examples.shipments.carriers import CARRIERS, parse_row, write_row
from examples.shipments.places import PLACES
from examples.shipments.updates import Row, Status, Update

pytestmark = pytest.mark.once

SAMPLE_DIGEST = "1c22c5aecdb21761a2cd9bcca00804a9fe83ce8463f86666f4583313a3d2d5de"


def row(text: str, line: int = 12) -> Row:
    return Row(feed="f", line=line, text=text)


AT = datetime(2026, 3, 14, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "status", "place", "weight_kg"),
    [
        ("NORDEX;NX1;PICKED_UP;2026-03-14T09:30:00+01:00;SEGOT;12.4", Status.PICKED_UP, "SEGOT", 12.4),
        ('PACIFICA,03/14/2026 12:30 AM,Delivered,"Denver, US",1P1,10.0 lb', Status.DELIVERED, "USDEN", 4.536),
        ("RHEIN;14.03.2026 09:30;RS1;München;12,4 kg;Verspätet", Status.DELAYED, "DEMUC", 12.4),
        ("KAIDO\tKD1\t2026/03/14 17:30\t東京\t配達中\t1500g", Status.OUT_FOR_DELIVERY, "JPTYO", 1.5),
        ("BRITMAIL|30|BM1|2.0|LONDON|14-Mar-26 08.30", Status.AT_HUB, "GBLON", 2.0),
    ],
)
def test_every_carriers_format_is_read_into_one_form(text: str, status: Status, place: str, weight_kg: float) -> None:
    update = parse_row(row(text))

    assert (update.status, update.place, update.weight_kg, update.at) == (status, place, weight_kg, AT)
    assert update.line == 12


@pytest.mark.parametrize("code", CARRIERS)
@pytest.mark.parametrize("status", Status)
def test_what_is_written_is_read_again(code: str, status: Status) -> None:
    carrier = CARRIERS[code]
    place = next(place.code for place in PLACES.values() if place.country in carrier.regions)
    update = Update("f", 12, code, f"{carrier.prefix}1", status, AT, place, 4.536 if code == "PACIFICA" else 4.5)
    line = write_row(update).encode(carrier.encoding)

    [read] = feed.rows(line, "f", line=11)

    assert parse_row(read) == update


@pytest.mark.parametrize(
    ("text", "fault", "words"),
    [
        ("SWIFTLY;1;2", faults.UnknownCarrier, 'no carrier has the code "SWIFTLY"'),
        ("NORDEX;NX1;PICKED_UP", faults.BrokenRow, "3 columns where 6 are expected"),
        ('BRITMAIL|30|BM1|2.0|"LONDON|14-Mar-26 08.30', faults.BrokenRow, "quotation marks"),
        ("NORDEX;;PICKED_UP;2026-03-14T09:30:00+01:00;SEGOT;1", faults.MissingTracking, "tracking number is missing"),
        ("NORDEX;NX1;LOST;2026-03-14T09:30:00+01:00;SEGOT;1", faults.UnknownStatus, 'status "LOST"'),
        ("RHEIN;31.02.2026 09:30;RS1;Köln;1 kg;Abgeholt", faults.BadDate, "31.02.2026"),
        ("RHEIN;14.03.2026 09:30;RS1;Atlantis;1 kg;Abgeholt", faults.UnknownPlace, "Atlantis"),
        ("RHEIN;14.03.2026 09:30;RS1;Köln;heavy;Abgeholt", faults.BadWeight, "heavy"),
        ("RHEIN;14.03.2026 09:30;RS1;K\N{REPLACEMENT CHARACTER}ln;1;Abgeholt", faults.BrokenText, "not text"),
        ("RHEIN;14.03.2026 09:30;RS1;Köln;\N{SYMBOL FOR NULL};Abgeholt", faults.BrokenText, "NUL"),
    ],
)
def test_a_bad_row_says_its_line_and_what_is_wrong(text: str, fault: type[FinalError], words: str) -> None:
    with pytest.raises(fault) as raised:
        parse_row(row(text))

    assert str(raised.value).startswith("Line 12: ")
    assert words in str(raised.value)


def test_a_broken_line_loses_no_other() -> None:
    good = b"NORDEX;NX1;PICKED_UP;2026-03-14T09:30:00+01:00;SEGOT;1"
    data = b"\n".join([b"\xef\xbb\xbf# a comment", good, b'NORDEX;"NX1;', b"", b"\0\xff\xfe", good + b"\r"])

    read = list(feed.rows(data, "f"))

    assert [r.line for r in read] == [2, 3, 5, 6]
    assert [r.text for r in read][::3] == [good.decode()] * 2
    assert feed.count(data) == 4


def test_reading_goes_on_where_it_stopped() -> None:
    data = sample.feed(50)
    whole = list(feed.rows_with_ends(data, "f", 0, 0))
    (stop, offset) = whole[19]

    assert [*whole[:20], *feed.rows_with_ends(data, "f", offset, stop.line)] == whole


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b" \n", "empty"),
        (b"PK\x03\x04...", "workbook"),
        ("NORDEX;1".encode("utf-16"), "UTF-16"),
        (b"# only\n\n", "no rows"),
        (b"\x89PNG\r\n" + bytes(range(256)) * 9, "no text"),
    ],
)
def test_what_is_no_feed_is_refused_in_words(data: bytes, words: str) -> None:
    assert words in feed.complaint(data)


def test_a_sample_can_be_a_feed() -> None:
    assert feed.complaint(sample.feed(500, bad_share=0.2)) == ""


def test_a_sample_is_the_same_for_the_same_seed() -> None:
    assert sample.feed(300, seed=7) == sample.feed(300, seed=7)
    assert sample.feed(300, seed=7) != sample.feed(300, seed=8)


def test_a_sample_is_the_same_on_every_python_version() -> None:
    assert hashlib.sha256(sample.feed(1000, seed=7)).hexdigest() == SAMPLE_DIGEST


def test_a_sample_has_the_bad_rows_that_were_asked_for() -> None:
    bad: dict[str, int] = {}
    read = list(feed.rows(sample.feed(10_000, seed=7, bad_share=0.01), "f"))
    for one in read:
        try:
            update = parse_row(one)
            matched = orders.match(update)
            assert matched.shipment.carrier == update.carrier
        except FinalError as error:
            bad[type(error).__name__] = bad.get(type(error).__name__, 0) + 1

    assert len(read) == 10_000
    assert sum(bad.values()) == 100
    assert set(bad) == {
        "UnknownCarrier", "BadDate", "MissingTracking", "UnknownStatus", "ImpossiblePlace", "UnknownShipment",
        "BrokenRow", "BrokenText",
    }  # fmt: skip


def test_a_sample_without_bad_rows_is_read_whole() -> None:
    for one in feed.rows(sample.feed(2_000, seed=3, bad_share=0), "f"):
        orders.match(parse_row(one))


@pytest.mark.parametrize(("rows", "share"), [(0, 0.0), (10, 1.5), (sample.MAX_ROWS + 1, 0.0)])
def test_a_sample_out_of_range_is_refused(rows: int, share: float) -> None:
    with pytest.raises(ValueError, match=r"sample has|share of bad"):
        sample.feed(rows, bad_share=share)
