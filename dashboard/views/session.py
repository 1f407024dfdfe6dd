"""Signing in, by password or by a one-time link, and out."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from dashboard import accounts
from dashboard.people import factors
from dashboard.people.views import enter
from dashboard.views.frame import theme_of


def _onward(request: HttpRequest, wanted: str) -> str:
    """The address to go on to, only ever one of this console."""
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if wanted and safe else reverse("overview")


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def log_in(request: HttpRequest) -> HttpResponse:
    """The login page; a wrong pair is said to be wrong without saying which half."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    if request.user.is_authenticated and request.method == "GET":
        return redirect(_onward(request, wanted))
    name, fault, status = request.POST.get("username", ""), "", 200
    if request.method == "POST":
        try:
            user = accounts.log_in(request, name, request.POST.get("password", ""))
        except accounts.LoginRefused as refusal:
            fault, status = str(refusal), 429
        else:
            if user is not None:
                return enter(request, user, _onward(request, wanted))
            fault, status = _("Name and password do not belong together. Check both and try again."), 401
    context = {
        "name": name, "fault": fault, "next": wanted, "theme": theme_of(request),
        "passkeys_work": factors.passkeys_work(request),
    }  # fmt: skip
    return render(request, "dashboard/login.html", context, status=status)


@never_cache
@require_http_methods(["GET", "POST"])
def log_in_once(request: HttpRequest, raw: str) -> HttpResponse:
    """A one-time link: shows a button first, so that programs that preview links do not use it up."""
    if request.method == "POST":
        user = accounts.use_login_link(raw, request)
        if user is not None:
            if not user.has_usable_password():
                messages.info(request, _("You are in. Set a password under Settings, so that you can come back."))
            return enter(request, user, reverse("overview"))
    valid = accounts.check_login_link(raw)
    context = {"valid": valid, "theme": theme_of(request)}
    return render(request, "dashboard/login_once.html", context, status=200 if valid else 410)


@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    """End this session."""
    logout(request)
    return redirect("login")
