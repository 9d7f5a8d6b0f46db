"""Deliveries in raw/: named by a digest of their content, and put there once, whole."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jobs.runs.errors import JobError
from jobs.runs.files import exclusive, read_json
from model.files import make_folder, sync, sync_tree

MANIFEST = "manifest.json"
"""Beside the files: where they came from, and what each of them holds."""

Files = dict[str, dict[str, str | int]]


def describe(folder: Path) -> Files:
    """Size in bytes and SHA-256 of every delivered file, by its path within the folder, sorted."""
    files: Files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if name == MANIFEST:
            continue
        files[name] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
    return files


def sha256_of(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def digest_of(files: Files) -> str:
    """Sixteen hex digits that name this content, however it was packed."""
    listing = "".join(f"{name}\0{files[name]['sha256']}\n" for name in sorted(files))
    return hashlib.sha256(listing.encode()).hexdigest()[:16]


def is_whole(raw: Path) -> bool:
    """Whether a delivery holds what its folder is named after: all of it is read."""
    return digest_of(describe(raw)) == raw.name


def require_whole(raw: Path) -> None:
    """Raises JobError if a delivery is not there, or no longer what was delivered."""
    if not raw.is_dir() or not is_whole(raw):
        raise JobError(
            f"{raw} does not hold what was delivered: a file there was changed, or is missing. "
            "Nothing was made of it. To have it as it came, start the run again from its source: "
            "nightreel ingest --run-id <run>"
        )


@dataclass(frozen=True)
class Kept:
    """An earlier delivery of a release."""

    folder: Path
    day: str
    """When it came, as 2026-11-25."""
    files: Files


def kept_last(raw: Path) -> Kept | None:
    """The delivery of the release that came last before this one; None if none did."""
    found = [
        (manifest["ingested_at"], file.parent, manifest["files"])
        for file in raw.parent.glob(f"*/{MANIFEST}")
        if file.parent != raw and (manifest := read_json(file))
    ]
    if not found:
        return None
    at, folder, files = max(found, key=lambda one: one[:2])
    return Kept(folder, at[:10], files)


def share_files(delivery: Path, files: Files, kept: Kept) -> None:
    """Let files that an earlier delivery holds as well lie on the disk once.

    Those that cannot, because of the file system or because they were changed or removed there
    since, stay copies.
    """
    names = {file["sha256"]: name for name, file in kept.files.items()}
    for name, file in files.items():
        known = names.get(file["sha256"])
        if known is None or not file["bytes"]:
            continue
        with suppress(OSError):
            if sha256_of(kept.folder / known) == file["sha256"]:
                link = delivery / f"{name}.linked"
                os.link(kept.folder / known, link)
                os.replace(link, delivery / name)


def keep(delivery: Path, raw: Path, refuse: Callable[[], None] = lambda: None) -> None:
    """Move a delivery to its place in raw/, unless it lies there already; of two, one is kept.

    What was changed there since it came gives way. `refuse` is asked under the lock, and raises
    where the delivery may not be kept after all.
    """
    make_folder(raw.parent)
    with exclusive(raw.parent / ".lock", "another run to have kept its delivery"):
        refuse()
        if raw.is_dir() and (raw / MANIFEST).is_file() and is_whole(raw):
            return
        if raw.exists():
            print(f"ingest: {raw} did not hold what was delivered, and is replaced", flush=True)
            gone = raw.with_name(f".{raw.name}.changed")
            shutil.rmtree(gone, ignore_errors=True)
            raw.rename(gone)
        sync_tree(delivery)
        delivery.rename(raw)
        sync(raw.parent)
        shutil.rmtree(raw.with_name(f".{raw.name}.changed"), ignore_errors=True)
