"""Reading a document's words, whatever its name claims it to be.

``read`` either returns text with its page breaks, or raises one ``UnreadableDocument`` that says
what is wrong and what to do; a damaged or hostile file never costs more than ``Limits`` allows.
"""

from __future__ import annotations

import io
import logging
import re
import time
import zipfile
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from coordination.errors import GanglionError
from examples.legal_review.passages import without_running_lines

if TYPE_CHECKING:
    from pypdf import PdfReader

PAGE_BREAK = "\f"


class Limits(NamedTuple):
    """What reading one document may cost."""

    file_bytes: int = 16 * 2**20
    pages: int = 400
    characters: int = 2_000_000
    unpacked_bytes: int = 64 * 2**20  # of a DOCX, or of one PDF page's drawing commands
    unpacked_times: int = 200  # how many times larger than its packed form a DOCX part may be
    zip_members: int = 3_000
    seconds: float = 20.0


LIMITS = Limits()


class Format(StrEnum):
    """The formats that can be read, by their media types."""

    PDF = "application/pdf"
    DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    TEXT = "text/plain"


class UnreadableDocument(GanglionError):
    """The document cannot be read."""

    code = "unreadable_document"


class Empty(UnreadableDocument):
    """The document is empty. Choose a file that holds a contract."""

    code = "document_empty"


class TooLarge(UnreadableDocument):
    """The document is too large."""

    code = "document_too_large"


class WrongKind(UnreadableDocument):
    """This is neither a PDF nor a Word document nor plain text."""

    code = "document_wrong_kind"


class Encrypted(UnreadableDocument):
    """The PDF is encrypted with a password. Save a copy without the password and upload that one."""

    code = "document_encrypted"


class NoText(UnreadableDocument):
    """The document holds no text."""

    code = "document_without_text"


class Damaged(UnreadableDocument):
    """The file is damaged."""

    code = "document_damaged"


class Reading(NamedTuple):
    """A document's text, pages divided by form feeds."""

    text: str
    pages: int
    format: Format


_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xd0\xcf\x11\xe0", "an old Word document (.doc). Save it as .docx or PDF"),
    (b"{\\rtf", "a rich text file (.rtf). Save it as .docx or PDF"),
    (b"\x89PNG", "a picture. Scan it with text recognition and upload the PDF"),
    (b"\xff\xd8\xff", "a picture. Scan it with text recognition and upload the PDF"),
    (b"II*\x00", "a picture. Scan it with text recognition and upload the PDF"),
    (b"MM\x00*", "a picture. Scan it with text recognition and upload the PDF"),
    (b"GIF8", "a picture. Scan it with text recognition and upload the PDF"),
    (b"\x7fELF", "a program. Upload a PDF, a Word document (.docx) or plain text"),
    (b"MZ", "a program. Upload a PDF, a Word document (.docx) or plain text"),
)


def detect(data: bytes, limits: Limits = LIMITS) -> Format:
    """Tell the format from the content alone.

    Raises:
        UnreadableDocument: Empty, too large, or of a kind that cannot be read.
    """
    if not data.strip(b"\x00\t\n\r\f \xef\xbb\xbf"):
        raise Empty
    if len(data) > limits.file_bytes:
        raise TooLarge(
            f"The document has {len(data) / 2**20:.1f} MiB; at most {limits.file_bytes / 2**20:.0f} MiB are read. "
            "Split it, or reduce its pictures."
        )
    if b"%PDF-" in data[:1024]:
        return Format.PDF
    if data[:4] == b"PK\x03\x04":
        if b"word/document.xml" in data:
            return Format.DOCX
        raise WrongKind("This is a ZIP archive or another Office format, not a Word document (.docx).")
    for magic, words in _MAGIC:
        if data.startswith(magic):
            raise WrongKind(f"This is {words}.")
    if _decode(data[:4096]) is None:
        raise WrongKind("This is neither a PDF nor a Word document (.docx) nor plain text.")
    return Format.TEXT


def check(data: bytes, limits: Limits = LIMITS) -> Format:
    """Find in little time what would stop a review: wrong kind, size, damage, a password.

    Raises:
        UnreadableDocument: What is wrong, and what to do.
    """
    kind = detect(data, limits)
    if kind is Format.PDF:
        _open_pdf(data, limits)
    elif kind is Format.DOCX:
        _check_zip(data, limits)
    return kind


def read(data: bytes, limits: Limits = LIMITS) -> Reading:
    """Read the words of a PDF, a DOCX or a text file.

    Raises:
        UnreadableDocument: What is wrong, and what to do.
    """
    kind = detect(data, limits)
    if kind is Format.PDF:
        pages = list(_pdf_pages(data, limits))
    elif kind is Format.DOCX:
        pages = _docx_pages(data, limits)
    else:
        text = _decode(data)
        if text is None:
            raise WrongKind("The file begins like text but holds binary data. Upload a PDF, .docx or plain text.")
        pages = text.split(PAGE_BREAK)
    text = PAGE_BREAK.join(without_running_lines(list(map(tidy, pages))))
    if len(text) > limits.characters:
        raise TooLarge(f"The document has {len(text):,} characters; at most {limits.characters:,} are read.")
    if sum(map(str.isalnum, text)) < 20:
        if kind is Format.PDF:
            raise NoText(
                f"The PDF has {len(pages)} page{'s' * (len(pages) != 1)} but no text: it is probably a scan. "
                "Supply its words, or upload a copy made with text recognition."
            )
        raise NoText("The document holds no words.")
    return Reading(text, len(pages), kind)


