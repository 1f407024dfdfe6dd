"""Routes of the legal review, below /runs/legal-review/."""

from django.urls import path

from examples.legal_review import views

app_name = "legal_review"
urlpatterns = [
    path("", views.start, name="start"),
    path("samples/<slug:slug>/", views.run_sample, name="sample"),
    path("<str:workflow_id>/", views.review, name="review"),
    path("<str:workflow_id>/review.json", views.download_json, name="json"),
    path("<str:workflow_id>/document", views.download_document, name="document"),
]
