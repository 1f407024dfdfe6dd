"""Errors as JSON, all of one shape: ``{code, message, fields?, retry_after_s?}``; never a traceback."""

from __future__ import annotations

import logging
import math
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import DatabaseError, InterfaceError
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from coordination.config import current
from coordination.errors import GanglionError

logger = logging.getLogger(__name__)

STATUS = {
    "result_pending": 202,
    "forbidden": 403,
    "confirmation_needed": 403,
    "workflow_not_found": 404,
    "escalation_not_found": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "decision_conflict": 409,
    "workflow_finished": 409,
    "selection_changed": 409,
    "gone": 410,
    "payload_too_large": 413,
    "unknown_workflow_type": 422,
    "invalid_payload": 422,
    "invalid_decision": 422,
    "document_refused": 422,
    "too_many_items": 422,
    "admission_refused": 429,
    "too_many_calls": 429,
    "login_refused": 429,
    "server_unavailable": 503,
    "outcome_unknown": 503,
    "write_refused": 503,
    "try_again": 503,
    "bad_request": 400,
    "bad_setting": 400,
}


class MethodRefused(GanglionError):
    """This address does not take this method. See /api/docs."""

    code = "method_not_allowed"


class NothingHere(GanglionError):
    """There is nothing at this address. See /api/docs."""

    code = "not_found"


def install(api: NinjaAPI) -> None:
    """Make every error of an API leave it in one shape."""

    def answer(request: HttpRequest, status: int, code: str, message: str, **more: Any) -> HttpResponse:
        body = {"code": code, "message": message, **{name: value for name, value in more.items() if value is not None}}
        response = api.create_response(request, body, status=status)
        if (retry_after_s := more.get("retry_after_s")) is not None:
            response["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
        if status == 401:
            response["WWW-Authenticate"] = "Bearer"
        return response

    @api.exception_handler(GanglionError)
    def ours(request: HttpRequest, error: GanglionError | type[GanglionError]) -> HttpResponse:
        assert isinstance(error, GanglionError)
        retry_after_s = getattr(error, "retry_after_s", None)
        fields = getattr(error, "fields", None) or None
        status = STATUS.get(error.code, 400)
        return answer(request, status, error.code, str(error), fields=fields, retry_after_s=retry_after_s)

    @api.exception_handler(ValidationError)
    def invalid(request: HttpRequest, error: ValidationError | type[ValidationError]) -> HttpResponse:
        assert isinstance(error, ValidationError)
        fields: dict[str, list[str]] = {}
        for item in error.errors:
            place = [str(part) for part in item["loc"]]
            path = ".".join(place[2:] if place[:1] == ["body"] else place[1:])
            fields.setdefault(path, []).append(str(item["msg"]))
        first = next(iter(fields.items()), ("", ["The request has the wrong shape."]))
        message = f"{first[0]}: {first[1][0]}" if first[0] else first[1][0]
        return answer(request, 422, "invalid_request", message, fields=fields)

    @api.exception_handler(AuthenticationError)
    def stranger(request: HttpRequest, error: Any) -> HttpResponse:
        message = "Send a valid token: Authorization: Bearer gang_… (make one in the console under Settings)."
        return answer(request, 401, "unauthenticated", message)

    @api.exception_handler(PermissionDenied)
    def refused(request: HttpRequest, error: Any) -> HttpResponse:
        return answer(request, 403, "forbidden", str(error) or "You may not do this.")

    @api.exception_handler(Http404)
    def missing(request: HttpRequest, error: Any) -> HttpResponse:
        return answer(request, 404, "not_found", str(error) or "There is nothing at this address.")

    @api.exception_handler(HttpError)
    def refused_early(request: HttpRequest, error: HttpError | type[HttpError]) -> HttpResponse:
        assert isinstance(error, HttpError)
        return answer(request, error.status_code, "bad_request", str(error))

    @api.exception_handler(RequestDataTooBig)
    def too_big(request: HttpRequest, error: Any) -> HttpResponse:
        limit = current().payload_bytes
        message = f"Payloads may have {limit:,} bytes at most. Store a document and pass its reference."
        return answer(request, 413, "payload_too_large", message)

    @api.exception_handler(RecursionError)
    def too_deep(request: HttpRequest, error: Any) -> HttpResponse:
        return answer(
            request, 422, "nested_too_deeply", "This is nested too deeply. Use fewer levels of lists and tables."
        )

    @api.exception_handler(DatabaseError)
    def database(request: HttpRequest, error: Any) -> HttpResponse:
        logger.warning("the database refused a call of the API: %s", error)
        message = "The database does not answer. Try again shortly."
        return answer(request, 503, "database_unavailable", message, retry_after_s=2.0)

    api.add_exception_handler(InterfaceError, database)

    @api.exception_handler(Exception)
    def unexpected(request: HttpRequest, error: Any) -> HttpResponse:
        logger.exception("a call of the API failed: %s %s", request.method, request.path, exc_info=error)
        return answer(request, 500, "internal_error", "Something went wrong here. The server's log says what.")
