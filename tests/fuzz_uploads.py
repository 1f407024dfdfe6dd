"""Feeds mutated files to everything that reads an upload, in this process, with bounded memory.

Prints each case before it is tried, so that whoever started this knows which one crashed or hung.
"""

from __future__ import annotations

import argparse
import io
import itertools
import random
import resource
import sys
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import django

SAMPLES = Path(__file__).resolve().parent.parent / "examples" / "legal_review" / "samples"
MEMORY_BYTES = 2 * 2**30  # of address space; the libraries alone take a half of it
SLOWEST_S = 20.0

Case = tuple[str, bytes]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """A file with some of its bytes changed, cut out, doubled, or cut off."""
    raw = bytearray(data)
    for _ in range(chance.choice((1, 2, 8, 40))):
        place = chance.randrange(len(raw) or 1)
        length = chance.choice((1, 2, 7, 60, 900))
        match chance.randrange(6):
            case 0:
                raw[place : place + length] = chance.randbytes(length)
            case 1:
                del raw[place : place + length]
            case 2:
                raw[place:place] = raw[place : place + length] * chance.choice((1, 3, 50))
            case 3:
                del raw[place + 1 :]
            case 4:  # numbers are where parsers believe what they read
                digits = [at for at, byte in enumerate(raw[place : place + 2_000], place) if 48 <= byte <= 57]
                if digits:
                    raw[chance.choice(digits)] = chance.choice(b"0123456789-")
            case _:
                if raw:
                    raw[place % len(raw)] ^= 1 << chance.randrange(8)
    return bytes(raw[: 4 * 2**20])


def repacked(data: bytes, chance: random.Random) -> bytes:
    """A DOCX whose parts are mutated inside a valid archive."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for name in source.namelist():
            part = source.read(name)
            made.writestr(name, mutated(part, chance) if chance.random() < 0.5 else part)
    return target.getvalue()


def hostile() -> Iterator[Case]:
    """Files that are made to cost more than they weigh."""

    def archive(**parts: bytes) -> bytes:
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
            for name, part in parts.items():
                made.writestr(name.replace("__", "/").replace("_xml", ".xml"), part)
        return target.getvalue()

    types = b'<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
    word = b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>%s</w:body></w:document>'
    yield "bomb.docx", archive(word__document_xml=b" " * (100 * 2**20))
    yield "nested.docx", archive(word__document_xml=word % (b"<w:p>" * 200_000), Types_xml=types)
    entities = b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 12))
    yield "laughs.docx", archive(word__document_xml=b'<!DOCTYPE x [<!ENTITY a0 "ha">' + entities + b"]><x>&a11;</x>")
    yield "deep.pdf", b"%PDF-1.7\n1 0 obj\n" + b"[" * 100_000 + b"\nendobj\ntrailer<</Root 1 0 R>>\n%%EOF"
    yield "dictionary.pdf", b"%PDF-1.7\n1 0 obj\n" + b"<</A " * 50_000 + b"\nendobj\ntrailer<</Root 1 0 R>>\n%%EOF"
    loop = b"%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[2 0 R]/Count 9>>endobj\n"
    yield "loop.pdf", loop + b"trailer<</Root 1 0 R>>\n%%EOF"
    yield "prev.pdf", loop + b"xref\n0 1\n0000000000 65535 f \ntrailer<</Root 1 0 R/Prev 110>>\nstartxref\n110\n%%EOF"
    yield "long.csv", b'"' + b"a,b;c\t" * 500_000
    yield "lines.csv", b"\n" * 2_000_000
    yield "deep.json", b"[" * 300_000
    yield "wide.txt", b"the party of the first part " * 60_000


def cases(seed: int, examples: int) -> Iterator[Case]:
    """Mutated samples and hostile files by turns."""
    made = hostile()
    for case in _samples(seed, examples):
        yield case
        yield from itertools.islice(made, 1)
    yield from made


def _samples(seed: int, examples: int) -> Iterator[Case]:
    chance = random.Random(seed)
    samples = sorted(path for path in SAMPLES.iterdir() if path.is_file())
    feed = _feed()
    for number in range(examples):
        path = samples[number % len(samples)]
        data = path.read_bytes()
        yield path.name, mutated(data, chance)
        if path.suffix == ".docx":
            yield path.name, repacked(data, chance)
        yield "feed.csv", mutated(feed, chance)


def _feed() -> bytes:
    lines = ["carrier,tracking,status,time,place"]
    lines += [f"DHL,{n:010d},in transit,2026-01-0{n % 9 + 1} 10:00,Köln" for n in range(200)]
    return "\n".join(lines).encode()


def readers() -> dict[str, Callable[[str, bytes], object]]:
    """Everything that looks into what somebody sent."""
    from dashboard import documents as uploads
    from examples.legal_review import documents
    from examples.shipments import feed

    limits = documents.LIMITS._replace(seconds=4.0)
    every = tuple(uploads.MEDIA_TYPES)
    return {
        "accept": lambda name, data: uploads.accept_bytes(data, name, every),
        "check": lambda name, data: documents.check(data, limits),
        "read": lambda name, data: documents.read(data, limits),
        "feed": lambda name, data: feed.complaint(data) or sum(1 for _ in feed.rows(data, "f")),
    }


def main() -> int:
    """Try all cases; 1 when one of them did anything but be read or be refused."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz_uploads")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--examples", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no further case after this")
    parser.add_argument("--keep", type=Path, help="a folder for the files that break something")
    chosen = parser.parse_args()
    django.setup()
    from coordination.errors import GanglionError

    tried = readers()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    began, broken, number = time.monotonic(), 0, -1
    for number, (name, data) in enumerate(cases(chosen.seed, chosen.examples)):
        if time.monotonic() - began > chosen.seconds:
            break
        for reader, read in tried.items():
            print(f"case {number} {name} {reader} ({len(data)} bytes)", flush=True)
            started, words = time.monotonic(), ""
            try:
                read(name, data)
            except GanglionError as error:
                words = "" if str(error) and "Traceback" not in str(error) else "refused without words"
            except BaseException:
                words = traceback.format_exc(limit=-4)
            if time.monotonic() - started > SLOWEST_S:
                words = f"took {time.monotonic() - started:.1f} s"
            if words:
                broken += 1
                print(f"BROKEN case {number} {name} {reader}: {words}", flush=True)
                if chosen.keep:
                    (chosen.keep / f"{number}-{name}").write_bytes(data)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{number + 1} files, {broken} broken, at most {peak // 1024} MiB, {time.monotonic() - began:.1f} s")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
