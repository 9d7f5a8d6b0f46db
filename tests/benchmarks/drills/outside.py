"""Drills of what comes from outside: the tests that make each fault, a row each."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable

DRILLED = [
    ("download", "a checksum, length or headers without end; a drip", "release/test_download.py"),
    ("zip, folder", "extreme headers, names, counts, bombs", "release/test_unpacking.py"),
    ("first lines of files", "a line without end", "release/test_layouts.py"),
    ("raw/", "two runs at once, changed files, a second user", "test_ingest.py"),
    ("locks", "a holder that is gone, a second user", "runs/test_files.py"),
    ("locks", "another host", "upkeep/test_locks.py"),
    ("tables, sinks, terminal", "control characters, NUL", "questions/test_hostile_text.py"),
    ("nightreel sql", "statements that write or read elsewhere", "questions/test_query.py"),
    ("PostgreSQL, object store", "falls silent", "sinks/test_hanging_servers.py"),
    ("MLflow", "falls silent, changed models, names that are paths", "training/test_registry.py"),
]


def drills() -> Iterable[tuple[str, str, str]]:
    """Place, fault, and how many of its tests failed."""
    for place, fault, tests in DRILLED:
        command = [sys.executable, "-m", "pytest", f"tests/jobs/{tests}", "-q", "--no-header"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"{tests} could not be run: {done.stdout[-2000:]}{done.stderr}")
        yield place, fault, done.stdout.strip().splitlines()[-1]
