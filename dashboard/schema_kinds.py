"""What a part of a JSON Schema asks for, in the few kinds that a form can show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

_SCALARS = {"string": "text", "integer": "integer", "number": "number", "boolean": "boolean"}


@dataclass(frozen=True)
class Kind:
    """A schema with its references followed and its null taken apart."""

    name: str  # text | integer | number | boolean | date | choice | object | array | json
    schema: Mapping[str, Any]
    nullable: bool = False
    options: tuple[Any, ...] = ()

    @property
    def hint(self) -> str:
        """The schema's description, with its limits in words."""
        parts = [str(self.schema.get("description", ""))]
        low, high = self.schema.get("minimum"), self.schema.get("maximum")
        if low is not None and high is not None:
            parts.append(_("From %(low)s to %(high)s.") % {"low": low, "high": high})
        elif low is not None:
            parts.append(_("At least %(low)s.") % {"low": low})
        elif high is not None:
            parts.append(_("At most %(high)s.") % {"high": high})
        if self.name == "json":
            parts.append(_("As JSON."))
        if self.schema.get("format") == "date-time":
            parts.append(_("As 2026-11-21T14:00:00Z."))
        return " ".join(part for part in parts if part)


def follow(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema behind local references; a reference that leads nowhere allows everything."""
    seen = 0
    while isinstance(schema, Mapping) and "$ref" in schema and seen < 20:
        target: Any = root
        for part in str(schema["$ref"]).removeprefix("#/").split("/"):
            target = target.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(target, Mapping) else None
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**target, **beside} if isinstance(target, Mapping) else beside
        seen += 1
    return schema if isinstance(schema, Mapping) else {}


def classify(schema: Any, root: Mapping[str, Any]) -> Kind:
    """The kind of field, group or rows that a schema asks for."""
    found = follow(schema, root)
    nullable = False
    for union in ("anyOf", "oneOf"):
        if union in found:
            members = [follow(member, root) for member in found[union]]
            rest = [member for member in members if member.get("type") != "null"]
            nullable = len(rest) < len(members)
            if len(rest) != 1:
                return _constants(rest, found, nullable)
            beside = {key: value for key, value in found.items() if key != union}
            found = {**follow(rest[0], root), **beside}
    types = found.get("type")
    if isinstance(types, list):
        rest_types = [one for one in types if one != "null"]
        nullable = nullable or len(rest_types) < len(types)
        found = {**found, "type": rest_types[0] if len(rest_types) == 1 else None}
    return _plain(found, nullable)


def _constants(members: list[Mapping[str, Any]], found: Mapping[str, Any], nullable: bool) -> Kind:
    """A union of constants is a choice; any other union is left to JSON text."""
    options: list[Any] = []
    for member in members:
        if "const" in member:
            options.append(member["const"])
        elif "enum" in member:
            options.extend(member["enum"])
        else:
            return Kind("json", found, nullable)
    return Kind("choice", found, nullable, tuple(options)) if options else Kind("json", found, nullable)


def _plain(found: Mapping[str, Any], nullable: bool) -> Kind:
    if "const" in found:
        return Kind("choice", found, nullable, (found["const"],))
    if "enum" in found:
        options = tuple(one for one in found["enum"] if one is not None)
        return Kind("choice", found, nullable or None in found["enum"], options)
    kind = found.get("type")
    if kind == "object" and found.get("properties"):
        return Kind("object", found, nullable)
    if kind == "array" and isinstance(found.get("items"), Mapping):
        return Kind("array", found, nullable)
    if kind == "string" and found.get("format") == "date":
        return Kind("date", found, nullable)
    if kind in _SCALARS:
        return Kind(_SCALARS[kind], found, nullable)
    return Kind("json", found, nullable)


def label_of(schema: Any, name: str) -> str:
    """A field's label: its title when the schema gives one of its own, else its name as words."""
    title = schema.get("title") if isinstance(schema, Mapping) and "$ref" not in schema else None
    said = str(title or name.replace("_", " "))
    return said[:1].upper() + said[1:]
