"""Routes of the lab; included only where it is on."""

from django.urls import path

from dashboard.lab import views

urlpatterns = [path("", views.lab, name="lab"), path("start/", views.start, name="lab-start")]
