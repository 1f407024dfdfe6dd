"""What live pages, cache and jobs need to follow the primary that the Sentinels of an address name.

The core follows it by itself (``coordination.sentinel``); here the address is put into the words of
channels_redis, of Django's cache and of Celery's transport.
"""

from __future__ import annotations

from typing import Any

from redis import Redis
from redis.sentinel import Sentinel, SentinelConnectionPool

from coordination.address import SENTINEL, SentinelAddress, sentinel_address

_ASK_S = 1.0  # for one answer of a Sentinel


def follows(url: str) -> bool:
    """Whether an address names Sentinels."""
    return url.startswith(SENTINEL)


def channel_host(url: str) -> dict[str, Any]:
    """A host of the channel layer."""
    if not follows(url):
        return {"address": url}
    named = sentinel_address(url)
    return {
        "sentinels": list(named.hosts),
        "master_name": named.service,
        "sentinel_kwargs": _asking(named),
        **_login(named),
    }


def broker_url(url: str) -> str:
    """A broker's address for Celery: every Sentinel, each with the primary's login."""
    if not follows(url):
        return url
    named = sentinel_address(url)
    return ";".join(named.primary_url(host, port).replace("redis://", "sentinel://", 1) for host, port in named.hosts)


def broker_options(url: str) -> dict[str, Any]:
    """What Celery's transport needs beside the address."""
    if not follows(url):
        return {}
    named = sentinel_address(url)
    return {"master_name": named.service, "sentinel_kwargs": _asking(named)}


def client(url: str, **options: Any) -> Redis:
    """A client on the primary."""
    return Redis(connection_pool=Pool.from_url(url, **options))


class Pool(SentinelConnectionPool):
    """Connections to the primary, made from a ``redis+sentinel://`` address as Django's cache makes its pool."""

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Pool:
        """A pool for the primary that the Sentinels of an address name."""
        named = sentinel_address(url)
        sentinels = Sentinel(named.hosts, sentinel_kwargs=_asking(named))  # type: ignore[no-untyped-call]
        return cls(named.service, sentinels, **{**_login(named), **options})


def _login(named: SentinelAddress) -> dict[str, Any]:
    given = {"username": named.user, "password": named.password}
    return {"db": named.database, **{name: value for name, value in given.items() if value}}


def _asking(named: SentinelAddress) -> dict[str, Any]:
    return {**named.sentinel_login(), "socket_timeout": _ASK_S, "socket_connect_timeout": _ASK_S}
