"""What can be wrong with a row: one exception for each cause, in words for the operator.

The class tells the cause and groups escalations; the parts in quotation marks and the numbers
differ from row to row.
"""

from __future__ import annotations

from coordination.errors import FinalError


class BrokenRow(FinalError):
    """The line is not a row of its carrier's format."""


class BrokenText(FinalError):
    """The line holds bytes that are no text."""


class UnknownCarrier(FinalError):
    """No carrier has the code that the line begins with."""


class MissingTracking(FinalError):
    """The row has no tracking number."""


class BadDate(FinalError):
    """The row's date cannot be read or does not exist."""


class UnknownStatus(FinalError):
    """The carrier uses a status word that is not in its list."""


class UnknownPlace(FinalError):
    """The place is not in the table of places."""


class BadWeight(FinalError):
    """The weight is not a positive number."""


class UnknownShipment(FinalError):
    """No shipment of the order book has this tracking number."""


class ImpossiblePlace(FinalError):
    """The shipment cannot be where the row says it is."""


class BadFeed(FinalError):
    """The feed itself cannot be read."""
