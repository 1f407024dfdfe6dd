"""The page of a workflow."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

app_name = "core_app"


def seen(request: HttpRequest, workflow_id: str) -> HttpResponse:
    return HttpResponse(workflow_id)


urlpatterns = [path("<str:workflow_id>/", seen, name="seen")]
