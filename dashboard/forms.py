"""Forms from a JSON Schema: the subset that msgspec writes, nested as deep as it goes, without JavaScript.

A schema becomes a flat Django form whose field names are dotted paths (``value.parties.0.name``) and a tree of
nodes that a template walks. What the subset does not cover becomes a field for JSON text. Parts of a group that
are ``readOnly`` are not offered and stay as they were given, unless nothing was given that is needed. The result
is validated again against the schema by whoever takes the decision, so a form can never let too much through.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from django import forms
from django.utils.translation import gettext as _

from dashboard.schema_kinds import Kind, classify, label_of

SPARE_ROWS = 2
MAX_ROWS = 200
MAX_DEPTH = 6
MISSING: Any = object()


@dataclass
class Node:
    """A place in the form: a field, a group of places, or rows of them."""

    path: str
    label: str
    kind: str  # field | group | rows
    hint: str = ""
    required: bool = False
    children: list[Node] = field(default_factory=list)
    bound: forms.BoundField | None = None
    count_name: str = ""  # rows: the hidden field with their number
    is_item: bool = False  # one of the rows
    listed: bool = False  # the schema requires it, even if only as null


class JsonField(forms.CharField):
    """Any JSON, typed as text."""

    widget = forms.Textarea(attrs={"class": "mono", "rows": 6, "spellcheck": "false"})

    def clean(self, value: Any) -> Any:
        """The value that the text stands for.

        Raises:
            ValidationError: The text is no JSON; the message says where it stops being any.
        """
        text = super().clean(value).strip()
        if not text:
            return MISSING
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise forms.ValidationError(_("This is no JSON: %(error)s.") % {"error": error}) from None


class SchemaForm(forms.Form):
    """A form made from a schema; ``value()`` is what was filled in, shaped as the schema says."""

    def __init__(
        self,
        schema: Mapping[str, Any] | None,
        *,
        name: str = "value",
        initial: Any = MISSING,
        data: Mapping[str, Any] | None = None,
        more_rows: str = "",
    ) -> None:
        super().__init__(data=data)
        self.root_schema: Mapping[str, Any] = schema or {}
        self.name, self.more_rows = name, more_rows
        self._kinds: dict[str, Kind] = {}
        self._kept: dict[str, dict[str, Any]] = {}  # read-only parts of groups, as they were given
        self.tree = self._build(name, label_of(self.root_schema, _("Value")), self.root_schema, initial, True, 0)

    # --- building -----------------------------------------------------------------

    def _build(self, path: str, label: str, schema: Any, start: Any, required: bool, depth: int) -> Node:
        kind = classify(schema, self.root_schema)
        if depth > MAX_DEPTH and kind.name in ("object", "array"):
            kind = Kind("json", kind.schema, kind.nullable)
        if start is MISSING:
            start = kind.schema.get("default", MISSING)
        self._kinds[path] = kind
        if kind.name == "object":
            return self._group(path, label, kind, start, required, depth)
        if kind.name == "array":
            return self._rows(path, label, kind, start, required, depth)
        must = required and not kind.nullable
        made = self._field(kind, must, start)
        made.label, made.help_text = label, kind.hint
        self.fields[path] = made
        bound = self[path]
        listed = required or start == ""  # what was given as an empty text stays one
        return Node(path, label, "field", kind.hint, must and kind.name != "boolean", bound=bound, listed=listed)

    def _group(self, path: str, label: str, kind: Kind, start: Any, required: bool, depth: int) -> Node:
        needed = set(kind.schema.get("required", ()))
        node = Node(path, label, "group", kind.hint, required)
        known = start if isinstance(start, Mapping) else {}
        whole = required and not kind.nullable
        for key, part in kind.schema.get("properties", {}).items():
            if isinstance(part, Mapping) and part.get("readOnly") and (key in known or key not in needed):
                if key in known:
                    self._kept.setdefault(path, {})[key] = known[key]
                continue
            child = self._build(
                f"{path}.{key}", label_of(part, key), part, known.get(key, MISSING), whole and key in needed, depth + 1
            )
            node.children.append(child)
        return node

    def _rows(self, path: str, label: str, kind: Kind, start: Any, required: bool, depth: int) -> Node:
        known = list(start) if isinstance(start, list | tuple) else []
        count = len(known) + SPARE_ROWS
        if self.is_bound:
            sent = str(self.data.get(f"{path}.rows", ""))
            count = int(sent) if sent.isdecimal() else count
            if self.more_rows == path:
                count += SPARE_ROWS
        count = min(count, MAX_ROWS)
        node = Node(path, label, "rows", kind.hint, required, count_name=f"{path}.rows")
        items = kind.schema.get("items") or {}
        for index in range(count):
            begin = known[index] if index < len(known) else MISSING
            child = self._build(f"{path}.{index}", f"{label} {index + 1}", items, begin, False, depth + 1)
            child.is_item = True
            node.children.append(child)
        self.fields[node.count_name] = forms.IntegerField(
            widget=forms.HiddenInput, initial=count, required=False, min_value=0, max_value=MAX_ROWS
        )
        if self.more_rows == path and isinstance(self.data, dict):
            self.data[node.count_name] = str(count)
        node.bound = self[node.count_name]
        return node

    def _field(self, kind: Kind, required: bool, start: Any) -> forms.Field:
        schema = kind.schema
        given = None if start is MISSING else start
        if kind.name == "json":
            text = "" if start is MISSING else msgspec.json.format(msgspec.json.encode(start), indent=2).decode()
            return JsonField(required=required, initial=text)
        if kind.name == "choice":
            blank = [] if required and given is not None else [("", _("Choose …") if required else "–")]
            options = [(str(one), "none" if one is None else str(one).replace("_", " ")) for one in kind.options]
            return forms.ChoiceField(
                choices=blank + options, required=required, initial="" if given is None else str(given)
            )
        if kind.name == "boolean":
            if kind.nullable:
                options = [("", "–"), ("true", "yes"), ("false", "no")]
                shown = "" if given is None else ("true" if given else "false")
                return forms.ChoiceField(choices=options, required=False, initial=shown)
            return forms.BooleanField(required=False, initial=bool(given))
        limits: dict[str, Any] = {"min_value": schema.get("minimum"), "max_value": schema.get("maximum")}
        if kind.name == "integer":
            return forms.IntegerField(required=required, initial=given, **limits)
        if kind.name == "number":
            made = forms.FloatField(required=required, initial=given, **limits)
            made.widget.attrs["step"] = "any"
            return made
        if kind.name == "date":
            return forms.DateField(
                required=required, initial=given, widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})
            )
        long = (isinstance(given, str) and (len(given) > 90 or "\n" in given)) or schema.get("maxLength", 0) > 200
        widget = forms.Textarea(attrs={"rows": 4}) if long else forms.TextInput()
        return forms.CharField(
            required=required and schema.get("minLength", 1) > 0, initial=given, strip=False, widget=widget,
            min_length=schema.get("minLength"), max_length=schema.get("maxLength"),
        )  # fmt: skip

    # --- reading ------------------------------------------------------------------

    def value(self) -> Any:
        """What was filled in; call it only when the form is valid. Empty optional parts are left out."""
        made = self._read(self.tree)
        return None if made is MISSING else made

    def _read(self, node: Node) -> Any:
        kind = self._kinds[node.path]
        if node.kind == "rows":
            rows = [made for child in node.children if (made := self._read(child)) is not MISSING]
            return rows if rows or node.required or not kind.nullable else MISSING
        if node.kind == "group":
            found = {child.path.rpartition(".")[2]: self._read(child) for child in node.children}
            filled = {key: part for key, part in found.items() if part is not MISSING}
            telling = any(not self._is_default(child, filled) for child in node.children)
            if not telling and not node.required:
                return MISSING
            return {**filled, **self._kept.get(node.path, {})}
        raw = self.cleaned_data.get(node.path)
        return self._leaf(kind, raw, node.listed)

    def _is_default(self, child: Node, filled: Mapping[str, Any]) -> bool:
        """Whether a part of an optional group says nothing: left out, an empty list, an unticked box."""
        part = filled.get(child.path.rpartition(".")[2], MISSING)
        return part is MISSING or part == [] or part is False

    def _leaf(self, kind: Kind, raw: Any, listed: bool) -> Any:
        nothing = None if kind.nullable and listed else MISSING
        if kind.name == "json":
            return MISSING if raw is None else raw
        if kind.name == "boolean":
            if not kind.nullable:
                return bool(raw)
            return {"true": True, "false": False}.get(raw, nothing)
        if kind.name == "choice":
            return next((one for one in kind.options if str(one) == raw), nothing)
        if raw is None or raw == "":
            return "" if kind.name == "text" and listed and not kind.nullable else nothing
        if isinstance(raw, dt.date):
            return raw.isoformat()
        return raw

    def place_errors(self, found: Mapping[str, list[str]]) -> list[str]:
        """Put a validator's messages (dotted path → messages) at their fields; returns those without a field."""
        left: list[str] = []
        for path, said in found.items():
            name = f"{self.name}.{path}" if path else self.name
            if name in self.fields:
                for message in said:
                    self.add_error(name, message)
            else:
                left.extend(f"{path}: {message}" if path else message for message in said)
        return left
