"""The documents say what the code does: settings, states, links."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from coordination.config import Config
from coordination.domain import TRANSITIONS, Action, EscalationState, Reason, StepState, WorkflowState

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def _shown(default: object) -> str:
    match default:
        case True:
            return "`1`"
        case False:
            return "`0`"
        case "":
            return "none"
        case float():
            return f"`{default:g}`"
    return f"`{default}`"


def test_the_reference_has_every_setting_with_its_default() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| ([^|]+) \|", (ROOT / "docs/reference.md").read_text().split("## Settings")[1], re.M
    )
    expected = {
        ("REDIS_URL" if field.name == "redis_url" else f"GANGLION_{field.name.upper()}"): _shown(field.default)
        for field in msgspec.structs.fields(Config)
    }

    assert dict(rows) == expected


def test_the_lifecycle_has_every_state_reason_and_decision() -> None:
    text = (ROOT / "docs/lifecycle.md").read_text()

    for kind in (WorkflowState, StepState, Reason, Action):
        missing = [member.value for member in kind if f"`{member.value}`" not in text]
        assert not missing, missing
    assert all(state.value in text for state in EscalationState)


def test_the_lifecycle_has_the_table_of_transitions() -> None:
    text = (ROOT / "docs/lifecycle.md").read_text().split("`TRANSITIONS`")[1].split("## Step")[0]
    rows = dict(
        re.findall(r"^\| (`queued`|`running`|`waiting`|`needs_human`|`paused`) \| ((?:`|every)[^|]*) \|$", text, re.M)
    )

    for state, after in TRANSITIONS.items():
        if state.is_final:
            assert not after
        elif after == frozenset(WorkflowState) - {state}:
            assert rows[f"`{state}`"] == "every other state"
        else:
            assert set(re.findall(r"`(\w+)`", rows[f"`{state}`"])) == {one.value for one in after}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        found = (document.parent / path).resolve() if path else document
        assert found.exists(), f"{document.name}: {target}"
        if anchor and found.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", found.read_text(), re.M)
            assert anchor in {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}, target
