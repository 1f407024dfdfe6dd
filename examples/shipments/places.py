"""The places that shipments pass, with their names in the carriers' spellings."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple


class Place(NamedTuple):
    """A place; ``code`` is what this application stores."""

    code: str
    city: str
    local: str
    country: str
    latitude: float
    longitude: float


_TABLE = (
    Place("SEGOT", "Gothenburg", "Göteborg", "SE", 57.71, 11.97),
    Place("SESTO", "Stockholm", "Stockholm", "SE", 59.33, 18.07),
    Place("SEMMA", "Malmo", "Malmö", "SE", 55.60, 13.00),
    Place("DKCPH", "Copenhagen", "København", "DK", 55.68, 12.57),
    Place("NOOSL", "Oslo", "Oslo", "NO", 59.91, 10.75),
    Place("FIHEL", "Helsinki", "Helsinki", "FI", 60.17, 24.94),
    Place("DEHAM", "Hamburg", "Hamburg", "DE", 53.55, 9.99),
    Place("DEBER", "Berlin", "Berlin", "DE", 52.52, 13.40),
    Place("DEMUC", "Munich", "München", "DE", 48.14, 11.58),
    Place("DECGN", "Cologne", "Köln", "DE", 50.94, 6.96),
    Place("DEFRA", "Frankfurt", "Frankfurt", "DE", 50.11, 8.68),
    Place("DENUE", "Nuremberg", "Nürnberg", "DE", 49.45, 11.08),
    Place("ATVIE", "Vienna", "Wien", "AT", 48.21, 16.37),
    Place("CHZRH", "Zurich", "Zürich", "CH", 47.38, 8.54),
    Place("GBLON", "London", "London", "GB", 51.51, -0.13),
    Place("GBMAN", "Manchester", "Manchester", "GB", 53.48, -2.24),
    Place("GBGLA", "Glasgow", "Glasgow", "GB", 55.86, -4.25),
    Place("GBBRS", "Bristol", "Bristol", "GB", 51.45, -2.59),
    Place("IEDUB", "Dublin", "Dublin", "IE", 53.35, -6.26),
    Place("FRPAR", "Paris", "Paris", "FR", 48.86, 2.35),
    Place("USLAX", "Los Angeles", "Los Angeles", "US", 34.05, -118.24),
    Place("USSEA", "Seattle", "Seattle", "US", 47.61, -122.33),
    Place("USDEN", "Denver", "Denver", "US", 39.74, -104.99),
    Place("USCHI", "Chicago", "Chicago", "US", 41.88, -87.63),
    Place("USDAL", "Dallas", "Dallas", "US", 32.78, -96.80),
    Place("USATL", "Atlanta", "Atlanta", "US", 33.75, -84.39),
    Place("USNYC", "New York", "New York", "US", 40.71, -74.01),
    Place("JPTYO", "Tokyo", "東京", "JP", 35.68, 139.69),
    Place("JPOSA", "Osaka", "大阪", "JP", 34.69, 135.50),
    Place("JPNGO", "Nagoya", "名古屋", "JP", 35.18, 136.91),
    Place("JPFUK", "Fukuoka", "福岡", "JP", 33.59, 130.40),
    Place("JPSPK", "Sapporo", "札幌", "JP", 43.06, 141.35),
)

PLACES: dict[str, Place] = {place.code: place for place in _TABLE}

_ALIASES: dict[str, Place] = {
    alias.casefold(): place
    for place in _TABLE
    for alias in (place.code, place.city, place.local, f"{place.city}, {place.country}")
}


def find(name: str) -> Place | None:
    """The place of this name in any carrier's spelling, or None."""
    return _ALIASES.get(name.strip().casefold())


def label(code: str) -> str:
    """A place as people call it: ``Hamburg, DE``."""
    place = PLACES.get(code)
    return f"{place.city}, {place.country}" if place else code


@functools.cache
def distance_km(one: str, other: str) -> float:
    """The distance between two places along the great circle."""
    a, b = PLACES[one], PLACES[other]
    lat_a, lat_b = math.radians(a.latitude), math.radians(b.latitude)
    half_lat = (lat_b - lat_a) / 2
    half_lon = math.radians(b.longitude - a.longitude) / 2
    part = math.sin(half_lat) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin(half_lon) ** 2
    return 2 * 6371.0 * math.asin(math.sqrt(part))


@functools.cache
def is_on_the_way(place: str, origin: str, destination: str) -> bool:
    """Whether a shipment of this lane can be at the place without an absurd detour.

    A detour of half the lane and 400 km is still believed: hubs are not on the straight line.
    """
    way_km = distance_km(origin, place) + distance_km(place, destination)
    return way_km <= 1.5 * distance_km(origin, destination) + 400.0
