"""Locks of the warehouse, and files that appear whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def exclusive(file: Path, waiting_for: str) -> Iterator[None]:
    """Hold the lock on a file; while another process holds it, say what is waited for, and wait.

    The lock goes with its process, however that ends; the file stays.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for {waiting_for}", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        # Passed on to what a job starts with close_fds=False: that holds the lock too.
        os.set_inheritable(lock.fileno(), True)
        yield


def is_held(file: Path) -> bool:
    """Whether a process holds the lock on a file."""
    if not file.is_file():
        return False
    with file.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Yield a name to write under; if all goes well, it then takes the place of `file`.

    A reader never meets half a file. When writing fails, `file` stays as it was.
    """
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        yield temporary
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(file: Path, values: dict[str, Any]) -> None:
    """Write a record, whole or not at all."""
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
