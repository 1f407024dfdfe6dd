"""Handlers: what an application declares with ``@agent``, with its types taken from the annotations."""

from __future__ import annotations

import difflib
import inspect
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from agents.task import Task
from coordination import catalog
from coordination.domain import ErrorInfo
from coordination.errors import SettingsError

Function = TypeVar("Function", bound=Callable[..., Any])

_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")

encode = msgspec.json.Encoder().encode


class InvalidInput(Exception):
    """The task's input does not have the declared shape."""


class InvalidResult(Exception):
    """The handler returned something of another shape than it declares."""


class Handler:
    """One task type's handler: turns the bytes of an input into the bytes of a valid result, or raises.

    Attributes:
        name: The task type.
        function: What the application wrote.
        kind: ``async``, ``thread`` or ``process``.
        capabilities: Capability to values; ``requires=`` selects by them.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        *,
        capabilities: Mapping[str, Iterable[str]] | None = None,
        timeout_s: float | None = None,
        cpu_bound: bool = False,
        version: str = "",
        input_type: Any = None,
        output_type: Any = None,
    ) -> None:
        if not _NAME.fullmatch(name):
            raise SettingsError(
                f"{name!r} is no name for a task type: use lower-case letters, digits, '_', '.' and '-', "
                "starting with a letter, at most 64 characters."
            )
        self.name = name
        self.function = function
        self.capabilities = {key: [str(value) for value in values] for key, values in (capabilities or {}).items()}
        self.timeout_s = timeout_s
        self.version = version
        asynchronous = inspect.iscoroutinefunction(function)
        if cpu_bound and asynchronous:
            raise SettingsError(f"Agent {name!r} is cpu_bound, so it runs in a process: write it as a plain def.")
        self.kind = "process" if cpu_bound else "async" if asynchronous else "thread"
        self._takes_task, self._takes_input, self.input_type, self.output_type = _signature(name, function)
        if input_type is not None:
            self.input_type = input_type
        if output_type is not None:
            self.output_type = output_type
        try:
            self._decode = msgspec.json.Decoder(self.input_type).decode
            self._verify = msgspec.json.Decoder(self.output_type).decode
        except TypeError as error:
            raise SettingsError(
                f"Agent {name!r}: its annotations are not types that JSON can carry: {error}."
            ) from None

    def arguments(self, task: Task, payload: bytes) -> tuple[Any, ...]:
        """The handler's arguments for an input.

        Raises:
            InvalidInput: Says in words what does not fit and where.
        """
        try:
            value = self._decode(payload or b"null")
        except msgspec.MsgspecError as error:
            raise InvalidInput(f"The input of task {self.name!r} does not fit: {_words(error)}.") from None
        if self._takes_task:
            return (task, value) if self._takes_input else (task,)
        return (value,) if self._takes_input else ()

    def result(self, value: Any, limit_bytes: int) -> bytes:
        """The JSON of a handler's return value, checked against the declared type and the limit.

        Raises:
            InvalidResult: Says in words what does not fit.
        """
        try:
            raw = encode(value)
        except (TypeError, ValueError, msgspec.MsgspecError) as error:
            raise InvalidResult(f"Agent {self.name!r} returned a value that JSON cannot carry: {error}.") from None
        self.check(raw, limit_bytes)
        return raw

    def check(self, raw: bytes, limit_bytes: int) -> None:
        """Check a result that is JSON already."""
        if len(raw) > limit_bytes:
            raise InvalidResult(
                f"Agent {self.name!r} returned {len(raw):,} bytes; the limit is {limit_bytes:,} "
                "(GANGLION_PAYLOAD_BYTES): store large documents as files and return the reference."
            )
        try:
            self._verify(raw)
        except msgspec.MsgspecError as error:
            raise InvalidResult(
                f"Agent {self.name!r} returned another shape than it declares: {_words(error)}."
            ) from None

    def schemas(self) -> dict[str, Any]:
        """JSON Schemas of input and output, for the registry and the operators' forms."""
        return {"input": json_schema(self.input_type), "output": json_schema(self.output_type)}


