"""What tests of the core ask for: settings of a test's own, and a world of hosts, agents and a client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from coordination import config as coordination_config
from coordination.config import Config
from tests.core_harness import World, world

Tune = Callable[..., Config]


@pytest.fixture
def tune(config: Config, monkeypatch: pytest.MonkeyPatch) -> Tune:
    """Change settings for this test, by field: ``tune(backoff_s=0.01)`` gives the new ones."""

    def change(**values: object) -> Config:
        for name, value in values.items():
            variable = "REDIS_URL" if name == "redis_url" else f"GANGLION_{name.upper()}"
            monkeypatch.setenv(variable, str(value))
        coordination_config.current.cache_clear()
        return coordination_config.current()

    change(backoff_s=0.01, backoff_max_s=0.05)
    return change


@pytest.fixture
async def core(tune: Tune) -> AsyncIterator[World]:
    """A client on the server; the test starts the hosts and agents that it wants."""
    async with world(coordination_config.current()) as made:
        yield made
