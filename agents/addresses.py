"""Which addresses a gateway may call, decided anew for every call and for every address behind a name.

Only https, save http to loopback in debug; only hosts on the allow-list; never link-local and
metadata addresses, never our own Redis; private networks only when a setting names them.

Source: OWASP, Server-Side Request Forgery Prevention; docs/agents.md.
"""

from __future__ import annotations

import asyncio
import fnmatch
import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from coordination.address import SENTINEL, sentinel_address
from coordination.config import Config
from coordination.errors import FinalError, RetryableError, SettingsError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# where clouds answer questions about the machine; never reachable, whatever is allowed
_METADATA = tuple(
    ipaddress.ip_network(network)
    for network in (
        "169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "100.100.100.200/32", "192.0.0.0/24", "168.63.129.16/32",
    )
)  # fmt: skip
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class AddressRefused(FinalError):
    """The gateway may not call this address."""

    code = "address_refused"


class Target(msgspec.Struct, frozen=True):
    """A checked place to connect to."""

    scheme: str
    host: str  # for SNI, certificate and Host header
    port: int
    address: str  # to connect to
    path: str  # with the query

    @property
    def url(self) -> str:
        """The address to open, with the number in the host's place."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def extensions(self) -> dict[str, str]:
        """What httpx needs to know: the certificate is the name's, although the number is opened."""
        return {"sni_hostname": self.host} if self.scheme == "https" else {}

    @property
    def netloc(self) -> str:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.scheme == "https" else 80
        return host if self.port == usual else f"{host}:{self.port}"


class Policy(msgspec.Struct, frozen=True):
    """What may be called."""

    hosts: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    debug: bool = False
    redis: tuple[tuple[str, int], ...] = ()  # host and port of our own server, or of its Sentinels

    @classmethod
    def of(cls, config: Config) -> Policy:
        """The policy that the settings make.

        Raises:
            SettingsError: ``GANGLION_REMOTE_NETWORKS`` names something that is no network.
        """
        networks = []
        for text in _listed(config.remote_networks):
            try:
                networks.append(ipaddress.ip_network(text))
            except ValueError as error:
                raise SettingsError(
                    f"GANGLION_REMOTE_NETWORKS: {text!r} is no network: {error}. Use the form 10.1.0.0/16."
                ) from None
        return cls(
            hosts=tuple(name.lower().rstrip(".") for name in _listed(config.remote_hosts)),
            networks=tuple(networks),
            debug=config.debug,
            redis=_own(config.redis_url),
        )


def _own(url: str) -> tuple[tuple[str, int], ...]:
    if url.startswith(SENTINEL):
        return sentinel_address(url).hosts
    parts = urlsplit(url)
    return () if parts.scheme == "unix" else ((parts.hostname or "127.0.0.1", parts.port or 6379),)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


async def check(url: str, policy: Policy) -> Target:
    """Resolve and check an address: every one behind the name must be allowed, and the first is connected to.

    Raises:
        AddressRefused: Says why.
        RetryableError: The name cannot be resolved now.
    """
    scheme, host, port, path = split(url)
    addresses = await resolve(host, port)
    loopback = all(address.is_loopback for address in addresses)
    if scheme == "http" and not (policy.debug and loopback):
        raise AddressRefused(f"{url}: only https may be called (http only to this machine, in debug).")
    if not (policy.debug and loopback) and not any(fnmatch.fnmatchcase(host, pattern) for pattern in policy.hosts):
        raise AddressRefused(f"{url}: the host {host!r} is not on the list in GANGLION_REMOTE_HOSTS.")
    for address in addresses:
        why = refusal(address, policy)
        if why:
            raise AddressRefused(f"{url}: {host!r} leads to {address}, {why}.")
    if any([await _is_redis(addresses, own) for own, own_port in policy.redis if own_port == port]):
        raise AddressRefused(f"{url}: this is Ganglion's own Redis.")
    return Target(scheme, host, port, str(addresses[0]), path)


def split(url: str) -> tuple[str, str, int, str]:
    """Scheme, host, port and path of a plain web address.

    Raises:
        AddressRefused: It is something else, or carries a name and password.
    """
    if any(character <= " " or character == "\\" for character in url):
        raise AddressRefused(f"{url!r} holds blanks or backslashes.")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
        if host and ":" not in host:
            host = host.encode("idna").decode("ascii").lower()
    except (ValueError, UnicodeError):
        raise AddressRefused(f"{url!r} is no web address.") from None
    if parts.scheme not in ("https", "http") or not host:
        raise AddressRefused(f"{url!r} is no web address: use https://host/path.")
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("The address of a remote agent must not carry a name or password.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.scheme, host, port or (443 if parts.scheme == "https" else 80), path


async def resolve(host: str, port: int) -> list[Address]:
    """Every address behind a name, in the order in which to try them."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise RetryableError(f"The name {host!r} cannot be resolved: {error}.") from None
    addresses = dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found)
    if not addresses:
        raise RetryableError(f"The name {host!r} has no address.")
    return list(addresses)


def refusal(address: Address, policy: Policy) -> str:
    """Why an address may not be called, in words; "" when it may."""
    for form in _forms(address):
        if any(form in network for network in _METADATA if network.version == form.version):
            return "a link-local or metadata address, which is never called"
        if form.is_multicast or form.is_unspecified or (form.is_reserved and not form.is_private):
            return "which is no address of a host"
        if form.is_loopback:
            if not policy.debug:
                return "this machine, which may be called in debug only"
        elif not _is_public(form) and not _inside(form, policy.networks):
            return "a private address; name its network in GANGLION_REMOTE_NETWORKS to allow it"
    return ""


_LOCAL = (ipaddress.ip_network("fec0::/10"), ipaddress.ip_network("3fff::/20"))  # private, documentation


def _is_public(address: Address) -> bool:
    return address.is_global and not _inside(address, _LOCAL)


def _forms(address: Address) -> list[Address]:
    """The address and the IPv4 addresses hidden in it; those alone count where they are all there is."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    hidden: list[Address] = []
    if address.sixtofour is not None:
        hidden.append(address.sixtofour)
    if address.teredo is not None:
        hidden.extend(address.teredo)
    if address in _NAT64:
        hidden.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [address, *hidden]


def _inside(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)


async def _is_redis(addresses: list[Address], host: str) -> bool:
    try:
        own = await resolve(host, 0)
    except RetryableError:
        return True  # what cannot be told apart is refused
    if any(address.is_loopback for address in own) and any(address.is_loopback for address in addresses):
        return True
    return bool(set(own) & set(addresses))
