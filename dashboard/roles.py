"""Who may do what: four roles, each with everything that the one before may do.

viewer sees; operator also submits, cancels, signals and decides; approver also approves what others
have asked for; admin also manages people, tokens, agents, schedules and the rules for decisions.
Roles are Django groups that hold permissions, so that a deployment can mix its own. Views, the API
and sockets all ask ``allowed``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.contrib.auth import get_user_model
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext_noop

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]

VIEWER, OPERATOR, APPROVER, ADMIN = ROLES = ("viewer", "operator", "approver", "admin")

PERMISSIONS = {
    "view": "dashboard.view_console",
    "operate": "dashboard.operate",
    "approve": "dashboard.approve",
    "administer": "dashboard.administer",
}

GRANTS: dict[str, tuple[str, ...]] = {
    VIEWER: ("view_console",),
    OPERATOR: ("view_console", "operate"),
    APPROVER: ("view_console", "operate", "approve"),
    ADMIN: ("view_console", "operate", "approve", "administer"),
}


def allowed(user: Any, verb: str) -> bool:
    """Whether an active user may ``view``, ``operate``, ``approve`` or ``administer``."""
    permission = PERMISSIONS[verb]
    if user is None or not user.is_authenticated or not user.is_active:
        return False
    return bool(user.has_perm(permission))


_HIGHEST_FIRST = (("administer", ADMIN), ("approve", APPROVER), ("operate", OPERATOR), ("view", VIEWER))
_BACKEND = "django.contrib.auth.backends.ModelBackend"


def role_of(user: Any) -> str:
    """The highest role that the user's permissions amount to, or an empty string."""
    return next((role for verb, role in _HIGHEST_FIRST if allowed(user, verb)), "")


def everybodys_roles() -> dict[int, str]:
    """``role_of`` every active person that has one, by the person's key; with one query a role."""
    found: dict[int, str] = {}
    for verb, role in reversed(_HIGHEST_FIRST):
        having = get_user_model().objects.with_perm(PERMISSIONS[verb], backend=_BACKEND)
        found |= dict.fromkeys(having.values_list("pk", flat=True), role)
    return found


def _required(verb: str, refusal: str) -> Callable[[View[P]], View[P]]:
    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not allowed(request.user, verb):
                raise PermissionDenied(refusal)  # its page tells it in the reader's language; logs are English
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def viewer_required(view: View[P]) -> View[P]:
    """Send strangers to the login, and refuse people without any role with 403."""
    return _required("view", gettext_noop("You have no role yet. Ask an administrator for one."))(view)


def operator_required(view: View[P]) -> View[P]:
    """Send strangers to the login, and refuse people who may only look with 403."""
    return _required("operate", gettext_noop("This needs the role operator. Ask an administrator for it."))(view)


def approver_required(view: View[P]) -> View[P]:
    """Send strangers to the login, and refuse people who may not approve with 403."""
    return _required("approve", gettext_noop("This needs the role approver. Ask an administrator for it."))(view)


def admin_required(view: View[P]) -> View[P]:
    """Send strangers to the login, and refuse people who are no administrators with 403."""
    return _required("administer", gettext_noop("This needs the role admin."))(view)


def ensure_groups(using: str = "default") -> None:
    """Create the groups of the roles with their permissions; repeatable."""
    from django.contrib.auth.models import Group, Permission
    from django.contrib.contenttypes.models import ContentType

    from dashboard.models import Workflow

    kind = ContentType.objects.db_manager(using).get_for_model(Workflow)
    names = dict(Workflow._meta.permissions)
    permissions = {
        codename: Permission.objects.using(using).get_or_create(
            content_type=kind, codename=codename, defaults={"name": str(names[codename])}
        )[0]
        for codename in GRANTS[ADMIN]
    }
    for role, codenames in GRANTS.items():
        group, _ = Group.objects.using(using).get_or_create(name=role)
        group.permissions.add(*(permissions[codename] for codename in codenames))
