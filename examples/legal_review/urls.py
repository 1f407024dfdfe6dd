"""Routes of this example."""

from django.urls import URLPattern

app_name = "legal_review"
urlpatterns: list[URLPattern] = []
