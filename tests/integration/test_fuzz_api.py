"""The API is called with whatever its own description allows, and with what it does not.

A short round with every run; ``GANGLION_FUZZ_EXAMPLES=200`` goes deeper, ``GANGLION_FUZZ_SEED`` elsewhere.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from tests.servers import RedisServer
from tests.web_process import WebProcess

EXAMPLES = int(os.environ.get("GANGLION_FUZZ_EXAMPLES", "2"))  # of each kind for each operation
SEED = int(os.environ.get("GANGLION_FUZZ_SEED", "20"))
LONGEST_S = 20.0
WANTED = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")


@pytest.fixture
def web(tmp_path: Path, own_redis: RedisServer) -> Iterator[WebProcess]:
    made = WebProcess(tmp_path, REDIS_URL=own_redis.url, GANGLION_EXTRA_APPS="tests.core_app").start()
    yield made
    made.stop()


@pytest.mark.once
@pytest.mark.timeout(3_600 if EXAMPLES > 2 else 300)
def test_every_operation_answers_as_its_description_says(web: WebProcess) -> None:
    headers = {"Authorization": f"Bearer {web.token()}"}
    known = _real_ids(web, headers)
    description = requests.get(f"{web.url}/api/openapi.json", timeout=10).json()
    schema = schemathesis.openapi.from_dict(description)
    schema.config.update(base_url=web.url)
    load_all_checks()
    checks = CHECKS.get_by_names(list(WANTED))
    chance = random.Random(SEED)
    broken: dict[str, str] = {}
    session = requests.Session()

    for result in schema.get_all_operations():
        operation = result.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @seed(SEED)
            @settings(
                max_examples=EXAMPLES, database=None, deadline=None, phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            @given(case=operation.as_strategy(generation_mode=mode))
            def call(case: Any) -> None:
                for name in case.path_parameters or {}:
                    if name in known and chance.random() < 0.7:
                        case.path_parameters[name] = known[name]
                if isinstance((case.query or {}).get("wait_s"), int | float):
                    case.query["wait_s"] = min(case.query["wait_s"], 0.05)  # it may wait for half a minute, as it says
                began = time.monotonic()
                response = case.call(session=session, headers=headers, timeout=LONGEST_S)
                assert time.monotonic() - began < LONGEST_S
                case.validate_response(response, checks=checks, headers=headers)

            try:
                call()
            except Exception as error:
                broken.setdefault(operation.label, _brief(error))
    assert not broken, "\n\n".join(f"{name}: {words}" for name, words in broken.items())
    assert "Traceback" not in web.log, web.log[-3000:]


def _real_ids(web: WebProcess, headers: dict[str, str]) -> dict[str, str]:
    """Objects that exist, so that calls reach beyond 404."""
    body = {"type": "core_open", "input": None}
    answer = requests.post(f"{web.url}/api/workflows", json=body, headers=headers, timeout=10)
    assert answer.status_code == 201, answer.text
    return {"workflow_id": answer.json()["id"], "task_type": "core_task"}


def _brief(error: BaseException) -> str:
    parts = [str(part) for part in getattr(error, "exceptions", [])] or [str(error)]
    return "\n".join(parts)[:900]
