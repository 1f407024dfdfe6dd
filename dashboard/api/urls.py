"""Routes of the API: operations, ``openapi.json`` and a page about them."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import URLPattern, include, path
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI

from dashboard.api import approvals, bulk, errors, escalations, fleet, rest, steering, workflows
from dashboard.api.described import METHODS, description
from dashboard.roles import viewer_required

api = NinjaAPI(
    title="Ganglion",
    version="1",
    description=(
        "Submit workflows, watch them, decide escalations. Send `Authorization: Bearer gang_…`; tokens are made in the"
        " console under Settings. Errors are `{code, message, fields?, retry_after_s?}`."
    ),
    urls_namespace="api",
    docs_url=None,
    openapi_url=None,
)
errors.install(api)
for part in (
    workflows.router, steering.router, escalations.router, approvals.router, bulk.router, fleet.router, rest.router,
):  # fmt: skip
    api.add_router("", part)


def openapi(request: HttpRequest) -> HttpResponse:
    """The OpenAPI 3.1 description."""
    return JsonResponse(description(api))


@viewer_required
def docs(request: HttpRequest) -> HttpResponse:
    """The description as a page, rendered here: it needs no script."""
    schema = description(api)
    sections: dict[str, list[dict[str, Any]]] = {}
    for address, operations in schema["paths"].items():
        for method in METHODS:
            if operation := operations.get(method):
                shown = {
                    **operation,
                    "method": method.upper(),
                    "path": address,
                    "fields": _fields(operation, schema),
                    "statuses": sorted(str(status) for status in operation.get("responses", {})),
                }
                sections.setdefault(operation.get("tags", ["other"])[0], []).append(shown)
    context: dict[str, Any] = {"sections": sections, "about": schema["info"], "version": schema["openapi"]}
    context["operations"] = sum(len(section) for section in sections.values())
    return render(request, "dashboard/api_docs.html", context)


def _fields(operation: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """What an operation takes, in words: parts of its path, its query and its body."""
    taken = [
        {
            "name": parameter["name"],
            "place": parameter["in"],
            "kind": _kind(parameter.get("schema", {})),
            "required": parameter.get("required", False),
            "words": parameter.get("description") or parameter.get("schema", {}).get("description", ""),
        }
        for parameter in operation.get("parameters", [])
    ]
    content = operation.get("requestBody", {}).get("content", {})
    declared: dict[str, Any] = next(iter(content.values()), {"schema": {}})["schema"]
    for option in declared.get("anyOf", []):
        declared = option if "$ref" in option else declared
    name = declared.get("$ref", "").rpartition("/")[2]
    declared = schema.get("components", {}).get("schemas", {}).get(name, declared)
    required = declared.get("required", [])
    return taken + [
        {
            "name": field,
            "place": "body",
            "kind": _kind(details),
            "required": field in required,
            "words": details.get("description", ""),
        }
        for field, details in declared.get("properties", {}).items()
    ]


def _kind(details: dict[str, Any]) -> str:
    options = [option.get("type", "") for option in details.get("anyOf", [details])]
    return " or ".join(option for option in options if option and option != "null") or "any JSON"


def nothing(request: HttpRequest, rest: str = "") -> HttpResponse:
    """What does not exist is told as every other error."""
    return api.on_exception(request, errors.NothingHere())


def _plain(pattern: URLPattern) -> URLPattern:
    """Let what Django Ninja itself refuses look as every other error; no address holds a NUL."""
    view = pattern.callback

    @csrf_exempt
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if "\x00" in request.path:
            return nothing(request)
        response: HttpResponseBase = view(request, *args, **kwargs)
        if response.status_code == 405:
            answer = api.on_exception(request, errors.MethodRefused())
            answer["Allow"] = response.headers.get("Allow", "")
            return answer
        response["Cache-Control"] = "no-store"
        return response

    pattern.callback = checked
    return pattern


operations, _, namespace = api.urls
urlpatterns = [
    path("openapi.json", openapi, name="openapi"),
    path("docs", docs, name="api-docs"),
    path(
        "",
        include(
            ([_plain(pattern) for pattern in operations if isinstance(pattern, URLPattern)], "ninja"),
            namespace=namespace,
        ),
    ),
    path("<path:rest>", csrf_exempt(nothing)),
]
