"""What a warehouse holds that nobody needs any more: old runs, scratch, files of old versions.

`nightreel cleanup` says what is kept.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from jobs.published.delta import commit_at, history, is_published, open_table
from jobs.published.runs_table import readers_runs
from jobs.published.whole import newest_whole, shown_version
from jobs.runs.files import is_held, read_json
from jobs.runs.schemas import PUBLISHED
from jobs.runs.warehouse import Warehouse

DAY = 24 * 3600
# Delta's own default, and what cleanup keeps unless told otherwise.
SAFE_DAYS = 7
KINDS = {
    "runs": "runs",
    "staging": "folders of scratch",
    "models": "fetched models",
    "files": "files of tables",
}


class Waste(NamedTuple):
    """Something to remove."""

    kind: str
    """One of KINDS."""
    name: str
    paths: list[Path]
    bytes: int


def measure(folder: Path) -> tuple[int, float]:
    """The bytes of the files in a folder, and when anything in it was written last."""
    size, written_at = 0, 0.0
    for inner, _, names in os.walk(folder):
        for name in (".", *names):
            # A job that works there may just have removed it.
            with suppress(FileNotFoundError):
                status = os.lstat(os.path.join(inner, name))
                size += 0 if name == "." else status.st_size
                written_at = max(written_at, status.st_mtime)
    return size, written_at


def folders(parent: Path, pattern: str) -> list[Path]:
    """The folders, not links, that match in a folder, which need not exist."""
    found = sorted(parent.glob(pattern))
    return [folder for folder in found if folder.is_dir() and not folder.is_symlink()]


def old_runs(warehouse: Warehouse, keep_runs: int, now: float) -> list[Path]:
    """The runs that may go."""
    runs = folders(warehouse.runs, "[!.]*")
    about: dict[str, dict] = {}
    for run in runs:
        file, publish = run / "run.json", run / "steps" / "publish.json"
        if told := read_json(file):
            about[run.name] = told
            about[run.name]["started"] = file.stat().st_mtime
            about[run.name]["published"] = publish.stat().st_mtime if publish.is_file() else None
    kept = set(sorted(about, key=lambda name: -about[name]["started"])[:keep_runs])
    kept |= {run.name for run in runs if now - measure(run)[1] < DAY or is_held(run / ".lock")}
    kept |= readers_runs(warehouse) if runs else set()
    published = (name for name in about if about[name]["published"])
    by_date = sorted(published, key=lambda name: (about[name]["ds"], about[name]["published"]))
    # Of each release, the dict keeps the last.
    kept |= set({about[name]["release"]: name for name in by_date}.values())
    # A run that has not published yet may be taking data or rows over from its bases.
    at_work = {name for name in kept & about.keys() if not about[name]["published"]}
    kept |= {str(about[name].get(base)) for name in at_work for base in ("base_run", "etl_base")}
    while named := {str(about[name].get("data_run")) for name in kept & about.keys()} - kept:
        kept |= named
    return [run for run in runs if run.name not in kept]


def unused_files(warehouse: Warehouse, name: str, keep_days: int) -> list[Path]:
    """The files of a table that are older than some days, and of no version of those days."""
    table = open_table(warehouse, name)
    commits = history(warehouse.table(name))
    oldest = commit_at(commits, datetime.now(UTC) - timedelta(days=keep_days)) or commits[-1]
    shown = shown_version(warehouse, name, newest_whole(warehouse))
    # Only listed: vacuum's own removal adds two versions to the table, files to remove or not.
    listed = table.vacuum(
        retention_hours=24 * keep_days,
        dry_run=True,
        enforce_retention_duration=keep_days >= SAFE_DAYS,
        full=True,
        # Without it, files are listed that were restored and replaced again, or that were replaced
        # within the days but before the log's last checkpoint.
        keep_versions=[
            commit.version
            for commit in commits
            # What readers see is not the newest where a publish has not come to its end.
            if commit.version >= oldest.version or commit.version == shown
        ],
    )
    # The list names what was removed long ago too, and some files twice.
    files = {warehouse.table(name) / file for file in listed}
    return sorted(file for file in files if file.is_file())


def find(warehouse: Warehouse, keep_runs: int, keep_days: int) -> list[Waste]:
    """All that is to be removed."""
    now = time.time()
    scratch = folders(warehouse.scratch, "*")
    scratch = [folder for folder in scratch if now - measure(folder)[1] > DAY]
    scratch += folders(warehouse.runs, ".removed-*")
    old = old_runs(warehouse, keep_runs, now)
    fetched = folders(warehouse.models, "*")
    fetched = [folder for folder in fetched if now - measure(folder)[1] > SAFE_DAYS * DAY]
    kinds = {"staging": scratch, "runs": old, "models": fetched}
    found = [
        Waste(kind, str(path.relative_to(warehouse.folder)), [path], measure(path)[0])
        for kind, paths in kinds.items()
        for path in paths
    ]
    for name in filter(lambda name: is_published(warehouse, name), PUBLISHED):
        if files := unused_files(warehouse, name, keep_days):
            size = sum(file.stat().st_size for file in files)
            found.append(Waste("files", f"files of table {name}: {len(files)}", files, size))
    return found
