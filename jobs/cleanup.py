"""Remove old runs, what killed jobs left behind, and files that no recent version of a table has.

    nightreel cleanup --dry-run                      shows what would be removed
    nightreel cleanup                                30 runs, and 7 days of table versions, stay
    nightreel cleanup --keep-runs 5 --keep-days 30

Of runs, the newest --keep-runs stay. So do, however old: of each release the published run of the
newest date; every run whose data a remaining run scores again; and runs in which anything was
written within a day, as they may be working. Jobs' scratch goes when nothing was written there for
a day. Of tables, every version that was current within the last --keep-days stays readable and can
be restored; files that only older versions have go, and so do those of publishes that failed.

Deliveries in raw/, downloads, MLflow's runs and model versions are left alone.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from jobs.arguments import command_arguments, warehouse_of
from jobs.command import run_command
from jobs.delta import commit_at, history, is_published, open_table
from jobs.display import show_table
from jobs.locks import exclusive
from jobs.schemas import PUBLISHED

DAY = 24 * 3600
MIB = 2**20
# Delta's own default, and what this keeps unless told otherwise.
SAFE_DAYS = 7
KINDS = {"runs": "runs", "staging": "folders of scratch", "files": "files of tables"}


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


def old_runs(runs: list[Path], keep_runs: int, now: float) -> list[Path]:
    """The runs that may go."""
    about: dict[str, dict] = {}
    for run in runs:
        file, publish = run / "run.json", run / "steps" / "publish.json"
        if file.is_file():
            about[run.name] = json.loads(file.read_text(encoding="utf-8"))
            about[run.name]["started"] = file.stat().st_mtime
            about[run.name]["published"] = publish.stat().st_mtime if publish.is_file() else None
    kept = set(sorted(about, key=lambda name: -about[name]["started"])[:keep_runs])
    kept |= {run.name for run in runs if now - measure(run)[1] < DAY}
    published = (name for name in about if about[name]["published"])
    by_date = sorted(published, key=lambda name: (about[name]["ds"], about[name]["published"]))
    # Of each release, the dict keeps the last.
    kept |= set({about[name]["release"]: name for name in by_date}.values())
    while named := {str(about[name].get("data_run")) for name in kept & about.keys()} - kept:
        kept |= named
    return [run for run in runs if run.name not in kept]


def unused_files(warehouse: Path, name: str, keep_days: int) -> list[Path]:
    """The files of a table that are older than some days, and of no version of those days."""
    table = open_table(warehouse, name)
    commits = history(table)
    oldest = commit_at(commits, datetime.now(UTC) - timedelta(days=keep_days)) or commits[-1]
    # Only listed: vacuum's own removal adds two versions to the table, files to remove or not.
    listed = table.vacuum(
        retention_hours=24 * keep_days,
        dry_run=True,
        enforce_retention_duration=keep_days >= SAFE_DAYS,
        full=True,
        # Without it, files are listed that were restored and replaced again, or that were replaced
        # within the days but before the log's last checkpoint.
        keep_versions=[commit.version for commit in commits if commit.version >= oldest.version],
    )
    # The list names what was removed long ago too, and some files twice.
    files = {warehouse / "tables" / name / file for file in listed}
    return sorted(file for file in files if file.is_file())


def find(warehouse: Path, keep_runs: int, keep_days: int) -> list[Waste]:
    """All that is to be removed."""
    now, runs = time.time(), warehouse / "runs"
    scratch = folders(warehouse / "staging", "*") + folders(warehouse / "raw", ".incoming-*")
    scratch = [folder for folder in scratch if now - measure(folder)[1] > DAY]
    scratch += folders(runs, ".removed-*")
    old = old_runs(folders(runs, "[!.]*"), keep_runs, now)
    found = [
        Waste(kind, str(path.relative_to(warehouse)), [path], measure(path)[0])
        for kind, paths in (("staging", scratch), ("runs", old))
        for path in paths
    ]
    for name in filter(lambda name: is_published(warehouse, name), PUBLISHED):
        if files := unused_files(warehouse, name, keep_days):
            size = sum(file.stat().st_size for file in files)
            found.append(Waste("files", f"files of table {name}: {len(files)}", files, size))
    return found


def remove(waste: Waste) -> None:
    """Remove it. A run is first renamed, so that a killed cleanup leaves no half of one."""
    for path in waste.paths:
        if waste.kind == "files":
            path.unlink()
            continue
        if waste.kind == "runs":
            path = path.rename(path.with_name(f".removed-{path.name}"))
        shutil.rmtree(path)


def whole(text: str) -> int:
    """The type of arguments that count, from 0."""
    if not (text.isascii() and text.isdigit() and int(text) <= 100_000):
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 100000, found {text!r}")
    return int(text)


def main(argv: list[str] | None = None) -> None:
    """`nightreel cleanup`."""
    parser = command_arguments(__doc__)
    parser.add_argument("--keep-runs", type=whole, default=30, help="runs to keep (default: 30)")
    parser.add_argument(
        "--keep-days", type=whole, default=SAFE_DAYS, help="of table versions (default: 7)"
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what would be removed")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args(argv)
    warehouse, days, dry_run = warehouse_of(arguments), arguments.keep_days, arguments.dry_run
    if days < SAFE_DAYS:
        print(
            f"Warning: whoever still reads a version that was replaced more than {days} days ago "
            "fails, and tables can be restored only as far back as that."
        )
    # The lock of publish: no file goes that a run is about to commit.
    lock = exclusive(warehouse / "tables" / ".lock", "a run to have published")
    with lock if (warehouse / "tables").is_dir() and not dry_run else nullcontext():
        found = find(warehouse, arguments.keep_runs, days)
        if found:
            rows = ((waste.name, f"{waste.bytes / MIB:.1f}") for waste in found)
            show_table("To be removed", ["", "MiB"], rows, numbers={"MiB"})
        for waste in found if not dry_run else ():
            remove(waste)
    counts = {kind: sum(len(w.paths) for w in found if w.kind == kind) for kind in KINDS}
    freed = sum(waste.bytes for waste in found)
    what = ", ".join(f"{name} {counts[kind]}" for kind, name in KINDS.items())
    done = "Nothing was changed: this was a dry run. To be removed" if dry_run else "Removed"
    if found:
        print(f"{done}: {what}; {freed / MIB:.1f} MiB.")
    else:
        print(f"There is nothing to remove in {warehouse}.")
    if arguments.json:
        print(json.dumps({"dry_run": dry_run, **counts, "bytes": freed}))


if __name__ == "__main__":
    run_command(main)
