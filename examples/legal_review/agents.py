"""The agents of the legal review.

Handlers import their heavy libraries when they run: coordinator hosts import this module too, for
the types alone.
"""

from __future__ import annotations

from typing import Literal

from agents import Task, agent
from coordination import files
from coordination.errors import BadRequest, FinalError
from examples.legal_review.shapes import (
    KIND_TITLES,
    Classified,
    Contents,
    Document,
    Facts,
    Issue,
    Kind,
    Material,
    Summary,
)

INLINE = 20_000  # characters; longer texts are stored as a file and passed by reference


@agent("read", timeout_s=40, cpu_bound=True, version="1")  # a process of its own: a hostile file can be killed
def read(task: Task, document: Document) -> Contents:
    """The words of a document.

    Raises:
        FinalError: There is nothing to read; a person can supply the words or another file.
    """
    from examples.legal_review import documents

    if document.text.strip():
        text = documents.tidy(document.text)
        replaces_file = document.file is not None  # a person typed what the file does not give
        pages = text.count(documents.PAGE_BREAK) + 1
        return _contents(text, pages, "person" if replaces_file else "document", document.name)
    if document.file is None:
        raise FinalError("The review was submitted without a document. Edit the input and supply its text.")
    task.progress(note=f"reading {document.file.name}")
    try:
        reading = documents.read(files.read(document.file))
    except documents.UnreadableDocument as error:
        details: dict[str, object] = {"file": document.file.name, "bytes": document.file.size, "why": error.code}
        raise FinalError(f"{document.file.name}: {error}", details=details) from error
    except BadRequest as error:
        raise FinalError(str(error)) from error
    return _contents(reading.text, reading.pages, "document", document.file.name)


@agent("classify", timeout_s=30, version="1")
def classify(contents: Contents) -> Kind:
    """The kind of a contract; trains the classifier when that has not been done."""
    from examples.legal_review import classification

    return classification.classify(words_of(contents))


@agent("extract", capabilities={"kind": list(KIND_TITLES)}, timeout_s=30, cpu_bound=True, version="1")
def extract(classified: Classified) -> Facts:
    """Parties, dates, amounts, governing law, term and citations."""
    from examples.legal_review import extraction

    return extraction.extract(words_of(classified.contents))


@agent("validate", timeout_s=30, version="1")
def validate(classified: Classified) -> list[Issue]:
    """What a lawyer should look at."""
    from examples.legal_review import validation

    return validation.validate(words_of(classified.contents), classified.kind.name)


@agent("summarize", timeout_s=30, version="1")
def summarize(material: Material) -> Summary:
    """The agreement in one line and in its own sentences."""
    from examples.legal_review import summary

    return summary.summarize(words_of(material.contents), material.kind, material.facts)


def words_of(contents: Contents) -> str:
    """The text itself, wherever it is kept.

    Raises:
        FinalError: It is not where it was stored.
    """
    if contents.text or contents.stored is None:
        return contents.text
    try:
        return files.read(contents.stored).decode()
    except BadRequest as error:
        raise FinalError(str(error)) from error


def _contents(text: str, pages: int, source: Literal["person", "document"], name: str) -> Contents:
    words = len(text.split())
    if len(text) <= INLINE:
        return Contents(text=text, pages=pages, source=source, counted=words)
    stored = files.put(text.encode(), f"{name}.txt", "text/plain")
    return Contents(pages=pages, source=source, counted=words, stored=stored)
