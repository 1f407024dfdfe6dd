"""Making the sample files from their texts: PDF, DOCX, a scan without text, an encrypted PDF.

The texts are plain: the first line is the title, ``#`` begins a heading, ``|`` a row of a table,
``---`` a new page, and a blank line ends a paragraph.
"""

from __future__ import annotations

import datetime
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from examples.legal_review.extraction import sentence_capitals

PASSWORD = "for-the-parties-only"  # noqa: S105 - of a sample
_WRITTEN = datetime.datetime(2026, 1, 5, 9, 0, tzinfo=datetime.UTC)


def blocks(text: str, more: Iterable[str] = ()) -> Iterator[str]:
    """The blocks of a sample text, and further ones."""
    yield from (block.strip() for block in text.split("\n\n") if block.strip())
    yield from more


def with_contents(parts: list[str]) -> list[str]:
    """A document behind a cover and a list of its headings."""
    listed = [part[2:] for part in parts if part.startswith("# Schedule") or (part[:2] == "# " and part[2].isdigit())]
    cover = ["15 June 2026", "Meridian Harbour Bank plc as Lender", "Aldersgate Storage Holdings Limited as Borrower"]
    return [parts[0], *cover, "Aldersgate Group Limited as Guarantor", "---", "Contents", *listed, "---", *parts]


def pdf(parts: list[str], *, footer: str, size: float = 11.0) -> bytes:
    """A PDF with text, its pages numbered at the foot."""
    from reportlab.lib.enums import TA_CENTER
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

    body = ParagraphStyle("body", fontName="Times-Roman", fontSize=size, leading=size * 1.42, spaceAfter=size * 0.65)
    heading = ParagraphStyle("heading", body, fontName="Times-Bold", spaceBefore=size * 0.7, keepWithNext=1)
    title = ParagraphStyle("title", heading, fontSize=size * 1.5, leading=size * 2, alignment=TA_CENTER)
    title.spaceAfter = size * 2
    flow: list[Any] = [Paragraph(escape(parts[0]), title)]
    rows: list[list[str]] = []
    for part in [*parts[1:], ""]:
        if rows and not part.startswith("|"):
            whole = (0, 0), (-1, -1)
            lines = TableStyle([("FONT", *whole, "Times-Roman", size - 1), ("LINEBELOW", *whole, 0.3, "#999999")])
            flow += [Table(rows, repeatRows=1, style=lines, hAlign="LEFT"), Spacer(1, size)]
            rows = []
        if part.startswith("|"):
            rows.append([cell.strip() for cell in part[1:].split("|")])
        elif part == "---":
            flow.append(PageBreak())
        elif part.startswith("# "):
            flow.append(Paragraph(escape(part[2:]), heading))
        elif part:
            flow.append(Paragraph(escape(part).replace("\n", "<br/>").replace("    ", "&nbsp;" * 6), body))

    def foot(canvas: Any, document: Any) -> None:
        canvas.setFont("Times-Roman", 8.5)
        canvas.drawString(72, 36, footer)
        canvas.drawRightString(A4[0] - 72, 36, f"Page {document.page}")

    out = io.BytesIO()
    document = SimpleDocTemplate(
        out, pagesize=A4, title=sentence_capitals(parts[0]), author="Ganglion samples", invariant=1,
        leftMargin=76, rightMargin=76, topMargin=72, bottomMargin=72,
    )  # fmt: skip
    document.build(flow, onFirstPage=foot, onLaterPages=foot)
    return out.getvalue()


def docx(parts: list[str]) -> bytes:
    """A Word document."""
    import docx as word

    document = word.Document()
    document.core_properties.title = sentence_capitals(parts[0])
    document.core_properties.author = "Ganglion samples"
    document.core_properties.created = document.core_properties.modified = _WRITTEN
    document.add_heading(sentence_capitals(parts[0]), 0)
    for part in parts[1:]:
        if part.startswith("# "):
            document.add_heading(part[2:], 2)
        else:
            document.add_paragraph(part)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def scan(text: str) -> bytes:
    """A PDF that holds nothing but a slightly crooked, speckled picture of a page."""
    import random

    import reportlab
    from PIL import Image, ImageDraw, ImageFont
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    page = Image.new("L", (1240, 1754), 250)
    draw = ImageDraw.Draw(page)
    font = ImageFont.truetype(str(Path(reportlab.__file__).parent / "fonts" / "Vera.ttf"), 23)
    for number, line in enumerate(text.splitlines()):
        draw.text((150, 150 + number * 40), line, fill=35, font=font)
    page = page.rotate(0.6, fillcolor=250, resample=Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(page)
    speckle = random.Random(7)
    for _ in range(900):
        x, y = speckle.randrange(1240), speckle.randrange(1754)
        draw.ellipse((x, y, x + 1, y + 1), fill=speckle.randrange(90, 200))
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=1)
    canvas.setTitle("Scan")
    small = page.quantize(16).convert("L")
    packed = io.BytesIO()
    small.save(packed, "JPEG", quality=45)
    packed.seek(0)
    canvas.drawImage(ImageReader(packed), 0, 0, *A4)
    canvas.showPage()
    canvas.save()
    return out.getvalue()


def encrypted(data: bytes) -> bytes:
    """The same PDF, to be opened only with a password."""
    import pypdf

    writer = pypdf.PdfWriter(clone_from=io.BytesIO(data))
    writer.encrypt(PASSWORD, algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def make(texts: Path) -> Iterator[tuple[str, bytes]]:
    """Every sample file: its name and its bytes."""
    from examples.legal_review.loan_schedules import schedules

    def parts(name: str) -> list[str]:
        return list(blocks((texts / f"{name}.txt").read_text(encoding="utf-8")))

    yield "mutual-nda.pdf", pdf(parts("mutual-nda"), footer="Halden / Orrin: mutual non-disclosure agreement")
    yield "warehouse-lease.pdf", pdf(parts("warehouse-lease"), footer="Lease of 27 Sutton Fields")
    yield "services-agreement.pdf", pdf(parts("services-agreement"), footer="Services Agreement")
    loan = list(blocks((texts / "loan-agreement.txt").read_text(encoding="utf-8"), schedules()))
    yield "loan-agreement.pdf", pdf(with_contents(loan), footer="Secured Term Loan Agreement", size=14.4)
    yield "employment-contract.docx", docx(parts("employment-contract"))
    yield "bill-of-sale.txt", (texts / "bill-of-sale.txt").read_bytes()
    yield "scanned-lease.pdf", scan((texts / "scanned-lease.txt").read_text(encoding="utf-8"))
    yield "encrypted-purchase.pdf", encrypted(pdf(parts("machine-purchase"), footer="Purchase agreement LV-220"))
