"""The carriers' formats as a table, and reading and writing one row of any of them.

A row begins with the carrier's code. Everything after it is the carrier's own: the delimiter, the
order of the columns, the encoding, the date format and its offset from UTC, the words for a status,
the spelling of places and the unit of weight. A new carrier is a new entry of ``CARRIERS``.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from examples.shipments import faults, places
from examples.shipments.places import Place
from examples.shipments.updates import Row, Status, Update


@dataclass(frozen=True)
class Carrier:
    """One carrier's format."""

    code: str
    name: str
    prefix: str  # of its tracking numbers
    delimiter: str
    encoding: str  # of rows that are not UTF-8
    columns: tuple[str, ...]  # after the code
    time_format: str
    utc_offset_h: int
    words: dict[str, Status]
    spell: Callable[[Place], str]
    kg: float  # in one unit of weight
    unit: str = ""  # written behind the number
    decimal_comma: bool = False
    regions: tuple[str, ...] = ()  # countries served

    def word(self, status: Status) -> str:
        """The carrier's word for a status."""
        return next(word for word, meaning in self.words.items() if meaning is status)

    @property
    def zone(self) -> timezone:
        """The zone in which the carrier writes its times, all year."""
        return timezone(timedelta(hours=self.utc_offset_h))


def _statuses(*words: str) -> dict[str, Status]:
    return dict(zip(words, Status, strict=True))


_TABLE = (
    Carrier(
        code="NORDEX", name="Nordex Parcel", prefix="NX", delimiter=";", encoding="utf-8",
        columns=("tracking", "status", "at", "place", "weight"),
        time_format="%Y-%m-%dT%H:%M:%S%z", utc_offset_h=1,
        words=_statuses("PICKED_UP", "IN_TRANSIT", "TERMINAL", "DELAYED", "OUT_FOR_DELIVERY", "DELIVERED"),
        spell=lambda place: place.code, kg=1.0, regions=("SE", "DK", "NO", "FI"),
    ),
    Carrier(
        code="PACIFICA", name="Pacifica Freight", prefix="1P", delimiter=",", encoding="utf-8",
        columns=("at", "status", "place", "tracking", "weight"),
        time_format="%m/%d/%Y %I:%M %p", utc_offset_h=-8,
        words=_statuses(
            "Picked Up", "In Transit", "Arrived at Hub", "Exception - Weather", "On Vehicle for Delivery", "Delivered"
        ),
        spell=lambda place: f"{place.city}, {place.country}", kg=0.45359237, unit=" lb", regions=("US",),
    ),
    Carrier(
        code="RHEIN", name="Rhein Spedition", prefix="RS", delimiter=";", encoding="cp1252",
        columns=("at", "tracking", "place", "weight", "status"),
        time_format="%d.%m.%Y %H:%M", utc_offset_h=1,
        words=_statuses("Abgeholt", "Unterwegs", "Im Verteilzentrum", "Verspätet", "In Zustellung", "Zugestellt"),
        spell=lambda place: place.local, kg=1.0, unit=" kg", decimal_comma=True, regions=("DE", "AT", "CH"),
    ),
    Carrier(
        code="KAIDO", name="Kaido Express", prefix="KD", delimiter="\t", encoding="cp932",
        columns=("tracking", "at", "place", "status", "weight"),
        time_format="%Y/%m/%d %H:%M", utc_offset_h=9,
        words=_statuses("集荷", "輸送中", "中継所", "遅延", "配達中", "配達完了"),
        spell=lambda place: place.local, kg=0.001, unit="g", regions=("JP",),
    ),
    Carrier(
        code="BRITMAIL", name="Britannia Mail", prefix="BM", delimiter="|", encoding="utf-8",
        columns=("status", "tracking", "weight", "place", "at"),
        time_format="%d-%b-%y %H.%M", utc_offset_h=0,
        words=_statuses("10", "20", "30", "45", "60", "90"),
        spell=lambda place: place.city.upper(), kg=1.0, regions=("GB", "IE", "FR"),
    ),
)  # fmt: skip

CARRIERS: dict[str, Carrier] = {carrier.code: carrier for carrier in _TABLE}

_CODE = re.compile(r"\s*\"?([^\";,|\t]*)\"?\s*(?=[;,|\t]|$)")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def code_of(text: str) -> str:
    """The carrier's code that a line begins with, as it is written there."""
    found = _CODE.match(text)
    return found.group(1).strip() if found else ""


