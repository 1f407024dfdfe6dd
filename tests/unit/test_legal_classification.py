"""The classifier of contracts: how often it is right, and how its model is kept."""

from __future__ import annotations

import subprocess
import sys

import pytest

from examples.legal_review import classification, documents
from examples.legal_review.samples import BY_SLUG, TEXTS

pytestmark = pytest.mark.once

KINDS = {
    "mutual-nda": "nda",
    "warehouse-lease": "lease",
    "services-agreement": "services",
    "loan-agreement": "loan",
    "employment-contract": "employment",
    "bill-of-sale": "purchase",
}


@pytest.fixture(scope="module")
def trained():
    return classification.train()


def test_held_out_paragraphs():
    """Single paragraphs, five folds: chance would be 14 %."""
    right = total = 0
    for fold in range(5):
        kept = {
            name: [text for at, text in enumerate(classification.paragraphs(name)) if at % 5 != fold]
            for name in classification.NAMES
        }
        learned = classification.train(classification.examples(kept))
        for name in classification.NAMES:
            for at, text in enumerate(classification.paragraphs(name)):
                if at % 5 == fold:
                    probabilities = learned.probabilities(text)
                    right += max(probabilities, key=lambda kind: probabilities[kind]) == name
                    total += 1
    assert total > 100
    assert right / total >= 0.8, f"{right} of {total}"


def test_held_out_runs_of_three_paragraphs():
    """What a page of a contract looks like."""
    right = total = 0
    for fold in range(5):
        kept = {
            name: [text for at, text in enumerate(classification.paragraphs(name)) if at // 3 != fold]
            for name in classification.NAMES
        }
        learned = classification.train(classification.examples(kept))
        for name in classification.NAMES:
            held = [text for at, text in enumerate(classification.paragraphs(name)) if at // 3 == fold]
            right += classification.judge(learned, " ".join(held)).name == name
            total += 1
    assert right / total >= 0.94, f"{right} of {total}"


@pytest.mark.parametrize(("slug", "kind"), KINDS.items())
def test_samples_which_the_training_never_saw(trained, slug, kind):
    found = classification.judge(trained, documents.read(BY_SLUG[slug].path.read_bytes()).text)
    assert found.name == kind
    assert found.confidence > 0.5


@pytest.mark.parametrize(("name", "kind"), [("machine-purchase", "purchase"), ("scanned-lease", "lease")])
def test_texts_of_the_samples_that_cannot_be_read(trained, name, kind):
    assert classification.judge(trained, (TEXTS / f"{name}.txt").read_text()).name == kind


@pytest.mark.parametrize("text", ["", "12345 %%%", "zzz qqq xxx", "Whisk the eggs with sugar and bake the cake."])
def test_what_is_no_contract_is_other(trained, text):
    assert classification.judge(trained, text).name == "other"


def test_training_is_repeatable(trained):
    assert classification.train() == trained


def test_the_model_is_stored_and_loaded_without_running_code(trained, tmp_path):
    path = tmp_path / "deep" / "kinds.json"
    classification.store(trained, path)
    assert classification.load(path) == trained
    assert path.read_bytes().startswith(b'{"digest"')


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\x80\x04cos\nsystem\n",
        b'{"digest": "x"}',
        b'{"digest":"D","names":["nda"],"idf":{"a":1.0},"weights":{"a":[1.0,2.0]},"intercepts":[0.0]}',
        b'{"digest":"D","names":["nda"],"idf":{"a":1.0},"weights":{"b":[1.0]},"intercepts":[0.0]}',
    ],
)
def test_a_damaged_model_counts_as_missing(damage, tmp_path):
    path = tmp_path / "kinds.json"
    path.write_bytes(damage.replace(b'"D"', f'"{classification.digest()}"'.encode()))
    assert classification.load(path) is None


def test_a_model_of_other_texts_counts_as_missing(trained, tmp_path, monkeypatch):
    path = tmp_path / "kinds.json"
    classification.store(trained, path)
    monkeypatch.setattr(classification, "digest", lambda: "another")
    assert classification.load(path) is None


def test_earlier_models_are_removed(trained, tmp_path):
    (tmp_path / "kinds-old.json").write_text("{}")
    classification.store(trained, tmp_path / "kinds-new.json")
    assert [path.name for path in tmp_path.iterdir()] == ["kinds-new.json"]


def test_the_command_trains_once_and_then_is_quick(config, monkeypatch):
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "config.settings")
    command = [sys.executable, "manage.py", "train_legal_review"]
    first = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Trained the classifier" in first.stdout
    second = subprocess.run(
        [*command[:1], "-X", "importtime", *command[1:]], capture_output=True, text=True, check=True
    )
    assert "up to date" in second.stdout
    assert "sklearn" not in second.stderr
