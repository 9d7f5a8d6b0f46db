"""Deliveries that grow: each day's parts lie in a folder of their own, as ds=2026-11-25."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from jobs.runs.errors import JobError

# As Hive and Spark name the folder of a partition.
OF_DAY = re.compile(r"[A-Za-z_]\w*=(\d{4}-\d{2}-\d{2})")
# Files that are named where they are told of.
SHOWN = 3


def day_of(folder: str) -> date | None:
    """The day whose parts a folder of this name holds; None of others."""
    found = OF_DAY.fullmatch(folder)
    try:
        return date.fromisoformat(found[1]) if found else None
    except ValueError:
        return None


def day_of_file(name: str) -> date | None:
    """The day of the folder, of those in a file's path, that is one of a day; None without one."""
    days = [day for part in name.split("/")[:-1] if (day := day_of(part))]
    return days[-1] if days else None


def end_of_times(ds: date) -> int:
    """The first second, since 1970, of what a run of a date takes for the future."""
    return (ds.toordinal() - date(1970, 1, 1).toordinal() + 2) * 86_400


def leave_out_later(delivery: Path, ds: date, source: str) -> int:
    """Remove the parts of days after a run's date; how many files of days are left.

    A run of an earlier date is then given what it was given that day. Raises JobError if there are
    parts of later days alone.
    """
    days = {
        path: day
        for path in delivery.rglob("*")
        if path.is_file() and (day := day_of_file(path.relative_to(delivery).as_posix()))
    }
    later = [path for path, day in days.items() if day > ds]
    if later and len(later) == len(days):
        raise JobError(
            f"{source} holds parts from {min(days.values())} on, and none up to {ds}, the run's "
            "date (--ds)."
        )
    for path in later:
        path.unlink()
    return len(days) - len(later)


def told_since(
    files: Mapping[str, Any], before: Mapping[str, Any], when: str
) -> tuple[dict[str, int], list[str]]:
    """What has become of the parts of days since another delivery came, `when`.

    Both hold each file's `sha256` by name. Returns how many files are new, changed and gone, and
    sentences about it.
    """
    dated = {name for name in {*files, *before} if day_of_file(name)}
    new = sorted(name for name in dated if name not in before)
    gone = sorted(name for name in dated if name not in files)
    same = dated.difference(new, gone)
    changed = sorted(n for n in same if files[n]["sha256"] != before[n]["sha256"])
    sentences = [f"new among {len(dated) - len(gone):,} files in folders of days: {len(new):,}"]
    for word, names, what in (
        ("changed", changed, "read as they are now"),
        ("gone", gone, "counted no longer"),
    ):
        if names:
            more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
            sentences.append(f"{word} since {when}, and {what}: {', '.join(names[:SHOWN])}{more}")
    return {"new": len(new), "changed": len(changed), "gone": len(gone)}, sentences
