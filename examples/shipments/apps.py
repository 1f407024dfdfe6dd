"""The shipments example as a Django app."""

from django.apps import AppConfig


class ShipmentsConfig(AppConfig):
    """Carrier updates: feeds, workflows and the shipment board."""

    name = "examples.shipments"
    label = "shipments"
    verbose_name = "Shipments"
    workflow_pages = {"shipment_batch": "shipments:feed"}  # where the console links to
    default_auto_field = "django.db.models.BigAutoField"
