"""DBOS on a PostgreSQL of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

from bench.peers.environment import Environment, Unavailable
from bench.peers.peer import READY, Engine, Peer, until
from bench.stack import free_port
from tests.servers import ServerMissing, postgresql_programs

WORKERS = 2


class DbosPeer(Peer):
    """Two worker processes on a queue, and polls often enough not to be what limits it."""

    name = "dbos"
    title = "DBOS"
    engines = (Engine("dbos", target=18),)
    packages = ("dbos", "sqlalchemy", "psycopg")
    durability = "each commit on disk (fsync, synchronous_commit on)"
    settings = "PostgreSQL as it comes, 2 worker processes, async steps; queue polled every 0.1 s, results every 0.5 s"

    def __init__(self, environment: Environment, step_s: float = 0.0) -> None:
        super().__init__(environment, step_s)
        self._launched = False

    def start_servers(self) -> None:
        """PostgreSQL with its defaults; as root it runs as the user ``postgres``, because it refuses root."""
        try:
            programs = postgresql_programs()
        except ServerMissing as error:
            raise Unavailable(str(error)) from None
        user = "postgres" if os.getuid() == 0 else None
        folder, port = self.home / "postgresql", free_port()
        self.home.chmod(0o711)
        folder.mkdir(mode=0o700)
        if user:
            shutil.chown(folder, user, user)
        data = str(folder / "data")
        created, _ = self.run(
            [str(programs / "initdb"), "-D", data, "-U", "bench", "--auth=trust", "-E", "UTF8"], user=user
        )  # fmt: skip
        if created.wait(60):
            raise Unavailable("PostgreSQL's initdb failed")
        command = [str(programs / "postgres"), "-D", data, "-p", str(port), "-c", "listen_addresses=127.0.0.1"]
        self.run([*command, "-c", f"unix_socket_directories={folder}"], user=user)
        ready = [str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-U", "bench"]
        until(lambda: not subprocess.run(ready, capture_output=True, check=False).returncode, "PostgreSQL")
        createdb = [str(programs / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "bench", "dbos"]
        subprocess.run(createdb, check=True, capture_output=True)
        self.addresses["BENCH_DATABASE_URL"] = f"postgresql://bench@127.0.0.1:{port}/dbos"
        version = subprocess.run([str(programs / "postgres"), "--version"], capture_output=True, text=True, check=True)
        self._version = version.stdout.strip()

    def start_workers(self) -> None:
        """One after another at first, because the first creates the tables; all at once when they are restarted."""
        announces = "" if self._launched else READY
        for number in range(WORKERS):
            command = [self.environment.python, "-m", "bench.peers.dbos.app", f"worker-{number}"]
            self.start_worker(*command, announces=announces)
        self._launched = True

    def about(self) -> dict[str, Any]:
        """PostgreSQL's version too."""
        return {**super().about(), "server": self._version}
