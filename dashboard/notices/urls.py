"""Routes of the notices."""

from django.urls import path

from dashboard.notices import views

urlpatterns = [
    path("", views.notices, name="notices"),
    path("incidents/<uuid:incident_id>/acknowledge/", views.acknowledge, name="incident-acknowledge"),
    path("channels/", views.add_channel, name="channel-add"),
    path("channels/<int:channel_id>/", views.change_channel, name="channel-change"),
    path("policies/", views.save_policy, name="policy-save"),
    path("policies/<int:policy_id>/delete/", views.delete_policy, name="policy-delete"),
    path("messages/<uuid:message_id>/again/", views.try_again, name="notice-again"),
    path("fresh.json", views.fresh, name="notices-fresh"),
    path("messages/<uuid:message_id>/seen/", views.seen, name="notice-seen"),
]
