"""Settings, read once from the environment and checked.

Each field of ``Config`` is one environment variable: its name in capitals behind ``GANGLION_``;
only ``REDIS_URL`` stands alone. A wrong value raises ``SettingsError`` that names it.
"""

from __future__ import annotations

import functools
import math
import os
from pathlib import Path

import msgspec

from coordination.address import SENTINEL, sentinel_address, without_login
from coordination.errors import SettingsError


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting of the coordination core and of the agents, with its default."""

    redis_url: str = "redis://127.0.0.1:6379/0"
    home: Path = Path(".ganglion")
    prefix: str = ""  # put before every key; tests use one each
    shards: int = 8  # fixed for the life of the data

    # liveness; the article's 5 s and 15 s are heartbeat_s=5, suspicion_beats=3
    heartbeat_s: float = 0.2
    suspicion_beats: int = 4  # of the observer's own, without a sign of the peer
    agent_heartbeat_s: float = 0.5
    frozen_after_s: float = 60.0  # an agent that beats and is busy, but shows no sign of work for so long, is amber

    # coordinator hosts
    host_capacity: int = 20_000  # workflows in memory
    host_at_work: int = 1_000  # of them at work; above it no new ones are taken up
    park_after_s: float = 30.0  # a workflow that only waits leaves memory after this
    look_s: float = 30.0  # a running workflow's journal is looked at again at least this often
    blocked_s: float = 30.0  # a run() that blocks its host for so long ends the process
    drain_s: float = 10.0  # for stopping

    # tasks
    timeout_s: float = 30.0
    max_retries: int = 3
    backoff_s: float = 1.0  # doubled with each retry, with jitter
    backoff_max_s: float = 60.0
    no_agent_s: float = 60.0  # without a capable agent, a step escalates after this

    # remote agents
    remote_hosts: str = ""  # comma list of host names that the gateway may call, as agents.example.com,*.example.org
    remote_networks: str = ""  # comma list of private networks that it may reach, as 10.1.0.0/16

    # limits
    payload_bytes: int = 1_048_576
    journal_entries: int = 50_000
    backlog: int = 1_000_000  # queued workflows a deployment accepts
    memory_share: float = 0.9  # of maxmemory, above which new workflows are refused
    document_bytes: int = 33_554_432

    # retention
    result_ttl_s: int = 3_600  # a finished workflow's result stays in Redis after it is in the history
    history_days: int = 90
    durability: str = "memory"  # or fsync
    durable_replicas: int = 0  # that must have it on their disks too, for fsync
    debug: bool = False


def _convert(name: str, raw: str, kind: object) -> object:
    if kind is bool or kind == "bool":
        if raw.lower() in ("1", "true", "yes", "on"):
            return True
        if raw.lower() in ("0", "false", "no", "off", ""):
            return False
        raise ValueError("use 1 or 0")
    return msgspec.convert(raw, type=kind, strict=False)


def load(environ: dict[str, str] | None = None) -> Config:
    """Read the settings from the environment.

    Raises:
        SettingsError: A value does not fit; the message names the variable, its value and what fits.
    """
    environ = dict(os.environ) if environ is None else environ
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(Config):
        variable = "REDIS_URL" if field.name == "redis_url" else f"GANGLION_{field.name.upper()}"
        raw = environ.get(variable)
        if raw is None:
            continue
        try:
            values[field.name] = Path(raw) if field.name == "home" else _convert(variable, raw, field.type)
        except (ValueError, msgspec.ValidationError) as error:
            raise SettingsError(f"{variable}={raw!r} does not fit: {error}.") from None
    config = Config(**values)  # type: ignore[arg-type]
    own_server = config.home.absolute() / "redis.sock"
    if "redis_url" not in values and own_server.exists():  # bin/up runs on this folder
        config = msgspec.structs.replace(config, redis_url=f"unix://{own_server}")
    _check(config)
    return config


def _check(config: Config) -> None:
    may_be_zero = (
        "max_retries",
        "backoff_s",
        "backoff_max_s",
        "result_ttl_s",
        "drain_s",
        "no_agent_s",
        "durable_replicas",
    )
    for field in msgspec.structs.fields(Config):
        value = getattr(config, field.name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            continue
        if not (math.isfinite(value) and (value > 0 or (value == 0 and field.name in may_be_zero))):
            raise SettingsError(f"GANGLION_{field.name.upper()} must be greater than 0, not {value}.")
    if config.memory_share > 1:
        raise SettingsError(f"GANGLION_MEMORY_SHARE is a share of maxmemory, 1 at most, not {config.memory_share}.")
    if config.durability not in ("memory", "fsync"):
        raise SettingsError(f"GANGLION_DURABILITY must be memory or fsync, not {config.durability!r}.")
    _check_address(config.redis_url)


def _check_address(url: str) -> None:
    if url.startswith(SENTINEL):
        try:
            sentinel_address(url)
        except ValueError as error:
            raise SettingsError(f"REDIS_URL={without_login(url)!r} does not fit: {error}.") from None
    elif not url.startswith(("redis://", "rediss://", "unix://", "redis+cluster://")):
        raise SettingsError(
            f"REDIS_URL={url!r} is not a Redis address: use redis://, rediss://, unix://, redis+sentinel:// or"
            " redis+cluster://."
        )


@functools.cache
def current() -> Config:
    """The settings of this process."""
    return load()
