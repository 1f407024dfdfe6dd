"""The OpenAPI description, with the errors that every operation may answer."""

from __future__ import annotations

from typing import Any

from ninja import NinjaAPI

METHODS = ("get", "post", "put", "patch", "delete")

_ERROR: dict[str, Any] = {
    "title": "Error",
    "type": "object",
    "required": ["code", "message"],
    "additionalProperties": True,
    "properties": {
        "code": {"type": "string", "description": "For programs; it never changes its meaning."},
        "message": {"type": "string", "description": "What happened, to what, and what to do."},
        "fields": {
            "type": "object",
            "additionalProperties": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]},
        },
        "retry_after_s": {"type": "number"},
    },
}
_WORDS = {
    "400": "The request cannot be understood.",
    "401": "No valid token or session.",
    "403": "The role or the token's scope does not allow it, or the login is too old.",
    "404": "There is no such object.",
    "409": "It has changed meanwhile, or has ended.",
    "410": "It was there and is gone.",
    "413": "The payload is too large.",
    "422": "The request does not have the described shape, or names what does not exist.",
    "429": "Too many calls, or admission is closed; Retry-After says when to try again.",
    "503": "Redis or the database does not answer; Retry-After says when to try again.",
}
_ALWAYS = ("400", "401", "403", "422", "429", "503")
_OF_WRITES = ("409", "410", "413")


def description(api: NinjaAPI) -> dict[str, Any]:
    """The API in OpenAPI 3.1."""
    schema: dict[str, Any] = api.get_openapi_schema(path_prefix="/api/")
    schema.setdefault("components", {}).setdefault("schemas", {})["Error"] = _ERROR
    for address, operations in schema["paths"].items():
        for method in METHODS:
            if operation := operations.get(method):
                statuses = [*_ALWAYS, *(_OF_WRITES if method != "get" else ()), *(("404",) if "{" in address else ())]
                for status in sorted(statuses):
                    operation["responses"].setdefault(status, _refusal(status))
    return schema


def _refusal(status: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {"description": _WORDS[status], "content": content}
