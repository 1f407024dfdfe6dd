"""What @agent takes from a function, and what is said when something does not fit."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agents import Task, agent
from agents.failures import describe
from agents.handlers import Handler, InvalidInput, InvalidResult, find, handlers
from coordination import catalog
from coordination.errors import FinalError, RetryableError, SettingsError
from tests.agent_samples import Document, Facts


def a_task() -> Task:
    return Task("w1", "2", 1, "t", "w1:2:0")


async def takes_both(task: Task, document: Document) -> Facts:
    return Facts(document.name)


def takes_input(document: Document) -> Facts:
    return Facts(document.name)


async def takes_task(task: Task) -> None: ...


def untyped(value):  # type: ignore[no-untyped-def]
    return value


def test_types_come_from_the_annotations() -> None:
    handler = Handler("t", takes_both)
    assert (handler.input_type, handler.output_type, handler.kind) == (Document, Facts, "async")
    task = a_task()
    assert handler.arguments(task, b'{"name": "a", "pages": 3}') == (task, Document("a", 3))
    assert Handler("t", takes_input).kind == "thread"
    assert Handler("t", takes_input).arguments(task, b'{"name": "a"}') == (Document("a"),)
    assert Handler("t", takes_task).arguments(task, b"null") == (task,)
    assert Handler("t", untyped).arguments(task, b'{"any": [1]}') == ({"any": [1]},)
    assert Handler("t", takes_input, cpu_bound=True).kind == "process"


def test_schemas_are_those_of_the_types() -> None:
    schemas = Handler("t", takes_both).schemas()
    assert schemas["input"]["$defs"]["Document"]["properties"]["pages"] == {"type": "integer", "default": 1}
    assert "Facts" in schemas["output"]["$defs"]
    assert Handler("t", untyped).schemas() == {"input": {}, "output": {}}


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b'{"name": 3}', "The input of task 't' does not fit: Expected `str`, got `int` at `name`."),
        (b"{}", "The input of task 't' does not fit: Object missing required field `name`."),
        (b"not json", "The input of task 't' does not fit: "),
    ],
)
def test_a_bad_input_is_told_in_words(payload: bytes, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Handler("t", takes_both).arguments(a_task(), payload)
    assert str(caught.value).startswith(words)
    info, _ = describe(caught.value)
    assert (info.kind, info.retryable) == ("InvalidInput", False)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"name": "x"}, "missing required field `title`"),
        (Facts(title=3), "Expected `str`, got `int` at `title`"),  # type: ignore[arg-type]
        (object(), "JSON cannot carry"),
        (Facts("x" * 200), "returned 220 bytes; the limit is 100"),
    ],
)
def test_a_wrong_result_is_retryable(value: Any, words: str) -> None:
    with pytest.raises(InvalidResult, match=words) as caught:
        Handler("t", takes_both).result(value, 100)
    info, _ = describe(caught.value)
    assert (info.kind, info.retryable) == ("InvalidResult", True)


def test_failures_are_trimmed() -> None:
    def deep(level: int) -> None:
        if level:
            deep(level - 1)
        raise ValueError("ä" * 9_000)

    with pytest.raises(ValueError) as caught:
        deep(90)
    info, after = describe(caught.value)
    assert len(msgspec.json.encode(info)) < 8_192
    assert (info.kind, info.retryable, after) == ("ValueError", True, None)
    assert "deep(level - 1)" in info.traceback or "ValueError" in info.traceback


def test_agents_say_whether_to_try_again() -> None:
    assert describe(RetryableError("busy", retry_after_s=3))[1] == 3
    info, _ = describe(FinalError("no pages", details={"pages": 0}))
    assert (info.retryable, info.message, info.details, info.traceback) == (False, "no pages", {"pages": 0}, "")
    info, _ = describe(FinalError("big", details={"all": "x" * 10_000}))
    assert info.details == {"omitted": "the details have 10,010 bytes; the limit is 1,800"}
    info, _ = describe(FinalError("odd", details={"all": object()}))
    assert "omitted" in info.details


def test_declaring_twice_is_refused() -> None:
    @agent("twice_declared", timeout_s=7)
    async def first(value: int) -> int:
        return value

    assert find("twice_declared").function is first
    known = catalog.task_type("twice_declared")
    assert known is not None and (known.input_type, known.timeout_s) == (int, 7)
    with pytest.raises(SettingsError, match="two agents"):

        @agent("twice_declared")
        async def second(value: int) -> int:
            return value

    with pytest.raises(SettingsError, match=r"Did you mean 'twice_declared'\?"):
        find("twice_declard")


@pytest.mark.parametrize("name", ["", "Upper", "with space", "{tag}", "a:b", "x" * 65])
def test_names_that_would_break_keys_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="no name for a task type"):
        Handler(name, takes_both)


def test_signatures_that_do_not_fit_are_refused() -> None:
    async def three(task: Task, a: int, b: int) -> None: ...

    async def two_inputs(a: int, b: int) -> None: ...

    async def keywords(*, a: int) -> None: ...

    async def cpu(a: int) -> None: ...

    for function in (three, two_inputs, keywords):
        with pytest.raises(SettingsError):
            Handler("t", function)
    with pytest.raises(SettingsError, match="plain def"):
        Handler("t", cpu, cpu_bound=True)


def test_a_subclass_declares_its_type() -> None:
    handler = handlers()["sample_subclass"]
    assert (handler.input_type, handler.output_type, handler.kind) == (Document, Facts, "async")
    assert handler.capabilities == {"language": ["en"]}


@pytest.mark.once
@pytest.mark.parametrize(("asked", "delay_s"), [(2.5, 2.5), (None, None), ("soon", None), (float("nan"), None)])
def test_a_delay_that_is_none_is_not_passed_on(asked: Any, delay_s: float | None) -> None:
    assert describe(RetryableError("busy", retry_after_s=asked))[1] == delay_s
