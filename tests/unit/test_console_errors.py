"""Pages for what went wrong say what happened and what to do, with the right status."""

from __future__ import annotations

import pytest
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404, HttpRequest
from django.test import RequestFactory

from coordination.errors import ServerUnavailable
from dashboard.views import errors


@pytest.fixture
def request_(rf: RequestFactory) -> HttpRequest:
    return rf.get("/workflows/")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OperationalError("database is locked"), "The database is busy or away"),
        (ServerUnavailable("The Redis server does not answer."), "The Redis server does not answer."),
    ],
)
def test_what_is_away_is_named_and_may_be_tried_again(request_: HttpRequest, error: Exception, words: str) -> None:
    answer = errors.SayWhatIsAway(lambda request: errors.failed(request)).process_exception(request_, error)
    assert answer is not None
    assert answer.status_code == 503
    assert answer["Retry-After"]
    assert words in answer.content.decode()


def test_a_bug_is_not_taken_for_an_outage(request_: HttpRequest) -> None:
    assert (
        errors.SayWhatIsAway(lambda request: errors.failed(request)).process_exception(request_, KeyError("x")) is None
    )


@pytest.mark.parametrize(
    ("view", "error", "status", "words"),
    [
        ("forbidden", PermissionDenied("This needs the role operator."), 403, "This needs the role operator."),
        ("not_found", Http404("There is no workflow &lt;x&gt;."), 404, "There is no workflow"),
        ("not_found", Http404({"tried": []}), 404, "nothing at this address"),
        ("bad_request", None, 400, "cannot be understood"),
    ],
)
def test_pages_of_errors(request_: HttpRequest, view: str, error: Exception | None, status: int, words: str) -> None:
    answer = getattr(errors, view)(request_, error)
    assert answer.status_code == status
    assert words in answer.content.decode()


def test_what_was_asked_for_is_escaped(request_: HttpRequest) -> None:
    answer = errors.not_found(request_, Http404("There is no workflow '<script>x</script>'."))
    assert "<script>x" not in answer.content.decode()
