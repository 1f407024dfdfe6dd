"""Takes the guard of each of the twenty-five bugs out, one at a time, and sees whether the bug's test notices.

``python -m tests.mutations [--number N] [--markdown]`` works on copies of the tree in a temporary folder, never on the
tree itself. A mutation is caught when the tests with its number fail in the mutated copy and pass in the plain one.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutation_list import MUTATIONS, Mutation

ROOT = Path(__file__).parent.parent
LIMIT_S = 180.0


def copy_tree(to: Path) -> None:
    """Copy what belongs to the project, without what it has built."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, check=True, capture_output=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, target = ROOT / name, to / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def run_tests(folder: Path, number: int) -> tuple[int, str]:
    """Run a bug's tests in a copy; pytest's exit code, and the tests that failed."""
    name = f"test_bug_{number:02}_"
    found = (folder / "tests/integration").glob("test_bugs_*.py")
    files = [str(path.relative_to(folder)) for path in sorted(found) if name in path.read_text(encoding="utf-8")]
    command = [sys.executable, "-m", "pytest", *files, "-k", name, "-q", "-n", "0", "-x"]
    try:
        done = subprocess.run(
            [*command, "-p", "no:cacheprovider"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, "did not end"
    failed = re.findall(r"^(?:FAILED|ERROR) \S+::(\S+)", done.stdout, re.MULTILINE)
    return done.returncode, ", ".join(failed) or done.stdout.strip().rpartition("\n")[2]


def apply(mutation: Mutation, folder: Path) -> None:
    """Change one place of a copy.

    Raises:
        SystemExit: The place is not there, or is there more than once: the guard has moved, so the list must follow.
    """
    path = folder / mutation.path
    text = path.read_text(encoding="utf-8")
    if text.count(mutation.guard) != 1:
        raise SystemExit(
            f"Bug {mutation.number}: {mutation.guard!r} is {text.count(mutation.guard)} times in {mutation.path}, not "
            "once. The guard has changed; change tests/mutation_list.py too."
        )
    path.write_text(text.replace(mutation.guard, mutation.without), encoding="utf-8")


def try_one(mutation: Mutation, folder: Path) -> tuple[bool, str]:
    """Whether a mutation is caught, and by which test."""
    kept = (folder / mutation.path).read_text(encoding="utf-8")
    apply(mutation, folder)
    try:
        code, said = run_tests(folder, mutation.number)
    finally:
        (folder / mutation.path).write_text(kept, encoding="utf-8")
    return code == 1, said


def main() -> int:
    """Try all mutations, or those of one bug; 0 when all were caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("--number", type=int, help="one bug only")
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/reliability.md")
    chosen = parser.parse_args()
    wanted = [mutation for mutation in MUTATIONS if chosen.number in (None, mutation.number)]
    rows: list[str] = []
    missed = 0
    with tempfile.TemporaryDirectory(prefix="gm-") as made:
        folder = Path(made)
        copy_tree(folder)
        sound: dict[int, tuple[int, str]] = {}
        for mutation in wanted:
            began = time.monotonic()
            if mutation.number not in sound:
                sound[mutation.number] = run_tests(folder, mutation.number)
            if sound[mutation.number][0]:
                raise SystemExit(f"Bug {mutation.number}: its tests fail as they are: {sound[mutation.number][1]}")
            caught, said = try_one(mutation, folder)
            missed += not caught
            verdict = "caught" if caught else "MISSED"
            print(
                f"{mutation.number:>3} {verdict} {time.monotonic() - began:5.1f} s  {mutation.words}: {said}",
                flush=True,
            )
            where = f"`{mutation.path.removeprefix('coordination/')}`"
            test = f"`{said.partition('[')[0]}`" if caught else "none"
            rows.append(f"| {mutation.number} | {mutation.bug} | {mutation.words} ({where}) | {test} | {verdict} |")
    if chosen.markdown:
        print("\n| # | bug | guard | its test | guard taken out |\n|---|---|---|---|---|")
        print("\n".join(rows))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
