"""One's own profile, and the door for those with a second factor or a passkey."""

from __future__ import annotations

import time
from typing import Any

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from coordination.errors import BadRequest
from dashboard import accounts, audit
from dashboard.api import limits
from dashboard.people import factors, sessions
from dashboard.people.models import SignIn
from dashboard.roles import admin_required, role_of, viewer_required
from dashboard.views.frame import theme_of
from dashboard.views.posting import post_only

BACKEND = "django.contrib.auth.backends.ModelBackend"
_WAITING = "second_factor"
_WAIT_S = 600
CHALLENGES_PER_MINUTE = 60  # for passkeys, from one address


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


# --- the profile ------------------------------------------------------------------------


def _page(request: HttpRequest, **more: Any) -> HttpResponse:
    user = _person(request)
    context = {
        "factors": factors.of(user),
        "sessions": sessions.living(user),
        "session_key": request.session.session_key,
        "role": role_of(user),
        "passkeys_work": factors.passkeys_work(request),
        "fresh": accounts.is_fresh(request),
        **more,
    }
    response = render(request, "dashboard/profile.html", context)
    response["Cache-Control"] = "no-store"
    return response


@require_GET
@viewer_required
def profile(request: HttpRequest) -> HttpResponse:
    """The page."""
    return _page(request)


@post_only("profile")
@viewer_required
@sensitive_post_parameters()
def app(request: HttpRequest) -> HttpResponse:
    """Begin with an app that shows codes, or prove that it is set up."""
    try:
        accounts.confirm(request, request.POST.get("password", ""))
        if "code" not in request.POST:
            secret, picture = factors.begin_app(request)
            return _page(request, app_secret=secret, app_picture=picture)
        codes = factors.prove_app(request, request.POST["code"])
    except BadRequest as error:
        return _page(request, fault=str(error), confirm_for="app")
    return _page(request, recovery_codes=codes, said=_("From now on you sign in with a code of your app."))


@require_POST
@viewer_required
def passkey_options(request: HttpRequest) -> HttpResponse:
    """What the browser needs to make a passkey."""
    try:
        accounts.confirm(request, request.POST.get("password", ""))
    except BadRequest as error:
        return JsonResponse({"message": str(error)}, status=403)
    return JsonResponse(factors.begin_passkey(request))


@post_only("profile")
@viewer_required
def passkey(request: HttpRequest) -> HttpResponse:
    """Keep a passkey that the browser has made."""
    try:
        accounts.confirm(request)
        codes = factors.prove_passkey(request, request.POST.get("name", ""), request.POST.get("credential", ""))
    except BadRequest as error:
        return _page(request, fault=str(error))
    return _page(request, recovery_codes=codes, said=_("The passkey is yours: you can sign in with it."))


@post_only("profile")
@viewer_required
def change(request: HttpRequest) -> HttpResponse:
    """Take a factor away, or make new recovery codes."""
    try:
        accounts.confirm(request, request.POST.get("password", ""))
    except BadRequest as error:
        return _page(request, fault=str(error))
    if request.POST.get("do") == "recovery":
        return _page(request, recovery_codes=factors.new_recovery(request))
    factor = request.POST.get("factor", "")
    if factor.isdecimal():
        factors.remove(request, int(factor))
    return redirect("profile")


@post_only("profile")
@viewer_required
def sign_out_there(request: HttpRequest, sign_in_id: int) -> HttpResponse:
    """End one of one's own sessions."""
    row = get_object_or_404(SignIn, pk=sign_in_id, user=_person(request))
    sessions.end(row, request.user, request)
    messages.success(request, _("%(browser)s is signed out.") % {"browser": row.browser_said})
    return redirect("profile")


@post_only("settings")
@admin_required
def reset(request: HttpRequest, user_id: int) -> HttpResponse:
    """Take all factors from somebody who has lost them."""
    person = get_object_or_404(User, pk=user_id)
    try:
        accounts.confirm(request, request.POST.get("password", ""))
    except BadRequest as error:
        messages.error(request, str(error))
        return redirect("settings")
    factors.remove_all(person, request.user, request)
    messages.success(
        request,
        _("%(who)s signs in without a second factor until there is a new one.") % {"who": person.get_username()},
    )
    return redirect("settings")


# --- the door ---------------------------------------------------------------------------------


def enter(request: HttpRequest, user: User, onward: str) -> HttpResponse:
    """Let somebody in whose password or link was right; who has a second factor is asked for it first."""
    if not factors.needed(user):
        login(request, user, BACKEND)
        return redirect(onward)
    request.session.cycle_key()
    request.session[_WAITING] = {"user": user.pk, "at": int(time.time()), "onward": onward}
    return redirect("login-second")


def _waiting(request: HttpRequest) -> tuple[User, str] | None:
    waiting = request.session.get(_WAITING)
    if not isinstance(waiting, dict) or time.time() - waiting["at"] > _WAIT_S:
        return None
    user = User.objects.filter(pk=waiting["user"], is_active=True).first()
    return (user, str(waiting["onward"])) if user else None


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "POST"])
def second(request: HttpRequest) -> HttpResponse:
    """Ask for the second factor."""
    found = _waiting(request)
    if found is None:
        return redirect("login")
    user, onward = found
    fault, status = "", 200
    if request.method == "POST":
        keys = accounts.brakes(request, f"second:{user.pk}")
        try:
            accounts.brake(keys)
        except accounts.LoginRefused as refusal:
            fault, status = str(refusal), 429
        else:
            try:
                right, why = _shown(request, user), ""
            except factors.WrongFactor as error:
                right, why = False, str(error)
            if right:
                request.session.pop(_WAITING, None)
                accounts.release_brake(f"second:{user.pk}")
                audit.record(user, "login.second_factor", ("user", str(user.pk)), request=request)
                login(request, user, BACKEND)
                return redirect(onward)
            accounts.count_failure(keys)
            fault = why or _("This is not right. Take the code that is shown now, or an unused recovery code.")
            status = 401
    has = factors.of(user)
    context = {
        "fault": fault,
        "has_app": has["app"] is not None,
        "options": factors.challenge(request, user) if has["passkeys"] else None,
        "theme": theme_of(request),
    }
    return render(request, "dashboard/login_second.html", context, status=status)


def _shown(request: HttpRequest, user: User) -> bool:
    if credential := request.POST.get("credential", ""):
        return factors.check_passkey(request, credential, user) is not None
    return factors.check_code(request, user, request.POST.get("code", ""))


@never_cache
@require_http_methods(["GET", "POST"])
def passkey_login(request: HttpRequest) -> HttpResponse:
    """GET gives the browser its question; POST lets the passkey's person in."""
    if request.method == "GET":
        try:
            limits.check(f"passkey:{audit.address_of(request)}", CHALLENGES_PER_MINUTE)
        except limits.TooManyCalls as error:
            return JsonResponse({"message": str(error)}, status=429)
        if not request.user.is_authenticated:
            request.session.set_expiry(_WAIT_S)  # a stranger's challenge is a row; signing in gives it its usual life
        return JsonResponse(factors.challenge(request))
    keys = accounts.brakes(request)
    try:
        accounts.brake(keys)
    except accounts.LoginRefused as refusal:
        messages.error(request, str(refusal))
        return redirect("login")
    user = factors.check_passkey(request, request.POST.get("credential", ""))
    if user is None:
        accounts.count_failure(keys)
        messages.error(request, _("This passkey is not known here. Sign in by name and password."))
        return redirect("login")
    audit.record(user, "login.passkey", ("user", str(user.pk)), request=request)
    login(request, user, BACKEND)
    return redirect("overview")
