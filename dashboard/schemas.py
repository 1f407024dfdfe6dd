"""Checks values that people type against the JSON Schemas of steps, and says what is wrong field by field."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

_NOTHING_ELSE: Registry[Any] = Registry()  # a schema refers to itself only: agents send them, and nothing is fetched


def problems(value: Any, schema: dict[str, Any] | None) -> dict[str, list[str]]:
    """What is wrong with a value: dotted path of the field to messages; ``""`` is the value as a whole."""
    if not schema:
        return {}
    found: dict[str, list[str]] = {}
    try:
        Draft202012Validator.check_schema(schema)
        for error in sorted(
            Draft202012Validator(schema, registry=_NOTHING_ELSE).iter_errors(value),
            key=lambda e: [str(p) for p in e.path],
        ):
            path, text = _in_words(error)
            found.setdefault(path, []).append(text)
    except (SchemaError, Unresolvable) as error:
        first = str(error).partition("\n")[0]
        found.setdefault("", []).append(_("The agent's schema itself is wrong: %(first)s") % {"first": first})
    return found


def _in_words(error: ValidationError) -> tuple[str, str]:
    path = [str(part) for part in error.absolute_path]
    wanted: Any = error.validator_value
    match error.validator:
        case "required":
            missing = next((name for name in wanted if name not in _names(error.instance)), "")
            return ".".join([*path, missing]), _("This field is required.")
        case "type":
            kinds = [wanted] if isinstance(wanted, str) else list(wanted)
            text = _("Enter %(names)s.") % {"names": _(" or ").join(_(_KINDS.get(kind, kind)) for kind in kinds)}
        case "enum":
            text = _("Choose one of: %(names)s.") % {"names": ", ".join(str(item) for item in wanted)}
        case "minLength":
            text = (
                _("This field must not be empty.")
                if wanted == 1
                else (_("Enter at least %(wanted)s characters.") % {"wanted": wanted})
            )
        case "maxLength":
            text = _("Enter at most %(wanted)s characters.") % {"wanted": wanted}
        case "minimum":
            text = _("Enter a number of at least %(wanted)s.") % {"wanted": wanted}
        case "maximum":
            text = _("Enter a number of at most %(wanted)s.") % {"wanted": wanted}
        case "pattern":
            text = _("This does not have the form %(wanted)s.") % {"wanted": wanted}
        case "minItems":
            text = _("Give at least %(wanted)s.") % {"wanted": wanted}
        case "anyOf" | "oneOf":
            text = _("This fits none of the allowed forms.")
        case _:
            text = f"{error.message[:300]}."
    return ".".join(path), text


def _names(value: Any) -> list[str]:
    return list(value) if isinstance(value, dict) else []


_KINDS = {
    "string": gettext_noop("text"),
    "integer": gettext_noop("a whole number"),
    "number": gettext_noop("a number"),
    "boolean": gettext_noop("yes or no"),
    "array": gettext_noop("a list"),
    "object": gettext_noop("a group of fields"),
    "null": gettext_noop("nothing"),
}
