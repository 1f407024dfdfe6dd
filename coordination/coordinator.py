"""``DistributedCoordinator``: what engineers write to describe a workflow."""

from __future__ import annotations

import contextlib
import inspect
import re
import typing
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec

from coordination import catalog
from coordination.calls import (
    ChildCall,
    GatherCall,
    HumanCall,
    ProgressCall,
    RecordCall,
    SignalCall,
    SleepCall,
    TaskCall,
)
from coordination.config import current
from coordination.errors import InvalidPayload, PayloadTooLarge, ProgramError, SettingsError, StepFailed
from coordination.keys import PRIORITIES

STRATEGIES = (None, "round_robin", "least_loaded")

_encode = msgspec.json.Encoder().encode


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def encode_payload(value: Any, what: str) -> bytes:
    """Encode a value as JSON within the payload limit.

    Raises:
        PayloadTooLarge: Says how large it is and what to do.
        InvalidPayload: JSON cannot carry it.
    """
    try:
        raw = _encode(value)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise InvalidPayload(f"{what} cannot be written as JSON: {error}.") from None
    limit = current().payload_bytes
    if len(raw) > limit:
        raise PayloadTooLarge(
            f"{what} has {len(raw):,} bytes of JSON; {limit:,} are allowed. "
            "Store it with coordination.files.put() and pass the reference."
        )
    return raw


