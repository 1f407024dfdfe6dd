"""What this process can do: the workflow types and task types of the installed applications."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from coordination.errors import SettingsError, UnknownWorkflowType

if TYPE_CHECKING:
    from coordination.coordinator import DistributedCoordinator


class TaskType(msgspec.Struct, frozen=True):
    """A task type that an installed application's agent handles."""

    name: str
    input_type: Any = Any
    output_type: Any = Any
    timeout_s: float | None = None
    max_retries: int | None = None


_tasks: dict[str, TaskType] = {}
_workflows: dict[str, dict[int, type[DistributedCoordinator]]] = {}


def task(
    name: str,
    input_type: Any = Any,
    output_type: Any = Any,
    *,
    timeout_s: float | None = None,
    max_retries: int | None = None,
) -> TaskType:
    """Note what a task type takes and gives; a later call for the same name replaces an earlier."""
    _tasks[name] = TaskType(name, input_type, output_type, timeout_s, max_retries)
    return _tasks[name]


def task_type(name: str) -> TaskType | None:
    """A task type known in this process."""
    return _tasks.get(name)


def task_types() -> dict[str, TaskType]:
    """Every task type known in this process."""
    return dict(_tasks)


def workflow(cls: type[DistributedCoordinator]) -> None:
    """Note a workflow type under its name and version."""
    _workflows.setdefault(cls.type_name, {})[cls.version] = cls


def workflow_types() -> dict[str, dict[int, type[DistributedCoordinator]]]:
    """Every workflow type known in this process, by name and version."""
    return _workflows


def newest(type_name: str) -> type[DistributedCoordinator]:
    """The newest version of a workflow type, which new workflows get.

    Raises:
        UnknownWorkflowType: Nothing installed defines it; names what may have been meant.
    """
    if type_name not in _workflows:
        discover()
    versions = _workflows.get(type_name)
    if not versions:
        near = difflib.get_close_matches(type_name, _workflows, 1)
        meant = f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(sorted(_workflows)) or 'none'}."
        raise UnknownWorkflowType(f"No installed application defines the workflow type {type_name!r}.{meant}")
    return versions[max(versions)]


def find(type_name: str, version: int) -> type[DistributedCoordinator] | None:
    """The code for one version of a workflow type, if this process has it."""
    return _workflows.get(type_name, {}).get(version)


def _applications() -> Iterable[str]:
    listed = os.environ.get("GANGLION_APPS")
    if listed is not None:
        return [name.strip() for name in listed.split(",") if name.strip()]
    django_apps = importlib.import_module("django.apps").apps
    return [config.name for config in django_apps.get_app_configs()] if django_apps.ready else []


def discover() -> None:
    """Import ``workflows`` and ``agents`` of every installed application, as Celery does ``tasks``.

    Applications are Django's, or those that ``GANGLION_APPS`` lists.

    Raises:
        SettingsError: ``GANGLION_APPS`` names something that cannot be imported.
    """
    for application in _applications():
        if application in ("agents", "coordination"):
            continue
        for module in ("workflows", "agents"):
            try:
                found = importlib.util.find_spec(f"{application}.{module}")
            except ModuleNotFoundError as error:
                raise SettingsError(
                    f"GANGLION_APPS names {application!r}, which cannot be imported: {error}."
                ) from None
            if found is not None:
                importlib.import_module(f"{application}.{module}")
