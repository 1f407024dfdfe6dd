"""Routes of this example."""

from django.urls import path

from examples.shipments import views

app_name = "shipments"
urlpatterns = [
    path("", views.board, name="board"),
    path("board.json", views.board_json, name="board_json"),
    path("start/", views.start, name="start"),
    path("sample.csv", views.sample_csv, name="sample_csv"),
    path("feeds/<str:feed_id>/", views.feed, name="feed"),
    path("<str:tracking>/", views.shipment, name="shipment"),
    path("<str:tracking>.json", views.shipment_json, name="shipment_json"),
]