def json_schema(of: Any) -> dict[str, Any]:
    """The JSON Schema of a type; ``{}``, which fits everything, when it has none."""
    try:
        return msgspec.json.schema(of)
    except TypeError:
        return {}


def invalid(error: InvalidInput | InvalidResult) -> ErrorInfo:
    """The failure as it is stored: an input stays wrong, a result may be right next time."""
    return ErrorInfo(type(error).__name__, str(error), retryable=isinstance(error, InvalidResult))


def _words(error: Exception) -> str:
    """A validation message of msgspec without its notation for the root: ``$.name`` becomes ``name``."""
    text = str(error).rstrip(".")
    return re.sub(r" - at `(key in )?\$\.?(.*?)`$", lambda m: f" at {m[1] or ''}`{m[2] or 'the top'}`", text)


def _signature(name: str, function: Callable[..., Any]) -> tuple[bool, bool, Any, Any]:
    """Whether the function takes a task and an input, and the types of input and result."""
    parameters = [
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name not in ("self", "cls")
    ]
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.KEYWORD_ONLY) for p in parameters) or len(parameters) > 2:
        raise SettingsError(f"Agent {name!r} must take a task, an input, or both: (task: Task, document: Document).")
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise SettingsError(
            f"Agent {name!r}: its annotations cannot be read: {error}. Define the types first."
        ) from None
    takes_task = bool(parameters) and (hints.get(parameters[0].name) is Task or parameters[0].name == "task")
    rest = parameters[1:] if takes_task else parameters
    if len(rest) > 1:
        raise SettingsError(f"Agent {name!r}: of two parameters the first is the task; name it so: (task: Task, …).")
    input_type = hints.get(rest[0].name, Any) if rest else Any
    return takes_task, bool(rest), input_type, hints.get("return", Any)


# --- those of this process ----------------------------------------------------------

_handlers: dict[str, Handler] = {}


def register(handler: Handler) -> Handler:
    """Make a handler known to this process under its task type.

    Raises:
        SettingsError: Another function handles the type already.
    """
    known = _handlers.get(handler.name)
    if known is not None and _origin(known.function) != _origin(handler.function):
        raise SettingsError(
            f"Task type {handler.name!r} has two agents: {_origin(known.function)} and {_origin(handler.function)}. "
            "Rename one of them."
        )
    _handlers[handler.name] = handler
    catalog.task(handler.name, handler.input_type, handler.output_type, timeout_s=handler.timeout_s)
    return handler


def _origin(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def handlers() -> dict[str, Handler]:
    """The handlers of this process by task type."""
    return dict(_handlers)


def find(task_type: str) -> Handler:
    """The handler of a task type.

    Raises:
        SettingsError: No installed application has one; names what may have been meant.
    """
    try:
        return _handlers[task_type]
    except KeyError:
        near = difflib.get_close_matches(task_type, _handlers, 1)
        meant = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sorted(_handlers)) or 'none'}."
        raise SettingsError(f"No installed application has an agent for the task type {task_type!r}. {meant}") from None


def agent(
    name: str,
    *,
    capabilities: Mapping[str, Iterable[str]] | None = None,
    timeout_s: float | None = None,
    cpu_bound: bool = False,
    version: str = "",
) -> Callable[[Function], Function]:
    """Declare a function as the agent for a task type; the function itself stays as it is.

    Args:
        name: The task type.
        capabilities: What this agent can do, as ``{"kind": ["nda", "lease"]}``.
        timeout_s: Default time limit of one attempt, from the claim.
        cpu_bound: Run in a process of its own, which a timeout or a cancel kills.
        version: Shown in the registry.
    """

    def declare(function: Function) -> Function:
        register(
            Handler(
                name, function, capabilities=capabilities, timeout_s=timeout_s, cpu_bound=cpu_bound, version=version
            )
        )
        return function

    return declare
