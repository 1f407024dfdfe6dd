"""What must hold before anything starts; each failure is one line that says what to do."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

from config.up.options import Options
from config.up.problems import CannotStart

OLDEST = (7, 0)


def own(home: Path, address: str) -> TextIO:
    """Make the home folder this run's own, for as long as the returned file stays open.

    Raises:
        CannotStart: It cannot be written, or another run owns it.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / "redis").mkdir(mode=0o700, exist_ok=True)
        stream = (home / "up.lock").open("a+")
    except OSError as error:
        raise CannotStart(
            f"The data folder {home} cannot be written ({(error.strerror or 'error').lower()}):"
            " make it writable or choose another with --home."
        ) from None
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.seek(0)
        words = stream.read().split()
        running = f" at {words[1]} (process {words[0]})" if len(words) == 2 else ""
        raise CannotStart(
            f"Ganglion already runs on {home}{running}: use that one, stop it, or choose another folder with --home."
        ) from None
    stream.truncate(0)
    stream.write(f"{os.getpid()} {address}\n")
    stream.flush()
    return stream


def settings(options: Options) -> None:
    """Read every setting once, so that a wrong one is named here and not by ten processes."""
    from config import environment
    from coordination import config
    from coordination.errors import SettingsError

    try:
        config.load()
        environment.database(options.database_url, options.home)
        environment.flag("GANGLION_TLS")
        environment.seconds(environment.SQL_WAIT, 20)
        environment.seconds("GANGLION_JOB_LOST_S", 60)
        environment.log_level()
        environment.applications()
    except SettingsError as error:
        raise CannotStart(str(error)) from None


def redis(url: str) -> None:
    """A server of the person's own must answer, be new enough, and never evict.

    Raises:
        CannotStart: It does not.
    """
    import redis as client

    from config import sentinels
    from coordination.address import without_login

    shown = without_login(url)
    cluster = url.startswith("redis+cluster://")
    plain = url.replace("redis+cluster://", "redis://", 1)
    connect = sentinels.client if sentinels.follows(url) else client.Redis.from_url
    try:
        connection = connect(plain, socket_timeout=5, socket_connect_timeout=5, retry=None)
        about = connection.info("server")
        memory = connection.info("memory")
        connection.close()
    except client.AuthenticationError as error:
        raise CannotStart(f"Redis at {shown} refuses the login of REDIS_URL: {error}.") from None
    except (client.RedisError, OSError, ValueError) as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise CannotStart(f"Redis at {shown} does not answer ({reason}): start it or correct REDIS_URL.") from None
    if "valkey_version" not in about:
        version = tuple(int(part) for part in str(about["redis_version"]).split(".")[:2])
        if version < OLDEST:
            raise CannotStart(
                f"Redis at {shown} is version {about['redis_version']}: use 7.0 or newer, or Valkey,"
                " or unset REDIS_URL for the embedded server."
            )
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise CannotStart(
            f"Redis at {shown} may forget accepted work (maxmemory-policy {policy}):"
            " set it to noeviction by CONFIG SET maxmemory-policy noeviction and in its file."
        )
    if cluster and not os.environ.get("GANGLION_BROKER_URL"):
        raise CannotStart(
            "A cluster carries workflows, but not the jobs and live pages: set GANGLION_BROKER_URL and"
            " GANGLION_CHANNELS_URL to a single Redis server."
        )


def database(url: str) -> None:
    """A database of the person's own must answer.

    Raises:
        CannotStart: It does not.
    """
    import psycopg

    parts = urlsplit(url)
    shown = f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.Error as error:
        reason = str(error).strip().split("\n")[-1].rstrip(".")
        raise CannotStart(
            f"PostgreSQL at {shown} does not answer ({reason}): start it or correct DATABASE_URL."
        ) from None
