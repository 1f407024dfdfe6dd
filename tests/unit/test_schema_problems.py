"""What people type is checked field by field, in words."""

from __future__ import annotations

import msgspec

from dashboard.schemas import problems


class Party(msgspec.Struct):
    """A nested shape."""

    name: str
    share: float | None = None


class Facts(msgspec.Struct):
    """A shape with everything that forms offer."""

    title: str
    parties: list[Party]
    pages: int = 1


SCHEMA = msgspec.json.schema(Facts)


def test_a_value_that_fits_has_none() -> None:
    assert problems({"title": "t", "parties": [{"name": "n", "share": 0.5}]}, SCHEMA) == {}
    assert problems({"anything": 1}, None) == {}


def test_each_problem_is_at_its_field() -> None:
    found = problems({"parties": [{"share": "half"}], "pages": "two"}, SCHEMA)
    assert found["title"] == ["This field is required."]
    assert found["parties.0.name"] == ["This field is required."]
    assert found["pages"] == ["Enter a whole number."]
    assert "parties.0.share" in found


def test_a_broken_schema_is_told_and_does_not_crash() -> None:
    assert "schema itself" in problems({}, {"type": "no such type"})[""][0]
