"""Documents too large for a payload: stored once by content, passed by reference."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import msgspec

from coordination.config import current
from coordination.errors import BadRequest, PayloadTooLarge


class FileRef(msgspec.Struct, frozen=True):
    """Names a stored document; safe to put into payloads."""

    sha256: str
    name: str
    size: int  # bytes
    media_type: str = "application/octet-stream"


def _folder() -> Path:
    return current().home / "files"


def _path(sha256: str) -> Path:
    if len(sha256) != 64 or not all(character in "0123456789abcdef" for character in sha256):
        raise BadRequest(f"{sha256!r} does not name a stored document.")
    return _folder() / sha256[:2] / sha256


def put(data: bytes, name: str, media_type: str = "application/octet-stream") -> FileRef:
    """Store a document durably; the same content is stored once.

    Raises:
        PayloadTooLarge: It is larger than GANGLION_DOCUMENT_BYTES.
        BadRequest: The disk does not take it.
    """
    limit = current().document_bytes
    if len(data) > limit:
        raise PayloadTooLarge(f"{name} has {len(data):,} bytes; documents may have {limit:,} at most.")
    sha256 = hashlib.sha256(data).hexdigest()
    path = _path(sha256)
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(file.name).replace(path)
    except OSError as error:
        raise BadRequest(f"{name} could not be stored in {_folder()}: {error.strerror}.") from error
    return FileRef(sha256, name[:200], len(data), media_type)


def read(ref: FileRef) -> bytes:
    """Read a stored document.

    Raises:
        BadRequest: It is not there: agents must see the same GANGLION_HOME as the console.
    """
    try:
        return _path(ref.sha256).read_bytes()
    except OSError as error:
        raise BadRequest(
            f"{ref.name} is not in {_folder()}: {error.strerror}. Agents must share GANGLION_HOME with the console."
        ) from error
