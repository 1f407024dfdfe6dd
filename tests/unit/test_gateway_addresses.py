"""Which addresses the gateway may call."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest

from agents import addresses
from agents.addresses import AddressRefused, Policy, check, refusal, split
from coordination.config import Config
from coordination.errors import RetryableError, SettingsError

OPEN = Policy(hosts=("agents.example.com", "*.example.org"))
DEBUG = Policy(debug=True, redis=(("127.0.0.1", 6379),))


def resolves_to(monkeypatch: pytest.MonkeyPatch, *found: str) -> list[str]:
    """Let every name lead to these addresses, as a DNS server may answer; returns the names asked for."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[Any]:
        asked.append(host)
        return [ipaddress.ip_address(address) for address in found]

    monkeypatch.setattr(addresses, "resolve", resolve)
    return asked


@pytest.mark.parametrize(
    "address",
    [
        "fec0::1", "3fff::1", "64:ff9b:1::7f00:1", "2002:7f00:1::", "::127.0.0.1",
        "169.254.169.254", "fe80::1", "fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16",
        "127.0.0.1", "::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1",
        "10.0.0.1", "172.16.3.4", "192.168.1.1", "100.64.0.1", "fc00::1", "198.18.0.1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
        "2002:a9fe:a9fe::", "2001:db8::1",
    ],
)  # fmt: skip
def test_addresses_that_are_no_public_hosts_are_refused(address: str) -> None:
    assert refusal(ipaddress.ip_address(address), OPEN)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert refusal(ipaddress.ip_address(address), OPEN) == ""


def test_a_named_private_network_is_allowed_but_never_metadata() -> None:
    policy = Policy(networks=(ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("169.254.0.0/16")))
    assert refusal(ipaddress.ip_address("10.1.2.3"), policy) == ""
    assert refusal(ipaddress.ip_address("10.2.2.3"), policy)
    assert "metadata" in refusal(ipaddress.ip_address("169.254.169.254"), policy)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://agents.example.com/", "https:///x", "agents.example.com", "https://u:p@agents.example.com/",
        "https://agents.example.com\\@evil/", "https://agents.example.com/ x", "https://agents.example.com:99999/",
        "javascript:alert(1)", "",
    ],
)  # fmt: skip
def test_what_is_no_plain_web_address_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        split(url)


def test_parts_of_an_address() -> None:
    assert split("https://Agents.Example.com./a/b?c=d#e") == ("https", "agents.example.com", 443, "/a/b?c=d")
    assert split("http://[::1]:8080") == ("http", "::1", 8080, "/")


async def test_every_address_behind_a_name_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, "93.184.216.34", "10.0.0.1")
    with pytest.raises(AddressRefused, match=r"leads to 10\.0\.0\.1, a private address"):
        await check("https://agents.example.com/run", OPEN)


async def test_the_checked_address_is_connected_to_under_the_names_host(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolves_to(monkeypatch, "93.184.216.34", "2606:2800:220:1::1")
    target = await check("https://agents.example.com:8443/run?x=1", OPEN)
    assert target.url == "https://93.184.216.34:8443/run?x=1"
    assert (target.host, target.netloc) == ("agents.example.com", "agents.example.com:8443")
    await check("https://agents.example.com:8443/run?x=1", OPEN)
    assert asked == ["agents.example.com", "agents.example.com"]  # anew for each call


async def test_only_listed_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, "93.184.216.34")
    await check("https://a.example.org/", OPEN)
    for url in ("https://evil.com/", "https://example.org.evil.com/", "https://agents.example.com.evil.com/"):
        with pytest.raises(AddressRefused, match="GANGLION_REMOTE_HOSTS"):
            await check(url, OPEN)
    with pytest.raises(AddressRefused, match="GANGLION_REMOTE_HOSTS"):
        await check("https://agents.example.com/", Policy())


async def test_http_only_to_this_machine_in_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, "93.184.216.34")
    with pytest.raises(AddressRefused, match="only https"):
        await check("http://agents.example.com/", OPEN)
    with pytest.raises(AddressRefused, match="only https"):
        await check("http://agents.example.com/", Policy(hosts=("*",), debug=True))
    resolves_to(monkeypatch, "127.0.0.1")
    assert (await check("http://localhost:9000/run", DEBUG)).url == "http://127.0.0.1:9000/run"
    with pytest.raises(AddressRefused, match="only https"):
        await check("http://localhost:9000/run", Policy(hosts=("*",)))
    with pytest.raises(AddressRefused, match="in debug only"):
        await check("https://localhost:9000/run", Policy(hosts=("*",)))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:6379/", "http://localhost:6379/", "http://[::1]:6379/", "http://2130706433:6379/"]
)
async def test_our_own_redis_is_never_reachable(url: str) -> None:
    with pytest.raises((AddressRefused, RetryableError)) as caught:
        await check(url, DEBUG)
    if isinstance(caught.value, AddressRefused):
        assert "own Redis" in str(caught.value)


async def test_a_redis_elsewhere_is_not_reachable_either(monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, "93.184.216.34")
    policy = Policy(hosts=("*",), redis=(("a.example.com", 1), ("redis.example.com", 443)))
    with pytest.raises(AddressRefused, match="own Redis"):
        await check("https://agents.example.com/", policy)


async def test_a_name_that_is_unknown_may_be_known_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nothing)
    with pytest.raises(RetryableError, match="cannot be resolved"):
        await check("https://agents.example.com/", OPEN)


def test_the_policy_comes_from_the_settings() -> None:
    policy = Policy.of(
        Config(remote_hosts="A.example.com, *.b.org", remote_networks="10.1.0.0/16", redis_url="redis://r.local:7000/1")
    )
    assert policy.hosts == ("a.example.com", "*.b.org")
    assert policy.redis == (("r.local", 7000),)
    watched = Config(redis_url="redis+sentinel://a:1,b/main")
    assert Policy.of(watched).redis == (("a", 1), ("b", 26_379))
    assert Policy.of(Config(redis_url="unix:///x.sock")).redis == ()
    with pytest.raises(SettingsError, match=r"GANGLION_REMOTE_NETWORKS: '10\.1' is no network"):
        Policy.of(Config(remote_networks="10.1"))
