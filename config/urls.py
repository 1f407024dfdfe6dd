"""Routes of the whole project."""

from django.urls import include, path

urlpatterns = [
    path("api/", include("dashboard.api.urls")),
    path("runs/legal-review/", include("examples.legal_review.urls")),
    path("runs/shipments/", include("examples.shipments.urls")),
    path("", include("dashboard.urls")),
]