def tidy(text: str) -> str:
    """The same words without control characters, ligatures and trailing blanks."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\xa0", " ").replace("\xad", "")
    text = text.replace("\ufb01", "fi").replace("\ufb02", "fl").replace("\ufb00", "ff")
    text = text.replace("**", "")  # bold type of Markdown
    text = re.sub(r"[\x00-\x08\x0b\x0e-\x1f\x7f]|[\ud800-\udfff]", "", text)
    text = re.sub(r"[ \t]+", " ", text)
    return re.sub(r" ?\n ?", "\n", text).strip()


def _decode(data: bytes) -> str | None:
    """Text in UTF-8, UTF-16 with a mark, or Windows-1252; ``None`` when it is no text."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    control = sum(data.count(byte) for byte in (b"\x00", b"\x01", b"\x02", b"\x03", b"\x04", b"\x05", b"\x06", b"\x1b"))
    if control > len(data) // 1000:
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    high = sum(1 for byte in data if byte >= 0x80)
    if high > len(data) // 5:
        return data.decode("utf-8", errors="replace") if high < len(data) // 2 and b" " in data else None
    return data.decode("cp1252", errors="replace")


# --- PDF ------------------------------------------------------------------------------


def _open_pdf(data: bytes, limits: Limits) -> PdfReader:
    import pypdf

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it reports each oddity of a file
    try:
        reader = pypdf.PdfReader(io.BytesIO(data), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise Encrypted
        count = len(reader.pages)
    except UnreadableDocument:
        raise
    except Exception as error:  # pypdf raises anything on damaged files
        if b"/Encrypt" in data and "crypt" in str(error).lower():
            raise Encrypted from None
        raise Damaged(f"The PDF is damaged and cannot be opened ({_words(error)}). Export it again.") from error
    if count == 0:
        raise Empty("The PDF has no pages.")
    if count > limits.pages:
        raise TooLarge(f"The PDF has {count:,} pages; at most {limits.pages} are read. Split it.")
    return reader


def _pdf_pages(data: bytes, limits: Limits) -> Iterator[str]:
    reader = _open_pdf(data, limits)
    ends = time.monotonic() + limits.seconds
    characters = 0
    for number in range(1, len(reader.pages) + 1):
        try:
            page = reader.pages[number - 1]
            drawing = page.get_contents()
            if drawing is not None and len(drawing.get_data()) > limits.unpacked_bytes // 8:
                raise TooLarge(f"Page {number} of the PDF unpacks to more than it should. Export the file again.")
            text = page.extract_text()
        except UnreadableDocument:
            raise
        except Exception as error:
            raise Damaged(f"Page {number} of the PDF is damaged ({_words(error)}). Export it again.") from error
        characters += len(text)
        if characters > limits.characters:
            raise TooLarge(f"The document has more than {limits.characters:,} characters by page {number}. Split it.")
        if time.monotonic() > ends:
            raise TooLarge(f"Reading took more than {limits.seconds:g} s by page {number}. Export the file again.")
        yield text


# --- DOCX -----------------------------------------------------------------------------


def _check_zip(data: bytes, limits: Limits) -> None:
    """Refuse archives that would unpack to far more than they weigh."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            names = {member.filename for member in members}
    except Exception as error:
        raise Damaged(f"The Word document is damaged ({_words(error)}). Save it again.") from error
    if "EncryptedPackage" in names or any(member.flag_bits & 1 for member in members):
        raise Encrypted("The Word document is protected by a password. Save a copy without the password.")
    if len(members) > limits.zip_members or sum(m.file_size for m in members) > limits.unpacked_bytes:
        raise TooLarge("The Word document unpacks to more than it should. Save it again without embedded files.")
    for member in members:
        if member.file_size > 2**20 and member.file_size > limits.unpacked_times * max(member.compress_size, 1):
            raise TooLarge("The Word document unpacks to more than it should. Save it again without embedded files.")


def _docx_pages(data: bytes, limits: Limits) -> list[str]:
    _check_zip(data, limits)
    import docx

    try:
        body = docx.Document(io.BytesIO(data)).element.body
        text = "".join(_docx_text(body, limits))
    except UnreadableDocument:
        raise
    except Exception as error:  # python-docx and lxml raise anything on damaged files
        raise Damaged(f"The Word document is damaged ({_words(error)}). Save it again.") from error
    return text.split(PAGE_BREAK)


def _docx_text(body: Any, limits: Limits) -> Iterator[str]:
    """The words in reading order: paragraphs and table cells alike, without fields and deletions."""
    space = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
    ends = time.monotonic() + limits.seconds
    characters = 0
    for node in body.iter():
        tag = node.tag
        if tag == space + "t" and node.text:
            characters += len(node.text)
            if characters > limits.characters or time.monotonic() > ends:
                raise TooLarge(f"The document has more than {limits.characters:,} characters. Split it.")
            yield node.text
        elif tag == space + "p":
            yield "\n"
        elif tag in (space + "tab", space + "tc"):
            yield " "
        elif tag == space + "lastRenderedPageBreak" or (tag == space + "br" and node.get(space + "type") == "page"):
            yield PAGE_BREAK
        elif tag in (space + "br", space + "cr"):
            yield "\n"


def _words(error: BaseException) -> str:
    """An error of a library in at most 120 printable characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return "".join(c for c in text if c.isprintable())[:120]
