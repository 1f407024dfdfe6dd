"""Takes uploaded documents in: checks size and kind, stores by content, gives back a reference."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from typing import Any

from django.core.files.uploadedfile import UploadedFile

from coordination import files
from coordination.config import current
from coordination.errors import BadRequest

MEDIA_TYPES = {
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "txt": "text/plain",
    "csv": "text/csv",
    "json": "application/json",
}
_TEXTS = ("txt", "csv", "json")
_FOREIGN = (
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"II*\x00", "a picture"),
    (b"MM\x00*", "a picture"),
    (b"\xd0\xcf\x11\xe0", "a file of an old Office program"),
    (b"\x1f\x8b", "an archive"),
    (b"7z\xbc\xaf", "an archive"),
    (b"Rar!", "an archive"),
    (b"\x7fELF", "a program"),
    (b"{\\rtf", "a file in Rich Text Format"),
)
_FEW_NULS = 16  # so many make no text a binary file, however short it is


class DocumentRefused(BadRequest):
    """The document cannot be taken."""

    code = "document_refused"


def accept(upload: UploadedFile[Any] | None, kinds: Iterable[str] = ("pdf", "docx", "txt")) -> files.FileRef:
    """Store an uploaded document durably and return its reference.

    Args:
        upload: What the browser sent.
        kinds: Which of ``MEDIA_TYPES`` are welcome.

    Raises:
        DocumentRefused: Nothing was sent, or it is empty, too large, of another kind, or encrypted.
    """
    if upload is None:
        raise DocumentRefused("Choose a document first.")
    limit = current().document_bytes
    if upload.size is not None and upload.size > limit:
        raise DocumentRefused(_too_large(upload.name or "the document", upload.size, limit))
    return accept_bytes(upload.read(), upload.name or "document", kinds)


def accept_bytes(data: bytes, name: str, kinds: Iterable[str] = ("pdf", "docx", "txt")) -> files.FileRef:
    """``accept`` for a document that is already in memory."""
    welcome = tuple(kinds)
    name = name.replace("\\", "/").rpartition("/")[2].replace("\x00", "")[:200] or "document"
    limit = current().document_bytes
    if not data:
        raise DocumentRefused(f"{name} is empty.")
    if len(data) > limit:
        raise DocumentRefused(_too_large(name, len(data), limit))
    kind = _kind(data, name, welcome)
    if kind is None or kind not in welcome:
        said = f"looks like {kind.upper()}" if kind else f"is {_foreign(data)} that cannot be read"
        raise DocumentRefused(f"{name} {said}. Use {_either(welcome)}.")
    if kind == "pdf":
        _check_pdf(data, name)
    return files.put(data, name, MEDIA_TYPES[kind])


def _foreign(data: bytes) -> str:
    return next((words for start, words in _FOREIGN if data.startswith(start)), "of a kind")


def _kind(data: bytes, name: str, welcome: tuple[str, ...]) -> str | None:
    """What the bytes are; the name only tells kinds of text apart."""
    if b"%PDF-" in data[:1024]:
        return "pdf"
    if data[:4] == b"PK\x03\x04":
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                return "docx" if "word/document.xml" in archive.namelist() else None
        except zipfile.BadZipFile:
            return None
    if _foreign(data) != "of a kind":
        return None
    start = data[:65_536]
    if start.count(b"\x00") > max(_FEW_NULS, len(start) // 100) and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return None
    suffix = name.rpartition(".")[2].lower()
    suffix = "txt" if suffix in ("text", "md", "log") else suffix
    if suffix in _TEXTS:
        return suffix
    return next((kind for kind in _TEXTS if kind in welcome), "txt")


def _check_pdf(data: bytes, name: str) -> None:
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(io.BytesIO(data))
        locked = reader.is_encrypted and not reader.decrypt("")
        pages = 0 if locked else len(reader.pages)
    except (PyPdfError, ValueError, KeyError, TypeError, OSError, RecursionError) as error:
        raise DocumentRefused(f"{name} is a damaged PDF and cannot be read: {error}.") from None
    if locked:
        raise DocumentRefused(f"{name} is encrypted. Remove its password and upload it again.")
    if not pages:
        raise DocumentRefused(f"{name} is a PDF without pages.")


def _too_large(name: str, size: int, limit: int) -> str:
    return f"{name} has {size / 1_048_576:.1f} MiB; documents may have {limit / 1_048_576:.0f} MiB at most."


def _either(kinds: tuple[str, ...]) -> str:
    shown = [kind.upper() if kind != "txt" else "plain text" for kind in kinds]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"
