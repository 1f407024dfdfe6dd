"""Fetches the console's browser files from npm, verified, and re-verifies what is committed.

``python tools/vendor.py`` packs each package of vendor.json with the npm client, compares the
tarball with the recorded sha512, extracts the listed files below static/ and records their sha256.
``python tools/vendor.py --check`` needs no network: it compares the committed files with those.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = ROOT / "tools" / "vendor.json"
STATIC = ROOT / "static"
LICENCES = ROOT / "THIRD_PARTY_LICENSES"
SOURCE_MAP = re.compile(rb"(?m)^(?://[#@]|/\*#)\s*sourceMappingURL=.*$\n?")
LETTERS = (
    (0x20, 0x7E), (0xA0, 0xFF), (0x131, 0x131), (0x152, 0x153), (0x2C6, 0x2C6), (0x2DA, 0x2DA), (0x2DC, 0x2DC),
    (0x2010, 0x2027), (0x2030, 0x2030), (0x2039, 0x203A), (0x2044, 0x2044), (0x20AC, 0x20AC), (0x2122, 0x2122),
    (0x2190, 0x2193), (0x2212, 0x2212), (0x2215, 0x2215), (0xFFFD, 0xFFFD),
)  # fmt: skip
SVG_BODY = re.compile(r"<svg[^>]*>(.*)</svg>", re.DOTALL)


def check(manifest: dict[str, Any]) -> list[str]:
    """Every recorded file that is missing or differs, in words; empty when all is as recorded."""
    faults = []
    for package in manifest["packages"]:
        for output in package["files"]:
            path = STATIC / output["to"]
            if not path.is_file():
                faults.append(f"static/{output['to']} is missing: run python tools/vendor.py.")
            elif hashlib.sha256(path.read_bytes()).hexdigest() != output["sha256"]:
                faults.append(f"static/{output['to']} is not what vendor.json records: run python tools/vendor.py.")
    return faults


def _pack(name: str, version: str, integrity: str, folder: Path) -> dict[str, bytes]:
    """The files of one package by their path in it, after its sha512 was found right."""
    command = ["npm", "pack", f"{name}@{version}", "--silent", "--pack-destination", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    slug = name.lstrip("@").replace("/", "-")
    data = (folder / f"{slug}-{version}.tgz").read_bytes()
    found = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
    if found != integrity:
        raise SystemExit(f"{name} {version}: the registry sent {found}, vendor.json expects {integrity}.")
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = (m for m in archive.getmembers() if m.isfile())
        return {m.name.partition("/")[2]: archive.extractfile(m).read() for m in members}  # type: ignore[union-attr]


def _sprite(files: dict[str, bytes], names: list[str]) -> bytes:
    """One SVG file with a symbol for each named icon."""
    symbols = []
    for name in sorted(names):
        folder, _, short = name.rpartition("/")
        found = SVG_BODY.search(files[f"icons/{folder or 'outline'}/{short}.svg"].decode())
        if found is None:
            raise SystemExit(f"The icon {name} has no drawing.")
        body = re.sub(r"\s*\n\s*", "", found.group(1))
        filled = folder == "filled"
        paint = 'fill="currentColor"' if filled else 'fill="none" stroke="currentColor" stroke-width="1.75"'
        ident = f"{short}-filled" if filled else short
        symbols.append(
            f'<symbol id="{ident}" viewBox="0 0 24 24" {paint} stroke-linecap="round" stroke-linejoin="round">'
            f"{body}</symbol>"
        )
    return ('<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n").encode()


def _blocks(sheet: str) -> Iterator[tuple[str, str]]:
    """The rules of a minified sheet at its outer level: what stands before the braces, and within."""
    begin = depth = 0
    opened = 0
    for place, sign in enumerate(sheet):
        if sign == "{":
            depth += 1
            opened = opened if depth > 1 else place
        elif sign == "}":
            depth -= 1
            if not depth:
                yield sheet[begin:opened].rpartition(";")[2].strip(), sheet[opened + 1 : place]
                begin = place + 1


def _trimmed(sheet: str, classes: list[str]) -> str:
    """A sheet without the rules for classes that the console does not use."""
    kept = []
    for head, body in _blocks(re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)):
        if head.startswith(("@media", "@supports")):
            inner = _trimmed(body, classes)
            if inner:
                kept.append(f"{head}{{{inner}}}")
        elif not head.startswith("@"):
            wanted = [one for one in _selectors(head) if _is_used(one, classes)]
            if wanted:
                kept.append(f"{','.join(wanted)}{{{body}}}")
    return "".join(kept)


def _selectors(head: str) -> list[str]:
    return re.split(r",(?![^(]*\))", head)


def _is_used(selector: str, classes: list[str]) -> bool:
    """Whether it is for elements alone, or for one class that is in use.

    Parts of that layer that scripts of its own work on are not in use. A rule for whatever stands beside something
    makes a browser style all that follows anew when anything is inserted, so that a row costs as much as its list.
    """
    if selector == "[data-bs-theme=light]":
        return True
    return not re.search(r"\[data-(bs|vc)-|[+~]\s*\*", selector) and all(
        name in classes for name in re.findall(r"[.#]([A-Za-z][\w-]*)", selector)
    )


def _without_unused(sheet: str, others: str) -> str:
    """A sheet without the custom properties that nothing reads."""
    while True:
        read = set(re.findall(r"var\((--[\w-]+)", sheet + others))
        slim = sheet
        for name in set(re.findall(r"(--[\w-]+):", sheet)) - read:
            slim = re.sub(rf"{name}:[^;{{}}]*(?:;|(?=}}))", "", slim)
        if slim == sheet:
            return sheet
        sheet = slim


def _subset(font: bytes, features: list[str], weights: list[int]) -> bytes:
    """A variable font with the letters, features and weights that the console uses."""
    try:
        from fontTools import subset, ttLib
        from fontTools.varLib import instancer
    except ImportError:
        raise SystemExit("Fonts are cut with: pip install fonttools==4.68.0 brotli==1.2.1") from None
    options = subset.Options(layout_features=features, hinting=False)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=[code for first, last in LETTERS for code in range(first, last + 1)])
    whole = ttLib.TTFont(io.BytesIO(font))
    cutter.subset(whole)
    plain, target = io.BytesIO(), io.BytesIO()
    whole.flavor = None
    whole.save(plain)
    found = instancer.instantiateVariableFont(ttLib.TTFont(plain), {"wght": (weights[0], weights[1])})
    found.flavor = "woff2"
    found.save(target)
    return target.getvalue()


def fetch(manifest: dict[str, Any]) -> None:
    """Write every file of the manifest, its sha256, and the licences of all packages."""
    licences = [
        "The console is served with these works of others, unchanged but for joined files, style rules and"
        " letters that are left out because nothing uses them.\n"
    ]
    with tempfile.TemporaryDirectory() as folder:
        for package in manifest["packages"]:
            files = _pack(package["name"], package["version"], package["integrity"], Path(folder))
            for output in package["files"]:
                if "icons" in output:
                    data = _sprite(files, output["icons"])
                else:
                    data = b"\n".join(files[source] for source in output["from"])
                    if output["to"].endswith((".js", ".css")):
                        data = SOURCE_MAP.sub(b"", data)
                    if "features" in output:
                        data = _subset(data, output["features"], output["weights"])
                    if "classes" in output:
                        own = "".join(path.read_text() for path in (STATIC / "console").glob("*.css"))
                        data = _without_unused(_trimmed(data.decode(), output["classes"]), own).encode()
                target = STATIC / output["to"]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
                output["sha256"] = hashlib.sha256(data).hexdigest()
            beside = ROOT / package["licence_file"]  # for a package that carries none
            text = (files.get(package["licence_file"]) or beside.read_bytes()).decode().strip()
            head = f"{package['name']} {package['version']} ({package['licence']})"
            licences.append(f"{'=' * 78}\n{head}\n{'=' * 78}\n\n{text}\n")
    LICENCES.write_text("\n".join(licences))
    MANIFEST.write_text(json.dumps(manifest, indent=2) + "\n")


def main(arguments: list[str]) -> int:
    """Fetch, or with ``--check`` verify only."""
    manifest: dict[str, Any] = json.loads(MANIFEST.read_text())
    if "--check" not in arguments:
        fetch(manifest)
    faults = check(manifest)
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
