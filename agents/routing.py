"""Where a task goes that this instance cannot do, or that a dead one leaves behind."""

from __future__ import annotations

from collections.abc import Mapping

from coordination.keys import Keys
from coordination.registry import ANY, Registry

Capabilities = Mapping[str, Mapping[str, list[str]]]  # task type -> capability -> values


class Router:
    """Sends tasks to the shared queue, to a capable instance, or to the type's unrouted queue until there is one.

    Args:
        keys: Names the queues.
        registry: Who can do what.
        capabilities: This instance's own.
    """

    def __init__(self, keys: Keys, registry: Registry, capabilities: Capabilities) -> None:
        self._keys = keys
        self._registry = registry
        self._capabilities = capabilities

    def fits(self, task_type: str, requires: Mapping[str, str]) -> bool:
        """Whether this instance has every capability that a task requires."""
        has = self._capabilities.get(task_type, {})
        return all(
            wanted in has.get(capability, ()) or ANY in has.get(capability, ())
            for capability, wanted in requires.items()
        )

    def target(self, task_type: str, requires: Mapping[str, str], leaving: str = "") -> str:
        """The queue for a task; without requirements the shared high one, because it has waited already.

        Args:
            task_type: Of the task.
            requires: Capabilities it needs.
            leaving: An instance that shall not get it.
        """
        if not requires:
            return self._keys.agent_queue(task_type, "high")
        chosen = self._registry.choose(task_type, requires, "least_loaded")
        if chosen is None or chosen == leaving:
            return self._keys.unrouted(task_type)
        return self._keys.instance_queue(task_type, chosen)
