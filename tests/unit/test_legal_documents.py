"""Reading documents: by content, within limits, and always with one clear error."""

# ruff: noqa: E501 - words of contracts
from __future__ import annotations

import io
import random
import struct
import time
import zipfile
import zlib

import pytest

from examples.legal_review import documents
from examples.legal_review.documents import Format, Limits, UnreadableDocument
from examples.legal_review.passages import without_running_lines
from examples.legal_review.samples import BY_SLUG, SAMPLES

pytestmark = pytest.mark.once

READABLE = [sample for sample in SAMPLES if sample.slug not in ("scanned-lease", "encrypted-purchase")]


def docx(document: bytes, *more: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", document)
        for name, data in more:
            archive.writestr(name, data)
    return out.getvalue()


@pytest.mark.parametrize("sample", READABLE, ids=lambda sample: sample.slug)
def test_every_sample_is_read_with_its_pages(sample):
    reading = documents.read(sample.path.read_bytes())
    assert reading.format is sample.format
    assert reading.pages == sample.pages
    assert len(reading.text.split()) > 150


def test_samples_are_small_enough_to_keep_with_the_code():
    assert len(SAMPLES) >= 6
    assert all(sample.path.stat().st_size < 300_000 for sample in SAMPLES)
    assert BY_SLUG["loan-agreement"].pages == 40


def test_page_breaks_and_running_lines():
    reading = documents.read(BY_SLUG["mutual-nda"].path.read_bytes())
    assert reading.text.count("\f") == 2
    assert "Page 2" not in reading.text
    assert without_running_lines(["A\nfoot 1", "B\nfoot 2", "C\nfoot 3"]) == ["A", "B", "C"]


def test_the_name_of_a_file_means_nothing():
    assert documents.detect(BY_SLUG["mutual-nda"].path.read_bytes()) is Format.PDF
    assert documents.detect(BY_SLUG["employment-contract"].path.read_bytes()) is Format.DOCX
    assert documents.detect("Agreement between A and B".encode("utf-16")) is Format.TEXT


def test_encrypted_pdf_says_what_to_do():
    data = BY_SLUG["encrypted-purchase"].path.read_bytes()
    for function in (documents.check, documents.read):
        with pytest.raises(documents.Encrypted, match="Save a copy without the password"):
            function(data)


def test_scan_without_text():
    data = BY_SLUG["scanned-lease"].path.read_bytes()
    assert documents.check(data) is Format.PDF  # an upload is taken: a person can supply the words
    with pytest.raises(documents.NoText, match="probably a scan"):
        documents.read(data)


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"", documents.Empty, "empty"),
        (b"\xef\xbb\xbf \n\n", documents.Empty, "empty"),
        (b"x" * 2_000_001, documents.TooLarge, "characters"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), documents.WrongKind, "picture"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), documents.WrongKind, "old Word"),
        (b"{\\rtf1 hello}", documents.WrongKind, "rich text"),
        (b"MZ\x90\x00" + bytes(100), documents.WrongKind, "program"),
        (b"\x00\x01\x02\x03" * 300, documents.WrongKind, "neither"),
        (b"PK\x03\x04" + bytes(100), documents.WrongKind, "ZIP"),
        (b"%PDF-1.7\n", documents.Damaged, "damaged"),
        (b"%PDF-1.7\n" + b"trash " * 50, documents.Damaged, "damaged"),
        (b"a few words \x00\x01" + b"\x00" * 9000, documents.WrongKind, "binary|neither"),
        (b"?!", documents.NoText, "no words"),
    ],
)
def test_wrong_files(data, error, words):
    with pytest.raises(error, match=words):
        documents.read(data)


def test_too_large_before_anything_is_parsed():
    with pytest.raises(documents.TooLarge, match=r"0\.1 MiB; at most 0 MiB"):
        documents.read(b"%PDF-" + bytes(100_000), Limits(file_bytes=50_000))


def test_pages_and_characters_are_limited():
    data = BY_SLUG["loan-agreement"].path.read_bytes()
    with pytest.raises(documents.TooLarge, match="40 pages; at most 10"):
        documents.check(data, Limits(pages=10))
    with pytest.raises(documents.TooLarge, match="by page"):
        documents.read(data, Limits(characters=20_000))
    with pytest.raises(documents.TooLarge, match="took more than"):
        documents.read(data, Limits(seconds=0))


