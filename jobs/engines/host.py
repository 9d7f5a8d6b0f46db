"""What a step needs of the host that it runs on, looked at without starting anything.

Java, Spark and ranks end in tracebacks of their own where one of these is missing. `python -m
jobs.engines.host` looks at Java alone, as spark-submit does before it starts one
(conf/spark/spark-env.sh).
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from jobs.runs.errors import JobError

JAVA_VERSIONS = (17, 21)
NEEDED = "Spark needs Java 17 or 21"
JAVA_SECONDS = 30
# So much must be free where temporary files go: Java unpacks a few libraries there.
FREE_BYTES = 4 << 20
# By which of these Java is told where that is, else it takes the system's folder.
JAVA_OPTIONS = ("SPARK_SUBMIT_OPTS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")


def require_java() -> None:
    """Raise JobError unless the Java that Spark would start is one that it runs on."""
    home = os.environ.get("JAVA_HOME")
    found = f"{home}/bin/java" if home else shutil.which("java")
    how = (
        "Set JAVA_HOME to the folder of one, or unset it to take the java on PATH."
        if home
        else "Install one (Debian: openjdk-17-jre-headless), or set JAVA_HOME to its folder."
    )
    if not found:
        raise JobError(f"There is no java on PATH, and {NEEDED}. {how}")
    if not os.access(found, os.X_OK):
        raise JobError(f"JAVA_HOME is {home}, where there is no bin/java, and {NEEDED}. {how}")
    version = java_version(Path(found))
    if version not in JAVA_VERSIONS:
        which = f"JAVA_HOME is {home}, which" if home else f"The java on PATH, {found},"
        is_it = f"is Java {version}" if version else "does not say its version"
        raise JobError(f"{which} {is_it}, and {NEEDED}. {how}")


def java_version(java: Path) -> int | None:
    """The major version of a Java, from the file `release` that it came with; None: unknown.

    Where there is no such file, it is asked.
    """
    try:
        said = (java.resolve().parents[1] / "release").read_text("utf-8", "replace")
        found = re.search(r'^JAVA_VERSION="([^"]*)"', said, re.MULTILINE)
    except OSError:
        found = None
    if found is None:
        try:
            asked = subprocess.run(
                [java, "-version"], capture_output=True, timeout=JAVA_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        found = re.search(r'version "([^"]*)"', asked.stderr.decode("utf-8", "replace"))
    # Up to Java 8 the major version came second, as in 1.8.0.
    major = re.match(r"(?:1\.)?(\d+)", found[1]) if found else None
    return int(major[1]) if major else None


def require_java_scratch() -> None:
    """Raise JobError if Java cannot unpack and load libraries where its temporary files go."""
    said = " ".join(os.environ.get(name, "") for name in JAVA_OPTIONS)
    named = re.findall(r"-Djava\.io\.tmpdir=(\S+)", said)
    # Java does not look at TMPDIR.
    folder = Path(named[-1] if named else "/tmp" if sys.platform == "linux" else own_scratch())
    else_where = "name another: export SPARK_SUBMIT_OPTS=-Djava.io.tmpdir=/path"
    require_room(folder, else_where)
    if os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 0):
        raise JobError(
            f"{folder}, where Java unpacks the libraries that it loads, is mounted with noexec. "
            f"Mount it without, or {else_where}"
        )


def require_own_scratch() -> None:
    """Raise JobError if Python's temporary files have no place."""
    require_room(Path(own_scratch()), "name another by the variable TMPDIR.")


def own_scratch() -> str:
    """Where Python's temporary files go. Raises JobError if there is no such folder."""
    try:
        return tempfile.gettempdir()
    except OSError as error:
        raise JobError(
            f"{error.strerror}. Make room in one of them, or name another by the variable TMPDIR."
        ) from None


def require_room(folder: Path, else_where: str) -> None:
    """Raise JobError if a folder for temporary files takes none, or not enough of them."""
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            left = FREE_BYTES
            while left:
                left -= file.write(bytes(left))
    except OSError as error:
        raise JobError(
            f"{folder}, where temporary files go, does not take {FREE_BYTES >> 20} MiB of them: "
            f"{error.strerror}. Make room there, or {else_where}"
        ) from None


def require_host_name() -> None:
    """Raise JobError unless the name of this host has an address: ranks tell it one another."""
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        raise JobError(
            f"The name of this host, {name}, has no address, and ranks find one another by it. "
            f"Give it one, as by this line in /etc/hosts: 127.0.1.1 {name}"
        ) from None


if __name__ == "__main__":
    try:
        require_java()
    except JobError as error:
        sys.exit(f"nightreel: {error}")