def parse_row(row: Row) -> Update:
    """Read a row into this application's words and units.

    Raises:
        FinalError: One of ``faults``, which names the line and what is wrong with it.
    """
    where = f"Line {row.line}"
    _check_text(row, where)
    code = code_of(row.text)
    carrier = CARRIERS.get(code.upper())
    if carrier is None:
        raise faults.UnknownCarrier(
            f'{where}: no carrier has the code "{code[:40]}". Correct the code, or skip the row.',
            details={"carriers": sorted(CARRIERS)},
        )
    cells = _cells(row, carrier, where)
    if not cells["tracking"]:
        raise faults.MissingTracking(f"{where}: the tracking number is missing. Add it to the row.", details={**cells})
    return Update(
        feed=row.feed,
        line=row.line,
        carrier=carrier.code,
        tracking=cells["tracking"].upper(),
        status=_status(cells["status"], carrier, where),
        at=_time(cells["at"], carrier, where),
        place=_place(cells["place"], where),
        weight_kg=_weight(cells["weight"], carrier, where),
    )


def write_row(update: Update) -> str:
    """The update as its carrier would write it: what ``parse_row`` reads."""
    carrier = CARRIERS[update.carrier]
    number = f"{update.weight_kg / carrier.kg:.{0 if carrier.unit == 'g' else 1}f}"
    cells = {
        "tracking": update.tracking,
        "status": carrier.word(update.status),
        "at": _written_time(update.at, carrier),
        "place": carrier.spell(places.PLACES[update.place]),
        "weight": (number.replace(".", ",") if carrier.decimal_comma else number) + carrier.unit,
    }
    line = io.StringIO()
    writer = csv.writer(line, delimiter=carrier.delimiter, lineterminator="")
    writer.writerow([carrier.code, *(cells[column] for column in carrier.columns)])
    return line.getvalue()


def _check_text(row: Row, where: str) -> None:
    if "\N{REPLACEMENT CHARACTER}" in row.text:
        raise faults.BrokenText(
            f"{where}: some bytes are not text in the carrier's encoding; they are shown as \N{REPLACEMENT CHARACTER}. "
            "Type what belongs there."
        )
    if "\N{SYMBOL FOR NULL}" in row.text or "\0" in row.text:
        raise faults.BrokenText(
            f"{where}: the row holds a NUL, shown as \N{SYMBOL FOR NULL}. Remove it, or type what belongs there."
        )


def _cells(row: Row, carrier: Carrier, where: str) -> dict[str, str]:
    try:
        values = next(csv.reader([row.text], delimiter=carrier.delimiter, strict=True))
    except (csv.Error, StopIteration) as error:
        raise faults.BrokenRow(
            f"{where}: the quotation marks do not match. Correct the row.", details={"found": str(error)}
        ) from None
    expected = len(carrier.columns) + 1
    if len(values) != expected:
        raise faults.BrokenRow(
            f"{where}: {len(values)} columns where {expected} are expected. Correct the row.",
            details={"carrier": carrier.code, "columns": ["carrier", *carrier.columns]},
        )
    return {column: value.strip() for column, value in zip(carrier.columns, values[1:], strict=True)}


def _status(word: str, carrier: Carrier, where: str) -> Status:
    status = carrier.words.get(word)
    if status is None:
        raise faults.UnknownStatus(
            f'{where}: the status "{word[:60]}" is not one of this carrier\'s words. Correct it, or supply the update.',
            details={"carrier": carrier.code, "words": sorted(carrier.words)},
        )
    return status


def _time(written: str, carrier: Carrier, where: str) -> datetime:
    try:
        read = _read_time(written, carrier)
    except (ValueError, OverflowError):
        raise faults.BadDate(
            f'{where}: "{written[:60]}" is not a date in this carrier\'s format, or does not exist. Correct it.',
            details={
                "carrier": carrier.code,
                "example": _written_time(datetime(2026, 3, 14, 9, 30, tzinfo=UTC), carrier),
            },
        ) from None
    return read


def _read_time(written: str, carrier: Carrier) -> datetime:
    if "%b" in carrier.time_format:  # English months, whatever the locale is
        for number, month in enumerate(_MONTHS, start=1):
            written = written.replace(f"-{month}-", f"-{number:02d}-")
    read = datetime.strptime(written, carrier.time_format.replace("%b", "%m"))  # noqa: DTZ007
    return (read if read.tzinfo else read.replace(tzinfo=carrier.zone)).astimezone(UTC)


def _written_time(at: datetime, carrier: Carrier) -> str:
    local = at.astimezone(carrier.zone)
    return local.strftime(carrier.time_format.replace("%b", _MONTHS[local.month - 1]))


def _place(name: str, where: str) -> str:
    place = places.find(name)
    if place is None:
        raise faults.UnknownPlace(f'{where}: the place "{name[:60]}" is not in the table of places. Correct it.')
    return place.code


def _weight(written: str, carrier: Carrier, where: str) -> float:
    number = written.removesuffix(carrier.unit.strip()).strip()
    try:
        units = float(number.replace(",", ".") if carrier.decimal_comma else number)
    except ValueError:
        units = -1.0
    if not 0 < units < 1e6:
        raise faults.BadWeight(f'{where}: "{written[:40]}" is not a weight. Correct it.')
    return round(units * carrier.kg, 3)
