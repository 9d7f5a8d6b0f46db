"""Which files of a delivery of one's own hold ratings, and which titles; a table may have parts.

Parts lie in a folder called `ratings` or `movies`, are called so but for numbers, as in
ratings-2.csv, or, where there are no such files, are called alike but for numbers, as Spark's
part-00000-....csv are.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from jobs.release.layouts import TABLES
from jobs.runs.errors import JobError

# Files that lie beside ratings.
OTHERS = {"movies", "users", "tags", "links", "readme", "licence", "license"}
# What the names of parts differ in: numbers, and the UUID of each job of Spark that wrote some.
COUNTED = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+", re.IGNORECASE)
OF_PARTS = re.compile(r"(part|of|[\W\d_])+")


@dataclass(frozen=True)
class Named:
    """The files of one table, in their order."""

    raw: Path
    source: str
    """What messages call the delivery."""
    files: tuple[str, ...]
    """Paths within raw, of at least one file."""
    usual: bool
    """Whether they are called ratings or movies, so that their columns may be shown."""

    @property
    def paths(self) -> list[Path]:
        return [self.raw / file for file in self.files]

    def label(self, file: str) -> str:
        return f"{self.source}: {file}"


def own_ratings(raw: Path, source: str) -> Named:
    """The files that hold ratings. Raises JobError where there are none, or several tables."""
    if log := next(raw.rglob("_delta_log"), None):
        # Beside a version's files lie those of others.
        raise JobError(
            f"{source} holds a table of Delta Lake in {log.parent.relative_to(raw)}. Name its own "
            "folder as the source: which files are its newest version, its log says."
        )
    names = delivered_tables(raw)
    found = called(names, "ratings")
    usual = bool(found)
    if not usual:
        found = candidates(names)
        # Deeper lies what does not matter where something lies on top.
        found = [name for name in found if "/" not in name] or found
    kinds = {alike(name) for name in found}
    if len(kinds) != 1:
        raise JobError(
            f"{source} holds {len(found) or 'no'} files that may be its ratings. Expected one that "
            f"ends in {', '.join(sorted(TABLES))}; of several, call it ratings.csv, and the one "
            "of titles movies.csv. Put the parts of one table into a folder called ratings."
        )
    return Named(raw, source, with_content(raw, found), usual)


def own_movies(raw: Path, source: str) -> Named | None:
    """The files that hold titles; None where there are none."""
    found = called(delivered_tables(raw), "movies")
    return Named(raw, source, with_content(raw, found), True) if found else None


def candidates(names: Collection[str]) -> list[str]:
    """Which files may hold ratings though they are not called so."""
    return in_order(
        name for name in names
        if PurePosixPath(name).suffix.lower() in TABLES and not OTHERS & words_of(name)
    )  # fmt: skip


def delivered_tables(raw: Path) -> list[str]:
    """Paths within raw of all files that may be a table, but those that Spark writes about it."""
    paths = (path.relative_to(raw) for path in raw.rglob("*") if path.is_file())
    return in_order(
        path.as_posix() for path in paths
        if path.suffix.lower() in TABLES and not any(part[0] in "._" for part in path.parts)
    )  # fmt: skip


def called(names: Collection[str], table: str) -> list[str]:
    """Files that are called as a table is, and those beside them that are as its parts; else these.

    Deeper lies what does not matter beside a file that is called so.
    """
    parts = in_order(name for name in names if table in words_of(name))
    on_top = [name for name in parts if "/" not in name]
    exact = any(PurePosixPath(name).stem.lower() == table for name in on_top)
    return on_top if exact else parts


def words_of(name: str) -> set[str]:
    """What a file is called, without what makes it a part; its folders, where that is no table."""
    path = PurePosixPath(name.lower())
    stem = re.match(r"[^\W\d_]+", path.stem)
    whole = stem and (stem.end() == len(path.stem) or OF_PARTS.fullmatch(path.stem, stem.end()))
    own = stem.group() if stem and whole else ""
    return {own} if own in {"ratings", *OTHERS} else {own, *path.parts[:-1]}


def alike(name: str) -> str:
    """What the parts of a table have in common: the folder called as it is, else the name."""
    path = PurePosixPath(name)
    return "ratings" if "ratings" in words_of(str(path.parent / "x")) else COUNTED.sub("#", name)


def in_order(names: Iterable[str]) -> list[str]:
    """Sorted, numbers by their size."""

    def key(name: str) -> list[tuple[int, str]]:
        return [(int(each) if each.isdigit() else -1, each) for each in re.split(r"(\d+)", name)]

    return sorted(names, key=key)


def with_content(raw: Path, names: list[str]) -> tuple[str, ...]:
    """Those that are not empty, as Spark writes some; the first where all are."""
    filled = [name for name in names if (raw / name).stat().st_size]
    return tuple(filled or names[:1])
