"""Mutated and hostile files are read or refused in words, in bounded time and memory.

A short round with every run; ``GANGLION_FUZZ_FILES=5000`` goes deeper, ``GANGLION_FUZZ_SEED`` elsewhere.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack import ROOT, environment

FILES = int(os.environ.get("GANGLION_FUZZ_FILES", "0"))
SEED = os.environ.get("GANGLION_FUZZ_SEED", "20")


@pytest.mark.once
@pytest.mark.timeout(7_200 if FILES else 240)
def test_no_upload_crashes_hangs_or_takes_all_memory(tmp_path: Path) -> None:
    bound = ["--examples", str(FILES)] if FILES else ["--examples", "60", "--seconds", "12"]
    environ = environment(tmp_path, DJANGO_SETTINGS_MODULE="config.settings", PYTHONPATH=str(ROOT))
    command = [sys.executable, "-m", "tests.fuzz_uploads", "--seed", SEED, "--keep", str(tmp_path), *bound]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    said = done.stdout.splitlines()
    broken = [line for line in said if line.startswith("BROKEN")]
    assert done.returncode == 0, "\n".join([*broken[:20], *said[-2:], done.stderr[-2000:]])
    assert "0 broken" in said[-1]
