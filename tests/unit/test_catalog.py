"""What applications declare is found by name and version, and mistakes are named."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from coordination import DistributedCoordinator, catalog
from coordination.errors import InvalidPayload, PayloadTooLarge, SettingsError, UnknownWorkflowType


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    for name in [name for name in catalog.workflow_types() if name.startswith("catalog_")]:
        del catalog.workflow_types()[name]


class Input(msgspec.Struct):
    name: str


def test_names_types_and_versions_come_from_the_class() -> None:
    class CatalogHTTPReview2(DistributedCoordinator):
        version = 3

        async def run(self, given: Input) -> list[int]:
            return []

    found = catalog.newest("catalog_http_review2")
    assert found is CatalogHTTPReview2 and (found.input_type, found.result_type) == (Input, list[int])
    assert catalog.find("catalog_http_review2", 3) is CatalogHTTPReview2
    assert catalog.find("catalog_http_review2", 2) is None


def test_the_newest_version_gets_new_workflows() -> None:
    for number in (2, 10, 9):

        class CatalogMany(DistributedCoordinator):
            version = number

            async def run(self) -> None: ...

    assert catalog.newest("catalog_many").version == 10


def test_a_base_class_without_run_is_no_type() -> None:
    class CatalogBase(DistributedCoordinator):
        max_retries = 1

    class CatalogDerived(CatalogBase):
        type_name = "catalog_own_name"

        async def run(self) -> None: ...

    assert catalog.newest("catalog_own_name").max_retries == 1
    with pytest.raises(UnknownWorkflowType):
        catalog.newest("catalog_base")


def test_mistakes_are_named() -> None:
    with pytest.raises(SettingsError, match="async def"):

        class CatalogPlain(DistributedCoordinator):
            def run(self) -> None: ...  # type: ignore[override]

    with pytest.raises(SettingsError, match="one input at most"):

        class CatalogTwo(DistributedCoordinator):
            async def run(self, one: int, two: int) -> None: ...

    with pytest.raises(UnknownWorkflowType, match=r"Known: |Did you mean"):
        catalog.newest("xyzzy")


def test_applications_are_listed_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANGLION_APPS", " tests.core_app , ")
    catalog.discover()
    assert catalog.task_type("core_tick") is not None and catalog.newest("core_steps")
    monkeypatch.setenv("GANGLION_APPS", "tests.nowhere")
    with pytest.raises(SettingsError, match=r"names 'tests.nowhere'"):
        catalog.discover()


async def test_payloads_are_checked_where_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = DistributedCoordinator("w1")
    with pytest.raises(InvalidPayload, match="task 'x' cannot be written as JSON"):
        workflow.dispatch_task("x", object())
    with pytest.raises(PayloadTooLarge, match=r"files\.put"):
        workflow.dispatch_task("x", "y" * 2_000_000)
    call = workflow.dispatch_task("x", {"a": 1}, timeout_s=2, max_retries=0)
    assert (call.timeout_s, call.max_retries, call.payload) == (2, 0, b'{"a":1}')
    assert workflow.dispatch_task("x").max_retries == 3
