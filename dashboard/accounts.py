"""People: one-time login links, roles, and a brake on guessing passwords."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
import time
from typing import Any

from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.models import Group, User
from django.contrib.auth.signals import user_logged_in
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from coordination.errors import BadRequest, TryAgain
from dashboard import audit
from dashboard.models import LoginFailure, LoginLink
from dashboard.roles import ADMIN, ROLES, ensure_groups, role_of

LINK_MINUTES = 15
WINDOW = dt.timedelta(minutes=15)
NAME_FAILURES = 8  # within the window, for one name
ADDRESS_FAILURES = 40  # and from one address
_SIGNED_IN = "signed_in_at"


class LoginRefused(TryAgain):
    """Too many failed logins; wait before trying again."""

    code = "login_refused"


# --- one-time links -----------------------------------------------------------------


def _digest(raw: str) -> str:
    return hashlib.sha256(raw.encode()).hexdigest()


def make_login_link(user: Any, base_url: str = "", *, minutes: int = LINK_MINUTES) -> str:
    """A URL that logs this person in once, within the given minutes; only its digest is kept."""
    raw = secrets.token_urlsafe(32)
    now = timezone.now()
    LoginLink.objects.filter(expires_at__lt=now - dt.timedelta(days=1)).delete()
    LoginLink.objects.create(digest=_digest(raw), user=user, expires_at=now + dt.timedelta(minutes=minutes))
    return f"{base_url.rstrip('/')}/login/once/{raw}/"


def check_login_link(raw: str) -> bool:
    """Whether the link would still work; does not use it up."""
    return LoginLink.objects.filter(
        digest=_digest(raw), used_at=None, expires_at__gt=timezone.now(), user__is_active=True
    ).exists()


def use_login_link(raw: str, request: HttpRequest | None = None) -> User | None:
    """The person a link belongs to, exactly once; nothing when it is unknown, used or too old."""
    now = timezone.now()
    with transaction.atomic():
        links = LoginLink.objects.filter(digest=_digest(raw), used_at=None, expires_at__gt=now, user__is_active=True)
        if not links.update(used_at=now):
            return None
        user = LoginLink.objects.select_related("user").get(digest=_digest(raw)).user
        audit.record(user, "login.link", ("user", str(user.pk)), request=request)
    return user


# --- passwords ------------------------------------------------------------------------


def brakes(request: HttpRequest, key: str = "") -> dict[str, int]:
    """What failures are counted against: a name or a person, and the address; each with its limit in the window."""
    keys = {key: NAME_FAILURES} if key else {}
    address = audit.address_of(request)
    if address:
        keys[f"address:{address}"] = ADDRESS_FAILURES
    return keys


def brake(keys: dict[str, int]) -> None:
    """Refuse while too many have failed lately.

    Raises:
        LoginRefused: Says how long to wait.
    """
    since = timezone.now() - WINDOW
    for key, limit in keys.items():
        failures = LoginFailure.objects.filter(key=key, at__gt=since).order_by("at")
        if failures.count() >= limit:
            first = failures.values_list("at", flat=True)[0]
            wait_s = max(1.0, (first + WINDOW - timezone.now()).total_seconds())
            minutes = -(-int(wait_s) // 60)
            raise LoginRefused(
                _("Too many failed logins. Try again in %(minutes)s min.") % {"minutes": minutes}, retry_after_s=wait_s
            )


def count_failure(keys: dict[str, int]) -> None:
    """Remember one failure."""
    LoginFailure.objects.bulk_create([LoginFailure(key=key) for key in keys])
    LoginFailure.objects.filter(at__lt=timezone.now() - 2 * WINDOW).delete()


def release_brake(key: str) -> None:
    """Forget the failures of a name or a person."""
    LoginFailure.objects.filter(key=key).delete()


def log_in(request: HttpRequest, username: str, password: str) -> User | None:
    """The person with this name and password, or nothing; guesses are counted and slowed down.

    Raises:
        LoginRefused: Too many have failed lately for this name or from this address.
    """
    name = f"name:{username.strip().lower()[:150]}"
    keys = brakes(request, name)
    brake(keys)
    user = authenticate(request, username=username, password=password)
    if not isinstance(user, User):
        count_failure(keys)
        return None
    release_brake(name)
    audit.record(user, "login.password", ("user", str(user.pk)), request=request)
    return user


# --- again, before what reaches far -------------------------------------------------------


class ConfirmationNeeded(BadRequest):
    """This reaches far, and you signed in a while ago."""

    code = "confirmation_needed"


@receiver(user_logged_in)
def _note_login(sender: Any, request: HttpRequest | None, user: Any, **more: Any) -> None:
    if request is not None:
        request.session.set_expiry(None)
        request.session[_SIGNED_IN] = int(time.time())


def is_fresh(request: HttpRequest) -> bool:
    """Whether this session's person has signed in, or given the password again, within a quarter of an hour."""
    signed_in = request.session.get(_SIGNED_IN, 0)
    return isinstance(signed_in, int) and 0 <= time.time() - signed_in < WINDOW.total_seconds()


