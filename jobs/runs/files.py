"""Locks of the warehouse, and files that appear whole or not at all, and stay.

What has been written is forced to disk before anything relies on it: model/files.py says how.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from jobs.runs.errors import JobError
from jobs.runs.holders import holder_of, note_holder
from model.files import make_folder, sync


@contextmanager
def exclusive(file: Path, waiting_for: str) -> Iterator[None]:
    """Hold the lock on a file; while others hold it, say what is waited for and who does, and wait.

    The lock goes with its process, however that ends; the file stays, and says who held it last.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    # Opening must not take the holder's note away.
    with file.open("a+", encoding="utf-8") as lock:
        told = None
        while not is_taken(lock):
            if (holder := holder_of(file)) != told:
                print(f"waiting for {waiting_for}: {file} is held by {holder}", flush=True)
            told = holder
            time.sleep(0.1)
        note_holder(lock)
        yield


@contextmanager
def if_free(file: Path) -> Iterator[bool]:
    """Hold the lock on a file, or, while another process holds it, yield False and hold nothing."""
    with file.open("a+", encoding="utf-8") as lock:
        free = is_taken(lock)
        if free:
            note_holder(lock)
        yield free


def is_held(file: Path) -> bool:
    """Whether a process holds the lock on a file."""
    if not file.is_file():
        return False
    with file.open() as lock:
        # A shared lock is all that a network file system grants to who may only read.
        return not is_taken(lock, fcntl.LOCK_SH)


def is_taken(lock: TextIO, kind: int = fcntl.LOCK_EX) -> bool:
    """Take the lock on an open file, unless another process holds it; returns whether it did.

    Raises JobError where the file system knows no locks.
    """
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise JobError(
            f"{lock.name}: its file system grants no locks ({error.strerror}), and without them "
            "two jobs would write at once. Choose a warehouse on another one."
        ) from None
    return True


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Yield a name to write under; if all goes well, it then takes the place of `file`.

    A reader never meets half a file, nor does who comes after a power failure. When writing fails,
    `file` stays as it was.
    """
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(file)
        sync(file.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(file: Path, values: dict[str, Any]) -> None:
    """Write a record, whole or not at all; its folder is made if need be."""
    make_folder(file.parent)
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def read_json(file: Path) -> dict[str, Any] | None:
    """A record; None where there is none.

    One that is empty or torn, as a power failure leaves what was not forced to disk, counts as not
    written, and is said to be so.
    """
    try:
        values = json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        values = None
    if not isinstance(values, dict):
        # Where the answer itself is JSON, it stays the only thing on standard output.
        print(f"{file} is empty or torn: it counts as not written", file=sys.stderr, flush=True)
        return None
    return values


def remove_record(file: Path) -> None:
    """Take a record away, for good: what it told of may be changed after that."""
    if file.exists():
        file.unlink()
        sync(file.parent)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or, where the file system cannot, copy its content.

    Nightreel never writes into a file that is there: whatever is made again, is made as a new file
    that takes the other's place, so that neither name's content ever changes. An OSError names the
    file that was being written.
    """
    try:
        target.hardlink_to(source)
    except OSError:
        # Another file system, one without hard links, or too many links.
        try:
            shutil.copyfile(source, target)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(target)) from error
