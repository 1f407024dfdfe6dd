"""The address ``redis+sentinel://[user:password@]host:port,host:port/service[/database]``, taken apart and checked.

The login is the one of the primary. Sentinels that ask for a login of their own get the one in
``?sentinel_user=…&sentinel_password=…``.
"""

from __future__ import annotations

from urllib.parse import parse_qs, quote, unquote, urlsplit

import msgspec

SENTINEL = "redis+sentinel://"
_PORT = 26_379
_OPTIONS = ("sentinel_user", "sentinel_password")
_FORM = "use redis+sentinel://host:port,host:port,host:port/service"


class SentinelAddress(msgspec.Struct, frozen=True):
    """What such an address says."""

    hosts: tuple[tuple[str, int], ...]  # of the Sentinels
    service: str  # the name under which they watch the primary
    database: int = 0
    user: str = ""
    password: str = ""
    sentinel_user: str = ""
    sentinel_password: str = ""

    def primary_url(self, host: str, port: int) -> str:
        """The address of the primary once the Sentinels have named it."""
        return f"redis://{_login(self.user, self.password)}{_bracketed(host)}:{port}/{self.database}"

    def sentinel_urls(self) -> list[str]:
        """The address of each Sentinel."""
        login = _login(self.sentinel_user, self.sentinel_password)
        return [f"redis://{login}{_bracketed(host)}:{port}" for host, port in self.hosts]

    def sentinel_login(self) -> dict[str, str]:
        """The Sentinels' own login as redis-py takes it."""
        given = {"username": self.sentinel_user, "password": self.sentinel_password}
        return {name: value for name, value in given.items() if value}


def sentinel_address(url: str) -> SentinelAddress:
    """Take a ``redis+sentinel://`` address apart.

    Raises:
        ValueError: It does not fit; says why, without the login.
    """
    where, _, query = url.removeprefix(SENTINEL).partition("?")  # urlsplit refuses a list with brackets in it
    hosts, _, path = where.partition("/")
    login, _, hosts = hosts.rpartition("@")
    user, _, password = login.partition(":")
    service, _, database = path.strip("/").partition("/")
    if not service:
        raise ValueError(f"it names no service: {_FORM}")
    if not (database or "0").isdecimal():
        raise ValueError(f"its database {database!r} is no number: {_FORM}/0")
    options = parse_qs(query, keep_blank_values=True)
    unknown = options.keys() - set(_OPTIONS)
    if unknown:
        raise ValueError(f"it has the unknown option {min(unknown)!r}: there are {' and '.join(_OPTIONS)}")
    return SentinelAddress(
        hosts=tuple(_host(text) for text in hosts.split(",")),
        service=unquote(service),
        database=int(database or 0),
        user=unquote(user),
        password=unquote(password),
        **{name: values[-1] for name, values in options.items()},
    )


def without_login(url: str) -> str:
    """An address as it may be shown."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"


def _host(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{text!r} is no host and port: {_FORM}") from None
    if not host:
        raise ValueError(f"a Sentinel's host is missing: {_FORM}")
    return host, port or _PORT


def _login(user: str, password: str) -> str:
    return f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
