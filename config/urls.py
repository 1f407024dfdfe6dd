"""Routes of the whole project."""

from django.conf import settings
from django.urls import include, path

from config import environment
from dashboard.views.styleguide import styleguide

# as those of the examples: an application's pages are under /runs/, by its last name
_FURTHER = environment.applications(having="urls")

urlpatterns = [
    path("api/", include("dashboard.api.urls")),
    path("runs/legal-review/", include("examples.legal_review.urls")),
    path("runs/shipments/", include("examples.shipments.urls")),
    *(path(f"runs/{environment.short_name(name)}/", include(f"{name}.urls")) for name in _FURTHER),
    path("notices/", include("dashboard.notices.urls")),
    *([path("lab/", include("dashboard.lab.urls"))] if settings.LAB else []),
    *([path("styleguide/", styleguide, name="styleguide")] if settings.DEBUG else []),
    path("", include("dashboard.people.urls")),
    path("", include("dashboard.urls")),
]

handler400 = "dashboard.views.errors.bad_request"
handler403 = "dashboard.views.errors.forbidden"
handler404 = "dashboard.views.errors.not_found"
handler500 = "dashboard.views.errors.failed"
