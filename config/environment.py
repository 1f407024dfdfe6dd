"""The settings that only the Django project needs, each checked with a message that names its variable."""

from __future__ import annotations

import importlib.util
import math
import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from config import sentinels
from coordination.errors import SettingsError

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
SQL_WAIT = "GANGLION_SQL_WAIT_S"  # seconds for a lock of SQLite; processes that people wait for set it lower


def database(url: str | None, home: Path) -> dict[str, Any]:
    """Translate ``DATABASE_URL`` into Django's words; without one, SQLite in the home folder.

    Raises:
        SettingsError: The address is of no database that Ganglion runs on.
    """
    if not url:
        return sqlite(home / "ganglion.sqlite3")
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return sqlite(Path(unquote(parts.path)))
    name = unquote(parts.path.lstrip("/"))
    if parts.scheme not in ("postgres", "postgresql") or not name:
        raise SettingsError(
            f"DATABASE_URL={_without_password(url)!r} does not fit: use postgresql://user:password@host:5432/database"
            " or sqlite:///absolute/path."
        )
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    host = options.pop("host", parts.hostname or "")
    try:
        port = parts.port or options.pop("port", "")
    except ValueError:
        raise SettingsError(f"DATABASE_URL={_without_password(url)!r} does not fit: its port is no number.") from None
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(port),
        "CONN_MAX_AGE": 0,
        "OPTIONS": {"connect_timeout": 5, **options},
    }


def sqlite(path: Path) -> dict[str, Any]:
    """SQLite for several processes: a write-ahead log, and write locks taken when a transaction begins."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "CONN_MAX_AGE": 0,
        "OPTIONS": {
            "timeout": seconds(SQL_WAIT, 20),
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
        # a file, so that every thread and event loop of a test sees the same tables
        "TEST": {"NAME": str(path.with_name("test.sqlite3"))},
    }


def secret_key(home: Path) -> str:
    """The key that signs sessions: ``SECRET_KEY``, else one kept in the home folder, readable by its owner only.

    Raises:
        SettingsError: The home folder cannot be written.
    """
    given = os.environ.get("SECRET_KEY")
    if given:
        return given
    path = home / "secret-key"
    try:
        if not path.exists():
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = home / f".secret-key-{os.getpid()}"
            with open(draft, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as stream:
                stream.write(secrets.token_urlsafe(60))
            try:
                os.link(draft, path)  # the first of several processes wins
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text().strip()
    except OSError as error:
        raise SettingsError(
            f"The data folder {home} cannot be used ({error.strerror}): make it writable or set GANGLION_HOME."
        ) from None


def broker(redis_url: str) -> str:
    """The Redis address in the words of Celery's transport."""
    if redis_url.startswith("unix://"):
        return redis_url.replace("unix://", "redis+socket://", 1)
    return sentinels.broker_url(redis_url)


def mail(url: str) -> dict[str, Any]:
    """Translate ``GANGLION_EMAIL_URL`` into Django's words: smtp:// (with STARTTLS by ?tls=1) or smtps://.

    Raises:
        SettingsError: It is something else.
    """
    if not url:
        return {"EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend"}
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise SettingsError(
            f"GANGLION_EMAIL_URL={_without_password(url)!r} does not fit: use"
            " smtp://user:password@mail.example.com:587/?tls=1&from=ganglion@example.com."
        )
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": parts.port or (465 if parts.scheme == "smtps" else 25),
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_TLS": options.get("tls") == "1",
        "EMAIL_USE_SSL": parts.scheme == "smtps",
        "DEFAULT_FROM_EMAIL": options.get("from", f"ganglion@{parts.hostname}"),
    }


def flag(name: str, default: bool = False) -> bool:
    """Read a switch."""
    raw = os.environ.get(name, "1" if default else "0").strip().lower()
    if raw in ("1", "true", "yes", "on"):
        return True
    if raw in ("0", "false", "no", "off", ""):
        return False
    raise SettingsError(f"{name}={raw!r} does not fit: use 1 or 0.")


def seconds(name: str, default: float) -> float:
    """Read a time."""
    raw = os.environ.get(name, "").strip()
    try:
        found = float(raw) if raw else default
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        raise SettingsError(f"{name}={raw!r} does not fit: use a number of seconds.")
    return found


def log_level() -> str:
    """Read from which level on is logged."""
    raw = os.environ.get("GANGLION_LOG_LEVEL", "INFO").strip().upper()
    if raw not in _LEVELS:
        raise SettingsError(f"GANGLION_LOG_LEVEL={raw!r} does not fit: use one of {', '.join(_LEVELS)}.")
    return raw


def applications(having: str = "") -> list[str]:
    """Read the further applications, packages that can be imported; only those with a module of this name, if any."""
    found = names("GANGLION_EXTRA_APPS", [])
    for name in found:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            spec = None
        if spec is None or spec.submodule_search_locations is None:
            raise SettingsError(
                f"GANGLION_EXTRA_APPS names {name!r}, which is no package that can be imported:"
                " put the folder that holds it on PYTHONPATH, and name the package alone."
            )
    return [name for name in found if not having or importlib.util.find_spec(f"{name}.{having}")]


def short_name(application: str) -> str:
    """The last part of an application's name, as it stands in addresses and names of processes."""
    return application.rpartition(".")[2].replace("_", "-")


def names(name: str, default: list[str]) -> list[str]:
    """Read a comma list."""
    raw = os.environ.get(name)
    return default if raw is None else [part.strip() for part in raw.split(",") if part.strip()]


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return url.replace(f":{parts.password}@", ":…@") if parts.password else url
