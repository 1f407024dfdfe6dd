"""The browser files of others are what was recorded when they were fetched, and the sprite has every icon in use."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
BESIDE = r"[^{},]*[+~]\s*(?=[*:,{])[^{,]*(?=[{,])"  # a selector for anything that stands beside something


def vendor() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vendor", ROOT / "tools" / "vendor.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_committed_files_are_the_recorded_ones() -> None:
    manifest = json.loads((ROOT / "tools" / "vendor.json").read_text())
    assert vendor().check(manifest) == []


def test_a_changed_file_is_found() -> None:
    manifest = json.loads((ROOT / "tools" / "vendor.json").read_text())
    manifest["packages"][0]["files"][0]["sha256"] = "0" * 64
    assert "is not what vendor.json records" in vendor().check(manifest)[0]


def test_each_icon_in_use_is_in_the_sprite() -> None:
    sprite = (ROOT / "static" / "vendor" / "icons" / "icons.svg").read_text()
    known = set(re.findall(r'<symbol id="([^"]+)"', sprite))
    templates = [*(ROOT / "templates").rglob("*.html"), *(ROOT / "examples").rglob("*.html")]
    used = {name for path in templates for name in re.findall(r"{% icon [\"']([\w-]+)[\"']", path.read_text())}
    from dashboard import wording

    used |= {look.icon for look in wording._LOOKS.values()}
    assert used - known == set()


def test_no_template_carries_script_or_style_of_its_own() -> None:
    found = []
    for path in [*(ROOT / "templates").rglob("*.html"), *(ROOT / "examples").rglob("*.html")]:
        text = path.read_text()
        if re.search(r"\sstyle=|\son\w+=[\"']|<style|<script(?![^>]*\ssrc=)|\|\s*safe\b", text):
            found.append(path.name)
    assert found == []


def test_no_rule_is_for_whatever_stands_beside_something() -> None:
    found = []
    for path in (ROOT / "static").rglob("*.css"):
        sheet = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
        found += [f"{path.name}: {rule.strip()}" for rule in re.findall(BESIDE, sheet)]
    assert found == [], "a browser styles all that follows whatever is inserted anew"