def test_zip_bomb_is_refused_before_it_unpacks():
    bomb = docx(b"<w/>", ("word/media/big.bin", bytes(40 * 2**20)))
    assert len(bomb) < 100_000
    began = time.process_time()
    with pytest.raises(documents.TooLarge, match="unpacks to more"):
        documents.read(bomb)
    assert time.process_time() - began < 1


def test_zip_with_a_lying_header_stays_within_what_it_declares():
    honest = docx(b"A" * 5_000_000)
    name = b"word/document.xml"
    central = honest.rindex(b"PK\x01\x02")
    assert honest[central + 46 : central + 46 + len(name)] == name
    lying = honest[: central + 24] + struct.pack("<I", 100) + honest[central + 28 :]
    with pytest.raises(UnreadableDocument):
        documents.read(lying)


def test_xml_entities_are_not_expanded():
    body = (
        b'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
        b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><w:document xmlns:w="http://schemas.openxmlformats.org/'
        b'wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>&c;</w:t></w:r></w:p></w:body></w:document>'
    )
    with pytest.raises(UnreadableDocument):
        documents.read(docx(body))


def test_pdf_page_that_unpacks_to_too_much():
    stream = zlib.compress(b"BT (x) Tj ET " * 900_000, 9)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R>>",
        b"<</Length %d/Filter/FlateDecode>>stream\n%s\nendstream" % (len(stream), stream),
    ]
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj%sendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 5\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer<</Size 5/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % start
    with pytest.raises(documents.TooLarge, match="unpacks"):
        documents.read(out)


def test_docx_text_keeps_tables_and_leaves_deletions_out():
    space = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    body = (
        f"<w:document {space}><w:body><w:p><w:r><w:t>The rent is paid</w:t></w:r><w:r><w:delText>never</w:delText></w:r>"
        "</w:p><w:tbl><w:tr><w:tc><w:p><w:r><w:t>monthly in advance</w:t></w:r></w:p></w:tc></w:tr></w:tbl></w:body>"
        "</w:document>"
    )
    real = zipfile.ZipFile(BY_SLUG["employment-contract"].path)
    parts = [(name, real.read(name)) for name in real.namelist() if name != "word/document.xml"]
    text = documents.read(docx(body.encode(), *parts)).text
    assert text.split() == ["The", "rent", "is", "paid", "monthly", "in", "advance"]


@pytest.mark.parametrize("slug", ["mutual-nda", "employment-contract", "bill-of-sale", "encrypted-purchase"])
def test_mutated_files_cost_little_and_never_surprise(slug):
    original = BY_SLUG[slug].path.read_bytes()
    chance = random.Random(slug)
    limits = Limits(seconds=2)
    began = time.process_time()
    outcomes = set()
    for _ in range(60):
        data = bytearray(original)
        match chance.randrange(4):
            case 0:
                del data[chance.randrange(len(data)) :]
            case 1:
                for _ in range(chance.randrange(1, 60)):
                    data[chance.randrange(len(data))] = chance.randrange(256)
            case 2:
                at = chance.randrange(len(data))
                data[at:at] = chance.randbytes(chance.randrange(1, 4000))
            case 3:
                a, b = sorted(chance.randrange(len(data)) for _ in range(2))
                data[a:b] = data[a:b][::-1]
        one = time.process_time()
        try:
            outcomes.add(documents.read(bytes(data), limits).format)
        except UnreadableDocument as error:
            assert 10 < len(str(error)) < 400
            outcomes.add(type(error))
        assert time.process_time() - one < 5
    assert time.process_time() - began < 60
    assert outcomes


def test_errors_hold_no_control_characters():
    with pytest.raises(UnreadableDocument) as caught:
        documents.read(b"%PDF-1.4\n1 0 obj <</Root \x1b[31m >> trailer <</Root 1 0 R>>")
    assert str(caught.value).isprintable()


def test_old_encodings():
    assert "Geschäftsführer" in documents.read("Der Geschäftsführer unterschreibt den Vertrag".encode("cp1252")).text
    assert "€ 500" in documents.read("Die Miete beträgt € 500 im Monat.".encode("utf-16")).text