def confirm(request: HttpRequest, password: str = "") -> None:
    """Make sure that it is still the person who signed in, before something that reaches far.

    Raises:
        ConfirmationNeeded: The login is old, and the password is missing or wrong.
        LoginRefused: Too many wrong ones.
    """
    if is_fresh(request):
        return
    user = request.user
    assert isinstance(user, User)
    if not user.has_usable_password():
        raise ConfirmationNeeded(
            _("You signed in more than 15 minutes ago and have no password: sign in by a new link.")
        )
    if not password:
        raise ConfirmationNeeded(_("You signed in more than 15 minutes ago. Give your password again."))
    if log_in(request, user.get_username(), password) is None:
        raise ConfirmationNeeded(_("This is not your password. Nothing was changed."))
    request.session[_SIGNED_IN] = int(time.time())


# --- roles ------------------------------------------------------------------------------


def ensure_admin(username: str = "admin") -> User:
    """The first administrator: made when missing, without a password, so that only a link lets them in."""
    ensure_groups()
    user, created = User.objects.get_or_create(username=username)
    if created:
        user.set_unusable_password()
        user.save()
        audit.record("system", "user.create", ("user", str(user.pk)), after={"username": username, "role": ADMIN})
    if role_of(user) != ADMIN:
        user.groups.add(Group.objects.get(name=ADMIN))
        user = User.objects.get(pk=user.pk)  # permissions are cached on the object
    return user


def users() -> list[User]:
    """Everybody, by name."""
    return list(get_user_model().objects.order_by("username"))


def create_user(username: str, role: str, actor: Any, *, email: str = "", request: HttpRequest | None = None) -> User:
    """Add a person without a password; a login link lets them in.

    Raises:
        BadRequest: The name is taken or empty, or the role unknown.
    """
    username = username.strip()
    if not username or len(username) > 150:
        raise BadRequest(_("Give a name of 1 to 150 characters."))
    if role not in ROLES:
        raise BadRequest(
            _("%(role)s is no role. Use one of: %(names)s.") % {"role": repr(role), "names": ", ".join(ROLES)}
        )
    with transaction.atomic():
        user, created = User.objects.get_or_create(username=username, defaults={"email": email.strip()})
        if not created:
            raise BadRequest(_("There is already somebody with the name %(username)s.") % {"username": repr(username)})
        user.set_unusable_password()
        user.save()
        user.groups.set([Group.objects.get(name=role)])
        after = {"username": username, "role": role}
        audit.record(actor, "user.create", ("user", str(user.pk)), after=after, request=request)
    return user


def set_role(user: User, role: str, actor: Any, request: HttpRequest | None = None) -> None:
    """Give a person exactly one role, or none with an empty string.

    Raises:
        BadRequest: The role is unknown, or this would leave nobody to administer.
    """
    if role and role not in ROLES:
        raise BadRequest(
            _("%(role)s is no role. Use one of: %(names)s.") % {"role": repr(role), "names": ", ".join(ROLES)}
        )
    with transaction.atomic():
        before = role_of(User.objects.get(pk=user.pk))
        if before == ADMIN and role != ADMIN:
            _keep_an_admin(user)
        others = user.groups.exclude(name__in=ROLES)
        user.groups.set([*others, *Group.objects.filter(name=role)])
        change = {"before": {"role": before}, "after": {"role": role}}
        audit.record(actor, "user.role", ("user", str(user.pk)), request=request, **change)


def set_active(user: User, active: bool, actor: Any, request: HttpRequest | None = None) -> None:
    """Let a person in, or keep them out: their sessions and tokens stop with the next request.

    Raises:
        BadRequest: This would leave nobody to administer.
    """
    with transaction.atomic():
        if not active:
            _keep_an_admin(user)
        if User.objects.filter(pk=user.pk, is_active=not active).update(is_active=active):
            change = {"before": {"active": not active}, "after": {"active": active}}
            audit.record(actor, "user.active", ("user", str(user.pk)), request=request, **change)


def _keep_an_admin(leaving: User) -> None:
    others = User.objects.filter(is_active=True, groups__name=ADMIN).exclude(pk=leaving.pk)
    if (
        not others.exists()
        and not User.objects.filter(is_active=True, is_superuser=True).exclude(pk=leaving.pk).exists()
    ):
        raise BadRequest(
            _("%(who)s is the last administrator. Make somebody else one first.") % {"who": leaving.get_username()}
        )
