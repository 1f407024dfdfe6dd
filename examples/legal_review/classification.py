"""Telling the kind of a contract, by TF-IDF and logistic regression.

The classifier is trained from the texts in ``corpus/`` in about two seconds, when it is first
needed or by ``manage.py train_legal_review``. What it learned is stored as JSON below
``GANGLION_HOME`` under a digest of everything it depends on; loading it runs no code, and telling
a kind needs neither scikit-learn nor NumPy.
"""

# ruff: noqa: SIM905 - lists of words read better as words
from __future__ import annotations

import functools
import hashlib
import itertools
import math
import os
import re
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import get_args

import msgspec

from coordination import config
from examples.legal_review.shapes import Kind, KindName

CORPUS = Path(__file__).parent / "corpus"
NAMES: tuple[KindName, ...] = get_args(KindName)
UNSURE = 0.4  # below this confidence, a document is called "other"
_RECIPE = "3"  # change it when examples(), tokens() or train() change
_WINDOW = 250  # words; a long document is judged window by window
_WINDOWS = 40

_WORD = re.compile(r"[a-z]{2,}")
_STOP = frozenset(
    "the of and to in or for by on any be is shall with as this that not it its at an from which all such other will "
    "if each are has have may no than under upon may their was were been after before".split()
)

Example = tuple[str, KindName]


class Model(msgspec.Struct, frozen=True):
    """Everything needed to tell a kind: one weight for each term and kind."""

    digest: str
    names: list[KindName]
    idf: dict[str, float]
    weights: dict[str, list[float]]
    intercepts: list[float]

    def __post_init__(self) -> None:
        size = len(self.names)
        if len(self.intercepts) != size or any(len(row) != size for row in self.weights.values()):
            raise ValueError("the weights do not fit the kinds")
        if self.idf.keys() != self.weights.keys():
            raise ValueError("terms without weights")

    def probabilities(self, text: str) -> dict[KindName, float]:
        """How likely each kind is for a text, judged over windows spread evenly across it."""
        words = tokens(text)
        starts = range(0, max(len(words), 1), _WINDOW)
        step = max(1, math.ceil(len(starts) / _WINDOWS))
        scores = [0.0] * len(self.names)
        weight = 0.0
        for start in starts[::step]:
            window = words[start : start + _WINDOW]
            share = len(window) / _WINDOW if len(words) > _WINDOW else 1.0
            weight += share
            for index, score in enumerate(self._scores(window)):
                scores[index] += share * score
        mean = [score / (weight or 1.0) for score in scores]
        top = max(mean)
        raised = [math.exp(score - top) for score in mean]
        return {name: value / sum(raised) for name, value in zip(self.names, raised, strict=True)}

    def _scores(self, words: list[str]) -> list[float]:
        counts = Counter(term for term in terms(words) if term in self.idf)
        values = {term: (1 + math.log(count)) * self.idf[term] for term, count in counts.items()}
        norm = math.sqrt(sum(value * value for value in values.values())) or 1.0
        scores = list(self.intercepts)
        for term, value in values.items():
            for index, weight in enumerate(self.weights[term]):
                scores[index] += value / norm * weight
        return scores


def classify(text: str) -> Kind:
    """Tell the kind of a document; a doubtful one is "other"."""
    return judge(model(), text)


def judge(trained: Model, text: str) -> Kind:
    """Tell the kind of a document by a given model."""
    ranked = sorted(trained.probabilities(text).items(), key=lambda item: -item[1])
    best, confidence = ranked[0]
    if confidence < UNSURE and best != "other":
        return Kind("other", round(1 - confidence, 3), {name: round(p, 3) for name, p in ranked[:2]})
    others = {str(name): round(p, 3) for name, p in ranked[1:3] if p >= 0.02}
    return Kind(best, round(confidence, 3), others)


def tokens(text: str) -> list[str]:
    """The words that can tell kinds apart."""
    return [word for word in _WORD.findall(text.lower()) if word not in _STOP]


def terms(words: list[str]) -> list[str]:
    """Words and pairs of neighbouring words."""
    return words + [f"{a} {b}" for a, b in itertools.pairwise(words)]


# --- training --------------------------------------------------------------------------


def paragraphs(name: str) -> list[str]:
    """The paragraphs of one corpus file."""
    return [p.strip() for p in (CORPUS / f"{name}.txt").read_text(encoding="utf-8").split("\n\n") if p.strip()]


def examples(kept: dict[KindName, list[str]] | None = None) -> list[Example]:
    """Training texts: each paragraph alone, and runs of three with a clause that any contract has."""
    kept = {name: paragraphs(name) for name in NAMES} if kept is None else kept
    common = paragraphs("common")
    made: list[Example] = []
    for name, texts in kept.items():
        made += [(text, name) for text in texts]
        for index in range(len(texts)):
            run = [texts[(index + step) % len(texts)] for step in range(3)]
            if name != "other":
                run += [common[index % len(common)], common[(index * 3 + 1) % len(common)]]
            made.append((" ".join(run), name))
    return made


def train(made: list[Example] | None = None) -> Model:
    """Learn from examples; the same examples always give the same model."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    made = examples() if made is None else made
    vectorizer = TfidfVectorizer(analyzer=_analyse, sublinear_tf=True)
    vectors = vectorizer.fit_transform(text for text, _ in made)
    learned = LogisticRegression(C=30.0, max_iter=400).fit(vectors, [name for _, name in made])
    names = [name for name in NAMES if name in set(learned.classes_)]
    rows = {name: index for index, name in enumerate(learned.classes_)}
    order = [rows[name] for name in names]
    vocabulary: dict[str, int] = vectorizer.vocabulary_
    return Model(
        digest=digest(),
        names=names,
        idf={term: round(float(vectorizer.idf_[at]), 5) for term, at in vocabulary.items()},
        weights={term: [round(float(learned.coef_[row, at]), 5) for row in order] for term, at in vocabulary.items()},
        intercepts=[round(float(learned.intercept_[row]), 5) for row in order],
    )


def _analyse(text: str) -> list[str]:
    return terms(tokens(text))


# --- the stored model ---------------------------------------------------------------------


@functools.cache
def digest() -> str:
    """Identifies what a model depends on: the training texts, this recipe and scikit-learn's version."""
    seen = hashlib.sha256(f"{_RECIPE} {version('scikit-learn')}".encode())
    for path in sorted(CORPUS.glob("*.txt")):
        seen.update(path.name.encode() + b"\0" + path.read_bytes())
    return seen.hexdigest()[:16]


def model_path() -> Path:
    """Where the model for the present texts is stored."""
    return config.current().home / "legal_review" / f"kinds-{digest()}.json"


def load(path: Path) -> Model | None:
    """The stored model, or ``None`` when it is missing, damaged or made from other texts."""
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=Model)
    except (OSError, ValueError):
        return None
    return stored if stored.digest == digest() else None


def store(trained: Model, path: Path) -> None:
    """Write the model whole or not at all, and remove those of earlier texts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, suffix=".draft")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(trained))
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    for earlier in path.parent.glob("kinds-*.json"):
        if earlier != path:
            earlier.unlink(missing_ok=True)


@functools.cache
def model() -> Model:
    """This process's model: the stored one, or a new one that is stored when the disk allows it."""
    path = model_path()
    found = load(path)
    if found is None:
        found = train()
        try:
            store(found, path)
        except OSError:
            pass  # a read-only home costs two seconds in each process, and no review
    return found
