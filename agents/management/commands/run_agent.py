"""``manage.py run_agent``: serve task types until told to stop."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from agents.gateway import Gateway
from agents.handlers import handlers
from agents.service import serve
from agents.worker import DEFAULT_CONCURRENCY, AgentWorker
from coordination import catalog, logs, readiness
from coordination.config import current
from coordination.errors import SettingsError


class Command(BaseCommand):
    """Runs an agent worker."""

    help = "Serve task types: take their tasks from the queues, run their handlers, report the results."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Say what can be chosen."""
        parser.add_argument("types", nargs="*", help="task types to serve, as: classify extract")
        parser.add_argument(
            "--all-of", "--module", dest="modules", action="append", default=[], metavar="APPLICATION",
            help="serve every task type that an application or module declares, as: examples.legal_review",
        )  # fmt: skip
        parser.add_argument("--concurrency", type=int, default=DEFAULT_CONCURRENCY, help="tasks at once")
        parser.add_argument("--processes", type=int, default=None, help="of them CPU-bound; default: processors")
        parser.add_argument("--name", default="", help="first part of the instance's name")
        parser.add_argument("--gateway", action="store_true", help="run the registered remote agents instead")

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until SIGTERM or SIGINT, then drain."""
        logs.configure()
        try:
            config = current()
            catalog.discover()
            if options["gateway"]:
                if options["types"] or options["modules"]:
                    raise SettingsError("--gateway serves the registered remote agents: name no types with it.")
                serve(lambda: Gateway(config, name=options["name"] or "gateway", ready=readiness.announce))
                return
            types = chosen(options["types"], options["modules"])
            serve(
                lambda: AgentWorker(
                    types,
                    name=options["name"] or "agent",
                    concurrency=options["concurrency"],
                    processes=options["processes"],
                    config=config,
                    ready=readiness.announce,
                )
            )
        except SettingsError as error:
            self.stderr.write(str(error))
            sys.exit(2)


def chosen(types: list[str], modules: list[str]) -> list[str]:
    """The task types to serve, each once.

    Raises:
        SettingsError: An application declares none, or none is named at all.
    """
    found = dict.fromkeys(types)
    for module in modules:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise SettingsError(f"--all-of {module}: it cannot be imported: {error}.") from None
        inside = [
            name
            for name, handler in handlers().items()
            if handler.function.__module__ == module or handler.function.__module__.startswith(f"{module}.")
        ]
        if not inside:
            known = ", ".join(sorted(handlers())) or "none"
            raise SettingsError(f"--all-of {module}: it declares no agents. Known task types: {known}.")
        found.update(dict.fromkeys(inside))
    if not found:
        known = ", ".join(sorted(handlers())) or "none"
        raise SettingsError(f"Name the task types to serve. Known: {known}.")
    return list(found)
