"""Forms made from JSON Schemas: what they show, and what comes out of them."""

from __future__ import annotations

import datetime as dt
from enum import Enum
from typing import Any

import msgspec
import pytest

from dashboard import schemas
from dashboard.forms import SchemaForm


class Role(Enum):
    BUYER = "buyer"
    SELLER = "seller"


class Party(msgspec.Struct):
    name: str
    role: Role | None = None


class Facts(msgspec.Struct):
    governing_law: str
    starts: dt.date
    parties: list[Party]
    amount: float | None = None
    pages: int = 1
    signed: bool = False
    tags: list[str] = []
    extra: dict[str, Any] = {}


SCHEMA = msgspec.json.schema(Facts)
FILLED = {
    "value.governing_law": "Delaware",
    "value.starts": "2026-05-01",
    "value.parties.rows": "3",
    "value.parties.0.name": "Acme",
    "value.parties.0.role": "buyer",
    "value.parties.1.name": "Birch",
    "value.amount": "12.5",
    "value.pages": "4",
    "value.signed": "on",
    "value.tags.rows": "2",
    "value.tags.0": "lease",
    "value.extra": '{"k": [1]}',
}


def value_of(data: dict[str, str], schema: dict[str, Any] = SCHEMA) -> Any:
    form = SchemaForm(schema, data=data)
    assert form.is_valid(), form.errors.as_json()
    return form.value()


def test_what_is_filled_in_has_the_shape_of_the_schema() -> None:
    value = value_of(FILLED)
    assert value == {
        "governing_law": "Delaware",
        "starts": "2026-05-01",
        "parties": [{"name": "Acme", "role": "buyer"}, {"name": "Birch"}],
        "amount": 12.5,
        "pages": 4,
        "signed": True,
        "tags": ["lease"],
        "extra": {"k": [1]},
    }
    assert schemas.problems(value, SCHEMA) == {}
    assert msgspec.convert(value, Facts).starts == dt.date(2026, 5, 1)


def test_optional_parts_left_empty_are_left_out() -> None:
    value = value_of({"value.governing_law": "x", "value.starts": "2026-05-01", "value.parties.rows": "2"})
    assert value == {"governing_law": "x", "starts": "2026-05-01", "parties": [], "signed": False, "tags": []}
    assert schemas.problems(value, SCHEMA) == {}


def test_a_missing_part_and_a_wrong_one_are_said_at_their_fields() -> None:
    form = SchemaForm(SCHEMA, data={**FILLED, "value.starts": "soon", "value.governing_law": "", "value.extra": "{"})
    assert not form.is_valid()
    assert set(form.errors) == {"value.starts", "value.governing_law", "value.extra"}
    assert "no JSON" in form.errors["value.extra"][0]


def test_a_validators_messages_find_their_fields() -> None:
    form = SchemaForm(SCHEMA, data=FILLED)
    assert form.is_valid()
    left = form.place_errors({"parties.0.name": ["too short"], "": ["is odd"], "elsewhere": ["unknown"]})
    assert form.errors["value.parties.0.name"] == ["too short"]
    assert left == ["is odd", "elsewhere: unknown"]


def test_initial_values_come_back_unchanged() -> None:
    start = value_of(FILLED)
    shown = SchemaForm(SCHEMA, initial=start)
    data = {name: field.initial for name, field in shown.fields.items() if field.initial not in (None, False, "")}
    assert value_of({name: str(text) for name, text in data.items()}) == start


def test_more_rows_are_added_without_a_script() -> None:
    first = SchemaForm(SCHEMA)
    more = SchemaForm(SCHEMA, data=dict(FILLED), more_rows="value.parties")
    assert "value.parties.1.name" in first.fields and "value.parties.2.name" not in first.fields
    assert "value.parties.4.name" in more.fields
    assert more["value.parties.0.name"].value() == "Acme"


@pytest.mark.parametrize(
    ("schema", "data", "expected"),
    [
        ({"type": "string"}, {"value": "a word"}, "a word"),
        ({"type": "integer"}, {"value": "7"}, 7),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"value": ""}, None),
        ({"enum": [1, 2, 3]}, {"value": "2"}, 2),
        ({"type": ["boolean", "null"]}, {"value": "true"}, True),
        ({"type": "boolean"}, {}, False),
        ({"type": "array", "items": {"type": "integer"}}, {"value.rows": "2", "value.0": "1", "value.1": "2"}, [1, 2]),
        ({}, {"value": '{"any": 1}'}, {"any": 1}),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"type": "number"}}}, {"value": "1.5"}, 1.5),
        ({"$ref": "#/nowhere"}, {"value": "null"}, None),
    ],
)
def test_single_values(schema: dict[str, Any], data: dict[str, str], expected: Any) -> None:
    assert value_of(data, schema) == expected


def test_a_schema_that_holds_itself_ends_as_json() -> None:
    node = {"type": "object", "properties": {"name": {"type": "string"}, "next": {"$ref": "#/$defs/Node"}}}
    form = SchemaForm({"$ref": "#/$defs/Node", "$defs": {"Node": node}})
    assert any(name.endswith("next.next") for name in form.fields)


def test_what_agents_say_is_escaped() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "title": "<script>x</script>"}}}
    html = str(SchemaForm(schema, initial={"a": '"><script>y</script>'}).as_p())
    assert "<script" not in html