class DistributedCoordinator:
    """One coordinator for each workflow; ``run()`` is replayed from the journal after a crash.

    ``run()`` must be deterministic: it awaits only methods of this class, and takes time,
    randomness and side effects from ``now()`` and ``record()``.

    Attributes:
        type_name: Name of the workflow type; by default the class name in snake case.
        version: Raise it when a change to ``run()`` must not touch workflows under way, and keep the
            old class with the old version.
        max_retries: Retries after the first attempt of a task.
        timeout_s: Seconds an attempt may take from the moment an agent claims it.
        deadline_s: Seconds the whole workflow may take, or None.
        workflow_id: This workflow's id.
    """

    type_name: ClassVar[str]
    version: ClassVar[int] = 1
    max_retries: ClassVar[int | None] = None
    timeout_s: ClassVar[float | None] = None
    deadline_s: ClassVar[float | None] = None
    input_type: ClassVar[Any] = None
    result_type: ClassVar[Any] = Any

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "run" not in cls.__dict__:
            return
        if "type_name" not in cls.__dict__:
            cls.type_name = _snake_case(cls.__name__)
        if not inspect.iscoroutinefunction(cls.run):
            raise SettingsError(f"{cls.__qualname__}.run must be declared with 'async def'.")
        parameters = list(inspect.signature(cls.run).parameters.values())[1:]
        if len(parameters) > 1:
            raise SettingsError(f"{cls.__qualname__}.run takes one input at most: put several values into one struct.")
        hints = typing.get_type_hints(cls.run)
        cls.input_type = hints.get(parameters[0].name, Any) if parameters else None
        cls.result_type = hints.get("return", Any)
        catalog.workflow(cls)

    def __init__(self, workflow_id: str) -> None:
        self.workflow_id = workflow_id
        self._now_ms = 0
        self._compensations: list[TaskCall] = []

    async def run(self, *args: Any) -> Any:
        """Describe the workflow; takes its input, returns its result."""
        raise NotImplementedError(f"{type(self).__qualname__} does not define run().")

    # --- steps ---------------------------------------------------------------------

    def dispatch_task(
        self,
        task_type: str,
        payload: Any = None,
        *,
        timeout_s: float | None = None,
        max_retries: int | None = None,
        requires: dict[str, str] | None = None,
        priority: str = "normal",
        strategy: str | None = None,
        queue_timeout_s: float | None = None,
        returns: Any = None,
        agent: str = "",
    ) -> TaskCall:
        """Give a task to the agent pool; awaiting it gives the first valid result of any attempt.

        Args:
            task_type: Which agents take it.
            payload: A msgspec struct or JSON built-ins.
            timeout_s: From an agent's claim; time in the queue does not count.
            max_retries: Attempts after the first before people are asked.
            requires: Capabilities the agent must have, as ``{"kind": "nda"}``.
            priority: high, normal or low.
            strategy: None for the shared queue, or round_robin, or least_loaded.
            queue_timeout_s: Seconds in the queue after which people are asked; pausing stops it.
            returns: Type of the result; by default what the agent declares.
            agent: The instance, or the name of instances, that the first attempt goes to while it is there.

        Raises:
            PayloadTooLarge: Store it as a file and pass the reference.
            ProgramError: There is no such priority or strategy.
            StepFailed: An operator ended the step as failed.
        """
        _one_of("priority", priority, PRIORITIES)
        _one_of("strategy", strategy, STRATEGIES)
        known = catalog.task_type(task_type)
        if returns is None:
            returns = known.output_type if known else Any
        limit = timeout_s or (known and known.timeout_s) or self.timeout_s or current().timeout_s
        retries = max_retries
        for default in (known.max_retries if known else None, self.max_retries, current().max_retries):
            retries = default if retries is None else retries
        return TaskCall(
            task_type,
            encode_payload(payload, f"The payload for task {task_type!r}"),
            timeout_s=limit,
            max_retries=retries or 0,
            requires=requires,
            priority=priority,
            strategy=strategy,
            queue_timeout_s=queue_timeout_s,
            returns=returns,
            agent=agent,
        )

    def gather(self, *members: Awaitable[Any]) -> GatherCall:
        """Await several side by side; gives their values in order, or raises the first error when all have ended."""
        return GatherCall(members)

    def sleep(self, seconds: float) -> SleepCall:
        """Wait; survives restarts and keeps no memory when long."""
        return SleepCall(seconds)

    def wait_for_signal(self, name: str, *, timeout_s: float | None = None, returns: Any = Any) -> SignalCall:
        """Wait for a signal, which may have come before.

        Raises:
            SignalTimeout: It did not come in time.
        """
        return SignalCall(name, timeout_s, returns)

    def ask_human(
        self,
        question: str,
        *,
        returns: Any = Any,
        schema: dict[str, Any] | None = None,
        context: Any = None,
        label: str = "",
    ) -> HumanCall:
        """Ask people; opens one escalation, whose form comes from ``returns`` or ``schema``."""
        if schema is not None:
            encode_payload(schema, "The schema of a question")
        elif returns is not Any:
            schema = msgspec.json.schema(returns)
        shown = None if context is None else encode_payload(context, "The context of a question")
        return HumanCall(question, returns, schema, shown, label or question[:80])

    def record(self, name: str, fn: Callable[[], Any]) -> RecordCall:
        """Run ``fn`` here, at least once, and keep its value for every replay."""
        return RecordCall(name, fn)

    def start_child(
        self,
        workflow: str | type[DistributedCoordinator],
        payload: Any = None,
        *,
        wait: bool = True,
        returns: Any = None,
    ) -> ChildCall:
        """Start another workflow exactly once; awaiting gives its result, or its id when not waiting.

        Raises:
            ChildFailed: It failed or was cancelled.
        """
        name = workflow if isinstance(workflow, str) else workflow.type_name
        if returns is None:
            versions = catalog.workflow_types().get(name)
            returns = versions[max(versions)].result_type if versions else Any
        return ChildCall(name, encode_payload(payload, f"The input of child {name!r}"), wait, returns)

    def progress(self, note: str) -> ProgressCall:
        """Tell people how far the workflow is."""
        return ProgressCall(note)

    def compensate(self, task_type: str, payload: Any = None, **options: Any) -> None:
        """Note a task that undoes what was done; all run in reverse when the workflow fails or is cancelled."""
        call = self.dispatch_task(task_type, payload, **options)
        call.undoes = True
        self._compensations.append(call)

    def now(self) -> datetime:
        """The server's time at the last thing that happened; the same in every replay."""
        return datetime.fromtimestamp(self._now_ms / 1000, UTC)


def _one_of(option: str, value: Any, known: tuple[Any, ...]) -> None:
    if value not in known:
        names = ", ".join(map(repr, known))
        raise ProgramError(f"dispatch_task: {option}={value!r} does not exist; use one of {names}.")


async def main(coordinator: DistributedCoordinator, args: tuple[Any, ...]) -> Any:
    """``run()``, and after a failure its compensations in reverse; one that people end as failed stops no other."""
    try:
        return await coordinator.run(*args)
    except (Exception, SystemExit):
        while coordinator._compensations:
            with contextlib.suppress(StepFailed):
                await coordinator._compensations.pop()
        raise
