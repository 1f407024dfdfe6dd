"""Routes of what is done to many things at once, of the ledger, and of saved views."""

from django.urls import path

from dashboard.views import bulk, ledger, saved

urlpatterns = [
    path("bulk/", bulk.all_actions, name="bulk"),
    path("bulk/new/", bulk.new, name="bulk-new"),
    path("bulk/start/", bulk.start, name="bulk-start"),
    path("bulk/<uuid:bulk_id>/", bulk.action, name="bulk-action"),
    path("bulk/<uuid:bulk_id>/cancel/", bulk.cancel, name="bulk-cancel"),
    path("bulk/<uuid:bulk_id>/go-on/", bulk.go_on, name="bulk-go-on"),
    path("ledger/", ledger.ledger, name="ledger"),
    path("views/save/", saved.save, name="view-save"),
    path("views/<int:view_id>/delete/", saved.delete, name="view-delete"),
]
