"""Run one relay."""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import Any

import uvloop
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from coordination.collecting import collect_seldom
from coordination.config import current
from coordination.connection import Connection
from coordination.errors import SettingsError
from coordination.readiness import announce
from dashboard.relay import Relay


class Command(BaseCommand):
    """Mirrors events from Redis into the history until it is stopped."""

    help = "Mirror what happens in Redis into the SQL history and tell open pages. SIGTERM finishes the batch at hand."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take a name."""
        parser.add_argument(
            "--name",
            default="relay",
            help="tells relays on one machine apart; the same after a restart (default: relay)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until SIGTERM or SIGINT."""
        try:
            config = current()
        except SettingsError as error:
            raise CommandError(str(error), returncode=2) from None
        connection_created.connect(_for_much_writing)
        collect_seldom()
        uvloop.run(_run(Connection.of(config), f"{options['name']}@{socket.gethostname()}"))


def _for_much_writing(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Have SQLite keep in memory what it notes to undo a single statement, and the pages of the indexes it changes.

    Rows that end were written long before when much waits: with the 2 MB of pages that it keeps by default the relay
    takes a sixth more time for each of 100,000.
    """
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA temp_store=MEMORY")
            cursor.execute("PRAGMA cache_size=-65536")  # KiB


async def _run(connection: Connection, name: str) -> None:
    relay = Relay(connection, name)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, relay.stop)
    try:
        await relay.run(announce)
    finally:
        await connection.close()
