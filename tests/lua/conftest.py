"""What tests of scripts ask for: a connection, and workflows made by the scripts themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from coordination.config import Config
from coordination.connection import Connection
from tests.lua_bench import Bench


@pytest.fixture
async def bench(config: Config) -> AsyncIterator[Bench]:
    """Calls scripts by name on keys of this test's own."""
    async with await Connection.open(config) as connection:
        yield Bench(connection)
