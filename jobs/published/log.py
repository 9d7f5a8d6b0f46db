"""The log of a Delta table as the files that it is: what is on disk, and what of it is whole.

delta-rs writes a commit, and every hundred a checkpoint, without forcing them to disk. Here they
are; and what a power failure left empty or torn, always the newest, counts as not written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deltalake import DeltaTable, PostCommitHookProperties
from deltalake.exceptions import DeltaError

from jobs.runs.errors import JobError
from model.files import sync

# A checkpoint lets old commits be forgotten: that must wait until both are on disk.
NO_CHECKPOINT = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
CHECKPOINT_EVERY = 100


def log_of(table: Path) -> Path:
    return table / "_delta_log"


def commit_file(table: Path, version: int) -> Path:
    return log_of(table) / f"{version:020d}.json"


def versions_on_disk(table: Path) -> list[int]:
    """The versions whose commits lie in the log, whole or not, newest first."""
    if not log_of(table).is_dir():
        return []
    names = (file.name for file in log_of(table).iterdir())
    return sorted((int(n[:20]) for n in names if re.fullmatch(r"\d{20}\.json", n)), reverse=True)


def commit_info(table: Path, version: int) -> dict[str, Any] | None:
    """What a commit says of itself; None if it is not there, or not whole."""
    try:
        lines = commit_file(table, version).read_bytes().splitlines()
        actions = [json.loads(line) for line in lines if line.strip()]
    except (FileNotFoundError, ValueError):
        return None
    if not actions:
        return None
    return next((action["commitInfo"] for action in actions if "commitInfo" in action), {})


def newest_version(table: Path) -> int | None:
    """The newest version whose commit is whole; None before the first."""
    return next((v for v in versions_on_disk(table) if commit_info(table, v) is not None), None)


def repair_log(table: Path) -> None:
    """Remove what a power failure left torn. The caller holds the lock of publish."""
    newest = newest_version(table)
    for version in versions_on_disk(table):
        if newest is not None and version <= newest:
            break
        file = commit_file(table, version)
        file.unlink()
        print(f"{file} was empty or torn: it counts as not written, and is removed", flush=True)
    pointer = log_of(table) / "_last_checkpoint"
    torn = [file for file in log_of(table).glob("*.checkpoint.parquet") if not is_parquet(file)]
    if torn or (pointer.is_file() and not is_json(pointer)):
        # The commits that a checkpoint sums up are there until it is on disk.
        for file in [*torn, pointer]:
            file.unlink(missing_ok=True)
        print(f"{log_of(table)}: a torn checkpoint is removed", flush=True)


def is_parquet(file: Path) -> bool:
    """Whether it begins and ends as Parquet does."""
    with file.open("rb") as content:
        head = content.read(4)
        content.seek(max(0, file.stat().st_size - 4))
        return head == content.read(4) == b"PAR1"


def is_json(file: Path) -> bool:
    try:
        return isinstance(json.loads(file.read_bytes()), dict)
    except ValueError:
        return False


@contextmanager
def committing(table: Path) -> Iterator[None]:
    """Raises JobError where delta-rs could not write a commit: it is there whole, or not at all."""
    try:
        yield
    except (OSError, DeltaError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        # It says where it was in several lines, the cause in the last.
        cause = re.sub(r"\x1b\[[0-9;]*m|\u21b3", "", str(error)).strip().splitlines()[-1].strip()
        raise JobError(f"{log_of(table)} could not be written: {cause}.") from error


def sync_commit(table: Path, version: int) -> None:
    """Force a new commit to disk, with its name; and now and then make a checkpoint."""
    sync(commit_file(table, version))
    sync(log_of(table))
    if version == 0:
        sync(table)
        sync(table.parent)
    if version % CHECKPOINT_EVERY == CHECKPOINT_EVERY - 1:
        opened = DeltaTable(table)
        opened.create_checkpoint()
        for file in log_of(table).iterdir():
            if file.suffix != ".json":
                sync(file)
        sync(log_of(table))
        opened.cleanup_metadata()
