"""Takes out what keeps the bugs away and the invariants true, one at a time, and sees whether a test notices.

``python -m tests.mutations [--name 17 | --name I3] [--markdown]`` works on copies of the tree in a temporary folder,
never on the tree itself. A mutation is caught when its tests fail in the mutated copy and pass in the plain one; one
whose tests do not end is not, it hung.
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

from tests.mutation_list import INVARIANTS, MUTATIONS, Mutation

ROOT = Path(__file__).parent.parent
LIMIT_S = 180.0
HUNG = -1


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


def tests_of(mutation: Mutation, folder: Path) -> list[str]:
    """What pytest is told, to run a mutation's tests."""
    if mutation.tests:
        return list(mutation.tests)
    name = f"test_bug_{mutation.number:02}_"
    found = (folder / "tests/integration").glob("test_bugs_*.py")
    files = [str(path.relative_to(folder)) for path in sorted(found) if name in path.read_text(encoding="utf-8")]
    return [*files, "-k", name]


def run_tests(folder: Path, tests: list[str]) -> tuple[int, str]:
    """Run tests in a copy; pytest's exit code, and the tests that failed."""
    command = [sys.executable, "-m", "pytest", *tests, "-q", "-n", "0", "-x"]
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
        return HUNG, "did not end"
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
            f"{mutation.name}: {mutation.guard!r} is {text.count(mutation.guard)} times in {mutation.path}, not "
            "once. The guard has changed; change tests/mutation_list.py too."
        )
    path.write_text(text.replace(mutation.guard, mutation.without), encoding="utf-8")


def try_one(mutation: Mutation, folder: Path) -> tuple[int, str]:
    """What pytest's exit code is with a mutation, and the tests that failed."""
    kept = (folder / mutation.path).read_text(encoding="utf-8")
    apply(mutation, folder)
    try:
        return run_tests(folder, tests_of(mutation, folder))
    finally:
        (folder / mutation.path).write_text(kept, encoding="utf-8")


def main() -> int:
    """Try all mutations, or those of one name; 0 when all were caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("--name", help="one bug or invariant only: 17, I3")
    parser.add_argument("--markdown", action="store_true", help="print a table of what was tried")
    chosen = parser.parse_args()
    wanted = [mutation for mutation in MUTATIONS + INVARIANTS if chosen.name in (None, mutation.name)]
    rows: list[str] = []
    missed = 0
    with tempfile.TemporaryDirectory(prefix="gm-") as made:
        folder = Path(made)
        copy_tree(folder)
        sound: dict[tuple[str, ...], tuple[int, str]] = {}
        for mutation in wanted:
            began, tests = time.monotonic(), tests_of(mutation, folder)
            if tuple(tests) not in sound:
                sound[tuple(tests)] = run_tests(folder, tests)
            if sound[tuple(tests)][0]:
                raise SystemExit(f"{mutation.name}: its tests fail as they are: {sound[tuple(tests)][1]}")
            code, said = try_one(mutation, folder)
            missed += code != 1
            verdict = {1: "caught", HUNG: "hung"}.get(code, "MISSED")
            print(
                f"{mutation.name:>3} {verdict} {time.monotonic() - began:5.1f} s  {mutation.words}: {said}",
                flush=True,
            )
            where = f"`{mutation.path.removeprefix('coordination/')}`"
            test = f"`{said.partition('[')[0]}`" if code == 1 else "none"
            rows.append(f"| {mutation.name} | {mutation.words} ({where}) | {test} | {verdict} |")
    if chosen.markdown:
        print("\n| | guard | its test | guard taken out |\n|---|---|---|---|")
        print("\n".join(rows))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
