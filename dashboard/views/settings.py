"""Settings: theme and password for everybody, API tokens, and for administrators the people."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth import password_validation, update_session_auth_hash
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from coordination.errors import BadRequest, GanglionError
from dashboard import accounts, audit, policy, tokens
from dashboard.language import keep, known
from dashboard.models import ApiToken
from dashboard.people import factors, preferences
from dashboard.people.models import SignIn
from dashboard.roles import ROLES, admin_required, allowed, everybodys_roles, role_of, viewer_required
from dashboard.views.frame import THEME_COOKIE, THEMES
from dashboard.views.posting import post_only

YEAR_S = 31_536_000


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _page(request: HttpRequest, **more: object) -> HttpResponse:
    user = _person(request)
    mine = ApiToken.objects.filter(user=user).order_by("revoked_at", "-created_at")
    people = []
    if allowed(user, "administer"):
        protected, held = factors.whose(), everybodys_roles()
        people = [
            {"user": person, "role": held.get(person.pk, ""), "has_factor": person.pk in protected}
            for person in accounts.users()
        ]
    context = {
        "once": secrets.token_urlsafe(12),
        "tokens": mine,
        "people": people,
        "roles": ROLES,
        "scopes": ApiToken.SCOPES,
        "role": role_of(user),
        "policy": policy.current(),
        "dangerous": policy.DANGEROUS,
        "confirm": not accounts.is_fresh(request),
    }
    response = render(request, "dashboard/settings.html", {**context, **more})
    response["Cache-Control"] = "no-store"
    return response


def _sent_before(request: HttpRequest) -> bool:
    """Whether this very form was sent already, as a reloaded page does; what it made cannot be shown again."""
    key = request.POST.get("once", "")
    known: list[str] = request.session.get("forms_sent", [])
    if key in known:
        return True
    request.session["forms_sent"] = [*known[-19:], key] if key else known
    return False


def _by_who_is_there(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Have the password given again first when the sign-in was a while ago; what was typed for a token is kept."""

    @wraps(view)
    def guarded(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        try:
            accounts.confirm(request)
        except BadRequest as error:
            typed = {f"token_{name}": request.POST.get(name, "") for name in ("name", "days")}
            return _page(request, confirm_fault=str(error), **typed)
        return view(request, **kwargs)

    return guarded


@require_GET
@viewer_required
def settings(request: HttpRequest) -> HttpResponse:
    """The settings page."""
    return _page(request)


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Choose light, dark, or as the system says."""
    response = _back(request)
    chosen = request.POST.get("theme", "")
    if chosen in THEMES:
        _keep(request, response, THEME_COOKIE, chosen)
    return response


@require_POST
def language(request: HttpRequest) -> HttpResponse:
    """Choose a language, or to follow the browser again: for all browsers of a person; strangers choose at the door."""
    response = _back(request)
    chosen = request.POST.get("language", "")
    if known(chosen) or not chosen:
        keep(request, response, chosen)
        if request.user.is_authenticated:
            preferences.choose_language(request, chosen)
    return response


def _back(request: HttpRequest) -> HttpResponse:
    """To the page that the form was on, only ever one of this console."""
    wanted = request.POST.get("next", "")
    return redirect(wanted if url_has_allowed_host_and_scheme(wanted, {request.get_host()}) else "/")


def _keep(request: HttpRequest, response: HttpResponse, name: str, value: str) -> None:
    response.set_cookie(name, value, max_age=YEAR_S, samesite="Lax", httponly=True, secure=request.is_secure())


@post_only("settings")
@viewer_required
@sensitive_post_parameters()
def password(request: HttpRequest) -> HttpResponse:
    """Set one's own password; whoever has one must know it."""
    user = _person(request)
    new = request.POST.get("new", "")
    if not user.has_usable_password():
        try:
            accounts.confirm(request)
        except BadRequest as error:
            return _page(request, confirm_fault=str(error))
    elif not user.check_password(request.POST.get("present", "")):
        return _page(request, password_faults=[_("Your present password is not right.")])
    if new != request.POST.get("again", ""):
        return _page(request, password_faults=[_("The two new passwords differ.")])
    try:
        password_validation.validate_password(new, user)
    except ValidationError as error:
        return _page(request, password_faults=error.messages)
    user.set_password(new)
    user.save(update_fields=["password"])
    key = request.session.session_key
    update_session_auth_hash(request, user)
    SignIn.objects.filter(session_key=key).update(session_key=request.session.session_key)
    audit.record(user, "user.password", ("user", str(user.pk)), request=request)
    messages.success(request, _("Your password is set. Other sessions of yours are signed out."))
    return redirect("settings")


@post_only("settings")
@viewer_required
@sensitive_post_parameters()
def confirm(request: HttpRequest) -> HttpResponse:
    """Give one's password again, for what gives lasting access."""
    try:
        accounts.confirm(request, request.POST.get("password", ""))
    except GanglionError as error:
        return _page(request, confirm_fault=str(error))
    messages.success(request, _("Confirmed for 15 minutes."))
    return redirect("settings")


@post_only("settings")
@viewer_required
@_by_who_is_there
def create_token(request: HttpRequest) -> HttpResponse:
    """Make an API token and show its text this once."""
    if _sent_before(request):
        return redirect("settings")
    days = request.POST.get("days", "").strip()
    typed = {"token_name": request.POST.get("name", ""), "token_days": days}
    if days and not (days.isdecimal() and len(days) < 5 and 0 < int(days) <= 3650):
        return _page(request, days_fault=_("1 to 3650; a token without a number does not expire."), **typed)
    try:
        token, raw = tokens.create(
            request.user,
            request.POST.get("name", ""),
            request.POST.get("scope", "read"),
            expires_in_days=int(days) if days else None,
            request=request,
        )
    except BadRequest as error:
        return _page(request, token_fault=str(error), **typed)
    return _page(request, new_token=token, new_token_text=raw)


@post_only("settings")
@viewer_required
def revoke_token(request: HttpRequest, token_id: int) -> HttpResponse:
    """End one of one's own tokens; administrators may end anybody's."""
    mine = (
        ApiToken.objects.all()
        if allowed(request.user, "administer")
        else ApiToken.objects.filter(user=_person(request))
    )
    token = get_object_or_404(mine, pk=token_id)
    tokens.revoke(token, request.user, request)
    messages.success(request, _("The token “%(token)s” no longer works.") % {"token": token.name})
    return redirect("settings")


@post_only("settings")
@admin_required
@_by_who_is_there
def create_person(request: HttpRequest) -> HttpResponse:
    """Add a person and show the link that lets them in once."""
    try:
        person = accounts.create_user(
            request.POST.get("username", ""), request.POST.get("role", "viewer"), request.user, request=request
        )
    except BadRequest as error:
        return _page(request, person_fault=str(error))
    return _page(request, link_for=person, link=_link(request, person))


@post_only("settings")
@admin_required
@_by_who_is_there
def change_person(request: HttpRequest, user_id: int) -> HttpResponse:
    """Change a person's role, keep them out or let them in, or make a login link."""
    person = get_object_or_404(User, pk=user_id)
    wanted = request.POST.get("do", "role")
    try:
        if wanted == "link":
            audit.record(request.user, "user.link", ("user", str(person.pk)), request=request)
            return _page(request, link_for=person, link=_link(request, person))
        if wanted in ("lock", "unlock"):
            accounts.set_active(person, wanted == "unlock", request.user, request)
        else:
            accounts.set_role(person, request.POST.get("role", ""), request.user, request)
    except BadRequest as error:
        return _page(request, person_fault=str(error))
    messages.success(request, _("%(who)s is changed.") % {"who": person.get_username()})
    return redirect("settings")


@post_only("settings")
@admin_required
@_by_who_is_there
def change_policy(request: HttpRequest) -> HttpResponse:
    """Set what needs a second person, and how long a decision can be undone."""
    numbers = {name: request.POST.get(name, "").strip() for name in ("bulk_limit", "undo_s", "approval_minutes")}
    try:
        if not all(text.isdecimal() and len(text) < 8 for text in numbers.values()):
            raise BadRequest(_("Give whole numbers."))
        values = {name: int(text) for name, text in numbers.items()}
        policy.change(request.user, four_eyes=request.POST.getlist("four_eyes"), request=request, **values)
    except BadRequest as error:
        return _page(request, policy_fault=str(error))
    messages.success(request, _("The rules for decisions are changed."))
    return redirect("settings")


def _link(request: HttpRequest, person: User) -> str:
    return accounts.make_login_link(person, request.build_absolute_uri("/"))
