"""Conditions on many values as one parameter: one statement, prepared once, serves any number of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.db import connection


def one_of(column: str, values: Iterable[str]) -> tuple[str, Any]:
    """A condition that a column holds one of the values, and its parameter."""
    if connection.vendor == "sqlite":
        return f"{column} IN (SELECT value FROM json_each(%s))", json.dumps(list(values))  # noqa: S608 our names
    return f"{column} = ANY(%s)", list(values)


def select(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """All rows of a statement."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())
