"""Checks values that people type against the JSON Schemas of steps, and says what is wrong field by field."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing.exceptions import Unresolvable


def problems(value: Any, schema: dict[str, Any] | None) -> dict[str, list[str]]:
    """What is wrong with a value: dotted path of the field to messages; ``""`` is the value as a whole."""
    if not schema:
        return {}
    found: dict[str, list[str]] = {}
    try:
        Draft202012Validator.check_schema(schema)
        for error in sorted(Draft202012Validator(schema).iter_errors(value), key=lambda e: [str(p) for p in e.path]):
            path, text = _in_words(error)
            found.setdefault(path, []).append(text)
    except (SchemaError, Unresolvable) as error:
        first = str(error).partition("\n")[0]
        found.setdefault("", []).append(f"The agent's schema itself is wrong: {first}")
    return found


def _in_words(error: ValidationError) -> tuple[str, str]:
    path = [str(part) for part in error.absolute_path]
    wanted: Any = error.validator_value
    match error.validator:
        case "required":
            missing = next((name for name in wanted if name not in _names(error.instance)), "")
            return ".".join([*path, missing]), "This field is required."
        case "type":
            kinds = [wanted] if isinstance(wanted, str) else list(wanted)
            text = f"Enter {' or '.join(_KINDS.get(kind, kind) for kind in kinds)}."
        case "enum":
            text = f"Choose one of: {', '.join(str(item) for item in wanted)}."
        case "minLength":
            text = "This field must not be empty." if wanted == 1 else f"Enter at least {wanted} characters."
        case "maxLength":
            text = f"Enter at most {wanted} characters."
        case "minimum":
            text = f"Enter a number of at least {wanted}."
        case "maximum":
            text = f"Enter a number of at most {wanted}."
        case "pattern":
            text = f"This does not have the form {wanted}."
        case "minItems":
            text = f"Give at least {wanted}."
        case "anyOf" | "oneOf":
            text = "This fits none of the allowed forms."
        case _:
            text = f"{error.message[:300]}."
    return ".".join(path), text


def _names(value: Any) -> list[str]:
    return list(value) if isinstance(value, dict) else []


_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "yes or no",
    "array": "a list",
    "object": "a group of fields",
    "null": "nothing",
}
